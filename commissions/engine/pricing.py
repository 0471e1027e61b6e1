"""Pricing: what every rule pays on the lines of an order, and why it is this and nothing else."""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from .calcs import base_of
from .facts import Line, Order, Staff
from .index import CONDITION_REASONS
from .plan import CompiledPlan, Contender
from .rules import Rule
from .splits import Part

_new = tuple.__new__
"""Makes an Award without the detour of its constructor; see the one in splits."""


class Award(NamedTuple):
    """What one rule gives for one line: `sum(parts) + house_fen == pool_fen`, all with the sign of the line.

    `base_fen` is what was paid for the line: the base of its refunds. `parts` stand in split order, none is
    0; what nobody was there to take is in `house_fen`.
    """

    line_id: Hashable
    rule_id: str
    base_fen: int
    pool_fen: int
    parts: tuple[Part, ...]
    house_fen: int


@dataclass(frozen=True, slots=True)
class Win:
    """A rule that took its group, with every number on the way from the base to the parts.

    All fen but floor and cap have the sign of the line.
    `raw_fen` = `base_fen` × `ppm` + `fixed_fen`, before floor and cap (0 if the rule is not commissionable).
    `reasons` is empty when the rule paid somebody, else it says why not.
    """

    rule_id: str
    group: str
    base: str
    base_fen: int
    calc: str
    ppm: int
    fixed_fen: int
    raw_fen: int
    floor_fen: int | None
    cap_fen: int | None
    pool_fen: int
    parts: tuple[Part, ...]
    house_fen: int
    missing: str
    missing_roles: tuple[str, ...]
    reasons: tuple[str, ...]

    @property
    def is_floored(self) -> bool:
        """True when the floor lifted the pool."""
        return 0 < abs(self.raw_fen) < (self.floor_fen or 0)

    @property
    def is_capped(self) -> bool:
        """True when the cap cut the pool."""
        lifted_fen = self.floor_fen if self.is_floored else abs(self.raw_fen)
        return self.cap_fen is not None and (lifted_fen or 0) > self.cap_fen


@dataclass(frozen=True, slots=True)
class Loss:
    """A rule that did not win the line; `group` and `priority` help to read the reason."""

    rule_id: str
    group: str
    priority: int
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LineTrace:
    """All that was decided about a line: winners in the order of evaluation, losers in that of the walk."""

    line_id: Hashable
    winners: tuple[Win, ...]
    losers: tuple[Loss, ...]

    def skipped(self) -> list[tuple[str, str]]:
        """Return (rule, reason) for every rule that did not pay, one for each reason."""
        rules: tuple[Win | Loss, ...] = (*self.winners, *self.losers)
        return [(rule.rule_id, reason) for rule in rules for reason in rule.reasons]


REASONS = (
    *("before_valid_from", "after_valid_to"),
    *CONDITION_REASONS,
    *("lost_in_group", "stopped", "not_commissionable", "zero_pool", "house_only"),
)
"""Every reason `explain` can give, beside `no_<role>` for each role of a split that nobody holds."""


_Decision = tuple[Line, Line, int, Staff, Sequence[Contender]]
"""A line, its positive twin (itself, mostly), its sign, who may be paid, and the rules that win it."""


def price(plan: CompiledPlan, order: Order) -> list[Award]:
    """Return what the plan gives for the order, line by line, in the order of evaluation.

    Pools of 0 are left out; a pool that nobody was there to take is an award without parts. A line id that
    comes twice counts once, as first sent. Raises ValueError when `paid_at` has no time zone.
    """
    return judge(plan, order)[0]


def judge(plan: CompiledPlan, order: Order) -> tuple[list[Award], list[Hashable]]:
    """Return what `price` does, and the ids of the lines that do not count for attainment.

    A line counts if one of its winning rules says so. Whether the rule paid does not matter: a deeply discounted sale
    may pay nothing and still count.
    """
    awards, uncounted = [], []
    for line, twin, sign, staff, winners in _decisions(plan, order):
        counts = False
        for winner in winners:
            counts = counts or winner.rule.counts_for_attainment
            pool_fen = sign * winner.pool(twin)
            if pool_fen:
                parts, house_fen = winner.split.divide(pool_fen, staff)
                awards.append(_new(Award, (line.id, winner.rule.id, line.paid_fen, pool_fen, parts, house_fen)))
        if not counts:
            uncounted.append(line.id)
    return awards, uncounted


def explain(plan: CompiledPlan, order: Order, line_id: Hashable) -> LineTrace:
    """Return how the line was decided: every rule of the plan is a winner or a loser with its reason.

    Raises LookupError for a line that is not in the order, ValueError when `paid_at` has no time zone.
    """
    decision = next((found for found in _decisions(plan, order) if found[0].id == line_id), None)
    if decision is None:
        raise LookupError(f"order {order.id} has no line {line_id}")
    _, twin, _, _, winners = decision
    refusals = plan.index.refusals(order=order, line=twin)
    losers = [contender for contender in plan.contenders if contender not in winners]
    return LineTrace(
        line_id,
        tuple(_win(winner, decision) for winner in winners),
        tuple(_loss(loser, refusals[loser.position] or _why_beaten(loser, winners)) for loser in losers),
    )


def _decisions(plan: CompiledPlan, order: Order) -> Iterator[_Decision]:
    index = plan.index
    matching_order = index.matching_order(order)
    everybody = order.staff()
    for line in order.distinct_lines():
        is_plain = line.paid_fen >= 0 and line.qty >= 0 and line.tag_fen >= 0
        twin = line if is_plain else line.unsigned()
        staff = order.staff(line.roles) if line.roles else everybody
        winners = plan.winners(matching_order & index.matching_line(twin), twin)
        yield line, twin, 1 if is_plain else line.sign, staff, winners


def _loss(loser: Contender, reason: str) -> Loss:
    return Loss(loser.rule.id, loser.rule.group, loser.rule.priority, (reason,))


def _why_beaten(loser: Contender, winners: Sequence[Contender]) -> str:
    """Return why a rule that matches did not win."""
    # Where the whole group pays, only the end of the walk can have kept a matching rule out.
    is_beaten = loser.mode != "sum" and any(winner.bit & loser.rivals for winner in winners)
    return "lost_in_group" if is_beaten else "stopped"


def _win(winner: Contender, decision: _Decision) -> Win:
    _, twin, sign, staff, _ = decision
    rule = winner.rule
    ppm, fixed_fen = rule.calc.terms(twin)
    pool_fen = winner.pool(twin)
    parts, house_fen = winner.split.divide(sign * pool_fen, staff)
    missing_roles = tuple(winner.split.missing_roles(staff))
    return Win(
        rule_id=rule.id,
        group=rule.group,
        base=rule.base,
        base_fen=sign * base_of(rule.base, twin),
        calc=rule.calc.kind,
        ppm=ppm,
        fixed_fen=sign * fixed_fen,
        raw_fen=sign * winner.raw_pool(twin) if rule.commissionable else 0,
        floor_fen=rule.floor_fen,
        cap_fen=rule.cap_fen,
        pool_fen=sign * pool_fen,
        parts=parts,
        house_fen=house_fen,
        missing=rule.missing,
        missing_roles=missing_roles,
        reasons=() if parts else _why_unpaid(rule, pool_fen, missing_roles),
    )


def _why_unpaid(rule: Rule, pool_fen: int, missing_roles: tuple[str, ...]) -> tuple[str, ...]:
    if not rule.commissionable:
        return ("not_commissionable",)
    if not pool_fen:
        return ("zero_pool",)
    return tuple(f"no_{role}" for role in missing_roles) or ("house_only",)
