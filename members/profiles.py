"""会员概况: what is known of each membership by now, rolled up from the facts it bought; see `Profile`.

One statement makes any number of rows from the facts, whatever happened to them. So settling, the nightly run, the
command that mends and the doctor who only compares all say the same, and nothing is ever added up by differences.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.utils import timezone

from members.models import Membership
from members.returned import RETURNED, returned_by

CHUNK = 2_000  # memberships in one statement
YEAR = 365
WINDOWS = (30, 90, 180, YEAR)  # days before today, whose orders are counted apart

# A tag that is switched off is in force for nobody.
_TAG_IDS = """ARRAY(
    SELECT DISTINCT held.tag_id::integer FROM members_membertag held JOIN members_tag tag ON tag.id = held.tag_id
    WHERE held.member_id = {membership}.member_id AND held.until IS NULL AND tag.is_active
        AND (held.brand_id IS NULL OR held.brand_id = {membership}.brand_id) ORDER BY 1
)"""
# `bought`: a table of the orders asked for (membership_id, order_id, paid_at, store_id).
_LINES = """, lines AS (
    SELECT bought.*, l.product_id, l.category_label, l.qty, l.tag_fen, l.paid_fen, coalesce(r.back, 0) AS back,
        coalesce(r.pieces, 0) AS pieces, coalesce(nullif(abs(l.paid_fen), 0), nullif(abs(l.qty), 0), 1) AS size
    FROM bought JOIN retail_orderline l ON l.order_id = bought.order_id LEFT JOIN returned r ON r.id = l.id
)
"""
LINES = f"\n{RETURNED}{_LINES}"
# What each bought order is by now: one that came back whole was none; a line of a negative quantity is an exchange and
# makes no order by itself.
_ORDERS = """, orders AS (
    SELECT membership_id, order_id, paid_at, store_id,
        bool_or(qty > 0 AND back < size) AS is_one,
        sum(qty - sign(qty) * CASE WHEN back >= size THEN abs(qty) ELSE least(pieces, abs(qty)) END) AS pieces,
        sum(paid_fen - sign(paid_fen) * back) AS paid_fen,
        sum(sign(paid_fen) * back) AS returned_fen,
        sum(CASE WHEN back = 0 THEN tag_fen ELSE round(tag_fen::numeric * (size - back) / size) END) AS tag_fen
    FROM lines GROUP BY 1, 2, 3, 4
)"""
ORDERS = f"{LINES}{_ORDERS}"


def orders_by(refunds: str) -> str:
    """`ORDERS` as the refunds in this table leave them, which the statement names before."""
    return f"{returned_by(refunds)}{_LINES}{_ORDERS}"


# `asked`: the memberships, each with the company that looks (membership_id, franchisee_id). Who bought in stores of
# another company, too, is in `joint`, and in `parts` with what the company that looks may know of it. Of all others
# that is what their profile says.
OF_COMPANY = f"""
joint AS MATERIALIZED (
    SELECT DISTINCT a.membership_id, a.franchisee_id
    FROM asked a JOIN members_purchase p ON p.membership_id = a.membership_id JOIN retail_store s ON s.id = p.store_id
    WHERE s.franchisee_id IS DISTINCT FROM a.franchisee_id
), bought AS MATERIALIZED (
    SELECT p.membership_id, p.order_id, p.paid_at, p.store_id
    FROM joint j JOIN members_purchase p ON p.membership_id = j.membership_id
    LEFT JOIN retail_store s ON s.id = p.store_id
    WHERE p.store_id IS NULL OR s.franchisee_id IS NOT DISTINCT FROM j.franchisee_id
), {ORDERS}, parts AS (
    SELECT j.membership_id, count(o.order_id) FILTER (WHERE is_one) AS orders, coalesce(sum(paid_fen), 0) AS paid_fen,
        max(paid_at) FILTER (WHERE is_one) AS last_at
    FROM joint j LEFT JOIN orders o USING (membership_id) GROUP BY 1
)"""
_FACTS = f"""
WITH RECURSIVE asked AS MATERIALIZED (
    SELECT m.id, m.member_id, m.brand_id, m.first_purchase_at, m.last_purchase_at, who.merged_into_id
    FROM members_membership m JOIN members_member who ON who.id = m.member_id WHERE m.id = ANY(%(ids)s::bigint[])
), bought AS MATERIALIZED (
    SELECT p.membership_id, p.order_id, p.paid_at, p.store_id
    FROM asked JOIN members_purchase p ON p.membership_id = asked.id
), {ORDERS}, sums AS (
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
        coalesce(year_fen, 0) AS year_fen, first_at, last_at, last_store_id,
        CASE WHEN merged_into_id IS NULL THEN brand_id END AS brand_id, first_purchase_at, last_purchase_at,
        {_TAG_IDS.format(membership="asked")} AS tag_ids
    FROM asked LEFT JOIN sums ON sums.membership_id = asked.id
)
"""
_LASTING = (  # no windows
    "orders, pieces, paid_fen, tag_fen, returned_fen, first_at, last_at, last_store_id,"
    " brand_id, first_purchase_at, last_purchase_at, tag_ids"
)
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


_RETAG = f"""
UPDATE members_profile p SET tag_ids = f.tag_ids, refreshed_at = %(now)s
FROM (
    SELECT m.id, {_TAG_IDS.format(membership="m")} AS tag_ids
    FROM members_membership m WHERE m.id = ANY(%(ids)s::bigint[])
) f WHERE f.id = p.membership_id AND p.tag_ids <> f.tag_ids
"""

# Rooms above that mirror members add a function.
FOLLOWERS: list[Callable[..., object]] = []


def follow(*, membership_ids: Collection[int], now: datetime) -> None:
    """Something of theirs is otherwise that no order brought: a tag, a tier, a name. In the caller's transaction."""
    for one in FOLLOWERS:
        one(membership_ids=membership_ids, now=now)


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


def retag(*, member_ids: Iterable[int], now: datetime) -> None:
    """Bring the tags in force of these members' profiles up to date; nothing else of them has changed."""
    for ids in chunks(member_ids):
        mine = Membership._base_manager.filter(member__in=ids)
        memberships = list(mine.order_by("pk").values_list("pk", flat=True))
        bare = list(mine.filter(profile=None).values_list("pk", flat=True))
        with transaction.atomic(), connection.cursor() as cursor:
            lock(memberships)
            cursor.execute(_RETAG, {"ids": memberships, "now": now})
            refresh(membership_ids=bare, now=now)
            follow(membership_ids=memberships, now=now)


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


def mark_behind(membership_ids: Collection[int]) -> None:
    """These are to be rolled up later: see `Behind`."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO members_behind SELECT * FROM unnest(%s::bigint[]) ON CONFLICT DO NOTHING",
            [sorted(membership_ids)],
        )


def behind() -> Iterator[list[int]]:
    """Those that are, chunk by chunk, each locked until the caller's transaction ends and then no longer behind.

    Who else looks meanwhile passes them over; to be asked for one chunk in one transaction.
    """
    while True:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(_CATCH_UP, [CHUNK])
            ids = sorted(pk for (pk,) in cursor.fetchall())
            if not ids:
                return
            yield ids


_CATCH_UP = """
DELETE FROM members_behind WHERE membership_id IN
    (SELECT membership_id FROM members_behind ORDER BY 1 LIMIT %s FOR UPDATE SKIP LOCKED) RETURNING membership_id
"""


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
