"""Two things at once: one in a process of its own, the other here.

Neither hangs on what the other writes: what comes out is the same as if they were done one after the other.
"""

import multiprocessing
import os
import signal
from collections.abc import Callable
from typing import TypeVar

from django.db import connection, connections

_Out = TypeVar("_Out")


def run(*, apart: Callable[[], object], here: Callable[[], _Out]) -> _Out:
    """Do both, and return what came out here when both are done.

    Within a transaction, which nobody else could see into, one after the other. Raises RuntimeError when the other
    process fails; what it said is on the screen.
    """
    if connection.in_atomic_block:
        apart()
        return here()
    connections.close_all()  # a connection cannot be shared; either process opens its own
    context = multiprocessing.get_context("fork")  # it inherits the scope and the settings
    other = context.Process(target=_do, args=(apart, os.getpid()), daemon=True)
    other.start()
    try:
        outcome = here()
        other.join()
    finally:
        other.terminate()
        other.join()
    if other.exitcode:
        raise RuntimeError(f"The other process ended with {other.exitcode}; what it said is above.")
    return outcome


def _do(apart: Callable[[], object], parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started us is interrupted, and ends us
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if os.getppid() == parent:
        apart()
    connections.close_all()
