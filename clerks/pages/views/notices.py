"""通知:  what I was told, unread first; one notice, opened from the WeCom app, and what it is about.

Everybody who works here gets notices, also who has no store. A notice about a customer leads to their page, as far as
its reader may see them; what else it is about stands on the notice's own page.
"""

from typing import Any

from django.core.paginator import Paginator
from django.db.models import F
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from clerks import portraits
from clerks.handover import cases
from clerks.leads.models import Lead
from clerks.models import ContactWay, Friend, Greeting, Handover, HelpRequest, Notice, SyncRun
from clerks.outreach import codes, notices
from clerks.pages.access import ROLES, in_post
from commissions.models import Dispute
from members.models import Member
from retail.models import Staff

PER_PAGE = 20


@require_safe
@in_post
def every(request: HttpRequest) -> HttpResponse:
    mine = Notice._base_manager.filter(staff=request.post.staff_id)
    page = Paginator(mine.order_by(F("read_at").asc(nulls_first=True), "-pk"), PER_PAGE)
    return render(request, "clerks/notices.html", {"tab": "notices", "page": page.get_page(request.GET.get("page"))})


@require_safe
@in_post
def open_record(request: HttpRequest, *, notice_id: int) -> HttpResponse:
    """From the card in the app to the page of the thing itself. To open it is to have read it."""
    notice = of(request, notice_id)
    if request.method == "GET":
        notices.read(notice=notice, now=timezone.now())
    if notice.about_type == HelpRequest._meta.label_lower:
        return redirect("clerks:help_one", help_id=int(notice.about_id))
    if (own := _own_dispute(notice)) is not None and request.post.role in ROLES:
        return redirect(own)
    if notice.kind == Notice.Kind.LEADS and request.post.role in ROLES:
        return redirect(_of_lead(notice))
    customer = _customer(notice)
    if customer is not None and _may_see(request, customer):
        return redirect(f"{reverse('clerks:customer', args=[customer.pk])}?notice={notice.pk}")
    return redirect("clerks:notice", notice_id=notice.pk)


@require_safe
@in_post
def of_broadcast(request: HttpRequest, *, broadcast_id: int) -> HttpResponse:
    """The message to everybody leads here, and from here to the reader's own notice. 404 for who was not told."""
    mine = Notice._base_manager.filter(staff=request.post.staff_id, broadcast=broadcast_id)
    notice_id = mine.values_list("pk", flat=True).first()
    if notice_id is None:
        raise Http404(_("没有这条通知，或者它不是发给您的。"))
    return redirect("clerks:notice", notice_id=notice_id)


@require_safe
@in_post
def one(request: HttpRequest, *, notice_id: int) -> HttpResponse:
    """To open it is to have read it."""
    notice = of(request, notice_id)
    if request.method == "GET":
        notices.read(notice=notice, now=timezone.now())
    customer = _customer(notice)
    is_seen = customer is not None and _may_see(request, customer)
    context = {"tab": "notices", "notice": notice, "customer": customer, "is_seen": is_seen, **_record(notice)}
    return render(request, "clerks/notice.html", context)


@require_POST
@in_post
def done(request: HttpRequest, *, notice_id: int) -> HttpResponse:
    notices.done(notice=of(request, notice_id), now=timezone.now())
    return redirect("clerks:notices")


def of(request: HttpRequest, notice_id: int) -> Notice:
    """Nobody opens what somebody else was told, not even their manager. Raises Http404."""
    mine = Notice._base_manager.filter(staff=request.post.staff_id, pk=notice_id)
    notice = mine.select_related("friend__member", "broadcast").first()
    if notice is None:
        raise Http404(_("没有这条通知，或者它不是发给您的。"))
    return notice


# ── What it is about ─────────────────────────────────────────────────────────────────────────────────────────────────
def _customer(notice: Notice) -> Member | None:
    if notice.friend is not None:
        return notice.friend.member
    if notice.about_type != Greeting._meta.label_lower:
        return None
    # Whom a welcome did not reach, once WeCom has told who it is.
    keys = Greeting._base_manager.filter(pk=int(notice.about_id)).values("key")
    friend = Friend._base_manager.filter(staff=notice.staff_id, key__in=keys).select_related("member").first()
    return friend.member if friend else None


def _of_lead(notice: Notice) -> str:
    """The list, or the one lead there was, as long as it is the reader's."""
    if notice.about_type == Lead._meta.label_lower:
        lead = Lead.objects.filter(pk=notice.about_id, staff=notice.staff_id).first()
        if lead is not None:
            return reverse("clerks:lead", args=[lead.pk])
    return reverse("clerks:leads")


def _own_dispute(notice: Notice) -> str | None:
    """Where the reader's own doubt stands with its answer."""
    if notice.about_type != Dispute._meta.label_lower:
        return None
    row = Dispute._base_manager.filter(pk=notice.about_id, staff=notice.staff_id).first()
    if row is None:
        return None
    if row.order_id is None:
        return reverse("clerks:statement", args=[row.statement_id])
    return reverse("clerks:sale", args=[row.order_id])


def _may_see(request: HttpRequest, customer: Member) -> bool:
    if request.post.role not in ROLES or customer.merged_into_id is not None:
        return False
    return portraits.of_post(post=request.post, member_id=customer.pk, now=timezone.now()).portrait is not None


def _record(notice: Notice) -> dict[str, Any]:
    """The thing as it is now, for the page; nothing where the words of the notice are all there is."""
    pk = notice.about_id
    if notice.about_type == ContactWay._meta.label_lower and (way := ContactWay._base_manager.filter(pk=pk).first()):
        return {"way": way, "on_duty": codes.on_duty(way=way, now=timezone.now())}
    if notice.about_type == Dispute._meta.label_lower:
        # One's own, or that of somebody whose manager one is: answered in the admin, on the phone too.
        return {"own_dispute": _own_dispute(notice), "dispute_id": pk}
    if notice.about_type == HelpRequest._meta.label_lower:
        return {"help_id": int(pk)}
    if notice.about_type == SyncRun._meta.label_lower:
        return {"run": SyncRun.objects.filter(pk=pk).first()}
    if notice.about_type == Handover._meta.label_lower:
        handover = Handover._base_manager.select_related("staff").filter(pk=pk).first()
        return {"handover": handover, "progress": handover and cases.progress(handovers=[handover])[handover.pk]}
    if notice.about_type == Staff._meta.label_lower and (leaver := Staff._base_manager.filter(pk=pk).first()):
        waiting = Friend._base_manager.filter(staff=leaver, state=Friend.State.FRIEND)
        return {"leaver": leaver, "waiting": waiting.count()}
    return {}
