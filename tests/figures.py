"""Figures that a run of the tests proves a promise with, said together at its end."""

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any


def _page() -> Path:
    return Path(os.environ["DAOGOU_TEST_VAR"]) / "figures.txt"  # one for all workers of a run


def figure(promise: str, said: str) -> None:
    """Keep a line like `P5 300 members × 4 managers: 0 double` for the end of the run."""
    with _page().open("a", encoding="utf-8") as page:
        page.write(f"{promise:<4} {said}\n")


def all_said() -> list[str]:
    try:
        lines = _page().read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    return sorted(lines, key=lambda line: (int("".join(filter(str.isdigit, line.split()[0])) or 0), line))


def shares(reports: Iterable[Any], *, size: str) -> Iterator[str]:
    """Which suite (folder) ran how many tests, and which part of the time went to it; the longest first."""
    seconds: dict[str, float] = defaultdict(float)
    tests: dict[str, set[str]] = defaultdict(set)
    for report in reports:
        suite = str(PurePosixPath(report.nodeid.partition("::")[0]).parent)
        seconds[suite] += report.duration
        tests[suite].add(report.nodeid)
    whole = sum(seconds.values())
    for suite, spent in sorted(seconds.items(), key=lambda pair: -pair[1]):
        yield f"{suite:<32} {len(tests[suite]):>5} tests, {size}, {spent:>6.0f} s ({spent / (whole or 1):.0%})"
