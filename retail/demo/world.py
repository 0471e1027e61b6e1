"""Loading the demo: a year of two brands, the same for the same day on every machine.

The facts of the year are written with COPY. Then they are settled, so that all commissions are the product's own work:
the year as history is, on the bulk path, and the last ten days day by day. What need not wait for another is done
beside it.
"""

import heapq
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from random import Random

from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from clerks import book
from retail import beside, bulk, garbage, jobs, scope
from retail.demo import (
    announcements,
    bonds,
    bridges,
    copying,
    customers,
    deeds,
    doubles,
    facts,
    goods,
    hands,
    jottings,
    keys,
    leads,
    materials,
    partings,
    paydays,
    people,
    pools,
    seasons,
    segments,
    settling,
    sharing,
    shops,
    standing,
    stories,
    tariffs,
    traces,
    vouchers,
    words,
)
from retail.demo.shopping import Market
from retail.models import Brand, Order, User

SEED = 20_240_817
MARK = "a whole demo world"  # a comment on the table of brands: whoever makes tables may write it, and needs no row

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Size:
    """How large the world is. The shops are always the same thirty."""

    heads: int  # in each store
    products: int
    members: int
    orders: int


FULL = Size(heads=23, products=2_000, members=100_000, orders=70_000)


def scaled(scale: float) -> Size:
    """A world of that part of the full one; fewer people and products, but enough to have a story."""
    return Size(
        heads=max(4, round(FULL.heads * scale)),
        products=max(240, round(FULL.products * scale)),
        members=max(1_000, round(FULL.members * scale)),
        orders=max(1_200, round(FULL.orders * scale)),
    )


def is_empty() -> bool:
    """Whether there is nothing yet."""
    return not Brand._base_manager.exists()


def is_whole() -> bool:
    """Whether a load came to its end here."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT obj_description(to_regclass('retail_brand'), 'pg_class')")
        return bool(cursor.fetchone() == (MARK,))


def is_unfinished() -> bool:
    """Whether there is something here that is no whole world; may be asked before the tables are made."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('retail_user') IS NOT NULL AND to_regclass('retail_brand') IS NOT NULL")
        has_tables = cursor.fetchone() == (True,)
    return has_tables and not is_whole() and (not is_empty() or User._base_manager.exists())


def load(
    *,
    progress: Progress,
    now: datetime | None = None,
    size: Size = FULL,
    meanwhile: Callable[[], object] = lambda: None,
) -> None:
    """Make the world of the day of `now` in empty tables; the hour only moves what happens today.

    `meanwhile` is done, maybe in another process, once all that was paid is booked. Stopped before it has written its
    mark it left a part of a world, which nothing goes on with.
    """
    now = (now or timezone.now()).astimezone(seasons.SHANGHAI)
    with scope.within(scope.EVERYTHING), garbage.collected_by_hand() as collect:
        foreign_keys = copying.drop_foreign_keys()
        _make(now, size, progress, meanwhile, collect)
        with _told(progress, "核对"):
            copying.make_foreign_keys(foreign_keys)
        _mark()


def _make(
    now: datetime, size: Size, progress: Progress, meanwhile: Callable[[], object], collect: Callable[[], int]
) -> None:
    events = _write_facts(now=now, size=size, progress=progress)
    waiting = _enqueue(events, now)
    collect()
    copying.analyze("members", "materials")
    with book.left_for_later():
        _settle(Order.objects.filter(paid_at__lt=_first_settled_day(now)), now, progress)
        collect()
        _live_on(events, waiting, now, progress)
    collect()
    beside.run(apart=partial(_pay, now, progress), here=partial(_sort, now, progress))
    beside.run(apart=meanwhile, here=partial(_watch, now, progress))


def _live_on(events: list[facts.Event], waiting: list[int], now: datetime, progress: Progress) -> None:
    """What happened beside the year's sales, and its last days."""
    with _told(progress, "招募与好友奖励"):
        deeds.run(now=now)
    settling.run(events, progress=lambda done: progress("近十天结算", done, len(events)))
    jobs.Job.objects.filter(pk__in=waiting).delete()
    with _told(progress, "分享、券与行为"):
        sharing.finish(now=now)
        vouchers.finish(brands=Brand.objects.order_by("pk"), now=now)
        doubles.run(now=now)
        standing.by_hand(now=now)
        traces.write(now=now)
        copying.analyze("commissions")


def _pay(now: datetime, progress: Progress) -> None:
    """What follows from the entries, and from the purchases of the past."""
    with _told(progress, "月结与发薪"):
        paydays.run(now=now)
    if leads.can_learn():
        with _told(progress, "学购买意向"):
            leads.learn(now=now)


def _sort(now: datetime, progress: Progress) -> None:
    """What is said of the members, which of them are alike, whose they are; then the clerks' lists of them."""
    with book.left_for_later(), _told(progress, "标签与人群"):
        words.run(now=now)
        segments.write(now=now)
        hands.run(now=_yesterday(now))
    with _told(progress, "顾客名单"):
        jottings.run(now=now)


def _watch(now: datetime, progress: Progress) -> None:
    """What people do with their lists of customers, and what today asks of them."""
    with _told(progress, "线索"):
        announcements.write(now=now)
        partings.run(now=_yesterday(now))
        pools.run(now=now)
        bridges.write(now=now)
        copying.analyze("clerks", "members")
        leads.run(now=now)


def _yesterday(now: datetime) -> datetime:
    """Whatever the hour is now."""
    return seasons.midnight(now) - timedelta(hours=6)


@contextmanager
def _told(progress: Progress, what: str) -> Iterator[None]:
    """A step that cannot say how far it is."""
    progress(what, 0, 1)
    yield
    progress(what, 1, 1)


def _mark() -> None:
    """Once this is on the disk, so is all the rest, even where nothing before waited for the disk."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit = on")
        cursor.execute(f"COMMENT ON TABLE retail_brand IS '{MARK}'")


def _write_facts(*, now: datetime, size: Size, progress: Progress) -> list[facts.Event]:
    """Write all but what the real flow makes; what is left for it."""
    rng = Random(f"{SEED} {now.date()}")
    progress("门店、员工、商品", 0, 1)
    keyring = keys.Keyring()
    places = shops.write()
    staff = people.write(rng, shops=places, per_store=size.heads, now=now, keyring=keyring)
    keyring.flush()
    shelves = goods.write(rng, brands=places.brands, wanted=size.products)
    tariffs.write(brands=places.brands, since=seasons.midnight(now) - timedelta(days=2 * seasons.YEAR), now=now)
    standing.write(shops=places, since=seasons.midnight(now) - timedelta(days=2 * seasons.YEAR))
    progress("门店、员工、商品", 1, 1)
    registry = partial(customers.Registry, shops=places, people=staff, now=now)
    writing = registry(copy(rng), keyring=keyring, is_writing=True)
    drawing = registry(rng, keyring=keyring.numbers(), is_writing=False)
    events = beside.run(
        apart=partial(_write_members, writing, size, progress),
        here=lambda: _write_sales(
            Market(rng, places, staff, drawing.fill(size.members), shelves, now), size, progress
        ),
    )
    copying.move_up_sequences()
    copying.analyze()
    vouchers.write(brands=places.brands, now=now)
    library = materials.write(brands=places.brands, now=now)
    sharing.write(Random(f"{SEED} shares {now.date()}"), library=library, people=staff, now=now)
    return events


def _write_members(registry: customers.Registry, size: Size, progress: Progress) -> None:
    with copying.indexed_at_the_end(*customers.TABLES):
        registry.fill(size.members, progress=lambda done: progress("会员", done, size.members))


def _write_sales(market: Market, size: Size, progress: Progress) -> list[facts.Event]:
    """The year's orders, and what they make of the members they are drawn from; what is left for the real flow."""
    journal = facts.Journal(settled_from=_first_settled_day(market.now))
    told = stories.tell(market)
    with copying.indexed_at_the_end(*copying.tables_but(*customers.TABLES)):
        sales = heapq.merge(told, market.sales(size.orders - len(told)), key=lambda sale: sale.data.paid_at)
        for done, sale in enumerate(sales, start=1):
            journal.write(sale)
            if done % 2_000 == 0 and done < size.orders:
                progress("订单", done, size.orders)
        journal.close()
        customers.write_memberships(market.customers, market.shops, market.now)
        journal.write_purchases()
        bonds.write(market.rng, customers=market.customers, people=market.people)
    progress("订单", size.orders, size.orders)
    return journal.events


def _settle(waiting: QuerySet[Order], now: datetime, progress: Progress) -> None:
    """As a brand's history is settled when it is first loaded."""
    how = bulk.How(progress=lambda done, lines: progress("全年结算", done, lines))
    settled = bulk.settle(among=waiting, now=now, how=how)
    if settled.failed:
        raise settling.SettlingFailed(f"These orders of the demo cannot be settled: {settled.failed[:20]}")


def _first_settled_day(now: datetime) -> datetime:
    return seasons.midnight(now) - timedelta(days=seasons.SETTLED_DAYS - 1)


def _enqueue(events: list[facts.Event], now: datetime) -> list[int]:
    """A job for each order still to be settled, due when we should long be through; ids of the jobs."""
    work = [jobs.Work("settle_order", {"order_id": event.order_id}) for event in events if not event.refund]
    return jobs.enqueue(work=work, now=now, due_at=now + timedelta(minutes=5))
