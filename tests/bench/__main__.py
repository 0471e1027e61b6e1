"""Run the benchmarks on a PostgreSQL of their own and say what came out; `--write` keeps it in docs/benchmarks.md."""

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import django

from retail import embedded
from tests.bench import page
from tests.bench.measure import Verdict

_folder = tempfile.TemporaryDirectory(prefix="daogou-bench-")
os.environ |= {
    "DJANGO_SETTINGS_MODULE": "retail.settings",
    "DAOGOU_TESTING": "true",
    "DAOGOU_API_RATE": "100000/min",
    "DAOGOU_VAR": _folder.name,
}


NAMES = (
    *("pricing", "peers", "accrue", "settle", "bulk", "what_if"),
    *("http", "csv", "webhook", "links", "welcomes", "scope", "closing"),
    *("lists", "night", "segments", "pools", "handover", "intent", "foretelling", "materials", "posters"),
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("names", nargs="*", help=f"{', '.join(NAMES)}; all of them by default")
    parser.add_argument("--full", action="store_true", help="full sizes")
    parser.add_argument("--write", action="store_true", help="write what came out into docs/benchmarks.md")
    given = parser.parse_args()
    with embedded.start(data=Path(_folder.name), durable=True) as server:
        os.environ.pop("DATABASE_URL", None)
        server.publish()
        django.setup()
        results = _run(given.names or NAMES, full=given.full)
        facts = _facts()
        _close()
    embedded.remove(Path(_folder.name))  # of root the data lies elsewhere, and would stay
    if given.write:
        page.write(results, size="full size" if given.full else "quick size", facts=facts, names=NAMES)
    return 0 if all(verdict.is_met for verdicts in results.values() for verdict in verdicts) else 1


def _run(names: Sequence[str], *, full: bool) -> dict[str, list[Verdict]]:
    """The verdicts of each benchmark, said as they come."""
    from django.core.management import call_command

    from retail import scope
    from tests.bench import (
        bulk,
        callbacks,
        closing,
        commission,
        drawing,
        feeding,
        foreseeing,
        handing,
        linking,
        lists,
        peers,
        pools,
        scoping,
        segmenting,
        sharing,
        tagging,
        trying,
        welcomes,
    )
    from tests.bench.worlds import Shop

    benchmarks = (commission.pricing, peers.peers, commission.accrue, commission.settle, bulk.bulk, trying.what_if)
    doors = (feeding.http, feeding.csv_file, callbacks.webhook, linking.links)
    edges = (*doors, welcomes.welcomes, scoping.scoping, closing.closing)
    members = (lists.lists, tagging.night, segmenting.segmenting)
    rooms = (*members, pools.pools, handing.handover, foreseeing.intent, foreseeing.foretelling)
    shared = (sharing.materials, drawing.drawing)
    by_name = dict(zip(NAMES, (*benchmarks, *edges, *rooms, *shared), strict=True))
    call_command("migrate", verbosity=0)
    results: dict[str, list[Verdict]] = {}
    with scope.within(scope.EVERYTHING):
        shop = Shop()
        _prepare()
        for name in names:
            began = time.monotonic()
            for verdict in by_name[name](shop, full=full):
                results.setdefault(name, []).append(verdict)
                _say(verdict)
            print(f"   ({name}: {time.monotonic() - began:.0f} s)\n", flush=True)
    return results


def _prepare() -> None:
    """The database does nothing that no way asked for."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("ALTER SYSTEM SET autovacuum = off")
        cursor.execute("SELECT pg_reload_conf()")
        cursor.execute("ANALYZE")


def _close() -> None:
    from django.db import connections

    connections.close_all()


def _say(verdict: Verdict) -> None:
    print(verdict.headline())
    rows = verdict.table()
    widths = [max(map(len, column)) + 2 for column in zip(*rows, strict=True)]
    for cells in rows:
        print("   " + "".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)))
    for note in verdict.notes:
        print(f"   {note}")
    sys.stdout.flush()


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


if __name__ == "__main__":
    sys.exit(main())
