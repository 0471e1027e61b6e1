"""A correction counts when what it corrects does: in that month while it is open, in the earliest open one after."""

import pytest
from msgspec.structs import replace

from commissions.models import Entry, Statement
from tests.commissions.months import at, close, month, recompute, sell, statement, store

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("everything")]


@pytest.fixture
def shop():
    return store("li", "wang")


def test_before_the_month_is_closed_its_statements_are_right(shop):
    row = sell(shop, "li", 1_000_00, "2026-10-05")
    recompute(shop, row, ppm=700_000, now="2026-11-02")
    close(shop)
    assert statement(shop, "li").kinds == {"earn": 1_000_00, "delta": -300_00}
    close(shop, 1)
    assert not Statement.objects.filter(period=month(shop, 1)).exists()


def test_afterwards_it_is_booked_in_the_open_one_and_belongs_to_the_old(shop):
    row = sell(shop, "li", 1_000_00, "2026-10-05")
    close(shop)
    recompute(shop, row, ppm=700_000, now="2026-11-02")
    delta = Entry.objects.of_staff().get(kind="delta")
    first = Entry.objects.of_staff().get(kind="earn")
    assert (delta.period_booked, delta.period_origin) == (month(shop, 1), month(shop))
    assert (delta.earned_on, delta.reverses) == (first.earned_on, first)


def test_who_gets_it_instead_gets_it_in_the_same_month(shop):
    row = sell(shop, "li", 1_000_00, "2026-10-05")
    shop.settle(replace(row, serving_clerk="wang"), now=at("2026-11-02"))
    close(shop)
    assert [statement(shop, clerk).pay_fen for clerk in ("li", "wang")] == [0, 1_000_00]
    assert not Entry.objects.exclude(period_booked=month(shop)).exists()


def test_a_refund_stays_in_the_month_it_came_in_and_is_corrected_there(shop):
    row = sell(shop, "li", 1_000_00, "2026-10-05")
    shop.refund(row, fen=500_00, now=at("2026-11-01"))
    recompute(shop, row, ppm=700_000, now="2026-12-02")
    for place in range(3):
        close(shop, place)
    assert statement(shop, "li").net_fen == 700_00
    assert statement(shop, "li", 1).kinds == {"reverse": -350_00}
    assert statement(shop, "li", 1).entries == 2
    assert not Statement.objects.filter(period=month(shop, 2)).exclude(net_fen=0).exists()


def test_so_it_is_with_the_clerk_corrected_after_a_refund(shop):
    row = sell(shop, "li", 1_000_00, "2026-10-05")
    shop.refund(row, fen=500_00, now=at("2026-11-01"))
    shop.settle(replace(row, serving_clerk="wang"), now=at("2026-11-02"))
    close(shop)
    close(shop, 1)
    assert [statement(shop, clerk).net_fen for clerk in ("li", "wang")] == [0, 1_000_00]
    assert [statement(shop, clerk, 1).net_fen for clerk in ("li", "wang")] == [0, -500_00]
