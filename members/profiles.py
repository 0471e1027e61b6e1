"""会员概况: what is known of each membership by now, rolled up from the facts it bought; see `Profile`.

One statement makes any number of rows from the facts, whatever happened to them. So settling, the nightly run, the
command that mends and the doctor who only compares all say the same, and nothing is ever added up by differences.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.utils import timezone

from members.models import Membership

CHUNK = 2_000  # memberships in one statement
WINDOWS = (30, 90, 180, 365)  # days before today, whose orders are counted apart

# What came back of each line `commissions.returns.tally` tells step by step, in the order of the refunds; `folded` has
# the same steps for all lines at once. An order that came back whole was none; a line of a negative quantity is an
# exchange and makes no order by itself.
_FACTS = """
WITH RECURSIVE asked AS MATERIALIZED (
    SELECT id, member_id, brand_id FROM members_membership WHERE id = ANY(%(ids)s::bigint[])
), bought AS MATERIALIZED (
    SELECT p.membership_id, p.order_id, p.paid_at, p.store_id
    FROM asked JOIN members_purchase p ON p.membership_id = asked.id
), refunded AS MATERIALIZED (
    SELECT l.id, l.paid_fen, greatest(abs(l.qty), 1)::bigint AS all_pieces,
        coalesce(nullif(abs(l.paid_fen), 0), nullif(abs(l.qty), 0), 1) AS size,
        r.fen, r.cumulative_fen, r.qty::bigint AS qty,
        row_number() OVER (PARTITION BY l.id ORDER BY r.refunded_at, r.outer_refund_id COLLATE "C") AS turn
    FROM bought JOIN retail_refund r ON r.order_id = bought.order_id
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
), lines AS (
    SELECT bought.*, l.qty, l.tag_fen, l.paid_fen, coalesce(r.back, 0) AS back, coalesce(r.pieces, 0) AS pieces,
        coalesce(nullif(abs(l.paid_fen), 0), nullif(abs(l.qty), 0), 1) AS size
    FROM bought JOIN retail_orderline l ON l.order_id = bought.order_id LEFT JOIN returned r ON r.id = l.id
), orders AS (
    SELECT membership_id, order_id, paid_at, store_id,
        bool_or(qty > 0 AND back < size) AS is_one,
        sum(qty - sign(qty) * CASE WHEN back >= size THEN abs(qty) ELSE least(pieces, abs(qty)) END) AS pieces,
        sum(paid_fen - sign(paid_fen) * back) AS paid_fen,
        sum(sign(paid_fen) * back) AS returned_fen,
        sum(CASE WHEN back = 0 THEN tag_fen ELSE round(tag_fen::numeric * (size - back) / size) END) AS tag_fen
    FROM lines GROUP BY 1, 2, 3, 4
), sums AS (
    SELECT membership_id, count(*) FILTER (WHERE is_one) AS orders,
        sum(pieces) AS pieces, sum(paid_fen) AS paid_fen, sum(tag_fen) AS tag_fen, sum(returned_fen) AS returned_fen,
        count(*) FILTER (WHERE is_one AND paid_at >= %(since_30)s) AS orders_30,
        count(*) FILTER (WHERE is_one AND paid_at >= %(since_90)s) AS orders_90,
        count(*) FILTER (WHERE is_one AND paid_at >= %(since_180)s) AS orders_180,
        count(*) FILTER (WHERE is_one AND paid_at >= %(since_365)s) AS year_orders,
        sum(paid_fen) FILTER (WHERE paid_at >= %(since_365)s) AS year_fen,
        min(paid_at) FILTER (WHERE is_one) AS first_at, max(paid_at) FILTER (WHERE is_one) AS last_at,
        (array_agg(store_id ORDER BY paid_at DESC, order_id DESC) FILTER (WHERE is_one AND store_id IS NOT NULL))[1]
            AS last_store_id
    FROM orders GROUP BY 1
), facts AS (
    SELECT asked.id AS membership_id, coalesce(orders, 0) AS orders, coalesce(pieces, 0) AS pieces,
        coalesce(paid_fen, 0) AS paid_fen, coalesce(tag_fen, 0) AS tag_fen, coalesce(returned_fen, 0) AS returned_fen,
        coalesce(orders_30, 0) AS orders_30, coalesce(orders_90, 0) AS orders_90,
        coalesce(orders_180, 0) AS orders_180, coalesce(year_orders, 0) AS year_orders,
        coalesce(year_fen, 0) AS year_fen, first_at, last_at, last_store_id, ARRAY(
            SELECT DISTINCT t.tag_id::integer FROM members_membertag t
            WHERE t.member_id = asked.member_id AND t.until IS NULL
                AND (t.brand_id IS NULL OR t.brand_id = asked.brand_id) ORDER BY 1
        ) AS tag_ids
    FROM asked LEFT JOIN sums ON sums.membership_id = asked.id
)
"""
_LASTING = "orders, pieces, paid_fen, tag_fen, returned_fen, first_at, last_at, last_store_id, tag_ids"  # no windows
_COLUMNS = f"{_LASTING}, orders_30, orders_90, orders_180, year_orders, year_fen"


def _row(table: str, columns: str = _COLUMNS) -> str:
    return ", ".join(f"{table}.{name}" for name in columns.split(", "))


_REFRESH = f"""
{_FACTS}
INSERT INTO members_profile AS p (membership_id, {_COLUMNS}, refreshed_at)
SELECT membership_id, {_COLUMNS}, %(now)s FROM facts
ON CONFLICT (membership_id) DO UPDATE SET ({_COLUMNS}, refreshed_at) = ROW ({_row("excluded")}, excluded.refreshed_at)
WHERE ({_row("p")}) IS DISTINCT FROM ({_row("excluded")})
"""
_OTHERWISE = f"""
{_FACTS}
SELECT f.membership_id FROM facts f LEFT JOIN members_profile p USING (membership_id)
WHERE CASE WHEN p.membership_id IS NULL THEN f.orders > 0 OR f.tag_ids <> '{{}}'
    ELSE ({_row("f", _LASTING)}) IS DISTINCT FROM ({_row("p", _LASTING)}) END
ORDER BY 1
"""


def refresh(*, membership_ids: Iterable[int], now: datetime) -> int:
    """Make the profiles of these memberships again from the facts; how many were otherwise before.

    In the caller's transaction, with the memberships locked: of two who settle orders of one buyer the later one sees
    what the earlier one wrote.
    """
    changed = 0
    for ids in chunks(membership_ids):
        with transaction.atomic(), connection.cursor() as cursor:
            lock(ids)
            cursor.execute(_REFRESH, {"ids": ids, "now": now, **_since(now)})
            changed += cursor.rowcount
    return changed


def refresh_all(*, now: datetime) -> int:
    """The same for everybody, each chunk in a transaction of its own: what moves with time, and what was missed."""
    ids = Membership._base_manager.order_by("pk").values_list("pk", flat=True)
    return refresh(membership_ids=ids.iterator(chunk_size=CHUNK), now=now)


def otherwise(*, membership_ids: Iterable[int], now: datetime) -> Iterator[int]:
    """Those whose profile is not what the facts say; what moves with time is left to the night."""
    for ids in chunks(membership_ids):
        with connection.cursor() as cursor:
            cursor.execute(_OTHERWISE, {"ids": ids, "now": now, **_since(now)})
            yield from (pk for (pk,) in cursor.fetchall())


def lock(membership_ids: Sequence[int]) -> None:
    """Nobody else rolls these memberships up before our commit."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT FROM members_membership WHERE id = ANY(%s::bigint[]) ORDER BY id FOR NO KEY UPDATE",
            [list(membership_ids)],
        )


def chunks(membership_ids: Iterable[int]) -> Iterator[list[int]]:
    """So many at a time as one statement makes."""
    chunk: list[int] = []
    for pk in membership_ids:
        chunk.append(pk)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _since(now: datetime) -> dict[str, datetime]:
    """When each window begins: at midnight, so that all of a day counts alike and a day changes nothing twice."""
    midnight = timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)
    return {f"since_{days}": midnight - timedelta(days=days) for days in WINDOWS}
