"""Settle what waits without the workers: the first load of a brand, or what a stopped import left."""

from datetime import date, timedelta
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from commissions.models.ledger import midnight
from retail import scope
from retail.imports import settlement
from retail.management.base import TablesCommand
from retail.models import Brand, Order


class Command(TablesCommand):
    help = "Settle all orders that never were, in the order of payment. Stopped, it goes on where it was."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--brand", help="code of the brand; without it all of them")
        parser.add_argument("--from", dest="first", type=date.fromisoformat, help="paid on this day or later")
        parser.add_argument("--to", dest="last", type=date.fromisoformat, help="paid on this day or earlier")

    def handle(self, *, brand: str | None, first: date | None, last: date | None, **options: Any) -> None:
        with scope.within(scope.EVERYTHING):
            orders = Order.objects.all()
            if brand:
                if not Brand.objects.filter(code=brand).exists():
                    raise CommandError(f"There is no brand {brand!r}.")
                orders = orders.filter(brand__code=brand)
            if first:
                orders = orders.filter(paid_at__gte=midnight(first))
            if last:
                orders = orders.filter(paid_at__lt=midnight(last + timedelta(days=1)))
            settled = settlement.run(among=orders, now=timezone.now())
        self.stdout.write(
            f"Settled: {settled.orders:,} orders, {settled.lines:,} lines; {len(settled.failed):,} failed"
        )
        if settled.failed:
            raise CommandError(f"These orders cannot be settled: {settled.failed[:20]}")
