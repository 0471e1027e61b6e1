"""Attainment: what is booked is the bonus of what was sold, whatever came when and however often it is counted."""

import random
from collections import defaultdict
from datetime import datetime, timedelta

import pytest
import time_machine
from django.db.models import Sum

from commissions import attaining, closing, explain, plans
from commissions.engine import attainment as engine
from commissions.models import Attained, Attainment, CountMark, Entry, Period, PlanVersion, Statement, Target
from retail import intake, jobs, privacy, shapes, tasks
from retail.models import Staff, StoreGroup
from tests.factories import LONG_AGO, NOW, add_attainment, franchisee, world

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("everything")]

# Ten percent to who rings it up; lines below 50 yuan are paid, and do not count.
BIG = {"id": "big", "calc": {"type": "rate", "ppm": 100_000}, "split": [{"role": "serve", "weight": 1}],
       "when": {"min_line_fen": 50_00}}  # fmt: skip
SMALL = {**BIG, "id": "small", "when": {}, "counts_for_attainment": False}
STEPS = [
    {"from_fen": 0, "ppm": 10_000},
    {"from_fen": 1_000_00, "ppm": 20_000, "fixed_fen": 5_00},
    {"from_fen": 2_000_00, "ppm": 40_000, "is_beyond": True},
]
TIERS = tuple(
    engine.Tier(from_fen=step["from_fen"], ppm=step["ppm"], fixed_fen=step.get("fixed_fen", 0),
                is_beyond=step.get("is_beyond", False))
    for step in STEPS
)  # fmt: skip
MARGINAL, WHOLE = (engine.Scale(mode=mode, tiers=TIERS) for mode in ("marginal", "whole"))
CURRENT = "current_period"
NOVEMBER, DECEMBER = (datetime.fromisoformat(f"2026-{day}T09:00:00+08:00") for day in ("11-03", "12-03"))
FIRSTS = ("2026-10-01", "2026-11-01", "2026-12-01")


def shop(*attainments, rules=(BIG, SMALL)):
    made = world()
    for clerk in ("li", "wang"):
        made.hire(clerk)
    made.hire("chen", role="store_manager")
    made.hire("zhao", role="region_manager", region=made.region)
    made.plan(*rules, attainments=attainments or [{"code": "own", "steps": STEPS}])
    return made


def sell(shop, clerk, *fens, at=NOW, **fields):
    row = shop.order(lines=[{"paid_fen": fen} for fen in fens], serving_clerk=clerk, paid_at=at, **fields)
    shop.settle(row, now=at)
    return row


def period(shop, first=FIRSTS[0]):
    return Period.objects.get(brand=shop.brand, starts_on=first)


def count(shop, first=FIRSTS[0], now=NOW):
    return attaining.count(period=period(shop, first), now=now, is_booking=True)


def booked(shop, clerk, code="own"):
    rows = Entry.objects.filter(kind="bonus", staff=shop.staff[clerk], attainment__code=code)
    return rows.aggregate(fen=Sum("fen", default=0))["fen"]


def attained(shop, code="own", first=FIRSTS[0]):
    rows = Attained.objects.filter(period=period(shop, first), code=code)
    return {row.name: (row.sales_fen, row.bonus_fen) for row in rows}


# ── What counts ──────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_bonus_is_booked_once_and_then_only_what_is_new():
    made = shop()
    sell(made, "li", 600_00)
    assert count(made) == 2  # li's leg and the house's
    assert booked(made, "li") == 6_00

    assert count(made) == 0
    row = sell(made, "li", 900_00)
    count(made)
    assert booked(made, "li") == MARGINAL.commission(1_500_00) == 25_00

    made.refund(row, fen=900_00)
    count(made)
    assert booked(made, "li") == 6_00
    entry = Entry.objects.filter(kind="bonus", staff=made.staff["li"]).first()
    assert (entry.version.attainments.get(), entry.period_origin) == (entry.attainment, period(made))
    assert (entry.base_fen, entry.pool_fen, entry.store, entry.role) == (600_00, 6_00, made.store, "serve")


@pytest.mark.parametrize("mode", ["marginal", "whole"])
@pytest.mark.parametrize("fen", [999_99, 1_000_00, 1_000_01, 2_000_00, 2_000_01])
def test_exactly_on_a_step(mode, fen):
    made = shop({"code": "own", "mode": mode, "steps": STEPS})
    sell(made, "li", fen)
    count(made)
    assert booked(made, "li") == engine.Scale(mode=mode, tiers=TIERS).commission(fen)


def test_what_is_paid_and_what_counts_are_two_things():
    """A rule may pay for what does not count, and count what it does not pay; a line no rule wins does not count."""
    free = {**BIG, "id": "free", "commissionable": False, "when": {"min_line_fen": 300_00}, "priority": 1}
    lone = {**SMALL, "when": {"min_line_fen": 20_00}}
    made = shop(rules=(BIG, lone, free))
    sell(made, "li", 400_00, 100_00, 30_00, 10_00)

    count(made)

    assert attained(made) == {made.staff["li"].name: (500_00, 5_00)}
    assert Entry.objects.of_staff().filter(kind="earn").aggregate(fen=Sum("fen"))["fen"] == 10_00 + 3_00


def test_a_line_that_is_judged_otherwise_counts_otherwise():
    made = shop()
    sell(made, "li", 100_00, 30_00)
    count(made)
    corrected = plans.copy(version=PlanVersion.objects.get(plan__brand=made.brand), by=None, now=NOW)
    corrected.rules.filter(code="big").update(counts_for_attainment=False)
    corrected.rules.filter(code="small").update(counts_for_attainment=True)
    plans.approve(version=corrected, by=None, now=NOW)
    plans.activate(version=corrected, starts_at=LONG_AGO, by=None, now=NOW, reason="更正")
    order_ids = list(Entry.objects.filter(order__isnull=False).values_list("order", flat=True).distinct())

    assert intake.recompute(order_ids=order_ids, now=NOW) == []
    count(made)

    assert attained(made) == {made.staff["li"].name: (30_00, 30)}
    assert sorted(CountMark.objects.values_list("counts", flat=True)) == [False, False, True]
    assert attaining.is_changed(period=period(made))  # marks may be committed late
    assert not attaining.count(period=period(made), now=NOW, is_booking=True)


def test_the_line_names_who_sold_it():
    made = shop()
    row = made.order(
        lines=[{"paid_fen": 300_00}, {"paid_fen": 200_00, "serving_clerk": "wang"},
               {"paid_fen": 100_00, "serving_clerk": "a stranger"}],
        serving_clerk="li",
    )  # fmt: skip
    made.settle(row)
    count(made)
    assert attained(made) == {made.staff["li"].name: (300_00, 3_00), made.staff["wang"].name: (200_00, 2_00)}


def test_nobody_sells_to_themselves():
    made = shop({"code": "own", "steps": STEPS}, {"code": "shop", "level": "store", "steps": STEPS})
    number = privacy.Known("phone", "", "13800005678")
    Staff.objects.filter(pk=made.staff["li"].pk).update(phone_key=privacy.keep([number])[number])
    sell(made, "li", 300_00, buyer=(shapes.Buyer("phone", "13800005678"),))
    sell(made, "wang", 200_00, buyer=(shapes.Buyer("phone", "13800005678"),))
    count(made)
    assert attained(made) == {made.staff["wang"].name: (200_00, 2_00)}
    assert attained(made, "shop") == {made.store.name: (200_00, 2_00)}


def test_a_month_is_that_of_the_payment_in_shanghai():
    made = shop()
    sell(made, "li", 100_00, at=datetime.fromisoformat("2026-10-31T15:59:59+00:00"))
    sell(made, "li", 500_00, at=datetime.fromisoformat("2026-10-31T16:00:00+00:00"))
    assert not Period.objects.filter(brand=made.brand, starts_on=FIRSTS[0]).exists()  # all of it is earned later
    assert attaining.enqueue(now=NOVEMBER, is_night=True) == 2
    count(made)
    count(made, FIRSTS[1], now=NOVEMBER)
    assert [attained(made, first=first) for first in FIRSTS[:2]] == [
        {made.staff["li"].name: (100_00, 1_00)}, {made.staff["li"].name: (500_00, 5_00)},
    ]  # fmt: skip


# ── Stores, regions, groups ──────────────────────────────────────────────────────────────────────────────────────────
def test_the_whole_store_decides_and_the_manager_is_paid():
    made = shop({"code": "own", "level": "store", "mode": "whole", "steps": STEPS})
    other = made.another_store()
    made.hire("sun", store=other)
    sell(made, "li", 800_00)
    sell(made, "wang", 400_00)
    sell(made, "sun", 700_00, store_code=other.code)

    count(made)

    assert attained(made) == {made.store.name: (1_200_00, 29_00), other.name: (700_00, 7_00)}
    assert booked(made, "chen") == 29_00
    assert booked(made, "li") == booked(made, "sun") == 0  # the other store has no manager: it stays with the house


@pytest.mark.parametrize(("divide", "parts"), [("sales", (19_33, 9_67)), ("equal", (14_50, 14_50))])
def test_or_it_is_divided_among_those_who_sold(divide, parts):
    made = shop({"code": "own", "level": "store", "mode": "whole", "pay_role": "serve", "divide": divide,
                 "steps": STEPS})  # fmt: skip
    sell(made, "li", 800_00)
    sell(made, "wang", 400_00)
    count(made)
    assert (booked(made, "li"), booked(made, "wang")) == parts


def test_a_region_keeps_the_stores_it_had_when_the_month_was_closed():
    made = shop({"code": "own", "level": "region", "steps": STEPS})
    other = made.another_store()
    made.hire("sun", store=other)
    sell(made, "li", 800_00)
    row = sell(made, "sun", 700_00, store_code=other.code)
    closing.close(period=period(made), by=None, now=NOVEMBER)
    assert attained(made) == {made.region.name: (1_500_00, 25_00)} and booked(made, "zhao") == 25_00

    other.region = None
    other.save()
    made.refund(row, fen=100_00, now=NOVEMBER)
    count(made, now=NOVEMBER)

    assert attained(made) == {made.region.name: (1_400_00, MARGINAL.commission(1_400_00))}


def test_only_the_stores_of_a_group():
    made = shop({"code": "own", "level": "group", "store_group": "flagship", "steps": STEPS},
                {"code": "each", "store_group": "flagship", "steps": STEPS})  # fmt: skip
    other = made.another_store()
    made.hire("sun", store=other)
    group = StoreGroup.objects.create(code="flagship", name="旗舰店")
    group.stores.add(made.store)
    sell(made, "li", 800_00)
    sell(made, "sun", 700_00, store_code=other.code)
    count(made)
    assert attained(made) == {"旗舰店": (800_00, 8_00)}
    assert attained(made, "each") == {made.staff["li"].name: (800_00, 8_00)}
    assert booked(made, "chen") == 8_00


def test_each_company_pays_for_what_was_sold_in_its_stores():
    made = shop()
    company = franchisee()
    other = made.another_store(franchisee=company)
    made.hire("sun")
    post = made.staff["sun"].posts.get()
    sell(made, "sun", 300_00)
    post.ends_at = NOW + timedelta(days=1)
    post.save()
    made.staff["sun"].posts.create(role="clerk", store=other, starts_at=NOW + timedelta(days=1))
    sell(made, "sun", 900_00, at=NOW + timedelta(days=2), store_code=other.code)

    count(made, now=NOW + timedelta(days=2))

    rows = Entry.objects.filter(kind="bonus", staff=made.staff["sun"]).values_list("payer", "store", "fen")
    total = MARGINAL.commission(1_200_00)
    assert set(rows) == {(None, made.store.pk, total // 4), (company.pk, other.pk, total - total // 4)}


# ── Targets ──────────────────────────────────────────────────────────────────────────────────────────────────────────
BEYOND = [
    {"from_fen": 0, "ppm": 10_000},
    {"from_fen": 1_000_00, "of_target_ppm": 1_000_000, "ppm": 50_000},
]


def test_beyond_the_target_it_pays_more():
    made = shop({"code": "own", "steps": BEYOND})
    sell(made, "li", 1_500_00)
    sell(made, "wang", 1_500_00)
    Target.objects.create(period=period(made), staff=made.staff["li"], goal_fen=500_00)

    count(made)

    assert booked(made, "li") == 5_00 + 50_00
    assert booked(made, "wang") == 10_00 + 25_00  # no target: the amount
    row = Attained.objects.get(staff=made.staff["li"])
    assert row.target_fen == 500_00


def test_the_target_of_a_closed_month_is_what_it_was():
    made = shop({"code": "own", "steps": BEYOND})
    row = sell(made, "li", 1_500_00)
    target = Target.objects.create(period=period(made), staff=made.staff["li"], goal_fen=500_00)
    closing.close(period=period(made), by=None, now=NOVEMBER)
    target.goal_fen = 1
    target.save()
    made.refund(row, fen=500_00, now=NOVEMBER)

    count(made, now=NOVEMBER)

    assert booked(made, "li") == 5_00 + 25_00


def test_a_version_whose_tiers_cannot_be_read_is_not_approved():
    made = shop()
    draft = plans.copy(version=PlanVersion.objects.get(plan__brand=made.brand), by=None, now=NOW)
    add_attainment(draft, code="none", steps=[])
    add_attainment(draft, code="mixed", steps=[{"from_fen": 100, "ppm": 1}, {**BEYOND[1], "from_fen": 200}])
    said = " ".join(plans.faults(draft))
    assert "none 还没有档" in said and "mixed：写了" in said and "own" not in said


# ── Months ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_closing_pays_the_bonus_and_a_late_refund_comes_off_the_open_month():
    made = shop()
    row = sell(made, "li", 1_500_00)
    closing.close(period=period(made), by=None, now=NOVEMBER)
    statement = Statement.objects.get(staff=made.staff["li"])
    assert statement.kinds == {"earn": 150_00, "bonus": 25_00} and statement.pay_fen == 175_00

    made.refund(row, fen=900_00, now=NOVEMBER)
    count(made, now=NOVEMBER)

    late = Entry.objects.get(kind="bonus", fen__lt=0, staff=made.staff["li"])
    assert (late.fen, late.period_origin, late.period_booked) == (-19_00, period(made), period(made, FIRSTS[1]))


def test_a_month_has_the_tiers_it_began_with():
    made = shop()
    sell(made, "li", 1_500_00)
    draft = plans.copy(version=PlanVersion.objects.get(plan__brand=made.brand), by=None, now=NOW)
    draft.attainments.get().steps.update(ppm=500_000)
    plans.approve(version=draft, by=None, now=NOW)
    plans.activate(version=draft, starts_at=NOW + timedelta(days=1), by=None, now=NOW)
    sell(made, "li", 1_500_00, at=NOVEMBER)

    count(made, now=NOW + timedelta(days=2))
    count(made, FIRSTS[1], now=NOVEMBER)

    assert attained(made)[made.staff["li"].name][1] == 25_00
    assert attained(made, first=FIRSTS[1])[made.staff["li"].name][1] == 5_00 + 750_00


def test_what_the_plan_knows_no_more_is_taken_back():
    made = shop()
    sell(made, "li", 1_500_00)
    count(made)
    corrected = plans.copy(version=PlanVersion.objects.get(plan__brand=made.brand), by=None, now=NOW)
    corrected.attainments.all().delete()
    plans.approve(version=corrected, by=None, now=NOW)
    plans.activate(version=corrected, starts_at=LONG_AGO, by=None, now=NOW, reason="更正")

    count(made)

    assert booked(made, "li") == 0
    assert attained(made) == {made.staff["li"].name: (0, 0)}
    taken = Entry.objects.get(kind="bonus", fen__lt=0, staff=made.staff["li"])
    assert "不再有业绩" in explain.of_bonus(entry=taken).sentence


def months():
    """A day of each event, from October to the end of the year."""
    return [NOW.replace(day=1) + timedelta(days=day, hours=3) for day in range(90)]


@pytest.mark.parametrize("seed", range(5))
def test_whatever_comes_when_the_sum_is_the_bonus_of_the_total(seed):
    """Sales, refunds, counts by night and two closings in one order of time; what is booked is what `restate` says."""
    rng = random.Random(seed)
    made = shop({"code": "own", "steps": STEPS}, {"code": "now", "mode": "whole", "late_refund": CURRENT,
                 "steps": STEPS}, {"code": "shop", "level": "store", "mode": "whole", "steps": STEPS})  # fmt: skip
    events = [(at, "sell") for at in rng.sample(months(), 14)] + [(at, "refund") for at in rng.sample(months(), 10)]
    events += [(at, "count") for at in rng.sample(months(), 5)]
    events += [(NOVEMBER, "close"), (DECEMBER, "close")]
    open_from, sales, refunds, sold = 0, defaultdict(int), [], []
    for at, what in sorted(events):
        if what == "sell":
            late = rng.random() < 0.3 and at.month > 10  # it arrives after its month was closed
            paid_at = at - timedelta(days=31) if late else at
            clerk, fen = rng.choice(("li", "wang")), rng.choice((300_00, 1_000_00, 999_99, 49_99))
            row = made.order(lines=[{"paid_fen": fen}], serving_clerk=clerk, paid_at=paid_at)
            made.settle(row, now=at)
            sold.append([row, clerk, paid_at.month - 10, fen, fen])
            if fen >= 50_00:
                sales[clerk, paid_at.month - 10] += fen
        elif what == "refund" and sold:
            one = rng.choice(sold)
            fen = min(one[4], rng.choice((100_00, 500_00)))
            if fen:
                made.refund(one[0], fen=fen, now=at)
                one[4] -= fen
                if one[3] >= 50_00:
                    refunds.append((one[1], max(at.month - 10, one[2]) if one[2] < open_from else one[2], one[2], fen))
        elif what == "count":
            for first in FIRSTS[: at.month - 9]:
                if Period.objects.filter(brand=made.brand, starts_on=first).exists():
                    count(made, first, now=at)
        elif what == "close":
            if row := Period.objects.filter(brand=made.brand, starts_on=FIRSTS[open_from]).first():
                closing.close(period=row, by=None, now=at)
            open_from += 1
    end = months()[-1]
    for first in FIRSTS:
        if Period.objects.filter(brand=made.brand, starts_on=first).exists():
            count(made, first, now=end)
            assert count(made, first, now=end) == 0

    for clerk in ("li", "wang"):
        mine = {str(month): sales[clerk, month] for month in range(3)}
        for code, scale, policy in (("own", MARGINAL, "original_period_forward"), ("now", WHOLE, CURRENT)):
            late = [
                engine.LateRefund(posted=str(posted), sale_period=str(month), fen=fen,
                                  policy=policy if posted != month else "original_period_forward")
                for who, posted, month, fen in refunds
                if who == clerk
            ]  # fmt: skip
            wanted = sum(engine.restate(scale, sales=mine, refunds=late).values())
            assert booked(made, clerk, code) == wanted, (clerk, code)
    total = [sum(sales[clerk, month] for clerk in ("li", "wang")) for month in range(3)]
    net = [fen - sum(back for _, _, of, back in refunds if of == month) for month, fen in enumerate(total)]
    assert booked(made, "chen", "shop") == sum(WHOLE.commission(fen) for fen in net)
    for row in Period.objects.filter(brand=made.brand, status="closed"):
        statements = row.statements.aggregate(fen=Sum("net_fen", default=0))["fen"]
        entries = Entry.objects.of_staff().filter(period_booked=row).aggregate(fen=Sum("fen", default=0))["fen"]
        assert statements == entries and row.digest == closing.digest(row.statements.all())


# ── When it is counted ───────────────────────────────────────────────────────────────────────────────────────────────
def test_a_month_is_counted_again_when_something_came():
    made = shop()
    sell(made, "li", 100_00)
    assert attaining.enqueue(now=NOW, is_night=False) == 1
    later = NOW + timedelta(hours=2)
    count(made, now=later)
    assert attaining.enqueue(now=later, is_night=False) == 0
    assert attaining.enqueue(now=later, is_night=True) == 1
    sell(made, "li", 100_00, at=later)
    assert attaining.enqueue(now=later, is_night=False) == 1


def test_by_day_it_is_counted_and_once_a_night_booked():
    made = shop()
    sell(made, "li", 1_500_00)

    def at(hour):
        with time_machine.travel(NOW.replace(day=13, hour=hour), tick=False):
            tasks.attain()
            jobs.run(ids=list(jobs.Job.objects.pending().values_list("pk", flat=True)), registry=tasks.REGISTRY)
        return attained(made).get(made.staff["li"].name), booked(made, "li")

    assert at(1) == ((1_500_00, 25_00), 0)
    assert at(2) == ((1_500_00, 25_00), 25_00)
    sell(made, "li", 100_00, at=NOW.replace(day=13, hour=2))
    assert at(3) == ((1_600_00, 27_00), 25_00)


def test_counting_asks_as_often_for_many_as_for_one(django_assert_num_queries):
    made = shop()
    sell(made, "li", 100_00)
    count(made)
    month = period(made)
    for clerks in (("li",), ("li", "wang", "li", "wang")):
        for clerk in clerks:
            made.refund(sell(made, clerk, 200_00), fen=10_00)
        with django_assert_num_queries(19):
            attaining.count(period=month, now=NOW, is_booking=True)


# ── Why ──────────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_bonus_is_explained_by_the_version_it_was_booked_by():
    made = shop({"code": "own", "name": "月度阶梯", "steps": STEPS})
    sell(made, "li", 2_500_00)
    count(made)

    story = explain.of_bonus(entry=Entry.objects.get(kind="bonus", staff=made.staff["li"]))

    assert story.sentence == ("2026-10 业绩 ¥2,500.00，按「月度阶梯」奖励共 ¥55.00，减去已记的，这次记 ¥55.00。")
    assert story.numbers == [("业绩", "¥2,500.00"), ("奖励共", "¥55.00"), ("这次记", "¥55.00")]
    assert story.steps == [
        ("¥0.00 起", "¥1,000.00 × 1%", "¥10.00"),
        ("¥1,000.00 起", "¥1,000.00 × 2% + 达档奖 ¥5.00", "¥25.00"),
        ("¥2,000.00 起", "¥500.00 × 4%", "¥20.00"),
    ]


def test_the_attainment_of_a_level_has_somebody_to_pay():
    assert Attainment(level="staff", role="bound", pay_role="manager").payee == "bound"
    assert Attainment(level="store").payee == "manager"
    assert Attainment(level="region").payee == "region"
    assert Attainment(level="group", pay_role="serve").payee == "serve"


def test_the_feed_may_say_what_came_back_in_any_way():
    """Pieces and sums so far are taken off as they are off the commission; what exceeds the line is not."""
    made = shop()
    row = made.order(lines=[{"paid_fen": 300_00, "qty": 3}, {"paid_fen": 200_00}, {"paid_fen": -100_00, "qty": -1}],
                     serving_clerk="li")  # fmt: skip
    made.settle(row)
    lost = sell(made, "li", 100_00)
    made.refund(row, qty=1)
    made.refund(row, line="2", cumulative_fen=50_00)
    made.refund(row, line="2", cumulative_fen=80_00, refunded_at=NOW + timedelta(hours=1))
    made.refund(row, line="3", fen=500_00)
    for fen in (70_00, 50_00):  # more than was paid
        made.refund(lost, fen=fen)
    count(made)
    assert attained(made)[made.staff["li"].name][0] == 200_00 + 120_00


def test_no_night_makes_months_before_a_closed_one():
    """Sales of long ago, before any plan paid for them, do not leave open months behind closed ones."""
    made = shop()
    sell(made, "li", 100_00)
    closing.close(period=period(made), by=None, now=NOVEMBER)
    long_ago = datetime.fromisoformat("2025-09-05T09:00:00+08:00")
    made.take(made.order(serving_clerk="li", paid_at=long_ago), now=NOVEMBER)

    attaining.enqueue(now=NOVEMBER, is_night=True)

    assert Period.objects.filter(brand=made.brand).order_by("starts_on").first() == period(made)
