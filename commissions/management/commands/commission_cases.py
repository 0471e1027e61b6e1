"""Evaluate commission cases from files: a JSON object a line; exit status 1 if one differs or is malformed."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from commissions.engine import cases


class Command(BaseCommand):
    help = "Evaluate commission cases (docs: the public case format) and compare what they expect."
    # The engine needs no database and no sound installation: a plan can be tried before anything is set up.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("files", nargs="+", metavar="FILE", help="JSON files of cases")

    def handle(self, *, files: list[str], **options: Any) -> None:
        failed = 0
        for name in files:
            try:
                failed += self._evaluate(name)
            except (OSError, ValueError) as error:  # not there, not UTF-8, not JSON, not a case file
                self.stderr.write(f"{name}: {error}")
                failed += 1
        if failed:
            raise CommandError(f"failed: {failed}")

    def _evaluate(self, name: str) -> int:
        """Print a line for every case of one file and return how many failed."""
        failed = 0
        with open(name, encoding="utf-8") as file:
            found = cases.read_cases(json.load(file))
        for position, case in enumerate(found):
            verdict = cases.evaluate(case)
            self.stdout.write(json.dumps(verdict.as_row(), ensure_ascii=False))
            for problem in verdict.problems:
                self.stderr.write(f"{name}: case {verdict.id or position}: {problem}")
            failed += not verdict.ok
        return failed
