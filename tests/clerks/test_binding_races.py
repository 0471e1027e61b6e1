"""P5: however many tills sell to the same members at once, each member ends with one active clerk."""

import random
import threading
from datetime import timedelta

import pytest
from django.db import connection

from clerks.models import Binding
from retail import intake, scope, shapes
from tests.factories import NOW, World, world
from tests.figures import figure

TILLS, MEMBERS, AT_ONCE = 4, 300, 20


def taken(shop: World, turn: int, clerk: str) -> list[int]:
    """An order of each member of this round, rung up by this clerk and not settled yet."""
    rows = [
        shop.order(
            buyer=(shapes.Buyer("phone", f"13{turn:03}{n:06}"),),
            serving_clerk=clerk,
            paid_at=NOW - timedelta(days=3),
        )
        for n in range(MEMBERS)
    ]
    return [outcome.id for outcome in shop.take(*rows) if outcome.id]


def settle(ids: list[int], seed: int, start: threading.Barrier, failures: list[object]) -> None:
    """A worker: the orders of one till in an order of its own, a few in one transaction."""
    random.Random(seed).shuffle(ids)
    try:
        start.wait()
        with scope.within(scope.EVERYTHING):
            for place in range(0, len(ids), AT_ONCE):
                failures += intake.settle_orders(order_ids=ids[place : place + AT_ONCE], now=NOW)
    except Exception as error:
        failures.append(error)
    finally:
        connection.close()


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_member_ends_with_one_clerk_whoever_sells_at_once(size):
    rounds = 100 if size == "full" else 5
    with scope.within(scope.EVERYTHING):
        shop = world()
        for n in range(TILLS):
            shop.hire(f"A{n}")
        for turn in range(rounds):
            start, failures = threading.Barrier(TILLS), []
            tills = [
                threading.Thread(target=settle, args=(taken(shop, turn, f"A{n}"), turn * TILLS + n, start, failures))
                for n in range(TILLS)
            ]
            for till in tills:
                till.start()
            for till in tills:
                till.join()
            assert failures == []
        whose = list(Binding.objects.active().values_list("member", "staff__code"))
    members = {member for member, _ in whose}
    double, none = len(whose) - len(members), rounds * MEMBERS - len(members)
    figure("P5", f"{MEMBERS} members × {TILLS} tills × {rounds} rounds: {double} double, {none} none, 0 deadlocks")
    assert (double, none) == (0, 0)
    assert len({clerk for _, clerk in whose}) == TILLS, "one till was always first: nothing was tried"
