"""Who an order was: one member for all the ways the buyer is known."""

from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from members.models import Identity, Member, Membership, Purchase
from retail.models import BuyerKey, Order

# A phone or unionid is one person's; a card or a channel's buyer number may be shared or resold.
_STRENGTH = {
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
    settled = Purchase.objects.filter(order=order).select_related("membership__member", "membership__tier").first()
    if settled is not None:
        return Match(settled)
    if not order.buyer_keys:
        return Match(None)
    _lock(order.buyer_keys)
    member_ids = _known_members(order.buyer_keys)
    member = Member.objects.get(pk=member_ids[0]) if member_ids else Member.objects.create(created_at=order.paid_at)
    _learn(member, order, now)
    membership = _membership(member, order)
    return Match(_purchase(membership, order), tuple(member_ids[1:]))


def _lock(key_ids: list[int]) -> None:
    """Two orders that share a key are matched one after the other; locks are taken in one order."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtext('buyer'), (k %% 2147483647)::int)"
            " FROM unnest(%s::bigint[]) AS k ORDER BY k",
            [sorted(key_ids)],
        )


def _known_members(key_ids: list[int]) -> list[int]:
    """Members these keys belong to, the one of the strongest key first, each once."""
    identities = Identity.objects.filter(key__in=key_ids).values_list("key__type", "key_id", "member_id")
    ranked = sorted(identities, key=lambda row: (_STRENGTH[row[0]], key_ids.index(row[1])))
    return list(dict.fromkeys(member_id for _, _, member_id in ranked))


def _learn(member: Member, order: Order, now: datetime) -> None:
    """Keys nobody has yet become identities of this member."""
    Identity.objects.bulk_create(
        [
            Identity(member=member, key_id=key_id, source="order", channel_id=order.channel_id, seen_at=order.paid_at)
            for key_id in order.buyer_keys
        ],
        ignore_conflicts=True,
    )


def _membership(member: Member, order: Order) -> Membership:
    """The member's row with the order's brand, locked: purchases of one membership are counted one at a time."""
    Membership.objects.bulk_create(
        [
            Membership(
                brand_id=order.brand_id,
                member=member,
                registered_at=order.paid_at,
                registered_store_id=order.store_id,
            )
        ],
        ignore_conflicts=True,
    )
    return (
        Membership.objects.select_for_update(of=("self",))
        .select_related("tier")
        .get(brand_id=order.brand_id, member=member)
    )


def _purchase(membership: Membership, order: Order) -> Purchase:
    earlier = (
        Purchase.objects.filter(membership=membership, paid_at__lt=order.paid_at)
        .order_by("-paid_at")
        .values_list("paid_at", flat=True)
        .first()
    )
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

