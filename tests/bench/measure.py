"""Wall clock, CPU of our processes and CPU of the database's backends, of ways that take turns."""

import gc
import os
import re
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from statistics import median, quantiles

from django.db import connection


@dataclass
class Way:
    """One way of doing the work, with a sample of seconds for each turn. `units` is the work of one turn."""

    name: str
    units: int = 1
    wall: list[float] = field(default_factory=list)
    client_cpu: float = 0.0
    backend_cpu: float = 0.0

    @contextmanager
    def turn(self, *, goes_on: bool = False) -> Iterator[None]:
        """Time one turn, or a further piece of the last one. The garbage of what was before is not paid for here."""
        gc.collect(0)
        backend, client, wall = backend_seconds(), client_seconds(), time.perf_counter()
        yield
        wall = time.perf_counter() - wall
        self.client_cpu += client_seconds() - client
        self.backend_cpu += backend_seconds() - backend
        self.wall.append(wall + self.wall.pop() if goes_on else wall)

    @property
    def median(self) -> float:
        return median(self.wall)

    @property
    def p95(self) -> float:
        return quantiles(self.wall, n=20)[-1]

    @property
    def speed(self) -> float:
        """Units a second, at the median."""
        return self.units / self.median

    def row(self) -> list[str]:
        turns = len(self.wall)
        walls = " / ".join(_ms(value) for value in (min(self.wall), self.median, max(self.wall)))
        return [self.name, walls, _ms(self.client_cpu / turns), _ms(self.backend_cpu / turns), f"{self.speed:,.0f}"]


def _ms(seconds: float) -> str:
    value = seconds * 1000
    return f"{value:.2f}" if value < 100 else f"{value:,.0f}"


def client_seconds() -> float:
    """CPU seconds of this process and of the children it has waited for."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def backend_seconds() -> float:
    """CPU seconds that the backends of all our connections have used so far, by the kernel's count (10 ms steps).

    Those of backends that have ended stand in the account of their server. What it does by itself is not counted.
    """
    server = _server()
    ticks = sum(_figures(server)[3:])
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ends at this moment
            parent, user, system, *_ = _figures(folder.name)
            if parent == server and _IS_BACKEND((folder / "cmdline").read_bytes()):
                ticks += user + system
    return ticks / os.sysconf("SC_CLK_TCK")


# A backend's title names its client; that of a process which ended and is not yet counted is empty.
_IS_BACKEND = re.compile(rb".*\[local\]|$").match


def _figures(pid: int | str) -> tuple[int, int, int, int, int]:
    """Parent of a process, its user and system ticks, and those of the children it has waited for."""
    figures = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(figures[1]), int(figures[11]), int(figures[12]), int(figures[13]), int(figures[14])


@cache
def _server() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return _figures(cursor.fetchone()[0])[0]


@dataclass
class Verdict:
    """One ratio with its bound, and the ways it was taken from."""

    name: str
    ratio: float | None
    bound: float | None
    ways: list[Way]
    is_floor: bool = False  # the ratio has to be at least, not at most, the bound
    notes: list[str] = field(default_factory=list)

    @property
    def is_met(self) -> bool:
        if self.ratio is None or self.bound is None:
            return True
        return self.ratio >= self.bound if self.is_floor else self.ratio <= self.bound

    def headline(self) -> str:
        ratio = "–" if self.ratio is None else f"{self.ratio:.2f} ×"
        bound = f"{'≥' if self.is_floor else '≤'} {self.bound} ×, {'met' if self.is_met else 'MISSED'}"
        return f"{ratio} ({bound if self.bound is not None else 'no bound'}) {self.name}"

    def table(self) -> list[list[str]]:
        head = ["way", "wall ms min / median / max", "client CPU ms", "database CPU ms", "a second"]
        return [head, *(way.row() for way in self.ways)]
