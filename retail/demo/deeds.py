"""What the clerks of the demo did besides selling: whom they recruited and befriended in the last three months.

Whoever was woken by a purchase is found when the year is settled.
"""

from datetime import datetime, timedelta
from functools import partial

from django.db.models import Exists, OuterRef

from clerks import rewards
from commissions import actions
from commissions.actions import Action
from commissions.models.actions import ActionType
from members.models import Identity, Membership
from retail import beside
from retail.models import Brand, BuyerKey

BATCH = 4_000
SPAN = timedelta(days=92)  # a year of it would take as long to make as a third of the sales


def run(*, now: datetime) -> None:
    """No reward of one brand depends on the other."""
    first, second = Brand.objects.order_by("pk")
    beside.run(apart=partial(_of, second, now), here=partial(_of, first, now))


def _of(brand: Brand, now: datetime) -> None:
    """In the order of time, some thousands at once."""
    known = Identity._base_manager.filter(member=OuterRef("member"), key__type=BuyerKey.Type.EXTERNAL_USERID)
    recruited = Membership._base_manager.filter(
        brand=brand, registered_by__isnull=False, registered_at__gte=now - SPAN
    )
    joined = list(
        recruited.annotate(is_friend=Exists(known)).select_related("registered_store").order_by("registered_at", "pk")
    )
    for start in range(0, len(joined), BATCH):
        some = joined[start : start + BATCH]
        rewards.of_registrations(memberships=some, now=now)
        friends = [_befriended(one) for one in some if one.is_friend]  # type: ignore[attr-defined]  # annotated
        actions.act_many(actions=friends, now=now)


def _befriended(one: Membership) -> Action:
    """They scanned the clerk's code a few minutes after joining."""
    assert one.registered_by_id is not None
    assert one.registered_store is not None
    at = one.registered_at + timedelta(minutes=3)
    return Action(
        number=f"friend:{one.brand_id}:m{one.pk}:{int(at.timestamp())}",
        type=ActionType.FRIEND,
        brand_id=one.brand_id,
        staff_id=one.registered_by_id,
        store_id=one.registered_store_id,
        payer_id=one.registered_store.franchisee_id,
        at=at,
        customer=one.member_id,
    )
