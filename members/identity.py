"""Who an order was: one member for all the ways the buyer is known."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from members.models import Identity, Member, Membership, Purchase
from retail.models import BuyerKey, Order

# A phone or unionid is one person's; a card or a channel's buyer number may be shared or resold.
_STRENGTH: dict[str, int] = {
    BuyerKey.Type.UNIONID: 0,
    BuyerKey.Type.PHONE: 1,
    BuyerKey.Type.EXTERNAL_USERID: 2,
    BuyerKey.Type.CARD: 3,
    BuyerKey.Type.CHANNEL_ID: 4,
}


@dataclass(frozen=True, slots=True)
class Match:
    """`purchase` is None for a buyer nobody knows anything of. `others`: members the same keys also point to.

    The keys of one order may point to several members. They are never merged here: the strongest key decides, the
    rest are proposals for the review page.
    """

    purchase: Purchase | None
    others: tuple[int, ...] = ()


def match(*, order: Order, now: datetime) -> Match:
    """Find or make the member of an order by any of its buyer keys, and fix the purchase. Idempotent.

    Whether the member is new, and for how long they had not bought, is decided here once from the purchases known at
    this moment. A corrected order keeps its first answer.
    """
    if hasattr(order, "purchase"):
        return Match(order.purchase)
    if not order.buyer_keys:
        return Match(None)
    _lock(order.buyer_keys)
    owners = _owners(order.buyer_keys)
    member_ids = list(dict.fromkeys(owners.values()))
    member_id = member_ids[0] if owners else Member.objects.create(created_at=order.paid_at).pk
    _learn(member_id, set(order.buyer_keys) - set(owners), order)
    membership = _membership(member_id, order, is_new=not owners)
    return Match(_purchase(membership, order), tuple(member_ids[1:]))


def _lock(key_ids: list[int]) -> None:
    """Two orders that share a key are matched one after the other; locks are taken in one order."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtext('buyer'), (k %% 2147483647)::int)"
            " FROM unnest(%s::bigint[]) AS k ORDER BY k",
            [sorted(key_ids)],
        )


def _owners(key_ids: list[int]) -> dict[int, int]:
    """Key → the member it belongs to, the strongest key first; keys nobody has yet are left out."""
    identities = Identity.objects.filter(key__in=key_ids).values_list("key__type", "key_id", "member_id")
    ranked = sorted(identities, key=lambda row: (_STRENGTH[row[0]], key_ids.index(row[1])))
    return {key_id: member_id for _, key_id, member_id in ranked}


def _learn(member_id: int, key_ids: Iterable[int], order: Order) -> None:
    """Keys nobody has yet become identities of this member."""
    Identity.objects.bulk_create(
        [
            Identity(
                member_id=member_id, key_id=key_id, source="order", channel_id=order.channel_id, seen_at=order.paid_at
            )
            for key_id in key_ids
        ],
        ignore_conflicts=True,
    )


def _membership(member_id: int, order: Order, *, is_new: bool) -> Membership:
    """The member's row with the order's brand, locked: purchases of one membership are counted one at a time."""
    row = Membership(
        brand_id=order.brand_id,
        member_id=member_id,
        registered_at=order.paid_at,
        registered_store_id=order.store_id,
    )
    if is_new:  # nobody else knows this member before our commit
        row.save(force_insert=True)
        return row
    known = Membership.objects.filter(brand_id=order.brand_id, member_id=member_id)
    known = known.select_for_update(of=("self",)).select_related("tier")
    if found := known.first():
        return found
    Membership.objects.bulk_create([row], ignore_conflicts=True)
    return known.get()


def _purchase(membership: Membership, order: Order) -> Purchase:
    earlier = _last_before(membership, order.paid_at)
    purchase = Purchase.objects.create(
        order=order,
        membership=membership,
        store_id=order.store_id,
        paid_at=order.paid_at,
        is_first=earlier is None,
        dormant_days=None if earlier is None else (order.paid_at - earlier).days,
    )
    first, last = membership.first_purchase_at, membership.last_purchase_at
    membership.first_purchase_at = min(first or order.paid_at, order.paid_at)
    membership.last_purchase_at = max(last or order.paid_at, order.paid_at)
    membership.save(update_fields=["first_purchase_at", "last_purchase_at"])
    return purchase


def _last_before(membership: Membership, moment: datetime) -> datetime | None:
    """When the member had bought last at that moment. The purchases are searched only for an order that comes late."""
    last = membership.last_purchase_at
    if last is None or last < moment:
        return last
    earlier = Purchase.objects.filter(membership=membership, paid_at__lt=moment).order_by("-paid_at")
    return earlier.values_list("paid_at", flat=True).first()
