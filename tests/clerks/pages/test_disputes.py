"""有疑问 on the phone: asked on the line, answered by somebody without a part in it, and kept there for good."""

from datetime import datetime

import pytest
import time_machine
from django.test import Client
from django.utils import translation

from clerks.models import Notice
from clerks.outreach import disputes as doubts
from commissions import closing
from commissions.models import Dispute, Entry, Period, Statement
from retail import approvals
from retail.models import Order, Post
from tests import factories
from tests.clerks.pages.conftest import sell, signed_in
from tests.factories import NOW, World

WHY = "这单是我开的，少算了"
NOVEMBER = datetime.fromisoformat("2026-11-03T09:00:00+08:00")


@pytest.fixture
def order(shop: World) -> Order:
    shop.hire("OPS", role=Post.Role.HQ_OPS)
    shop.hire("R1", role=Post.Role.REGION_MANAGER, region=shop.region)
    return Order.objects.get(pk=sell(shop)[0])


def ask(phone: Client, order: Order, reason: str = WHY):
    return phone.post(f"/m/earnings/{order.pk}/{order.lines.get().pk}/dispute/", {"reason": reason})


def test_asked_seen_and_answered_on_the_line(shop: World, phone: Client, order: Order, django_assert_max_num_queries):
    assert "有疑问" in phone.get(f"/m/earnings/{order.pk}/").content.decode()
    assert ask(phone, order).status_code == 302

    with django_assert_max_num_queries(20):
        page = phone.get(f"/m/earnings/{order.pk}/").content.decode()
    assert WHY in page and "等答复" in page and "10月17日" in page and "答复前这笔先不发" in page
    assert "提交疑问" not in page

    case = Dispute.objects.get()
    doubts.explain_it(dispute=case, text="这件在活动里，按活动价算", by=factories.user(), now=NOW)
    page = phone.get(f"/m/earnings/{order.pk}/").content.decode()
    assert "按活动价算" in page and "已说明" in page and "有疑问" in page
    told = Notice.objects.get(staff=shop.staff["A1"])
    assert "按活动价算" in told.text
    opened = phone.get(f"/m/n/{told.pk}/open/")
    assert (opened.status_code, opened["Location"]) == (302, f"/m/earnings/{order.pk}/")


def test_who_has_a_part_in_the_sale_is_not_asked_to_answer(shop: World, phone: Client, order: Order):
    ask(phone, order)  # the store's manager gets a tenth of it
    notice = Notice.objects.get()
    assert (notice.staff, notice.is_todo) == (shop.staff["R1"], True)

    doubts.explain_it(dispute=Dispute.objects.get(), text="按规则是对的", by=factories.user(), now=NOW)
    notice.refresh_from_db()
    assert notice.done_at == NOW


def test_the_notice_is_in_the_language_of_the_house(phone: Client, order: Order):
    with translation.override("en"):  # of the browser it was asked in
        phone.post(
            f"/m/earnings/{order.pk}/{order.lines.get().pk}/dispute/",
            {"reason": WHY},
            headers={"accept-language": "en"},
        )
        doubts.explain_it(dispute=Dispute.objects.get(), text="按活动价算", by=factories.user(), now=NOW)
    told = [notice.title for notice in Notice.objects.order_by("pk")]
    assert "对佣金有疑问" in told[0] and told[1] == "您的疑问有说明了"


@pytest.mark.parametrize("reason", ["", "少了", "长" * 301])
def test_what_is_not_taken_is_said_and_stays_in_the_field(phone: Client, order: Order, reason: str):
    answer = ask(phone, order, reason)
    page = answer.content.decode()
    assert answer.status_code == 409 and "请写清楚" in page and f">{reason}</textarea>" in page
    assert not Dispute.objects.exists()


def test_numbers_of_customers_are_struck_out(phone: Client, order: Order):
    ask(phone, order, "顾客13812345678说是我卖的")
    assert "13812345678" not in Dispute.objects.get().reason


def test_an_adjustment_by_two_persons_is_told_to_both(shop: World, phone: Client, order: Order):
    ask(phone, order)
    manager, decider = factories.user(), factories.user(is_superuser=True)
    shop.staff["R1"].user = manager
    shop.staff["R1"].save()
    approval = doubts.propose(dispute=Dispute.objects.get(), fen=1_50, text="确实少算了", by=manager, now=NOW)
    page = phone.get(f"/m/earnings/{order.pk}/").content.decode()
    assert "提出调整" in page and "等另一位同事同意" in page and "撤回疑问" not in page
    assert not Entry.objects.filter(kind="adjust").exists()

    approvals.decide(approval=approval, by=decider, is_approved=True, now=NOW)

    assert Entry.objects.of_staff().get(kind="adjust").fen == 1_50
    page = phone.get(f"/m/earnings/{order.pk}/").content.decode()
    assert "已调整" in page and "+1.50" in page
    assert {row.staff for row in Notice.objects.filter(is_todo=False)} == {shop.staff["A1"], shop.staff["R1"]}


def test_it_can_be_withdrawn_by_its_person_only(shop: World, phone: Client, order: Order):
    ask(phone, order)
    case = Dispute.objects.get()
    assert "撤回疑问" in phone.get(f"/m/earnings/{order.pk}/").content.decode()
    assert signed_in(shop.staff["M1"]).post(f"/m/disputes/{case.pk}/withdraw/").status_code == 404
    phone.post(f"/m/disputes/{case.pk}/withdraw/")
    case.refresh_from_db()
    assert case.outcome == "withdrawn"


def test_a_sale_of_somebody_else_cannot_be_disputed(shop: World, order: Order):
    shop.hire("A2")
    assert ask(signed_in(shop.staff["A2"]), order).status_code == 404
    assert not Dispute.objects.exists()


# ── Statements ───────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def statement(shop: World, order: Order) -> Statement:
    period = Period.objects.get(brand=shop.brand, starts_on="2026-10-01")
    closing.close(period=period, by=None, now=NOVEMBER)
    return Statement.objects.get(staff=shop.staff["A1"])


def test_a_statement_is_confirmed_or_disputed(phone: Client, statement: Statement, django_assert_max_num_queries):
    address = f"/m/statements/{statement.pk}"
    with time_machine.travel(NOVEMBER, tick=False):
        assert phone.post(f"{address}/dispute/", {"reason": "短"}).status_code == 409
        phone.post(f"{address}/dispute/", {"reason": WHY})
        phone.post(f"{address}/confirm/")  # an old page may still have the button
        with django_assert_max_num_queries(20):
            page = phone.get(f"{address}/").content.decode()
    assert WHY in page and "其中 ¥2.70 先不发" in page and "核对过了" not in page
    statement.refresh_from_db()
    assert statement.confirmed_at is None


def test_late_changes_are_shown_with_the_month_they_are_of(shop: World, phone: Client, order: Order, statement):
    batches = closing.make_batches(period=statement.period, by=None, now=NOVEMBER)
    for batch in batches:
        closing.mark_paid(batch=batch, reference="", by=factories.user(), now=NOVEMBER)
    row = shop.order(outer_order_id=order.outer_order_id, serving_clerk="A1")
    shop.refund(row, fen=100_00, now=NOVEMBER)
    with time_machine.travel(NOVEMBER, tick=False):
        assert "还欠 ¥2.70" in phone.get("/m/statements/").content.decode()
    late = Period.objects.get(brand=shop.brand, starts_on="2026-11-01")
    december = datetime.fromisoformat("2026-12-03T09:00:00+08:00")
    closing.close(period=late, by=None, now=december)
    with time_machine.travel(december, tick=False):
        phone = signed_in(shop.staff["A1"])  # the session of October has ended
        page = phone.get(f"/m/statements/{Statement.objects.get(staff=shop.staff['A1'], period=late).pk}/")
    said = page.content.decode()
    assert "上月更正" in said and "2026年10月" in said and order.outer_order_id in said and "-2.70" in said
