"""Very many orders: posting them against inserting the same entries, settling them whole, and judging them again."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.models import QuerySet

from commissions import ledger
from commissions.models import Entry
from retail import bulk as verbs
from retail import garbage, intake, orders
from retail.models import Order
from tests.bench.copies import Copy
from tests.bench.measure import Verdict, Way
from tests.bench.worlds import Shop
from tests.factories import NOW

LINES = 5  # of an order
ROW_BY_ROW = 100  # orders for the peer that writes row by row


class Sizes(NamedTuple):
    """`orders` are settled; `larger` and `many` say how many times as many are posted, `few` how few."""

    orders: int
    larger: tuple[int, ...]
    few: int
    many: int


QUICK = Sizes(orders=4_000, larger=(), few=800, many=2)
FULL = Sizes(orders=20_000, larger=(10,), few=20_000, many=30)


def bulk(shop: Shop, *, full: bool) -> Iterator[Verdict]:
    """Orders are settled once, as a first load is; then their entries are forgotten and posted anew from the claims.

    So whoever posts has the same facts before it and has to write the same entries, which is asserted each time.
    """
    sizes = FULL if full else QUICK
    load, twin = Load(shop, count=sizes.orders), Copy("commissions_entry")
    whole = _way("bulk.settle: buyers, bindings, claims, pricing, posting", load.ids)
    _forget_entries()
    with whole.turn():
        done = verbs.settle(among=load.orders(), now=NOW)
    assert done.orders == len(load.ids) and not done.failed
    _stage()
    load.entries = _digest("bench_stage")[0]
    yield from _posting(load, twin, rounds=3, shown=[whole, _row_by_row(load)])
    yield _again(load, twin)
    for times in sizes.larger:
        load.grow(times=times)
        yield from _posting(load, twin, rounds=1, shown=[])
    load.grow(times=sizes.many)
    yield _growth(load, load.base[: sizes.few])


# ── The orders ───────────────────────────────────────────────────────────────────────────────────────────────────────
class Load:
    """Orders whose ids stand in a row. Once they are settled there can be more of them, without waiting for that.

    `entries`: how many entries the first ones, `base`, have.
    """

    entries = 0

    def __init__(self, shop: Shop, *, count: int, prefix: str = "bulk") -> None:
        rows, ids = shop.orders(count, lines=LINES, prefix=prefix), []
        for start in range(0, count, verbs.BATCH):
            with transaction.atomic():
                taken = orders.record(channel=shop.world.pos, data=rows[start : start + verbs.BATCH], now=NOW)
            ids += [outcome.id for outcome in taken]
        self.base = self.ids = range(ids[0], ids[0] + count)
        assert ids == [*self.ids]
        _run("ANALYZE")

    def orders(self) -> QuerySet[Order]:
        return Order.objects.filter(pk__gte=self.ids.start, pk__lt=self.ids.stop)

    def grow(self, *, times: int) -> None:
        """Copy orders, lines, claims and snapshots under further ids, until there are so many times the first ones."""
        with transaction.atomic():
            _run("SET LOCAL session_replication_role = replica")  # what is copied needs no check
            for turn in range(len(self.ids) // len(self.base), times):
                shift = turn * len(self.base)
                moved = {"id": f"id + {shift}", "outer_order_id": f"outer_order_id || '~{turn}'"}
                _copy_rows("retail_order", f"id >= {self.base.start} AND id < {self.base.stop}", moved)
                for table in ("retail_orderline", "commissions_claimrow", "commissions_buyersnapshot"):
                    of_base = f"order_id >= {self.base.start} AND order_id < {self.base.stop}"
                    _copy_rows(table, of_base, {"order_id": f"order_id + {shift}"})
        self.ids = range(self.base.start, self.base.start + times * len(self.base))
        _run(f"SELECT setval('retail_order_id_seq', {self.ids.stop})")
        _run("VACUUM ANALYZE")


def _copy_rows(table: str, where: str, moved: dict[str, str]) -> None:
    """Insert the rows once more, with other values in the columns of `moved` and new ids."""
    columns = _value(
        "SELECT array_agg(quote_ident(attname)::text) FROM pg_attribute"
        " WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped",
        [table],
    )
    columns = [name for name in columns if name != "id" or name in moved]
    values = ", ".join(moved.get(name, name) for name in columns)
    _run(f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values} FROM {table} WHERE {where} ORDER BY id")


# ── The ways ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def _posting(load: Load, twin: Copy, *, rounds: int, shown: list[Way]) -> Iterator[Verdict]:
    """Pricing and posting, from what is kept, against the database copying the ready rows from table to table."""
    limit = _way("INSERT … SELECT of the same entries", load.ids)
    ours = _way("ledger.revise_many of orders in memory, one process", load.ids)
    reading = _way("reading these orders, one process", load.ids)
    both = _way("bulk.recompute: reading and posting, two processes", load.ids)
    for turn in range(rounds):
        _forget_entries()
        posted = _revise(load.ids, ours, reading)
        if turn == 0:
            _stage()
        wanted = _digest("bench_stage")
        assert posted == wanted[0] == load.entries * len(load.ids) // len(load.base)
        assert _digest("commissions_entry") == wanted
        _forget_entries()
        with both.turn():
            verbs.recompute(among=load.orders(), now=NOW)
        assert _digest("commissions_entry") == wanted
        twin.clear()
        _run("CHECKPOINT")
        with limit.turn():
            _run("INSERT INTO bench_commissions_entry SELECT * FROM bench_stage")
        assert _digest("bench_commissions_entry") == wanted
    ways = [limit, ours, reading, both, *shown]
    notes = [f"{wanted[0]:,} entries; the limit's table has the indexes and checks of ours, not its triggers"]
    name = f"{limit.units:,} lines, wall against inserting the entries"
    alone = f"one process, the orders read already: {ours.median / limit.median:.2f} ×"
    yield Verdict(f"pricing and posting {name}", both.median / limit.median, 2.2, ways, notes=[*notes, alone])


def _revise(ids: range, posting: Way, reading: Way) -> int:
    """Stream the orders through the ledger as bulk does; how many entries that took."""
    count = 0
    with garbage.collected_by_hand() as collect:
        for start in range(0, len(ids), verbs.BATCH):
            with reading.turn(goes_on=start > 0), transaction.atomic():
                batch = intake._locked(ids[start : start + verbs.BATCH])
            with posting.turn(goes_on=start > 0), transaction.atomic():
                count += ledger.revise_many(orders=batch, now=NOW)
                collect()
    return count


def _row_by_row(load: Load) -> Way:
    """The peer: a row at a time, as ORMs invite to; what to write is given to it."""
    ids = load.ids[:ROW_BY_ROW]
    way = _way(f"Entry.objects.create, row by row, {len(ids)} orders", ids)
    rows = Entry.objects.filter(order_id__gte=ids.start, order_id__lt=ids.stop).order_by("order_id", "pk").values()
    by_order: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        by_order.setdefault(row["order_id"], []).append(row)
    _forget_entries()
    _run("SET session_replication_role = replica")  # a single leg does not add up to zero
    with way.turn():
        for rows in by_order.values():
            with transaction.atomic():
                for row in rows:
                    Entry.objects.create(**row)
    _run("RESET session_replication_role")
    assert _digest("commissions_entry") == _digest(f"bench_stage WHERE order_id < {ids.stop}")
    return way


def _again(load: Load, twin: Copy) -> Verdict:
    """Judging again what is posted already, against taking the same entries in with COPY."""
    limit = _way("COPY of the same entries into the same indexes", load.ids)
    ours, reading = _way("ledger.revise_many, nothing to post", load.ids), _way("reading these orders", load.ids)
    both = _way("bulk.recompute, nothing to post, two processes", load.ids)
    settle = _way("bulk.settle, nothing to settle", load.ids)
    with connection.cursor() as cursor, cursor.copy("COPY bench_stage TO STDOUT") as copy:
        text = b"".join(copy)
    wanted = _digest("bench_stage")
    for _ in range(2):
        assert _revise(load.ids, ours, reading) == 0
        with both.turn():
            verbs.recompute(among=load.orders(), now=NOW)
        with settle.turn():
            assert verbs.settle(among=load.orders(), now=NOW).orders == 0
        assert _digest("commissions_entry") == wanted
        twin.clear()
        _run("CHECKPOINT")
        with limit.turn():
            twin.copy_text(text)
        assert _digest("bench_commissions_entry") == wanted
    name = f"judging {limit.units:,} lines again, nothing posted, wall against COPY"
    return Verdict(name, ours.median / limit.median, None, [limit, ours, reading, both, settle])


def _growth(load: Load, small: range) -> Verdict:
    """What a line costs among very many, against what it costs among few."""
    few, many = (_way(f"ledger.revise_many, {len(ids):,} orders", ids) for ids in (small, load.ids))
    for _ in range(3):
        _forget_entries()
        _revise(small, few, Way(""))
    _forget_entries()
    assert _revise(load.ids, many, Way("")) == load.entries * len(load.ids) // len(load.base)
    ratio = few.speed / many.speed
    return Verdict(f"a line among {many.units:,} against one among {few.units:,}, wall", ratio, 1.18, [few, many])


# ── The tables ───────────────────────────────────────────────────────────────────────────────────────────────────────
def _way(name: str, ids: range) -> Way:
    return Way(name, len(ids) * LINES)


def _forget_entries() -> None:
    """Entries cannot be taken back; only a benchmark, on a database of its own, steps past the guard."""
    with transaction.atomic():
        _run("SET LOCAL session_replication_role = replica")
        _run("TRUNCATE commissions_entry")
    _run("CHECKPOINT")


def _stage() -> None:
    """Keep the entries as they are, in their order, without index."""
    _run("DROP TABLE IF EXISTS bench_stage")
    _run("CREATE UNLOGGED TABLE bench_stage AS SELECT * FROM commissions_entry ORDER BY ctid")
    _run("ANALYZE bench_stage")


_CONTENT = (
    "key, kind, brand_id, payer_id, order_id, line_id, role, rule_id, version_id, claim_id, staff_id, store_id, fen,"
    " base_fen, pool_fen, paid_at, posted_at, earned_on, period_booked_id, period_origin_id"
)


def _digest(rows: str) -> tuple[int, int, int]:
    """Number, sum and content of entries, whatever their order; ids differ from one posting to the next."""
    content = f"sum(hashtextextended(ROW({_CONTENT})::text, 0)::numeric)"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*), sum(fen), {content} FROM {rows}")
        return cursor.fetchone()


def _run(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def _value(statement: str, params: list[Any]) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return cursor.fetchone()[0]
