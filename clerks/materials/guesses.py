"""Codes that lead nowhere, counted by address and minute: who tries many is not looked up any more.

A code has 71 bits, so that guessing is hopeless without this, too; what it spares is the database. In the memory of
one process: several processes allow several times as much, which changes nothing.
"""

import ipaddress
import threading
from datetime import datetime

OF_ADDRESS = 30  # a minute; a store, and the customers of one telephone company, may share an address
OF_ALL = 3_000  # a minute; beyond, whoever has missed once in this minute has had their chance
MOST_ADDRESSES = 20_000


class Guesses:
    """The misses of the current minute."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._minute, self._count = 0, 0
        self._misses: dict[str, int] = {}

    def is_spent(self, *, address: str, now: datetime) -> bool:
        """Whether nothing is looked up for this address in this minute."""
        with self._lock:
            self._turn(now)
            misses = self._misses.get(_network(address), 0)
            return misses >= (OF_ADDRESS if self._count < OF_ALL else 1)

    def miss(self, *, address: str, now: datetime) -> None:
        with self._lock:
            self._turn(now)
            self._count += 1
            name = _network(address)
            if name in self._misses or len(self._misses) < MOST_ADDRESSES:
                self._misses[name] = self._misses.get(name, 0) + 1

    def _turn(self, now: datetime) -> None:
        minute = int(now.timestamp()) // 60
        if minute != self._minute:
            self._minute, self._count = minute, 0
            self._misses.clear()


def _network(address: str) -> str:
    """One household has very many addresses of version 6: they count as one."""
    if ":" not in address:
        return address
    try:
        return str(ipaddress.ip_network((address, 64), strict=False))
    except ValueError:
        return ""
