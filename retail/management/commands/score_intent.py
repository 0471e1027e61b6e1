"""manage.py score_intent: what everybody who had bought before a day would have scored, as a CSV file."""

import csv
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from clerks.leads import exporting, scoring
from retail import scope
from retail.management.base import TablesCommand
from retail.management.commands.train_intent import day_said, named
from retail.management.samples import at_least_one


class Command(TablesCommand):
    help = "Score everybody who bought before a day by what was known then. Columns: member_key, score, rank_basis."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--brand", required=True, help="code of the brand")
        parser.add_argument("--as-of", required=True, help="YYYY-MM-DD")
        parser.add_argument("--horizon", type=at_least_one, default=scoring.HORIZON, help="days looked ahead")
        parser.add_argument("--out", type=Path, required=True, help="the file to write")

    def handle(self, *, brand: str, as_of: str, horizon: int, out: Path, **options: Any) -> None:
        with scope.within(scope.EVERYTHING), Path(out).open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(exporting.Row._fields)
            rows, model = exporting.scores(
                brand=named(brand), day=day_said(as_of), horizon_days=horizon, now=timezone.now()
            )
            count = 0
            for row in rows:
                writer.writerow(row)
                count += 1
        by = f"model {model.pk} of {model.as_of}" if model else "RFM: no model of this horizon knows that day's past"
        self.stdout.write(f"{count:,} members scored by {by}.")
