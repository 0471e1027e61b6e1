"""What purchases tell of a member: ten plain aggregates, and what a model makes of them.

They come from one of two places and are the same in both: for tonight from what is rolled up already
(`members.profiles`), for any past day from the orders paid before it, less what had come back by then, in one
statement. Nothing that happened on that day or later is looked at.

An order is an order: two of one day count as two. Counting days instead moved the AUC by less than .002 on two real
logs, now this way, now that, and would have to be kept beside all the other counts of orders.
"""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any, NamedTuple

from django.db import connection
from django.utils import timezone

from members import profiles

# Feature → what it is of a row of `known`. `ln(1 + x)`: the tenth order tells less than the second.
PURCHASES = {
    "orders": "ln(1 + orders)",
    "recency": "ln(1 + recency)",
    "tenure": "ln(1 + tenure)",
    "spend": "ln(1 + spend)",
    "mean_spend": "ln(1 + spend / greatest(orders, 1))",
    "orders_30": "ln(1 + orders_30)",
    "orders_90": "ln(1 + orders_90)",
    "orders_180": "ln(1 + orders_180)",
    "gap": "ln(1 + gap)",
    "overdue": "CASE WHEN orders > 1 THEN ln(1 + recency / greatest(gap, 1)) ELSE 0 END",
    "single": "(orders <= 1)::int",
}
# Only of brands whose channels tell what members look at.
LOOKS = {name: f"ln(1 + {name})" for name in ("views_7", "views_30", "carts_7", "carts_30")}
# Three places among the brand's members, 0 to 1 each: how lately, how often, how much. Where little is known.
RFM = """(
    cume_dist() OVER (ORDER BY recency DESC) + cume_dist() OVER (ORDER BY orders) + cume_dist() OVER (ORDER BY spend)
) / 3"""
EVERY = {**PURCHASES, **LOOKS, "rfm": RFM}

SILENT_DAYS = 60
_DAY = timedelta(days=1)


ALL = "SELECT * FROM described"


class Sql(NamedTuple):
    """A query over `described`, which has a row of each member and a column x_… of each feature; its parameters."""

    text: str
    params: dict[str, Any]


def midnight(day: date) -> datetime:
    """When a day begins in the shops."""
    return timezone.make_aware(datetime.combine(day, time.min))


# ── From what is rolled up ───────────────────────────────────────────────────────────────────────────────────────────
_ROLLED = """
known AS (
    SELECT p.membership_id AS who, m.member_id, p.orders, p.first_at, p.last_at, p.paid_fen,
        p.orders_30, p.orders_90, p.orders_180
    FROM members_profile p JOIN members_membership m ON m.id = p.membership_id
    WHERE m.brand_id = %(brand)s AND p.orders > 0
)"""


def rolled(*, brand_id: int, day: date, features: Iterable[str], select: str = ALL) -> Sql:
    """Of everybody who bought, by the profiles as they are: right on the day they were last refreshed."""
    return _described(_ROLLED, features, {"brand": brand_id, **_windows(day)}, select)


# ── From the facts ───────────────────────────────────────────────────────────────────────────────────────────────────
# An order of which money is left is one, and `net_fen` is what was left of it that day, unless something came back
# later. The lines are read of all others: gifts, exchanges, what came back whole, and what came back later. An order
# that nobody settled yet has no membership: its buyer is known by a key, whose number stands there, negative.
# Brands are told apart by the sums, of which there are fewer than purchases.
_FACTS = f"""
back_later AS MATERIALIZED (
    SELECT order_id FROM retail_refund WHERE refunded_at >= %(at)s AND order_id IS NOT NULL
), back_by_then AS (
    SELECT * FROM retail_refund WHERE refunded_at < %(at)s
), waiting AS (
    SELECT coalesce(m.id, -k.id) AS membership_id, o.id AS order_id, o.paid_at, o.store_id
    FROM retail_order o CROSS JOIN LATERAL (
        SELECT id FROM retail_buyerkey WHERE id = ANY(o.buyer_keys)
        ORDER BY array_position(ARRAY['channel_id', 'card'], type::text), id LIMIT 1
    ) k
    LEFT JOIN members_identity i ON i.key_id = k.id
    LEFT JOIN members_membership m ON m.member_id = i.member_id AND m.brand_id = o.brand_id
    WHERE o.settled_version <> o.version AND o.settled_version = 0 AND o.brand_id = %(brand)s
        AND NOT EXISTS (SELECT FROM members_purchase p WHERE p.order_id = o.id)
), bought AS MATERIALIZED (
    SELECT membership_id, order_id, paid_at, store_id FROM members_purchase
    WHERE (net_fen <= 0 OR order_id IN (SELECT order_id FROM back_later)) AND paid_at < %(at)s
    UNION ALL SELECT * FROM waiting WHERE paid_at < %(at)s
), {profiles.orders_by("back_by_then")}, odd AS (
    SELECT membership_id AS who, count(*) FILTER (WHERE is_one) AS orders, sum(paid_fen)::bigint AS fen,
        min(paid_at) AS first_at, max(paid_at) AS last_at,
        min(paid_at) FILTER (WHERE is_one) AS first_kept, max(paid_at) FILTER (WHERE is_one) AS last_kept,
        count(*) FILTER (WHERE is_one AND paid_at >= %(since_30)s) AS orders_30,
        count(*) FILTER (WHERE is_one AND paid_at >= %(since_90)s) AS orders_90,
        count(*) FILTER (WHERE is_one AND paid_at >= %(since_180)s) AS orders_180
    FROM orders GROUP BY 1
), usual AS (
    SELECT membership_id AS who, count(*) AS orders, sum(net_fen) AS fen, min(paid_at) AS first_at,
        max(paid_at) AS last_at, count(*) FILTER (WHERE paid_at >= %(since_30)s) AS orders_30,
        count(*) FILTER (WHERE paid_at >= %(since_90)s) AS orders_90,
        count(*) FILTER (WHERE paid_at >= %(since_180)s) AS orders_180
    FROM members_purchase
    WHERE net_fen > 0 AND paid_at < %(at)s AND order_id NOT IN (SELECT order_id FROM back_later)
    GROUP BY 1
), known AS (
    SELECT who, coalesce(u.orders, 0) + coalesce(o.orders, 0) AS orders,
        coalesce(least(u.first_at, o.first_kept), o.first_at) AS first_at,
        coalesce(greatest(u.last_at, o.last_kept), o.last_at) AS last_at,
        (coalesce(u.fen, 0) + coalesce(o.fen, 0))::float8 AS paid_fen,
        coalesce(u.orders_30, 0) + coalesce(o.orders_30, 0) AS orders_30,
        coalesce(u.orders_90, 0) + coalesce(o.orders_90, 0) AS orders_90,
        coalesce(u.orders_180, 0) + coalesce(o.orders_180, 0) AS orders_180
    FROM usual u FULL JOIN odd o USING (who)
    WHERE who < 0 OR who IN (SELECT id FROM members_membership WHERE brand_id = %(brand)s)
)"""


def as_of(*, brand_id: int, day: date, features: Iterable[str], select: str = ALL) -> Sql:
    """Of everybody who bought before this day, as they then were; also of those who gave everything back."""
    return _described(_FACTS, features, {"brand": brand_id, **_windows(day)}, select)


_LABELLED = """
SELECT d.*, (EXISTS (
    SELECT FROM members_purchase p WHERE p.membership_id = d.who AND p.paid_at >= %(at)s AND p.paid_at < %(until)s
) OR EXISTS (
    SELECT FROM waiting w WHERE w.membership_id = d.who AND w.paid_at >= %(at)s AND w.paid_at < %(until)s
))::int AS bought
FROM (SELECT * FROM described ORDER BY hashint8extended(who, 0), who LIMIT %(most)s) d
"""


def labelled(*, brand_id: int, day: date, horizon_days: int, features: Sequence[str], most: int) -> Sql:
    """The same with a last column: whether they bought in the days that followed. Of very many, by chance so many."""
    base = _described(_FACTS, features, {"brand": brand_id, **_windows(day)}, _LABELLED)
    until = midnight(day + timedelta(days=horizon_days))
    return Sql(base.text, {**base.params, "until": until, "most": most})


# ── Both ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
_FIGURES = """
SELECT *, greatest(date_part('epoch', %(at)s - last_at) / 86400, 0) AS recency,
    greatest(date_part('epoch', %(at)s - first_at) / 86400, 0) AS tenure, greatest(paid_fen, 0)::float8 AS spend,
    CASE WHEN orders > 1 THEN date_part('epoch', last_at - first_at) / 86400 / (orders - 1) ELSE 0 END AS gap
FROM known
"""
_LOOKED = """
SELECT f.*, coalesce(views_7, 0) AS views_7, coalesce(views_30, 0) AS views_30, coalesce(carts_7, 0) AS carts_7,
    coalesce(carts_30, 0) AS carts_30
FROM ({figures}) f LEFT JOIN (
    SELECT m.id AS member_of, count(*) FILTER (WHERE e.kind = 'view' AND e.at >= %(since_7)s) AS views_7,
        count(*) FILTER (WHERE e.kind = 'view') AS views_30,
        count(*) FILTER (WHERE e.kind IN ('cart', 'favourite') AND e.at >= %(since_7)s) AS carts_7,
        count(*) FILTER (WHERE e.kind IN ('cart', 'favourite')) AS carts_30
    FROM members_event e JOIN members_membership m ON m.member_id = e.member_id AND m.brand_id = e.brand_id
    WHERE e.brand_id = %(brand)s AND e.at >= %(since_30)s AND e.at < %(at)s
        AND e.kind IN ('view', 'cart', 'favourite')
    GROUP BY 1
) looked ON looked.member_of = f.who
"""


def _described(known: str, features: Iterable[str], params: dict[str, Any], select: str) -> Sql:
    wanted = list(features)
    figures = _LOOKED.format(figures=_FIGURES) if LOOKS.keys() & set(wanted) else _FIGURES
    columns = "".join(f", {EVERY[name]} AS x_{name}" for name in wanted)
    # OFFSET 0: figures are worked out once, however many features are made of them.
    described = f"described AS (SELECT figures.*{columns} FROM ({figures} OFFSET 0) figures)"
    return Sql(f"WITH RECURSIVE {known}, {described} {select}", params)


def _windows(day: date) -> dict[str, datetime]:
    at = midnight(day)
    return {"at": at, **{f"since_{days}": at - days * _DAY for days in (7, 30, 90, 180)}}


# ── What there is to learn from ──────────────────────────────────────────────────────────────────────────────────────
def first_purchase(*, brand_id: int, before: date) -> date | None:
    """The day of the brand's first order of somebody known."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT min(paid_at) FROM retail_order WHERE brand_id = %s AND paid_at < %s AND buyer_keys <> '{}'",
            [brand_id, midnight(before)],
        )
        (found,) = cursor.fetchone()
    return timezone.localtime(found).date() if found else None


def has_looks(*, brand_id: int, day: date) -> bool:
    """Whether what members look at was told in the month before this day, so that having no views means something."""
    at = midnight(day)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM members_event WHERE brand_id = %s AND at >= %s AND at < %s"
            " AND kind IN ('view', 'cart', 'favourite') AND member_id IS NOT NULL)",
            [brand_id, at - 30 * _DAY, at - 7 * _DAY],
        )
        return bool(cursor.fetchone()[0])
