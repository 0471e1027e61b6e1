"""manage.py periodic: what runs by the clock, and who runs the server may switch it off or change its rhythm."""

from typing import Any

from django.core.management.base import CommandError, CommandParser
from django_celery_beat.models import PeriodicTask

from retail import periodic
from retail.management.base import TablesCommand


class Command(TablesCommand):
    help = "List periodic work; with a task, switch it on or off or let it run every so many seconds."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("task", nargs="?", help="its name in the list (retail.doctor)")
        parser.add_argument("--on", dest="enabled", action="store_true", default=None)
        parser.add_argument("--off", dest="enabled", action="store_false")
        parser.add_argument("--every", type=int, metavar="SECONDS")

    def handle(self, *, task: str | None, enabled: bool | None, every: int | None, **options: Any) -> None:
        if every is not None and every < 1:
            raise CommandError("--every takes seconds, 1 or more.")
        if task is not None:
            try:
                periodic.change(task=task, enabled=enabled, seconds=every)
            except PeriodicTask.DoesNotExist:
                raise CommandError(f"There is no periodic task {task!r}.") from None
        for row in periodic.rows():
            self.stdout.write(f"{row.task:24} {'on ' if row.enabled else 'off'}  {row.interval}")
