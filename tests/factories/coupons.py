"""Coupon types, and coupons in the hands of members, made through the product's own verbs."""

from datetime import datetime
from typing import Any

from django.utils import timezone

from members import coupons, identity
from members.coupons import giving
from members.models import Coupon, CouponQuota, CouponType, Identity, Membership
from retail import privacy
from retail.models import Staff
from tests.factories import LONG_AGO, NOW, World, number


def coupon_type(shop: World, **fields: Any) -> CouponType:
    """300 less 50, thirty days from when it was got, any number of them; unless told otherwise."""
    kind = fields.setdefault("kind", "amount")
    n = number()
    usual = {"brand": shop.brand, "code": f"ct{n}", "name": f"券{n}", "starts_at": LONG_AGO, "per_member": 9}
    off = {"off_fen": 5_000, "floor_fen": 30_000} if kind == "amount" else {}
    return CouponType.objects.create(**usual | off | fields)


def member(shop: World, phone: str) -> Membership:
    """Who buys with this phone."""
    known = privacy.normalised(privacy.Known("phone", "", phone))
    key = privacy.keep([known])[known]
    found = Identity.objects.filter(key=key).values_list("member_id", flat=True).first()
    if found is None:
        found = identity.meet(key_ids=[key], name="", at=LONG_AGO, source="register").member_id
    return Membership.objects.get_or_create(brand=shop.brand, member_id=found, defaults={"registered_at": LONG_AGO})[0]


def issued(type: CouponType, *members: Membership, now: datetime = NOW) -> list[Coupon]:
    """One for each, from headquarters."""
    return giving.make(type=type, membership_ids=[one.pk for one in members], now=now).coupons


def quota(type: CouponType, staff: Staff, limit: int = 5) -> CouponQuota:
    return CouponQuota.objects.create(type=type, staff=staff, store=staff.posts.get().store, limit=limit)


def given(type: CouponType, membership: Membership, staff: Staff, now: datetime = NOW) -> Coupon:
    """From the quota of a clerk."""
    store = staff.posts.get().store
    assert store is not None
    return coupons.give(type=type, membership=membership, staff=staff, store=store, by=None, now=now)


def day(text: str) -> datetime:
    """The first moment of a day in Shanghai."""
    return timezone.make_aware(datetime.fromisoformat(text))
