"""A version as the person reads it who has to answer for it: every rule in a sentence, and what is odd about it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _

from commissions import documents, engine, plans, rule_words
from commissions.engine import lint
from commissions.models import PlanVersion, Rule, Share
from retail.templatetags.figures import percent


@dataclass(frozen=True, slots=True)
class RuleReview:
    """One rule. `warnings`: what its author will want to mend; `neighbours`: who gets what it shares with others."""

    rule: Rule
    sentence: str
    warnings: tuple[str, ...] = ()
    neighbours: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GroupReview:
    """One group with its rules in the order they are tried."""

    name: str
    mode: str
    rules: tuple[RuleReview, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Review:
    """A whole version. With `faults` it cannot be used, and its rules stand as they were written."""

    groups: tuple[GroupReview, ...]
    faults: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def is_clean(self) -> bool:
        return (
            not self.faults
            and not self.warnings
            and not any(group.warnings or any(one.warnings for one in group.rules) for group in self.groups)
        )


@dataclass(frozen=True, slots=True)
class SplitReview:
    """Who gets how much of a pool, and what is left for the company."""

    parts: tuple[tuple[str, str], ...]
    total: str
    rest: str
    is_too_much: bool


def of_version(version: PlanVersion, *, now: datetime) -> Review:
    """Read a whole version. Four queries, and one for each table that conditions name."""
    rules = list(version.rules.prefetch_related("shares"))
    names = rule_words.names(*(rule.when for rule in rules))
    try:
        plan = documents.compiled(version, rules)
    except engine.PlanError:
        return Review(tuple(_groups(version, rules, names, None, now)), tuple(plans.faults(version)))
    places = {contender.rule.id: contender.position for contender in plan.contenders}
    walked = sorted(rules, key=lambda rule: places[rule.code])
    unused = set(version.group_modes) - {rule.group for rule in rules}
    warnings = [_("规则组「%(group)s」定了方式，却没有规则。") % {"group": group} for group in sorted(unused)]
    faults = () if rules else tuple(plans.faults(version))
    return Review(tuple(_groups(version, walked, names, plan, now)), faults, tuple(warnings))


def _groups(
    version: PlanVersion,
    rules: Sequence[Rule],
    names: dict[str, str],
    plan: engine.CompiledPlan | None,
    now: datetime,
) -> Iterable[GroupReview]:
    members: dict[str, list[Rule]] = {}
    for rule in rules:
        members.setdefault(rule.group, []).append(rule)
    titles = {rule.code: rule.name for rule in rules}
    idle = {one.group for one in lint.findings(plan, now=now) if one.kind == "idle_group"} if plan else set()
    for group, mates in members.items():
        mode = version.group_modes.get(group, "list_order")
        warnings = [rule_words.finding(lint.Finding("idle_group", group), titles)] if group in idle else []
        yield GroupReview(
            group,
            str(rule_words.MODES.get(mode, mode)) if len(mates) > 1 else "",
            tuple(_rule(rule, names, titles, plan, now) for rule in mates),
            tuple(warnings),
        )


def _rule(
    rule: Rule, names: dict[str, str], titles: dict[str, str], plan: engine.CompiledPlan | None, now: datetime
) -> RuleReview:
    sentence = rule_words.sentence(rule, rule.shares.all(), names)
    if plan is None:
        return RuleReview(rule, sentence)
    found = lint.of_rule(plan, rule.code, now=now)
    return RuleReview(
        rule,
        sentence,
        tuple(rule_words.finding(one, titles) for one in found),
        tuple(rule_words.overlap(one, titles) for one in lint.overlaps(plan, rule.code)),
    )


def of_rule(rule: Rule, *, shares: Sequence[Share], version: PlanVersion, now: datetime) -> RuleReview:
    """Read one rule as it stands in a form, beside the rules its version has. `rule` need not be saved."""
    rule._prefetched_objects_cache = {"shares": shares}  # type: ignore[attr-defined]
    others = list(version.rules.exclude(pk=rule.pk).prefetch_related("shares"))
    titles = {one.code: one.name for one in (*others, rule)}
    names = rule_words.names(rule.when)
    try:
        plan = documents.compiled(version, [*others, rule])
    except engine.PlanError as error:
        sentence = rule_words.sentence(rule, shares, names)
        return RuleReview(rule, sentence, tuple(map(rule_words.fault, error.messages)))
    return _rule(rule, names, titles, plan, now)


def of_split(shares: Sequence[Share]) -> SplitReview:
    """The live total of a split. Without a single share all goes to the clerk the customer is bound to."""
    given = [(str(share.get_role_display()), share.ppm) for share in shares]
    if not given:
        given = [(str(Share(role="bound").get_role_display()), documents.WHOLE_PPM)]
    total = sum(ppm for _role, ppm in given)
    rest = documents.WHOLE_PPM - total
    return SplitReview(
        tuple((role, percent(ppm)) for role, ppm in given), percent(total), percent(abs(rest)), is_too_much=rest < 0
    )
