"""manage.py book [--check]: the lists of customers on the clerks' phones, made again from the facts."""

from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from clerks import book
from retail import scope
from retail.management.base import TablesCommand

SHOWN = 20


class Command(TablesCommand):
    help = "Make the clerks' lists of customers again from the facts; with --check only compare."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check", action="store_true", help="change nothing; exits with 1 if any is otherwise")

    def handle(self, *, check: bool, **options: Any) -> None:
        with scope.within(scope.EVERYTHING):
            if not check:
                self.stdout.write(f"{book.refresh_all(now=timezone.now()):,} rows were otherwise.")
                return
            wrong = list(book.otherwise())
        if wrong:
            raise CommandError(f"{len(wrong):,} customers are listed otherwise than the facts say: {wrong[:SHOWN]}")
        self.stdout.write("All lists are what the facts say.")
