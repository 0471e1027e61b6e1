"""Do the invariants hold? For the night, after a restore, and whenever somebody doubts a figure."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from retail import doctor, scope
from retail.desk import roles  # noqa: F401  whose invariant is one of ours
from retail.management.base import TablesCommand


class Command(TablesCommand):
    help = "Look at every invariant and say where it does not hold; exits with 1 if any fails. Changes nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--all", action="store_true", help="judge every settled order again, not a sample of them")
        parser.add_argument(
            "--sample",
            type=int,
            default=doctor.SAMPLE,
            help="about how many orders, others each night (default: %(default)s)",
        )

    def handle(self, *, all: bool, sample: int, **options: Any) -> None:
        now = timezone.now()
        with scope.within(scope.EVERYTHING):
            found = doctor.examine(now=now, sample=None if all else sample)
        for finding in found:
            self.say(finding)
        if failing := doctor.note(found=found, now=now):
            raise CommandError(f"{failing} of {len(found)} invariants do not hold.")
        self.stdout.write(f"All {len(found)} invariants hold.")

    def say(self, finding: doctor.Finding) -> None:
        self.stdout.write(f"{'FAIL' if finding.failures else 'ok':<5}{finding.name}: {finding.says}")
        for example in finding.examples:
            self.stdout.write(f"       {example}")
        if finding.failures > len(finding.examples):
            self.stdout.write(f"       … {finding.failures:,} in all")
