"""结算单 on the phone: one's own, what it is made of, and the word that it is right."""

from datetime import datetime

import pytest
import time_machine
from django.test import Client

from commissions import closing, earnings, periods, plans
from commissions.models import Guarantee, PayTerms, Period, PlanVersion, Rule, Statement
from retail import intake
from retail.models import Order, User
from tests.clerks.pages.conftest import RULES, sell, signed_in
from tests.factories import LONG_AGO, NOW, World

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


def test_each_sale_behind_it_is_a_link(shop: World, phone: Client, django_assert_max_num_queries):
    sales = sell(shop, count=23)
    sell(shop, serving_clerk="M1")
    closed(shop)
    page = f"/m/statements/{own(shop).pk}/"

    with django_assert_max_num_queries(15):
        first = phone.get(page).content.decode()
    rest = phone.get(f"{page}?from=20", headers={"HX-Request": "true"}).content.decode()

    linked = [f"/m/earnings/{order_id}/" for order_id in sales]
    assert (sum(one in first for one in linked), sum(one in rest for one in linked)) == (20, 3)
    assert all(one in first + rest for one in linked) and "from=20" in first and "from=" not in rest
    assert phone.get(f"{page}?from=x").status_code == 404


def test_what_is_doubted_once_it_is_on_its_way_is_not_said_to_wait(shop: World, phone: Client):
    (order_id,) = sell(shop)
    (batch,) = closing.make_batches(period=closed(shop), by=None, now=NOVEMBER)
    line = Order.objects.get(pk=order_id).lines.get()
    assert "已在发放途中或已经发了" in phone.get(f"/m/earnings/{order_id}/").content.decode()

    phone.post(f"/m/earnings/{order_id}/{line.pk}/dispute/", {"reason": "这单少算了"})
    for page in (f"/m/earnings/{order_id}/", f"/m/statements/{own(shop).pk}/"):
        said = phone.get(page).content.decode()
        assert "已在发放途中" in said and "先不发" not in said

    closing.mark_paid(batch=batch, reference="", by=User.objects.create(username="payer"), now=NOVEMBER)
    said = phone.get(f"/m/earnings/{order_id}/").content.decode()
    assert "11月3日已发" in said and "答复后有差额再补或扣" in said


def test_what_is_taken_back_by_a_correction_is_not_shown_as_gain(shop: World, phone: Client):
    (order_id,) = sell(shop)
    day = earnings.sale(staff_id=shop.staff["A1"].pk, order_id=order_id, today=NOW.date()).earned_on
    rule = {**RULES[0], "calc": {"type": "rate", "ppm": 20000}}
    draft = plans.copy(version=PlanVersion.objects.get(), by=None, now=NOVEMBER)
    Rule.objects.filter(version=draft).update(calc=rule["calc"])
    plans.approve(version=draft, by=None, now=NOVEMBER)
    plans.activate(version=draft, starts_at=LONG_AGO, by=None, now=NOVEMBER, reason="填错")
    intake.recompute(order_ids=[order_id], now=NOVEMBER)

    page = phone.get(f"/m/earnings/{order_id}/").content.decode()
    assert page.count("story_reverse") == 1 and "更正" in page and "-0.90" in page
    assert earnings.sale(staff_id=shop.staff["A1"].pk, order_id=order_id, today=NOW.date()).earned_on == day
