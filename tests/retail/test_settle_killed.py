"""Settling in batches, killed between two of them."""

import os
import subprocess
import sys
import time

import pytest
from django.core.management import call_command
from django.db import connection

from commissions.models import Entry
from members.models import Purchase
from retail import scope, shapes
from retail.models import Order
from tests.factories import world

SETTLE_ALL = """
import django
django.setup()
from django.utils import timezone
from retail import scope
from retail.imports import settlement
from retail.models import Order
with scope.within(scope.EVERYTHING):
    settlement.run(among=Order.objects.all(), now=timezone.now(), batch=3)
"""


@pytest.mark.kill
@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_what_a_killed_run_left_is_settled_by_the_next_one():
    with scope.within(scope.EVERYTHING):
        shop = world()
        clerk = shop.hire("A1")
        shop.plan({"id": "r", "calc": {"type": "fixed", "fen": 100}, "split": [{"role": "serve", "weight": 1}]})
        rows = [shop.order(serving_clerk="A1", buyer=(shapes.Buyer("phone", f"139{n:08}"),)) for n in range(240)]
        shop.take(*rows)
        database = {"DATABASE_URL": f"postgresql:///{connection.settings_dict['NAME']}"}
        process = subprocess.Popen([sys.executable, "-c", SETTLE_ALL], env=os.environ | database)
        while Order.objects.exclude(settled_at=None).count() < 6:
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
        process.wait()

        done = Order.objects.exclude(settled_at=None)
        assert 0 < done.count() < 240 and done.count() % 3 == 0
        assert set(Entry.objects.values_list("order_id", flat=True)) == set(done.values_list("pk", flat=True))
        call_command("settle")

        assert not Order.objects.filter(settled_at=None).exists()
        assert Purchase.objects.count() == 240
        paid = Entry.objects.of_staff().values_list("staff_id", "fen")
        assert sorted(paid) == [(clerk.pk, 100)] * 240
