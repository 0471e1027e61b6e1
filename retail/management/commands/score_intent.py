"""manage.py score_intent: what everybody who had bought before a day would have scored, as a CSV file."""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from clerks.leads import exporting, scoring
from retail import scope
from retail.management.base import TablesCommand
from retail.management.commands.train_intent import day_said, named, warn_of_future
from retail.management.samples import at_least_one


class Command(TablesCommand):
    help = "Score everybody who bought before a day by what was known then. Columns: member_key, score, rank_basis."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--brand", required=True, help="code of the brand")
        parser.add_argument("--as-of", required=True, help="YYYY-MM-DD")
        parser.add_argument("--horizon", type=at_least_one, default=scoring.HORIZON, help="days looked ahead")
        parser.add_argument("--out", type=Path, required=True, help="the file to write")

    def handle(self, *, brand: str, as_of: str, horizon: int, out: Path, **options: Any) -> None:
        now, day = timezone.now(), day_said(as_of)
        warn_of_future(self, day, now)
        with scope.within(scope.EVERYTHING):
            # Asked before the file is opened: a slip of the pen costs no older file.
            rows, model = exporting.scores(brand=named(brand), day=day, horizon_days=horizon, now=now)
            count = _written(out, rows)
        by = f"model {model.pk} of {model.as_of}" if model else "RFM: no model of this horizon knows that day's past"
        self.stdout.write(f"{count:,} members scored by {by}.")


def _written(out: Path, rows: Iterable[exporting.Row]) -> int:
    """How many rows there are in the file now. Raises CommandError where it cannot be written."""
    count = 0
    try:
        with out.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(exporting.Row._fields)
            for row in rows:
                writer.writerow(row)
                count += 1
    except OSError as error:
        raise CommandError(f"{out}: {error.strerror}.") from None
    return count
