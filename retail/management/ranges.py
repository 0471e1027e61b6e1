"""The options by which commands choose orders: a brand, and days of payment."""

from argparse import ArgumentParser
from datetime import date, timedelta
from typing import Any

from django.core.management.base import CommandError
from django.db.models import QuerySet

from commissions.models.ledger import midnight
from retail.models import Brand, Order


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--brand", help="code of the brand; without it all of them")
    parser.add_argument("--from", dest="first", type=date.fromisoformat, help="paid on this day or later")
    parser.add_argument("--to", dest="last", type=date.fromisoformat, help="paid on this day or earlier")


def orders(
    *, brand: str | None = None, first: date | None = None, last: date | None = None, **_others: Any
) -> QuerySet[Order]:
    """The orders an operator asked for. Raises CommandError for a brand that is not there, or days that end first."""
    if first and last and last < first:
        raise CommandError(f"--to {last} lies before --from {first}.")
    orders = Order.objects.all()
    if brand:
        if not Brand.objects.filter(code=brand).exists():
            raise CommandError(f"There is no brand {brand!r}.")
        orders = orders.filter(brand__code=brand)
    if first:
        orders = orders.filter(paid_at__gte=midnight(first))
    if last:
        orders = orders.filter(paid_at__lt=midnight(last + timedelta(days=1)))
    return orders
