"""求助: what I asked upwards, and what others ask of me, the longest wait first. For everybody who holds a post."""

from collections.abc import Callable

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from clerks import portraits
from clerks.models import HelpRequest
from clerks.outreach import help
from clerks.pages.access import ROLES, in_post
from retail.models import Post

MOST = 50
LATEST = 20


@require_safe
@never_cache
@in_post
def every(request: HttpRequest) -> HttpResponse:
    post = request.post
    waiting = list(_shown(help.for_post(post=post))[: MOST + 1])
    own = HelpRequest._base_manager.filter(staff=post.staff_id)
    context = {
        "tab": "help",
        "now": timezone.now(),
        "answers": help.answers(post=post),
        "waiting": [(row, help.may_answer(request=row, post=post)) for row in waiting[:MOST]],
        "has_more": len(waiting) > MOST,
        "own": list(_shown(own)[:LATEST]),
    }
    return render(request, "clerks/help/list.html", context)


def _shown(rows: QuerySet[HelpRequest]) -> QuerySet[HelpRequest]:
    return rows.select_related("staff", "store", "taken_by").order_by(*help.BY_WAITING)


@require_safe
@never_cache
@in_post
def one(request: HttpRequest, *, help_id: int) -> HttpResponse:
    return _page(request, _row(request, help_id))


def _row(request: HttpRequest, help_id: int) -> HelpRequest:
    """One in the reader's scope, or their own. Raises Http404."""
    rows = HelpRequest._base_manager.select_related("staff", "store", "member", "taken_by", "answered_by")
    own = rows.filter(pk=help_id, staff=request.post.staff_id).first()
    seen = HelpRequest.objects.select_related("staff", "store", "member", "taken_by", "answered_by")
    return own or get_object_or_404(seen, pk=help_id)


def _page(request: HttpRequest, row: HelpRequest, *, fault: str = "", text: str = "") -> HttpResponse:
    post, now = request.post, timezone.now()
    context = {
        "tab": "help",
        "row": row,
        "name": portraits.called(row.member.name, row.member_id),
        "customer": _customer(post, row),
        "now": now,
        "is_own": row.staff_id == post.staff_id,
        "may_answer": help.may_answer(request=row, post=post),
        "may_hand_on": help.may_hand_on(request=row, post=post),
        "fault": fault,
        "text": text,
    }
    return render(request, "clerks/help/one.html", context, status=400 if fault else 200)


def _customer(post: Post, row: HelpRequest) -> str:
    """Where the reader sees who it is about; "" where that is not for them."""
    if row.member.merged_into_id is not None:
        return ""
    if post.role not in ROLES:
        return reverse("portrait", args=[row.member_id])
    seen = portraits.of_post(post=post, member_id=row.member_id, now=timezone.now())
    return reverse("clerks:customer", args=[row.member_id]) if seen.portrait is not None else ""


@require_POST
@never_cache
@in_post
def do(request: HttpRequest, *, help_id: int) -> HttpResponse:
    """One of the buttons below the question. What cannot be done stands there with why, and what was typed."""
    row, text = _row(request, help_id), request.POST.get("text", "")
    verb = _VERBS.get(request.POST.get("do", ""))
    if verb is None:
        return _page(request, row, fault=_("请点一个按钮。"), text=text)
    try:
        verb(request, row, text)
    except help.Refused as error:
        return _page(request, _row(request, help_id), fault=str(error), text=text[: 2 * help.LONGEST_ANSWER])
    return redirect("clerks:help_one", help_id=help_id)


def _answer(request: HttpRequest, row: HelpRequest, text: str) -> None:
    help.answer(request=row, text=text, post=request.post, by=request.user, now=timezone.now())


def _take(request: HttpRequest, row: HelpRequest, text: str) -> None:
    help.take(request=row, post=request.post, by=request.user, now=timezone.now())


def _hand_on(request: HttpRequest, row: HelpRequest, text: str) -> None:
    help.hand_on(request=row, text=text, post=request.post, by=request.user, now=timezone.now())


def _withdraw(request: HttpRequest, row: HelpRequest, text: str) -> None:
    help.withdraw(request=row, staff=request.post.staff, now=timezone.now())


_VERBS: dict[str, Callable[[HttpRequest, HelpRequest, str], None]] = {
    "answer": _answer,
    "take": _take,
    "hand_on": _hand_on,
    "withdraw": _withdraw,
}
