"""往来: everything that happened between a customer and us, in one list, the newest first.

Each kind of row is looked for by its own index and cut at the length of a page, so a page costs the same however long
the story is. What another company than the reader's did is left out (`clerks.portraits`).
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, NamedTuple, Self

from django.db import connection
from django.utils.translation import gettext as _

from clerks.models import Binding, FriendMove, Touch
from clerks.portraits import Reader, ours
from members.models import Coupon, TierMove
from retail.templatetags.figures import yuan


class Mark(NamedTuple):
    """Where a page ended. As text it fits in an address."""

    at: datetime
    place: int
    id: int

    def __str__(self) -> str:
        return f"{int(self.at.timestamp() * 1_000_000)}-{self.place}-{self.id}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The mark that was written so. Raises ValueError."""
        micros, place, pk = map(int, text.split("-"))
        if not (0 <= micros < 1 << 53 and 0 <= place < 100 and 0 <= pk < 1 << 63):
            raise ValueError(text)
        at = datetime.fromtimestamp(micros // 1_000_000, UTC).replace(microsecond=micros % 1_000_000)
        return cls(at, place, pk)


class Happened(NamedTuple):
    """`kind` names the picture beside it; `title` says what it was, `text` the rest of it."""

    kind: str
    at: datetime
    title: str
    text: str


class Page(NamedTuple):
    rows: list[Happened]
    mark: Mark | None


class _Source(NamedTuple):
    """Rows of one kind: SQL for (at, id, what is told of it), from where; and the words."""

    kind: str
    at: str
    id: str
    told: str
    rows: str
    words: Callable[[Mapping[str, Any]], tuple[str, str]]


RELATION = frozenset({"bind", "unbind", "friend", "away", "merge"})
"""What tells how somebody became whose customer: the evidence behind 专属导购关系."""


def page(
    *,
    reader: Reader,
    member_id: int,
    limit: int,
    below: Mark | None = None,
    only: frozenset[str] | None = None,
) -> Page:
    """A page of what happened with a member whom the reader may see; of all kinds or `only` some. One statement."""
    given: dict[str, Any] = {
        "member_id": member_id,
        "brand_id": reader.brand_id,
        "corp": reader.corp,
        "company_id": reader.company_id,
        "stores": list(reader.stores) if reader.stores is not None else None,
        "is_everything": reader.is_everything,
        "at": below.at if below else None,
        "place": below.place if below else None,
        "id": below.id if below else None,
        "limit": limit + 1,
    }
    with connection.cursor() as cursor:
        cursor.execute(_statement(only), given)
        rows = cursor.fetchall()
    shown = rows[:limit]
    mark = Mark(*shown[-1][:3]) if len(rows) > limit else None
    return Page([_happened(at, place, told) for at, place, _id, told in shown], mark)


def _happened(at: datetime, place: int, told: str) -> Happened:
    source = _SOURCES[place]
    return Happened(source.kind, at, *source.words(json.loads(told)))


# ── Words ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def _joined(*parts: str | None) -> str:
    return " · ".join(str(part) for part in parts if part)


def _bound(told: Mapping[str, Any]) -> tuple[str, str]:
    title = _("成为 %(clerk)s 的专属顾客") % {"clerk": told["clerk"]}
    return title, _joined(str(Binding.Source(told["source"]).label), told["store"], *_evidence(told))


def _evidence(told: Mapping[str, Any]) -> list[str]:
    """What the relation rests on: an order, a code, or somebody's hand and why."""
    found = []
    if told.get("order"):
        found.append(_("订单 %(number)s") % {"number": told["order"]})
    if told.get("way"):
        found.append(_("活码“%(name)s”") % {"name": told["way"]})
    if told.get("code"):
        code = {"code": told["code"]}
        is_link = told["source"] == Binding.Source.MATERIAL
        found.append(_("链接 %(code)s") % code if is_link else _("分享码 %(code)s") % code)
    return [*found, *_by_hand(told)]


def _by_hand(told: Mapping[str, Any]) -> list[str]:
    by = [_("%(who)s操作") % {"who": told["by"]}] if told["by"] else []
    return [*by, _("原因：%(why)s") % {"why": told["why"]}] if told["why"] else by


def _unbound(told: Mapping[str, Any]) -> tuple[str, str]:
    title = _("不再是 %(clerk)s 的专属顾客") % {"clerk": told["clerk"]}
    return title, _joined(str(Binding.End(told["reason"]).label), *_by_hand(told))


def _away(told: Mapping[str, Any]) -> tuple[str, str]:
    title = _("%(clerk)s 名额已满，没有绑定") % {"clerk": told["clerk"]}
    return title, _joined(str(Binding.Source(told["source"]).label), told["store"])


def _merged(told: Mapping[str, Any]) -> tuple[str, str]:
    title = _("和另一份会员资料合并") if told["is_one"] else _("撤销了会员合并")
    return title, _joined(*_by_hand({"by": told["by"], "why": ""}))


def _friend(told: Mapping[str, Any]) -> tuple[str, str]:
    way = _("活码“%(name)s”") % {"name": told["way"]} if told["way"] else ""
    return str(FriendMove.Kind(told["kind"]).label), _joined(told["clerk"], way)


def _order(told: Mapping[str, Any]) -> tuple[str, str]:
    title = _("买了 %(yuan)s 元") % {"yuan": yuan(told["fen"])}
    names = str(_("、")).join(dict.fromkeys(told["products"] or ()))
    return title, _joined(names, told["channel"], told["store"])


def _refund(told: Mapping[str, Any]) -> tuple[str, str]:
    return _("退货"), told["product"] or ""


def _tier(told: Mapping[str, Any]) -> tuple[str, str]:
    none = _("无等级")
    title = _("等级：%(before)s → %(after)s") % {"before": told["before"] or none, "after": told["after"] or none}
    return title, str(TierMove.Cause(told["cause"]).label)


def _coupon(told: Mapping[str, Any]) -> tuple[str, str]:
    titles = {
        Coupon.State.ISSUED: _("发券"),
        Coupon.State.REDEEMED: _("用券"),
        Coupon.State.EXPIRED: _("券过期"),
        Coupon.State.VOID: _("券作废"),
    }
    return titles[Coupon.State(told["state"])], _joined(told["name"], told["clerk"])


def _note(told: Mapping[str, Any]) -> tuple[str, str]:
    return _("%(clerk)s的备注") % {"clerk": told["clerk"]}, told["text"]


def _touch(told: Mapping[str, Any]) -> tuple[str, str]:
    if told["purpose"] == Touch.Purpose.OPENED and told["material"]:
        return _("打开了“%(material)s”") % {"material": told["material"]}, told["clerk"] or ""
    if told["purpose"] in (Touch.Purpose.REPLY, Touch.Purpose.OPENED):
        return str(Touch.Purpose(told["purpose"]).label), told["clerk"] or ""
    return _("联系"), _joined(str(Touch.Purpose(told["purpose"]).label), told["clerk"])


# ── Where it stands ──────────────────────────────────────────────────────────────────────────────────────────────────
_OF_STAFF = "LEFT JOIN retail_staff w ON w.id ="
_BOUND_BY = "clerks_binding x JOIN retail_staff w ON w.id = x.staff_id JOIN retail_store p ON p.id = x.store_id"
_OF_MEMBER = "x.member_id = %(member_id)s"
_OF_MEMBERSHIP = "x.membership_id = (SELECT id FROM one)"


def _user(column: str) -> str:
    """SQL: what somebody who signed in is called."""
    return (
        "(SELECT coalesce(s.name, u.username) FROM retail_user u LEFT JOIN retail_staff s ON s.user_id = u.id"
        f" WHERE u.id = {column})"
    )


# The code through which a friend came, at the second at which a relation began.
_WAY = (
    "(SELECT y.name FROM clerks_friend f JOIN clerks_friendmove m ON m.friend_id = f.id AND m.kind = 'added'"
    " JOIN clerks_contactway y ON y.state_code = m.state_code AND m.state_code <> ''"
    " WHERE f.member_id = x.member_id AND f.staff_id = x.staff_id AND f.corp = %(corp)s"
    " AND date_trunc('second', m.at) = date_trunc('second', x.started_at) LIMIT 1)"
)

# What was behind the link that was opened; its number stands in the effect (`binding.claim_by_link`).
_MATERIAL = (
    "(SELECT y.name FROM materials_share h JOIN materials_material y ON y.id = h.material_id"
    " WHERE x.purpose = 'opened' AND h.id = substring(x.effect FROM '^opened:([0-9]{1,18}):')::bigint)"
)

# Of one moment, what led to something stands before what came of it: a friend, an end, a beginning.
_SOURCES: Sequence[_Source] = (
    _Source(
        "friend", "x.at", "x.id",
        "'kind', x.kind, 'clerk', w.name, 'way', (SELECT y.name FROM clerks_contactway y"
        " WHERE y.state_code = x.state_code AND x.state_code <> '' LIMIT 1)",
        f"clerks_friend f JOIN clerks_friendmove x ON x.friend_id = f.id {_OF_STAFF} f.staff_id"
        f" WHERE f.member_id = %(member_id)s AND f.corp = %(corp)s AND {ours('f.store_id')}",
        _friend,
    ),
    _Source(
        "unbind", "x.ended_at", "x.id",
        f"'clerk', w.name, 'reason', x.end_reason, 'why', x.ended_why, 'by', {_user('x.ended_by_id')}",
        f"{_BOUND_BY} WHERE x.brand_id = %(brand_id)s AND {_OF_MEMBER} AND x.ended_at > x.started_at"
        f" AND {ours('x.store_id')}",
        _unbound,
    ),
    _Source(
        "bind", "x.started_at", "x.id",
        "'clerk', w.name, 'source', x.source, 'store', p.name, 'code', x.came_by, 'why', x.reason,"
        " 'order', (SELECT o.outer_order_id FROM retail_order o WHERE o.id = x.order_id),"
        f" 'way', CASE WHEN x.source = 'contact_code' THEN {_WAY} END, 'by', {_user('x.by_id')}",
        f"{_BOUND_BY} WHERE x.brand_id = %(brand_id)s AND {_OF_MEMBER} AND x.ended_at IS DISTINCT FROM x.started_at"
        f" AND {ours('x.store_id')}",
        _bound,
    ),
    _Source(
        "away", "x.at", "x.id", "'clerk', w.name, 'source', x.source, 'store', p.name",
        "clerks_turnedaway x JOIN retail_staff w ON w.id = x.staff_id JOIN retail_store p ON p.id = x.store_id"
        f" WHERE x.brand_id = %(brand_id)s AND {_OF_MEMBER} AND {ours('x.store_id')}",
        _away,
    ),
    _Source(
        "merge", "x.at", "x.id", f"'is_one', true, 'by', {_user('x.by_id')}",
        "clerks_merge x WHERE (x.keep_id = %(member_id)s OR x.drop_id = %(member_id)s)",
        _merged,
    ),
    _Source(
        "merge", "x.undone_at", "x.id", f"'is_one', false, 'by', {_user('x.undone_by_id')}",
        "clerks_merge x WHERE (x.keep_id = %(member_id)s OR x.drop_id = %(member_id)s) AND x.undone_at IS NOT NULL",
        _merged,
    ),
    _Source(
        "order", "x.paid_at", "x.id",
        "'fen', o.paid_fen, 'channel', c.name, 'store', p.name, 'products', (SELECT jsonb_agg(g.name ORDER BY l.id)"
        " FROM retail_orderline l JOIN retail_product g ON g.id = l.product_id WHERE l.order_id = o.id)",
        "members_purchase x JOIN retail_order o ON o.id = x.order_id JOIN retail_channel c ON c.id = o.channel_id"
        f" LEFT JOIN retail_store p ON p.id = x.store_id WHERE {_OF_MEMBERSHIP} AND {ours('x.store_id')}",
        _order,
    ),
    _Source(
        "refund", "r.refunded_at", "r.id", "'product', (SELECT g.name FROM retail_orderline l JOIN retail_product g"
        " ON g.id = l.product_id WHERE l.order_id = r.order_id AND l.outer_line_id = r.outer_line_id LIMIT 1)",
        f"members_purchase x JOIN retail_refund r ON r.order_id = x.order_id WHERE {_OF_MEMBERSHIP}"
        f" AND {ours('x.store_id')}",
        _refund,
    ),
    _Source(
        "tier", "x.at", "x.id",
        "'before', (SELECT t.name FROM members_tier t WHERE t.id = x.before_id),"
        " 'after', (SELECT t.name FROM members_tier t WHERE t.id = x.after_id), 'cause', x.cause",
        f"members_tiermove x LEFT JOIN retail_order o ON o.id = x.order_id WHERE {_OF_MEMBERSHIP}"
        f" AND {ours('o.store_id')}",
        _tier,
    ),
    _Source(
        "coupon", "m.at", "m.id", "'state', m.state, 'name', t.name, 'clerk', w.name",
        "members_coupon x JOIN members_couponmove m ON m.coupon_id = x.id JOIN members_coupontype t"
        f" ON t.id = x.type_id AND m.state <> 'open' {_OF_STAFF} x.issued_by_id"  # a code that lay there is nobody's
        f" WHERE {_OF_MEMBERSHIP} AND {ours('x.store_id')}",
        _coupon,
    ),
    _Source(
        "note", "x.created_at", "x.id", "'text', x.text, 'clerk', w.name",
        "clerks_note x JOIN retail_staff w ON w.id = x.staff_id WHERE x.brand_id = %(brand_id)s"
        f" AND {_OF_MEMBER} AND x.deleted_at IS NULL AND x.text <> '' AND {ours('x.store_id')}",
        _note,
    ),
    _Source(
        "touch", "x.at", "x.id", f"'purpose', x.purpose, 'clerk', w.name, 'material', {_MATERIAL}",
        f"clerks_touch x {_OF_STAFF} x.staff_id WHERE {_OF_MEMBER} AND x.corp = %(corp)s AND {ours('x.store_id')}",
        _touch,
    ),
)  # fmt: skip


def _part(place: int, source: _Source) -> str:
    """A page of one kind. Rows of one moment stand by kind, then by number."""
    below = f"(%(at)s::timestamptz IS NULL OR ({source.at}, {place}, {source.id}) < (%(at)s, %(place)s, %(id)s))"
    return (
        f"(SELECT {source.at} AS at, {place} AS place, {source.id} AS id, jsonb_build_object({source.told}) AS told"
        f" FROM {source.rows} AND {below} ORDER BY 1 DESC, 3 DESC LIMIT %(limit)s)"
    )


@cache
def _statement(only: frozenset[str] | None) -> str:
    parts = [_part(place, source) for place, source in enumerate(_SOURCES) if only is None or source.kind in only]
    return (
        "WITH one AS MATERIALIZED (SELECT id FROM members_membership"
        " WHERE brand_id = %(brand_id)s AND member_id = %(member_id)s) "
        + " UNION ALL ".join(parts)
        + " ORDER BY 1 DESC, 2 DESC, 3 DESC LIMIT %(limit)s"
    )
