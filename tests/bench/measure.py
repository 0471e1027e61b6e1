"""Wall clock, CPU of this process and CPU of the database's backend, of ways that take turns."""

import gc
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median, quantiles

from django.db import connection

_TICK = 1 / os.sysconf("SC_CLK_TCK")


@dataclass
class Way:
    """One way of doing the work, with a sample of seconds for each turn. `units` is the work of one turn."""

    name: str
    units: int = 1
    wall: list[float] = field(default_factory=list)
    client_cpu: float = 0.0
    backend_cpu: float = 0.0

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Time one turn. The garbage of the turn before is not paid for by this one."""
        gc.collect(0)
        backend, client, wall = backend_seconds(), time.process_time(), time.perf_counter()
        yield
        self.wall.append(time.perf_counter() - wall)
        self.client_cpu += time.process_time() - client
        self.backend_cpu += backend_seconds() - backend

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
        return [self.name, walls, _ms(self.client_cpu / turns), _ms(self.backend_cpu / turns)]


def _ms(seconds: float) -> str:
    value = seconds * 1000
    return f"{value:.2f}" if value < 100 else f"{value:,.0f}"


_backend: int | None = None


def backend_seconds() -> float:
    """CPU seconds that our connection's backend has used so far, by the kernel's count (10 ms steps)."""
    global _backend
    if _backend is None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            _backend = cursor.fetchone()[0]
    with open(f"/proc/{_backend}/stat") as file:
        figures = file.read().rpartition(")")[2].split()
    return (int(figures[11]) + int(figures[12])) * _TICK


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
        bound = "no bound" if self.bound is None else f"{'≥' if self.is_floor else '≤'} {self.bound:g} ×"
        return f"{ratio} ({bound}, {'met' if self.is_met else 'MISSED'}) {self.name}"

    def table(self) -> list[list[str]]:
        head = ["way", "wall ms min / median / max", "client CPU ms", "database CPU ms"]
        return [head, *(way.row() for way in self.ways)]
