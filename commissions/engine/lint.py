"""What is suspicious in a plan that compiles: rules that never get their turn, that pay nothing, that tie by chance.

All of it is found by comparing rules with rules, without a single sale. What is called unreachable is so for every
sale there could be; the reverse is not promised: a rule can be kept out by many others in ways that are not seen.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from .facts import wall_clock
from .plan import CompiledPlan, Contender
from .rules import LISTS, Rule
from .splits import HOUSE

Kind = Literal["beaten", "stopped", "expired", "pays_nothing", "by_code", "idle_group"]
"""A finding: always beaten by rules of its own group; always after a rule that stops; over by now; pays nobody
anything; stands before `by` only because of its code; a group in which no rule pays anybody."""

UNREACHABLE = ("beaten", "stopped")

_Mode = Literal["first", "all", "highest", "lowest"]

_SEVERAL = ("store_group",)
"""Facts of which a sale may have several values at once: two lists without a common value may both hold."""

_ALL_VALUES = {"member": frozenset(["new", "existing"])}
"""Conditions whose values are known to be all there are."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is suspicious. `rule_id` is empty for a group; `by` names the rules that are the reason."""

    kind: Kind
    group: str
    rule_id: str = ""
    by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Overlap:
    """A rule of the same group that some sale matches, too. `mode` says who of them gets it.

    With `first`, the one that is `earlier` does; `why` says what put it there.
    """

    rule_id: str
    mode: _Mode
    is_earlier: bool
    why: Literal["priority", "specificity", "code"]


def findings(plan: CompiledPlan, *, now: datetime | None = None) -> list[Finding]:
    """Return all that is suspicious, in the order of the walk. Rules over by `now` are told as such."""
    found = [finding for contender in plan.contenders for finding in of_rule(plan, contender.rule.id, now=now)]
    return found + list(_idle_groups(plan, found))


def of_rule(plan: CompiledPlan, rule_id: str, *, now: datetime | None = None) -> list[Finding]:
    """Return what is suspicious of one rule. Raises LookupError for a rule that is not in the plan."""
    one = _contender(plan, rule_id)
    rule = one.rule
    found: list[Finding] = []
    if now is not None and _is_over(plan, one, now):
        found.append(Finding("expired", rule.group, rule.id))
    if by := _beaten_by(plan, one):
        found.append(Finding("beaten", rule.group, rule.id, tuple(other.rule.id for other in by)))
    elif (stop := _stopped_by(plan, one)) is not None:
        found.append(Finding("stopped", rule.group, rule.id, (stop.rule.id,)))
    elif by_code := [it.rule_id for it in overlaps(plan, rule.id) if _is_tie(it) and not it.is_earlier]:
        found.append(Finding("by_code", rule.group, rule.id, tuple(by_code)))
    if _pays_nobody(rule):
        found.append(Finding("pays_nothing", rule.group, rule.id))
    return found


def overlaps(plan: CompiledPlan, rule_id: str) -> list[Overlap]:
    """Return the rules of the same group that a sale could match together with this one, in the order of the walk."""
    one = _contender(plan, rule_id)
    return [
        Overlap(other.rule.id, _mode(other), other.position < one.position, _why_before(one.rule, other.rule))
        for other in plan.contenders
        if other.bit & one.rivals and other is not one and not _are_disjoint(plan, one, other)
    ]


# ── Rules that never get their turn ──────────────────────────────────────────────────────────────────────────────────
def _beaten_by(plan: CompiledPlan, one: Contender) -> list[Contender]:
    """Return rules of its group that are tried before it, one of which matches whatever it matches; none, []."""
    if one.mode != "list_order":
        return []  # the amount decides, or all pay
    earlier = [other for other in plan.contenders[: one.position] if other.bit & one.rivals]
    for other in earlier:
        if _covers(plan, other, one):
            return [other]
    for name in (*LISTS, "member"):
        if by := _together(plan, earlier, one, name):
            return by
    return []


def _together(plan: CompiledPlan, earlier: Sequence[Contender], one: Contender, name: str) -> list[Contender]:
    """Return the rules that cover it between them, each for some of its values of one condition."""
    left = set[str](one.rule.accepts.get(name) or _ALL_VALUES.get(name) or ())
    by: list[Contender] = []
    for other in earlier if left else ():
        theirs = other.rule.accepts.get(name, frozenset())
        if left & theirs and _covers(plan, other, one, except_for=name):
            left -= theirs
            by.append(other)
            if not left:
                return by
    return []


def _stopped_by(plan: CompiledPlan, one: Contender) -> Contender | None:
    """Return a rule that ends the walk before it, whatever the sale; none, None."""
    # Where the amount decides, a group is dealt with at the first of its rules.
    turn = one.position if one.mode in ("list_order", "sum") else _first_of(one)
    for other in plan.contenders[:turn]:
        if other.rule.stop and _covers(plan, other, one) and _is_sure_to_stop(plan, other, one):
            return other
    return None


def _first_of(one: Contender) -> int:
    return (one.rivals & -one.rivals).bit_length() - 1


def _is_sure_to_stop(plan: CompiledPlan, stop: Contender, one: Contender) -> bool:
    """Whether nobody could take the place of `stop` on a sale of `one` without ending the walk, too."""
    if stop.mode == "sum":
        return True
    rivals = [other for other in plan.contenders if other.bit & stop.rivals and other is not stop]
    if stop.mode == "list_order":
        rivals = [other for other in rivals if other.position < stop.position]
    return all(other.rule.stop or _are_disjoint(plan, other, one) for other in rivals)


# ── One rule beside another ──────────────────────────────────────────────────────────────────────────────────────────
def _covers(plan: CompiledPlan, wide: Contender, narrow: Contender, *, except_for: str = "") -> bool:
    """Whether every sale that matches `narrow` matches `wide`, one condition of it left aside."""
    outer, inner = wide.rule, narrow.rule
    return (
        all(
            name in inner.accepts and inner.accepts[name] <= allowed
            for name, allowed in outer.accepts.items()
            if name != except_for
        )
        and all(name in inner.leasts and inner.leasts[name] >= least for name, least in outer.leasts.items())
        and (outer.base != "margin" or inner.base == "margin")  # a margin needs a cost
        and _is_within(plan, narrow, wide)
    )


def _is_within(plan: CompiledPlan, inner: Contender, outer: Contender) -> bool:
    start, end = plan.index.span(outer.position)
    first, last = plan.index.span(inner.position)
    begins = start is None or (first is not None and first >= start)
    return begins and (end is None or (last is not None and last <= end))


def _are_disjoint(plan: CompiledPlan, one: Contender, other: Contender) -> bool:
    """Whether no sale can match both."""
    for name, allowed in one.rule.accepts.items():
        theirs = other.rule.accepts.get(name)
        if theirs is not None and name not in _SEVERAL and not allowed & theirs:
            return True
    (start, end), (first, last) = plan.index.span(one.position), plan.index.span(other.position)
    return (end is not None and first is not None and end <= first) or (
        last is not None and start is not None and last <= start
    )


def _why_before(one: Rule, other: Rule) -> Literal["priority", "specificity", "code"]:
    if one.priority != other.priority:
        return "priority"
    return "specificity" if one.specificity != other.specificity else "code"


def _mode(one: Contender) -> _Mode:
    modes: dict[str, _Mode] = {"highest": "highest", "lowest": "lowest", "sum": "all"}
    return modes.get(one.mode, "first")


def _is_tie(overlap: Overlap) -> bool:
    return overlap.mode == "first" and overlap.why == "code"


# ── Rules without effect ─────────────────────────────────────────────────────────────────────────────────────────────
def _is_over(plan: CompiledPlan, one: Contender, now: datetime) -> bool:
    end = plan.index.span(one.position)[1]
    return end is not None and end <= wall_clock(now, plan.zone)


def _pays_nobody(rule: Rule) -> bool:
    calc = rule.calc
    rates = [ppm for _, ppm in calc.steps] or [calc.ppm]
    is_nothing = not (any(rates) or calc.line_fen or calc.piece_fen) or rule.cap_fen == 0
    return is_nothing or not rule.commissionable or _is_kept_by_house(rule)


def _is_kept_by_house(rule: Rule) -> bool:
    weights = {share.role: share.weight for share in rule.split}
    return rule.missing == "forfeit" and weights.pop(HOUSE, 0) > 0 and not any(weights.values())


def _idle_groups(plan: CompiledPlan, found: Sequence[Finding]) -> Iterator[Finding]:
    """The groups all of whose rules are known to pay nobody, and where none ends the walk on purpose."""
    idle = {finding.rule_id for finding in found if finding.kind in ("pays_nothing", "expired", *UNREACHABLE)}
    groups: dict[str, list[Rule]] = {}
    for contender in plan.contenders:
        groups.setdefault(contender.rule.group, []).append(contender.rule)
    for group, rules in groups.items():
        if all(rule.id in idle and not rule.stop for rule in rules):
            yield Finding("idle_group", group)


def _contender(plan: CompiledPlan, rule_id: str) -> Contender:
    for contender in plan.contenders:
        if contender.rule.id == rule_id:
            return contender
    raise LookupError(f"the plan has no rule {rule_id}")
