"""What would be booked: orders judged once more on the inputs kept of them, beside what is booked, to the fen.

Nothing is written and nothing is locked, so it may run over closed history and over drafts. What is wanted is what the
ledger itself would state (`ledger.dues` and the refunds so far), so what differs here is what a recompute posts.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple

from django.db import connection

from commissions import claims, engine, ledger, plans, returns, sold
from commissions.ledger import Award
from commissions.models.ledger import midnight
from commissions.sold import Sold


class Share(NamedTuple):
    """Whom, as what, in which store, and on which sales: what amounts are added up by."""

    staff_id: int
    role: str
    store_id: int | None
    channel_id: int
    label: str


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
        place, sums = Share._fields.index(name), defaultdict[int | str | None, list[int]](_no_line)
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
                wanted = ledger.dues(order=order, kept=kept[order.pk], by=by)
                _compare(outcome, order, wanted, booked.get(order.pk, {}))
        return outcome


_new = tuple.__new__  # as in the ledger
Booked = dict[Award, tuple[int, int]]
"""Award → what it earns by what is booked, and what of that came back."""


def _booked(order_ids: Sequence[int]) -> dict[int, Booked]:
    books: dict[int, Booked] = defaultdict(dict)
    with connection.cursor() as cursor:
        cursor.execute(_BOOKED, [list(order_ids)])
        for row in cursor.fetchall():
            order_id, is_reverse, fen = row[:3]
            book, award = books[order_id], _new(Award, row[3:])
            earned, back = book.get(award, _UNBOOKED)
            book[award] = (earned, back + fen) if is_reverse else (earned + fen, back)
    return books


_BOOKED = """
SELECT e.order_id, e.kind = 'reverse', e.fen, e.line_id, r.code, e.role, e.staff_id, e.store_id, e.payer_id
FROM commissions_entry e JOIN commissions_rule r ON r.id = e.rule_id
WHERE e.order_id = ANY(%s::bigint[]) AND e.kind IN ('earn', 'delta', 'reverse') AND e.staff_id IS NOT NULL
"""


def _compare(outcome: Outcome, order: Sold, wanted: Mapping[Award, ledger.Due], booked: Booked) -> None:
    """Add one order: per award what it should add up to, less what came back, beside what is booked."""
    back = returns.tally(lines=order.all_lines, refunds=order.all_refunds).back if order.all_refunds else {}
    labels = {line.pk: line.brand_label for line in order.all_lines}
    shares, rules, channel_id, moved_fen = outcome.shares, outcome.rules, order.channel.pk, 0
    for award in {**wanted, **booked} if wanted.keys() != booked.keys() else wanted:
        line_id, rule, role, staff_id, store_id, _ = award
        due_fen = wanted[award].fen if award in wanted else 0
        back_fen = ledger.taken(due_fen, back.get(line_id)) if back else 0
        earned_fen, reversed_fen = booked.get(award, _UNBOOKED)
        share = shares[_new(Share, (staff_id, role, store_id, channel_id, labels.get(line_id, "")))]
        share[0] += earned_fen + reversed_fen
        share[1] += due_fen + back_fen
        of_rule = rules[rule]
        of_rule[0] += earned_fen + reversed_fen
        of_rule[1] += due_fen + back_fen
        if due_fen != earned_fen or back_fen != reversed_fen:
            moved_fen += abs(due_fen - earned_fen) + abs(back_fen - reversed_fen)
    for _, rule in {award[:2] for award, fen in booked.items() if fen[0]}:
        rules[rule][2] += 1
    for _, rule in {award[:2] for award in wanted}:
        rules[rule][3] += 1
    outcome.orders, outcome.lines = outcome.orders + 1, outcome.lines + len(order.all_lines)
    if moved_fen:
        outcome.moved_fen += moved_fen
        outcome.changed.append(order.pk)


_UNBOOKED = (0, 0)


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
