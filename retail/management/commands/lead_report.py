"""manage.py lead_report: what leads brought above what would have come anyway, as CSV."""

import csv
import sys
from datetime import date
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from clerks.leads import report
from retail.management.base import TablesCommand
from retail.models import Brand


class Command(TablesCommand):
    help = "Treated against withheld, by type, after 7, 14 and 30 days: the increment of leads as CSV."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--brand", required=True, help="code of the brand")
        parser.add_argument("--from", dest="first", required=True, type=date.fromisoformat, metavar="YYYY-MM-DD")
        parser.add_argument("--to", dest="last", required=True, type=date.fromisoformat, metavar="YYYY-MM-DD")
        parser.add_argument("--out", metavar="FILE.csv", help="instead of printing it")

    def handle(self, *, brand: str, first: date, last: date, out: str | None, **options: Any) -> None:
        row = Brand._base_manager.filter(code=brand).first()
        if row is None:
            raise CommandError(f"There is no brand {brand!r}.")
        if last < first:
            raise CommandError("--to is before --from.")
        table = report.lines(brand=row, first=first, last=last, now=timezone.now())
        if out is None:
            _write(self.stdout, table)
            return
        with open(out, "w", newline="", encoding="utf-8") as file:
            _write(file, table)
        sys.stderr.write(f"{out}: {len(table)} rows\n")


def _write(file: Any, table: list[report.Line]) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(report.HEAD)
    writer.writerows(report.rows(table))
