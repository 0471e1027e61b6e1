"""A compiled plan: its rules in the order of the walk, and the walk that finds the rules that win a line."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from .calcs import base_of
from .facts import Line
from .index import RuleIndex, mask_of
from .rules import PlanError, Rule
from .splits import Split

GROUP_MODES = ("list_order", "highest", "lowest", "sum")
"""Which of the matching rules of a group win: the first of the walk, the largest or smallest pool, or all."""

_BY_AMOUNT = ("highest", "lowest")


class Contender:
    """A rule in its place in the walk. The lines given to it are positive twins.

    `rivals` is the mask of its group, itself included; `remaining` the mask of what may still win after it has.
    """

    __slots__ = (
        *("_calculate", "_cap_fen", "_floor_fen", "_is_on_paid"),
        *("bit", "mode", "position", "remaining", "rivals", "rule", "split"),
    )

    def __init__(self, *, rule: Rule, position: int, mode: str, rivals: int) -> None:
        self.rule = rule
        self.position = position
        self.bit = 1 << position
        self.mode = mode
        self.rivals = rivals
        self._calculate, self._is_on_paid = rule.calc.pool, rule.base == "paid"
        self._floor_fen = rule.floor_fen or 0
        self._cap_fen = rule.cap_fen if rule.commissionable else 0
        self.remaining = 0 if rule.stop else ~(self.bit if mode == "sum" else rivals)
        self.split = Split(shares=rule.split, missing=rule.missing, to_role=rule.to_role)

    def raw_pool(self, line: Line) -> int:
        """Return the pool in fen before floor and cap."""
        return self._calculate(line.paid_fen if self._is_on_paid else base_of(self.rule.base, line), line)

    def pool(self, line: Line) -> int:
        """Return what the rule gives for the line in fen, 0 or more."""
        pool = self.raw_pool(line)
        # A gift must not be lifted: the floor is for a small commission, not for none.
        if 0 < pool < self._floor_fen:
            pool = self._floor_fen
        return pool if self._cap_fen is None or pool < self._cap_fen else self._cap_fen


class CompiledPlan:
    """A plan ready to price lines; made by `compile_plan`. It only remembers, so threads may share one."""

    __slots__ = ("contenders", "index", "zone")

    def __init__(self, *, contenders: Sequence[Contender], index: RuleIndex, zone: ZoneInfo) -> None:
        self.contenders = tuple(contenders)
        self.index = index
        self.zone = zone

    def winners(self, matching: int, line: Line) -> list[Contender]:
        """Return the rules that take their group, in the order of evaluation.

        `matching` is the mask of the rules that match the line (a positive twin). The best of those left is
        the lowest bit; having won, it clears the bits of all it keeps out.
        """
        won = []
        while matching:
            best = self.contenders[(matching & -matching).bit_length() - 1]
            if best.mode in _BY_AMOUNT:
                best = self._best_paid(matching & best.rivals, line, most=best.mode == "highest")
            won.append(best)
            matching &= best.remaining
        return won

    def _best_paid(self, rivals: int, line: Line, *, most: bool) -> Contender:
        """Return the rule of a group with the largest (or smallest) pool, the earlier of equals.

        A group is decided where the first of its matching rules stands in the walk.
        """
        matching = [contender for contender in self.contenders if contender.bit & rivals]
        return (max if most else min)(matching, key=lambda contender: contender.pool(line))


def compile_plan(
    rules: Iterable[Rule], *, tz: str = "Asia/Shanghai", group_modes: Mapping[str, str] | None = None
) -> CompiledPlan:
    """Compile the rules of one plan version.

    `tz` is the zone whose wall clock the validities are written in; `group_modes` maps a group to one of
    GROUP_MODES (default `list_order`). Raises PlanError for a rule id used twice, a validity that ends before
    it begins, an unknown zone or mode.
    """
    # Priority and specificity fall, ids rise; ids are texts, so "r10" stands before "r9".
    ranked = sorted(rules, key=lambda rule: (-rule.priority, -rule.specificity, rule.id))
    modes = group_modes or {}
    zone = zone_of(tz)
    index = RuleIndex(rules=ranked, zone=zone)
    _check(ranked, index, modes)
    groups: dict[str, list[int]] = {}
    for position, rule in enumerate(ranked):
        groups.setdefault(rule.group, []).append(position)
    contenders = [
        Contender(
            rule=rule,
            position=position,
            mode=modes.get(rule.group, "list_order"),
            rivals=mask_of(groups[rule.group]),
        )
        for position, rule in enumerate(ranked)
    ]
    return CompiledPlan(contenders=contenders, index=index, zone=zone)


def zone_of(tz: str) -> ZoneInfo:
    """Return the time zone of a name; raises PlanError for an unknown one."""
    try:
        return ZoneInfo(tz)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # unknown, or not even the form of a name
        raise PlanError([f"tz: {tz!r} is not a known time zone"]) from None


def _check(rules: Sequence[Rule], index: RuleIndex, modes: Mapping[str, str]) -> None:
    uses = Counter(rule.id for rule in rules)
    problems = [f"rule {rule_id}: id is used {times} times" for rule_id, times in uses.items() if times > 1]
    problems += [f"rule {rules[position].id}: valid.to must be after valid.from" for position in index.never_valid()]
    problems += [
        f"group_modes.{group}: must be one of {', '.join(GROUP_MODES)}"
        for group, mode in modes.items()
        if mode not in GROUP_MODES
    ]
    if problems:
        raise PlanError(problems)
