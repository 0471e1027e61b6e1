"""Settling in batches by two processes, killed between two of them: the next run ends as if nothing had happened."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import connection, transaction

from commissions import plans
from commissions.models import Entry, PlanVersion
from retail import bulk, intake, scope
from retail.models import Order
from tests.factories import NOW, world
from tests.factories.town import ONE_BY_ONE, Town, take, unsettled, written

SETTLE_ALL = f"""
import django
django.setup()
from datetime import datetime
from retail import bulk, scope
from retail.models import Order
bulk.PAGE = 60
with scope.within(scope.EVERYTHING):
    bulk.settle(among=Order.objects.all(), now=datetime.fromisoformat("{NOW.isoformat()}"), how=bulk.How(batch=3))
"""


@pytest.fixture
def town(transactional_db):
    with scope.within(scope.EVERYTHING):
        town = Town(random.Random(11))
        take(town.orders(160))
        yield town


def settled_one_by_one() -> dict[str, list[str]]:
    with transaction.atomic():
        ONE_BY_ONE.orders(unsettled())
        rows = written()
        transaction.set_rollback(True)
    return rows


def assert_same(rows: dict[str, list[str]], wanted: dict[str, list[str]]) -> None:
    for name, expected in wanted.items():
        assert rows[name] == expected, name


@pytest.mark.kill
@pytest.mark.slow
@pytest.mark.parametrize("victim", ["the first process", "the second process", "both"])
def test_what_a_killed_run_left_is_settled_by_the_next_one(town, victim):
    wanted = settled_one_by_one()
    database = {"DATABASE_URL": f"postgresql:///{connection.settings_dict['NAME']}"}
    process = subprocess.Popen([sys.executable, "-c", SETTLE_ALL], env=os.environ | database, stderr=subprocess.PIPE)
    while Order.objects.exclude(settled_at=None).count() < 30:
        assert process.poll() is None
        time.sleep(0.01)
    other = children(process.pid)
    if victim != "the first process":
        os.kill(other[0], signal.SIGKILL)
    if victim != "the second process":
        process.kill()
    said = process.communicate()[1].decode()
    assert process.returncode != 0
    if victim == "the second process":
        assert "The other process ended" in said
    wait_for_the_end_of(other)

    done = Order.objects.exclude(settled_at=None)
    assert 0 < done.count() < 160
    assert set(Entry.objects.values_list("order_id", flat=True)) <= set(done.values_list("pk", flat=True))
    bulk.settle(among=Order.objects.all(), now=NOW, how=bulk.How(batch=7))

    assert_same(written(), wanted)
    count = Entry.objects.count()
    call_command("settle")
    assert Entry.objects.count() == count


def children(pid: int) -> list[int]:
    """Those of a process that is at work in two: it has one at any moment but between two pages."""
    for _ in range(1_000):
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            if found := [int(child) for child in file.read().split()]:
                return found
        time.sleep(0.001)
    raise AssertionError("it works alone")


def wait_for_the_end_of(pids: list[int]) -> None:
    """One whose parent was killed ends after its batch."""
    for pid in pids:
        while os.path.exists(f"/proc/{pid}"):
            time.sleep(0.01)


@pytest.mark.slow
def test_a_correction_of_the_plan_waits_for_the_batch_in_flight(transactional_db):
    with scope.within(scope.EVERYTHING):
        shop = world()
        shop.hire("A1")
        split = [{"role": "serve", "weight": 1}]
        wrong = shop.plan({"id": "r", "calc": {"type": "fixed", "fen": 100}, "split": split})
        right = plans.copy(version=wrong, by=None, now=NOW)
        right.rules.update(calc={"type": "fixed", "fen": 700})
        plans.approve(version=right, by=None, now=NOW)
        (taken,) = shop.take(shop.order(serving_clerk="A1"))
        done: list[str] = []
        with transaction.atomic():
            intake.settle_order(order_id=taken.id, now=NOW)
            thread = threading.Thread(target=correct, args=[right, done])
            thread.start()
            thread.join(0.5)
            assert not done
        thread.join()

        assert done == ["corrected"]
        intake.recompute(order_ids=[taken.id], now=NOW)
        assert sum(Entry.objects.of_staff().values_list("fen", flat=True)) == 700


def correct(version: PlanVersion, done: list[str]) -> None:
    with scope.within(scope.EVERYTHING):
        plans.activate(version=version, starts_at=NOW - timedelta(days=1), by=None, now=NOW, reason="填错")
    done.append("corrected")
    connection.close()


@pytest.mark.slow
def test_two_processes_settle_as_one_after_another(town, monkeypatch):
    monkeypatch.setattr(bulk, "PAGE", 70)
    wanted = settled_one_by_one()

    done = bulk.settle(among=Order.objects.all(), now=NOW, how=bulk.How(batch=5))

    assert (done.orders, done.failed) == (160, [])
    assert_same(written(), wanted)
