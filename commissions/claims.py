"""The inputs of an evaluation, kept for ever: who claims what part in an order, and what the buyer was.

The rooms above resolve them once; recompute, what-if and rebuild read them here and never resolve again.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection

from commissions.models import BuyerSnapshot, ClaimRow
from retail.models import Order


@dataclass(frozen=True, slots=True)
class Claim:
    """One person (or a store, staff_id None) in one role. `line_id` None = the whole order.

    store_id, position, payer_id: where, as what and for which franchisee (None = the brand's own company) the person
    worked at the moment of payment.
    evidence: why, as plain JSON with ids only ({"binding": 7}, {"code": "share"}).
    """

    role: str
    staff_id: int | None
    store_id: int | None = None
    payer_id: int | None = None
    position: str = ""
    line_id: int | None = None
    evidence: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BuyerFacts:
    """What was true of the buyer when the order was settled. dormant_days None = no earlier purchase known.

    staff_id: the member of staff who bought for themselves.
    """

    is_new: bool = False
    tier: str = ""
    dormant_days: int | None = None
    staff_id: int | None = None


class Kept(NamedTuple):
    claims: list[ClaimRow]
    buyer: BuyerSnapshot


class Told(NamedTuple):
    """What is to be kept of one order. `revision` counts from 1; a later one has a reason."""

    order: Order
    claims: Sequence[Claim]
    buyer: BuyerFacts
    revision: int = 1
    reason: str = ""


def keep_many(*, told: Sequence[Told], resolver: int, now: datetime) -> dict[int, Kept]:
    """Write the inputs of orders, each as a new revision, earlier ones stay; order id → what was written.

    `resolver`: version of the resolver.
    """
    rows = ClaimRow.objects.bulk_create(
        [
            ClaimRow(
                order=one.order,
                line_id=claim.line_id,
                revision=one.revision,
                role=claim.role,
                staff_id=claim.staff_id,
                store_id=claim.store_id,
                payer_id=claim.payer_id,
                position=claim.position,
                evidence=claim.evidence,
                resolver=resolver,
                resolved_at=now,
                reason=one.reason,
            )
            for one in told
            for claim in one.claims
        ]
    )
    claims = _by_order(rows)
    return {snapshot.order_id: Kept(claims[snapshot.order_id], snapshot) for snapshot in _write_snapshots(told)}


def _by_order(rows: Iterable[ClaimRow]) -> dict[int, list[ClaimRow]]:
    grouped: dict[int, list[ClaimRow]] = defaultdict(list)
    for row in rows:
        grouped[row.order_id].append(row)
    return grouped


def _write_snapshots(told: Sequence[Told]) -> list[BuyerSnapshot]:
    """Insert them with the groups their stores are in at this moment, in one statement."""
    snapshots = {one.order.pk: _snapshot(one) for one in told}
    columns = zip(*(_values(one.order, snapshots[one.order.pk]) for one in told), strict=True)
    with connection.cursor() as cursor:
        cursor.execute(_INSERT_SNAPSHOTS, [list(column) for column in columns])
        for order_id, pk, store_groups in cursor.fetchall():
            snapshots[order_id].pk, snapshots[order_id].store_groups = pk, store_groups
    return list(snapshots.values())


def _snapshot(told: Told) -> BuyerSnapshot:
    order, buyer = told.order, told.buyer
    return BuyerSnapshot(
        order=order,
        revision=told.revision,
        is_new=buyer.is_new,
        tier=buyer.tier,
        dormant_days=buyer.dormant_days,
        staff_id=buyer.staff_id,
        ownership=order.store.ownership if order.store else "",
    )


def _values(order: Order, row: BuyerSnapshot) -> tuple[Any, ...]:
    """In the order of _INSERT_SNAPSHOTS."""
    return (
        *(order.pk, row.revision, row.is_new, row.tier, row.dormant_days, row.staff_id, row.ownership),
        order.store_id,
    )


_INSERT_SNAPSHOTS = """
WITH given AS (
    SELECT * FROM unnest(%s::bigint[], %s::smallint[], %s::bool[], %s::text[], %s::int[], %s::bigint[], %s::text[],
        %s::bigint[]) AS g(order_id, revision, is_new, tier, dormant_days, staff_id, ownership, store_id)
), stores AS (
    SELECT s.store_id, array_agg(g.code ORDER BY g.code) AS codes
    FROM retail_storegroup_stores s JOIN retail_storegroup g ON g.id = s.storegroup_id
    WHERE s.store_id IN (SELECT store_id FROM given) GROUP BY s.store_id
)
INSERT INTO commissions_buyersnapshot
    (order_id, revision, is_new, tier, dormant_days, staff_id, ownership, store_groups)
SELECT order_id, revision, is_new, tier, dormant_days, staff_id, ownership, coalesce(codes, '{}')
FROM given LEFT JOIN stores USING (store_id) RETURNING order_id, id, store_groups
"""


def kept_many(*, orders: Collection[Order]) -> dict[int, Kept]:
    """Order id → the latest revision of its inputs; an order that was never settled is left out."""
    if not orders:
        return {}
    latest = BuyerSnapshot.objects.filter(order__in=orders).order_by("order", "-revision").distinct("order")
    snapshots = {row.order_id: row for row in latest}
    rows = ClaimRow.objects.filter(order__in=snapshots).order_by("pk")
    claims = _by_order(row for row in rows if row.revision == snapshots[row.order_id].revision)
    return {order_id: Kept(claims[order_id], snapshot) for order_id, snapshot in snapshots.items()}


def kept(*, order: Order) -> Kept | None:
    """The latest revision of an order's inputs, or None when it was never settled."""
    return kept_many(orders=[order]).get(order.pk)
