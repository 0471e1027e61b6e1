"""Figures that a run of the tests proves a promise with, said together at its end."""

import os
from pathlib import Path


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
