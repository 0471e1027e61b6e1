"""The first page of the admin: what was sold and what it earned, today and over 30 days, inside the reader's scope."""

from dataclasses import dataclass, field, fields
from datetime import date, datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Sum
from django.db.models.functions import TruncDate
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _

from commissions.models import Entry
from commissions.models.ledger import SHANGHAI, midnight
from retail import org, scope
from retail.desk import unattributed
from retail.jobs import Job
from retail.models import Channel, Order
from retail.templatetags.figures import percent

DAYS = 30


@dataclass(slots=True)
class Sales:
    """Sums over some orders: sold net of what came back, of that settled, how many, and the commission of people.

    `commission_fen` is all the people of the scope got; `own_fen` what of it came from these very orders: a clerk also
    earns from orders of no store, whose sales a store does not see.
    """

    net_fen: int = 0
    settled_fen: int = 0
    orders: int = 0
    settled_orders: int = 0
    commission_fen: int = 0
    own_fen: int = 0

    def __add__(self, other: "Sales") -> "Sales":
        return Sales(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(Sales)))

    @property
    def share(self) -> str:
        """Commission as a part of the sales it was reckoned on, to a hundredth of a percent."""
        if self.settled_fen <= 0:
            return "–"
        return percent(self.own_fen * 10_000 // self.settled_fen * 100)

    @property
    def is_waiting(self) -> bool:
        """Nothing is known of the commission yet: there are orders, but none is settled."""
        return bool(self.orders) and not self.settled_orders and not self.commission_fen


@dataclass(slots=True)
class Row:
    channel: Channel
    today: Sales = field(default_factory=Sales)
    month: Sales = field(default_factory=Sales)


def fill(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """The callback of the theme: adds the figures of this request's scope to the page."""
    if not request.user.has_perm("retail.view_order"):
        return context
    now = timezone.now()
    today = now.astimezone(SHANGHAI).date()
    daily = _daily(today)
    rows = _by_channel(daily, today)
    unclaimed = unattributed.share(first=unattributed.since(days=DAYS, today=today))
    post = getattr(request, "post", None)
    return {
        **context,
        "title": _("总览"),
        "where": str(post) if post else _("全部门店"),
        "is_of_stores": post is not None and post.role not in org.HEADQUARTERS,
        "days": DAYS,
        "rows": rows,
        "today": sum((row.today for row in rows), Sales()),
        "month": sum((row.month for row in rows), Sales()),
        "unclaimed_fen": unclaimed.loose_fen,
        "unclaimed_share": unclaimed.of_fen,
        "dead_jobs": Job.objects.dead().count() if request.user.has_perm("retail.view_job") else None,
        "today_query": _query(today, today),
        "month_query": _query(today - timedelta(days=DAYS - 1), today),
        "chart": _chart(daily, today),
    }


def _query(first: date, last: date) -> str:
    """The order list's own filter for these days."""
    until = midnight(last + timedelta(days=1))
    return f"paid_at__gte={midnight(first):%Y-%m-%d %H:%M:%S}%2B08:00&paid_at__lt={until:%Y-%m-%d %H:%M:%S}%2B08:00"


# ── Figures, added up by the database ────────────────────────────────────────────────────────────────────────────────
Daily = dict[tuple[date, int], Sales]


def _daily(today: date) -> Daily:
    """(day, channel id) → figures of the last DAYS days. Orders through the scope, entries through the scope."""
    since = midnight(today - timedelta(days=DAYS - 1))
    daily: Daily = {}
    for day, channel_id, *sums in _sold(since):
        daily[day, channel_id] = Sales(*sums)
    paid = Entry.objects.of_staff().filter(order__paid_at__gte=since)
    days = paid.values_list(TruncDate("order__paid_at", tzinfo=SHANGHAI), "order__channel")
    own = scope.current().rows(scope.Paths(brand="order__brand", store="order__store"))
    sums = days.annotate(all_fen=Sum("fen"), own_fen=Sum("fen", filter=own, default=0))
    for day, channel_id, all_fen, own_fen in sums.order_by():
        sales = daily.setdefault((day, channel_id), Sales())
        sales.commission_fen, sales.own_fen = int(all_fen), int(own_fen)
    return daily


_SOLD = """
WITH sold AS ({orders}),
back AS (
    SELECT r.order_id, r.outer_line_id, sum(coalesce(r.fen, 0)) AS fen, sum(coalesce(r.qty, 0)) AS qty,
        max(r.cumulative_fen + CASE WHEN r.cumulative_fen IS NULL THEN 0 ELSE (
            SELECT coalesce(sum(later.fen), 0) FROM retail_refund later WHERE later.order_id = r.order_id
             AND later.outer_line_id = r.outer_line_id AND later.refunded_at > r.refunded_at) END) AS total
    FROM retail_refund r WHERE r.order_id IN (SELECT id FROM sold) GROUP BY r.order_id, r.outer_line_id
),
taken AS (
    SELECT b.order_id, sum(sign(l.paid_fen) * least(abs(l.paid_fen), greatest(b.fen, coalesce(b.total, 0))
        + CASE WHEN b.qty >= abs(l.qty) AND b.qty > 0 THEN abs(l.paid_fen)
               WHEN b.qty > 0 THEN round(abs(l.paid_fen)::numeric * b.qty / abs(l.qty)) ELSE 0 END)) AS fen
    FROM back b, LATERAL (
        -- LIMIT keeps the planner from reading every line of the table for the few that came back.
        SELECT paid_fen, qty FROM retail_orderline
        WHERE order_id = b.order_id AND outer_line_id = b.outer_line_id LIMIT 1) l
    GROUP BY b.order_id
)
SELECT (sold.paid_at AT TIME ZONE 'Asia/Shanghai')::date AS day, sold.channel_id,
    sum(net)::bigint, coalesce(sum(net) FILTER (WHERE sold.settled_at IS NOT NULL), 0)::bigint,
    count(*), count(sold.settled_at)
FROM sold LEFT JOIN taken ON taken.order_id = sold.id, LATERAL (SELECT sold.paid_fen - coalesce(taken.fen, 0)) n (net)
GROUP BY 1, 2
"""


def _sold(since: datetime) -> list[tuple[date, int, int, int, int, int]]:
    """(day, channel id, net fen, settled net fen, orders, settled orders) of orders paid since then.

    The sums are less what came back until now.

    What came back is reckoned as `commissions.returns.tally` does; the rows of `sold` come from the scope's own query.
    """
    columns = ("id", "paid_at", "channel_id", "paid_fen", "settled_at")
    orders = Order.objects.filter(paid_at__gte=since).values(*columns).order_by()
    sql, params = orders.query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(_SOLD.format(orders=sql), params)
        return cursor.fetchall()


# ── What the page shows of them ──────────────────────────────────────────────────────────────────────────────────────
def _by_channel(daily: Daily, today: date) -> list[Row]:
    # By what was sold and earned, which is the reader's, not by the channels of the reader's brands.
    channels = Channel._base_manager.filter(pk__in={channel_id for _day, channel_id in daily})
    rows = {channel.pk: Row(channel) for channel in channels}
    for (day, channel_id), sales in daily.items():
        row = rows[channel_id]
        row.month = row.month + sales
        if day == today:
            row.today = row.today + sales
    used = [row for row in rows.values() if row.month.orders or row.month.commission_fen]
    return sorted(used, key=lambda row: -row.month.net_fen)


def _chart(daily: Daily, today: date) -> dict[str, Any]:
    """Series of whole yuan per day for static/js/dashboard.js; None where the commission is not known yet."""
    days = [today - timedelta(days=back) for back in reversed(range(DAYS))]
    totals = {day: Sales() for day in days}
    for (day, _channel), sales in daily.items():
        if day in totals:
            totals[day] = totals[day] + sales
    return {
        "days": [f"{day:%m-%d}" for day in days],
        "sales": [round(totals[day].net_fen / 100) for day in days],
        "commission": [_whole_yuan(totals[day]) for day in days],
        "labels": {"sales": _("净销售"), "commission": _("佣金")},
    }


def _whole_yuan(sales: Sales) -> int | None:
    return None if sales.is_waiting else round(sales.commission_fen / 100)
