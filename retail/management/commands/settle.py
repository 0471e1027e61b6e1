"""Settle what waits without the workers: the first load of a brand, or what a stopped import left."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from retail import bulk, scope
from retail.management import ranges
from retail.management.base import TablesCommand


class Command(TablesCommand):
    help = "Settle all orders and refunds that wait, in the order of payment. Stopped, it goes on where it was."

    def add_arguments(self, parser: ArgumentParser) -> None:
        ranges.add_arguments(parser)

    def handle(self, **options: Any) -> None:
        with scope.within(scope.EVERYTHING):
            orders, now = ranges.orders(**options), timezone.now()
            settled = bulk.settle(among=orders, now=now)
            refunded = bulk.settle_refunds(among=orders, now=now)
        self.stdout.write(
            f"Settled: {settled.orders:,} orders, {settled.lines:,} lines; refunds of {refunded.orders:,} orders;"
            f" {len(settled.failed) + len(refunded.failed):,} failed"
        )
        if failed := settled.failed + refunded.failed:
            raise CommandError(f"These orders cannot be settled: {failed[:20]}")
