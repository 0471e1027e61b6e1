"""The last days of the demo through the real flow: day by day, the sales of a day and then its refunds."""

from collections.abc import Callable, Sequence
from itertools import groupby

from django.utils import timezone

from retail import intake, orders
from retail.demo.facts import Event

BATCH = 500  # orders settled in one transaction


class SettlingFailed(RuntimeError):
    """An order of the demo cannot be settled; it is left to the job queue."""


def run(events: Sequence[Event], *, progress: Callable[[int], None]) -> None:
    """Settle in the order of time, each day as of its last event."""
    done = 0
    in_turn = sorted(events, key=lambda event: event.at)
    for _day, happened in groupby(in_turn, key=lambda event: timezone.localdate(event.at)):
        todays = list(happened)
        _settle_sales(todays)
        for event in todays:
            _take_back(event)
        done += len(todays)
        progress(done)


def _settle_sales(todays: Sequence[Event]) -> None:
    sales = [event.order_id for event in todays if event.refund is None]
    for start in range(0, len(sales), BATCH):
        failed = intake.settle_orders(order_ids=sales[start : start + BATCH], now=todays[-1].at)
        if failed:
            raise SettlingFailed(f"These orders of the demo cannot be settled: {failed}")


def _take_back(event: Event) -> None:
    if event.refund is None:
        return
    (taken,) = orders.record_refunds(channel=event.channel, data=[event.refund], now=event.at)
    if taken.id:
        intake.settle_refund(refund_id=taken.id, now=event.at)
