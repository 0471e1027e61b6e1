"""What a clerk sees of their money: figures, days, sales, and each sale explained."""

from datetime import date, timedelta

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from commissions import earnings
from commissions.models import Entry
from members.models import Member
from retail.models import Employment, Order, Post
from retail.shapes import Buyer
from tests.clerks.pages.conftest import sell, signed_in
from tests.factories import NOW, World, world

TODAY = NOW.date()
BUYER = (Buyer("phone", "13800005678"),)


# ── Home ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_home_shows_what_today_brings(shop: World, phone: Client):
    sell(shop, count=2)

    page = phone.get("/m/").content.decode()

    assert "5.40" in page  # 2 × 100 yuan × 3 % × 90 %
    assert page.count("+2.70") == 2
    assert "待确认" in page and "预计 10月19日" in page


def test_the_three_figures_tell_today_the_month_and_what_was_paid_apart(shop: World, phone: Client):
    clerk = shop.staff["A1"]
    sell(shop)
    sell(shop, paid_at=NOW - timedelta(days=7))  # earned today
    sell(shop, paid_at=NOW - timedelta(days=30))  # earned last month

    assert earnings.summary(staff_id=clerk.pk, today=TODAY) == (270, 270, 0)


def test_a_refund_of_today_lowers_the_figure_of_today(shop: World, phone: Client):
    order = shop.order(serving_clerk="A1")
    shop.settle(order)
    shop.refund(order, fen=10000)

    page = phone.get("/m/").content.decode()

    assert earnings.summary(staff_id=shop.staff["A1"].pk, today=TODAY).today_fen == 0
    assert "已退" in page


def test_a_new_clerk_is_told_that_sales_will_come(phone: Client):
    page = phone.get("/m/").content.decode()

    assert "还没有成交" in page and "还没有发过" in page


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize(
    ("path", "queries"),
    [("/m/", 13), ("/m/earnings/", 7), ("/m/earnings/2026-10-12/", 6), ("/m/me/", 3)],
)
def test_a_page_asks_as_often_for_three_sales_as_for_one(
    shop: World,
    phone: Client,
    count: int,
    path: str,
    queries: int,
    django_assert_num_queries: DjangoAssertNumQueries,
):
    sell(shop, count=count)

    with django_assert_num_queries(queries):
        assert phone.get(path).status_code == 200


def test_the_buyer_is_named_but_never_by_phone_number(shop: World, phone: Client):
    sell(shop, buyer=BUYER)
    member = Member.objects.get()

    for name, shown in [("", "顾客"), ("王女士", "王女士"), ("13800005678", "138****5678")]:
        Member.objects.filter(pk=member.pk).update(name=name)
        page = phone.get("/m/").content.decode()
        assert shown in page
        assert "13800005678" not in page


# ── By day ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_month_lists_its_shanghai_days(shop: World, phone: Client):
    sell(shop, count=2)
    sell(shop, paid_at=NOW.replace(hour=0, minute=0))
    sell(shop, paid_at=NOW.replace(hour=0, minute=0) - timedelta(seconds=1))

    month = earnings.month(staff_id=shop.staff["A1"].pk, first=date(2026, 10, 1), today=TODAY)

    assert month.days == [(date(2026, 10, 12), 3, 810, 810), (date(2026, 10, 11), 1, 270, 270)]
    assert (month.sales, month.fen, month.pending_fen) == (4, 1080, 1080)


def test_months_lead_from_the_first_sale_to_the_present(shop: World, phone: Client):
    sell(shop, paid_at=NOW - timedelta(days=40))

    october = phone.get("/m/earnings/").content.decode()
    september = phone.get("/m/earnings/?month=2026-09").content.decode()

    assert "?month=2026-09" in october and "?month=2026-11" not in october
    assert "?month=2026-08" not in september and "?month=2026-10" in september


@pytest.mark.parametrize("month", ["2099-01", "nonsense", "2026-13", "0001-01"])
def test_a_month_that_cannot_be_is_the_present_one(phone: Client, month: str):
    assert "2026年10月" in phone.get("/m/earnings/", {"month": month}).content.decode()


def test_a_day_goes_on_below_its_last_sale(shop: World):
    clerk = shop.staff["A1"]
    sold = sell(shop, count=5)
    seen: list[int] = []
    mark = None

    for _ in range(3):
        page = earnings.sales(staff_id=clerk.pk, today=TODAY, day=TODAY, limit=2, below=mark)
        seen += [sale.order.pk for sale in page.sales]
        mark = page.mark and earnings.Mark.parse(str(page.mark))

    assert seen == sorted(sold, reverse=True)
    assert mark is None


def test_htmx_gets_the_sales_alone(shop: World, phone: Client):
    sell(shop)

    part = phone.get("/m/earnings/2026-10-12/", headers={"HX-Request": "true"}).content.decode()
    page = phone.get("/m/earnings/2026-10-12/").content.decode()

    assert "+2.70" in part and "<html" not in part
    assert "+2.70" in page and "<html" in page


@pytest.mark.parametrize(
    "path",
    [
        "/m/earnings/2026-02-30/",
        "/m/earnings/2026-10-12/?below=x",
        "/m/earnings/2026-10-12/?below=inf-1",
        "/m/earnings/99999999999999999999/",
    ],
)
def test_what_cannot_be_is_not_found(phone: Client, path: str):
    assert phone.get(path).status_code == 404


# ── One sale ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_sale_is_told_in_a_sentence_and_three_numbers(shop: World, phone: Client):
    (order_id,) = sell(shop)

    page = phone.get(f"/m/earnings/{order_id}/").content.decode()

    assert "按「门店开单」实付的 3%" in page
    assert "¥100.00" in page and "¥3.00" in page and "¥2.70" in page
    assert "10月19日前未退货就确认" in page


def test_refunds_stand_below_what_they_take_from(shop: World, phone: Client):
    order = shop.order(serving_clerk="A1")
    (order_id,) = shop.settle(order)
    shop.refund(order, fen=5000)

    answer = phone.get(f"/m/earnings/{order_id}/")

    (line,) = answer.context["lines"]
    assert [(story.kind, story.fen) for story in line.stories] == [("earn", 270), ("reverse", -135)]
    assert "¥</small>1.35" in answer.content.decode()


def test_a_line_that_brought_nothing_is_there_and_says_so(shop: World, phone: Client):
    (order_id,) = sell(shop, lines=[{}, {"paid_fen": 0, "is_gift": True}])

    page = phone.get(f"/m/earnings/{order_id}/").content.decode()

    assert "赠品没有佣金" in page


def test_a_sale_takes_few_statements(shop: World, phone: Client, django_assert_num_queries: DjangoAssertNumQueries):
    one, three = sell(shop) + sell(shop, lines=[{}, {}, {}])
    phone.get(f"/m/earnings/{one}/")  # compiles the plan, once in the life of the process

    for order_id in (one, three):
        with django_assert_num_queries(8):
            phone.get(f"/m/earnings/{order_id}/")


# ── Whose ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_the_sale_of_another_clerk_is_not_found(shop: World, phone: Client):
    shop.hire("A2")
    (order_id,) = sell(shop, serving_clerk="A2")

    assert phone.get(f"/m/earnings/{order_id}/").status_code == 404
    assert "+2.70" not in phone.get("/m/").content.decode()


def test_a_store_manager_sees_their_own_part_only(shop: World):
    (order_id,) = sell(shop)

    page = signed_in(shop.staff["M1"]).get(f"/m/earnings/{order_id}/").content.decode()

    assert "¥0.30" in page and "¥2.70" not in page


def test_who_left_is_refused_on_the_next_request(shop: World, phone: Client):
    assert phone.get("/m/").status_code == 200
    Employment.objects.filter(staff=shop.staff["A1"]).update(ends_at=NOW)

    refused = phone.get("/m/")

    assert refused.status_code == 403
    assert "岗位已经结束" in refused.content.decode()


def test_headquarters_is_shown_the_other_way(shop: World):
    refused = signed_in(shop.hire("H1", role=Post.Role.HQ_OPS)).get("/m/")

    assert refused.status_code == 403
    assert "从后台进入" in refused.content.decode()


def test_another_brand_changes_nothing(shop: World, phone: Client):
    elsewhere = world()
    elsewhere.hire("Z1")
    elsewhere.plan({"id": "net", "calc": {"type": "fixed", "fen": 777}, "split": [{"role": "serve", "weight": 1}]})
    (order_id,) = elsewhere.settle(elsewhere.order(serving_clerk="Z1"))

    assert Entry.objects.filter(order=order_id).exists()
    assert phone.get(f"/m/earnings/{order_id}/").status_code == 404
    assert Order.objects.count() == 1
