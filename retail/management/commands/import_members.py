"""Take a list of members: CSV or Excel, columns as people call them."""

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from members.models import MemberImport
from retail import scope
from retail.imports import leftovers, members, progress
from retail.management.base import TablesCommand
from retail.models import Brand

_COUNTED = ("new", "changed", "known", "conflict", "bad")


class Command(TablesCommand):
    help = "Import a CSV or XLSX file of members. It is tried first; bad rows go to FILE.failed.csv."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--brand", required=True, help="code of the brand whose members they are")
        parser.add_argument("--check", action="store_true", help="try every row and take nothing")

    def handle(self, *, file: Path, brand: str, check: bool, **options: Any) -> None:
        with scope.within(scope.EVERYTHING):
            try:
                content = file.read_bytes()
                owner = Brand.objects.get(code=brand)
                self._import(file, content, owner, check)
            except OSError as error:
                raise CommandError(f"{file}: {error.strerror}") from None
            except Brand.DoesNotExist:
                raise CommandError(f"There is no brand {brand!r}.") from None
            except members.Unfit as error:
                raise CommandError(f"{file}: {error}") from None

    def _import(self, file: Path, content: bytes, brand: Brand, is_check: bool) -> None:
        now = timezone.now()
        given = members.unfinished(content=content, brand=brand)
        if given is None:
            given = members.give_in(name=file.name, content=content, brand=brand, by=None, now=now)
            given = members.check(given=given, now=now, is_here=True)
        elif given.done:
            self.stderr.write(f"Goes on behind row {given.done:,}.")
        self._say_columns(given)
        while given.is_at_work:
            meter = progress.Meter(total=given.total, unit="rows", start=given.done)
            members.work(import_id=given.pk, now=timezone.now, progress=meter)
            given = MemberImport.objects.select_related("brand").get(pk=given.pk)
            if given.state == MemberImport.State.CHECKED and not is_check:
                given = members.start(given=given, by=None, now=timezone.now(), is_here=True)
        self._say(file, given)

    def _say_columns(self, given: MemberImport) -> None:
        seen = members.look(given, now=timezone.now())
        for heading, name in zip(seen.header, seen.columns, strict=True):
            self.stderr.write(f"  {heading} → {name or 'left out'}")
        if seen.problems:
            raise CommandError("; ".join(seen.problems))

    def _say(self, file: Path, given: MemberImport) -> None:
        if given.state == MemberImport.State.FAILED:
            raise CommandError(f"{file}: {given.trouble}")
        counts = ", ".join(f"{given.counts.get(name, 0):,} {name}" for name in _COUNTED)
        verb = "Would be" if given.state == MemberImport.State.CHECKED else "Imported"
        self.stdout.write(f"{verb}: {counts} of {given.total:,} rows.")
        if given.is_cut:
            self.stderr.write("The file ends amid a row: it may not be whole.")
        if given.refused is not None:
            path = leftovers.path_of(file)
            leftovers.write(path, members.refused_file(given))
            self.stdout.write(f"Rows that were not taken, with the reason: {path}")
