"""我的券:  what a clerk may still give away, and what became of the coupons they gave."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from clerks.models import Binding
from clerks.pages.access import in_store
from clerks.pages.paging import PER_PAGE, start
from members.coupons import giving, words
from members.models import Coupon, CouponQuota

_State = Coupon.State


class Quota(NamedTuple):
    """A type a clerk has coupons of. `note`: why none can be given now, where that is so."""

    row: CouponQuota
    worth: str
    left: int
    note: str


class Given(NamedTuple):
    coupon: Coupon
    customer: str


@require_safe
@in_store
def vouchers(request: HttpRequest) -> HttpResponse:
    """Quotas, then what was given, newest first; more of it for htmx."""
    rows = Coupon._base_manager.filter(issued_by=request.post.staff_id).order_by("-issued_at", "-pk")
    since = start(request)
    some = list(rows.select_related("type", "membership__member")[since : since + PER_PAGE + 1])
    context = {"given": _named(request, some[:PER_PAGE]), "more": since + PER_PAGE if len(some) > PER_PAGE else 0}
    if request.htmx:
        return render(request, "clerks/_vouchers.html", context)
    count = rows.aggregate(given_count=Count("pk"), used=Count("pk", filter=Q(state=_State.REDEEMED)))
    return render(request, "clerks/vouchers.html", {"tab": "me", "quotas": _quotas(request), **count, **context})


def _quotas(request: HttpRequest) -> list[Quota]:
    now = timezone.now()
    rows = CouponQuota._base_manager.filter(staff=request.post.staff_id).select_related("type")
    return [
        Quota(row, words.worth(row.type), row.limit - row.given, _note(row, now))
        for row in rows.order_by("-type__starts_at", "pk")
    ]


def _note(row: CouponQuota, now: datetime) -> str:
    type = row.type
    if not giving.is_given_now(type, now):
        return _("现在不发放")
    if row.given >= row.limit or (type.limit is not None and type.issued >= type.limit):
        return _("发完了")
    return ""


def _named(request: HttpRequest, coupons: Sequence[Coupon]) -> list[Given]:
    """With the names of those who are this clerk's customers by now; others are somebody else's."""
    members = {coupon.membership.member_id for coupon in coupons if coupon.membership}
    bound = Binding._base_manager.filter(staff=request.post.staff_id, member__in=members, ended_at=None)
    mine = set(bound.values_list("brand_id", "member_id"))
    return [Given(coupon, _customer(coupon, mine)) for coupon in coupons]


def _customer(coupon: Coupon, mine: set[tuple[int, int]]) -> str:
    membership = coupon.membership
    if membership is None or (membership.brand_id, membership.member_id) not in mine:
        return _("其他导购的顾客")
    return str(membership.member)
