"""docs/benchmarks.md: a section for each benchmark and size, kept until that one is written again."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.bench.measure import Verdict

PAGE = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"
HEAD = """# Benchmarks

Written by `python -m tests.bench [--full] --write [NAME …]` (`make bench`, `make bench-full` with `ARGS=--write`).

Absolute figures do not travel; the ratios do. The ways of one benchmark take turns, and it is asserted that they give
equal results. The limit is the least a database can be asked for the same rows; entries have no foreign keys there
either, orders and lines keep theirs. CPU figures are means of one turn, over all our processes and all their backends.
"A second" counts what the benchmark is about (orders, lines or rows) at the median.
"""
SIZES = ("quick size", "full size")


def write(
    results: Mapping[str, Sequence[Verdict]], *, size: str, facts: str, names: Sequence[str], path: Path = PAGE
) -> None:
    """Put in the sections of these benchmarks; `names` is the order of all of them."""
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    sections = dict(re.findall(r"^## (.+)\n+((?:(?!## ).*\n)*)", before, re.MULTILINE))
    sections |= {f"{name}, {size}": _section(verdicts, facts) for name, verdicts in results.items()}
    titles = [f"{name}, {size}" for size in SIZES for name in names]
    parts = [f"## {title}\n\n{sections[title].strip()}\n" for title in titles if title in sections]
    path.write_text("\n".join([HEAD, *parts]), encoding="utf-8")


def _section(verdicts: Sequence[Verdict], facts: str) -> str:
    lines = [facts, ""]
    for verdict in verdicts:
        head, *rows = verdict.table()
        lines += [f"**{verdict.headline()}**", "", f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
        lines += [f"| {' | '.join(row)} |" for row in rows]
        lines += ["", *(f"- {note}" for note in verdict.notes), ""]
    return "\n".join(lines)
