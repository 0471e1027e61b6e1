"""Take a CSV file of refunds into the feed."""

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from retail import scope
from retail.imports.refunds import Refunds
from retail.management.base import TablesCommand
from retail.management.commands.import_orders import imported, tell


class Command(TablesCommand):
    help = "Import a CSV file of refunds, one a row, columns as in the feed. Bad rows go to FILE.failed.csv."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--restart", action="store_true", help="begin anew where an import was interrupted")

    def handle(self, *, file: Path, restart: bool, **options: Any) -> None:
        with scope.within(scope.EVERYTHING):
            report = imported(file, Refunds(now=timezone.now()), restart=restart)
        tell(self, report, "refunds")
