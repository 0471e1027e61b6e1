"""One random world settled one by one and in batches: every row that settling writes is the same."""

import random
from datetime import timedelta

import msgspec
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from commissions.models import Entry
from members.models import Purchase
from retail import intake, shapes
from retail.models import Order
from tests.factories import NOW, World, number, world
from tests.factories.town import ONE_BY_ONE, Story, Town, in_batches, refund_of, story, told

pytestmark = pytest.mark.usefixtures("everything")


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 18])
def test_both_ways_write_the_same_rows(seed):
    town = Town(random.Random(seed))
    happens, first_id = story(town), number() * 100_000

    alone = told(happens, ONE_BY_ONE, first_id=first_id)

    assert len(alone["Entry"]) > 300 and len(alone["Binding"]) > 5
    assert len(alone["ShareSale"]) > 5 and "opening" in str(alone["ShareSale"])
    for largest in (7, 60):
        together = told(happens, in_batches(random.Random(seed), largest), first_id=first_id)
        for name, rows in alone.items():
            assert together[name] == rows, name


def test_orders_and_refunds_in_any_order_end_the_same():
    """Where nothing depends on who came first (no buyers), batches may be shuffled, refunds come before or after."""
    town = Town(random.Random(5))
    rows = [(channel, msgspec.structs.replace(row, buyer=())) for channel, row in town.orders(30)]
    refunds = [refund_of(town.dice, *town.dice.choice(rows)) for _ in range(20)]
    refunds.sort(key=lambda refund: refund[1].outer_refund_id)
    first_id = number() * 100_000
    shuffled = in_batches(town.dice, 9, is_shuffled=True)

    alone = told(Story([(rows, refunds)]), ONE_BY_ONE, first_id=first_id)
    together = told(Story([(rows, refunds)]), shuffled, first_id=first_id)
    before = told(Story([([], refunds), (rows, [])]), shuffled, first_id=first_id)

    assert len(alone["Entry"]) > 100
    for name, written in alone.items():
        assert together[name] == written, name
    for name in ("ClaimRow", "BuyerSnapshot"):
        assert before[name] == alone[name], name


# ── What a batch costs, and what a bad order in it does ──────────────────────────────────────────────────────────────
@pytest.fixture
def shop() -> World:
    shop = world()
    shop.hire("A1")
    shop.hire("M1", role="store_manager")
    split = [{"role": "serve", "weight": 7}, {"role": "bound", "weight": 2}, {"role": "manager", "weight": 1}]
    shop.plan({"id": "base", "calc": {"type": "rate", "ppm": 30_000}, "split": split})
    shop.settle(shop.order(serving_clerk="A1"))  # compiles the plan, makes the periods
    return shop


def taken(shop: World, count: int, *, days_ago: int = 0) -> list[int]:
    rows = [
        shop.order(
            lines=[{}, {}],
            serving_clerk="A1",
            fulfil_store_code=shop.store.code,
            buyer=(shapes.Buyer("phone", f"139{n:08}"),),
            paid_at=NOW - timedelta(days=days_ago),
        )
        for n in range(count)
    ]
    return [outcome.id for outcome in shop.take(*rows) if outcome.id]


# Of members nobody knew, and of those then known, an order each that came late.
NEW, KNOWN = 37, 36


@pytest.mark.parametrize("count", [5, 50])
def test_a_batch_takes_as_many_statements_whatever_its_size(shop, count):
    assert statements(taken(shop, count)) == NEW
    assert statements(taken(shop, count, days_ago=3)) == KNOWN


def statements(ids: list[int]) -> int:
    """How many a batch takes, savepoints apart."""
    with CaptureQueriesContext(connection) as queries:
        assert intake.settle_orders(order_ids=ids, now=NOW) == []
    return len([query for query in queries if "SAVEPOINT" not in query["sql"]])


def test_an_order_that_cannot_be_settled_costs_the_others_nothing(shop):
    ids = taken(shop, 9)
    Order.objects.filter(pk=ids[4]).update(settled_version=7)  # of which there is no document

    assert intake.settle_orders(order_ids=ids, now=NOW) == [ids[4]]
    assert Purchase.objects.filter(order__in=ids).count() == 8
    assert not Purchase.objects.filter(order=ids[4]).exists()


def test_settling_a_batch_again_posts_nothing(shop):
    ids = taken(shop, 9)
    intake.settle_orders(order_ids=ids, now=NOW)
    before = Entry.objects.count()

    assert intake.settle_orders(order_ids=ids, now=NOW) == []
    assert Entry.objects.count() == before
