"""Take a CSV file of orders into the feed."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from retail import scope
from retail.imports import feed
from retail.imports.orders import Orders
from retail.imports.table import TableError
from retail.management.base import TablesCommand
from retail.models import Brand


class Command(TablesCommand):
    help = "Import a CSV file of orders: one row a line, columns as in the feed. Bad rows go to FILE.failed.csv."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--brand", help="code of the brand under which --create-missing makes stores and products")
        parser.add_argument("--create-missing", action="store_true", help="make unknown channels, stores and SKUs")
        parser.add_argument("--settle", action="store_true", help="settle commissions at once, without the workers")
        parser.add_argument("--restart", action="store_true", help="begin anew where an import was interrupted")

    def handle(self, *, file: Path, settle: bool, restart: bool, **options: Any) -> None:
        with scope.within(scope.EVERYTHING):
            orders = Orders(now=timezone.now(), make_under=_brand(**options), settle=settle)
            report = imported(file, orders, restart=restart)
        if orders.unsettled:
            self.stderr.write(f"{orders.unsettled:,} orders could not be settled; the workers will try again.")
        tell(self, report, "orders")


def _brand(*, brand: str | None, create_missing: bool, **options: Any) -> Brand | None:
    """The brand to make things under, or None when nothing is to be made. Raises CommandError."""
    if create_missing and not brand:
        raise CommandError("--create-missing needs --brand: the brand that new stores and products belong to.")
    if create_missing:
        return Brand.objects.get_or_create(code=brand, defaults={"name": brand})[0]
    if brand and not Brand.objects.filter(code=brand).exists():
        raise CommandError(f"There is no brand {brand!r}.")
    return None


def imported(file: Path, kind: feed.Feed, *, restart: bool) -> feed.Report:
    """Run an import; what is wrong with the file as a whole is said in one line."""
    try:
        return feed.run(path=file, feed=kind, restart=restart)
    except TableError as error:
        raise CommandError(f"{file}: {error}.") from None
    except OSError as error:
        raise CommandError(f"{error.filename or file}: {error.strerror}.") from None


def tell(command: BaseCommand, report: feed.Report, what: str) -> None:
    """The last line of an import. Exits with status 1 when rows failed."""
    command.stdout.write(_sentence(report, what))
    if report.failed:
        raise SystemExit(1)


def _sentence(report: feed.Report, what: str) -> str:
    """ "6 rows read: 2 orders created, 0 corrected, 1 unchanged; 1 row failed, see x.failed.csv." """
    counts = {"created": 0, "corrected": 0, "unchanged": 0, **report.outcomes}
    taken = ", ".join(f"{count:,} {status}" for status, count in counts.items()).replace(" ", f" {what} ", 1)
    failed = f"{_rows(report.failed)} failed"
    if report.failed:
        failed += f", with reasons in {report.failed_path} (correct them there and import that file)"
    notes = [f"{_rows(report.rows)} read: {taken}", failed]
    if report.is_cut:
        notes.append("the file is CUT OFF in its last row: fetch it again and import the whole of it")
    if report.resumed_at:
        notes.append(f"an earlier start had done the first {_rows(report.resumed_at)}")
    if report.encoding != "UTF-8":
        notes.append(f"read as {report.encoding}")
    return f"{'; '.join(notes)}."


def _rows(count: int) -> str:
    return f"{count:,} row{'' if count == 1 else 's'}"
