"""A month is closed and paid in the admin by finance, two of them; everybody else may look at most."""

from datetime import datetime

import pytest
import time_machine

from commissions import disputes
from commissions.models import Entry, PayoutBatch, PayTerms, Period, Statement
from retail import scope
from tests.factories import NOW

NOVEMBER = datetime.fromisoformat("2026-11-03T09:00:00+08:00")
RULE = {"id": "tenth", "calc": {"type": "rate", "ppm": 100_000}, "split": [{"role": "serve", "weight": 1}]}


@pytest.fixture(autouse=True)
def november():
    with time_machine.travel(NOVEMBER, tick=False):
        yield


@pytest.fixture
def sold(shop):
    """One sale of 100 yuan; the period it is earned in."""
    with scope.within(scope.EVERYTHING):
        shop.plan(RULE)
        (code,) = shop.staff
        shop.settle(shop.order(serving_clerk=code))
        return Period.objects.get(brand=shop.brand, starts_on="2026-10-01")


def press(person, page, button, **given):
    return person.post(f"/admin/commissions/{page}/{button}/", _form_submitted="True", **given)


def buttons(person, page):
    shown = person.get(f"/admin/commissions/{page}/change/").content.decode()
    return [button for button in ("close", "make_batches") if f"{page}/{button}/" in shown]


def test_finance_closes_and_two_of_them_pay(shop, sold, sign_in):
    first, second = sign_in(shop, "hq_finance"), sign_in(shop, "hq_finance")
    page = f"period/{sold.pk}"
    assert "都齐了" in first.get(f"/admin/commissions/{page}/change/").content.decode()

    assert buttons(first, page) == ["close"]
    press(first, page, "close")
    assert buttons(first, page) == ["make_batches"]
    press(first, page, "make_batches")
    assert buttons(first, page) == []

    with scope.within(scope.EVERYTHING):
        batch = PayoutBatch.objects.get()
        press(first, f"payoutbatch/{batch.pk}", "mark_paid", reference="一个人")
        batch.refresh_from_db()
        assert batch.state == "ready"
        press(second, f"payoutbatch/{batch.pk}", "mark_paid", reference="凭证 7")
        batch.refresh_from_db()
        assert (batch.state, batch.made_by, batch.paid_by) == ("paid", first.user, second.user)
        assert batch.reference == "凭证 7"
        assert Entry.objects.filter(kind="payout", staff__isnull=False).get().fen == -10_00
    assert "已发放" in first.get("/admin/commissions/statement/").content.decode()


def test_what_stands_in_the_way_is_said(shop, sold, sign_in):
    finance = sign_in(shop, "hq_finance")
    with scope.within(scope.EVERYTHING):
        shop.take(shop.order(paid_at=NOW))

    assert "还有 1 笔订单没有结算佣金" in finance.get(f"/admin/commissions/period/{sold.pk}/change/").content.decode()
    press(finance, f"period/{sold.pk}", "close")

    said = finance.get(f"/admin/commissions/period/{sold.pk}/change/").content.decode()
    assert said.count("还有 1 笔订单") == 2  # on the page, and as the answer to the button
    with scope.within(scope.EVERYTHING):
        assert Period.objects.get(pk=sold.pk).status == "open"


def test_a_period_tells_of_the_doubts_about_it(shop, sold, sign_in):
    finance = sign_in(shop, "hq_finance")
    with scope.within(scope.EVERYTHING):
        entry = Entry.objects.of_staff().get()
        given = {"order_id": entry.order_id, "line_id": entry.line_id, "reason": "这单少算了"}
        disputes.open_line(staff=entry.staff, by=None, now=NOW, **given)
        other = Period.objects.exclude(pk=sold.pk).filter(brand=shop.brand).first()

    def said(period):
        return "这些钱先不发" in finance.get(f"/admin/commissions/period/{period.pk}/change/").content.decode()

    assert (said(sold), said(other)) == (True, False)


@pytest.mark.parametrize("role", ["hq_ops", "auditor"])
def test_others_at_headquarters_look(shop, sold, sign_in, role):
    person = sign_in(shop, role)

    assert person.get(f"/admin/commissions/period/{sold.pk}/change/").status_code == 200
    assert press(person, f"period/{sold.pk}", "close").status_code == 403
    with scope.within(scope.EVERYTHING):
        assert Period.objects.get(pk=sold.pk).status == "open"


def test_a_store_manager_sees_the_statements_of_the_store(shop, sold, sign_in):
    finance, manager = sign_in(shop, "hq_finance"), sign_in(shop, "store_manager")
    with scope.within(scope.EVERYTHING):
        other = shop.another_store()
    elsewhere = sign_in(shop, "store_manager", store=other)
    press(finance, f"period/{sold.pk}", "close")
    with scope.within(scope.EVERYTHING):
        statement = Statement.objects.get()

    assert "10.00" in manager.get("/admin/commissions/statement/").content.decode()
    assert manager.get(f"/admin/commissions/statement/{statement.pk}/change/").status_code == 200
    # The admin says "not there" by leading back to the front page.
    assert elsewhere.get(f"/admin/commissions/statement/{statement.pk}/change/").status_code in (302, 404)
    assert manager.get("/admin/commissions/period/").status_code == 403


def test_a_period_says_its_last_day_and_breaks_its_seal(shop, sold, sign_in):
    finance = sign_in(shop, "hq_finance")
    press(finance, f"period/{sold.pk}", "close")

    page = finance.get(f"/admin/commissions/period/{sold.pk}/change/").content.decode()

    with scope.within(scope.EVERYTHING):
        assert f"<code>{Period.objects.get(pk=sold.pk).digest}</code>" in page
    assert "不含" not in page and "2026-11-01" not in page and ("2026-10-31" in page or "10月31日" in page)


@pytest.mark.parametrize(
    ("between", "ppm", "is_taken"), [("nothing", "", True), ("share", "", False), ("share", "8", True)]
)
def test_a_share_is_asked_for_where_there_is_one(shop, sign_in, between, ppm, is_taken):
    finance = sign_in(shop, "hq_finance")
    terms = {"excess": "carry", "min_payout_fen": "0", "leaver_debt": "house", "dispute_days": 15, "answer_days": 5}

    answer = finance.post(
        "/admin/commissions/payterms/add/", brand=shop.brand.pk, between=between, between_ppm=ppm, **terms
    )

    assert answer.status_code == (302 if is_taken else 200)
    if is_taken:
        with scope.within(scope.EVERYTHING):
            assert PayTerms.objects.get().between_ppm == (80_000 if ppm else 0)
    else:
        assert "要写明比例" in answer.content.decode()
