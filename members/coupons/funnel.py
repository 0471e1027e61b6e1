"""What became of coupons: issued, used, what those orders brought net of what came back, ended unused."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple

from django.db import connection

from members.returned import RETURNED


class Row(NamedTuple):
    """Of a type, or of what one clerk in one store gave of it. `net_fen`: an order of two coupons counts once."""

    type_id: int
    staff_id: int | None
    store_id: int | None
    issued: int
    redeemed: int
    expired: int
    void: int
    orders: int
    net_fen: int

    @property
    def used_ppm(self) -> int:
        """The share of those issued that were used, to a tenth of a percent."""
        return self.redeemed * 1_000 // self.issued * 1_000 if self.issued else 0


_FUNNEL = f"""
WITH RECURSIVE mine AS MATERIALIZED (
    SELECT type_id, {{who}}, state, order_id FROM members_coupon
    WHERE type_id = ANY(%(types)s::bigint[]) AND issued_at >= %(since)s AND issued_at < %(until)s
        AND (%(stores)s::bigint[] IS NULL OR store_id = ANY(%(stores)s::bigint[]))
), bought AS MATERIALIZED (
    SELECT DISTINCT order_id FROM mine WHERE order_id IS NOT NULL
), {RETURNED}, nets AS (
    SELECT bought.order_id, sum(l.paid_fen - sign(l.paid_fen) * coalesce(r.back, 0)) AS fen
    FROM bought JOIN retail_orderline l USING (order_id) LEFT JOIN returned r ON r.id = l.id GROUP BY 1
), sold AS (
    SELECT type_id, staff_id, store_id, count(*) AS orders, sum(fen) AS fen
    FROM (SELECT DISTINCT type_id, staff_id, store_id, order_id FROM mine WHERE order_id IS NOT NULL) AS once
    JOIN nets USING (order_id) GROUP BY 1, 2, 3
), counts AS (
    SELECT type_id, staff_id, store_id, count(*) AS issued, count(*) FILTER (WHERE state = 'redeemed') AS redeemed,
        count(*) FILTER (WHERE state = 'expired') AS expired, count(*) FILTER (WHERE state = 'void') AS void
    FROM mine GROUP BY 1, 2, 3
)
SELECT c.type_id, c.staff_id, c.store_id, issued, redeemed, expired, void, coalesce(orders, 0),
    coalesce(fen, 0)::bigint
FROM counts c LEFT JOIN sold s ON s.type_id = c.type_id AND s.staff_id IS NOT DISTINCT FROM c.staff_id
    AND s.store_id IS NOT DISTINCT FROM c.store_id
ORDER BY redeemed DESC, issued DESC, c.type_id, c.staff_id, c.store_id
"""
_WHOLE = _FUNNEL.format(who="NULL::bigint AS staff_id, NULL::bigint AS store_id")
_BY_CLERK = _FUNNEL.format(who="issued_by_id AS staff_id, store_id")


def of_types(
    *, type_ids: Collection[int], since: datetime, until: datetime, stores: Sequence[int] | None = None
) -> list[Row]:
    """A row for each type, of the coupons issued in that time; `stores`: only what was given there. One statement."""
    return _rows(_WHOLE, type_ids, since, until, stores)


def of_clerks(
    *, type_ids: Collection[int], since: datetime, until: datetime, stores: Sequence[int] | None = None
) -> list[Row]:
    """A row for each clerk and store (None: nobody gave it) and type. One statement."""
    return _rows(_BY_CLERK, type_ids, since, until, stores)


def _rows(
    statement: str, type_ids: Collection[int], since: datetime, until: datetime, stores: Sequence[int] | None
) -> list[Row]:
    given = None if stores is None else list(stores)
    with connection.cursor() as cursor:
        cursor.execute(statement, {"types": list(type_ids), "since": since, "until": until, "stores": given})
        return [Row(*row) for row in cursor.fetchall()]
