"""Conditions over what a member is and owns: tier, points, coupons, since when, and when they were born."""

from datetime import date, timedelta

from django.utils.text import format_lazy
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from members.models import Coupon, PointsEntry, Tier
from members.segments.fields import Choice, Choices, Codes, Whole, Window, Words, spelled
from members.segments.kinds import Kind, Parts, Said, compare, compared, comparison, day, plain, register
from members.segments.names import Names
from members.segments.query import Query

HEADING = gettext_lazy("会员卡")


# ── Tier ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
LEAST, BELOW, ONE_OF, NONE = "at_least", "below", "one_of", "none"


def _tier(said: Said, query: Query) -> Parts:
    tier = query.membership("tier_id")
    name = f"(SELECT t.name FROM members_tier t WHERE t.id = {tier})"
    if said["is"] == NONE:
        return Parts(f"{tier} IS NULL", name, is_certain=True)
    if said["is"] == ONE_OF:
        return Parts(f"{tier} = ANY({query.ids('tier', said['tier'])})", name)
    reached = query.put(_reached(said, query), "bigint[]")
    without = f" OR {tier} IS NULL" if said["is"] == BELOW else ""
    return Parts(f"{tier} = ANY({reached}){without}", name)


def _reached(said: Said, query: Query) -> list[int]:
    """Looked up beforehand, so that the planner knows how many have them."""
    tiers = Tier._base_manager.filter(brand=query.brand)
    ranks = tiers.filter(pk__in=query.names.ids("tier", said["tier"])).values_list("rank", flat=True)
    if not ranks:
        return []
    edge = {"rank__gte": min(ranks)} if said["is"] == LEAST else {"rank__lt": max(ranks)}
    return list(tiers.filter(**edge).values_list("pk", flat=True))


def _tier_words(said: Said, names: Names) -> str:
    if said["is"] == NONE:
        return _("没有等级")
    tiers = spelled(names.of("tier", said["tier"]))
    template = {LEAST: _("等级达到%(tiers)s"), BELOW: _("等级低于%(tiers)s"), ONE_OF: _("等级是%(tiers)s")}
    return template[said["is"]] % {"tiers": tiers}


# ── Points ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def _points(said: Said, query: Query) -> Parts:
    return compare(query.membership("points"), said, said["count"], query.put(said["count"], "bigint"))


_NO_LOTS = [PointsEntry.Kind.BURN, PointsEntry.Kind.UNBURN, PointsEntry.Kind.EXPIRE, "deduct"]


def _expiring(said: Said, query: Query) -> Parts:
    """What is used comes off the lots that expire first: so of the balance, what no later lot covers."""
    last_day = query.today + timedelta(days=said["days"])
    later = query.gather(("lots", last_day), lambda: _lots_after(last_day, query))
    points = query.membership("points")
    value = f"greatest(0, {points} - greatest(0, coalesce({later}.points, 0)))"
    return Parts(f"{value} >= {query.put(said['count'], 'bigint')}", value, is_certain=True)


def _lots_after(day: date, query: Query) -> str:
    return f"""SELECT near.id, sum(e.points)::bigint AS points
        FROM near JOIN members_pointsentry e ON e.membership_id = near.id
        WHERE e.kind <> ALL({query.put(_NO_LOTS, "text[]")})
            AND (e.expires_on IS NULL OR e.expires_on > {query.put(day)})
        GROUP BY 1"""


# ── Coupons ──────────────────────────────────────────────────────────────────────────────────────────────────────────
HELD, EXPIRING, USED, EXPIRED, NEVER = "held", "expiring", "used", "expired", "never"
_COUPONS: dict[str, Words] = {
    HELD: gettext_lazy("手里有能用的"),
    EXPIRING: gettext_lazy("快到期还没用"),
    USED: gettext_lazy("用过"),
    EXPIRED: gettext_lazy("过期没用"),
    NEVER: gettext_lazy("从来没有过"),
}


def _coupon(said: Said, query: Query) -> Parts:
    state, now = Coupon.State, query.put(query.now)
    where = f"c.membership_id = {query.membership('id')}"
    if "coupon" in said:
        where += f" AND c.type_id = ANY({query.ids('coupon', said['coupon'])})"
    if said["is"] in (HELD, EXPIRING):
        where += f" AND c.state = '{state.ISSUED.value}' AND c.valid_until >= {now}"
    if said["is"] == EXPIRING:
        where += f" AND c.valid_until < {now} + make_interval(days => {query.put(said['days'], 'int')})"
    if said["is"] == USED:
        where += f" AND c.state = '{state.REDEEMED.value}'{query.within('c.redeemed_at', said.get('within'))}"
    if said["is"] == EXPIRED:
        gone = f"c.state = '{state.EXPIRED.value}' OR (c.state = '{state.ISSUED.value}' AND c.valid_until < {now})"
        where += f" AND ({gone}){query.within('c.valid_until', said.get('within'))}"
    some = f"EXISTS (SELECT FROM members_coupon c WHERE {where})"
    edge = "max" if said["is"] in (USED, EXPIRED) else "min"
    until = f"(SELECT {edge}({_coupon_at(said)}) FROM members_coupon c WHERE {where})"
    return Parts(f"NOT {some}" if said["is"] == NEVER else some, until, is_certain=True)


def _coupon_at(said: Said) -> str:
    return "c.redeemed_at" if said["is"] == USED else "c.valid_until"


def _coupon_words(said: Said, names: Names) -> str:
    types = _("「%(names)s」") % {"names": spelled(names.of("coupon", said["coupon"]))} if "coupon" in said else ""
    when = str(said["within"]) if "within" in said else ""
    template = {
        HELD: _("有能用的%(types)s券"),
        EXPIRING: _("有%(types)s券 %(days)s 天内到期"),
        USED: _("%(when)s用过%(types)s券"),
        EXPIRED: _("%(when)s有%(types)s券过期没用"),
        NEVER: _("从来没有过%(types)s券"),
    }[said["is"]]
    return template % {"types": types, "when": when, "days": said.get("days")}


# ── Since when, by whom ──────────────────────────────────────────────────────────────────────────────────────────────
def _registered(said: Said, query: Query) -> Parts:
    at = query.membership("registered_at")
    where = f"true{query.within(at, said.get('within'))}"
    if "store" in said:
        where += f" AND {query.membership('registered_store_id')} = ANY({query.ids('store', said['store'])})"
    if "staff" in said:
        where += f" AND {query.membership('registered_by_id')} = ANY({query.ids('staff', said['staff'])})"
    return Parts(where, at)


def _registered_words(said: Said, names: Names) -> str:
    told = [str(said["within"])] if "within" in said else []
    told += [_("在%(stores)s") % {"stores": spelled(names.of("store", said["store"]))}] if "store" in said else []
    told += [_("由%(staff)s招募") % {"staff": spelled(names.of("staff", said["staff"]))}] if "staff" in said else []
    return _("%(how)s入会") % {"how": "".join(told)} if told else _("已入会")


# ── Birthday ─────────────────────────────────────────────────────────────────────────────────────────────────────────
_MONTHS: dict[str, Words] = {"this": gettext_lazy("本月"), "next": gettext_lazy("下个月")}
_MONTHS |= {str(month): format_lazy(gettext_lazy("{month} 月"), month=month) for month in range(1, 13)}


def _birthday(said: Said, query: Query) -> Parts:
    this = query.today.month
    relative = {"this": this, "next": this % 12 + 1}
    months = query.put(sorted({relative.get(code) or int(code) for code in said["month"]}), "int[]")
    theirs = f"b.id = {query.membership('member_id')}"
    born = f"{theirs} AND extract(month FROM b.born_on)::int = ANY({months})"
    value = f"(SELECT to_char(b.born_on, 'MM-DD') FROM members_member b WHERE {theirs})"
    return Parts(f"EXISTS (SELECT FROM members_member b WHERE {born})", value, is_certain=True)


def _birthday_words(said: Said, names: Names) -> str:
    return _("%(months)s生日") % {"months": spelled([str(_MONTHS[code]) for code in said["month"]])}


register(
    Kind(
        code="tier",
        heading=HEADING,
        title=gettext_lazy("会员等级"),
        column=gettext_lazy("等级"),
        fields=(
            Choice(
                name="is",
                label=gettext_lazy("怎样"),
                choices={
                    LEAST: gettext_lazy("达到"),
                    BELOW: gettext_lazy("低于"),
                    ONE_OF: gettext_lazy("是其中之一"),
                    NONE: gettext_lazy("没有等级"),
                },
            ),
            Codes(name="tier", label=gettext_lazy("等级"), of="tier", asked_where=("is", (LEAST, BELOW, ONE_OF))),
        ),
        words=_tier_words,
        parts=_tier,
        shown=plain,
    ),
    Kind(
        code="points",
        heading=HEADING,
        title=gettext_lazy("积分余额"),
        column=gettext_lazy("积分"),
        fields=(compared(), Whole(name="count", label=gettext_lazy("积分"), unit=gettext_lazy("分"))),
        words=lambda said, names: _("积分%(is)s %(count)s") % {"is": comparison(said), "count": said["count"]},
        parts=_points,
        shown=plain,
    ),
    Kind(
        code="points_expiring",
        heading=HEADING,
        title=gettext_lazy("积分快到期"),
        column=gettext_lazy("快到期积分"),
        fields=(
            Whole(name="days", label=gettext_lazy("几天内"), low=0, high=3650, unit=gettext_lazy("天")),
            Whole(name="count", label=gettext_lazy("至少"), low=1, unit=gettext_lazy("分")),
        ),
        words=lambda said, names: _("%(days)s 天内至少有 %(count)s 积分到期") % said,
        parts=_expiring,
        shown=plain,
    ),
    Kind(
        code="coupon",
        heading=HEADING,
        title=gettext_lazy("优惠券"),
        column=gettext_lazy("券"),
        fields=(
            Choice(name="is", label=gettext_lazy("怎样"), choices=_COUPONS),
            Whole(
                name="days",
                label=gettext_lazy("几天内"),
                low=1,
                high=3650,
                unit=gettext_lazy("天"),
                asked_where=("is", (EXPIRING,)),
            ),
            Window(
                name="within", label=gettext_lazy("什么时候"), is_required=False, asked_where=("is", (USED, EXPIRED))
            ),
            Codes(name="coupon", label=gettext_lazy("券种"), of="coupon", is_required=False),
        ),
        words=_coupon_words,
        parts=_coupon,
        shown=day,
    ),
    Kind(
        code="registered",
        heading=HEADING,
        title=gettext_lazy("入会"),
        column=gettext_lazy("入会"),
        fields=(
            Window(name="within", label=gettext_lazy("什么时候"), is_required=False),
            Codes(name="store", label=gettext_lazy("入会门店"), of="store", is_required=False),
            Codes(name="staff", label=gettext_lazy("招募导购"), of="staff", is_required=False),
        ),
        words=_registered_words,
        parts=_registered,
        shown=day,
    ),
    Kind(
        code="birthday",
        heading=HEADING,
        title=gettext_lazy("生日"),
        column=gettext_lazy("生日（月-日）"),
        fields=(
            Choices(
                name="month",
                label=gettext_lazy("哪个月"),
                choices=_MONTHS,
            ),
        ),
        words=_birthday_words,
        parts=_birthday,
        shown=plain,
    ),
)
