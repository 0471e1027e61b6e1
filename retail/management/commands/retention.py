"""manage.py retention [--run]: what is kept how long."""

from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from retail import retention
from retail.management.base import TablesCommand


class Command(TablesCommand):
    help = "Show what is kept how long; with --run delete what is past its time, as periodic work does every hour."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--run", action="store_true", help="delete now")

    def handle(self, *args: Any, run: bool, **options: Any) -> None:
        gone = retention.forget(now=timezone.now()) if run else {}
        for kept in retention.TABLE:
            deleted = f"; deleted {gone[kept.name]}" if kept.name in gone else ""
            self.stdout.write(f"{kept.name:<40} {kept.life:<9} {kept.why}{deleted}")
