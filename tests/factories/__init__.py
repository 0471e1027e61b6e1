"""Small worlds for tests, made through the product's own tables. Every name is made up."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from django.db import connection

from clerks import oneid
from commissions import plans
from commissions.models import ActionRate, Attainment, AttainmentStep, Plan, PlanVersion, Rule, Share
from members.models import Doubt
from retail import intake, scope, shapes
from retail.models import Brand, Category, Channel, Employment, Franchisee, Post, Product, Region, Staff, Store, User
from retail.orders import Taken

NOW = datetime.fromisoformat("2026-10-12T14:30:00+08:00")
LONG_AGO = NOW - timedelta(days=800)
_numbers = count(1)


def number() -> int:
    """A number no other row of this test run has."""
    return next(_numbers)


@dataclass
class World:
    """One brand with a store, its people, a product and a POS channel; everything else on demand."""

    brand: Brand
    region: Region
    store: Store
    product: Product
    pos: Channel
    staff: dict[str, Staff] = field(default_factory=dict)

    def hire(self, code: str, *, role: str = Post.Role.CLERK, store: Store | None = None, **place: Any) -> Staff:
        """A person employed since long ago, with one post: in this store unless told otherwise."""
        staff = Staff.objects.create(code=code, name=f"员工{code}", share_code=f"s-{code}")
        Employment.objects.create(staff=staff, starts_at=LONG_AGO)
        if role in (Post.Role.CLERK, Post.Role.STORE_MANAGER):
            place["store"] = store or self.store
        Post.objects.create(staff=staff, role=role, starts_at=LONG_AGO, **place)
        self.staff[code] = staff
        return staff

    def channel(self, kind: str, **fields: Any) -> Channel:
        return Channel.objects.create(
            code=f"{kind}-{number()}", name=kind, kind=kind, **{"brand": self.brand, "return_days": 15, **fields}
        )

    def another_store(self, **fields: Any) -> Store:
        n = number()
        return Store.objects.create(
            **{"code": f"S{n}", "name": f"门店{n}", "brand": self.brand, "region": self.region, **fields}
        )

    def plan(self, *rules: dict[str, Any], attainments: Sequence[dict[str, Any]] = (), **version: Any) -> PlanVersion:
        """An active version with these rules in the public format; `split` weights become shares of their sum.

        attainments: fields of each, and its `steps` as fields of theirs.
        """
        plan, _ = Plan.objects.get_or_create(brand=self.brand, defaults={"name": "方案"})
        made = PlanVersion.objects.create(plan=plan, number=number(), **version)
        for document in rules:
            add_rule(made, document)
        for fields in attainments:
            add_attainment(made, **fields)
        plans.approve(version=made, by=None, now=LONG_AGO)
        plans.activate(version=made, starts_at=LONG_AGO, by=None, now=LONG_AGO)
        return PlanVersion.objects.get(pk=made.pk)

    def order(
        self, *, channel: Channel | None = None, lines: list[dict[str, Any]] | None = None, **fields: Any
    ) -> shapes.Order:
        """A feed row; a POS sale of one piece at 100 yuan in this store unless told otherwise."""
        channel = channel or self.pos
        given = lines if lines is not None else [{}]
        return shapes.Order(
            channel=channel.code,
            lines=tuple(self.line(place, **line) for place, line in enumerate(given, start=1)),
            **{
                "outer_order_id": f"O{number()}",
                "paid_at": NOW,
                "store_code": self.store.code if channel.kind == "pos" else None,
                **fields,
            },
        )

    def line(self, place: int, **fields: Any) -> shapes.Line:
        paid = fields.get("paid_fen", 10000)
        usual = {"outer_line_id": str(place), "sku": self.product.sku, "qty": 1, "tag_fen": paid, "paid_fen": paid}
        return shapes.Line(**{**usual, **fields})

    def take(self, *rows: shapes.Order, channel: Channel | None = None, now: datetime = NOW) -> list[Taken]:
        return intake.take_orders(channel=channel or self.pos, data=rows, now=now)

    def settle(self, *rows: shapes.Order, channel: Channel | None = None, now: datetime = NOW) -> list[int]:
        """Take orders down and settle them at once; their ids."""
        taken = self.take(*rows, channel=channel, now=now)
        for outcome in taken:
            assert outcome.id is not None, outcome
            intake.settle_order(order_id=outcome.id, now=now)
        return [outcome.id for outcome in taken if outcome.id]

    def refund(self, order: shapes.Order, *, line: str = "1", now: datetime = NOW, **amount: Any) -> Taken:
        """Take a refund down and settle it at once when its order is known."""
        row = shapes.Refund(
            channel=order.channel,
            outer_order_id=order.outer_order_id,
            outer_line_id=line,
            **{"outer_refund_id": f"R{number()}", "refunded_at": now, **amount},
        )
        channel = Channel.objects.get(code=order.channel)
        (outcome,) = intake.take_refunds(channel=channel, data=[row], now=now)
        if outcome.status in ("created", "corrected"):
            intake.settle_refund(refund_id=outcome.id, now=now)
        if outcome.left_order:
            intake.settle_refunds_of(order_id=outcome.left_order, now=now)
        return outcome


_RULE_FIELDS = ("group", "priority", "stop", "when", "base", "calc", "cap_fen", "floor_fen", "missing")
_FLAGS = {"commissionable": "is_commissionable", "counts_for_attainment": "counts_for_attainment"}


def add_rule(version: PlanVersion, document: dict[str, Any]) -> Rule:
    """Store a rule given in the public format."""
    split = document.get("split", [])
    total = sum(share["weight"] for share in split)
    rule = Rule.objects.create(
        version=version,
        code=document["id"],
        name=document.get("name", document["id"]),
        **{name: document[name] for name in _RULE_FIELDS if name in document},
        **{field: document[name] for name, field in _FLAGS.items() if name in document},
    )
    for place, share in enumerate(split):
        Share.objects.create(rule=rule, role=share["role"], ppm=share["weight"] * 1_000_000 // total, place=place)
    return rule


def add_attainment(version: PlanVersion, *, steps: Sequence[dict[str, Any]], **fields: Any) -> Attainment:
    attainment = Attainment.objects.create(version=version, **{"name": fields["code"], "role": "serve", **fields})
    AttainmentStep.objects.bulk_create(AttainmentStep(attainment=attainment, **step) for step in steps)
    return attainment


def rated(shop: World, *, starts_at: datetime = LONG_AGO, **rates: dict[str, Any]) -> PlanVersion:
    """A version in force from then on that pays for actions: type → fields of its rate."""
    plan, _ = Plan.objects.get_or_create(brand=shop.brand, defaults={"name": "方案"})
    made = PlanVersion.objects.create(plan=plan, number=number())
    for type, fields in rates.items():
        ActionRate.objects.create(version=made, type=type, **fields)
    plans.approve(version=made, by=None, now=LONG_AGO)
    plans.activate(version=made, starts_at=starts_at, by=None, now=starts_at)
    return PlanVersion.objects.get(pk=made.pk)


def world(**brand: Any) -> World:
    n = number()
    made = Brand.objects.create(code=f"B{n}", name=f"品牌{n}", **brand)
    region = Region.objects.create(code=f"R{n}", name=f"区域{n}")
    store = Store.objects.create(code=f"S{n}", name=f"门店{n}", brand=made, region=region)
    category = Category.objects.create(code=f"C{n}", name=f"品类{n}")
    product = Product.objects.create(sku=f"P{n}", name=f"商品{n}", brand=made, category=category, tag_fen=10000)
    pos = Channel.objects.create(code=f"pos-{n}", name="门店", kind="pos", brand=made, return_days=7)
    return World(made, region, store, product, pos)


def franchisee() -> Franchisee:
    n = number()
    return Franchisee.objects.create(code=f"F{n}", name=f"加盟商{n}")


def user(**fields: Any) -> User:
    n = number()
    return User.objects.create_user(username=f"user{n}", password="a-long-password", **fields)


def join_members(*, now: datetime = NOW) -> None:
    """What the jobs do with members whom a rule calls one person."""
    for doubt_id in Doubt.objects.filter(state=Doubt.State.SURE).order_by("pk").values_list("pk", flat=True):
        oneid.join(doubt_id=doubt_id, now=now)


def settle_at_once(taken: list[Taken]) -> list[Exception]:
    """Settle each order in a thread of its own, all at the same time; what went wrong. Needs a committed world."""
    failures: list[Exception] = []

    def settle(order_id: int) -> None:
        try:
            with scope.within(scope.EVERYTHING):
                intake.settle_order(order_id=order_id, now=NOW)
        except Exception as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=settle, args=(outcome.id,)) for outcome in taken]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures
