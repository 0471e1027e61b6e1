"""Codes that members claim: whoever names an open one has it. A batch at a time; told again, nothing is new.

All coupons are locked before all types, each in the order of their numbers: of two who name one code one has it.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from members.coupons import giving, using
from members.coupons.giving import Refused
from members.coupons.using import Change
from members.models import Coupon, CouponType, Membership
from retail import audit

_State = Coupon.State

UNKNOWN, TAKEN, USED = "unknown coupon code", "was claimed by somebody else", "was used already"
VOID, OVER, ENOUGH = "was taken back", "is over", "has as many of these coupons as one member may have"
STRANGER = "is no member of the brand of the coupon"
WORDS = {
    UNKNOWN: _("没有这个券码。"),
    TAKEN: _("这个券码已经被别人领走了。"),
    USED: _("这个券码已经用掉了。"),
    VOID: _("这个券码已经作废了。"),
    OVER: _("这个券码已经过期了。"),
    ENOUGH: _("这位顾客已经领满了这种券。"),
    STRANGER: _("这位顾客不是这个品牌的会员。"),
}


class Claim(NamedTuple):
    """A code, and the member who names it; None where nobody knows them."""

    code: str
    member_id: int | None


class Claimed(NamedTuple):
    """The coupon somebody has by now, and whether that is new; or why they have none (a key of WORDS)."""

    coupon: Coupon | None = None
    is_new: bool = False
    why: str = ""


@transaction.atomic
def claim_many(*, claims: Sequence[Claim], by: Any, now: datetime) -> list[Claimed]:
    """Open codes become members' coupons; the outcome of each, in order."""
    coupons, types = _locked({one.code for one in claims})
    members = {one.member_id for one in claims if one.member_id}
    held = Membership._base_manager.filter(member__in=members, brand__in={type.brand_id for type in types.values()})
    memberships = {(one.member_id, one.brand_id): one for one in held}
    outcomes: list[Claimed] = []
    for one in claims:
        coupon = coupons.get(one.code)
        membership = memberships.get((one.member_id or 0, types[coupon.type_id].brand_id)) if coupon else None
        outcomes.append(_one(coupon, membership, types, now))
    new = [done.coupon for done in outcomes if done.is_new and done.coupon]
    using.judge(codes={coupon.code for coupon in new}, now=now)
    audit.record_many(by=by, action="coupon.claim", acts=[audit.Act(coupon, None, None) for coupon in new], now=now)
    return outcomes


def claim(*, code: str, membership: Membership, by: Any, now: datetime) -> Coupon:
    """One code of one member. Raises Refused."""
    (done,) = claim_many(claims=[Claim(code.strip(), membership.member_id)], by=by, now=now)
    if done.coupon is None:
        raise Refused(WORDS[done.why])
    return done.coupon


def _locked(codes: Collection[str]) -> tuple[dict[str, Coupon], dict[int, CouponType]]:
    rows = Coupon._base_manager.filter(code__in=codes).order_by("pk").select_for_update(of=("self",))
    coupons = {row.code: row for row in rows}
    ids = {coupon.type_id for coupon in coupons.values()}
    types = CouponType._base_manager.filter(pk__in=ids).order_by("pk").select_for_update(of=("self",))
    return coupons, {type.pk: type for type in types}


def _one(coupon: Coupon | None, membership: Membership | None, types: dict[int, CouponType], now: datetime) -> Claimed:
    if coupon is None:
        return Claimed(why=UNKNOWN)
    if membership is None:
        return Claimed(why=STRANGER)
    if coupon.claimed_at is not None and coupon.membership_id == membership.pk:
        return Claimed(coupon)
    type = types[coupon.type_id]
    if why := _hindrance(coupon, type, membership, now):
        return Claimed(why=why)
    coupon.membership, coupon.claimed_at, coupon.state = membership, now, _State.ISSUED
    coupon.valid_from, coupon.valid_until = giving.valid(type, now, now)
    coupon.save(update_fields=["membership", "claimed_at", "state", "valid_from", "valid_until"])
    using.note_moves([Change(coupon, None, None, now)], now)
    return Claimed(coupon, is_new=True)


def _hindrance(coupon: Coupon, type: CouponType, membership: Membership, now: datetime) -> str:
    if coupon.claimed_at is not None:
        return TAKEN
    gone = {_State.REDEEMED: USED, _State.VOID: VOID, _State.EXPIRED: OVER}
    if coupon.state in gone:
        return gone[_State(coupon.state)]
    if coupon.valid_until <= now:
        return OVER
    return ENOUGH if giving.counts(type, [membership.pk])[membership.pk] >= type.per_member else ""
