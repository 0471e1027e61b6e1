"""The purchases of 23 570 customers of a music shop, fed, settled and proved to the fen."""

from typing import Any

from django.core.management.base import CommandParser

from retail.imports.cdnow import Cdnow
from retail.management.samples import SampleCommand, at_least_one


class Command(SampleCommand):
    help = "Feed the purchases of CDNOW (extra `bench`), settle them, and check what was booked."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--customers", type=at_least_one, help="how many of the 23 570; without it all of them")

    def purchases(self, *, customers: int | None, **options: Any) -> Cdnow:
        return Cdnow(customers=customers)
