"""Rules in plain Chinese: what their JSON says, and what the engine says is wrong with it."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from commissions.models import AttainmentStep, Rule, Share
from commissions.models.plans import Role
from retail.models import Brand, Category, Channel, Product, Store, StoreGroup
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
_NAMED = {"store": Store, "store_group": StoreGroup, "brand": Brand, "category": Category, "product": Product}
_VALUES = {
    "direct": gettext_lazy("直营"),
    "franchise": gettext_lazy("加盟"),
    "new": gettext_lazy("新客"),
    "existing": gettext_lazy("老客"),
    **dict(Channel.Kind.choices),
}


def names(when: Mapping[str, Any]) -> dict[str, str]:
    """Code → name of the stores, store groups, brands, categories and products that conditions name."""
    found: dict[str, str] = {}
    for condition, model in _NAMED.items():
        codes = when.get(condition)
        if isinstance(codes, list):
            code = "sku" if model is Product else "code"
            found |= dict(model._base_manager.filter(**{f"{code}__in": codes}).values_list(code, "name"))
    return found


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
    values = value if isinstance(value, list) else [value]
    listed = _("、").join(str(_VALUES.get(one) or names.get(str(one), one)) for one in values)
    return _("%(name)s：%(what)s") % {"name": LISTS.get(name, name), "what": listed}


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
        steps = ({"fold": f"{bp / 1000:g}", "rate": percent(ppm)} for bp, ppm in calc["steps"])
        listed = _("、").join(_("%(fold)s 折起 %(rate)s") % step for step in steps)
        return _("%(name)s：%(what)s") % {"name": base, "what": listed}
    rated = f"{base} × {percent(calc.get('ppm'))}"
    return f"{rated} + " + _("每件 ¥%(fen)s") % {"fen": yuan(calc["fen"])} if kind == "rate_plus" else rated


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
