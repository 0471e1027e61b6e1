"""What public data sets leave open: a brand with stores, people and a plan for their purchases to happen in.

The data names no clerks. Who served follows from a hash of the purchase, so that every run pays the same people.
"""

import hashlib
import importlib.util
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from django.db import transaction

from commissions import plans
from commissions.models import Plan, PlanVersion, Rule, Share
from retail import catalog, shapes
from retail.models import Brand, Channel, Employment, Post, Region, Staff, Store

UNKNOWN = "UNKNOWN"  # category of a product that nothing is known of

_TEAM = [("serve", 700_000), ("bound", 200_000), ("manager", 100_000)]
_OPTIONAL = ("group", "priority", "cap_fen", "floor_fen", "missing")


class NoData(RuntimeError):
    """The package with the data is not installed."""


def data_file(package: str, *parts: str) -> Path:
    """Where an installed package keeps a file; its code is not imported. Raises NoData."""
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder, *parts)
        if path.is_file():
            return path
    raise NoData(f"The data is not installed: the package {package} (extra `bench`: make .venv/.test).")


def pick(key: str, *, of: int) -> int:
    """One of the numbers 1 to `of`, for the same key always the same: BLAKE2b (8 bytes, big-endian) of its text."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest()) % of + 1


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What a data set is dressed in. `code` names the brand and begins every other code of it.

    since: people are employed and the plan holds from then on; it lies before the first purchase. rules: a rule
    without `split` pays the team.
    """

    code: str
    name: str
    since: datetime
    rules: Sequence[dict[str, Any]]
    clerks: int = 4  # of each store, beside a manager

    @property
    def channel(self) -> str:
        return f"{self.code}-pos"

    def clerk(self, *, store_code: str, purchase: str) -> str:
        """Who of the store served a purchase."""
        return f"{store_code}-{pick(purchase, of=self.clerks)}"


class Purchases(Protocol):
    """A data set as the command reads it. Of its `rows` rows `seen` were looked at so far; `odd` counts what in them
    is no plain sale (kind → rows).
    """

    setting: Setting
    rows: int
    seen: int
    odd: Counter[str]

    def orders(self) -> Iterator[shapes.Order]:
        """One at a time: all of them at once would take gigabytes."""


class World:
    """The rows behind a setting. Stores with their people and products are made when an order first names them."""

    def __init__(self, setting: Setting, *, now: datetime) -> None:
        self._setting = setting
        self._stores: set[str] = set()  # that are there, so that no batch asks again
        self._skus: set[str] = set()
        self._open(now)

    @transaction.atomic
    def _open(self, now: datetime) -> None:
        code, name = self._setting.code, self._setting.name
        self._brand, _ = Brand.objects.get_or_create(code=code, defaults={"name": name})
        self._region, is_new = Region.objects.get_or_create(code=code, defaults={"name": name})
        self.channel, _ = Channel.objects.get_or_create(
            code=self._setting.channel,
            defaults={"name": "门店 POS", "kind": Channel.Kind.POS, "brand": self._brand, "return_days": 7},
        )
        if is_new:
            self._hire([(f"{code}-R", Post(role=Post.Role.REGION_MANAGER, region=self._region))])
        if not Plan.objects.filter(brand=self._brand).exists():
            self._agree_on_plan(now)

    def make_missing(self, orders: Sequence[shapes.Order]) -> None:
        """Make what these orders name and is not there yet, in the transaction of the caller."""
        stores = {order.store_code for order in orders if order.store_code} - self._stores
        if stores:
            self._open_stores(stores)
        lines = (line for order in orders for line in order.lines)
        products = {line.sku: line.category or UNKNOWN for line in lines if line.sku not in self._skus}
        if products:
            catalog.create_missing(wanted=((sku, code, None) for sku, code in products.items()), brand=self._brand)
        self._stores |= stores
        self._skus |= products.keys()

    def _open_stores(self, codes: set[str]) -> None:
        known = set(Store.objects.filter(code__in=codes).values_list("code", flat=True))
        missing = sorted(codes - known)
        stores = Store.objects.bulk_create(
            [Store(code=code, name=f"{code} 店", brand=self._brand, region=self._region) for code in missing]
        )
        places = range(1, self._setting.clerks + 1)
        self._hire(
            [(f"{one.code}-{place}", Post(role=Post.Role.CLERK, store=one)) for one in stores for place in places]
        )
        self._hire([(f"{one.code}-M", Post(role=Post.Role.STORE_MANAGER, store=one)) for one in stores])

    def _hire(self, people: list[tuple[str, Post]]) -> None:
        since = self._setting.since
        hired = Staff.objects.bulk_create([Staff(code=code, name=code) for code, _ in people])
        Employment.objects.bulk_create([Employment(staff=staff, starts_at=since) for staff in hired])
        for staff, (_, post) in zip(hired, people, strict=True):
            post.staff, post.starts_at = staff, since
        Post.objects.bulk_create([post for _, post in people])

    def _agree_on_plan(self, now: datetime) -> None:
        plan = Plan.objects.create(brand=self._brand, name=self._setting.name)
        version = PlanVersion.objects.create(plan=plan, number=1)
        for given in self._setting.rules:
            rule = Rule.objects.create(
                version=version,
                code=given["code"],
                name=given["code"],
                when=given["when"],
                calc={"type": "rate", "ppm": given["ppm"]},
                **{name: given[name] for name in _OPTIONAL if name in given},
            )
            shares = enumerate(given.get("split", _TEAM))
            Share.objects.bulk_create([Share(rule=rule, role=role, ppm=ppm, place=n) for n, (role, ppm) in shares])
        plans.approve(version=version, by=None, now=now)
        plans.activate(version=version, starts_at=self._setting.since, by=None, now=now)
