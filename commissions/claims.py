"""The inputs of an evaluation, kept for ever: who claims what part in an order, and what the buyer was.

The rooms above resolve them once; recompute, what-if and rebuild read them here and never resolve again.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Protocol

import msgspec
from django.db import connection

from retail.models import Order


@dataclass(frozen=True, slots=True)
class Claim:
    """One person (or a store, staff_id None) in one role. `line_id` None = the whole order.

    store_id, position, payer_id: where, as what and for which franchisee (None = the brand's own company) the person
    worked at the moment of payment.
    evidence: why, as plain JSON with ids only ({"binding": 7}, {"code": "share"}). Rules may ask for its `material`:
    the number of what the customer was sent.
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
    claims: Sequence["KeptClaim"]
    buyer: "KeptBuyer"


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
    claims = _write_claims(told, resolver, now)
    return {order_id: Kept(claims[order_id], buyer) for order_id, buyer in _write_snapshots(told).items()}


class KeptClaim(NamedTuple):
    """A ClaimRow as far as pricing reads it: a batch writes thousands, and instances cost more than the insert."""

    pk: int
    line_id: int | None
    role: str
    staff_id: int | None
    store_id: int | None
    payer_id: int | None
    material: str | None = None  # of the link behind the order, known to the claim of who shared it


class KeptBuyer(NamedTuple):
    """A BuyerSnapshot as far as pricing reads it."""

    pk: int
    revision: int
    is_new: bool
    tier: str
    dormant_days: int | None
    staff_id: int | None
    ownership: str
    store_groups: list[str]


def _write_claims(told: Sequence[Told], resolver: int, now: datetime) -> dict[int, list[KeptClaim]]:
    rows: list[dict[str, Any]] = [
        {
            "order_id": one.order.pk,
            "line_id": claim.line_id,
            "revision": one.revision,
            "role": str(claim.role),
            "staff_id": claim.staff_id,
            "store_id": claim.store_id,
            "payer_id": claim.payer_id,
            "position": str(claim.position),
            "evidence": claim.evidence,
            "reason": one.reason,
        }
        for one in told
        for claim in one.claims
    ]
    kept: dict[int, list[KeptClaim]] = defaultdict(list)
    if rows:
        with connection.cursor() as cursor:
            cursor.execute(_INSERT_CLAIMS, [resolver, now, msgspec.json.encode(rows).decode()])
            for row, (pk,) in zip(rows, cursor.fetchall(), strict=True):
                place = (row["line_id"], row["role"], row["staff_id"], row["store_id"], row["payer_id"])
                claim = KeptClaim(pk, *place, material=_material(row["evidence"]))
                kept[row["order_id"]].append(claim)
    return kept


def _material(evidence: dict[str, Any]) -> str | None:
    return str(evidence["material"]) if "material" in evidence else None


_INSERT_CLAIMS = """
INSERT INTO commissions_claimrow (order_id, line_id, revision, role, staff_id, store_id, payer_id, position, evidence,
    resolver, resolved_at, reason)
SELECT order_id, line_id, revision, role, staff_id, store_id, payer_id, position, evidence, %s, %s, reason
FROM ROWS FROM (jsonb_to_recordset(%s) AS (order_id bigint, line_id bigint, revision smallint, role text,
    staff_id bigint, store_id bigint, payer_id bigint, position text, evidence jsonb, reason text)) WITH ORDINALITY
    AS given(order_id, line_id, revision, role, staff_id, store_id, payer_id, position, evidence, reason, place)
ORDER BY place RETURNING id
"""


def _write_snapshots(told: Sequence[Told]) -> dict[int, KeptBuyer]:
    """Insert them with the groups their stores are in at this moment, in one statement."""
    rows = {one.order.pk: _snapshot(one) for one in told}
    with connection.cursor() as cursor:
        cursor.execute(_INSERT_SNAPSHOTS, [msgspec.json.encode(list(rows.values())).decode()])
        return {order_id: KeptBuyer._make(buyer) for order_id, *buyer in cursor.fetchall()}


def _snapshot(told: Told) -> dict[str, Any]:
    order, buyer = told.order, told.buyer
    return {
        "order_id": order.pk,
        "revision": told.revision,
        "is_new": buyer.is_new,
        "tier": buyer.tier,
        "dormant_days": buyer.dormant_days,
        "staff_id": buyer.staff_id,
        "ownership": order.store.ownership if order.store else "",
        "store_id": order.store_id,
    }


_INSERT_SNAPSHOTS = """
WITH given AS (
    SELECT * FROM jsonb_to_recordset(%s) AS g(order_id bigint, revision smallint, is_new bool, tier text,
        dormant_days int, staff_id bigint, ownership text, store_id bigint)
), stores AS (
    SELECT s.store_id, array_agg(g.code ORDER BY g.code) AS codes
    FROM retail_storegroup_stores s JOIN retail_storegroup g ON g.id = s.storegroup_id
    WHERE s.store_id IN (SELECT store_id FROM given) GROUP BY s.store_id
)
INSERT INTO commissions_buyersnapshot
    (order_id, revision, is_new, tier, dormant_days, staff_id, ownership, store_groups)
SELECT order_id, revision, is_new, tier, dormant_days, staff_id, ownership, coalesce(codes, '{}')
FROM given LEFT JOIN stores USING (store_id)
RETURNING order_id, id, revision, is_new, tier, dormant_days, staff_id, ownership, store_groups
"""


class Settled(Protocol):
    """An order whose inputs were kept."""

    @property
    def pk(self) -> int: ...


def kept_many(*, orders: Collection[Settled]) -> dict[int, Kept]:
    """Order id → the latest revision of its inputs; an order that was never settled is left out."""
    if not orders:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_BUYERS, [[order.pk for order in orders]])
        buyers = {order_id: KeptBuyer._make(buyer) for order_id, *buyer in cursor.fetchall()}
        cursor.execute(_CLAIMS, [list(buyers), [buyer.revision for buyer in buyers.values()]])
        claims: dict[int, list[KeptClaim]] = defaultdict(list)
        for order_id, *claim in cursor.fetchall():
            claims[order_id].append(KeptClaim._make(claim))
    return {order_id: Kept(claims[order_id], buyer) for order_id, buyer in buyers.items()}


_BUYERS = """
SELECT DISTINCT ON (order_id) order_id, id, revision, is_new, tier, dormant_days, staff_id, ownership, store_groups
FROM commissions_buyersnapshot WHERE order_id = ANY(%s::bigint[]) ORDER BY order_id, revision DESC
"""
_CLAIMS = """
SELECT c.order_id, c.id, c.line_id, c.role, c.staff_id, c.store_id, c.payer_id,
    CASE WHEN c.role = 'share' THEN c.evidence ->> 'material' END
FROM unnest(%s::bigint[], %s::smallint[]) AS latest(order_id, revision)
JOIN commissions_claimrow c USING (order_id, revision) ORDER BY c.id
"""


def kept(*, order: Order) -> Kept | None:
    """The latest revision of an order's inputs, or None when it was never settled."""
    return kept_many(orders=[order]).get(order.pk)
