"""没有导购认领的销售: which settled orders no clerk stands behind, how much that is, and why; in the reader's scope.

A manager claims every order of the store and does not count. The second list is of lines that were rung up by one
clerk and sold by another: the till names its clerk on the order (收银), the clerk who served on the line (开单).
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import Count, F, OuterRef, QuerySet, Subquery, Sum
from django.http import Http404, HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from commissions.models.ledger import SHANGHAI, midnight
from commissions.models.plans import Role
from retail.models import Channel, Order, OrderLine, Staff, Store

PER_PAGE = 50
RANGES = {1: gettext_lazy("今天"), 7: gettext_lazy("近 7 天"), 30: gettext_lazy("近 30 天")}
REASONS = {
    "no_code": gettext_lazy("收银没有录导购工号"),
    "unknown_code": gettext_lazy("录的工号没有这个人"),
    "unknown_share": gettext_lazy("分享码没有这个人"),
    "no_post": gettext_lazy("导购当时不在岗"),
    "buyer_unknown": gettext_lazy("不知道是谁买的"),
    "no_relation": gettext_lazy("会员没有专属导购"),
}
# Each with what can be done about it.
REMEDIES = {
    "no_code": gettext_lazy("请门店开单时录上工号"),
    "unknown_code": gettext_lazy("核对收银系统和员工档案里的工号"),
    "unknown_share": gettext_lazy("核对分享链接里的分享码"),
    "no_post": gettext_lazy("核对离职和调店的时间，把客户交给在岗的导购"),
    "buyer_unknown": gettext_lazy("请渠道带上手机号或会员标识"),
    "no_relation": gettext_lazy("请导购加上企业微信好友"),
}
_BEHIND = [Role.MANAGER, Role.REGION, Role.STORE]


class Share(NamedTuple):
    """Of so many settled orders and their amount, how much no clerk stands behind."""

    orders: int
    fen: int
    loose: int
    loose_fen: int

    @property
    def of_fen(self) -> str:
        return _tenths(self.loose_fen, self.fen)

    @property
    def of_orders(self) -> str:
        return _tenths(self.loose, self.orders)


class Row(NamedTuple):
    """One line of a table: a channel, store, day or reason with its share; `more` tells what can be done."""

    name: str
    share: Share
    query: str = ""
    more: str = ""


@dataclass(slots=True)
class Report:
    whole: Share
    reasons: list[Row]
    channels: list[Row]
    stores: list[Row]
    days: list[Row]


def _tenths(part: int, whole: int) -> str:
    return f"{part * 1000 // whole / 10:g}%" if whole > 0 else "–"


def since(*, days: int, today: date) -> datetime:
    return midnight(today - timedelta(days=days - 1))


# ── The share ────────────────────────────────────────────────────────────────────────────────────────────────────────
# `reason` is null where a clerk stands behind the order. Claims count as they were last corrected.
_JUDGED = """
WITH sold AS ({orders}),
judged AS (
    SELECT sold.*, CASE WHEN EXISTS (
        SELECT FROM commissions_claimrow c
        WHERE c.order_id = sold.id AND c.staff_id IS NOT NULL AND c.role <> ALL(%s)
        AND NOT EXISTS (SELECT FROM commissions_buyersnapshot s
                        WHERE s.order_id = c.order_id AND s.revision > c.revision)
    ) THEN NULL
    WHEN said.code IS NOT NULL AND NOT EXISTS (SELECT FROM retail_staff p WHERE p.code = said.code) THEN 'unknown_code'
    WHEN said.code IS NOT NULL THEN 'no_post'
    WHEN sold.share_code <> '' AND NOT EXISTS (SELECT FROM retail_staff p WHERE p.share_code = sold.share_code)
        AND NOT EXISTS (SELECT FROM materials_share h
                        WHERE h.code = sold.share_code AND h.brand_id = sold.brand_id)
        THEN 'unknown_share'
    WHEN sold.share_code <> '' THEN 'no_post'
    WHEN EXISTS (
        SELECT FROM members_purchase p JOIN members_membership m ON m.id = p.membership_id
        JOIN clerks_binding b ON (b.brand_id, b.member_id) = (m.brand_id, m.member_id)
        WHERE p.order_id = sold.id AND b.started_at <= sold.paid_at
        AND (b.ended_at IS NULL OR b.ended_at > sold.paid_at)
    ) THEN 'no_post'
    WHEN channel.kind = 'pos' THEN 'no_code'
    WHEN NOT EXISTS (SELECT FROM members_purchase p WHERE p.order_id = sold.id) THEN 'buyer_unknown'
    ELSE 'no_relation' END AS reason
    FROM sold JOIN retail_channel channel ON channel.id = sold.channel_id, LATERAL (
        SELECT coalesce(nullif(sold.serving_clerk, ''), (
            SELECT min(l.serving_clerk) FROM retail_orderline l WHERE l.order_id = sold.id AND l.serving_clerk <> ''
        )) AS code OFFSET 0) said
)
"""
_FIGURES = """count(*), coalesce(sum(paid_fen), 0)::bigint, count(reason),
    coalesce(sum(paid_fen) FILTER (WHERE reason IS NOT NULL), 0)::bigint"""
_SUMS = f"""
SELECT grouping(channel_id, store_id, day, reason), channel_id, store_id, day, reason, {_FIGURES}
FROM (SELECT *, (paid_at AT TIME ZONE 'Asia/Shanghai')::date AS day FROM judged) judged
GROUP BY GROUPING SETS ((), (channel_id), (store_id), (day), (reason))
"""
_WHOLE, _CHANNEL, _STORE, _DAY, _REASON = 0b1111, 0b0111, 0b1011, 0b1101, 0b1110


def _judged(first: datetime) -> tuple[str, list[Any]]:
    columns = ("id", "brand_id", "channel_id", "store_id", "paid_at", "paid_fen", "serving_clerk", "share_code")
    orders = Order.objects.filter(paid_at__gte=first, settled_at__isnull=False).values(*columns).order_by()
    sql, params = orders.query.sql_with_params()
    return _JUDGED.format(orders=sql), [*params, [str(role) for role in _BEHIND]]


def report(*, first: datetime) -> Report:
    """The share since then, by reason, channel, store and day. Three statements."""
    sql, params = _judged(first)
    sums: dict[int, dict[Any, Share]] = {kind: {} for kind in (_WHOLE, _CHANNEL, _STORE, _DAY, _REASON)}
    with connection.cursor() as cursor:
        cursor.execute(sql + _SUMS, params)
        for kind, channel_id, store_id, day, reason, *figures in cursor.fetchall():
            key = {_CHANNEL: channel_id, _STORE: store_id, _DAY: day, _REASON: reason}.get(kind)
            sums[kind][key] = Share(*figures)
    whole = sums[_WHOLE].get(None, Share(0, 0, 0, 0))
    channels = dict(Channel._base_manager.filter(pk__in=sums[_CHANNEL]).values_list("pk", "name"))
    stores = dict(Store._base_manager.filter(pk__in=[pk for pk in sums[_STORE] if pk]).values_list("pk", "name"))
    return Report(
        whole=whole,
        # A reason's share is of all orders, not of those that have it.
        reasons=[
            Row(str(REASONS[reason]), Share(whole.orders, whole.fen, one.loose, one.loose_fen), f"reason={reason}",
                str(REMEDIES[reason]))
            for reason, one in _largest(sums[_REASON]) if reason
        ],
        channels=[Row(channels[pk], one, f"channel={pk}") for pk, one in _largest(sums[_CHANNEL])],
        stores=[
            Row(stores.get(pk, "") or _("不属于门店的订单"), one, f"store={pk}" if pk else "store=0")
            for pk, one in _largest(sums[_STORE])[:20]
        ],
        days=[Row(f"{day:%m-%d}", sums[_DAY][day]) for day in sorted(sums[_DAY], reverse=True)],
    )  # fmt: skip


def share(*, first: datetime) -> Share:
    """The share since then as a whole. One statement."""
    sql, params = _judged(first)
    with connection.cursor() as cursor:
        cursor.execute(f"{sql} SELECT {_FIGURES} FROM judged", params)
        return Share(*cursor.fetchone())


def _largest(sums: dict[Any, Share]) -> list[tuple[Any, Share]]:
    return sorted(((key, one) for key, one in sums.items() if one.loose), key=lambda pair: -pair[1].loose_fen)


# ── The list ─────────────────────────────────────────────────────────────────────────────────────────────────────────
class Loose(NamedTuple):
    order: Order
    reason: str


_LIST = """
SELECT id, reason FROM judged WHERE reason IS NOT NULL
AND (%s::text = '' OR reason = %s) AND (%s::bigint IS NULL OR channel_id = %s)
AND (%s::bigint IS NULL OR coalesce(store_id, 0) = %s)
ORDER BY paid_at DESC, id DESC LIMIT %s OFFSET %s
"""


def loose(
    *, first: datetime, reason: str = "", channel: int | None = None, store: int | None = None, offset: int = 0
) -> list[Loose]:
    """The orders since then, newest first, one more than fit on a page; `store` 0: of no store. Two statements."""
    sql, params = _judged(first)
    asked = [reason, reason, channel, channel, store, store, PER_PAGE + 1, offset]
    with connection.cursor() as cursor:
        cursor.execute(sql + _LIST, [*params, *asked])
        found = cursor.fetchall()
    orders = Order.objects.select_related("channel", "store").in_bulk([pk for pk, _reason in found])
    return [Loose(orders[pk], str(REASONS[why])) for pk, why in found]


# ── Rung up by one, sold by another ──────────────────────────────────────────────────────────────────────────────────
class Crossed(NamedTuple):
    lines: int
    fen: int


def crossed(*, first: datetime) -> tuple[Crossed, QuerySet[OrderLine]]:
    """Lines since then that name another clerk than their order: how many and how much, and the lines themselves."""
    named = (
        OrderLine.objects.filter(order__paid_at__gte=first).exclude(serving_clerk="").exclude(order__serving_clerk="")
    )
    lines = named.exclude(serving_clerk=F("order__serving_clerk"))
    sums = lines.aggregate(count=Count("pk"), fen=Sum("paid_fen", default=0))
    shown = lines.select_related("order__store", "product").annotate(
        cashier=Subquery(Staff._base_manager.filter(code=OuterRef("order__serving_clerk")).values("name")[:1]),
        seller=Subquery(Staff._base_manager.filter(code=OuterRef("serving_clerk")).values("name")[:1]),
    )
    return Crossed(sums["count"], sums["fen"]), shown.order_by("-order__paid_at", "-pk")


# ── The page ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def context(request: HttpRequest, now: datetime) -> dict[str, Any]:
    """What the page shows for this address. Raises Http404 for what it does not know."""
    days = _number(request, "days", default=30)
    if days not in RANGES:
        raise Http404
    today = now.astimezone(SHANGHAI).date()
    first = since(days=days, today=today)
    shared = {"title": _("没有导购认领的销售"), "days": days, "ranges": RANGES.items()}
    offset = _number(request, "from", default=0) or 0
    if request.GET.get("view") == "crossed":
        sums, lines = crossed(first=first)
        page = list(lines[offset : offset + PER_PAGE + 1])
        return {**shared, "is_crossed": True, "sums": sums, "lines": page[:PER_PAGE], "more": _more(page, offset)}
    reason = request.GET.get("reason", "")
    if reason and reason not in REASONS:
        raise Http404
    asked = {"reason": reason, "channel": _number(request, "channel"), "store": _number(request, "store")}
    page = loose(first=first, offset=offset, **asked)  # type: ignore[arg-type]
    kept = "&".join(f"{name}={value}" for name, value in asked.items() if value not in ("", None))
    return {
        **shared,
        "report": report(first=first),
        "orders": page[:PER_PAGE],
        "more": _more(page, offset),
        "kept": kept,
    }


def _more(page: list[Any], offset: int) -> int | None:
    return offset + PER_PAGE if len(page) > PER_PAGE else None


def _number(request: HttpRequest, name: str, default: int | None = None) -> int | None:
    text = request.GET.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) < 16):
        raise Http404
    return int(text)
