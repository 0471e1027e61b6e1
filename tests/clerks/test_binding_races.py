"""P5: however many tills sell to the same members at once, or managers give them away, each has one active clerk."""

import random
import threading
from datetime import timedelta

import pytest
from django.db import connection

from clerks import binding
from clerks.models import Binding
from members.models import Member
from retail import intake, org, scope, shapes
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


# ── Managers ─────────────────────────────────────────────────────────────────────────────────────────────────────────
MANAGERS = 4


def give(
    shop: World, pairs: list[binding.Pair], clerk: org.Held, turn: int, start: threading.Barrier, failures: list
) -> None:
    """A manager gives everybody to this clerk, in an order of their own, some at a time."""
    random.Random(turn * MANAGERS + clerk.staff_id).shuffle(pairs)
    try:
        start.wait()
        with scope.within(scope.EVERYTHING):
            for place in range(0, len(pairs), AT_ONCE):
                some = dict.fromkeys(pairs[place : place + AT_ONCE], clerk)
                at = NOW + timedelta(minutes=turn)
                binding.transfer(to=some, source="manual", end="manual", by=None, now=at, reason="换导购")
    except Exception as error:
        failures.append(error)
    finally:
        connection.close()


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_member_ends_with_one_clerk_whoever_gives_them_away_at_once(size):
    rounds = 100 if size == "full" else 2
    with scope.within(scope.EVERYTHING):
        shop = world()
        clerks = [
            org.Held(staff.pk, staff.code, staff.share_code, "clerk", shop.store.pk, None)
            for staff in (shop.hire(f"A{n}") for n in range(MANAGERS))
        ]
        members = Member.objects.bulk_create(Member(created_at=NOW) for _ in range(MEMBERS))
        failures: list[object] = []
        last: set[int] = set()
        for turn in range(rounds):
            start, pairs = threading.Barrier(MANAGERS), [(shop.brand.pk, one.pk) for one in members]
            managers = [
                threading.Thread(target=give, args=(shop, list(pairs), clerk, turn, start, failures))
                for clerk in clerks
            ]
            for manager in managers:
                manager.start()
            for manager in managers:
                manager.join()
            assert failures == []
            whose = list(Binding.objects.active().values_list("member", "staff"))
            double, none = len(whose) - len(dict(whose)), MEMBERS - len(dict(whose))
            assert (double, none) == (0, 0)
            last |= {staff_id for _, staff_id in whose}
        moves = Binding.objects.count()
    said = f"{MEMBERS} members × {MANAGERS} managers × {rounds} rounds, {moves} moves"
    figure("P5", f"{said}: {double} double, {none} none, {len(failures)} deadlocks")
    assert moves > MEMBERS * rounds, "nobody was given away twice: nothing was tried"
    assert len(last) > 1, "one manager was always last: nothing was tried"
