"""The inputs of an evaluation, kept for ever: who claims what part in an order, and what the buyer was.

The rooms above resolve them once; recompute, what-if and rebuild read them here and never resolve again.
"""

from collections.abc import Sequence
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


def keep(
    *,
    order: Order,
    claims: Sequence[Claim],
    buyer: BuyerFacts,
    resolver: int,
    now: datetime,
    revision: int = 1,
    reason: str = "",
) -> Kept:
    """Write the inputs of one order as a new revision; earlier revisions stay. `resolver`: version of the resolver."""
    rows = ClaimRow.objects.bulk_create(
        [
            ClaimRow(
                order=order,
                line_id=claim.line_id,
                revision=revision,
                role=claim.role,
                staff_id=claim.staff_id,
                store_id=claim.store_id,
                payer_id=claim.payer_id,
                position=claim.position,
                evidence=claim.evidence,
                resolver=resolver,
                resolved_at=now,
                reason=reason,
            )
            for claim in claims
        ]
    )
    snapshot = BuyerSnapshot(
        order=order,
        revision=revision,
        is_new=buyer.is_new,
        tier=buyer.tier,
        dormant_days=buyer.dormant_days,
        staff_id=buyer.staff_id,
        ownership=order.store.ownership if order.store else "",
    )
    _write_snapshot(snapshot, order)
    return Kept(rows, snapshot)


def _write_snapshot(snapshot: BuyerSnapshot, order: Order) -> None:
    """Insert it with the groups the store is in at this moment, in one statement."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO commissions_buyersnapshot"
            " (order_id, revision, is_new, tier, dormant_days, staff_id, ownership, store_groups)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, ARRAY(SELECT g.code FROM retail_storegroup_stores s"
            "  JOIN retail_storegroup g ON g.id = s.storegroup_id WHERE s.store_id = %s ORDER BY g.code))"
            " RETURNING id, store_groups",
            [
                snapshot.order_id,
                snapshot.revision,
                snapshot.is_new,
                snapshot.tier,
                snapshot.dormant_days,
                snapshot.staff_id,
                snapshot.ownership,
                order.store_id,
            ],
        )
        snapshot.pk, snapshot.store_groups = cursor.fetchone()


def kept(*, order: Order) -> Kept | None:
    """The latest revision of an order's inputs, or None when it was never settled."""
    snapshot = BuyerSnapshot.objects.filter(order=order).order_by("-revision").first()
    if snapshot is None:
        return None
    return Kept(list(ClaimRow.objects.filter(order=order, revision=snapshot.revision).order_by("pk")), snapshot)
