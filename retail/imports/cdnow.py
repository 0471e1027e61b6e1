"""Real purchases to try the product on: CDNOW, 18 months of everybody who first bought there in early 1997.

The text file comes inside the PyPI package lifetimes (extra `bench`), of which nothing else is used. Each of its rows
(customer, day, number of CDs, dollars) becomes an order of one line; a cent stands as a fen. Two things are made up:
every customer has a store, and all of it happens twenty years later, when there were phones to scan a code with.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from retail import shapes
from retail.imports import sample_world

SHANGHAI = ZoneInfo("Asia/Shanghai")
STORES = 4
YEARS_LATER = 20

SETTING = sample_world.Setting(
    code="CDNOW",
    name="CDNOW",
    since=datetime(2016, 1, 1, tzinfo=SHANGHAI),  # a year before the first purchase
    rules=[
        {"code": "cd", "when": {}, "ppm": 50_000},
        {"code": "many", "when": {"min_order_fen": 10_000}, "ppm": 30_000, "priority": 1, "cap_fen": 1_000},
        {"code": "new", "group": "welcome", "when": {"member": "new"}, "ppm": 20_000, "split": [("serve", 1_000_000)]},
    ],
)


class _Row(NamedTuple):
    """A row of the file; `nth`: it is the customer's first, second … of that day."""

    date: str
    customer: str
    nth: int
    cds: int
    fen: int


class Cdnow:
    """The purchases of the first so many customers (None = all) by day. Raises NoData without the extra `bench`."""

    setting = SETTING

    def __init__(self, *, customers: int | None = None) -> None:
        path = sample_world.data_file("lifetimes", "datasets", "CDNOW_master.txt")
        self._rows = sorted(_rows(path, customers))
        self.rows, self.seen = len(self._rows), 0
        self.odd: Counter[str] = Counter()

    def orders(self) -> Iterator[shapes.Order]:
        for row in self._rows:
            self.seen += 1
            if not row.fen:
                self.odd["purchases given away, taken as gifts"] += 1
            if row.nth > 1:
                self.odd["further purchases of a customer on one day"] += 1
            yield _order(row)


def _rows(path: Path, customers: int | None) -> Iterator[_Row]:
    """In the order of the file: customers by number, which are 1, 2, 3 …"""
    today: Counter[tuple[str, str]] = Counter()
    with path.open(encoding="ascii") as file:
        next(file)  # the names of the columns
        for customer, date, cds, dollars in map(str.split, file):
            if customers is not None and int(customer) > customers:
                return
            today[customer, date] += 1
            yield _Row(date, customer, today[customer, date], int(cds), int(dollars.replace(".", "")))


def _order(row: _Row) -> shapes.Order:
    """Those of one day are a minute apart, from noon on: the file knows no hour, but the order they came in."""
    number = f"{row.customer}-{row.date}-{row.nth}"
    store_code = f"{SETTING.code}-{sample_world.pick(row.customer, of=STORES)}"
    noon = datetime(int(row.date[:4]) + YEARS_LATER, int(row.date[4:6]), int(row.date[6:]), 12, tzinfo=SHANGHAI)
    return shapes.Order(
        channel=SETTING.channel,
        outer_order_id=number,
        paid_at=noon + timedelta(minutes=row.nth - 1),
        store_code=store_code,
        buyer=(shapes.Buyer("channel_id", f"customer-{row.customer}"),),
        serving_clerk=SETTING.clerk(store_code=store_code, purchase=number),
        lines=(
            shapes.Line(
                outer_line_id="1",
                sku=f"{SETTING.code}-CD",
                category="CD",
                qty=row.cds,
                tag_fen=row.fen,
                paid_fen=row.fen,
                is_gift=not row.fen,
            ),
        ),
    )
