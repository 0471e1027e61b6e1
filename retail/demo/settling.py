"""The last days of the demo through the real flow: each order and refund at its own time, one after another.

A second process takes half of the buyers where there is a second core; nothing else would be different.
"""

import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from multiprocessing.process import BaseProcess
from typing import Any

from django.db import connection, connections

from retail import intake, orders
from retail.demo.facts import Event

WORKERS = 2


class SettlingFailed(RuntimeError):
    """A worker gave up; its orders are left to the job queue."""


def run(events: Sequence[Event], *, progress: Callable[[int], None]) -> None:
    """Settle in the order of time. Inside somebody's transaction in this process, else shared among the cores."""
    in_turn = sorted(events, key=lambda event: event.at)
    workers = min(WORKERS, len(os.sched_getaffinity(0)))
    if connection.in_atomic_block or workers == 1:
        _settle_all(in_turn, progress)
    else:
        _share_out([[event for event in in_turn if event.buyer % workers == n] for n in range(workers)], progress)


def _settle_all(events: Sequence[Event], progress: Callable[[int], None]) -> None:
    for done, event in enumerate(events, start=1):
        _settle(event)
        if done % 20 == 0 or done == len(events):
            progress(done)


def _settle(event: Event) -> None:
    if event.refund is None:
        intake.settle_order(order_id=event.order_id, now=event.at)
        return
    (taken,) = orders.record_refunds(channel=event.channel, data=[event.refund], now=event.at)
    if taken.id:
        intake.settle_refund(refund_id=taken.id, now=event.at)


def _share_out(parts: list[list[Event]], progress: Callable[[int], None]) -> None:
    """Each part in a process of its own, with its own connection."""
    connections.close_all()
    context = multiprocessing.get_context("fork")  # what was loaded so far is shared, not loaded again
    done = [context.Value("i", 0) for _ in parts]
    workers = [
        context.Process(target=_work, args=(part, count), daemon=True) for part, count in zip(parts, done, strict=True)
    ]
    try:
        for worker in workers:
            worker.start()
        _watch(workers, lambda: progress(sum(count.value for count in done)))
    finally:
        for worker in workers:
            worker.terminate()
            worker.join()


def _watch(workers: Sequence[BaseProcess], tell: Callable[[], None]) -> None:
    while any(worker.is_alive() for worker in workers):
        workers[0].join(0.2)
        workers[-1].join(0.2)
        tell()
    if any(worker.exitcode for worker in workers):
        raise SettlingFailed("Settling the last days stopped; the worker of the demo will do the rest.")


def _work(events: list[Event], done: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process; ours is ended by its parent
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # The same statements thousands of times: planning each of them anew is a tenth of all the work.
    connection.settings_dict["OPTIONS"] |= {"server_side_binding": True, "prepare_threshold": 2}
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = off")  # a power cut costs the demo nothing worth waiting for

    def note(count: int) -> None:
        done.value = count

    _settle_all(events, note)
