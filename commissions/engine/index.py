"""The rules of a plan as bit masks: bit i stands for the i-th rule in the order of the walk.

Each condition knows, for a fact, the mask of the rules that accept it: a list of values by dictionary, a
lower bound and the validity by bisection. The rules that match a line are the AND of these masks, whatever
their number; the best of them is the lowest bit; and the reason why a rule does not match is the first
condition whose mask lacks its bit.
"""

import sys
from bisect import bisect_right
from collections.abc import Callable, Hashable, Sequence
from datetime import datetime, tzinfo
from functools import reduce
from itertools import accumulate
from operator import and_, or_, xor
from typing import Generic, TypeVar

from .facts import Id, Line, Order, wall_clock
from .rules import LISTS, Rule

_REMEMBERED = 1 << 16
"""Combinations of facts kept in a memo. Real sales repeat a few thousand; the limit is for long-lived processes."""

CONDITION_REASONS = (
    *("channel", "store", "store_group", "ownership", "brand", "category", "product"),
    *("not_new_member", "not_existing_member", "tier", "live_event", "material"),
    *("dormant", "discount_floor", "min_line", "min_order", "no_cost"),
)
"""Why a rule does not match, validity apart. A rule that fails several conditions names the first of these."""

_Fact = TypeVar("_Fact")


def mask_of(positions: Sequence[int]) -> int:
    """Return the int whose bits are set at `positions`."""
    return reduce(or_, (1 << position for position in positions), 0)


class _Listed:
    """A condition that lists the values it allows. A rule without it allows all."""

    __slots__ = ("_accepting", "_indifferent")

    def __init__(self, *, name: str, rules: Sequence[Rule]) -> None:
        self._indifferent = mask_of([place for place, rule in enumerate(rules) if name not in rule.accepts])
        self._accepting: dict[str, int] = {}
        for position, rule in enumerate(rules):
            for value in rule.accepts.get(name, ()):
                self._accepting[value] = self._accepting.get(value, 0) | 1 << position

    def accepting(self, *values: Id | None) -> int:
        """Return the rules that allow at least one of the values; None is no value."""
        mask = self._indifferent
        for value in values:
            if value is not None:
                mask |= self._accepting.get(str(value), 0)
        return mask


def _days_dormant(order: Order) -> int:
    # Below every bound: who never bought is new, not dormant.
    return -1 if order.dormant_days is None else order.dormant_days


def _discount_bp(line: Line) -> int:
    # In whole numbers paid × 10 000 ≥ tag × bp is the same as paid × 10 000 ÷ tag, cut off, ≥ bp. Without a
    # tag price the first is always true.
    return line.paid_fen * 10_000 // line.tag_fen if line.tag_fen else sys.maxsize


class _Least(Generic[_Fact]):
    """A condition that sets a lower bound. Equality passes; a rule without it accepts every amount."""

    __slots__ = ("_bounds", "_masks", "_measure")

    def __init__(self, *, name: str, rules: Sequence[Rule], measure: Callable[[_Fact], int]) -> None:
        self._measure = measure
        self._bounds = sorted({rule.leasts[name] for rule in rules if name in rule.leasts})
        passed = [mask_of([place for place, rule in enumerate(rules) if name not in rule.leasts])]
        for bound in self._bounds:
            passed.append(mask_of([place for place, rule in enumerate(rules) if rule.leasts.get(name) == bound]))
        self._masks: list[int] = list(accumulate(passed, or_))

    def __bool__(self) -> bool:
        return bool(self._bounds)

    def accepting(self, fact: _Fact) -> int:
        return self._masks[bisect_right(self._bounds, self._measure(fact))]


class _CostKnown:
    """The unwritten condition of a rule on the margin: the cost of the line is known."""

    __slots__ = ("_indifferent",)

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._indifferent = mask_of([place for place, rule in enumerate(rules) if rule.base != "margin"])

    def accepting(self, fact: Line) -> int:
        return self._indifferent if fact.cost_fen is None else -1


class _Timeline:
    """Which rules are valid at a wall-clock moment.

    The starts and ends of all rules cut time into spans with one mask each, so the answer is exact whatever
    the precision of the edges, and costs one bisection.
    """

    __slots__ = ("_edges", "_masks")

    def __init__(self, spans: Sequence[tuple[datetime | None, datetime | None]]) -> None:
        toggles: dict[datetime, int] = {}
        for position, span in enumerate(spans):
            for edge in filter(None, span):
                toggles[edge] = toggles.get(edge, 0) ^ 1 << position
        self._edges = sorted(toggles)
        at_first = mask_of([position for position, (start, _) in enumerate(spans) if start is None])
        # A rule is switched at its start and switched back at its end: `from` belongs to it, `to` does not.
        self._masks: list[int] = list(accumulate((toggles[edge] for edge in self._edges), xor, initial=at_first))

    def valid_at(self, wall: datetime) -> int:
        return self._masks[bisect_right(self._edges, wall)]


def _measures_of_orders(rules: Sequence[Rule]) -> dict[str, Callable[[Order], int]]:
    """Return the lower bounds on orders that are in use, by the reason they give."""
    bounds: dict[str, _Least[Order]] = {
        "dormant": _Least(name="min_dormant_days", rules=rules, measure=_days_dormant),
        "min_order": _Least(name="min_order_fen", rules=rules, measure=lambda order: order.paid_fen),
    }
    return {reason: bound.accepting for reason, bound in bounds.items() if bound}


def _measures_of_lines(rules: Sequence[Rule]) -> dict[str, Callable[[Line], int]]:
    """Return the lower bounds on lines that are in use, and the need of a cost, by the reason they give."""
    bounds: dict[str, _Least[Line]] = {
        "discount_floor": _Least(name="min_discount_bp", rules=rules, measure=_discount_bp),
        "min_line": _Least(name="min_line_fen", rules=rules, measure=lambda line: line.paid_fen),
    }
    measures: dict[str, Callable[[Line], int]] = {reason: bound.accepting for reason, bound in bounds.items() if bound}
    if any(rule.base == "margin" for rule in rules):
        measures["no_cost"] = _CostKnown(rules).accepting
    return measures


class RuleIndex:
    """The conditions of `rules` (in the order of the walk) for sales judged by the wall clock of `zone`."""

    __slots__ = (
        *("_line_masks", "_line_measures", "_listed", "_order_masks", "_order_measures"),
        *("_spans", "_timeline", "_zone"),
    )

    def __init__(self, *, rules: Sequence[Rule], zone: tzinfo) -> None:
        self._zone = zone
        self._spans = [(self._edge(rule.valid_from), self._edge(rule.valid_to)) for rule in rules]
        self._timeline = _Timeline(self._spans)
        self._listed = {name: _Listed(name=name, rules=rules) for name in (*LISTS, "member")}
        self._order_measures = _measures_of_orders(rules)
        self._line_measures = _measures_of_lines(rules)
        self._order_masks: dict[Hashable, int] = {}
        self._line_masks: dict[Hashable, int] = {}

    def never_valid(self) -> list[int]:
        """Return the positions of the rules whose validity ends before it begins."""
        return [place for place, (start, end) in enumerate(self._spans) if start and end and start >= end]

    def span(self, position: int) -> tuple[datetime | None, datetime | None]:
        """Return from when and until when a rule is valid, by the wall clock of the plan's zone."""
        return self._spans[position]

    def matching_order(self, order: Order) -> int:
        """Return the rules whose conditions on the order hold. Raises ValueError for a naive `paid_at`."""
        key = (
            order.channel,
            order.store,
            tuple(order.store_groups),
            order.ownership,
            order.member_is_new,
            order.tier,
            order.live_event,
            order.material,
        )
        mask = self._order_masks.get(key)
        if mask is None:
            mask = _remember(self._order_masks, key, _all_of(self._lists_of_order(order)))
        for accepting in self._order_measures.values():
            mask &= accepting(order)
        return mask & self._timeline.valid_at(wall_clock(order.paid_at, self._zone))

    def matching_line(self, line: Line) -> int:
        """Return the rules whose conditions on the line (a positive twin) hold."""
        key = (line.brand, line.category, line.product)
        mask = self._line_masks.get(key)
        if mask is None:
            mask = _remember(self._line_masks, key, _all_of(self._lists_of_line(line)))
        for accepting in self._line_measures.values():
            mask &= accepting(line)
        return mask

    def refusals(self, *, order: Order, line: Line) -> list[str]:
        """Return for each rule why it does not match the line (a positive twin), or "" if it does."""
        accepting = {
            **self._lists_of_order(order),
            **self._lists_of_line(line),
            **{reason: accepting(order) for reason, accepting in self._order_measures.items()},
            **{reason: accepting(line) for reason, accepting in self._line_measures.items()},
        }
        ranked = [(reason, accepting[reason]) for reason in CONDITION_REASONS if reason in accepting]
        wall = wall_clock(order.paid_at, self._zone)
        return [
            self._untimely(position, wall) or next((reason for reason, mask in ranked if not mask >> position & 1), "")
            for position in range(len(self._spans))
        ]

    def _untimely(self, position: int, wall: datetime) -> str:
        start, end = self._spans[position]
        if start is not None and wall < start:
            return "before_valid_from"
        return "after_valid_to" if end is not None and wall >= end else ""

    def _lists_of_order(self, order: Order) -> dict[str, int]:
        """Return the rules that accept each list condition, by the reason the others give."""
        is_new = order.member_is_new
        return {
            "channel": self._listed["channel"].accepting(order.channel),
            "store": self._listed["store"].accepting(order.store),
            "store_group": self._listed["store_group"].accepting(*order.store_groups),
            "ownership": self._listed["ownership"].accepting(order.ownership),
            "not_existing_member" if is_new else "not_new_member": self._listed["member"].accepting(
                "new" if is_new else "existing"
            ),
            "tier": self._listed["tier"].accepting(order.tier),
            "live_event": self._listed["live_event"].accepting(order.live_event),
            "material": self._listed["material"].accepting(order.material),
        }

    def _lists_of_line(self, line: Line) -> dict[str, int]:
        return {
            "brand": self._listed["brand"].accepting(line.brand),
            "category": self._listed["category"].accepting(line.category),
            "product": self._listed["product"].accepting(line.product),
        }

    def _edge(self, edge: datetime | None) -> datetime | None:
        if edge is None:
            return None
        return edge.astimezone(self._zone) if edge.tzinfo else edge.replace(tzinfo=self._zone)


def _all_of(masks: dict[str, int]) -> int:
    return reduce(and_, masks.values())


def _remember(memo: dict[Hashable, int], key: Hashable, mask: int) -> int:
    if len(memo) >= _REMEMBERED:
        memo.clear()
    memo[key] = mask
    return mask
