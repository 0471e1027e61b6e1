"""本月业绩 on the phone: how much was sold, which tier that is, and what the next one would bring."""

from datetime import datetime

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from commissions import attaining, closing
from commissions.models import Attained, Period
from tests.clerks.pages.conftest import RULES, sell, signed_in
from tests.factories import NOW, World, world

STEPS = [{"from_fen": 0, "ppm": 10_000}, {"from_fen": 1_000_00, "ppm": 20_000, "fixed_fen": 5_00}]


@pytest.fixture
def shop(everything: None) -> World:
    shop = world()
    shop.hire("A1")
    shop.hire("M1", role="store_manager")
    ladders = [
        {"code": "own", "name": "个人月度阶梯", "mode": "whole", "steps": STEPS},
        {"code": "store", "name": "门店月度阶梯", "level": "store", "steps": STEPS},
    ]
    shop.plan(*RULES, attainments=ladders)
    return shop


def count(shop: World) -> Period:
    period = Period.objects.get(brand=shop.brand, starts_on="2026-10-01")
    attaining.count(period=period, now=NOW, is_booking=True)
    return period


def test_the_page_says_how_much_is_missing_and_what_it_brings(shop: World, phone: Client):
    sell(shop, count=6, lines=[{"paid_fen": 99_90}])  # 599.40
    count(shop)

    page = phone.get("/m/earnings/").content.decode()

    assert "599.40" in page and "在第 1 档（共 2 档），1%" in page and "5.99" in page
    assert "再卖 <b>401</b> 元到下一档，多拿 <b>19.02</b> 元" in page  # 1,000.40 × 2 % + 5.00 − 5.99
    assert "个人月度阶梯" in page and "本店业绩" not in page


def test_who_manages_the_store_sees_that_of_the_store(shop: World):
    sell(shop, count=3)
    count(shop)
    page = signed_in(shop.staff["M1"]).get("/m/earnings/").content.decode()
    assert "本店业绩" in page and "300" in page and "再卖 <b>701</b> 元" in page


def test_a_step_that_brings_nothing_itself_says_what_comes_after(everything: None):
    shop = world()
    shop.hire("A1")
    steps = [{"from_fen": 1_000_00, "ppm": 20_000}]
    shop.plan(*RULES, attainments=[{"code": "own", "steps": steps}])
    sell(shop)
    count(shop)
    page = signed_in(shop.staff["A1"]).get("/m/earnings/").content.decode()
    assert "再卖 <b>901</b> 元到下一档，之后每笔按 <b>2%</b> 算" in page and "还没到第 1 档" in page


def test_on_the_last_tier_nothing_is_missing(shop: World, phone: Client):
    sell(shop, count=10)
    count(shop)
    page = phone.get("/m/earnings/").content.decode()
    assert "在第 2 档（共 2 档），2%" in page and "再卖" not in page and "¥25<" in page


def test_every_step_and_booking_is_told(
    shop: World, phone: Client, django_assert_max_num_queries: DjangoAssertNumQueries
):
    sell(shop, count=10)
    period = count(shop)
    sell(shop)
    count(shop)
    row = Attained.objects.get(code="own")

    with django_assert_max_num_queries(8):
        page = phone.get(f"/m/attained/{row.pk}/").content.decode()
    assert "¥1,100.00 × 2% + 达档奖 ¥5.00" in page and ">¥27.00<" in page
    assert ">25.00<" in page and ">2.00<" in page
    assert "到了哪一档，全部业绩都按那一档算" in page and "月底前还会变" in page

    closing.close(period=period, by=None, now=datetime.fromisoformat("2026-11-03T09:00:00+08:00"))
    assert "这个月已经结算" in phone.get(f"/m/attained/{row.pk}/").content.decode()
    assert "再卖" not in phone.get("/m/earnings/?month=2026-10").content.decode()


def test_others_have_none_of_it(shop: World):
    sell(shop)
    count(shop)
    shop.hire("A2")
    own, store = Attained.objects.get(code="own"), Attained.objects.get(code="store")
    colleague, manager = signed_in(shop.staff["A2"]), signed_in(shop.staff["M1"])
    for client, row, status in (
        (colleague, own, 404), (colleague, store, 404), (manager, own, 404), (manager, store, 200),
    ):  # fmt: skip
        assert client.get(f"/m/attained/{row.pk}/").status_code == status
