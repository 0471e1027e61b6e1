"""Rules in plain Chinese: what their JSON says, and what the engine says is wrong with it."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from commissions import values
from commissions.engine import lint
from commissions.models import AttainmentStep, Rule, Share
from commissions.models.plans import Role
from retail.templatetags.figures import percent, yuan

# Conditions that list what they allow.
LISTS = {
    "channel": gettext_lazy("渠道"),
    "store": gettext_lazy("门店"),
    "store_group": gettext_lazy("门店组"),
    "ownership": gettext_lazy("经营方式"),
    "brand": gettext_lazy("品牌"),
    "category": gettext_lazy("品类"),
    "product": gettext_lazy("商品"),
    "tier": gettext_lazy("等级"),
    "live_event": gettext_lazy("直播"),
    "material": gettext_lazy("素材"),
    "member": gettext_lazy("顾客"),
}
_VALUES = {code: words for fixed in values.FIXED.values() for code, words in fixed.items()}
_MOST_LISTED = 12  # of the values of one condition; the others are counted


def names(*whens: Mapping[str, Any]) -> dict[str, str]:
    """Code → name of the stores, categories, tiers … that the conditions of any number of rules name."""
    wanted: dict[str, list[Any]] = {}
    for when in whens:
        for condition, codes in when.items():
            if isinstance(codes, list):
                wanted.setdefault(condition, []).extend(codes)
    return values.named(wanted)


def conditions(when: Mapping[str, Any], names: Mapping[str, str] | None = None) -> str:
    """ "渠道：门店 POS、小程序；顾客：新客"; "不限" for none. names: code → name where a code has one."""
    said = [_condition(name, value, names or {}) for name, value in when.items()]
    return _("；").join(said) or _("不限")


def _condition(name: str, value: Any, names: Mapping[str, str]) -> str:
    if name == "min_discount_bp":
        return _("折扣不低于 %(fold)s 折") % {"fold": f"{value / 1000:g}"}
    if name == "min_line_fen":
        return _("这行满 ¥%(fen)s") % {"fen": yuan(value)}
    if name == "min_order_fen":
        return _("整单满 ¥%(fen)s") % {"fen": yuan(value)}
    if name == "min_dormant_days":
        return _("沉睡满 %(days)s 天") % {"days": value}
    return _("%(name)s：%(what)s") % {"name": LISTS.get(name, name), "what": _listed(value, names)}


def _listed(value: Any, names: Mapping[str, str]) -> str:
    """ "天猫、京东"; of long lists the first few, and how many there are."""
    listed = [
        str(_VALUES.get(str(one)) or names.get(str(one), one))
        for one in (value if isinstance(value, list) else [value])
    ]
    said = _("、").join(listed[:_MOST_LISTED])
    return said if len(listed) <= _MOST_LISTED else _("%(some)s等 %(count)s 个") % {"some": said, "count": len(listed)}


def calculation(rule: Rule) -> str:
    """ "实付 × 3%", with floor and cap."""
    said = [_calc(rule.get_base_display(), rule.calc)]
    if rule.floor_fen is not None:
        said.append(_("最低 ¥%(fen)s") % {"fen": yuan(rule.floor_fen)})
    if rule.cap_fen is not None:
        said.append(_("最高 ¥%(fen)s") % {"fen": yuan(rule.cap_fen)})
    return _("，").join(said)


def _calc(base: str, calc: Mapping[str, Any]) -> str:
    kind = calc.get("type")
    if kind == "fixed":
        return _("每行 ¥%(fen)s") % {"fen": yuan(calc["fen"])}
    if kind == "per_qty":
        return _("每件 ¥%(fen)s") % {"fen": yuan(calc["fen"])}
    if kind == "discount_tier":
        return _("%(name)s：%(what)s") % {"name": base, "what": _steps_by_discount(calc)}
    rated = f"{base} × {percent(calc.get('ppm'))}"
    return f"{rated} + " + _("每件 ¥%(fen)s") % {"fen": yuan(calc["fen"])} if kind == "rate_plus" else rated


def _steps_by_discount(calc: Mapping[str, Any]) -> str:
    steps = ({"fold": f"{bp / 1000:g}", "rate": percent(ppm)} for bp, ppm in calc["steps"])
    return _("、").join(_("%(fold)s 折起 %(rate)s") % step for step in steps)


def split(shares: Iterable[Share]) -> str:
    """ "专属 70%、开单 20%、公司 10%"."""
    said = [(str(Role(share.role).label), share.ppm) for share in shares]
    if not said:
        return _("%(role)s 100%%") % {"role": Role.BOUND.label}
    rest = 1_000_000 - sum(ppm for _role, ppm in said)
    if rest > 0:
        said.append((_("公司"), rest))
    return _("、").join(f"{role} {percent(ppm)}" for role, ppm in said)


def steps(steps: Iterable[AttainmentStep]) -> str:
    """ "¥10,000.00 起 2%；¥30,000.00 起 3% 加 ¥200.00"."""
    said = []
    for step in steps:
        text = _("¥%(fen)s 起 %(rate)s") % {"fen": yuan(step.from_fen), "rate": percent(step.ppm)}
        said.append(text + (_(" 加 ¥%(fen)s") % {"fen": yuan(step.fixed_fen)} if step.fixed_fen else ""))
    return _("；").join(said)


def missing(policy: Any) -> str:
    """What becomes of the part of somebody who is not there."""
    if isinstance(policy, Mapping):
        role = policy.get("to_role", "")
        return _("归「%(role)s」") % {"role": Role(role).label if role in Role.values else role}
    return _("由在场的人分") if policy == "reallocate" else _("留在公司")


# ── A whole rule ─────────────────────────────────────────────────────────────────────────────────────────────────────
# How a condition is said inside a sentence.
_CLAUSES = {
    "channel": gettext_lazy("渠道是%(what)s"),
    "store": gettext_lazy("门店是%(what)s"),
    "store_group": gettext_lazy("门店属于「%(what)s」"),
    "ownership": gettext_lazy("门店是%(what)s"),
    "brand": gettext_lazy("品牌是%(what)s"),
    "category": gettext_lazy("品类是%(what)s"),
    "product": gettext_lazy("商品是%(what)s"),
    "tier": gettext_lazy("会员等级是%(what)s"),
    "live_event": gettext_lazy("来自直播「%(what)s」"),
    "material": gettext_lazy("来自素材「%(what)s」"),
    "member": gettext_lazy("顾客是%(what)s"),
}
_ORDER = [*_CLAUSES, "min_dormant_days", "min_discount_bp", "min_line_fen", "min_order_fen"]


def sentence(rule: Rule, shares: Iterable[Share], names: Mapping[str, str] | None = None) -> str:
    """The whole rule as a person would say it: for which sales, how much, for whom."""
    clauses = _clauses(rule.when, names or {})
    which = _("凡%(which)s") % {"which": clauses} if clauses else _("所有商品行")
    said = [_("%(name)s：%(what)s") % {"name": which, "what": _how_much(rule)}, _for_whom(rule, list(shares))]
    if rule.valid_from or rule.valid_to:
        said.append(validity(rule))
    if rule.stop:
        said.append(_("命中后不再看后面的规则"))
    if not rule.counts_for_attainment:
        said.append(_("不计入阶梯业绩"))
    return _("；").join(said) + _("。")


def _clauses(when: Mapping[str, Any], names: Mapping[str, str]) -> str:
    known = sorted(when, key=lambda name: _ORDER.index(name) if name in _ORDER else len(_ORDER))
    return _("，").join(
        str(_CLAUSES[name]) % {"what": _listed(when[name], names)}
        if name in _CLAUSES
        else _condition(name, when[name], names)
        for name in known
    )


def _how_much(rule: Rule) -> str:
    if not rule.is_commissionable:
        return _("占住这一组，不付钱")
    if rule.calc.get("type") == "discount_tier":
        terms = {"base": rule.get_base_display(), "steps": _steps_by_discount(rule.calc)}
        said = [_("给%(base)s的 %(steps)s") % terms]
    else:
        said = [_("给%(calc)s") % {"calc": _calc(rule.get_base_display(), rule.calc)}]
    if rule.floor_fen is not None:
        said.append(_("最低 ¥%(fen)s") % {"fen": yuan(rule.floor_fen)})
    if rule.cap_fen is not None:
        said.append(_("最高 ¥%(fen)s") % {"fen": yuan(rule.cap_fen)})
    return _("，").join(said)


def _for_whom(rule: Rule, shares: list[Share]) -> str:
    absent = _("缺人时%(policy)s") % {"policy": missing(rule.missing)}
    return _("%(split)s，%(absent)s") % {"split": split(shares), "absent": absent}


def validity(rule: Rule) -> str:
    """ "2026-11-01 00:00 起，2026-12-01 00:00 止"."""
    said = []
    if rule.valid_from:
        said.append(_("%(at)s 起") % {"at": f"{timezone.localtime(rule.valid_from):%Y-%m-%d %H:%M}"})
    if rule.valid_to:
        said.append(_("%(at)s 止") % {"at": f"{timezone.localtime(rule.valid_to):%Y-%m-%d %H:%M}"})
    return _("，").join(said)


# ── What the linter found ────────────────────────────────────────────────────────────────────────────────────────────
_FINDINGS = {
    "beaten": gettext_lazy("永远轮不到：符合它的销售都先被%(by)s拿走。"),
    "stopped": gettext_lazy("永远轮不到：符合它的销售都先碰到%(by)s，那条命中后就停了。"),
    "expired": gettext_lazy("有效期已经过了，以后不会再用到。"),
    "pays_nothing": gettext_lazy("不会付给任何人。"),
    "by_code": gettext_lazy("和%(by)s同样优先，只因编码靠前才先算；想清楚谁先，写上优先级。"),
    "idle_group": gettext_lazy("规则组「%(group)s」里没有一条规则会付钱。"),
}
_WHY_FIRST = {
    "priority": gettext_lazy("优先级更高"),
    "specificity": gettext_lazy("条件更具体"),
    "code": gettext_lazy("编码靠前"),
}
_BY_AMOUNT = {
    "highest": gettext_lazy("和%(rule)s都符合时，算得多的那条付。"),
    "lowest": gettext_lazy("和%(rule)s都符合时，算得少的那条付。"),
    "all": gettext_lazy("和%(rule)s都符合时，两条都付。"),
}


def finding(found: lint.Finding, names: Mapping[str, str]) -> str:
    """One finding. names: rule code → its name."""
    return str(_FINDINGS[found.kind]) % {"by": _quoted(found.by, names), "group": found.group}


def overlap(one: lint.Overlap, names: Mapping[str, str]) -> str:
    """Who gets a sale that both rules match."""
    rule = _quoted([one.rule_id], names)
    if one.mode in _BY_AMOUNT:
        return str(_BY_AMOUNT[one.mode]) % {"rule": rule}
    said = {"rule": rule, "why": _WHY_FIRST[one.why]}
    if one.is_earlier:
        return _("和%(rule)s都符合时，那条先（%(why)s），这条拿不到。") % said
    return _("和%(rule)s都符合时，这条先（%(why)s），那条拿不到。") % said


def _quoted(codes: Iterable[str], names: Mapping[str, str]) -> str:
    return _("、").join(_("「%(rule)s」") % {"rule": names.get(code, code)} for code in codes)


MODES = {
    "list_order": gettext_lazy("按下面的次序，先符合的拿"),
    "highest": gettext_lazy("算得最多的拿"),
    "lowest": gettext_lazy("算得最少的拿"),
    "sum": gettext_lazy("符合的都拿"),
}


# ── What is wrong ────────────────────────────────────────────────────────────────────────────────────────────────────
_PROBLEMS = [
    (r"is missing", gettext_lazy("没有填")),
    (r"is not known", gettext_lazy("没有这个字段，请检查拼写")),
    (r"must be an object", gettext_lazy("要写成 {…}")),
    (r"must be a list", gettext_lazy("要写成列表 […]")),
    (r"must be a text", gettext_lazy("要写成文字")),
    (r"must be true or false", gettext_lazy("只能是 true 或 false")),
    (r"must be a whole number", gettext_lazy("要写成整数")),
    (r"must be (?P<n>-?\d+) or more", gettext_lazy("不能小于 %(n)s")),
    (r"must be one of (?P<n>.+)", gettext_lazy("只能是 %(n)s 之一")),
    (r"must be pairs of whole numbers", gettext_lazy("每一档要写成 [折扣， 比例] 两个整数")),
    (r"must fall from step to step, none twice", gettext_lazy("各档折扣要从高到低，不能重复")),
    (r"must not be empty; .*", gettext_lazy("列表不能是空的；不限制就删掉这个条件")),
    (r"must name at least one role", gettext_lazy("至少要有一个角色")),
    (r"must not name a role twice", gettext_lazy("同一个角色只能写一次")),
    (r"must be after valid.from", gettext_lazy("要晚于开始时间")),
    (r"must be a day like .+", gettext_lazy("要写成日期，例如 2026-12-01")),
    (r"must be an ISO 8601 time", gettext_lazy("要写成时间，例如 2026-11-01T00:00:00")),
    (r"is too far away .*", gettext_lazy("离现在太远")),
    (r".* is not a known time zone", gettext_lazy("没有这个时区")),
    (r"is not one of the periods", gettext_lazy("不在结算期里")),
    (r"must come out even in parts of a million", gettext_lazy("化成百分比除不尽，请写成加起来 1000000 的整数")),
]


def problem(message: str) -> tuple[str, str]:
    """A message of the engine as field and words: "rule r1: calc.ppm: is missing" → ("calc.ppm", "没有填")."""
    said = re.sub(r"^rule [^:]*: ", "", message)
    path, separator, rest = said.partition(": ")
    if not separator:
        return "", said
    for pattern, words in _PROBLEMS:
        if match := re.fullmatch(pattern, rest):
            values = {name: value.replace(", ", _("、")) for name, value in match.groupdict().items()}
            return path, str(words) % values if values else str(words)
    return path, rest


def fault(message: str) -> str:
    """A message of the engine as one sentence, the place first: "rules[0]：没有填"."""
    path, words = problem(message)
    return _("%(name)s：%(what)s") % {"name": path, "what": words} if path else words
