"""What is paid: whom a batch pays, on its page and as a file that adds up to the batch."""

import csv
import html
import io
import re
from datetime import datetime

import pytest
import time_machine
from django.db import IntegrityError, transaction

from commissions import closing, disputes
from commissions.models import Entry, PayoutBatch, Period, Statement
from retail import scope

NOVEMBER = datetime.fromisoformat("2026-11-03T09:00:00+08:00")
RULE = {"id": "tenth", "calc": {"type": "rate", "ppm": 100_000}, "split": [{"role": "serve", "weight": 1}]}
DOUBT = "这单少算了"


@pytest.fixture(autouse=True)
def november():
    with time_machine.travel(NOVEMBER, tick=False), scope.within(scope.EVERYTHING):
        yield


@pytest.fixture
def october(shop):
    """A closed month: one clerk sold for 100 and for 30 yuan, another for 50."""
    shop.plan(RULE)
    (one,) = shop.staff
    shop.hire("B2")
    sales = [(one, 100_00), (one, 30_00), ("B2", 50_00)]
    shop.settle(*(shop.order(serving_clerk=code, lines=[{"paid_fen": fen}]) for code, fen in sales))
    return closing.close(period=Period.objects.get(brand=shop.brand, starts_on="2026-10-01"), by=None, now=NOVEMBER)


def doubt(fen):
    """Somebody does not believe the sale that brought so much."""
    entry = Entry.objects.of_staff().get(fen=fen)
    given = {"order_id": entry.order_id, "line_id": entry.line_id, "reason": DOUBT}
    return disputes.open_line(staff=entry.staff, by=None, now=NOVEMBER, **given)


def batch_of(period):
    (batch,) = closing.make_batches(period=period, by=None, now=NOVEMBER)
    return batch


def taken(answer):
    return list(csv.reader(io.StringIO(b"".join(answer.streaming_content).decode("utf-8-sig"))))


def test_the_page_of_a_batch_names_everybody_and_the_file_adds_up_to_it(
    shop, october, sign_in, django_assert_max_num_queries
):
    doubt(3_00)
    batch, finance = batch_of(october), sign_in(shop, "hq_finance")
    one, two = Statement.objects.order_by("-pay_fen")

    page = finance.get(f"/admin/commissions/payoutbatch/{batch.pk}/change/").content.decode()
    assert all(f"/admin/commissions/statement/{row.pk}/change/" in page for row in (one, two))
    assert str(one.staff) in page and "¥10.00" in page and "¥15.00" in page

    address = f"/admin/commissions/payout/?batch__id__exact={batch.pk}"
    with django_assert_max_num_queries(16):
        listed = finance.get(address).content.decode()
    assert str(two.staff) in listed and "¥5.00" in listed
    assert str(two.staff) not in finance.get(address.replace(str(batch.pk), "9")).content.decode()

    rows = taken(finance.post(f"/admin/commissions/payoutbatch/{batch.pk}/file/", format="csv"))
    assert [(row[0], row[-1]) for row in rows[1:]] == [
        ("B2", "5.00"), (one.staff.code, "10.00"), ("合计", "15.00"),
    ]  # fmt: skip
    assert batch.total_fen == 15_00


def test_the_payroll_says_what_is_in_a_batch_and_what_waits(shop, october, sign_in):
    doubt(3_00)
    batch_of(october)
    finance = sign_in(shop, "hq_finance")

    chosen = [row.pk for row in Statement.objects.order_by("-pay_fen")]
    rows = taken(finance.post("/admin/commissions/statement/", action="export_csv", _selected_action=chosen))
    figures = [[row[rows[0].index(name)] for name in ("应发", "已进批次", "先不发", "已发")] for row in rows[1:]]
    assert sorted(figures, key=lambda row: float(row[0])) == [
        ["5.00", "5.00", "0.00", "0.00"],
        ["13.00", "10.00", "3.00", "0.00"],
        ["18.00", "15.00", "3.00", "0.00"],
    ]


@pytest.mark.parametrize("role", ["hq_ops", "auditor", "store_manager"])
def test_the_file_is_for_finance(shop, october, sign_in, role):
    batch = batch_of(october)

    answer = sign_in(shop, role).post(f"/admin/commissions/payoutbatch/{batch.pk}/file/", format="csv")

    assert answer.status_code == 403 and PayoutBatch.objects.count() == 1


def test_a_batch_that_is_not_paid_is_taken_back_and_made_anew_without_what_is_doubted(shop, october, sign_in):
    first, second = sign_in(shop, "hq_finance"), sign_in(shop, "hq_finance")
    batch = batch_of(october)
    doubt(3_00)
    page = f"/admin/commissions/payoutbatch/{batch.pk}"
    assert "¥3.00 已在发放途中" in first.get(f"/admin/commissions/period/{october.pk}/change/").content.decode()
    assert f"{page}/discard/" in first.get(f"{page}/change/").content.decode()

    first.post(f"{page}/discard/", _form_submitted="True", reason="有人提了疑问")
    batch.refresh_from_db()
    assert (batch.state, batch.voided_by, batch.payouts.count()) == ("void", first.user, 2)
    shown = first.get(f"{page}/change/").content.decode()
    assert "已作废" in shown and f"{page}/discard/" not in shown and f"{page}/mark_paid/" not in shown
    assert first.post(f"{page}/file/", format="csv").status_code == 404
    with pytest.raises(closing.ClosingRefused, match="作废"):
        closing.mark_paid(batch=batch, reference="", by=second.user, now=NOVEMBER)

    again = batch_of(october)
    assert (again.total_fen, sorted(again.payouts.values_list("fen", flat=True))) == (15_00, [5_00, 10_00])
    closing.mark_paid(batch=again, reference="", by=second.user, now=NOVEMBER)
    with pytest.raises(closing.ClosingRefused, match="发放了"):
        closing.discard(batch=again, reason="晚了", by=first.user, now=NOVEMBER)
    assert "¥3.00 先不发" in first.get(f"/admin/commissions/period/{october.pk}/change/").content.decode()


@pytest.mark.parametrize("change", [{"state": "ready"}, {"total_fen": 1}])
def test_what_is_taken_back_stays_so(october, change):
    batch = batch_of(october)
    closing.discard(batch=batch, reason="重做", by=None, now=NOVEMBER)

    with pytest.raises(IntegrityError, match="taken back once"), transaction.atomic():
        PayoutBatch.objects.filter(pk=batch.pk).update(**change)


def test_what_is_doubted_once_it_is_in_a_batch_is_not_said_to_wait(october):
    batch_of(october)
    doubt(3_00)
    assert disputes.held(period=october) == {}
    (one,) = disputes.doubted(period=october).values()
    assert one == (0, 3_00)


def test_a_statement_leads_to_its_entries(shop, october, sign_in):
    statement, finance = Statement.objects.get(staff__code="B2"), sign_in(shop, "hq_finance")

    page = finance.get(f"/admin/commissions/statement/{statement.pk}/change/").content.decode()
    (address,) = re.findall(r'href="(/admin/commissions/entry/\?[^"]+)"', page)
    listed = finance.get(html.unescape(address)).content.decode()
    assert "¥5.00" in listed and "¥10.00" not in listed
