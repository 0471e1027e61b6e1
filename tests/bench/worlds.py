"""A brand with stores, people, products and a plan of 300 rules, and orders for it; the same at every run."""

import random
from datetime import timedelta

from retail import shapes
from retail.models import Category, Post, Product, Store
from tests.factories import NOW, world

STORES, CLERKS, CATEGORIES, PRODUCTS, RULES = 20, 6, 30, 600, 300
KINDS = ("pos", "mini_program", "tmall")
_TEAM = [{"role": "serve", "weight": 6}, {"role": "bound", "weight": 3}, {"role": "manager", "weight": 1}]


class Shop:
    """The world and its codes."""

    def __init__(self) -> None:
        self.random = random.Random(20)
        self.world = world()
        self.channels = {"pos": self.world.pos, **{kind: self.world.channel(kind) for kind in KINDS[1:]}}
        self.stores = [self.world.another_store() for _ in range(STORES)]
        self.clerks: dict[str, list[str]] = {store.code: self._crew(store) for store in self.stores}
        self.world.hire("boss", role=Post.Role.REGION_MANAGER, region=self.world.region)
        categories = [Category(code=f"k{n}", name=f"k{n}") for n in range(CATEGORIES)]
        self.categories = Category.objects.bulk_create(categories)
        self.products = Product.objects.bulk_create([self._product(f"sku{n}") for n in range(PRODUCTS)])
        self.version = self.world.plan(*self._rules())

    def _crew(self, store: Store) -> list[str]:
        self.world.hire(f"{store.code}-M", role=Post.Role.STORE_MANAGER, store=store)
        codes = [f"{store.code}-{n}" for n in range(CLERKS)]
        for code in codes:
            self.world.hire(code, store=store)
        return codes

    def _product(self, sku: str) -> Product:
        return Product(sku=sku, name=sku, brand=self.world.brand, category=self.random.choice(self.categories))

    def _rules(self) -> list[dict]:
        """Three groups: a base rate that always fits somewhere, bonuses that rarely do, and the manager's part."""
        rules = [_rule("base", "base", {}, 20_000, priority=-9), _rule("lead", "lead", {}, 3_000, priority=-9)]
        while len(rules) < RULES:
            n = len(rules)
            group = ("base", "base", "base", "bonus", "lead")[n % 5]
            rules.append(_rule(f"r{n}", group, self._conditions(), 1_000 * self.random.randint(5, 80), priority=n % 4))
        return rules

    def _conditions(self) -> dict:
        pick = self.random
        choices = {
            "channel": [pick.choice(KINDS)],
            "store": [store.code for store in pick.sample(self.stores, 3)],
            "category": [category.code for category in pick.sample(self.categories, 4)],
            "product": [product.sku for product in pick.sample(self.products, 20)],
            "member": pick.choice(["new", "existing"]),
            "min_discount_bp": pick.choice([6000, 7000, 8000]),
            "min_line_fen": pick.choice([5_000, 20_000]),
            "min_order_fen": pick.choice([20_000, 100_000]),
        }
        return {name: choices[name] for name in pick.sample(list(choices), pick.randint(1, 3))}

    def orders(self, count: int, *, lines: int, prefix: str, buyers: int | None = None) -> list[shapes.Order]:
        """POS orders of different sizes of purse; `buyers` people take turns (default: a third as many as orders)."""
        return [self._order(n, lines, prefix, buyers or max(1, count // 3)) for n in range(count)]

    def _order(self, n: int, lines: int, prefix: str, buyers: int) -> shapes.Order:
        store = self.random.choice(self.stores).code
        return shapes.Order(
            channel=self.world.pos.code,
            outer_order_id=f"{prefix}{n}",
            paid_at=NOW - timedelta(days=20) + timedelta(minutes=n % 20_000),
            store_code=store,
            buyer=(shapes.Buyer("phone", f"138{n % buyers:08}"),),
            serving_clerk=self.random.choice(self.clerks[store]),
            lines=tuple(self._line(place) for place in range(1, lines + 1)),
        )

    def _line(self, place: int) -> shapes.Line:
        tag = self.random.randint(20, 900) * 100
        paid = tag * self.random.randint(50, 100) // 100
        sku = self.random.choice(self.products).sku
        return shapes.Line(outer_line_id=str(place), sku=sku, qty=1, tag_fen=tag, paid_fen=paid)


def _rule(code: str, group: str, when: dict, ppm: int, priority: int) -> dict:
    split = _TEAM if group == "base" else [{"role": "manager" if group == "lead" else "serve", "weight": 1}]
    calc = {"type": "rate", "ppm": ppm}
    return {"id": code, "group": group, "priority": priority, "when": when, "calc": calc, "split": split}
