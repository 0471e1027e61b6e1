"""购买: the memberships orders fall into, and what each order was to its membership when it was settled."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from members.matching import Found
from members.models import Membership, Purchase
from retail.models import Order

Pair = tuple[int, int]
"""Brand id and member id: whose membership."""


@dataclass(slots=True)
class Match:
    """Whom the keys of an order point to. `others`: members they also point to, who are not merged by this."""

    order: Order
    found: Found

    @property
    def member_id(self) -> int:
        return self.found.member_id

    @property
    def others(self) -> tuple[int, ...]:
        return tuple(dict.fromkeys(pair.other for pair in self.found.pairs))

    @property
    def pair(self) -> Pair:
        return self.order.brand_id, self.member_id


# ── Memberships ──────────────────────────────────────────────────────────────────────────────────────────────────────
def memberships(*, matches: Iterable[Match], newborn: Collection[int]) -> dict[Pair, Membership]:
    """The members' rows with the orders' brands, locked: purchases of one membership are counted one at a time."""
    rows: dict[Pair, Membership] = {}
    for match in matches:
        if match.pair not in rows:
            rows[match.pair] = _joining(match)
    held = _held(pair for pair in rows if pair[1] not in newborn)
    missing = sorted(pair for pair in rows if pair not in held and pair[1] not in newborn)
    if missing:
        Membership.objects.bulk_create([rows[pair] for pair in missing], ignore_conflicts=True)
        held |= _held(missing)  # somebody else may have been quicker
    # Nobody else knows these members before our commit.
    Membership.objects.bulk_create([row for pair, row in rows.items() if pair[1] in newborn])
    return rows | held


def _joining(match: Match) -> Membership:
    order = match.order
    return Membership(
        brand_id=order.brand_id,
        member_id=match.member_id,
        registered_at=order.paid_at,
        registered_store_id=order.store_id,
    )


def _held(pairs: Iterable[Pair]) -> dict[Pair, Membership]:
    """Those of the memberships that exist, locked in the order of their ids."""
    wanted = set(pairs)
    if not wanted:
        return {}
    brands, members = zip(*wanted, strict=True)
    rows = Membership.objects.filter(brand__in=set(brands), member__in=set(members)).order_by("pk")
    rows = rows.select_for_update(of=("self",)).select_related("tier")
    return {pair: row for row in rows if (pair := (row.brand_id, row.member_id)) in wanted}


# ── Purchases ────────────────────────────────────────────────────────────────────────────────────────────────────────
def buy(*, matches: Iterable[Match], memberships: dict[Pair, Membership]) -> list[Purchase]:
    """Write the purchases, and the first and last one of each membership."""
    purchases: list[Purchase] = []
    late: list[tuple[Purchase, datetime | None]] = []
    bought: dict[Pair, list[datetime]] = defaultdict(list)
    for match in matches:
        order, membership = match.order, memberships[match.pair]
        last, paid_at = membership.last_purchase_at, order.paid_at
        purchase = Purchase(
            order=order,
            membership=membership,
            store_id=order.store_id,
            paid_at=paid_at,
            net_fen=order.paid_fen,
        )
        if last is None or last < paid_at:
            _follow(purchase, last)
        else:
            late.append((purchase, max((at for at in bought[match.pair] if at < paid_at), default=None)))
        bought[match.pair].append(paid_at)
        membership.first_purchase_at = min(membership.first_purchase_at or paid_at, paid_at)
        membership.last_purchase_at = max(last or paid_at, paid_at)
        purchases.append(purchase)
    _follow_late(late)
    Purchase.objects.bulk_create(purchases)
    _update([memberships[pair] for pair in bought])
    return purchases


def _follow(purchase: Purchase, earlier: datetime | None) -> None:
    purchase.is_first = earlier is None
    purchase.dormant_days = None if earlier is None else (purchase.paid_at - earlier).days


def _follow_late(late: Sequence[tuple[Purchase, datetime | None]]) -> None:
    """Purchases are searched only for orders that come late; with each, the last one before it in its batch."""
    if not late:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT (SELECT max(p.paid_at) FROM members_purchase p"
            "  WHERE p.membership_id = w.membership_id AND p.paid_at < w.paid_at)"
            " FROM unnest(%s::bigint[], %s::timestamptz[]) WITH ORDINALITY AS w(membership_id, paid_at, place)"
            " ORDER BY w.place",
            [[purchase.membership_id for purchase, _ in late], [purchase.paid_at for purchase, _ in late]],
        )
        for (purchase, in_batch), (before,) in zip(late, cursor.fetchall(), strict=True):
            _follow(purchase, max((at for at in (in_batch, before) if at), default=None))


def _update(memberships: Sequence[Membership]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE members_membership m SET first_purchase_at = w.first_at, last_purchase_at = w.last_at"
            " FROM unnest(%s::bigint[], %s::timestamptz[], %s::timestamptz[]) AS w(id, first_at, last_at)"
            " WHERE m.id = w.id",
            [
                [row.pk for row in memberships],
                [row.first_purchase_at for row in memberships],
                [row.last_purchase_at for row in memberships],
            ],
        )
