"""What would be booked: orders judged once more on the inputs kept of them, beside what is booked, to the fen.

Nothing is written and nothing is locked, so it may run over closed history and over drafts. What is wanted is what the
ledger itself would state (`ledger.parts` and the refunds so far), so what differs here is what a recompute posts.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, NamedTuple

from django.db import connection

from commissions import claims, engine, ledger, plans, returns, sold
from commissions.models.ledger import midnight
from commissions.sold import Sold

Share = tuple[int, str, int | None, int, str]
"""Whom, as what, in which store, and on which sales: what amounts are added up by; see SHARE."""
SHARE = ("staff_id", "role", "store_id", "channel_id", "label")


class Change(NamedTuple):
    """What is booked, what would be, and on how many lines a rule did and would pay (elsewhere 0)."""

    old_fen: int = 0
    new_fen: int = 0
    old_lines: int = 0
    new_lines: int = 0

    def plus(self, other: "Change | Sequence[int]") -> "Change":
        return Change(*map(sum, zip(self, other, strict=True)))


def _nothing() -> list[int]:
    return [0, 0]


def _no_line() -> list[int]:
    return [0, 0, 0, 0]


@dataclass(slots=True)
class Outcome:
    """What came of some orders. `moved_fen`: all that would be posted, without signs; `changed`: of which orders."""

    orders: int = 0
    lines: int = 0
    moved_fen: int = 0
    changed: list[int] = field(default_factory=list)
    shares: dict[Share, list[int]] = field(default_factory=lambda: defaultdict(_nothing))
    rules: dict[str, list[int]] = field(default_factory=lambda: defaultdict(_no_line))

    def add(self, other: "Outcome") -> None:
        self.orders, self.lines = self.orders + other.orders, self.lines + other.lines
        self.moved_fen += other.moved_fen
        self.changed += other.changed
        for share, figures in other.shares.items():
            _add(self.shares[share], figures)
        for rule, figures in other.rules.items():
            _add(self.rules[rule], figures)

    def by(self, name: str) -> dict[int | str | None, Change]:
        """The amounts added up by one part of a share: `staff_id`, `role`, `store_id`, `channel_id` or `label`."""
        place, sums = SHARE.index(name), defaultdict[int | str | None, list[int]](_no_line)
        for share, figures in self.shares.items():
            _add(sums[share[place]], figures)
        return {key: Change(*figures) for key, figures in sums.items()}

    def whole(self) -> Change:
        return Change(*map(sum, zip(*self.shares.values(), strict=True))) if self.shares else Change()


def _add(sums: list[int], figures: Iterable[int]) -> None:
    for place, figure in enumerate(figures):
        sums[place] += figure


# ── A batch of orders ────────────────────────────────────────────────────────────────────────────────────────────────
class Judging:
    """Judges batches by one version, or (None) by those that hold. Channels and stores are read once for all."""

    def __init__(self, version: plans.Compiled | None = None) -> None:
        self._version = version
        self._places = sold.Places()

    def __call__(self, order_ids: Sequence[int]) -> Outcome:
        outcome = Outcome()
        if orders := sold.read(order_ids=order_ids, places=self._places):
            kept, booked = claims.kept_many(orders=orders), _booked([order.pk for order in orders])
            by = plans.Always(self._version) if self._version else ledger.versions_of(orders)
            for order in orders:
                compiled = by.at(brand_id=order.brand_id, moment=order.paid_at)
                kept_of = kept[order.pk]
                facts = ledger.order_facts(order=order, kept=kept_of)
                awards = engine.price(compiled.plan, facts) if compiled else ()
                _compare(outcome, order, ledger.parts(awards=awards, kept=kept_of), booked.get(order.pk, {}))
        return outcome


Booked = dict[tuple[Any, ...], tuple[int, int]]
"""The fields of a ledger.Award → what it earns by what is booked, and what of that came back."""


def _booked(order_ids: Sequence[int]) -> dict[int, Booked]:
    books: dict[int, Booked] = defaultdict(dict)
    with connection.cursor() as cursor:
        cursor.execute(_BOOKED, [list(order_ids)])
        for row in cursor.fetchall():
            book, award, fen = books[row[0]], row[3:], row[2]
            if award in book or row[1]:
                earned, back = book.get(award, _UNBOOKED)
                book[award] = (earned, back + fen) if row[1] else (earned + fen, back)
            else:  # nearly always
                book[award] = fen, 0
    return books


_UNBOOKED = (0, 0)
_BOOKED = """
SELECT e.order_id, e.kind = 'reverse', e.fen, e.line_id, r.code, e.role, e.staff_id, e.store_id, e.payer_id
FROM commissions_entry e JOIN commissions_rule r ON r.id = e.rule_id
WHERE e.order_id = ANY(%s::bigint[]) AND e.kind IN ('earn', 'delta', 'reverse') AND e.staff_id IS NOT NULL
"""


def _compare(outcome: Outcome, order: Sold, wanted: Iterable[tuple[Any, Any, Any]], booked: Booked) -> None:
    """Add one order: each part less what came back, beside what is booked for it. Takes out of `booked` what it met.

    A month has millions of parts, so this is written for speed: one look-up for each of what it adds to.
    """
    back = returns.tally(lines=order.all_lines, refunds=order.all_refunds).back if order.all_refunds else {}
    labels = {line.pk: line.brand_label for line in order.all_lines}
    channel_id, moved_fen = order.channel.pk, 0
    shares, rules = outcome.shares, outcome.rules
    last, met = None, set[tuple[int, str]]()
    for award, (role, staff_id, due_fen), claim in wanted:
        line_id, rule, store_id = award.line_id, award.rule_id, claim.store_id
        earned_fen, reversed_fen = booked.pop((line_id, rule, role, staff_id, store_id, claim.payer_id), _UNBOOKED)
        back_fen = ledger.taken(due_fen, back.get(line_id)) if back else 0
        if due_fen != earned_fen or back_fen != reversed_fen:
            moved_fen += abs(due_fen - earned_fen) + abs(back_fen - reversed_fen)
        if award is not last:  # its parts stand together
            last, of_rule, label, is_new = award, rules[rule], labels[line_id], True
            of_rule[3] += 1
        if earned_fen and is_new:
            of_rule[2] += 1
            met.add((line_id, rule))
            is_new = False
        share = shares[staff_id, role, store_id, channel_id, label]
        old_fen, new_fen = earned_fen + reversed_fen, due_fen + back_fen
        share[0] += old_fen
        share[1] += new_fen
        of_rule[0] += old_fen
        of_rule[1] += new_fen
    moved_fen += _unwanted(outcome, channel_id, labels, booked, met)
    outcome.orders, outcome.lines = outcome.orders + 1, outcome.lines + len(order.all_lines)
    if moved_fen:
        outcome.moved_fen += moved_fen
        outcome.changed.append(order.pk)


def _unwanted(
    outcome: Outcome, channel_id: int, labels: Mapping[int, str], booked: Booked, met: set[tuple[int, str]]
) -> int:
    """Add what is booked and would not be any more; how much that moves. `met`: lines of rules already counted."""
    moved_fen = 0
    for (line_id, rule, role, staff_id, store_id, _), (earned_fen, reversed_fen) in booked.items():
        fen, of_rule = earned_fen + reversed_fen, outcome.rules[rule]
        outcome.shares[staff_id, role, store_id, channel_id, labels.get(line_id, "")][0] += fen
        of_rule[0] += fen
        if earned_fen and (line_id, rule) not in met:
            met.add((line_id, rule))
            of_rule[2] += 1
        moved_fen += abs(earned_fen) + abs(reversed_fen)
    return moved_fen


# ── What next month may cost ─────────────────────────────────────────────────────────────────────────────────────────
class Forecast(NamedTuple):
    """`month`: its first day. `way`: "season" (last month × what a year ago did) or "plain" (30 of the days)."""

    month: date
    way: str
    lines: int
    old_fen: int
    new_fen: int
    last_lines: int = 0
    then_lines: int = 0
    then_last_lines: int = 0


def forecast(*, brand_id: int, whole: Change, lines: int, days: int, today: date) -> Forecast:
    """Next month at the cost per line of the days tried.

    Lines: those of the last full month, times what the same step brought a year ago; where that is not known, as many
    as 30 of the days tried had.
    """
    month = _month(today, 1)
    last = _month(today, -1)
    sold_last, then, then_last = (_lines(brand_id, first) for first in (last, _month(month, -12), _month(last, -12)))
    if sold_last and then and then_last:
        expected, way = engine.money.round_div(sold_last * then, then_last), "season"
    else:
        expected, way = engine.money.round_div(lines * 30, days), "plain"
    old, new = (engine.money.round_div(fen * expected, lines) if lines else 0 for fen in whole[:2])
    return Forecast(month, way, expected, old, new, sold_last, then, then_last)


def _month(day: date, step: int) -> date:
    """The first day of the month so many months away."""
    months = day.year * 12 + day.month - 1 + step
    return date(months // 12, months % 12 + 1, 1)


def _lines(brand_id: int, month: date) -> int:
    with connection.cursor() as cursor:
        cursor.execute(_LINES_OF_MONTH, [brand_id, midnight(month), midnight(_month(month, 1))])
        return cursor.fetchone()[0]


_LINES_OF_MONTH = """
SELECT count(*) FROM retail_order o JOIN retail_orderline l ON l.order_id = o.id
WHERE o.brand_id = %s AND o.paid_at >= %s AND o.paid_at < %s AND o.settled_at IS NOT NULL
"""
