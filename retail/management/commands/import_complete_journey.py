"""The central promise on real purchases: feed them, settle them, and prove every fen."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import transaction
from django.utils import timezone

from retail import intake, orders, scope, shapes
from retail.imports import journey as complete_journey
from retail.imports import proof, settlement
from retail.imports.progress import Meter
from retail.management.base import TablesCommand
from retail.models import Channel, Order, OrderLine, Refund

BATCH = 500


class Command(TablesCommand):
    help = "Feed real purchases (extra `bench`), settle them, and check what was booked."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--households", type=int, default=100, help="how many of the 2 469")
        parser.add_argument("--refund-all", action="store_true", help="then give everything back: everybody nets to 0")

    def handle(self, *, households: int, refund_all: bool, **options: Any) -> None:
        try:
            journey = complete_journey.Journey(households=households)
        except complete_journey.NoData as error:
            raise CommandError(str(error)) from None
        now = timezone.now()
        with scope.within(scope.EVERYTHING):
            channel = self.feed(journey, now)
            self.settle(channel, now)
            if refund_all:
                self.refund(channel, now)
            self.prove(channel)
            if refund_all and (left := proof.unsettled_people(channel=channel)):
                raise CommandError(f"After refunding everything {len(left)} people do not net to 0: {left}")
        if refund_all:
            self.stdout.write("Everything refunded: every clerk nets to 0.")

    def feed(self, journey: complete_journey.Journey, now: datetime) -> Channel:
        began, outcomes, lines = time.monotonic(), Counter[str](), 0
        for batch in _batches(journey.orders()):
            with transaction.atomic():
                channel = complete_journey.prepare(orders=batch, now=now)
                taken = orders.record(channel=channel, data=batch, now=now)
            outcomes.update(outcome.status for outcome in taken)
            lines += sum(len(order.lines) for order in batch)
        for what, count in sorted(journey.odd.items()):
            self.stdout.write(f"  {count:,} {what}")
        self.stdout.write(
            f"Feed: {outcomes.total():,} orders, {lines:,} lines: {_said(outcomes)};"
            f" {_speed(outcomes.total(), began)} orders/s"
        )
        return channel

    def settle(self, channel: Channel, now: datetime) -> None:
        """What is new, in the order of payment."""
        began = time.monotonic()
        settled = settlement.run(among=Order.objects.filter(channel=channel), now=now)
        if settled.failed:
            raise CommandError(f"These orders cannot be settled: {settled.failed[:20]}")
        self.stdout.write(
            f"Settled: {settled.orders:,} orders, {settled.lines:,} lines; {_speed(settled.orders, began)} orders/s,"
            f" {_speed(settled.lines, began)} lines/s"
        )

    def refund(self, channel: Channel, now: datetime) -> None:
        """Give every line back in full; the refunds of one order are settled together."""
        began, outcomes = time.monotonic(), Counter[str]()
        lines = OrderLine.objects.filter(order__channel=channel).select_related("order").order_by("pk")
        for batch in _batches(_give_back(line, channel) for line in lines.iterator(BATCH)):
            with transaction.atomic():
                taken = orders.record_refunds(channel=channel, data=batch, now=now)
            outcomes.update(outcome.status for outcome in taken)
        waiting = Refund.objects.filter(channel=channel, settled_at=None).order_by("order", "pk").distinct("order")
        ids = list(waiting.values_list("pk", flat=True))
        meter = Meter(total=len(ids), unit="orders")
        for done, refund_id in enumerate(ids, start=1):
            intake.settle_refund(refund_id=refund_id, now=now)
            meter(done)
        self.stdout.write(
            f"Refunds: {outcomes.total():,} lines: {_said(outcomes)}; {len(ids):,} orders taken back;"
            f" {_speed(outcomes.total(), began)} lines/s"
        )

    def prove(self, channel: Channel) -> None:
        found = proof.of(channel=channel)
        self.stdout.write(
            f"Proof: {found.transactions:,} transactions add up to 0; {found.pools:,} pools priced again"
            f" = {found.parts:,} parts ({found.staff_fen:,} fen) + house ({found.house_fen:,} fen), as booked."
            if not found.wrong
            else f"Proof: {len(found.wrong):,} things are wrong."
        )
        if found.wrong:
            raise CommandError("\n".join(found.wrong[:20]))


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


def _speed(count: int, began: float) -> str:
    return f"{count / max(time.monotonic() - began, 1e-9):,.0f}"
