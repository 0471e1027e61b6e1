"""How far an import has come: on the screen for whoever waits, and in a file for the next start."""

import csv
import json
import os
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import IO

from retail.imports import leftovers, table
from retail.imports.table import Row, Table, TableError


@dataclass(slots=True)
class Tally:
    """What became of the rows so far. `done` is the number of the last row that needs no second look.

    Messages whose rows do not stand together are taken after all others: `scattered` of them are through.
    """

    done: int = 1
    scattered: int = 0
    rows: int = 0
    failed: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    failed_bytes: int = 0

    def count(self, status: str) -> None:
        self.outcomes[status] = self.outcomes.get(status, 0) + 1


class Checkpoint:
    """The progress file beside the input. It holds for this content only, and goes when the import is finished."""

    def __init__(self, source: Table) -> None:
        self._path = source.path.with_name(source.path.name + ".progress.json")
        self._digest = source.digest

    def load(self) -> Tally | None:
        try:
            said = json.loads(self._path.read_text())
            return Tally(**said["tally"]) if said["digest"] == self._digest else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def save(self, tally: Tally) -> None:
        scratch = self._path.with_name(self._path.name + ".new")
        scratch.write_text(json.dumps({"digest": self._digest, "tally": asdict(tally)}))
        scratch.replace(self._path)

    def clear(self) -> None:
        self._path.unlink(missing_ok=True)


class FailedRows:
    """FILE.failed.csv: the rows that were not taken, as they came, each with its number and the reason.

    It may hold phone numbers, so only its owner may read it, and it goes after a week. It can be corrected and
    imported itself.
    """

    def __init__(self, source: Table, *, keep_bytes: int) -> None:
        self.path = leftovers.path_of(source.path)
        self._source = source
        if keep_bytes:
            if not self.path.exists() or self.path.stat().st_size < keep_bytes:
                raise TableError(f"was interrupted, and {self.path.name} is not as it was left; give --restart")
            os.truncate(self.path, keep_bytes)
        else:
            self.path.unlink(missing_ok=True)

    def add(self, rows: Iterable[tuple[Row, str]]) -> int:
        """Append and make durable; returns the size of the file."""
        with open(self.path, "a", encoding="utf-8", newline="", opener=leftovers.private) as file:
            if not file.tell():
                leftovers.remember(self.path)
                file.write("\ufeff")  # without it spreadsheets take UTF-8 for something else
                csv.writer(file).writerow([*self._source.columns, *table.NOTES])
            write = csv.writer(file).writerow
            for row, reason in rows:
                write([*map(table.escaped, self._source.shown(row)), row.number, table.escaped(reason)])
            file.flush()
            os.fsync(file.fileno())
            return file.tell()


class Meter:
    """Says how fast it goes and how long it will take: on one line of a terminal, else a line every two seconds."""

    def __init__(self, *, total: int, unit: str, start: int = 0, out: IO[str] | None = None) -> None:
        self._total, self._unit, self._out = total, unit, out or sys.stderr
        self._began = self._said_at = time.monotonic()
        self._start = start

    def __call__(self, done: int) -> None:
        now = time.monotonic()
        is_tty = self._out.isatty()
        if now - self._said_at < (0.1 if is_tty else 2) and done < self._total:
            return
        self._said_at = now
        speed = (done - self._start) / max(now - self._began, 1e-9)
        left = f"{(self._total - done) / speed:.0f} s left" if speed else "…"
        line = f"  {done:,} of {self._total:,} {self._unit} · {speed:,.0f} {self._unit}/s · {left}"
        print(f"\r{line:<70}" if is_tty else line, end="" if is_tty and done < self._total else "\n", file=self._out)
        self._out.flush()
