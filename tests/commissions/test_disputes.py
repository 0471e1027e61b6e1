"""A doubt keeps back exactly its money, whenever it comes and is answered; nothing is paid twice or lost."""

import random
from contextlib import suppress
from datetime import datetime, timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import Sum

from commissions import closing, disputes, statements
from commissions.closing import ClosingRefused
from commissions.disputes import Refused
from commissions.models import Dispute, Entry, Payout, PayoutBatch, PayTerms, Period, Statement
from retail.models import Order
from tests.factories import NOW, user, world

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("everything")]

RULE = {"id": "tenth", "calc": {"type": "rate", "ppm": 100_000}, "split": [{"role": "serve", "weight": 1}]}
NOVEMBER = datetime.fromisoformat("2026-11-03T09:00:00+08:00")
WHY = "这单是我开的，少算了"


@pytest.fixture
def shop():
    made = world()
    made.hire("li")
    made.hire("boss", role="store_manager")
    made.plan(RULE)
    return made


def sell(shop, fen=100_00, *, clerk="li", at=NOW):
    (pk,) = shop.settle(shop.order(lines=[{"paid_fen": fen}], serving_clerk=clerk, paid_at=at), now=at)
    return Order.objects.get(pk=pk)


def doubt(shop, order, *, now=NOVEMBER, clerk="li"):
    given = {"order_id": order.pk, "line_id": order.lines.get().pk, "reason": WHY, "by": None, "now": now}
    return disputes.open_line(staff=shop.staff[clerk], **given)


def explain(case, now=NOVEMBER):
    return disputes.explain(dispute=case, text="按规则是对的", by=user(), now=now)


def adjust(case, fen, now=NOVEMBER):
    proposal = disputes.propose(dispute=case, fen=fen, text="确实少算了", by=user(), now=now)
    return disputes.adjust(proposal=proposal, by=user(), now=now)


def month(shop, first="2026-10-01"):
    return Period.objects.get(brand=shop.brand, starts_on=first)


def close(shop, first="2026-10-01", now=NOVEMBER):
    return closing.close(period=month(shop, first), by=None, now=now)


def pay(period, now=NOVEMBER):
    for batch in closing.make_batches(period=period, by=user(), now=now):
        closing.mark_paid(batch=batch, reference="", by=user(), now=now)


def states(shop):
    rows = Entry.objects.of_staff().with_state(NOVEMBER.date()).exclude(kind="payout").order_by("pk")
    return [row.state for row in rows.filter(brand=shop.brand)]


# ── Keeping money back ───────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("is_before", [True, False])
def test_only_the_disputed_line_waits_and_is_paid_once_answered(shop, is_before):
    first, _second = sell(shop, 100_00), sell(shop, 250_00)
    case = doubt(shop, first) if is_before else None
    period = close(shop)
    case = case or doubt(shop, first)

    pay(period)
    paid = Statement.objects.get(period=period)
    assert (paid.pay_fen, paid.paid_fen) == (35_00, 25_00)
    assert states(shop) == ["frozen", "paid"]
    with pytest.raises(ClosingRefused, match="都有疑问"):
        closing.make_batches(period=period, by=user(), now=NOVEMBER)

    explain(case)
    assert states(shop) == ["settled", "paid"]
    pay(period)

    paid.refresh_from_db()
    assert (paid.paid_fen, states(shop)) == (35_00, ["paid", "paid"])
    assert sorted(Payout.objects.filter(statement=paid).values_list("fen", flat=True)) == [10_00, 25_00]
    booked = Entry.objects.filter(kind="payout", staff=shop.staff["li"]).aggregate(sum=Sum("fen"))["sum"]
    assert booked == -35_00


def test_a_disputed_statement_waits_as_a_whole_and_is_not_confirmed_first(shop):
    sell(shop)
    period = close(shop)
    statement = Statement.objects.get(period=period)
    case = disputes.open_statement(statement=statement, reason=WHY, by=None, now=NOVEMBER)

    with pytest.raises(ClosingRefused, match="都有疑问"):
        closing.make_batches(period=period, by=user(), now=NOVEMBER)
    disputes.withdraw(dispute=case, by=None, now=NOVEMBER)
    pay(period)

    assert Statement.objects.get().paid_fen == 10_00


def test_what_is_carried_over_is_kept_back_where_it_arrives(shop):
    PayTerms.objects.create(brand=shop.brand, min_payout_fen=15_00)
    case = doubt(shop, sell(shop, 100_00))
    close(shop)
    sell(shop, 200_00, at=NOVEMBER)
    december = datetime.fromisoformat("2026-12-03T09:00:00+08:00")
    second = close(shop, "2026-11-01", december)

    assert (statement := Statement.objects.get(period=second)).pay_fen == 30_00
    assert disputes.held(period=second) == {statement.pk: 10_00}
    pay(second, december)
    assert Statement.objects.get(period=second).paid_fen == 20_00
    explain(case, december)
    pay(second, december)
    assert Statement.objects.get(period=second).paid_fen == 30_00


def test_an_adjustment_is_booked_today_about_the_period_of_the_sale(shop):
    order = sell(shop)
    period = close(shop)
    sell(shop, at=NOVEMBER)
    adjust(doubt(shop, order), 3_50)

    entry = Entry.objects.of_staff().get(kind="adjust")
    assert (entry.fen, entry.staff, entry.period_origin) == (3_50, shop.staff["li"], period)
    assert entry.period_booked == month(shop, "2026-11-01")
    late = close(shop, "2026-11-01", NOVEMBER + timedelta(days=30))
    (change,) = statements.corrections(statement=Statement.objects.get(period=late))
    assert (change.origin, change.fen) == (period, 3_50)


# ── Who may do what ──────────────────────────────────────────────────────────────────────────────────────────────────
def test_nobody_answers_for_a_sale_of_their_own_and_nobody_adjusts_alone(shop):
    account = user()
    shop.staff["li"].user = account
    shop.staff["li"].save()
    case = doubt(shop, sell(shop))

    with pytest.raises(Refused, match="自己也有份"):
        disputes.explain(dispute=case, text="没有问题的", by=account, now=NOVEMBER)
    one = user()
    proposal = disputes.propose(dispute=case, fen=1_00, text="补一块钱", by=one, now=NOVEMBER)
    with pytest.raises(Refused, match="另一个人"):
        disputes.adjust(proposal=proposal, by=one, now=NOVEMBER)
    with pytest.raises(Refused, match="自己也有份"):
        disputes.adjust(proposal=proposal, by=account, now=NOVEMBER)
    assert not Entry.objects.filter(kind="adjust").exists()


def test_it_is_asked_once_at_a_time_twice_at_most_and_in_time(shop):
    order = sell(shop)
    case = doubt(shop, order)
    with pytest.raises(Refused, match="等答复"):
        doubt(shop, order)
    explain(case)
    with pytest.raises(Refused, match="答复过了"):
        explain(case)
    explain(doubt(shop, order))
    with pytest.raises(Refused, match="最多提"):
        doubt(shop, order)

    other = sell(shop, 5_00)
    close(shop)
    doubt(shop, other, now=NOVEMBER + timedelta(days=15))  # the last moment
    late = sell(shop, 7_00, at=NOVEMBER)
    close(shop, "2026-11-01", NOVEMBER + timedelta(days=30))
    with pytest.raises(Refused, match="15 天以后"):
        doubt(shop, late, now=NOVEMBER + timedelta(days=46))


def test_somebody_else_s_sale_and_empty_words_are_refused(shop):
    order = sell(shop)
    shop.hire("wang")
    with pytest.raises(Refused, match="不是您的"):
        doubt(shop, order, clerk="wang")
    for reason in ("", "  短", "长" * 301):
        with pytest.raises(Refused, match="写清楚"):
            disputes.open_line(
                staff=shop.staff["li"],
                order_id=order.pk,
                line_id=order.lines.get().pk,
                reason=reason,
                by=None,
                now=NOW,
            )


def test_the_database_keeps_cases_and_never_pays_more_than_is_owed(shop):
    case = doubt(shop, sell(shop))
    period = close(shop)
    explain(case)
    pay(period)
    statement = Statement.objects.get()
    for sql in (
        f"UPDATE commissions_dispute SET reason = 'x' WHERE id = {case.pk}",
        f"UPDATE commissions_dispute SET closed_at = NULL, outcome = '' WHERE id = {case.pk}",
        "DELETE FROM commissions_dispute",
        "UPDATE commissions_disputestep SET text = 'x'",
        f"UPDATE commissions_statement SET paid_fen = paid_fen - 1 WHERE id = {statement.pk}",
        "INSERT INTO commissions_payout (batch_id, statement_id, fen) SELECT b.id, s.id, 1"
        " FROM commissions_payoutbatch b, commissions_statement s ON CONFLICT DO NOTHING",
    ):
        if "INSERT" in sql:  # another batch that would pay it again
            PayoutBatch.objects.create(period=period, total_fen=1, people=1, made_at=NOVEMBER)
        with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(sql)


# ── Debts and corrections ────────────────────────────────────────────────────────────────────────────────────────────
def test_a_refund_after_payday_is_a_debt_and_a_correction_of_its_month(shop):
    row = shop.order(lines=[{"paid_fen": 100_00}], serving_clerk="li")
    shop.settle(row)
    pay(close(shop))
    li = shop.staff["li"]
    assert statements.debt(staff_id=li.pk, today=NOVEMBER.date()) == 0

    shop.refund(row, fen=40_00, now=NOVEMBER)

    assert statements.debt(staff_id=li.pk, today=NOVEMBER.date()) == 4_00
    late = close(shop, "2026-11-01", NOVEMBER + timedelta(days=30))
    (change,) = statements.corrections(statement=Statement.objects.get(period=late))
    assert (change.origin, change.order.outer_order_id, change.fen) == (month(shop), row.outer_order_id, -4_00)
    assert statements.debt(staff_id=li.pk, today=NOVEMBER.date()) == 4_00


# ── At any time, in any order ────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("seed", range(4))
def test_statements_are_the_entries_whatever_is_disputed_when(shop, seed):
    """Sales, refunds, doubts, answers, closings and payments at random: what is owed adds up after each of them."""
    dice = random.Random(seed)
    PayTerms.objects.create(
        brand=shop.brand, max_fen=dice.choice([None, 30_00]), min_payout_fen=dice.choice([0, 9_00])
    )
    shop.hire("wang")
    rows, firsts = [], ["2026-10-01", "2026-11-01", "2026-12-01"]
    now = NOW

    def act():
        what = dice.choice(["sell", "sell", "doubt", "doubt", "answer", "refund", "close", "pay", "pay"])
        if what == "sell":
            row = shop.order(
                lines=[{"paid_fen": dice.randrange(1, 200_00)}], serving_clerk=dice.choice(["li", "wang"]), paid_at=now
            )
            shop.settle(row, now=now)
            rows.append(row)
        elif what == "refund" and rows:
            shop.refund(dice.choice(rows), fen=dice.randrange(1, 50_00), now=now)
        elif what == "doubt" and rows:
            row = dice.choice(rows)
            order = Order.objects.get(outer_order_id=row.outer_order_id, channel__code=row.channel)
            doubt(shop, order, now=now, clerk=row.serving_clerk)
        elif what == "answer":
            if case := Dispute.objects.open().filter(brand=shop.brand).order_by("?").first():
                dice.choice([explain, lambda case, now: adjust(case, dice.choice([-2_00, 5_00]), now)])(case, now)
        elif what == "close" and firsts and now.date().isoformat() >= "2026-11":
            if now >= datetime.fromisoformat(f"{_next(firsts[0])}T00:00:00+08:00"):
                close(shop, firsts[0], now)
                firsts.pop(0)
        elif what == "pay":
            for period in Period.objects.filter(brand=shop.brand, status="closed"):
                pay(period, now)

    for _ in range(45):
        with transaction.atomic():
            try:
                with transaction.atomic():
                    act()
            except (Refused, ClosingRefused, Period.DoesNotExist):
                pass
        now += timedelta(hours=dice.randrange(1, 90))
        check(shop)

    for case in Dispute.objects.open().filter(brand=shop.brand):
        explain(case, now)
    for period in Period.objects.filter(brand=shop.brand, status="closed"):
        with suppress(ClosingRefused):
            pay(period, now)
    check(shop)
    for statement in Statement.objects.filter(period__brand=shop.brand):
        assert statement.paid_fen == statement.pay_fen


def _next(first):
    return {"2026-10-01": "2026-11-01", "2026-11-01": "2026-12-01", "2026-12-01": "2027-01-01"}[first]


def check(shop):
    entries = Entry.objects.of_staff().filter(brand=shop.brand)
    rows = Statement.objects.filter(period__brand=shop.brand)
    earned = entries.exclude(kind="payout").filter(period_booked__status="closed")
    assert _sum(rows, "net_fen") == _sum(earned, "fen")
    assert _sum(rows, "paid_fen") == -_sum(entries.filter(kind="payout"), "fen")
    batched = Payout.objects.filter(statement__in=rows)
    assert _sum(batched, "fen") == _sum(rows, "paid_fen")
    last = Period.objects.filter(brand=shop.brand, status="closed").order_by("-starts_on").first()
    left = _sum(rows.filter(period=last), "carry_out_fen")
    assert _sum(rows, "net_fen") == _sum(rows, "pay_fen") + left
    for period in Period.objects.filter(brand=shop.brand, status="closed"):
        for pk, fen in disputes.held(period=period).items():
            statement = rows.get(pk=pk)
            assert 0 < fen <= statement.pay_fen


def _sum(rows, field):
    return rows.aggregate(sum=Sum(field, default=0))["sum"]
