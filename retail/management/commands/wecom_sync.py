"""Compare everything a WeCom corp holds with what we hold, now."""

from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from clerks.callbacks import sync
from retail.management.base import TablesCommand
from retail.wecom.models import App


class Command(TablesCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("corp", nargs="?", help="the corp's id; without it every corp is compared")
        parser.add_argument("--force", action="store_true", help="no brake: what has vanished there vanishes here")

    def handle(self, *, corp: str | None, force: bool, **options: Any) -> None:
        known = sorted(set(App.objects.active().values_list("corp_id", flat=True)))
        if corp and corp not in known:
            raise CommandError(f"No application of {corp} is in use.")
        for one in [corp] if corp else known:
            run = sync.start(corp=one, now=timezone.now(), is_forced=force)
            sync.run(run_id=run.pk, now=timezone.now())
            run.refresh_from_db()
            self.stdout.write(
                f"{one}: {run.state}, {run.seen} looked at, {run.found} found, {run.gone} gone, {run.changed} changed,"
                f" drift {run.drift_ppm} ppm"
            )
