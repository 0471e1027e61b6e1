"""A plan was wrong: its correction takes the wrong one's place, and history is judged again."""

import random
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from commissions import claims as inputs
from commissions import explain, ledger, plans
from commissions.models import ClaimRow, Entry, PlanVersion, Rule
from retail import intake
from retail.models import Category, Order, OrderLine, Product
from tests.commissions.engine import naive
from tests.factories import LONG_AGO, NOW, World, number, world
from tests.figures import figure

pytestmark = pytest.mark.usefixtures("everything")
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

    def correct(self, *, starts_at=LONG_AGO, **rates: int) -> PlanVersion:
        """Approve a version with other rates and put it in the place of the wrong one."""
        self.rules = self._rules(**rates)
        draft = plans.copy(version=self.plan, by=None, now=LATER)
        for rule in self.rules:
            Rule.objects.filter(version=draft, code=rule["id"]).update(calc=rule["calc"])
        plans.approve(version=draft, by=None, now=LATER)
        plans.activate(version=draft, starts_at=starts_at, by=None, now=LATER, reason="鞋类比例填错")
        return PlanVersion.objects.get(pk=draft.pk)

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


@pytest.mark.parametrize("seed", range(3))
def test_a_changed_rate_of_one_category_posts_exactly_the_differences(seed):
    shop = Shop(seed)
    before = shop.wanted()
    assert nonzero(earned()) == nonzero(before)

    shop.correct(shoes_ppm=45_000)
    after = shop.wanted()
    assert intake.recompute(order_ids=shop.ids, now=LATER) == []

    differences = Counter(after)
    differences.subtract(before)
    assert nonzero(differences) and {part[1] for part in nonzero(differences)} == {"shoes"}
    assert nonzero(earned(posted_at=LATER)) == nonzero(differences)
    assert nonzero(earned()) == nonzero(after)
    posted = Entry.objects.of_staff().filter(posted_at=LATER)
    assert set(posted.values_list("kind", flat=True)) == {"delta", "reverse"}
    shoes = set(OrderLine.objects.filter(category_label=shop.shoes).values_list("pk", flat=True))
    assert set(posted.values_list("line", flat=True)) <= shoes


@pytest.mark.slow
def test_every_entry_is_what_the_naive_evaluator_gives(size):
    """P4: nothing is posted that the rules do not say, and nothing is left out."""
    orders = 32_000 if size == "full" else 1_600
    shop = Shop(17, orders=orders)

    wanted, posted = nonzero(shop.wanted()), nonzero(earned())

    differing = sum(posted.get(part) != fen for part, fen in wanted.items()) + len(posted.keys() - wanted.keys())
    figure("P4", f"{len(posted):,} awards of {orders:,} orders by the naive evaluator: {differing} differ")
    assert differing == 0 and len(posted) > 3 * orders


def test_what_came_back_comes_back_at_the_new_rate():
    shop = Shop(3)
    shop.correct(shoes_ppm=45_000)
    intake.recompute(order_ids=shop.ids, now=LATER)

    for line in OrderLine.objects.select_related("order__channel"):
        row = shop.world.order(outer_order_id=line.order.outer_order_id)
        shop.world.refund(row, line=line.outer_line_id, cumulative_fen=line.paid_fen, now=LATER)

    left: Counter[int] = Counter()
    for staff, fen in Entry.objects.of_staff().values_list("staff", "fen"):
        left[staff] += fen
    assert not any(left.values())


def test_again_it_posts_nothing_and_back_it_takes_everything_back():
    shop = Shop(4)
    before, claims = nonzero(earned()), ClaimRow.objects.count()
    shop.plan = shop.correct(shoes_ppm=45_000)
    intake.recompute(order_ids=shop.ids, now=LATER)
    count = Entry.objects.count()

    intake.recompute(order_ids=shop.ids, now=LATER)
    assert Entry.objects.count() == count

    shop.correct(shoes_ppm=30_000)
    intake.recompute(order_ids=shop.ids, now=LATER + timedelta(days=1))
    assert nonzero(earned()) == before
    assert ClaimRow.objects.count() == claims  # nobody is asked again who it was


def test_a_rule_under_another_code_is_taken_back_and_given_on_one_day():
    shop = Shop(8)
    before = nonzero(earned())
    draft = plans.copy(version=shop.plan, by=None, now=LATER)
    Rule.objects.filter(version=draft, code="shoes").update(code="footwear")
    plans.approve(version=draft, by=None, now=LATER)
    plans.activate(version=draft, starts_at=LONG_AGO, by=None, now=LATER, reason="改名")

    intake.recompute(order_ids=shop.ids, now=LATER)

    renamed = {(line, rule.replace("shoes", "footwear"), *who): fen for (line, rule, *who), fen in before.items()}
    assert nonzero(earned()) == renamed
    posted = Entry.objects.of_staff().filter(posted_at=LATER)
    assert {day for (day,) in posted.values_list("earned_on").distinct()} == {LATER.date()}


def test_only_sales_since_then_are_judged_by_the_correction():
    shop = Shop(5)
    since = NOW - timedelta(days=15)
    shop.correct(shoes_ppm=45_000, starts_at=since)

    intake.recompute(order_ids=shop.ids, now=LATER)

    touched = Order.objects.filter(pk__in=Entry.objects.filter(posted_at=LATER).values("order"))
    assert touched and all(order.paid_at >= since for order in touched)


def test_the_page_of_a_line_shows_what_was_booked_until_it_is_recomputed():
    shop = Shop(6)
    line = OrderLine.objects.filter(category_label=shop.shoes).first()
    corrected = shop.correct(shoes_ppm=45_000)

    assert explain.of_line(order=line.order, line=line).version == shop.plan
    intake.recompute(order_ids=shop.ids, now=LATER)
    assert explain.of_line(order=line.order, line=line).version == corrected


def test_the_command_says_what_it_changed(capsys):
    shop = Shop(7, orders=12)
    call_command("recompute", brand=shop.world.brand.code)
    assert "nothing to change" in capsys.readouterr().out
    before = sum(earned().values())
    shop.correct(shoes_ppm=45_000)

    call_command("recompute", brand=shop.world.brand.code)

    said = capsys.readouterr().out
    more = sum(earned().values()) - before
    assert "12 orders" in said and "A1" in said and more > 0
    with pytest.raises(CommandError, match="no brand 'nobody'"):
        call_command("recompute", brand="nobody")
    with pytest.raises(CommandError, match="--to 2026-09-30 lies before --from 2026-10-01"):
        call_command("recompute", "--from", "2026-10-01", "--to", "2026-09-30")
