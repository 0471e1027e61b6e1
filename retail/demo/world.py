"""Loading the demo: a year of two brands, the same for the same day on every machine.

Everything but the last days is written with COPY in one transaction. The orders of the last ten days then go through
the real flow one by one, each at its own time, so that their commissions are the product's own work.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from random import Random

from django.db import transaction
from django.utils import timezone

from retail import intake, jobs, orders, scope, shapes
from retail.demo import bonds, copying, customers, facts, goods, keys, people, seasons, shops, stories, tariffs
from retail.demo.shopping import Market
from retail.models import Brand, Channel

SEED = 20_240_817

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Size:
    """How large the world is. The shops are always the same thirty."""

    heads: int  # in each store
    products: int
    members: int
    orders: int


FULL = Size(heads=23, products=2_000, members=100_000, orders=120_000)


def scaled(scale: float) -> Size:
    """A world of that part of the full one; fewer people and products, but enough to have a story."""
    return Size(
        heads=max(4, round(FULL.heads * scale)),
        products=max(240, round(FULL.products * scale)),
        members=round(FULL.members * scale),
        orders=round(FULL.orders * scale),
    )


def is_empty() -> bool:
    """Whether there is nothing yet."""
    return not Brand._base_manager.exists()


def load(*, progress: Progress, now: datetime | None = None, size: Size = FULL) -> None:
    """Make the world of the day of `now` in empty tables.

    Stopped in the first part it leaves nothing; stopped in the second, the worker settles the rest.
    """
    now = (now or timezone.now()).astimezone(seasons.SHANGHAI)
    with scope.within(scope.EVERYTHING):
        with transaction.atomic():
            recent = _write_facts(now=now, size=size, progress=progress)
            waiting = _enqueue(recent, now)
        copying.analyze()
        _settle(recent, progress=progress)
        jobs.Job.objects.filter(pk__in=waiting).delete()
        copying.analyze()


def _write_facts(*, now: datetime, size: Size, progress: Progress) -> facts.Recent:
    """Write all but what the real flow makes; what is left for it."""
    rng = Random(f"{SEED} {now.date()}")
    keyring = keys.Keyring()
    progress("门店、员工、商品", 0, 1)
    places = shops.write()
    staff = people.write(rng, shops=places, per_store=size.heads, now=now, keyring=keyring)
    shelves = goods.write(rng, brands=places.brands, wanted=size.products)
    tariffs.write(brands=places.brands, since=_midnight(now) - timedelta(days=2 * seasons.YEAR), now=now)
    progress("门店、员工、商品", 1, 1)
    registry = customers.Registry(rng, shops=places, people=staff, keyring=keyring, now=now)
    known = registry.fill(size.members, progress=lambda done: progress("会员", done, size.members))
    market = Market(rng, places, staff, known, shelves, now)
    journal = _write_sales(market, size.orders, progress)
    customers.write_memberships(known, places)
    journal.write_purchases()
    bonds.write(rng, customers=known, people=staff)
    copying.move_up_sequences()
    return journal.recent


def _write_sales(market: Market, wanted: int, progress: Progress) -> facts.Journal:
    first_day = _midnight(market.now) - timedelta(days=seasons.SETTLED_DAYS - 1)
    journal = facts.Journal(settled_from=first_day)
    told = stories.tell(market)
    wanted -= len(told)
    sales = heapq.merge(told, market.sales(wanted), key=lambda sale: sale.data.paid_at)
    for done, sale in enumerate(sales, start=1):
        journal.write(sale)
        if done % 2_000 == 0:
            progress("订单", done, wanted)
    journal.close()
    progress("订单", wanted, wanted)
    return journal


def _enqueue(recent: facts.Recent, now: datetime) -> list[int]:
    """A job for each order still to be settled, due when we should long be through; ids of the jobs."""
    work = [jobs.Work("settle_order", {"order_id": order_id}) for _, order_id in recent.orders]
    return jobs.enqueue(work=work, now=now, due_at=now + timedelta(minutes=5))


def _settle(recent: facts.Recent, progress: Progress) -> None:
    """Send the orders and refunds of the last days through the real flow, at the times they came."""
    events = facts.in_turn(recent)
    for done, (at, event) in enumerate(events, start=1):
        if isinstance(event, int):
            intake.settle_order(order_id=event, now=at + timedelta(seconds=5))
        else:
            _take_back(*event, now=at)
        if done % 50 == 0 or done == len(events):
            progress("近十天逐单结算", done, len(events))


def _take_back(channel: Channel, refund: shapes.Refund, *, now: datetime) -> None:
    (taken,) = orders.record_refunds(channel=channel, data=[refund], now=now)
    intake.settle_refund(refund_id=taken.id, now=now)


def _midnight(moment: datetime) -> datetime:
    return datetime.combine(moment.date(), time(), seasons.SHANGHAI)
