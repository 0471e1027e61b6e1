"""Run the benchmarks on a PostgreSQL of their own and say what came out; `--write` keeps it in docs/benchmarks.md."""

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import django

from retail import embedded

_folder = tempfile.TemporaryDirectory(prefix="daogou-bench-")
os.environ |= {
    "DJANGO_SETTINGS_MODULE": "retail.settings",
    "DAOGOU_TESTING": "true",
    "DAOGOU_API_RATE": "100000/min",
    "DAOGOU_VAR": _folder.name,
}
PAGE = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("names", nargs="*", help="pricing, accrue, settle, http, csv; all of them by default")
    parser.add_argument("--full", action="store_true", help="ten times the size")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    given = parser.parse_args()
    with embedded.start(data=Path(_folder.name), durable=True) as server:
        os.environ.pop("DATABASE_URL", None)
        server.publish()
        django.setup()
        verdicts = _run(given.names, full=given.full)
        facts = _facts()
        _close()
    if given.write:
        PAGE.write_text(_page(verdicts, facts, full=given.full), encoding="utf-8")
    return 0 if all(verdict.is_met for verdict in verdicts) else 1


def _run(names: list[str], *, full: bool) -> list:
    from django.core.management import call_command

    from retail import scope
    from tests.bench import commission, feeding
    from tests.bench.worlds import Shop

    benchmarks: dict[str, Callable] = {
        "pricing": commission.pricing,
        "accrue": commission.accrue,
        "settle": commission.settle,
        "http": feeding.http,
        "csv": feeding.csv_file,
    }
    call_command("migrate", verbosity=0)
    verdicts = []
    with scope.within(scope.EVERYTHING):
        shop = Shop()
        _analyze()
        for name in names or benchmarks:
            began = time.monotonic()
            for verdict in benchmarks[name](shop, full=full):
                verdicts.append(verdict)
                _say(verdict)
            print(f"   ({name}: {time.monotonic() - began:.0f} s)\n", flush=True)
    return verdicts


def _analyze() -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def _close() -> None:
    from django.db import connections

    connections.close_all()


def _say(verdict) -> None:
    print(verdict.headline())
    for cells in verdict.table():
        print("   " + "".join(f"{cell:<{width}}" for cell, width in zip(cells, (42, 32, 16, 16), strict=True)))
    for note in verdict.notes:
        print(f"   {note}")


def _facts() -> str:
    from django.db import connection
    from django.utils import timezone

    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('server_version'), current_setting('fsync')")
        version, fsync = cursor.fetchone()
    cores = len(os.sched_getaffinity(0))
    return (
        f"{timezone.localdate():%Y-%m-%d}, {cores} cores (shared), Python {platform.python_version()}, Django"
        f" {django.get_version()}, PostgreSQL {version} with fsync {fsync} on a Unix socket"
    )


def _page(verdicts: list, facts: str, *, full: bool) -> str:
    size = "--full" if full else "quick size"
    lines = [
        "# Benchmarks",
        "",
        f"Written by `python -m tests.bench{' --full' if full else ''} --write` ({size}): {facts}.",
        "",
        "Absolute figures do not travel; the ratios do. The ways of one benchmark take turns in one process, and it",
        "is asserted that they give equal results. The limit is the least a database can be asked for the same rows;",
        "entries have no foreign keys there either, orders and lines keep theirs. CPU figures are means of one turn.",
        "",
    ]
    for verdict in verdicts:
        head, *rows = verdict.table()
        lines += [f"## {verdict.headline()}", "", f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
        lines += [f"| {' | '.join(row)} |" for row in rows]
        lines += ["", *(f"- {note}" for note in verdict.notes), ""]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    sys.exit(main())
