"""顾客:  my own customers, and one of them; from there to the chat."""

from datetime import datetime
from typing import Any, NamedTuple

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from clerks import portraits
from clerks.models import Friend
from clerks.outreach import contact
from clerks.pages import wecom
from clerks.pages.access import in_store
from clerks.pages.views import notices
from members.models import Member
from retail import audit, database, privacy, scope
from retail.models import Post
from retail.wecom.models import App

PER_PAGE = 20


@require_safe
@in_store
def customers(request: HttpRequest) -> HttpResponse:
    """My customers: the next of them for htmx, else a page."""
    page = portraits.of_clerk(staff_id=request.post.staff_id, below=_mark(request), limit=PER_PAGE)
    template = "clerks/customers/_list.html" if request.htmx else "clerks/customers/page.html"
    return render(request, template, {"tab": "customers", "page": page})


@require_safe
@never_cache
@in_store
def customer(request: HttpRequest, *, member_id: int) -> HttpResponse:
    """One customer who is mine, or of my store as far as I may see them; 404 for everybody else.

    `notice`: the one that led here, to be done with on this page.
    """
    portrait, app, told = shown(request, member_id), wecom.app_of(request), request.GET.get("notice", "")
    friend = _friend(request.post, member_id, app.corp_id) if app else None
    notice = notices.of(request, int(told)) if told.isascii() and told.isdecimal() and len(told) < 19 else None
    context = {"tab": "customers", "portrait": portrait, "app": app, "friend": friend, "notice": notice}
    return render(request, "clerks/customers/customer.html", context)


class _Asked(NamedTuple):
    """A clerk turns to a customer: through which application, and what `contact` wants to know."""

    portrait: portraits.Portrait
    app: App
    about: dict[str, Any]
    verdict: contact.Verdict

    def touch(self, *, effect: str, store_id: int | None, now: datetime) -> None:
        day, staff_id = timezone.localdate(now), self.about["by"].pk
        named = f"{effect}:{self.about['member_id']}:{staff_id}:{day}"
        contact.touch(**self.about, store_id=store_id, effect=named, now=now)


def _asked(request: HttpRequest, member_id: int, now: datetime) -> _Asked | None:
    """None where there is no WeCom to speak through. Raises Http404."""
    portrait, app = shown(request, member_id), wecom.app_of(request)
    if app is None:
        return None
    about = {"member_id": member_id, "corp": app.corp_id, "purpose": contact.Purpose.SERVICE, "by": request.post.staff}
    return _Asked(portrait, app, about, contact.may(**about, now=now))


def _no(words: object) -> JsonResponse:
    return JsonResponse({"said": words}, status=409)


@require_POST
@never_cache
@in_store
def chat(request: HttpRequest, *, member_id: int) -> HttpResponse:
    """What WeCom's client calls this customer, to open the chat with; written down who asked."""
    now, post = timezone.now(), request.post
    asked = _asked(request, member_id, now)
    if asked is None:
        return _no(_("还没有接入企业微信。"))
    if not asked.verdict.ok:
        return _no(asked.verdict.words)
    friend = _friend(post, member_id, asked.app.corp_id)
    if friend is None:
        return _no(_("这位顾客还没有加您的企业微信好友。"))
    if friend.state == Friend.State.LOST:
        return _no(_("这位顾客已经把您删除，消息发不过去了。"))
    asked.touch(effect="chat", store_id=post.store_id, now=now)
    audit.record(by=request.user, action="open_chat", target=asked.portrait.membership.member, now=now)
    return JsonResponse({"externalUserId": privacy.reveal(friend.key)})


@require_POST
@never_cache
@in_store
def send(request: HttpRequest, *, member_id: int) -> HttpResponse:
    """Before words are sent in the chat: may they be? With `sent`, after: that they were is written down."""
    now = timezone.now()
    asked = _asked(request, member_id, now)
    if asked is None:
        return _no(_("还没有接入企业微信。"))
    if "sent" in request.POST:
        asked.touch(effect="words", store_id=request.post.store_id, now=now)
        return JsonResponse({})
    return JsonResponse({}) if asked.verdict.ok else _no(asked.verdict.words)


def _friend(post: Post, member_id: int, corp: str) -> Friend | None:
    """The member as this clerk's friend in WeCom: one who still is, else one who has deleted the clerk."""
    states = (Friend.State.FRIEND, Friend.State.LOST)
    # The second net shows clerks no identities at all; that this one may be seen has just been found.
    with database.published(scope.EVERYTHING):
        rows = Friend._base_manager.filter(staff=post.staff_id, member=member_id, corp=corp, state__in=states)
        found = rows.exclude(key__cipher=None).select_related("key").order_by("-since")
        return min(found, key=lambda friend: friend.state != Friend.State.FRIEND, default=None)


def shown(request: HttpRequest, member_id: int) -> portraits.Portrait:
    """Raises Http404 unless the person may see this customer."""
    if not Member._base_manager.filter(pk=member_id, merged_into=None).exists():
        raise Http404
    seen = portraits.relation(post=request.post, member_id=member_id)
    portrait = portraits.portrait(post=request.post, seen=seen)
    if portrait is None:
        raise Http404(_("没有这位顾客，或者不是您的。"))
    return portrait


def _mark(request: HttpRequest) -> portraits.Mark | None:
    text = request.GET.get("below", "")
    try:
        return portraits.Mark.parse(text) if text else None
    except ValueError:
        raise Http404
