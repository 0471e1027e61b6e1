"""Pricing against inserting, accruing and settling one order against a bare insert of what they wrote."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from itertools import count

from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from clerks import attribution, binding
from commissions import engine, ledger, plans
from commissions.models import BuyerSnapshot, ClaimRow, Entry
from members import identity
from retail import intake, orders, shapes
from retail.models import Order
from tests.bench.copies import Copy
from tests.bench.measure import Verdict, Way
from tests.bench.worlds import Shop
from tests.factories import NOW

LINES = 5


def pricing(shop: Shop, *, full: bool) -> list[Verdict]:
    """The core with 300 rules, in CPU, against INSERT … SELECT of the entries it gives into the same indexes."""
    count, rounds = (20_000, 3) if full else (2_000, 3)
    plan = plans.at(brand_id=shop.world.brand.pk, moment=NOW).plan
    facts = [facts_of(shop, row, number) for number, row in enumerate(shop.orders(count, lines=LINES, prefix="p"))]
    entries = Copy("commissions_entry")
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS bench_stage")
        cursor.execute("CREATE UNLOGGED TABLE bench_stage (LIKE commissions_entry INCLUDING DEFAULTS)")
        cursor.execute("ALTER TABLE bench_stage DROP COLUMN id")
    ours = Way(f"engine.price, {count} orders of {LINES} lines", count * LINES)
    limit = Way("INSERT … SELECT of the entries", count * LINES)
    for turn in range(rounds):
        plan.index._order_masks.clear(), plan.index._line_masks.clear()
        with ours.turn():  # one order after another, as bulk streams them: results are used and let go
            for order in facts:
                engine.price(plan, order)
        rows = [row for number, order in enumerate(facts) for row in _entries(shop, number, engine.price(plan, order))]
        if turn == 0:
            _stage(rows)
        with limit.turn(), connection.cursor() as cursor:
            cursor.execute(
                f"INSERT INTO bench_commissions_entry (id, {_STAGED})"
                f" SELECT row_number() OVER (), {_STAGED} FROM bench_stage"
            )
        assert entries.sum("count(*)") == len(rows) and entries.sum("sum(fen)") == 0
        entries.clear()
    per_line = ours.client_cpu / rounds / ours.units * 1e6
    ratio = ours.client_cpu / (limit.backend_cpu + limit.client_cpu)
    note = f"{len(rows):,} entries; {per_line:.1f} µs of CPU a line"
    name = "pricing with 300 rules, CPU against inserting the result"
    return [Verdict(name, ratio, 0.4, [limit, ours], notes=[note])]


_STAGED = (
    "key, txn, kind, brand_id, order_id, line_id, role, rule_id, version_id, staff_id, store_id, fen, base_fen,"
    " pool_fen, paid_at, posted_at, earned_on, period_booked_id, period_origin_id"
)


def _stage(rows: list[tuple]) -> None:
    with connection.cursor() as cursor, cursor.copy(f"COPY bench_stage ({_STAGED}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


def facts_of(shop: Shop, row: shapes.Order, number: int) -> engine.Order:
    """An order for the engine, without the database."""
    category = {product.sku: product.category.code for product in shop.products}
    people = {code: place for place, code in enumerate(shop.clerks[row.store_code])}
    clerk = people[row.serving_clerk]
    return engine.Order(
        id=number,
        paid_at=row.paid_at,
        channel="pos",
        store=row.store_code,
        roles={"serve": clerk, "bound": (clerk + number) % len(people), "manager": 99},
        member_is_new=number % 3 == 0,
        lines=[
            engine.Line(place, line.paid_fen, line.tag_fen, line.qty, "brand", category[line.sku], line.sku)
            for place, line in enumerate(row.lines)
        ],
    )


def _entries(shop: Shop, number: int, awards: list[engine.Award]) -> Iterator[tuple]:
    """What the ledger would book for them, house leg included."""
    brand, version, store = shop.world.brand.pk, shop.version.pk, number % 20
    day, total, places = NOW.date(), 0, count()
    for award in awards:
        for part in award.parts:
            key = f"{number:016x}{next(places):016x}"
            total += part.fen
            who = (part.role, 1, version, part.holder, store, part.fen, award.base_fen, award.pool_fen)
            yield (key, number, "earn", brand, number, award.line_id, *who, NOW, NOW, day, 1, 1)
    if total:
        house = ("", None, None, None, None, -total, 0, 0)
        yield (f"{number:016x}{next(places):016x}", number, "earn", brand, number, None, *house, NOW, NOW, day, 1, 1)


# ── One order ────────────────────────────────────────────────────────────────────────────────────────────────────────
_TABLES = ("commissions_claimrow", "commissions_buyersnapshot", "commissions_entry")


class Bare:
    """The limit: insert what ours wrote for an order into twins of the three tables, and commit."""

    def __init__(self) -> None:
        self.copies = [Copy(table) for table in _TABLES]

    def rows(self, order_id: int) -> list[list[tuple]]:
        return [copy.rows("order_id = %s", [order_id]) for copy in self.copies]

    def copy_in(self, rows: list[list[tuple]]) -> None:
        """The least the database can be asked for."""
        with transaction.atomic():
            for copy, part in zip(self.copies, rows, strict=True):
                copy.copy_in(part)

    def insert(self, rows: list[list[tuple]]) -> None:
        """What an application usually sends: three INSERT statements that list the values."""
        with transaction.atomic():
            for copy, part in zip(self.copies, rows, strict=True):
                copy.insert(part)

    def clear(self) -> None:
        for copy in self.copies:
            copy.delete()

    def check(self) -> None:
        """Exactly what ours wrote was written."""
        for copy, model in zip(self.copies, (ClaimRow, BuyerSnapshot, Entry), strict=True):
            with connection.cursor() as cursor:
                cursor.execute(
                    f"SELECT count(*) FROM bench_{copy.table} b JOIN {model._meta.db_table} o ON o.id = b.id"
                )
                assert cursor.fetchone()[0] == copy.sum("count(*)") > 0


def accrue(shop: Shop, *, full: bool) -> list[Verdict]:
    """ledger.accrue_many of one order and its commit against the bare insert and commit of the same rows."""
    ours, limit, peer, bare = Way("ledger.accrue + commit"), *_bare_ways(), Bare()
    for place, order_id in enumerate(_taken(shop, "a", 1500 if full else 250)):
        order = _read(order_id)
        with transaction.atomic():
            purchases = identity.match_many(orders=[order], now=NOW)
            bound = binding.on_purchases(purchases=purchases, now=NOW)
            claims = attribution.resolve_many(orders=[order], purchases=purchases, bindings=bound)
            buyers = attribution.buyer_facts(purchases=purchases)
        with _warm(ours, place), transaction.atomic():
            posted = ledger.accrue_many(orders=[order], claims=claims, buyers=buyers, resolver=1, now=NOW)
        rows = bare.rows(order_id)
        assert len(rows[2]) == posted > 1
        with _warm(limit, place):
            bare.copy_in(rows)
        bare.check()
        bare.clear()
        with _warm(peer, place):
            bare.insert(rows)
        bare.check()
        bare.clear()
    return [_of_one("ledger.accrue of one order, p95 against the barest insert + commit", ours, limit, peer, 4)]


def settle(shop: Shop, *, full: bool) -> list[Verdict]:
    """The whole settle_order against the bare insert and commit of its claims, snapshot and entries."""
    ours, limit, peer, bare = Way("intake.settle_order"), *_bare_ways(), Bare()
    ids = _taken(shop, "s", 1500 if full else 250)
    with CaptureQueriesContext(connection) as queries:
        intake.settle_order(order_id=ids[0], now=NOW)
    for place, order_id in enumerate(ids[1:]):
        with _warm(ours, place):
            intake.settle_order(order_id=order_id, now=NOW)
        rows = bare.rows(order_id)
        with _warm(limit, place):
            bare.copy_in(rows)
        bare.check()
        bare.clear()
        with _warm(peer, place):
            bare.insert(rows)
        bare.check()
        bare.clear()
    verdict = _of_one("settle_order of one order, p95 against the barest insert + commit", ours, limit, peer, 15)
    verdict.notes += [
        f"{len(queries)} statements for an order of a known member, BEGIN and COMMIT among them",
        f"the ordinary flow, one {LINES}-line order after another: {len(ours.wall) / sum(ours.wall):,.0f} orders/s",
    ]
    return [verdict]


def _read(order_id: int) -> Order:
    """The order as settle_order reads it, but let go again."""
    with transaction.atomic():
        return intake._locked([order_id])[0]


def _taken(shop: Shop, prefix: str, count: int) -> list[int]:
    rows = shop.orders(count, lines=LINES, prefix=prefix)
    with transaction.atomic():
        taken = orders.record(channel=shop.world.pos, data=rows, now=NOW)
    return [outcome.id for outcome in taken if outcome.id]


def _warm(way: Way, place: int) -> AbstractContextManager[None]:
    """The first turns fill caches and prepare statements; they are not counted."""
    return way.turn() if place >= 20 else nullcontext()


def _bare_ways() -> tuple[Way, Way]:
    return Way("bare COPY of the same rows + commit"), Way("bare INSERT of the same rows + commit")


def _of_one(name: str, ours: Way, limit: Way, peer: Way, bound: float) -> Verdict:
    ratios = [
        f"{way.name}: {ours.p95 / way.p95:.2f} × at p95, {ours.median / way.median:.2f} × at the median"
        for way in (limit, peer)
    ]
    return Verdict(name, ours.p95 / limit.p95, bound, [limit, peer, ours], notes=ratios)
