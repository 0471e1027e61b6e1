"""manage.py settle: what waits, page by page and batch by batch."""

from datetime import timedelta

import msgspec
import pytest
from django.core.management import CommandError, call_command

from commissions.models import Entry
from retail import bulk, intake, shapes
from retail.models import Job, Order
from tests.factories import NOW, world

pytestmark = pytest.mark.usefixtures("everything")


def waiting() -> set[str]:
    return set(Order.objects.filter(settled_at=None).values_list("outer_order_id", flat=True))


def test_only_the_orders_asked_for(capsys):
    one, two = world(), world()
    one.take(*(one.order(outer_order_id=f"one-{day}", paid_at=NOW - timedelta(days=day)) for day in range(4)))
    two.take(two.order(outer_order_id="two-1", paid_at=NOW - timedelta(days=1)), channel=two.pos)

    call_command("settle", brand=one.brand.code, first=(NOW - timedelta(days=2)).date(), last=NOW.date())

    assert waiting() == {"one-3", "two-1"}
    assert "Settled: 3 orders, 3 lines; refunds of 0 orders; 0 failed" in capsys.readouterr().out
    with pytest.raises(CommandError, match="no brand 'nobody'"):
        call_command("settle", brand="nobody")


def test_orders_of_one_moment_are_not_lost_between_pages(monkeypatch):
    monkeypatch.setattr(bulk, "PAGE", 2)
    shop = world()
    shop.take(*(shop.order(lines=[{}, {}]) for _ in range(5)))

    settled = bulk.settle(among=Order.objects.all(), now=NOW, how=bulk.How(batch=2))

    assert settled == (5, 10, [])
    assert waiting() == set()


def test_corrections_and_refunds_that_wait_are_settled_too(capsys):
    shop = world()
    shop.hire("A1")
    shop.plan({"id": "r", "calc": {"type": "rate", "ppm": 100_000}, "split": [{"role": "serve", "weight": 1}]})
    corrected, refunded = shop.order(serving_clerk="A1"), shop.order(serving_clerk="A1")
    shop.settle(corrected, refunded)
    shop.take(msgspec.structs.replace(corrected, lines=(shop.line(1, paid_fen=4_000),)), shop.order())
    back = shapes.Refund(
        channel=shop.pos.code,
        outer_refund_id="R1",
        outer_order_id=refunded.outer_order_id,
        outer_line_id="1",
        refunded_at=NOW,
        fen=10_000,
    )
    intake.take_refunds(channel=shop.pos, data=[back], now=NOW)

    call_command("settle", brand=shop.brand.code)

    assert "Settled: 2 orders, 2 lines; refunds of 1 orders; 0 failed" in capsys.readouterr().out
    assert sum(Entry.objects.of_staff().values_list("fen", flat=True)) == 400
    assert not Job.objects.filter(kind="settle_order", state="due").exists()


def test_what_cannot_be_settled_is_named_and_left():
    shop = world()
    first, second = (outcome.id for outcome in shop.take(shop.order(), shop.order()))
    Order.objects.filter(pk=first).update(settled_version=7)  # of which there is no document

    settled = bulk.settle(among=Order.objects.all(), now=NOW)

    assert settled == (1, 1 + 1, [first])
    assert not Order.objects.filter(pk=second, settled_at=None).exists()
