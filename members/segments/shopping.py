"""Conditions over what a member bought: money net of refunds, orders that did not come back whole.

What the profile has rolled up is read there, as of the last purchase, refund or night; any other window, and whatever
is narrowed to channels, stores or goods, is gathered from the lines.
"""

from datetime import timedelta
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from members.segments.fields import (
    Choice,
    Choices,
    Codes,
    Field,
    Whole,
    Window,
    Within,
    Words,
    Yuan,
    midnight,
    spelled,
)
from members.segments.kinds import LEAST, Kind, Parts, Said, compare, compared, comparison, day, only, register, yuan
from members.segments.names import Names
from members.segments.query import Query
from retail.models import Channel

HEADING = gettext_lazy("买过什么")

WITHIN = Window(name="within", label=gettext_lazy("什么时候"), is_required=False, usual=(12, "month"))
NARROWED: tuple[Field, ...] = (
    Choices(
        name="channel",
        label=gettext_lazy("渠道"),
        choices=dict(Channel.Kind.choices),
        is_required=False,
        is_further=True,
    ),
    Codes(name="store", label=gettext_lazy("门店"), of="store", is_required=False, is_further=True),
    Codes(name="category", label=gettext_lazy("品类"), of="category", is_required=False, is_further=True),
    Codes(name="product", label=gettext_lazy("商品"), of="product", is_required=False, is_further=True),
)


# ── Sums over lines ──────────────────────────────────────────────────────────────────────────────────────────────────
def _gathered(said: Said, query: Query) -> str:
    """The table of `fen`, `orders` and `pieces` that what was said is about."""
    about = only(said, "within", *(field.name for field in NARROWED))
    return query.gather(("lines", about), lambda: _bought(said, query))


def _bought(said: Said, query: Query) -> str:
    window = said.get("within")
    query.note_bought(window)
    where = f"true{query.within('l.paid_at', window)}"
    if "store" in said:
        where += f" AND l.store_id = ANY({query.ids('store', said['store'])})"
    if "product" in said:
        where += f" AND l.product_id = ANY({query.ids('product', said['product'])})"
    if "category" in said:
        where += f" AND l.category_label = ANY({query.put(list(said['category']), 'text[]')})"
    if "channel" in said:
        kinds = query.put(list(said["channel"]), "text[]")
        where += f""" AND EXISTS (SELECT FROM retail_order o JOIN retail_channel c ON c.id = o.channel_id
            WHERE o.id = l.order_id AND c.kind = ANY({kinds}))"""
    return f"""SELECT l.membership_id AS id, sum(l.paid_fen - sign(l.paid_fen) * l.back)::bigint AS fen,
            count(DISTINCT l.order_id) FILTER (WHERE l.qty > 0 AND l.back < l.size) AS orders,
            sum(l.qty - sign(l.qty) * CASE WHEN l.back >= l.size THEN abs(l.qty) ELSE least(l.pieces, abs(l.qty)) END)
                ::bigint AS pieces
        FROM lines l WHERE {where} GROUP BY 1"""


_ROLLED_UP: dict[tuple[str, int | None], str] = {("fen", None): "paid_fen", ("orders", None): "orders"}
_ROLLED_UP |= {("pieces", None): "pieces", ("fen", 365): "year_fen", ("orders", 365): "year_orders"}
_ROLLED_UP |= {("orders", days): f"orders_{days}" for days in (30, 90, 180)}


def _sum(name: str, said: Said, query: Query) -> str:
    """`fen`, `orders` or `pieces`; null for who bought nothing of the kind."""
    window: Within | None = said.get("within")
    if not said.keys() & {field.name for field in NARROWED}:
        column = _ROLLED_UP.get((name, _days(window, query)))
        if column:
            return query.profile(column)
    return f"{_gathered(said, query)}.{name}"


def _days(window: Within | None, query: Query) -> int | None:
    """How many days the window reaches back; 0 for one that ends before now."""
    if window is None:
        return None
    if window.until(query.today):
        return 0
    since = window.since(query.today)
    return next((days for days in (30, 90, 180, 365) if since == midnight(query.today - timedelta(days=days))), 0)


def _of_sum(name: str, field: str) -> Any:
    def parts(said: Said, query: Query) -> Parts:
        value = _sum(name, said, query)
        return compare(value, said, said[field], query.put(said[field], "bigint"))

    return parts


def _average(said: Said, query: Query) -> Parts:
    """Of the orders there are; who has none has no average, and is neither above nor below anything."""
    fen, orders = _sum("fen", said, query), _sum("orders", said, query)
    wanted, sign = query.put(said["fen"], "bigint"), ">=" if said["is"] == LEAST else "<"
    return Parts(f"{orders} > 0 AND {fen} {sign} {wanted} * {orders}", f"{fen} / nullif({orders}, 0)")


def narrowed(said: Said, names: Names) -> str:
    """Where and what, in brackets; "" when it is not narrowed."""
    kinds = dict(Channel.Kind.choices)
    told = [spelled([str(kinds[code]) for code in said["channel"]])] if "channel" in said else []
    told += [spelled(names.of(of, said[of])) for of in ("store", "category", "product") if of in said]
    return _("（%(what)s）") % {"what": _("，").join(told)} if told else ""


def _told(said: Said, names: Names) -> dict[str, str]:
    when = str(said["within"]) if "within" in said else _("累计")
    return {"when": when, "narrowed": narrowed(said, names), "is": comparison(said)}


def _money(template: Words) -> Any:
    def words(said: Said, names: Names) -> str:
        return str(template) % {**_told(said, names), "sum": yuan(said["fen"])}

    return words


def _counted(template: Words) -> Any:
    def words(said: Said, names: Names) -> str:
        return str(template) % {**_told(said, names), "count": said["count"]}

    return words


register(
    Kind(
        code="spent",
        heading=HEADING,
        title=gettext_lazy("消费金额"),
        column=gettext_lazy("消费净额（元）"),
        fields=(WITHIN, compared(), Yuan(name="fen", label=gettext_lazy("金额")), *NARROWED),
        words=_money(gettext_lazy("%(when)s消费%(narrowed)s%(is)s %(sum)s 元")),
        parts=_of_sum("fen", "fen"),
        shown=yuan,
    ),
    Kind(
        code="orders",
        heading=HEADING,
        title=gettext_lazy("购买次数"),
        column=gettext_lazy("购买次数"),
        fields=(
            WITHIN,
            compared(),
            Whole(name="count", label=gettext_lazy("次数"), unit=gettext_lazy("次")),
            *NARROWED,
        ),
        words=_counted(gettext_lazy("%(when)s购买%(narrowed)s%(is)s %(count)s 次")),
        parts=_of_sum("orders", "count"),
        shown=lambda value: str(value or 0),
    ),
    Kind(
        code="pieces",
        heading=HEADING,
        title=gettext_lazy("购买件数"),
        column=gettext_lazy("购买件数"),
        fields=(
            WITHIN,
            compared(),
            Whole(name="count", label=gettext_lazy("件数"), unit=gettext_lazy("件")),
            *NARROWED,
        ),
        words=_counted(gettext_lazy("%(when)s购买%(narrowed)s%(is)s %(count)s 件")),
        parts=_of_sum("pieces", "count"),
        shown=lambda value: str(value or 0),
    ),
    Kind(
        code="average",
        heading=HEADING,
        title=gettext_lazy("客单价"),
        column=gettext_lazy("客单价（元）"),
        fields=(WITHIN, compared(), Yuan(name="fen", label=gettext_lazy("金额")), *NARROWED),
        words=_money(gettext_lazy("%(when)s客单价%(narrowed)s%(is)s %(sum)s 元")),
        parts=_average,
        shown=yuan,
    ),
)


# ── First and last ───────────────────────────────────────────────────────────────────────────────────────────────────
IN, NOT_IN, NEVER = "in", "not_in", "never"


def _when_bought(name: str) -> Any:
    def parts(said: Said, query: Query) -> Parts:
        column = query.membership(name)
        if said["is"] == NEVER:
            return Parts(f"{column} IS NULL", column, is_certain=True)
        inside = f"{column} IS NOT NULL{query.within(column, said['within'])}"
        return Parts(inside if said["is"] == IN else f"NOT ({inside})", column, is_certain=True)

    return parts


def _sentence(bought: Words, not_bought: Words, never: Words) -> Any:
    def words(said: Said, names: Names) -> str:
        template = {IN: bought, NOT_IN: not_bought, NEVER: never}[said["is"]]
        return str(template) % {"when": said.get("within", "")}

    return words


def _asked(bought: Words, not_bought: Words, never: Words) -> tuple[Field, ...]:
    choices = {IN: bought, NOT_IN: not_bought, NEVER: never}
    return (
        Choice(name="is", label=gettext_lazy("怎样"), choices=choices),
        Window(name="within", label=gettext_lazy("什么时候"), usual=(60, "day"), asked_where=("is", (IN, NOT_IN))),
    )


register(
    Kind(
        code="last_purchase",
        heading=HEADING,
        title=gettext_lazy("最近一次购买"),
        column=gettext_lazy("最近购买"),
        fields=_asked(gettext_lazy("买过"), gettext_lazy("没有买过"), gettext_lazy("从来没买过")),
        words=_sentence(
            gettext_lazy("最近一次购买在%(when)s"), gettext_lazy("%(when)s没有购买"), gettext_lazy("从来没买过")
        ),
        parts=_when_bought("last_purchase_at"),
        shown=day,
    ),
    Kind(
        code="first_purchase",
        heading=HEADING,
        title=gettext_lazy("首次购买"),
        column=gettext_lazy("首购"),
        fields=_asked(gettext_lazy("首购"), gettext_lazy("不是首购"), gettext_lazy("从来没买过")),
        words=_sentence(gettext_lazy("首购在%(when)s"), gettext_lazy("首购不在%(when)s"), gettext_lazy("从来没买过")),
        parts=_when_bought("first_purchase_at"),
        shown=day,
    ),
)
