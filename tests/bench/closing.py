"""Closing the periods that very many entries are booked in, against the database adding the same entries up."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.db import connection
from django.db.models import QuerySet, Sum

from commissions import closing as verbs
from commissions.models import Entry, Period, Statement
from commissions.models.ledger import midnight
from retail import bulk
from retail.models import Order
from tests.bench.bulk import Load
from tests.bench.measure import Verdict, Way
from tests.bench.worlds import Shop
from tests.factories import NOW

ORDERS = 4_000  # settled; each takes 26 entries
SECONDS = 60


def closing(shop: Shop, *, full: bool) -> Iterator[Verdict]:
    """Ten times the orders at full size: a million entries. Each period is closed once, for it stays so."""
    load = Load(shop, count=ORDERS)
    bulk.settle(among=Order.objects.all(), now=NOW)  # others' too, or the period is not ready
    if full:
        load.grow(times=10)
        bulk.recompute(among=load.orders(), now=NOW)
    entries = Entry.objects.filter(order_id__gte=load.ids.start, order_id__lt=load.ids.stop)
    booked = Period.objects.filter(pk__in=entries.values("period_booked")).order_by("starts_on")
    count = entries.count()
    limit, ours = Way("SELECT sum … GROUP BY person, payer, store, kind", count), Way("closing.close", count)
    with limit.turn(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT staff_id, payer_id, store_id, kind, sum(fen), count(*) FROM commissions_entry"
            " WHERE period_booked_id = ANY(%s) GROUP BY 1, 2, 3, 4",
            [[period.pk for period in booked]],
        )
        cursor.fetchall()
    last = booked.reverse()[0]
    with ours.turn():
        for period in Period.objects.filter(brand=last.brand_id, starts_on__lte=last.starts_on).order_by("starts_on"):
            verbs.close(period=period, by=None, now=midnight(period.ends_on) + timedelta(days=1))
    statements = Statement.objects.filter(period__in=booked)
    everybodys = Entry.objects.filter(period_booked__in=booked, staff__isnull=False)
    assert _sum(statements, "net_fen") == _sum(everybodys, "fen")
    name = f"closing what {count:,} entries are booked in, of {SECONDS} s"
    notes = [f"{statements.count():,} statements"]
    yield Verdict(name, ours.median / SECONDS, 1.0, [limit, ours], notes=notes)


def _sum(rows: QuerySet[Any], name: str) -> int:
    return rows.aggregate(sum=Sum(name))["sum"]
