"""A clock that can be moved: everything here that expires, expires by it."""

import time


class Clock:
    """Seconds since the epoch, from `start` on. Runs with the real ones; `advance` jumps, `freeze` stops it."""

    def __init__(self, *, start: float) -> None:
        self._offset = start - time.monotonic()
        self._frozen: float | None = None

    def now(self) -> float:
        return time.monotonic() + self._offset if self._frozen is None else self._frozen

    def stamp(self) -> int:
        """Whole seconds: what the protocol calls a time."""
        return int(self.now())

    @property
    def is_frozen(self) -> bool:
        return self._frozen is not None

    def advance(self, seconds: float) -> None:
        """Jump ahead; never back, for nothing that has happened is undone."""
        if seconds < 0:
            raise ValueError("Time goes forward only.")
        if self._frozen is None:
            self._offset += seconds
        else:
            self._frozen += seconds

    def freeze(self) -> None:
        self._frozen = self.now()

    def run(self) -> None:
        self._offset, self._frozen = self.now() - time.monotonic(), None
