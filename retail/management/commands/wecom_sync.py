"""Compare everything a WeCom corp holds with what we hold, now."""

import time
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from clerks.callbacks import sync
from clerks.models import SyncRun
from retail import jobs, tasks
from retail.jobs import Job
from retail.management.base import TablesCommand
from retail.wecom.models import App


class Command(TablesCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("corp", nargs="?", help="the corp's id; without it every corp is compared")
        parser.add_argument("--force", metavar="REASON", help="no brake: what has vanished there vanishes here")

    def handle(self, *, corp: str | None, force: str | None, **options: Any) -> None:
        known = sorted(set(App.objects.active().values_list("corp_id", flat=True)))
        if not known or (corp and corp not in known):
            raise CommandError(f"No application of {corp or 'any corp'} is in use: manage.py wecom_app add")
        if force is not None and not force.strip():
            raise CommandError("--force takes a reason, which stands in the journal.")
        for one in [corp] if corp else known:
            forced = {"is_forced": True, "reason": force} if force else {}
            run = sync.start(corp=one, by=None, now=timezone.now(), **forced)
            self._see_through(run)
            drift = "first" if run.is_first else f"drift {run.drift_ppm} ppm"
            self.stdout.write(
                f"{one}: {run.state}, {run.seen} looked at, {run.found} found, {run.gone} gone, {run.changed} changed,"
                f" {run.unseen} unseen, {drift}"
            )

    def _see_through(self, run: SyncRun) -> None:
        """Do the job as a worker would, unless one has it already; then wait for that. Raises CommandError."""
        job = Job.objects.get(kind=sync.JOB, payload={"run_id": run.pk})
        while run.ended_at is None:
            jobs.run(ids=[job.pk], registry=tasks.REGISTRY)
            run.refresh_from_db()
            job.refresh_from_db()
            if run.ended_at is None and job.last_error:
                reason = job.last_error.strip().splitlines()[-1]
                raise CommandError(f"{run.corp}: {reason}. It is tried again by the workers.")
            if run.ended_at is None:
                time.sleep(0.5)
