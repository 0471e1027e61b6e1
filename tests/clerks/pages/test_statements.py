"""结算单 on the phone: one's own, what it is made of, and the word that it is right."""

from datetime import datetime

import pytest
import time_machine
from django.test import Client

from commissions import closing, periods
from commissions.models import Guarantee, PayTerms, Period, Statement
from retail.models import User
from tests.clerks.pages.conftest import sell, signed_in
from tests.factories import NOW, World

NOVEMBER = datetime.fromisoformat("2026-11-03T09:00:00+08:00")


def closed(shop: World) -> Period:
    period = Period.objects.get(brand=shop.brand, starts_on="2026-10-01")
    return closing.close(period=period, by=None, now=NOVEMBER)


@pytest.fixture(autouse=True)
def november(clock: None):
    with time_machine.travel(NOVEMBER, tick=False):
        yield


def own(shop: World, code: str = "A1") -> Statement:
    return Statement.objects.get(staff=shop.staff[code])


def test_without_one_the_page_says_when_there_will_be(shop: World, phone: Client):
    assert "还没有结算单" in phone.get("/m/statements/").content.decode()


def test_a_clerk_reads_and_confirms_it(shop: World, phone: Client, django_assert_max_num_queries):
    sell(shop, count=2)
    closed(shop)

    assert "请核对" in phone.get("/m/statements/").content.decode()
    with django_assert_max_num_queries(15):
        page = phone.get(f"/m/statements/{own(shop).pk}/").content.decode()
    assert "5.40" in page and "佣金" in page
    answer = phone.post(f"/m/statements/{own(shop).pk}/confirm/")

    assert answer.status_code == 302 and own(shop).confirmed_at == NOVEMBER
    again = phone.get(f"/m/statements/{own(shop).pk}/").content.decode()
    assert "已确认" in again and "核对过了" not in again


def test_it_says_what_is_kept_for_the_next_month(shop: World, phone: Client):
    PayTerms.objects.create(brand=shop.brand, min_payout_fen=100_00)
    sell(shop)
    closed(shop)

    page = phone.get(f"/m/statements/{own(shop).pk}/").content.decode()

    assert "留到下期发" in page and "2.70" in page


def test_it_says_what_was_advanced_and_what_was_cut(shop: World, phone: Client):
    first = periods.places(brand_id=shop.brand.pk, days=[NOW.date()])[NOW.date()].booked_id
    lasting = {"first_period_id": first, "draw_until": 3, "recover_from": 4}
    Guarantee.objects.create(brand=shop.brand, staff=shop.staff["A1"], min_fen=10_00, **lasting)
    PayTerms.objects.create(brand=shop.brand, max_fen=10_00, excess="house")
    sell(shop)
    sell(shop, lines=[{"paid_fen": 1_000_00}], serving_clerk="M1")
    closed(shop)

    page = phone.get(f"/m/statements/{own(shop).pk}/").content.decode()
    assert "保底" in page and "7.30" in page and "公司垫的保底还有 ¥7.30 没收回" in page
    page = signed_in(shop.staff["M1"]).get(f"/m/statements/{own(shop, 'M1').pk}/").content.decode()
    assert "封顶暂留" in page and "-20.30" in page and "这部分归公司" in page


def test_paid_is_said_with_its_day(shop: World, phone: Client):
    sell(shop)
    batches = closing.make_batches(period=closed(shop), by=None, now=NOVEMBER)
    payer = User.objects.create(username="payer")
    for batch in batches:
        closing.mark_paid(batch=batch, reference="", by=payer, now=NOVEMBER)

    assert "已发" in phone.get("/m/statements/").content.decode()
    assert "2.70" in phone.get("/m/").content.decode()


def test_others_have_none_of_it(shop: World):
    sell(shop)
    closed(shop)
    shop.hire("A2")
    other, manager = signed_in(shop.staff["A2"]), signed_in(shop.staff["M1"])

    for client in (other, manager):
        assert client.get(f"/m/statements/{own(shop).pk}/").status_code == 404
        assert client.post(f"/m/statements/{own(shop).pk}/confirm/").status_code == 404
    assert own(shop).confirmed_at is None
