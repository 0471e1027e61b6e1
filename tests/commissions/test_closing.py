"""Closing a period, paying it, and what comes after: nothing is paid twice, and nothing is lost between periods."""

from datetime import date, datetime, timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import Sum

from commissions import closing, earnings
from commissions.closing import ClosingRefused
from commissions.models import Entry, PayTerms, Period, Statement
from retail import intake
from retail.models import Employment, Franchisee, User
from tests.factories import NOW, number, world

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("everything")]

RULE = {"id": "bound", "calc": {"type": "rate", "ppm": 100_000}, "split": [{"role": "serve", "weight": 1}]}
NOVEMBER, DECEMBER, JANUARY = (datetime.fromisoformat(f"{day}T09:00:00+08:00") for day in (
    "2026-11-03", "2026-12-03", "2027-01-03",
))  # fmt: skip


@pytest.fixture
def shop():
    """A store whose clerk earns a tenth of each sale they ring up; what is sold on 12 October is earned that month."""
    made = world()
    made.hire("li")
    made.hire("wang")
    made.plan(RULE)
    return made


def sell(shop, clerk, fen, *, at=NOW):
    row = shop.order(lines=[{"paid_fen": fen}], serving_clerk=clerk, paid_at=at)
    shop.settle(row, now=at)
    return row


def month(shop, first="2026-10-01"):
    return Period.objects.get(brand=shop.brand, starts_on=first)


def close(shop, first="2026-10-01", now=NOVEMBER):
    return closing.close(period=month(shop, first), by=None, now=now)


def statement(shop, clerk, first="2026-10-01"):
    return Statement.objects.get(period=month(shop, first), staff=shop.staff[clerk])


def user(name):
    return User.objects.create(username=f"{name}{number()}")


def pay(period, now):
    for batch in closing.make_batches(period=period, by=user("a"), now=now):
        closing.mark_paid(batch=batch, reference="凭证 7", by=user("b"), now=now)


# ── Closing ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_statements_are_what_was_booked(shop):
    sell(shop, "li", 100_00)
    row = sell(shop, "li", 55_50)
    shop.refund(row, fen=11_10)
    sell(shop, "wang", 80_00)

    period = close(shop)

    li, wang = statement(shop, "li"), statement(shop, "wang")
    assert li.kinds == {"earn": 10_00 + 5_55, "reverse": -1_11}
    assert (li.net_fen, li.pay_fen, li.carry_out_fen, li.entries, li.store) == (14_44, 14_44, 0, 3, shop.store)
    assert wang.pay_fen == 8_00
    booked = Entry.objects.of_staff().filter(period_booked=period).aggregate(total=Sum("fen"))["total"]
    assert li.net_fen + wang.net_fen == booked
    assert period.status == "closed" and period.digest == closing.digest(Statement.objects.filter(period=period))


def test_it_says_all_that_stands_in_the_way(shop):
    sell(shop, "li", 100_00, at=NOW - timedelta(days=40))
    late = shop.order(serving_clerk="li")
    sell(shop, "wang", 100_00)
    shop.take(late)

    with pytest.raises(ClosingRefused) as refused:
        close(shop, now=NOW)

    for said in ("才结束", "请先结 2026-09", "还有 1 笔订单"):
        assert said in str(refused.value)
    assert month(shop).status == "open" and not Statement.objects.exists()


def test_a_refund_that_is_not_settled_is_waited_for(shop):
    row = sell(shop, "li", 100_00)
    given = {"channel": row.channel, "outer_order_id": row.outer_order_id, "outer_line_id": "1", "fen": 10_00}
    from retail import shapes

    intake.take_refunds(
        channel=shop.pos, data=[shapes.Refund(outer_refund_id="r1", refunded_at=NOW, **given)], now=NOW
    )

    with pytest.raises(ClosingRefused, match="1 笔退款"):
        close(shop)


def test_a_period_is_closed_once(shop):
    sell(shop, "li", 100_00)
    close(shop)

    with pytest.raises(ClosingRefused, match="已经结了"):
        close(shop)


def test_what_comes_late_is_booked_into_the_next_period(shop):
    row = sell(shop, "li", 100_00)
    close(shop)

    shop.refund(row, fen=100_00, now=NOVEMBER)
    close(shop, "2026-11-01", now=DECEMBER)

    li = statement(shop, "li", "2026-11-01")
    assert (li.kinds, li.pay_fen, li.carry_out_fen) == ({"reverse": -10_00}, 0, -10_00)
    assert statement(shop, "li").net_fen == 10_00


def test_a_debt_is_taken_off_what_is_earned_next(shop):
    row = sell(shop, "li", 100_00)
    pay(close(shop), NOVEMBER)
    shop.refund(row, fen=100_00, now=NOVEMBER)
    close(shop, "2026-11-01", now=DECEMBER)
    sell(shop, "li", 300_00, at=DECEMBER)

    close(shop, "2026-12-01", now=JANUARY)

    li = statement(shop, "li", "2026-12-01")
    assert (li.carry_in_fen, li.net_fen, li.pay_fen) == (-10_00, 30_00, 20_00)


def test_who_earned_nothing_keeps_what_is_left_over(shop):
    PayTerms.objects.create(brand=shop.brand, min_payout_fen=50_00)
    sell(shop, "li", 100_00)
    close(shop)

    close(shop, "2026-11-01", now=DECEMBER)

    li = statement(shop, "li", "2026-11-01")
    assert (li.entries, li.carry_in_fen, li.pay_fen, li.carry_out_fen, li.store) == (0, 10_00, 0, 10_00, shop.store)


def test_no_more_than_the_most_is_paid_and_the_rest_is_kept(shop):
    PayTerms.objects.create(brand=shop.brand, max_fen=6_00)
    sell(shop, "li", 100_00)

    close(shop)

    assert (statement(shop, "li").pay_fen, statement(shop, "li").carry_out_fen) == (6_00, 4_00)


# ── Who left ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def owing(shop):
    """Li was paid for a sale that came back, and left."""
    row = sell(shop, "li", 100_01)
    pay(close(shop), NOVEMBER)
    shop.refund(row, fen=100_01, now=NOVEMBER)
    Employment.objects.filter(staff=shop.staff["li"]).update(ends_at=NOVEMBER)
    sell(shop, "wang", 100_00, at=NOVEMBER)


def test_the_company_bears_what_a_leaver_owes(shop):
    owing(shop)

    close(shop, "2026-11-01", now=DECEMBER)

    li, wang = statement(shop, "li", "2026-11-01"), statement(shop, "wang", "2026-11-01")
    assert (li.kinds, li.net_fen, li.carry_out_fen) == ({"reverse": -10_00, "adjust": 10_00}, 0, 0)
    assert wang.pay_fen == 10_00


def test_or_the_colleagues_in_the_store_do(shop):
    PayTerms.objects.create(brand=shop.brand, leaver_debt="store_pool")
    shop.hire("zhao")
    owing(shop)
    sell(shop, "zhao", 50_00, at=NOVEMBER)

    close(shop, "2026-11-01", now=DECEMBER)

    paid = {clerk: statement(shop, clerk, "2026-11-01").pay_fen for clerk in ("li", "wang", "zhao")}
    assert paid == {"li": 0, "wang": 5_00, "zhao": 0}
    house = Entry.objects.of_house().filter(kind="adjust")
    assert not house.exists()


def test_a_leaver_who_will_yet_be_owed_something_carries_the_debt(shop):
    owing(shop)
    online = shop.channel("miniprogram", return_days=30)
    shop.settle(
        shop.order(channel=online, serving_clerk="li", store_code=shop.store.code, paid_at=NOVEMBER),
        channel=online, now=NOVEMBER,
    )  # fmt: skip

    close(shop, "2026-11-01", now=DECEMBER)

    assert statement(shop, "li", "2026-11-01").carry_out_fen == -10_00


# ── Paying ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_batch_for_each_company(shop):
    company = Franchisee.objects.create(code=f"F{number()}", name="加盟公司")
    other = shop.another_store(franchisee=company)
    shop.hire("zhao", store=other)
    sell(shop, "li", 100_00)
    row = shop.order(serving_clerk="zhao", store_code=other.code)
    shop.settle(row)

    batches = closing.make_batches(period=close(shop), by=None, now=NOVEMBER)

    assert {(batch.payer, batch.total_fen, batch.people) for batch in batches} == {
        (None, 10_00, 1), (company, 10_00, 1),
    }  # fmt: skip
    with pytest.raises(ClosingRefused, match="没有要发的"):
        closing.make_batches(period=month(shop), by=None, now=NOVEMBER)


def test_paying_takes_a_second_person_and_happens_once(shop):
    sell(shop, "li", 100_00)
    maker = user("maker")
    (batch,) = closing.make_batches(period=close(shop), by=maker, now=NOVEMBER)

    with pytest.raises(ClosingRefused, match="另一个人"):
        closing.mark_paid(batch=batch, reference="", by=maker, now=NOVEMBER)
    closing.mark_paid(batch=batch, reference="凭证 7", by=user("other"), now=NOVEMBER)
    with pytest.raises(ClosingRefused, match="已经发放"):
        closing.mark_paid(batch=batch, reference="", by=user("third"), now=NOVEMBER)

    payouts = Entry.objects.filter(kind="payout")
    assert sorted(payouts.values_list("fen", flat=True)) == [-10_00, 10_00]
    li = earnings.summary(staff_id=shop.staff["li"].pk, today=NOVEMBER.date())
    assert (li.today_fen, li.paid_fen) == (0, 10_00)


def test_a_sale_goes_from_confirmed_to_settled_to_paid(shop):
    shop.settle(row := shop.order(serving_clerk="li"))
    order_id = Entry.objects.values_list("order", flat=True).first()

    def state(now):
        return earnings.sale(staff_id=shop.staff["li"].pk, order_id=order_id, today=now.date()).state

    assert (state(NOW), state(NOVEMBER)) == ("pending", "earned")
    period = close(shop)
    assert state(NOVEMBER) == "settled"
    pay(period, NOVEMBER)
    assert state(NOVEMBER) == "paid"
    assert row.outer_order_id


def test_what_was_paid_is_not_in_the_next_statement(shop):
    sell(shop, "li", 100_00)
    pay(close(shop), NOVEMBER)
    sell(shop, "li", 200_00, at=NOVEMBER)

    close(shop, "2026-11-01", now=DECEMBER)

    assert statement(shop, "li", "2026-11-01").pay_fen == 20_00


def refused(statement):
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # what waits for the end would keep a table from TRUNCATE
        with pytest.raises(IntegrityError), transaction.atomic():
            cursor.execute(statement)


@pytest.mark.parametrize("change", ["pay_fen = 0, carry_out_fen = 1000", "staff_id = staff_id + 1", "kinds = '{}'"])
def test_the_figures_of_a_statement_never_change(shop, change):
    sell(shop, "li", 100_00)
    close(shop)

    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"UPDATE commissions_statement SET {change}")
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM commissions_statement")
    refused("TRUNCATE commissions_statement CASCADE")

    closing.confirm(statement=statement(shop, "li"), now=NOVEMBER)
    assert statement(shop, "li").confirmed_at == NOVEMBER


def test_a_batch_is_there_for_good_with_its_figures(shop):
    sell(shop, "li", 100_00)
    (batch,) = closing.make_batches(period=close(shop), by=user("a"), now=NOVEMBER)

    for change in (
        "total_fen = 1", "people = 2", "made_by_id = NULL", "reference = '另一笔'",
        "state = 'paid', paid_at = now(), total_fen = 1",
    ):  # fmt: skip
        refused(f"UPDATE commissions_payoutbatch SET {change}")
    refused("DELETE FROM commissions_payoutbatch WHERE id = 0")
    refused("TRUNCATE commissions_payoutbatch CASCADE")

    closing.mark_paid(batch=batch, reference="凭证 7", by=user("b"), now=NOVEMBER)
    for change in ("reference = '另一笔'", "state = 'ready', paid_at = NULL", "paid_at = now()", "paid_by_id = NULL"):
        refused(f"UPDATE commissions_payoutbatch SET {change}")
    batch.refresh_from_db()
    assert (batch.state, batch.total_fen, batch.people, batch.reference) == ("paid", 10_00, 1, "凭证 7")


def test_the_last_day_of_a_period_is_not_over_before_midnight(shop):
    sell(shop, "li", 100_00)

    with pytest.raises(ClosingRefused, match="才结束"):
        close(shop, now=datetime.fromisoformat("2026-10-31T23:59:59+08:00"))

    close(shop, now=datetime.fromisoformat("2026-11-01T00:00:00+08:00"))
    assert month(shop).ends_on == date(2026, 11, 1)
