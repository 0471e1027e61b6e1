"""How often settling asks the database: a literal number, whatever the number of lines."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from members.models import PointsRule, TierRule
from retail import intake, shapes
from tests.factories import LONG_AGO, NOW, World, world

# Of a member nobody knew, bound by it; and of one whose relation it prolongs.
FIRST, LATER = 41, 36


@pytest.fixture
def shop(everything) -> World:
    shop = world()
    shop.hire("A1")
    shop.hire("M1", role="store_manager")
    split = [{"role": "serve", "weight": 7}, {"role": "bound", "weight": 2}, {"role": "manager", "weight": 1}]
    shop.plan({"id": "base", "calc": {"type": "rate", "ppm": 30_000}, "split": split})
    TierRule.objects.create(brand=shop.brand)
    PointsRule.objects.create(brand=shop.brand, name="基础", starts_on=LONG_AGO.date())
    settle(shop, 1, phone="13900000000", days_ago=9)  # compiles the plan, makes the periods
    return shop


def settle(shop: World, lines: int, *, phone: str, days_ago: int = 0) -> int:
    """Settle an order of so many lines; how many statements that took, savepoints apart."""
    paid_at = NOW - timedelta(days=days_ago)
    row = shop.order(lines=[{}] * lines, serving_clerk="A1", buyer=(shapes.Buyer("phone", phone),), paid_at=paid_at)
    (outcome,) = shop.take(row)
    with CaptureQueriesContext(connection) as queries:
        intake.settle_order(order_id=outcome.id, now=NOW)
    return len([query for query in queries if "SAVEPOINT" not in query["sql"]])


@pytest.mark.parametrize("lines", [1, 5])
def test_the_first_purchase_of_a_member(shop, lines):
    assert settle(shop, lines, phone="13800005678") == FIRST


@pytest.mark.parametrize("lines", [1, 5])
def test_a_later_purchase(shop, lines):
    assert settle(shop, lines, phone="13900000000") == LATER
