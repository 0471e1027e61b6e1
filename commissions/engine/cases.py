"""The public case file: `{id, kind, title?, input, expect?}`, evaluated with the same engine that pays.

A plan version may carry such cases; all of them must pass before it is approved.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

from . import actions, attainment, batch, payout
from .document import Document, DocumentError
from .money import allocate
from .plan import CompiledPlan, zone_of

Result = dict[str, Any]
"""The result of a case in the form of the format: JSON values only."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one case. `diff` holds, for each differing key, what was expected and what came out.

    `problems` says why a case could not be evaluated; it then has no result.
    """

    id: str
    result: Result | None
    diff: Result
    problems: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.diff and not self.problems

    def as_row(self) -> Result:
        """Return the line printed for the case."""
        row: Result = {"id": self.id, "ok": self.ok, "result": self.result}
        if self.diff:
            row["diff"] = self.diff
        if self.problems:
            row["error"] = "; ".join(self.problems)
        return row


def read_cases(data: object) -> list[object]:
    """Return the cases of a parsed file: `{"cases": […]}`, or the list alone.

    Raises DocumentError when it is neither.
    """
    if isinstance(data, list):
        return data
    document = Document(data)
    cases = list(document.items("cases"))
    document.check()
    return cases


def evaluate(case: object, *, plan: CompiledPlan | None = None) -> Verdict:
    """Evaluate one case and compare what it expects. A malformed one is a verdict with problems, not an error.

    With `plan`, a case of kind `plan` is judged by it in place of the plan the case carries.
    """
    problems: list[str] = []
    document = Document(case, problems=problems)
    case_id = document.text("id")
    kind = document.choice("kind", _KINDS)
    source, expect = document.child("input"), document.child("expect")
    if problems:
        return Verdict(case_id, None, {}, tuple(problems))
    try:
        result = _evaluate_plan(source, plan) if kind == "plan" else _KINDS[kind](source)
    except DocumentError as error:
        return Verdict(case_id, None, {}, tuple(error.messages))
    return Verdict(case_id, result, _differences(expect, result))


def _differences(expect: Document, result: Result) -> Result:
    return {
        key: {"expected": expect.value(key), "got": result.get(key)}
        for key in expect.names()
        if key in expect and _comparable(key, expect.value(key)) != _comparable(key, result.get(key))
    }


def _comparable(key: str, value: Any) -> Any:
    """Return a value without what does not count: how an id is written, sums of 0, the order of `skipped`."""
    if key in ("totals", "booked") and isinstance(value, dict):
        return {name: fen for name, fen in value.items() if fen}
    if key in ("entries", "skipped") and isinstance(value, list):
        rows = [tuple(map(str, row)) if isinstance(row, list) else str(row) for row in value]
        return set(rows) if key == "skipped" else rows
    return value


def _evaluate_allocate(source: Document) -> Result:
    amount, weights = source.integer("amount"), source.integers("weights", least=0)
    if amount and not weights:
        source.note("weights", "must not be empty")
    source.check()
    return {"parts": allocate(amount, weights)}


def _evaluate_tier(source: Document) -> Result:
    scale = attainment.parse_scale(source)
    amounts, prior_fen = source.integers("amounts"), source.integer("prior", default=0)
    is_each = source.flag("each")
    source.check()
    if is_each:
        parts = [scale.commission(amount) for amount in amounts]
    else:
        parts = attainment.bookings(scale, amounts=amounts, prior_fen=prior_fen)
    return {"parts": parts, "total": sum(parts)}


def _evaluate_plan(source: Document, plan: CompiledPlan | None = None) -> Result:
    return batch.settle(source, plan=plan)


def _evaluate_actions(source: Document) -> Result:
    zone = zone_of(source.text("tz", default="Asia/Shanghai"))
    rates = source.child("rates")
    parsed = {name: actions.parse_rate(rates.child(name)) for name in rates.names()}
    events = [_event(event, zone) for event in source.children("events")]
    source.check()
    outcomes = actions.judge(events, rates=parsed, zone=zone)
    return {"totals": batch.totals((outcome.clerk, outcome.fen) for outcome in outcomes)}


def _event(document: Document, zone: tzinfo) -> actions.Event:
    void = document.flag("void")
    return actions.Event(
        id=document.text("id"),
        type=document.text("type", default="" if void else None),
        clerk=document.text("clerk", default="" if void else None),
        at=batch.aware(document.moment("at"), zone),
        customer=document.optional_text("customer"),
        content=document.optional_text("content"),
        active_days=document.optional_integer("active_days"),
        void=void,
        of=document.text("of") if void else None,
    )


def _evaluate_payout(source: Document) -> Result:
    nets = source.integers("net")
    max_fen = source.optional_integer("max", least=0)
    min_payout_fen = source.integer("min_payout", default=0, least=0)
    source.check()
    return {"rows": _rows(payout.payments(nets, max_fen=max_fen, min_payout_fen=min_payout_fen))}


def _evaluate_draw(source: Document) -> Result:
    earnings = source.integers("earnings", least=0)
    min_fen = source.integer("min", least=0)
    draw_until, recover_from = source.integer("draw_until"), source.integer("recover_from")
    source.check()
    return {"rows": _rows(payout.draws(earnings, min_fen=min_fen, draw_until=draw_until, recover_from=recover_from))}


def _evaluate_restate(source: Document) -> Result:
    scale = attainment.parse_scale(source, mode_key="tier_mode")
    periods, sales = source.texts("periods"), source.child("sales")
    for period in sales.names():
        if period not in periods:
            sales.note(period, "is not one of the periods")
    refunds = [_late_refund(refund, periods) for refund in source.children("refunds")] if "refunds" in source else []
    fens = {period: sales.integer(period, default=0) for period in periods}
    source.check()
    return {"booked": attainment.restate(scale, sales=fens, refunds=refunds)}


def _late_refund(document: Document, periods: list[str]) -> attainment.LateRefund:
    policy = document.choice("policy", attainment.POLICIES, default="original_period_forward")
    return attainment.LateRefund(
        posted=document.choice("posted", periods),
        sale_period=document.choice("sale_period", periods),
        fen=document.integer("fen", least=0),
        policy="current_period" if policy == "current_period" else "original_period_forward",
    )


_KINDS: Mapping[str, Callable[[Document], Result]] = {
    "allocate": _evaluate_allocate,
    "tier": _evaluate_tier,
    "plan": _evaluate_plan,
    "actions": _evaluate_actions,
    "payout": _evaluate_payout,
    "draw": _evaluate_draw,
    "restate": _evaluate_restate,
}


def _rows(rows: Iterable[tuple[int, ...]]) -> list[list[int]]:
    return [list(row) for row in rows]
