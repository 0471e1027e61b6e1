"""A version as the person reads it who has to answer for it: every rule in a sentence, and what is odd about it."""

from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _

from commissions import documents, engine, plans, rule_words
from commissions.engine import lint
from commissions.models import PlanVersion, Rule, Share
from retail.templatetags.figures import percent


@dataclass(frozen=True, slots=True)
class RuleReview:
    """One rule. `warnings`: what its author will want to mend; `neighbours`: who gets what it shares with others.

    Of many neighbours some are told, and `overlap_count` says how many there are.
    """

    rule: Rule
    sentence: str
    warnings: tuple[str, ...] = ()
    neighbours: tuple[str, ...] = ()
    overlap_count: int = 0


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
    words = _Words(rule_words.names(*(rule.when for rule in rules)), {rule.code: rule.name for rule in rules})
    try:
        plan = documents.compiled(version, rules)
    except engine.PlanError:
        reviews = [words.of(rule) for rule in rules]
        return Review(tuple(_groups(version, reviews, {})), tuple(plans.faults(version)))
    found: dict[str, list[str]] = {}
    for one in lint.findings(plan, now=now):  # those of a whole group are kept under its name
        found.setdefault(one.rule_id or f"group {one.group}", []).append(rule_words.finding(one, words.titles))
    places = {contender.rule.id: contender.position for contender in plan.contenders}
    walked = sorted(rules, key=lambda rule: places[rule.code])
    reviews = [words.of(rule, found.get(rule.code, ()), lint.overlaps(plan, rule.code)) for rule in walked]
    unused = set(version.group_modes) - {rule.group for rule in rules}
    warnings = tuple(_("规则组「%(group)s」定了方式，却没有规则。") % {"group": group} for group in sorted(unused))
    return Review(tuple(_groups(version, reviews, found)), () if rules else tuple(plans.faults(version)), warnings)


@dataclass(frozen=True, slots=True)
class _Words:
    """What things are called: `names` of stores, tiers …, `titles` of rules, both by code."""

    names: dict[str, str]
    titles: dict[str, str]

    def of(self, rule: Rule, warnings: Iterable[str] = (), overlaps: Sequence[lint.Overlap] = ()) -> RuleReview:
        sentence = rule_words.sentence(rule, rule.shares.all(), self.names)
        neighbours = tuple(rule_words.overlap(one, self.titles) for one in overlaps[:_MOST_NEIGHBOURS])
        return RuleReview(rule, sentence, tuple(warnings), neighbours, len(overlaps))


_MOST_NEIGHBOURS = 12


def _groups(version: PlanVersion, reviews: Sequence[RuleReview], found: dict[str, list[str]]) -> Iterable[GroupReview]:
    members: dict[str, list[RuleReview]] = {}
    for one in reviews:
        members.setdefault(one.rule.group, []).append(one)
    for group, mates in members.items():
        mode = version.group_modes.get(group, "list_order")
        said = str(rule_words.MODES.get(mode, mode)) if len(mates) > 1 else ""
        yield GroupReview(group, said, tuple(mates), tuple(found.get(f"group {group}", ())))


def of_rule(rule: Rule, *, shares: Sequence[Share], version: PlanVersion, now: datetime) -> RuleReview:
    """Read one rule as it stands in a form, beside the rules its version has. `rule` need not be saved."""
    rule = copy(rule)
    rule.pk = rule.pk or 0  # a row without a number is refused its parts
    rule._prefetched_objects_cache = {"shares": shares}  # type: ignore[attr-defined]
    rules = [*version.rules.exclude(pk=rule.pk).prefetch_related("shares"), rule]
    words = _Words(rule_words.names(rule.when), {one.code: one.name for one in rules})
    try:
        plan = documents.compiled(version, rules)
    except engine.PlanError as error:
        return words.of(rule, map(rule_words.fault, error.messages))
    found = (rule_words.finding(one, words.titles) for one in lint.of_rule(plan, rule.code, now=now))
    return words.of(rule, found, lint.overlaps(plan, rule.code))


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
