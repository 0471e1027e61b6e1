"""What a closing adds: guarantees advanced and taken back, and what goes beyond the most that is paid."""

import pytest
from django.core.exceptions import ValidationError

from commissions import limits
from commissions.engine import payout
from commissions.models import Entry, Guarantee, PayTerms, Statement
from retail.models import Employment, Post, Staff
from tests.commissions.months import (
    MONTHS,
    added_up,
    at,
    close,
    guarantee,
    leave,
    month,
    recompute,
    sell,
    statement,
    store,
)
from tests.factories import franchisee

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("everything")]


@pytest.fixture
def shop():
    return store("li", "wang")


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


def test_newcomers_of_a_grade_until_they_have_another(shop):
    guarantee(shop, position="clerk", grade="见习", draw_until=3, recover_from=2)
    for code, grade in (("sun", "见习"), ("mei", "")):
        new = shop.hire(code)
        new.grade = grade
        new.save()
        Employment.objects.filter(staff=new).update(starts_at=at("2026-10-10"))
    close(shop)
    assert Entry.objects.of_staff().get(kind="draw").staff == shop.staff["sun"]

    Staff.objects.filter(code="sun").update(grade="资深")
    sell(shop, "sun", 4_000_00, "2026-11-05")
    close(shop, 1)
    sun = statement(shop, "sun", 1)
    assert (sun.pay_fen, sun.kinds) == (3_000_00, {"earn": 4_000_00, "recover": -1_000_00})
    close(shop, 2)
    assert not Statement.objects.filter(period=month(shop, 2), staff=sun.staff).exists(), "no draw for another grade"


def test_who_left_is_advanced_nothing(shop):
    guarantee(shop, staff=shop.staff["li"])
    Post.objects.filter(staff=shop.staff["li"]).update(ends_at=at("2026-10-20"))
    sell(shop, "li", 100_00, "2026-10-05")
    close(shop)
    assert statement(shop, "li").kinds == {"earn": 100_00}


def test_no_more_is_advanced_than_may_be_paid(shop):
    PayTerms.objects.create(brand=shop.brand, max_fen=600_00, excess="house")
    guarantee(shop, staff=shop.staff["li"], min_fen=800_00, draw_until=1, recover_from=2)
    sell(shop, "li", 100_00, "2026-10-05")
    close(shop)
    assert statement(shop, "li").kinds == {"earn": 100_00, "draw": 500_00}
    sell(shop, "li", 700_00, "2026-11-05")
    close(shop, 1)
    assert statement(shop, "li", 1).kinds == {"earn": 700_00, "recover": -100_00}
    assert statement(shop, "li", 1).pay_fen == 600_00


def test_a_guarantee_above_the_most_is_refused_from_either_side(shop):
    terms = PayTerms.objects.create(brand=shop.brand, max_fen=600_00)
    given = {"first_period": month(shop), "draw_until": 1, "recover_from": 2}
    with pytest.raises(ValidationError, match="保底不能比它多"):
        Guarantee(brand=shop.brand, staff=shop.staff["li"], min_fen=800_00, **given).full_clean()
    Guarantee(brand=shop.brand, staff=shop.staff["li"], min_fen=600_00, **given).full_clean()

    guarantee(shop, staff=shop.staff["li"], min_fen=500_00, draw_until=1)
    terms.max_fen = 400_00
    with pytest.raises(ValidationError, match="最多发不能比它少"):
        terms.full_clean()
    close(shop)  # the last month it guarantees anything in
    terms.full_clean()


def test_an_advance_is_taken_back_from_who_leaves_and_the_rest_is_the_companys(shop):
    guarantee(shop, staff=shop.staff["li"], min_fen=1_000_00)
    sell(shop, "li", 100_00, "2026-10-05")
    close(shop)
    sell(shop, "li", 200_00, "2026-11-05")
    leave(shop, "li", "2026-11-06")
    close(shop, 1)
    li = statement(shop, "li", 1)
    assert (li.kinds, li.pay_fen, li.carry_out_fen) == ({"earn": 200_00, "recover": -900_00, "adjust": 700_00}, 0, 0)
    assert limits.balances(staff_ids=[li.staff_id], brand_id=shop.brand.pk) == {}
    close(shop, 2)
    assert not Statement.objects.filter(period=month(shop, 2)).exists()
    added_up(shop)


def test_it_is_taken_back_of_a_month_without_sales_too_but_not_before_all_has_come(shop):
    guarantee(shop, staff=shop.staff["li"], min_fen=1_000_00)
    close(shop)
    online = shop.channel("miniprogram", return_days=30)
    row = shop.order(
        channel=online, lines=[{"paid_fen": 300_00}], serving_clerk="li", store_code=shop.store.code,
        paid_at=at("2026-11-05"),
    )  # fmt: skip
    shop.settle(row, channel=online, now=at("2026-11-05"))
    leave(shop, "li", "2026-11-06")
    close(shop, 1)
    assert not Statement.objects.filter(period=month(shop, 1)).exists()
    close(shop, 2)
    assert statement(shop, "li", 2).kinds == {"earn": 300_00, "recover": -1_000_00, "adjust": 700_00}


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


def test_what_was_cut_bears_corrections_of_its_month_first(shop):
    PayTerms.objects.create(brand=shop.brand, max_fen=600_00, excess="house")
    row = sell(shop, "li", 1_000_00, "2026-10-05")
    close(shop)
    recompute(shop, row, ppm=700_000, now="2026-11-06")
    close(shop, 1)
    assert statement(shop, "li", 1).kinds == {"delta": -300_00, "cap_release": 300_00}
    recompute(shop, row, ppm=900_000, now="2026-12-06")
    close(shop, 2)
    assert statement(shop, "li", 2).kinds == {"delta": 200_00, "cap_hold": -200_00}
    recompute(shop, row, ppm=500_000, now="2027-01-06")
    close(shop, 3)
    assert statement(shop, "li", 3).kinds == {"delta": -400_00, "cap_release": 300_00}
    added_up(shop)


def test_what_is_held_is_released_whatever_the_terms_are_by_then(shop):
    terms = PayTerms.objects.create(brand=shop.brand, max_fen=600_00, excess="house")
    row = sell(shop, "li", 1_000_00, "2026-10-05")
    close(shop)
    terms.excess = "carry"
    terms.save()
    shop.refund(row, fen=300_00, now=at("2026-11-05"))
    close(shop, 1)
    assert statement(shop, "li", 1).kinds == {"reverse": -300_00, "cap_release": 300_00}


def test_what_is_released_is_not_advanced_as_well(shop):
    PayTerms.objects.create(brand=shop.brand, max_fen=600_00, excess="house")
    guarantee(shop, staff=shop.staff["li"], min_fen=500_00)
    row = sell(shop, "li", 1_000_00, "2026-10-05")
    close(shop)
    shop.refund(row, fen=300_00, now=at("2026-11-05"))
    sell(shop, "li", 500_00, "2026-11-05")
    close(shop, 1)
    assert statement(shop, "li", 1).kinds == {"earn": 500_00, "reverse": -300_00, "cap_release": 300_00}


@pytest.fixture
def moved(shop):
    """Li sold 1 000 in one store and 500.01 in that of a franchisee, within the month."""
    theirs = shop.another_store(franchisee=franchisee())
    first = sell(shop, "li", 1_000_00, "2026-10-05")
    Post.objects.filter(staff=shop.staff["li"]).update(ends_at=at("2026-10-10"))
    Post.objects.create(staff=shop.staff["li"], role="clerk", store=theirs, starts_at=at("2026-10-10"))
    return first, sell(shop, "li", 500_01, "2026-10-12", store_code=theirs.code)


def paid(shop, place=0):
    return list(Statement.objects.filter(period=month(shop, place)).order_by("pk").values_list("pay_fen", flat=True))


@pytest.mark.parametrize(("excess", "least"), [("house", 0), ("carry", 300_00)])
def test_the_most_is_of_a_person_however_many_companies_pay(shop, moved, excess, least):
    PayTerms.objects.create(brand=shop.brand, max_fen=600_00, min_payout_fen=least, excess=excess)
    close(shop)
    assert paid(shop) == [400_00, 200_00]  # in proportion, to the fen
    added_up(shop)


def test_what_one_company_holds_makes_up_for_what_another_takes_back(shop, moved):
    PayTerms.objects.create(brand=shop.brand, max_fen=600_00, excess="house")
    close(shop)
    shop.refund(moved[1], fen=500_01, now=at("2026-11-05"))
    close(shop, 1)
    rows = Statement.objects.filter(period=month(shop, 1)).order_by("net_fen")
    assert [row.kinds for row in rows] == [
        {"reverse": -500_01, "cap_release": 300_01}, {"cap_release": 200_00},
    ]  # fmt: skip
    assert sum(row.net_fen for row in rows) == 0
    added_up(shop)


def test_a_share_between_companies_is_no_more_than_all(shop):
    PayTerms(brand=shop.brand, between="share", between_ppm=1_000_000).full_clean()
    with pytest.raises(ValidationError, match="在百分之 0 到百分之 100 之间"):
        PayTerms(brand=shop.brand, between="share", between_ppm=2_500_000).full_clean()
