"""Settling all that waits, in batches: after a first load, and again where it was stopped."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import NamedTuple

from django.db.models import Count, Q, QuerySet

from retail import intake
from retail.imports.progress import Meter
from retail.models import Order, OrderLine

BATCH = 500  # orders in one transaction
PAGE = 20_000  # orders whose ids are read at once


class Settled(NamedTuple):
    """How many were settled; `lines` counts those of the failed ones too, whose ids are given."""

    orders: int
    lines: int
    failed: list[int]


def run(*, among: QuerySet[Order], now: datetime, batch: int = BATCH) -> Settled:
    """Settle those of the orders that never were, in the order of payment; ids of those that cannot be.

    Each batch is committed by itself, so whatever moment this is stopped at, the next run goes on from there.
    """
    waiting = among.filter(settled_at=None).order_by("paid_at", "pk")
    meter = Meter(total=OrderLine.objects.filter(order__in=waiting.order_by()).count(), unit="lines")
    orders, lines, failed = 0, 0, []
    with _garbage_collected_by_hand() as collect:
        for page in _pages(waiting):
            for start in range(0, len(page), batch):
                part = page[start : start + batch]
                failed += intake.settle_orders(order_ids=[order_id for order_id, _, _ in part], now=now)
                orders, lines = orders + len(part), lines + sum(count for _, _, count in part)
                meter(lines)
                collect()
    return Settled(orders - len(failed), lines, failed)


@contextmanager
def _garbage_collected_by_hand() -> Iterator[Callable[[], int]]:
    """A batch makes a hundred thousand objects that die together; looking for dead ones meanwhile costs a quarter."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield gc.collect
    finally:
        gc.enable()
        gc.unfreeze()


def _pages(waiting: QuerySet[Order]) -> Iterator[list[tuple[int, datetime, int]]]:
    """Id, time of payment and number of lines of the orders, many at once but never all."""
    rows = waiting.annotate(size=Count("lines")).values_list("pk", "paid_at", "size")
    page = list(rows[:PAGE])
    while page:
        yield page
        last_id, paid_at, _ = page[-1]
        page = list(rows.filter(Q(paid_at__gt=paid_at) | Q(paid_at=paid_at, pk__gt=last_id))[:PAGE])
