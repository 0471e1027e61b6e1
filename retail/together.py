"""Rows that come at once are written together: they share a statement and a commit.

    request ─┐
    request ─┼─▶ a batch ──one statement, one COMMIT, by the thread of one of them──▶ all of them are answered
    request ─┘     those that come meanwhile are the next batch

Waiting for the disk is what a single row costs; so those that come at once wait together (docs/adr/0021). The writer
has no thread and no connection of its own, and nothing to lose when a process is forked or dies: a row is either
committed and its request answered, or neither was promised.
"""

import os
import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from django.db import connection

MOST_AT_ONCE = 500  # rows of one batch
PATIENCE = 10.0  # seconds that a request waits for its row

Row = TypeVar("Row")


class Away(Exception):
    """The row is not in the database; nothing was promised. Its cause is what the database said to its batch."""


class _Waiting(Generic[Row]):
    """A request with its row. It is woken when its row was dealt with, or when it is to write for all who wait."""

    __slots__ = ("error", "is_done", "leads", "row", "woken")

    def __init__(self, row: Row) -> None:
        self.row = row
        self.woken = threading.Event()
        self.leads = self.is_done = False
        self.error: BaseException | None = None


class Line(Generic[Row]):
    """Who waits in this process, and whether one of them is writing. `commit` writes a batch for good, or raises."""

    def __init__(self, commit: Callable[[Sequence[Row]], None]) -> None:
        self._commit = commit
        self._start_anew()
        # In a process that was forked, those who waited are threads of the other one.
        os.register_at_fork(after_in_child=self._start_anew)

    def _start_anew(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[_Waiting[Row]] = []
        self._is_led = False

    def write(self, row: Row) -> None:
        """Return when the row is committed, together with those of other requests. Raises Away.

        Within a transaction of the caller's it is written alone, and lasts as that does.
        """
        one = _Waiting(row)
        if connection.in_atomic_block:
            self._commit_for([one])
        else:
            self._join(one)
            if not one.leads and not one.woken.wait(PATIENCE):
                self._leave(one)
            if one.leads:
                self._lead()
        if not one.is_done:
            raise Away("The row was not written.") from one.error

    def _join(self, one: _Waiting[Row]) -> None:
        """Who finds nobody writing writes."""
        with self._lock:
            self._waiting.append(one)
            if not self._is_led:
                self._is_led = one.leads = True

    def _leave(self, one: _Waiting[Row]) -> None:
        """Wait no longer, unless it is just this one's turn."""
        with self._lock:
            if not one.leads and one in self._waiting:
                self._waiting.remove(one)

    def _lead(self) -> None:
        with self._lock:
            taken, self._waiting = self._waiting[:MOST_AT_ONCE], self._waiting[MOST_AT_ONCE:]
        try:
            self._commit_for(taken)
        finally:
            self._hand_on()

    def _commit_for(self, taken: Sequence[_Waiting[Row]]) -> None:
        error: BaseException | None = None
        try:
            self._commit([one.row for one in taken])
        except BaseException as raised:
            error = raised
            if not isinstance(raised, Exception):
                raise
        finally:
            for one in taken:
                one.is_done, one.error = error is None, error
                one.woken.set()

    def _hand_on(self) -> None:
        """The first of those who wait by now writes next."""
        with self._lock:
            self._is_led = bool(self._waiting)
            if self._is_led:
                self._waiting[0].leads = True
                self._waiting[0].woken.set()
