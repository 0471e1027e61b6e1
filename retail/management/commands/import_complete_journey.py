"""A year of grocery baskets, fed, settled and proved to the fen."""

from typing import Any

from django.core.management.base import CommandParser

from retail.imports.journey import Journey
from retail.management.samples import SampleCommand, at_least_one


class Command(SampleCommand):
    help = "Feed the baskets of The Complete Journey (extra `bench`), settle them, and check what was booked."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--households", type=at_least_one, help="how many of the 2 469; without it all of them")

    def purchases(self, *, households: int | None, **options: Any) -> Journey:
        return Journey(households=households)
