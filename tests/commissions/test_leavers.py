"""Who left: debts they can no longer make up for are borne by others, and what little they have to get is paid."""

import pytest

from commissions.models import Entry, PayTerms
from tests.commissions.months import added_up, at, close, guarantee, leave, sell, statement, store

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("everything")]


@pytest.fixture
def owing():
    """Li was paid 500 for what came back, and left; colleagues bear what leavers owe."""
    shop = store("li", "wang", "zhao", "sun")
    PayTerms.objects.create(brand=shop.brand, leaver_debt="store_pool")
    row = sell(shop, "li", 500_00, "2026-10-05")
    close(shop)
    shop.refund(row, fen=500_00, now=at("2026-11-05"))
    leave(shop, "li", "2026-11-06")
    return shop


def paid(shop, *clerks, place=1):
    rows = [statement(shop, clerk, place) for clerk in clerks]
    assert not any(row.carry_out_fen for row in rows)
    return [row.pay_fen for row in rows]


def test_nobody_gives_more_than_they_have_to_get(owing):
    sell(owing, "wang", 10_00, "2026-11-10")
    close(owing, 1)
    assert paid(owing, "li", "wang") == [0, 0]
    house = Entry.objects.of_house().get(kind="adjust")
    assert house.fen == -490_00
    added_up(owing)


def test_what_one_has_not_goes_round_to_those_who_have(owing):
    for clerk, fen in (("wang", 10_00), ("zhao", 300_00), ("sun", 1_000_00)):
        sell(owing, clerk, fen, "2026-11-10")
    close(owing, 1)
    # 166.67 each, of which wang has 10; 156.66 more, of which zhao has all; sun the rest
    assert paid(owing, "li", "wang", "zhao", "sun") == [0, 0, 55_00, 755_00]
    added_up(owing)


def test_two_who_left_do_not_take_the_same_twice(owing):
    rows = [sell(owing, clerk, 300_00, "2026-11-02") for clerk in ("zhao", "sun")]
    close(owing, 1)
    assert paid(owing, "zhao", "sun") == [50_00, 50_00]
    for clerk, row in zip(("zhao", "sun"), rows, strict=True):
        owing.refund(row, fen=300_00, now=at("2026-12-02"))
        leave(owing, clerk, "2026-12-03")
    sell(owing, "wang", 400_00, "2026-12-04")
    close(owing, 2)
    assert paid(owing, "wang", "zhao", "sun", place=2) == [0, 0, 0]


def test_what_is_guaranteed_stays(owing):
    guarantee(owing, staff=owing.staff["wang"], min_fen=300_00, draw_until=3, recover_from=4)
    sell(owing, "wang", 310_00, "2026-11-10")
    sell(owing, "sun", 50_00, "2026-11-10")
    close(owing, 1)
    assert paid(owing, "wang", "sun") == [300_00, 0]


def test_who_left_is_paid_however_little_it_is():
    shop = store("li", "wang")
    PayTerms.objects.create(brand=shop.brand, min_payout_fen=50_00)
    for clerk in ("li", "wang"):
        sell(shop, clerk, 30_00, "2026-10-05")
    leave(shop, "li", "2026-10-20")
    close(shop)
    assert [statement(shop, clerk).pay_fen for clerk in ("li", "wang")] == [30_00, 0]
