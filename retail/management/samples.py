"""The central promise of this project tried on a public data set; what the commands that import one share."""

import resource
import time
from argparse import ArgumentTypeError
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import transaction
from django.utils import timezone

from retail import bulk, orders, scope, shapes
from retail.imports import proof, sample_world
from retail.imports.progress import Meter
from retail.management.base import TablesCommand
from retail.models import Channel, Order, OrderLine

BATCH = 500


def at_least_one(text: str) -> int:
    """A number on the command line of which zero or less makes no sense."""
    number = int(text)
    if number < 1:
        raise ArgumentTypeError(f"{text} is less than 1")
    return number


class SampleCommand(TablesCommand):
    """Feeds purchases, settles them, and proves every fen.

    Everything is known again by its number: stopped at whatever moment, the next run goes on from there, and one more
    posts nothing.
    """

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--refund-all", action="store_true", help="then give everything back: everybody nets to 0")

    def purchases(self, **options: Any) -> sample_world.Purchases:
        """The data these options ask for. Raises NoData."""
        raise NotImplementedError

    def handle(self, *, refund_all: bool, **options: Any) -> None:
        try:
            purchases = self.purchases(**options)
        except sample_world.NoData as error:
            raise CommandError(str(error)) from None
        now = timezone.now()
        with scope.within(scope.EVERYTHING):
            channel, news = self.feed(purchases, now)
            news += self.settle(channel, now)
            if refund_all:
                news += self.refund(channel, now)
            if not news:
                self.stdout.write("Nothing was new: all of it is unchanged and settled; nothing was posted.")
            self.prove(channel, refund_all)
        self.stdout.write(f"Peak memory: {_peak()}")

    def feed(self, purchases: sample_world.Purchases, now: datetime) -> tuple[Channel, int]:
        """Take everything down; how many orders were new."""
        world, timer = sample_world.World(purchases.setting, now=now), _Timer()
        meter = Meter(total=purchases.rows, unit="lines")
        outcomes, lines = Counter[str](), 0
        for batch in _batches(purchases.orders()):
            with transaction.atomic():
                world.make_missing(batch)
                taken = orders.record(channel=world.channel, data=batch, now=now)
            for order, outcome in zip(batch, taken, strict=True):
                if outcome.faults:
                    raise CommandError(f"Order {order.outer_order_id} was refused: {outcome.faults[:3]}")
                outcomes[outcome.status] += 1
                lines += len(order.lines)
            meter(purchases.seen)
        for what, count in sorted(purchases.odd.items()):
            self.stdout.write(f"  {count:,} {what}")
        self.stdout.write(
            f"Feed: {outcomes.total():,} orders, {lines:,} lines: {_said(outcomes)}; {timer.said(lines)}"
        )
        return world.channel, outcomes.total() - outcomes["unchanged"]

    def settle(self, channel: Channel, now: datetime) -> int:
        """What waits, in the order of payment; how many orders that was."""
        timer = _Timer()
        settled = bulk.settle(among=Order.objects.filter(channel=channel), now=now)
        self.stdout.write(f"Settled: {settled.orders:,} orders, {settled.lines:,} lines; {timer.said(settled.lines)}")
        if settled.failed:
            raise CommandError(f"These orders cannot be settled: {settled.failed[:20]}")
        return settled.orders

    def refund(self, channel: Channel, now: datetime) -> int:
        """Give every line back in full; how many refunds were new."""
        timer, outcomes = _Timer(), Counter[str]()
        lines = OrderLine.objects.filter(order__channel=channel).select_related("order").order_by("pk")
        meter = Meter(total=lines.count(), unit="lines")
        for batch in _batches(_give_back(line, channel) for line in lines.iterator(BATCH)):
            with transaction.atomic():
                taken = orders.record_refunds(channel=channel, data=batch, now=now)
            outcomes.update(outcome.status for outcome in taken)
            meter(outcomes.total())
        settled = bulk.settle_refunds(among=Order.objects.filter(channel=channel), now=now)
        self.stdout.write(
            f"Refunds: {outcomes.total():,} lines: {_said(outcomes)}; {settled.orders:,} orders taken back;"
            f" {timer.said(outcomes.total())}"
        )
        if settled.failed:
            raise CommandError(f"The refunds of these orders cannot be settled: {settled.failed[:20]}")
        return outcomes.total() - outcomes["unchanged"] + settled.orders

    def prove(self, channel: Channel, is_all_refunded: bool) -> None:
        timer = _Timer()
        found = proof.of(channel=channel)
        if found.wrong:
            raise CommandError(f"Proof: {len(found.wrong):,} things are wrong:\n" + "\n".join(found.wrong[:20]))
        self.stdout.write(
            f"Proof: {found.transactions:,} transactions add up to 0; {found.pools:,} pools priced again"
            f" = {found.parts:,} parts ({found.staff_fen:,} fen) + house ({found.house_fen:,} fen), as booked;"
            f" {timer.said(found.lines)}"
        )
        if is_all_refunded:
            if left := proof.unsettled_people(channel=channel):
                raise CommandError(f"After refunding everything {len(left)} people do not net to 0: {left}")
            self.stdout.write("Everything refunded: every clerk nets to 0.")


class _Timer:
    """Begins when it is made."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def said(self, lines: int) -> str:
        seconds = time.monotonic() - self._began
        return f"{seconds:,.1f} s, {lines / max(seconds, 1e-9):,.0f} lines/s"


def _peak() -> str:
    """The most memory this process held at any time (Linux counts in KiB), and the largest of those it started."""
    mine, theirs = (
        resource.getrusage(who).ru_maxrss // 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return f"{mine:,} MB; the largest other process it waited for {theirs:,} MB"


def _give_back(line: OrderLine, channel: Channel) -> shapes.Refund:
    amount = {"fen": line.paid_fen} if line.paid_fen else {"qty": line.qty}
    return shapes.Refund(
        channel=channel.code,
        outer_refund_id=f"all-{line.pk}",
        outer_order_id=line.order.outer_order_id,
        outer_line_id=line.outer_line_id,
        refunded_at=line.order.paid_at + timedelta(days=3),
        **amount,
    )


def _batches(rows: Iterable[Any]) -> Iterator[list[Any]]:
    batch: list[Any] = []
    for row in rows:
        batch.append(row)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _said(outcomes: Counter[str]) -> str:
    return ", ".join(f"{count:,} {status}" for status, count in sorted(outcomes.items())) or "nothing"
