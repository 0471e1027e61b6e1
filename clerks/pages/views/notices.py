"""通知:  what I was told, unread first; one notice, opened from the WeCom app, and what it is about."""

from django.core.paginator import Paginator
from django.db.models import F
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from clerks.models import Friend, Greeting, Notice
from clerks.outreach import notices
from clerks.pages.access import in_store

PER_PAGE = 20


@require_safe
@in_store
def every(request: HttpRequest) -> HttpResponse:
    mine = Notice.objects.filter(staff=request.post.staff_id).order_by(F("read_at").asc(nulls_first=True), "-pk")
    page = Paginator(mine, PER_PAGE).get_page(request.GET.get("page"))
    return render(request, "clerks/notices.html", {"tab": "notices", "page": page})


@require_safe
@in_store
def one(request: HttpRequest, *, notice_id: int) -> HttpResponse:
    """To open it is to have read it."""
    notice = _mine(request, notice_id)
    if request.method == "GET":
        notices.read(notice=notice, now=timezone.now())
    customer = notice.friend or _greeted(notice)
    context = {"tab": "notices", "notice": notice, "customer": customer.member if customer else None}
    return render(request, "clerks/notice.html", context)


@require_POST
@in_store
def done(request: HttpRequest, *, notice_id: int) -> HttpResponse:
    notices.done(notice=_mine(request, notice_id), now=timezone.now())
    return redirect("clerks:notices")


def _mine(request: HttpRequest, notice_id: int) -> Notice:
    """Nobody opens what somebody else was told, not even their manager."""
    notice = Notice.objects.filter(staff=request.post.staff_id, pk=notice_id).select_related("friend__member").first()
    if notice is None:
        raise Http404(_("没有这条通知，或者它不是发给您的。"))
    return notice


def _greeted(notice: Notice) -> Friend | None:
    """Whom a welcome did not reach, once WeCom has told who it is."""
    if notice.about_type != "clerks.greeting":
        return None
    rows = Friend.objects.filter(staff=notice.staff_id, key__in=_keys(notice)).select_related("member")
    return rows.first()


def _keys(notice: Notice) -> list[int]:
    return list(Greeting.objects.filter(pk=int(notice.about_id)).values_list("key_id", flat=True))
