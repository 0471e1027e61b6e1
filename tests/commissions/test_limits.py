"""What a closing adds: guarantees advanced and taken back, and what goes beyond the most that is paid."""

from datetime import datetime

import pytest
from django.db.models import Sum

from commissions import closing, limits, periods
from commissions.engine import payout
from commissions.models import Entry, Guarantee, PayTerms, Period, Statement
from retail.models import Employment, Post
from tests.factories import NOW, world

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("everything")]

RULE = {"id": "all", "calc": {"type": "rate", "ppm": 1_000_000}, "split": [{"role": "serve", "weight": 1}]}
MONTHS = ["2026-10-01", "2026-11-01", "2026-12-01", "2027-01-01", "2027-02-01"]


def at(day):
    return datetime.fromisoformat(f"{day}T09:00:00+08:00")


@pytest.fixture
def shop():
    """A store whose clerk earns all of what they sell."""
    made = world()
    made.hire("li")
    made.hire("wang")
    made.plan(RULE)
    periods.places(brand_id=made.brand.pk, days=[NOW.date()])
    return made


def sell(shop, clerk, fen, day):
    row = shop.order(lines=[{"paid_fen": fen}], serving_clerk=clerk, paid_at=at(day))
    shop.settle(row, now=at(day))
    return row


def month(shop, place=0):
    return Period.objects.get(brand=shop.brand, starts_on=MONTHS[place])


def close(shop, place=0):
    periods.places(brand_id=shop.brand.pk, days=[datetime.fromisoformat(MONTHS[place]).date()])
    return closing.close(period=month(shop, place), by=None, now=at(MONTHS[place + 1]))


def statement(shop, clerk, place=0):
    return Statement.objects.get(period=month(shop, place), staff=shop.staff[clerk])


def guarantee(shop, **fields):
    usual = {"first_period": month(shop), "min_fen": 3_000_00, "draw_until": 2, "recover_from": 3}
    return Guarantee.objects.create(brand=shop.brand, **usual | fields)


def added_up(shop):
    """Of each closed period: the statements are the entries."""
    for period in Period.objects.filter(brand=shop.brand, status="closed"):
        said = period.statements.aggregate(fen=Sum("net_fen", default=0))["fen"]
        booked = Entry.objects.of_staff().filter(period_booked=period).aggregate(fen=Sum("fen", default=0))["fen"]
        assert said == booked


# ── 保底 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_guarantee_is_advanced_and_taken_back_as_the_engine_says(shop):
    guarantee(shop, staff=shop.staff["li"])
    earned = [1_000_00, 3_500_00, 3_200_00, 9_000_00]
    for place, fen in enumerate(earned):
        sell(shop, "li", fen, f"{MONTHS[place][:7]}-05")
        close(shop, place)

    wanted = payout.draws(earned, min_fen=3_000_00, draw_until=2, recover_from=3)
    got = [statement(shop, "li", place) for place in range(4)]
    assert [row.pay_fen for row in got] == [one.paid_fen for one in wanted] == [3_000_00, 3_500_00, 3_000_00, 7_200_00]
    assert [row.kinds.get("draw", 0) for row in got] == [2_000_00, 0, 0, 0]
    assert [row.kinds.get("recover", 0) for row in got] == [0, 0, -200_00, -1_800_00]
    assert limits.balances(staff_ids=[shop.staff["li"].pk], brand_id=shop.brand.pk) == {}
    added_up(shop)


def test_who_sold_nothing_is_paid_it_too(shop):
    guarantee(shop, staff=shop.staff["li"])
    close(shop)
    li = statement(shop, "li")
    assert (li.pay_fen, li.store, li.kinds) == (3_000_00, shop.store, {"draw": 3_000_00})
    assert limits.balances(staff_ids=[li.staff_id], brand_id=shop.brand.pk) == {(li.staff_id, None): 3_000_00}


def test_a_debt_does_not_lower_it(shop):
    guarantee(shop, staff=shop.staff["li"])
    row = sell(shop, "li", 5_000_00, "2026-10-05")
    close(shop)
    shop.refund(row, fen=1_000_00, now=at("2026-11-05"))
    close(shop, 1)
    assert statement(shop, "li", 1).kinds == {"reverse": -1_000_00, "draw": 4_000_00}
    assert statement(shop, "li", 1).pay_fen == 3_000_00


def test_newcomers_of_a_position_count_from_when_they_came(shop):
    guarantee(shop, position="clerk", draw_until=1, recover_from=2)
    new = shop.hire("sun")
    Employment.objects.filter(staff=new).update(starts_at=at("2026-11-10"))
    Post.objects.filter(staff=new).update(starts_at=at("2026-11-10"))
    shop.hire("chen", role="store_manager")
    for place in range(3):
        close(shop, place)
    rows = Entry.objects.of_staff().filter(kind="draw").values_list("staff__code", "period_booked__starts_on", "fen")
    assert [(code, str(day), fen) for code, day, fen in rows] == [("sun", MONTHS[1], 3_000_00)]


def test_who_left_is_advanced_nothing(shop):
    guarantee(shop, staff=shop.staff["li"])
    Post.objects.filter(staff=shop.staff["li"]).update(ends_at=at("2026-10-20"))
    sell(shop, "li", 100_00, "2026-10-05")
    close(shop)
    assert statement(shop, "li").kinds == {"earn": 100_00}


# ── The most that is paid ────────────────────────────────────────────────────────────────────────────────────────────
def test_beyond_the_most_it_is_the_companys(shop):
    PayTerms.objects.create(brand=shop.brand, max_fen=600_00, excess="house")
    sell(shop, "li", 1_000_00, "2026-10-05")
    sell(shop, "wang", 600_00, "2026-10-05")
    close(shop)
    li = statement(shop, "li")
    assert (li.kinds, li.pay_fen, li.carry_out_fen) == ({"earn": 1_000_00, "cap_hold": -400_00}, 600_00, 0)
    assert statement(shop, "wang").kinds == {"earn": 600_00}
    added_up(shop)


def test_what_was_cut_bears_the_refunds_of_its_month_first(shop):
    """Had it come in time, the person would have been paid the same."""
    PayTerms.objects.create(brand=shop.brand, max_fen=600_00, excess="house")
    row = sell(shop, "li", 1_000_00, "2026-10-05")
    close(shop)
    shop.refund(row, fen=300_00, now=at("2026-11-05"))
    close(shop, 1)
    assert statement(shop, "li", 1).kinds == {"reverse": -300_00, "cap_release": 300_00}
    shop.refund(row, fen=300_00, now=at("2026-12-05"))
    close(shop, 2)
    assert statement(shop, "li", 2).kinds == {"reverse": -300_00, "cap_release": 100_00}
    assert statement(shop, "li", 2).carry_out_fen == -200_00
    added_up(shop)


def test_a_refund_of_another_month_is_the_persons_own(shop):
    PayTerms.objects.create(brand=shop.brand, max_fen=600_00, excess="house")
    sell(shop, "li", 1_000_00, "2026-10-05")
    close(shop)
    row = sell(shop, "li", 500_00, "2026-11-05")
    close(shop, 1)
    shop.refund(row, fen=500_00, now=at("2026-12-05"))
    close(shop, 2)
    assert statement(shop, "li", 2).kinds == {"reverse": -500_00}


def test_or_it_waits_for_the_next_month(shop):
    PayTerms.objects.create(brand=shop.brand, max_fen=600_00, excess="carry")
    sell(shop, "li", 1_000_00, "2026-10-05")
    close(shop)
    close(shop, 1)
    assert [statement(shop, "li", place).pay_fen for place in (0, 1)] == [600_00, 400_00]
