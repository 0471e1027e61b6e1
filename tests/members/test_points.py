"""B4: a refunded line takes exactly its own points back; what expired, was used or corrected always adds up."""

from collections import defaultdict
from datetime import date, timedelta

import pytest
import time_machine
from django.db import IntegrityError, connection, transaction
from django.db.models import Sum
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from members import points
from members.models import Membership, PointsEntry, PointsRule, Purchase, Tier
from retail import approvals, bulk, intake, periodic, shapes, tasks
from retail.models import Order
from tests import factories
from tests.factories import NOW, World, world

TODAY = NOW.date()
BUYER = (shapes.Buyer("phone", "13800001234"),)


@pytest.fixture
def shop(everything) -> World:
    shop = world()
    rule(shop)
    return shop


def rule(shop: World, **fields) -> PointsRule:
    return PointsRule.objects.create(
        **{
            "brand": shop.brand,
            "name": "基础",
            "starts_on": date(2020, 1, 1),
            "life": "days",
            "lives_days": 365,
            **fields,
        }
    )


def buy(shop: World, *lines: int, days_ago: int = 0, **fields) -> shapes.Order:
    paid_at = NOW - timedelta(days=days_ago)
    told = [{"paid_fen": fen, "qty": 1 if fen >= 0 else -1} for fen in lines]
    row = shop.order(lines=told, buyer=BUYER, **{"paid_at": paid_at, **fields})
    shop.settle(row)
    return row


def member() -> Membership:
    return Membership.objects.get()


def entries() -> list[tuple[str, int]]:
    return list(PointsEntry.objects.order_by("pk").values_list("kind", "points"))


def add_up() -> None:
    for row in Membership.objects.all():
        assert row.points == (PointsEntry.objects.filter(membership=row).aggregate(sum=Sum("points"))["sum"] or 0)


# ── Earning and giving back ──────────────────────────────────────────────────────────────────────────────────────────
def test_a_line_given_back_takes_its_own_points(shop):
    # 33.99 is 33 points: what does not fill a point gives none, line by line.
    row = buy(shop, 3_399, 3_399, 3_400)
    assert entries() == [("earn", 100)]
    shop.refund(row, line="2", cumulative_fen=3_399)
    assert entries() == [("earn", 100), ("back", -33)]
    assert member().points == 67
    shop.refund(row, line="2", cumulative_fen=3_399)
    assert len(entries()) == 2
    add_up()


def test_bought_and_given_back_ten_times_is_nothing(shop):
    for _ in range(10):
        row = buy(shop, 9_999, 1)
        shop.refund(row, line="1", qty=1)
        shop.refund(row, line="2", qty=1)
    assert member().points == 0
    assert entries() == [("earn", 99), ("back", -99)] * 10


def test_a_refund_before_its_order(shop):
    row = shop.order(lines=[{"paid_fen": 10_000}, {"paid_fen": 5_000}], buyer=BUYER)
    shop.refund(row, line="2", fen=5_000)
    shop.settle(row)
    assert entries() == [("earn", 150), ("back", -50)]


def test_spent_points_are_owed(shop):
    row = buy(shop, 10_000)
    buy(shop, 1_000, points_used=80)
    shop.refund(row, fen=10_000)
    assert member().points == 10 - 80
    assert points.summary(membership=member(), now=NOW).balance == -70


def test_used_points_come_back_with_the_share_of_the_price(shop):
    row = buy(shop, 7_500, 2_500, points_used=101)
    shop.refund(row, line="2", fen=2_500)
    assert entries() == [("earn", 100), ("burn", -101), ("back", -25), ("unburn", 25)]
    shop.refund(row, line="1", fen=7_500)
    assert member().points == 0


def test_pieces_that_cost_nothing_but_points(shop):
    row = shop.order(lines=[{"paid_fen": 0, "qty": 2, "tag_fen": 9_900}], buyer=BUYER, points_used=300)
    shop.settle(row)
    shop.refund(row, qty=1)
    assert entries() == [("burn", -300), ("unburn", 150)]


def test_a_stranger_earns_nothing_until_they_are_named(shop):
    row = shop.order(lines=[{"paid_fen": 10_000}])
    shop.settle(row)
    assert not entries()
    shop.settle(shop.order(lines=[{"paid_fen": 10_000}], outer_order_id=row.outer_order_id, buyer=BUYER))
    assert entries() == [("earn", 100)]


def test_a_corrected_order_keeps_the_rate_it_earned_by(shop):
    row = buy(shop, 10_000)
    PointsRule.objects.update(points=9)
    shop.settle(shop.order(lines=[{"paid_fen": 20_000}], outer_order_id=row.outer_order_id, buyer=BUYER))
    assert entries() == [("earn", 100), ("earn", 100)]
    assert Purchase.objects.get().net_fen == 20_000


def test_what_a_purchase_is_worth_follows_its_refunds(shop):
    row = buy(shop, 10_000, -2_000)
    assert Purchase.objects.get().net_fen == 8_000
    shop.refund(row, line="2", fen=2_000)
    assert Purchase.objects.get().net_fen == 10_000
    shop.refund(row, line="1", fen=500)
    assert Purchase.objects.get().net_fen == 9_500


# ── Rules ────────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("fields", "earned"),
    [
        ({}, 200),
        ({"month_days": [12]}, 200),  # 2026-10-12 is a Monday
        ({"month_days": [11, 13]}, 100),
        ({"weekdays": [1]}, 200),
        ({"weekdays": [7]}, 100),
        ({"starts_on": TODAY + timedelta(days=1)}, 100),
        ({"ends_on": TODAY - timedelta(days=1)}, 100),
        ({"times_percent": 150}, 150),
    ],
)
def test_member_days(shop, fields, earned):
    rule(shop, name="会员日", kind="times", **fields)
    buy(shop, 10_000)
    assert member().points == earned


def test_the_highest_of_two_multipliers_holds(shop):
    rule(shop, name="双倍", kind="times", times_percent=200)
    high = rule(shop, name="三倍", kind="times", times_percent=300)
    buy(shop, 10_000)
    entry = PointsEntry.objects.get()
    assert (entry.points, entry.times) == (300, high)


def test_rules_by_channel_and_tier(shop):
    gold = Tier.objects.create(brand=shop.brand, code="gold", name="金卡", rank=1)
    rule(shop, channel=shop.pos, points=2, priority=1)
    rule(shop, tier=gold, points=5, priority=2)
    mini = shop.channel("mini_program")
    shop.settle(shop.order(channel=mini, lines=[{"paid_fen": 1_000}], buyer=BUYER), channel=mini)
    assert member().points == 10
    buy(shop, 1_000)
    assert member().points == 30
    Membership.objects.update(tier=gold)
    buy(shop, 1_000)
    assert member().points == 80


@pytest.mark.parametrize(
    ("life", "until"),
    [
        ("forever", None),
        ("days", TODAY + timedelta(days=30)),
        ("year", date(2026, 12, 31)),
        ("next_year", date(2027, 12, 31)),
    ],
)
def test_how_long_points_are_good(shop, life, until):
    PointsRule.objects.update(life=life, lives_days=30)
    buy(shop, 1_000)
    assert PointsEntry.objects.get().expires_on == until


def test_three_yuan_for_a_point_lose_nothing(shop):
    PointsRule.objects.update(spend_fen=300)
    buy(shop, 300, 900)
    assert member().points == 4


# ── Expiry ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_what_is_used_comes_off_what_expires_first(shop):
    buy(shop, 10_000, days_ago=300)
    buy(shop, 5_000, days_ago=200)
    buy(shop, 100, points_used=80)
    said = points.summary(membership=member(), now=NOW)
    assert (said.balance, said.next) == (71, points.Expiring(TODAY + timedelta(days=65), 20))

    tonight = NOW + timedelta(days=66)
    assert points.expire(now=tonight) == 1
    assert points.expire(now=tonight) == 0
    assert member().points == 51
    assert points.summary(membership=member(), now=tonight).next == (TODAY + timedelta(days=165), 50)


def test_a_refund_after_expiry_takes_nothing_twice(shop):
    row = buy(shop, 10_000, days_ago=300)
    later = NOW + timedelta(days=100)
    points.expire(now=later)
    assert member().points == 0
    shop.refund(row, fen=10_000, now=later)
    assert member().points == 0
    assert entries() == [("earn", 100), ("expire", -100), ("back", -100), ("expire", 100)]


def test_points_given_back_are_good_no_longer_than_before(shop):
    buy(shop, 10_000, days_ago=300)
    used = buy(shop, 10_000, points_used=60)
    later = NOW + timedelta(days=100)
    points.expire(now=later)
    assert member().points == 100
    shop.refund(used, fen=10_000, now=later)
    assert member().points == 0
    add_up()


def test_the_clock_takes_what_expired_once_a_night(shop):
    periodic.register(with_demo=False)
    PointsRule.objects.update(lives_days=1)
    buy(shop, 10_000)
    with time_machine.travel(NOW + timedelta(days=2), tick=False):
        tasks.members_by_night()
        assert periodic.last(task="retail.members_night").found["expired"] == 1
        assert tasks.members_by_night() == 0
    assert member().points == 0


# ── By hand ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_points_by_hand(shop):
    buy(shop, 10_000)
    points.adjust(membership=member(), points=50, reason="投诉补偿", by=None, now=NOW, expires_on=TODAY)
    points.adjust(membership=member(), points=-30, reason="发错", by=None, now=NOW)
    assert member().points == 120
    points.expire(now=NOW + timedelta(days=1))
    assert member().points == 100


def test_the_same_pressed_twice_is_booked_once(shop):
    buy(shop, 10_000)
    boss, wish = factories.user(), {"membership": member(), "points": 50, "reason": "投诉补偿"}
    points.adjust(**wish, by=boss, now=NOW)
    with pytest.raises(approvals.Refused, match="刚刚"):
        points.adjust(**wish, by=boss, now=NOW + timedelta(seconds=3))
    points.adjust(**wish, by=boss, now=NOW + timedelta(minutes=1))
    assert member().points == 200


# ── Merging ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_entries_follow_a_merge_and_come_back(shop):
    buy(shop, 10_000, days_ago=300)
    shop.settle(shop.order(lines=[{"paid_fen": 5_000}], buyer=(shapes.Buyer("phone", "13900009999"),)))
    one, other = Membership.objects.order_by("pk")
    points.adjust(membership=one, points=7, reason="补", by=None, now=NOW)
    theirs = {"purchase": list(one.purchases.all()), "adjustment": list(one.points_adjustments.all())}

    def move(to: Membership) -> None:
        for row in (*theirs["purchase"], *theirs["adjustment"]):
            row.membership = to
            row.save()
        points.on_merge(membership_ids=[one.pk, other.pk], now=NOW)

    move(other)
    assert [row.points for row in Membership.objects.order_by("pk")] == [0, 157]
    assert points.on_merge(membership_ids=[one.pk, other.pk], now=NOW) == 0
    shop.refund(
        shapes.Order(
            channel=shop.pos.code,
            outer_order_id=theirs["purchase"][0].order.outer_order_id,
            paid_at=NOW,
            lines=(shop.line(1),),
        ),
        fen=10_000,
    )
    assert [row.points for row in Membership.objects.order_by("pk")] == [0, 57]
    points.expire(now=NOW + timedelta(days=100))
    move(one)
    assert [row.points for row in Membership.objects.order_by("pk")] == [7, 50]
    add_up()


# ── What the database refuses ────────────────────────────────────────────────────────────────────────────────────────
def test_entries_stay_as_they_are(shop):
    buy(shop, 10_000)
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        PointsEntry.objects.update(points=1)


def test_a_worker_changes_no_balance_past_the_ledger(shop):
    buy(shop, 10_000)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL ROLE daogou_job")
        with pytest.raises(IntegrityError, match="book an entry"), transaction.atomic():
            Membership.objects.update(points=1_000_000)
        Membership.objects.update(points=100)  # says what stands
        points.adjust(membership=member(), points=1, reason="补", by=None, now=NOW)
        cursor.execute("RESET ROLE")
    assert member().points == 101


# ── Anything, in any order ───────────────────────────────────────────────────────────────────────────────────────────
LIFE = 30
STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("buy"), st.integers(0, 80), st.sampled_from([0, 50, 3_399, 9_999]), st.sampled_from([0, 0, 40])
        ),
        st.tuples(st.just("refund"), st.integers(0, 9), st.sampled_from([1, 2]), st.sampled_from([1, 3_399, 10_000])),
        st.tuples(st.just("adjust"), st.sampled_from([-20, 15]), st.just(0), st.just(0)),
        st.tuples(st.just("night"), st.integers(1, 25), st.just(0), st.just(0)),
    ),
    min_size=4,
    max_size=12,
)


def test_whatever_happens_it_adds_up(shop):
    PointsRule.objects.update(lives_days=LIFE)

    @settings(max_examples=15, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
    @given(STEPS)
    def run(steps):
        with transaction.atomic():
            _check(shop, steps)
            transaction.set_rollback(True)

    run()


def _check(shop: World, steps) -> None:
    """The ledger against an oracle that knows nothing but what is still sold and used, and walks day by day."""
    now, sold, given = NOW, {}, []
    buy(shop, 5_000)
    for what, a, b, c in steps:
        if what == "buy":
            row = shop.order(
                lines=[{"paid_fen": b}, {"paid_fen": 2_050}],
                buyer=BUYER,
                paid_at=now - timedelta(days=a),
                points_used=c,
            )
            shop.settle(row, now=now)
            sold[row.outer_order_id] = (row, defaultdict(int))
        elif what == "refund" and sold:
            row, back = list(sold.values())[a % len(sold)]
            line = row.lines[b - 1]
            shop.refund(row, line=str(b), fen=c, now=now)
            back[b] = min(line.paid_fen, back[b] + c)
        elif what == "adjust":
            points.adjust(membership=member(), points=a, reason="补", by=None, now=now)
            given.append((now.date(), a))
        elif what == "night":
            now += timedelta(days=a)
            points.expire(now=now)
    points.expire(now=now)
    first = shop.order(lines=[{"paid_fen": 5_000}], buyer=BUYER)
    facts = [(first, defaultdict(int)), *sold.values()]
    assert member().points == _oracle(facts, given, timezone.localdate(now))
    add_up()


def _oracle(facts, given, today: date) -> int:
    lots, uses = [], []  # (day, points, last day); (day, points)
    for row, back in facts:
        day, paid = timezone.localdate(row.paid_at), sum(line.paid_fen for line in row.lines)
        left = [line.paid_fen - back[place] for place, line in enumerate(row.lines, start=1)]
        lots.append([sum(fen // 100 for fen in left), day + timedelta(days=LIFE)])
        uses.append((day, row.points_used - row.points_used * sum(back.values()) // paid))
    forever = sum(n for _, n in given if n > 0)
    uses += [(day, -n) for day, n in given if n < 0]
    debt, gone = 0, 0
    for last in sorted({lot[1] for lot in lots if lot[1] < today}):
        for day, n in [use for use in uses if use[0] <= last]:
            debt += n
            uses.remove((day, n))
        for lot in sorted(lots, key=lambda lot: lot[1]):
            if lot[1] <= last:
                taken = min(debt, lot[0])
                lot[0], debt = lot[0] - taken, debt - taken
                gone += lot[0]
                lot[0] = 0
    return sum(lot[0] for lot in lots) + forever - debt - sum(n for _, n in uses)


# ── At speed ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_batch_earns_what_single_orders_do(shop):
    for n in range(3):
        for _ in range(2):
            shop.take(shop.order(lines=[{"paid_fen": 10_000}], buyer=(shapes.Buyer("phone", f"1380000000{n}"),)))
    intake.settle_orders(order_ids=list(Order.objects.values_list("pk", flat=True)), now=NOW)
    assert {row.points for row in Membership.objects.all()} == {200}
    assert bulk.settle(among=Order.objects.all(), now=NOW).orders == 0
    add_up()
