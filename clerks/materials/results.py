"""素材效果: what came of the links of each day, rolled up from the rows, and read by material, clerk, store or scene.

    links made and sent ─┐                                          ┌─ every five minutes: today, yesterday and the
    openings ────────────┼─▶ `roll_up` a day ──▶ ShareDay ──▶ `read`│  days on which something has changed since
    ShareSale ───────────┘                                          └─ at night: all days that may still change

A day rolled up again is the same again, whatever came in between and in whichever order. What a link sold counts on
the day it was paid, less what came back of it by now.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.models import Max, QuerySet

from clerks.materials.models import ShareDay, ShareSale
from commissions import returns
from commissions.models.ledger import SHANGHAI, midnight
from members import spending
from retail.models import Brand, Channel, Order

OLDEST = timedelta(days=360)  # older openings are dropped by the month: what was rolled up of them stays


# ── Rolled up ────────────────────────────────────────────────────────────────────────────────────────────────────────
def roll_up(*, days: Iterable[date], now: datetime) -> int:
    """Count these days anew; how many rows changed. A day is a transaction of its own; days long past stay."""
    first = now.astimezone(SHANGHAI).date() - OLDEST
    return sum(_roll_up(day) for day in sorted(set(days)) if day >= first)


@transaction.atomic
def _roll_up(day: date) -> int:
    back = _left_of_strangers(day)
    asked: dict[str, Any] = {
        "day": day,
        "since": midnight(day),
        "until": midnight(day + timedelta(days=1)),
        "orders": list(back),
        "left": list(back.values()),
    }
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('share days'), %s)", [day.toordinal()])
        cursor.execute(_ROLL_UP, asked)
        return int(cursor.fetchone()[0])


def _left_of_strangers(day: date) -> dict[int, int]:
    """Order id → what is left of those paid on that day that are nobody's purchase and were refunded in part.

    Of a purchase it is known (`members.spending`).
    """
    sold = ShareSale._base_manager.filter(paid_at__gte=midnight(day), paid_at__lt=midnight(day + timedelta(days=1)))
    rows = Order._base_manager.filter(share_sale__in=sold, purchase=None, refunds__settled_at__isnull=False).distinct()
    left = {}
    for order in rows.prefetch_related("refunds"):
        back = returns.tally(lines=order.all_lines, refunds=order.all_refunds).back
        left[order.pk] = sum(spending.left(paid_fen=one.paid_fen, came=back.get(one.pk)) for one in order.all_lines)
    return left


_FIGURES = ("shares", "sent", "openings", "viewers", "known", "seconds", "buyers", "orders", "sales_fen")
_SUMS = ", ".join(f"sum({name})::bigint AS {name}" for name in _FIGURES)
_SET = ", ".join(f"{name} = excluded.{name}" for name in _FIGURES)
_KEY = "brand_id, material_id, staff_id, store_id"
# Somebody is known by the member, else by the browser; without either each opening is somebody's.
_ROLL_UP = f"""
WITH found AS (
    SELECT {_KEY}, count(*) AS shares, 0 AS sent, 0 AS openings, 0 AS viewers, 0 AS known, 0 AS seconds, 0 AS buyers,
        0 AS orders, 0 AS sales_fen
    FROM materials_share WHERE made_at >= %(since)s AND made_at < %(until)s GROUP BY {_KEY}
    UNION ALL
    SELECT {_KEY}, 0, count(*), 0, 0, 0, 0, 0, 0, 0
    FROM materials_share WHERE sent_at >= %(since)s AND sent_at < %(until)s GROUP BY {_KEY}
    UNION ALL
    SELECT {_KEY}, 0, 0, count(*), count(DISTINCT o.member_id) + count(DISTINCT o.visitor)
            FILTER (WHERE o.member_id IS NULL) + count(*) FILTER (WHERE o.member_id IS NULL AND o.visitor IS NULL),
        count(DISTINCT o.member_id), sum(o.seconds), 0, 0, 0
    FROM materials_opening o JOIN materials_share s ON s.id = o.share_id
    WHERE o.at >= %(since)s AND o.at < %(until)s GROUP BY {_KEY}
    UNION ALL
    SELECT s.brand_id, s.material_id, s.staff_id, s.store_id, 0, 0, 0, 0, 0, 0,
        count(DISTINCT m.member_id) + count(*) FILTER (WHERE m.member_id IS NULL), count(*),
        sum(coalesce(b.fen, p.net_fen, r.paid_fen))
    FROM materials_sharesale x JOIN materials_share s ON s.id = x.share_id JOIN retail_order r ON r.id = x.order_id
    LEFT JOIN members_purchase p ON p.order_id = x.order_id
    LEFT JOIN members_membership m ON m.id = p.membership_id
    LEFT JOIN unnest(%(orders)s::bigint[], %(left)s::bigint[]) AS b(order_id, fen) ON b.order_id = x.order_id
    WHERE x.paid_at >= %(since)s AND x.paid_at < %(until)s GROUP BY 1, 2, 3, 4
), fresh AS (
    SELECT {_KEY}, {_SUMS} FROM found GROUP BY {_KEY}
), gone AS (
    DELETE FROM materials_shareday d WHERE d.day = %(day)s AND NOT EXISTS (
        SELECT FROM fresh f WHERE (f.material_id, f.staff_id, f.store_id) = (d.material_id, d.staff_id, d.store_id))
    RETURNING 1
), put AS (
    INSERT INTO materials_shareday AS d (day, {_KEY}, {", ".join(_FIGURES)})
    SELECT %(day)s, {_KEY}, {", ".join(_FIGURES)} FROM fresh
    ON CONFLICT (day, material_id, staff_id, store_id) DO UPDATE SET {_SET}
    WHERE ({", ".join(f"d.{name}" for name in _FIGURES)})
        IS DISTINCT FROM ({", ".join(f"excluded.{name}" for name in _FIGURES)})
    RETURNING 1
)
SELECT (SELECT count(*) FROM gone) + (SELECT count(*) FROM put)
"""


def changed_since(moment: datetime | None, *, now: datetime) -> set[date]:
    """Days whose figures may be others than when they were rolled up at that moment; None: all days there are.

    Today and yesterday; days of openings whose visitor became known since; days of orders settled or refunded since.
    """
    today = now.astimezone(SHANGHAI).date()
    oldest = midnight(today - OLDEST)
    with connection.cursor() as cursor:
        cursor.execute(_CHANGED if moment else _ALL, {"since": moment, "oldest": oldest})
        return {today, today - timedelta(days=1)} | {day for (day,) in cursor.fetchall()}


_DAY = "({at} AT TIME ZONE 'Asia/Shanghai')::date"
_CHANGED = f"""
SELECT {_DAY.format(at="o.at")} FROM materials_visitor v JOIN materials_opening o ON o.member_id = v.member_id
    AND o.visitor = v.key AND o.at >= %(oldest)s
WHERE v.known_at >= %(since)s
UNION
SELECT {_DAY.format(at="x.paid_at")} FROM materials_sharesale x JOIN retail_order r ON r.id = x.order_id
WHERE x.paid_at >= %(oldest)s AND (r.settled_at >= %(since)s
    OR EXISTS (SELECT FROM retail_refund f WHERE f.order_id = x.order_id AND f.settled_at >= %(since)s))
"""
_ALL = f"""
SELECT {_DAY.format(at="made_at")} FROM materials_share WHERE made_at >= %(oldest)s
UNION SELECT {_DAY.format(at="sent_at")} FROM materials_share WHERE sent_at >= %(oldest)s
UNION SELECT {_DAY.format(at="at")} FROM materials_opening WHERE at >= %(oldest)s
UNION SELECT {_DAY.format(at="paid_at")} FROM materials_sharesale WHERE paid_at >= %(oldest)s
"""


def still_moving(*, now: datetime) -> list[date]:
    """Days of which something may still change in the usual course: a window to buy in, and one to give back in."""
    window = Brand._base_manager.aggregate(days=Max("share_window_days"))["days"] or 0
    window += Channel._base_manager.aggregate(days=Max("return_days"))["days"] or 0
    today = now.astimezone(SHANGHAI).date()
    return [today - timedelta(days=back) for back in range(window + 1)]


# ── Read ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
@dataclass(slots=True)
class Result:
    """Figures of some days and links; `viewers`, `known` and `buyers` are people a day, so added up not all others."""

    shares: int = 0
    sent: int = 0
    openings: int = 0
    viewers: int = 0
    known: int = 0
    seconds: int = 0
    buyers: int = 0
    orders: int = 0
    sales_fen: int = 0

    def __add__(self, other: "Result") -> "Result":
        return Result(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(Result)))

    @property
    def opened_ppm(self) -> int | None:
        """People who opened, of links shared; of links in a group there may be more than one each."""
        return self.viewers * 1_000_000 // self.shares if self.shares else None

    @property
    def fen_per_share(self) -> int | None:
        return self.sales_fen // self.shares if self.shares else None


LEVELS = {"material": "d.material_id", "clerk": "d.staff_id", "store": "d.store_id", "scene": "m.scene"}


class Read(NamedTuple):
    whole: Result
    by_key: dict[Any, Result]
    days: dict[date, Result]


def read(*, rows: QuerySet[ShareDay], level: str, first: date, last: date) -> Read:
    """Rolled-up rows of these days added up: in all, by material, clerk, store or scene, and by day. One statement."""
    asked = rows.filter(day__gte=first, day__lte=last).order_by()
    sql, given = asked.values("day", "material_id", "staff_id", "store_id", *_FIGURES).query.sql_with_params()
    join = "JOIN materials_material m ON m.id = d.material_id" if level == "scene" else ""
    days = {first + timedelta(days=step): Result() for step in range((last - first).days + 1)}
    by_key: dict[Any, Result] = {}
    with connection.cursor() as cursor:
        cursor.execute(_READ.format(rows=sql, key=LEVELS[level], join=join), given)
        for is_key, key, day, *figures in cursor.fetchall():
            if is_key:
                by_key[key] = Result(*figures)
            else:
                days[day] = Result(*figures)
    return Read(sum(by_key.values(), Result()), by_key, days)


_READ = f"""
WITH d AS ({{rows}})
SELECT grouping(d.day), {{key}} AS key, d.day, {_SUMS} FROM d {{join}} GROUP BY GROUPING SETS (({{key}}), (d.day))
"""
