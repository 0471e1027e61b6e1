"""P7: somebody doubts a line in the very moment its period is closed and put into batches."""

import threading
from datetime import timedelta

import pytest
from django.db import connection

from commissions import closing, disputes
from commissions.models import Dispute, Payout, Period, Statement
from retail import scope
from retail.models import Order
from tests.factories import NOW, user, world

AFTERWARDS, ROUNDS = NOW + timedelta(days=40), 12
RULE = {"id": "tenth", "calc": {"type": "rate", "ppm": 100_000}, "split": [{"role": "serve", "weight": 1}]}


def at_once(*works):
    """Run them in threads that start together; what went wrong."""
    start, failures = threading.Barrier(len(works)), []

    def run(work):
        try:
            start.wait()
            with scope.within(scope.EVERYTHING):
                work()
        except closing.ClosingRefused:
            pass  # all there is to pay is in question
        except Exception as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_money_is_kept_back_or_on_its_way_and_paid_once_in_the_end():
    with scope.within(scope.EVERYTHING):
        shop = world()
        shop.hire("li")
        shop.plan(RULE)
        for round in range(ROUNDS):
            at = NOW + timedelta(days=31 * round)
            (pk,) = shop.settle(shop.order(serving_clerk="li", paid_at=at), now=at)
            order, now = Order.objects.get(pk=pk), AFTERWARDS + timedelta(days=31 * round)
            line, staff = order.lines.get(), shop.staff["li"]
            period = Period.objects.exclude(status="closed").filter(brand=shop.brand).earliest("starts_on")

            def close(period=period, now=now):
                closing.close(period=period, by=None, now=now)
                closing.make_batches(period=period, by=None, now=now)

            def doubt(order=order, line=line, now=now, staff=staff):
                given = {"order_id": order.pk, "line_id": line.pk, "reason": "少算了钱", "by": None, "now": now}
                disputes.open_line(staff=staff, **given)

            assert at_once(close, doubt) == []

            statement, case = Statement.objects.get(period=period), Dispute.objects.open().get(line=line)
            batched = sum(Payout.objects.filter(statement=statement).values_list("fen", flat=True))
            assert batched in (0, statement.pay_fen)
            disputes.explain(dispute=case, text="按规则是对的", by=user(), now=now)
            if not batched:
                closing.make_batches(period=period, by=None, now=now)
            assert Payout.objects.get(statement=statement).fen == statement.pay_fen == 10_00
