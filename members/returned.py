"""What came back of orders, for many at once: SQL that takes the steps of `commissions.returns.tally`.

`RETURNED` are parts of a WITH RECURSIVE that another statement begins with `bought (order_id, …)`; their last one is
`returned (id, back, pieces)`: how much of a line came back, as a magnitude, and how many pieces. `returned_by` makes
them of such refunds alone as stand in a table that the other statement names.
"""

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from django.db import connection

# Refunds are added up in the order of their own times; a cumulative one covers all that came before it.
_RETURNED = """
refunded AS MATERIALIZED (
    SELECT l.id, l.paid_fen, greatest(abs(l.qty), 1)::bigint AS all_pieces,
        coalesce(nullif(abs(l.paid_fen), 0), nullif(abs(l.qty), 0), 1) AS size,
        r.fen, r.cumulative_fen, r.qty::bigint AS qty,
        row_number() OVER (PARTITION BY l.id ORDER BY r.refunded_at, r.outer_refund_id COLLATE "C") AS turn
    FROM bought JOIN {refunds} r ON r.order_id = bought.order_id
    JOIN retail_orderline l ON l.order_id = r.order_id AND l.outer_line_id = r.outer_line_id
), folded AS (
    SELECT id, 0::bigint AS turn, 0::bigint AS back, 0::bigint AS pieces FROM refunded WHERE turn = 1
    UNION ALL
    SELECT f.id, r.turn,
        greatest(f.back, least(r.size, CASE
            WHEN r.paid_fen = 0 THEN coalesce(f.back + r.qty, r.size)
            WHEN r.fen IS NOT NULL THEN f.back + r.fen
            WHEN r.cumulative_fen IS NOT NULL THEN r.cumulative_fen
            ELSE f.back + (2 * r.size * (f.pieces + r.qty) + r.all_pieces) / (2 * r.all_pieces)
                - (2 * r.size * f.pieces + r.all_pieces) / (2 * r.all_pieces)
        END)),
        least(f.pieces + coalesce(r.qty, 0), r.all_pieces)
    FROM folded f JOIN refunded r ON r.id = f.id AND r.turn = f.turn + 1
), returned AS (
    SELECT DISTINCT ON (id) id, back, pieces FROM folded ORDER BY id, turn DESC
)"""


def returned_by(refunds: str) -> str:
    return _RETURNED.format(refunds=refunds)


RETURNED = returned_by("retail_refund")


class Net(NamedTuple):
    """What is left of an order, in fen, and since when all that was paid for is back; None: something was kept."""

    paid_fen: int
    all_back_at: datetime | None


_NETS = f"""
WITH RECURSIVE bought AS MATERIALIZED (SELECT unnest(%s::bigint[]) AS order_id), {RETURNED}
SELECT l.order_id, sum(l.paid_fen - sign(l.paid_fen) * coalesce(r.back, 0))::bigint,
    CASE WHEN bool_and(coalesce(r.back, 0) = abs(l.paid_fen)) THEN (
        SELECT max(refunded_at) FROM retail_refund f WHERE f.order_id = l.order_id
    ) END
FROM bought JOIN retail_orderline l USING (order_id) LEFT JOIN returned r ON r.id = l.id
WHERE l.paid_fen <> 0 GROUP BY 1
"""


def nets(order_ids: Collection[int]) -> dict[int, Net]:
    """By order; one of which nothing was paid for is left out. One statement."""
    with connection.cursor() as cursor:
        cursor.execute(_NETS, [list(order_ids)])
        return {order_id: Net(fen, at) for order_id, fen, at in cursor.fetchall()}
