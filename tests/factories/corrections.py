"""A shop whose plan was wrong for a while: weeks of sales and refunds, and what its rules give by another judge."""

import random
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from commissions import claims as inputs
from commissions import ledger, plans
from commissions.models import Entry, PlanVersion, Rule
from retail import intake
from retail.models import Category, Order, Product
from tests.commissions.engine import naive
from tests.factories import LONG_AGO, NOW, World, number, world

LATER = NOW + timedelta(days=40)
TEAM = [{"role": "serve", "weight": 7}, {"role": "manager", "weight": 2}, {"role": "bound", "weight": 1}]

Part = tuple[int, str, str, int]
"""Line id, rule code, role, staff id."""


class Shop:
    """A shop with two kinds of goods, a plan that pays them differently, and some weeks of sales and refunds."""

    def __init__(self, seed: int, orders: int = 40) -> None:
        self.world, self.dice = world(), random.Random(seed)
        for code in ("A1", "A2"):
            self.world.hire(code)
        self.world.hire("M1", role="store_manager")
        self.shoes, self.bags = self._goods("shoes"), self._goods("bags")
        self.rules = self._rules(shoes_ppm=30_000)
        self.plan = self.world.plan(*self.rules)
        rows = [self._order(self.world) for _ in range(orders)]
        self.ids = [outcome.id for outcome in self.world.take(*rows) if outcome.id]
        for start in range(0, orders, 500):
            assert intake.settle_orders(order_ids=self.ids[start : start + 500], now=NOW) == []
        for row in self.dice.sample(rows, orders // 4):
            self.world.refund(row, fen=self.dice.randint(1, 3_000), now=NOW + timedelta(days=1))

    def _goods(self, name: str) -> str:
        category = Category.objects.create(code=f"{name}{number()}", name=name)
        Product.objects.create(sku=category.code, name=name, brand=self.world.brand, category=category, tag_fen=9900)
        return category.code

    def _rules(self, *, shoes_ppm: int) -> list[dict[str, Any]]:
        shoes = {"when": {"category": [self.shoes]}, "calc": {"type": "rate", "ppm": shoes_ppm}, "cap_fen": 2_000}
        others = {"when": {"min_discount_bp": 8000}, "calc": {"type": "rate", "ppm": 20_000}}
        welcome = {"group": "welcome", "when": {"member": "new"}, "calc": {"type": "fixed", "fen": 101}}
        return [
            {"id": "shoes", "priority": 5, "split": TEAM, **shoes},
            {"id": "others", "split": TEAM, **others},
            {"id": "welcome", "split": [{"role": "serve", "weight": 1}], **welcome},
        ]

    def _order(self, shop: World) -> Any:
        dice = self.dice
        lines = [
            {"sku": dice.choice([self.shoes, self.bags]), "tag_fen": 9_900, "paid_fen": dice.randint(6_000, 9_900)}
            for _ in range(dice.randint(1, 4))
        ]
        clerk = dice.choice(["A1", "A2", None])
        paid_at = NOW - timedelta(days=dice.randint(0, 40))
        return shop.order(lines=lines, serving_clerk=clerk, paid_at=paid_at)

    def draft(self, **rates: int) -> PlanVersion:
        """A version with other rates, not in force."""
        self.rules = self._rules(**rates)
        draft = plans.copy(version=self.plan, by=None, now=LATER)
        for rule in self.rules:
            Rule.objects.filter(version=draft, code=rule["id"]).update(calc=rule["calc"])
        return draft

    def put_in_force(self, draft: PlanVersion, *, starts_at: datetime = LONG_AGO) -> PlanVersion:
        """Approve a draft and put it in the place of the wrong one."""
        plans.approve(version=draft, by=None, now=LATER)
        plans.activate(version=draft, starts_at=starts_at, by=None, now=LATER, reason="鞋类比例填错")
        return PlanVersion.objects.get(pk=draft.pk)

    def correct(self, *, starts_at: datetime = LONG_AGO, **rates: int) -> PlanVersion:
        return self.put_in_force(self.draft(**rates), starts_at=starts_at)

    def wanted(self) -> Counter[Part]:
        """What the present rules give, by the evaluator that shares nothing with the engine."""
        orders = [_as_json(order) for order in Order.objects.filter(pk__in=self.ids)]
        entries = naive.evaluate({"plan": {"rules": self.rules}, "orders": orders})["entries"]
        wanted: Counter[Part] = Counter()
        for line, rule, role, staff, fen in entries:
            wanted[line, rule, role, staff] += fen
        return wanted


def _as_json(order: Order) -> dict[str, Any]:
    facts = ledger.order_facts(order=order, kept=inputs.kept(order=order))
    names = ("id", "channel", "store", "ownership", "member_is_new", "dormant_days", "tier", "buyer_clerk")
    head = {name: getattr(facts, name) for name in names}
    named = ("id", "paid_fen", "tag_fen", "qty", "brand", "category", "product", "cost_fen")
    lines = [{name: getattr(line, name) for name in named} | {"roles": line.roles or {}} for line in facts.lines]
    return {**head, "paid_at": facts.paid_at.isoformat(), "roles": facts.roles, "lines": lines}


def earned(**posted: Any) -> Counter[Part]:
    entries = Entry.objects.of_staff().exclude(kind="reverse").filter(**posted)
    sums: Counter[Part] = Counter()
    for line, rule, role, staff, fen in entries.values_list("line", "rule__code", "role", "staff", "fen"):
        sums[line, rule, role, staff] += fen
    return sums


def nonzero(sums: Counter[Part]) -> dict[Part, int]:
    return {part: fen for part, fen in sums.items() if fen}
