"""Work on very many orders: in batches, shared between two processes, with a line of progress.

The verbs of intake commit each batch by itself, so whatever moment they are stopped at, the next run goes on from
there. While one process reads and prices, the database works for the other. `judge` only looks, and brings back sums.
"""

import multiprocessing
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from django.db import connection, connections
from django.db.models import Count, F, Q, QuerySet

from commissions import plans, what_if
from members import identity
from retail import beside, garbage, intake
from retail.imports.progress import Meter
from retail.models import Order, OrderLine, Refund

BATCH = 500  # orders in one transaction
LOOKED_AT = 2_000  # orders that are only looked at, at once
PAGE = 100_000  # orders known at a time, some 40 MB: at the end of each the faster process waits, and forks anew
PROCESSES = 2


Act = Callable[[Sequence[int]], Any]
"""What is done to the orders of a batch. What it returns comes back from the other process, too."""


class Done(NamedTuple):
    """How many it was done to; `lines` counts those of the failed ones too, whose ids are given."""

    orders: int
    lines: int
    failed: list[int]


@dataclass(frozen=True, slots=True)
class How:
    """batch: orders at a time. progress: told the lines done and the lines in all; else a line is shown."""

    batch: int | None = None
    processes: int = PROCESSES
    progress: Callable[[int, int], None] | None = None


def settle(*, among: QuerySet[Order], now: datetime, how: How = How()) -> Done:
    """Settle those of the orders that are not, or were corrected since, in the order of payment.

    It ends as if they had been settled one after another. Jobs that waited for it have nothing left to do.
    """
    verb = partial(intake.settle_orders, is_bulk=True)
    done = _each(verb, among.exclude(settled_version=F("version")), now, how)
    _catch_up(now, how)
    intake.end_needless_jobs(now=now)
    return done


def settle_refunds(*, among: QuerySet[Order], now: datetime, how: How = How()) -> Done:
    """Post what those refunds of the orders take back that never did."""
    waiting = Refund.objects.filter(settled_at=None, order__isnull=False).values("order")
    verb = partial(intake.settle_refunds, is_bulk=True)
    done = _each(verb, among.exclude(settled_at=None).filter(pk__in=waiting), now, how)
    _catch_up(now, how)
    return done


def _catch_up(now: datetime, how: How) -> None:
    """Roll up what was left for later: whoever has done a chunk takes the next that nobody has."""
    work = partial(intake.catch_up, now=now)
    if how.processes == 1:
        work()
    else:
        beside.run(apart=work, here=work)


def recompute(*, among: QuerySet[Order], now: datetime, how: How = How(), run: int | None = None) -> Done:
    """Judge those of the orders that are settled again, by the plan that now holds for them; posts differences."""
    return _each(partial(intake.recompute, run=run), among.exclude(settled_at=None), now, how, is_apart=True)


def judge(*, among: QuerySet[Order], version: plans.Compiled | None = None, how: How = How()) -> what_if.Outcome:
    """What that version, or those that now hold, would make of the orders that are settled; nothing is written."""
    whole, settled = what_if.Outcome(), among.filter(settled_at__isnull=False)
    work = _Work(what_if.Judging(version), how.batch or LOOKED_AT, is_apart=True)
    for step in _steps(work, settled, how):
        whole.add(step.outcome)
    return whole


def _each(
    verb: Callable[..., list[int]], orders: QuerySet[Order], now: datetime, how: How, *, is_apart: bool = False
) -> Done:
    """Do a batch verb of intake, which returns the ids of the orders it cannot be done to."""
    count, lines, failed = 0, 0, list[int]()
    work = _Work(lambda ids: verb(order_ids=ids, now=now), how.batch or BATCH, is_apart)
    for step in _steps(work, orders, how):
        count, lines, failed = count + step.orders - len(step.outcome), lines + step.lines, failed + step.outcome
    return Done(count, lines, failed)


def _steps(work: "_Work", orders: QuerySet[Order], how: How) -> Iterator["Step"]:
    """The batches as they are done, page by page."""
    total = OrderLine.objects.filter(order__in=orders.order_by()).count()
    progress, lines = how.progress or _on_the_screen(total), 0
    # Within a transaction another process would not see what is not committed yet.
    processes = 1 if connection.in_atomic_block else how.processes
    for page in _pages(orders.order_by("paid_at", "pk")):
        for step in _share(work, _parts(page, processes if len(page) > work.batch else 1, work)):
            lines += step.lines
            yield step
            progress(lines, total)


def _on_the_screen(total: int) -> Callable[[int, int], None]:
    meter = Meter(total=total, unit="lines")
    return lambda done, _total: meter(done)


# ── Pages, and what of them can be done apart ────────────────────────────────────────────────────────────────────────
class _Row(NamedTuple):
    id: int
    paid_at: datetime
    buyer_keys: list[int]
    lines: int


def _pages(orders: QuerySet[Order]) -> Iterator[list[_Row]]:
    last: _Row | None = None
    while True:
        rest = orders.filter(Q(paid_at__gt=last.paid_at) | Q(paid_at=last.paid_at, pk__gt=last.id)) if last else orders
        rows = list(rest.values_list("pk", "paid_at", "buyer_keys")[:PAGE])
        if not rows:
            return
        sizes = OrderLine.objects.filter(order__pk__among=[row[0] for row in rows]).values("order_id")
        lines = dict(sizes.annotate(count=Count("pk")).order_by().values_list("order_id", "count"))
        page = [_Row(*row, lines.get(row[0], 0)) for row in rows]
        yield page
        last = page[-1]


def _parts(page: list[_Row], count: int, work: "_Work") -> list[list[_Row]]:
    """So many parts with about as many lines, each in the order of the page.

    Orders of one buyer stay together, unless each can be done by itself.
    """
    if count == 1 or work.is_apart:
        return [page[place::count] for place in range(count)]
    buyers = _buyers(page)
    weights: Counter[int] = Counter()
    for row, buyer in zip(page, buyers, strict=True):
        weights[buyer] += row.lines
    part_of: dict[int, int] = {}
    loads = [0] * count
    for buyer, weight in weights.most_common():
        part_of[buyer] = lightest = loads.index(min(loads))
        loads[lightest] += weight
    parts: list[list[_Row]] = [[] for _ in range(count)]
    for row, buyer in zip(page, buyers, strict=True):
        parts[part_of[buyer]].append(row)
    return [part for part in parts if part]


def _buyers(page: Sequence[_Row]) -> list[int]:
    """A number for each order, the same for all that may be one buyer's: those that share a key or know its owner."""
    owners = identity.owners({key_id for row in page for key_id in row.buyer_keys})
    leaders: dict[int, int] = {}

    def leader(node: int) -> int:
        while node in leaders:
            node = leaders[node]
        return node

    # Members have numbers below 0, keys above; an order nobody is known of stands under a number of its own.
    strangers = iter(range(max(owners.values(), default=0) + 1, 1 << 62))
    nodes = []
    for row in page:
        known = [leader(-owners[key_id] if key_id in owners else key_id) for key_id in row.buyer_keys]
        known = known or [-next(strangers)]
        for other in {*known} - {known[0]}:
            leaders[other] = known[0]
        nodes.append(known[0])
    return [leader(node) for node in nodes]


# ── Two processes ────────────────────────────────────────────────────────────────────────────────────────────────────
class Step(NamedTuple):
    """A batch that is done: how much it was, and what the act returned."""

    orders: int
    lines: int
    outcome: Any


class _Work(NamedTuple):
    """`is_apart`: no order depends on what was done to another before, so any may go to any process."""

    act: Act
    batch: int
    is_apart: bool = False

    def do(self, rows: Sequence[_Row], collect: Callable[[], int]) -> Iterator[Step]:
        """Batch by batch."""
        for start in range(0, len(rows), self.batch):
            part = rows[start : start + self.batch]
            outcome = self.act([row.id for row in part])
            yield Step(len(part), sum(row.lines for row in part), outcome)
            collect()


def _share(work: _Work, parts: Sequence[Sequence[_Row]]) -> Iterator[Step]:
    """Do the first part here and each other one in a process of its own, which lives no longer than that."""
    here, *elsewhere = parts
    if elsewhere:
        connections.close_all()  # a connection cannot be shared; every process opens its own
    # Before the fork: a collector that looks through what both have would make each copy it, page by page.
    with garbage.collected_by_hand() as collect:
        others = [_Other(work, rows, collect) for rows in elsewhere]
        try:
            for done in work.do(here, collect):
                yield done
                for other in others:
                    yield from other.told()
            for other in others:
                yield from other.finish()
        finally:
            for other in others:
                other.end()


class _Other:
    """A process that does a part of the work, as seen from here."""

    def __init__(self, work: _Work, rows: Sequence[_Row], collect: Callable[[], int]) -> None:
        context = multiprocessing.get_context("fork")  # it inherits the scope, the settings and the compiled plans
        self._pipe, its_end = context.Pipe(duplex=False)
        self._process = context.Process(
            target=_do_apart, args=(work, rows, collect, its_end, os.getpid()), daemon=True
        )
        self._process.start()
        its_end.close()

    def told(self) -> Iterator[Step]:
        while self._pipe.poll():
            try:
                yield self._pipe.recv()
            except EOFError:
                return

    def finish(self) -> Iterator[Step]:
        while True:
            try:
                yield self._pipe.recv()
            except EOFError:
                break
        self._process.join()
        if self._process.exitcode:
            raise RuntimeError(f"The other process ended with {self._process.exitcode}; what it said is above.")

    def end(self) -> None:
        """When we fail, it stops too; its batch is rolled back."""
        self._process.terminate()
        self._process.join()


def _do_apart(work: _Work, rows: Sequence[_Row], collect: Callable[[], int], pipe: Connection, parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started us is interrupted, and ends us
    for done in work.do(rows, collect):
        pipe.send(done)
        if os.getppid() != parent:
            return  # a later run must not meet us
    connections.close_all()
