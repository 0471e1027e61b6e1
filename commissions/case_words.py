"""Cases in words: what goes in, what comes out, and where that differs from what was expected."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from commissions import rule_words, values
from commissions.engine.cases import Verdict
from commissions.models import PlanCase, PlanVersion
from commissions.models.plans import Role
from retail.models import Staff
from retail.templatetags.figures import yuan


@dataclass(frozen=True, slots=True)
class Told:
    """One case: whether it passes, and if not, each thing that came out otherwise."""

    case: PlanCase
    is_ok: bool
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a version gives on a case: (line, rule, role, who, amount) one by one, and (who, amount) in all."""

    entries: tuple[tuple[str, str, str, str, str], ...]
    totals: tuple[tuple[str, str], ...]


def told(judged: Iterable[tuple[PlanCase, Verdict]]) -> list[Told]:
    return [Told(case, verdict.ok, tuple(_problems(verdict))) for case, verdict in judged]


def _problems(verdict: Verdict) -> Iterable[str]:
    yield from map(rule_words.fault, verdict.problems)
    for name, both in verdict.diff.items():
        if name == "totals":
            yield from _totals_differ(both["expected"] or {}, both["got"] or {})
        else:
            shown = {"name": name, "expected": _short(both["expected"]), "got": _short(both["got"])}
            yield _("%(name)s：应得 %(expected)s，算得 %(got)s") % shown


def _totals_differ(expected: Mapping[str, Any], got: Mapping[str, Any]) -> Iterable[str]:
    for who in sorted({*expected, *got}):
        if expected.get(who, 0) != got.get(who, 0):
            yield _("%(who)s 应得 %(expected)s，算得 %(got)s") % {
                "who": who,
                "expected": _money(expected.get(who, 0)),
                "got": _money(got.get(who, 0)),
            }


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 160 else text[:160] + "…"


def _money(fen: Any) -> str:
    if not isinstance(fen, int):
        return str(fen)
    return "{}¥{}".format("-" if fen < 0 else "", yuan(abs(fen)))


# ── A case that is not kept yet ──────────────────────────────────────────────────────────────────────────────────────
def facts(given: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What of an order the rules are judged on, for somebody to look over."""
    order = given["orders"][0]
    people = _names([*order["roles"].values(), order.get("buyer_clerk")])
    said = [
        (_("付款时间"), order["paid_at"][:16].replace("T", " ")),
        (_("渠道"), str(values.FIXED["channel"].get(order["channel"], order["channel"]))),
        (_("门店"), values.named({"store": [order["store"]]}).get(order["store"], "–") if order["store"] else "–"),
        (_("顾客"), str(values.FIXED["member"]["new" if order["member_is_new"] else "existing"])),
        (_("实付"), _money(sum(line["paid_fen"] for line in order["lines"]))),
        (_("商品行"), str(len(order["lines"]))),
    ]
    if given.get("refunds"):
        said.append((_("退款"), _("%(count)s 笔") % {"count": len(given["refunds"])}))
    roles = (f"{_role(role)} {people.get(who, who)}" for role, who in order["roles"].items() if who)
    return [*said, (_("谁"), _("、").join(roles) or "–")]


def result(version: PlanVersion, verdict: Verdict) -> Outcome:
    """What comes out, with rules and people by name."""
    got = verdict.result or {}
    rules = dict(version.rules.values_list("code", "name"))
    people = _names([*got.get("totals", {}), *(row[3] for row in got.get("entries", []))])
    entries = (
        (line, rules.get(rule, rule), _role(role), people.get(who, who), _money(fen))
        for line, rule, role, who, fen in got.get("entries", [])
    )
    totals = ((people.get(who, who), _money(fen)) for who, fen in got.get("totals", {}).items())
    return Outcome(tuple(entries), tuple(totals))


def _names(codes: Sequence[Any]) -> dict[str, str]:
    """Code of a person → name and code, of those there are."""
    rows = Staff._base_manager.filter(code__in={code for code in codes if code}).values_list("code", "name")
    return {code: f"{name} {code}" for code, name in rows}


def _role(code: str) -> str:
    return str(Role(code).label) if code in Role.values else code
