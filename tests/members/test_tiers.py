"""B3: who reaches a threshold rises at once, with the order that caused it, and falls on the rule's date."""

from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from clerks.models import Customer
from commissions.models import BuyerSnapshot
from members import tiers
from members.models import Membership, PointsRule, Tier, TierMove, TierRule
from retail import intake, shapes
from retail.models import Order
from tests.factories import LONG_AGO, NOW, World, user, world

PHONE = "13800001234"


@pytest.fixture
def shop(everything) -> World:
    shop = world()
    TierRule.objects.create(brand=shop.brand, metric="spend", window_days=365, keep_days=180)
    for rank, (code, threshold) in enumerate([("basic", 0), ("silver", 100_000), ("gold", 500_000)]):
        Tier.objects.create(brand=shop.brand, code=code, name=code, rank=rank, threshold=threshold)
    return shop


def buy(shop: World, fen: int, *, days_ago: int = 0, phone: str = PHONE, now: datetime = NOW) -> shapes.Order:
    paid_at = now - timedelta(days=days_ago)
    row = shop.order(lines=[{"paid_fen": fen}], buyer=(shapes.Buyer("phone", phone),), paid_at=paid_at)
    shop.settle(row, now=now)
    return row


def member() -> Membership:
    return Membership.objects.select_related("tier").get()


def moves() -> list[tuple[str | None, str | None, str, str | None]]:
    rows = TierMove.objects.select_related("before", "after", "order").order_by("pk")
    return [
        (
            row.before and row.before.code,
            row.after and row.after.code,
            row.cause,
            row.order and row.order.outer_order_id,
        )
        for row in rows
    ]


# ── Rising ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_the_order_that_reaches_a_threshold_gives_the_tier(shop):
    buy(shop, 60_000, days_ago=20)
    assert member().tier.code == "basic" and member().tier_until is None
    row = buy(shop, 40_000, days_ago=1)
    one = member()
    assert (one.tier.code, one.tier_since, one.tier_until) == (
        "silver",
        row.paid_at,
        row.paid_at + timedelta(days=180),
    )
    assert moves() == [(None, "basic", "earned", None), ("basic", "silver", "earned", row.outer_order_id)]


def test_the_order_that_causes_a_tier_is_judged_by_the_one_before(shop):
    buy(shop, 1)
    buy(shop, 100_000)
    last = BuyerSnapshot.objects.order_by("pk").last()
    assert (member().tier.code, last.tier) == ("silver", "basic")


def test_what_was_bought_before_the_window_counts_no_more(shop):
    buy(shop, 99_999, days_ago=366)
    buy(shop, 1)
    assert member().tier.code == "basic"


@pytest.mark.parametrize(("metric", "reached"), [("orders", 2), ("points", 20)])
def test_by_orders_and_by_points(shop, metric, reached):
    PointsRule.objects.create(brand=shop.brand, name="基础", starts_on=LONG_AGO.date())
    TierRule.objects.update(metric=metric)
    Tier.objects.filter(code="silver").update(threshold=reached)
    row = buy(shop, 1_000)
    shop.refund(row, fen=1_000)  # counts neither as an order nor by its points
    buy(shop, 1_000)
    assert member().tier.code == "basic"
    buy(shop, 1_000)
    assert member().tier.code == "silver"
    assert tiers.standing(membership=member(), now=NOW).value == reached


# ── Falling ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_refund_shows_the_fall_on_the_rules_date(shop):
    row = buy(shop, 100_000)
    until = NOW + timedelta(days=180)
    shop.refund(row, fen=1)
    said = tiers.standing(membership=member(), now=NOW)
    assert (said.tier.code, said.until, said.then.code) == ("silver", until, "basic")
    assert (said.next.code, said.missing) == ("gold", 400_001)

    assert tiers.nightly(now=until - timedelta(hours=1)) == 0
    assert tiers.nightly(now=until) == 1
    one = member()
    assert (one.tier.code, one.tier_since, one.tier_until) == ("basic", until, None)
    assert moves()[-1] == ("silver", "basic", "lapsed", None)


def test_who_still_has_enough_on_the_date_keeps_the_tier(shop):
    buy(shop, 100_000)
    until = NOW + timedelta(days=180)
    assert tiers.nightly(now=until) == 1
    assert (member().tier.code, member().tier_until) == ("silver", until + timedelta(days=180))
    assert len(moves()) == 1 and member().tier_since == NOW


# ── By hand ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_protected_tier_never_lapses_and_nobody_rises_into_it(shop):
    staff = Tier.objects.create(brand=shop.brand, code="vip", name="贵宾", rank=9, is_protected=True)
    buy(shop, 10_000_000)
    assert member().tier.code == "gold"
    boss = user()
    move = tiers.give(membership=member(), tier=staff, reason="老板的朋友", by=boss, now=NOW)
    assert (move.before.code, move.cause, move.by, move.reason) == ("gold", "manual", boss, "老板的朋友")
    assert tiers.nightly(now=NOW + timedelta(days=4_000)) == 0
    assert tiers.standing(membership=member(), now=NOW).next is None


def test_a_tier_by_hand_is_seen_in_the_clerks_list_at_once(shop):
    shop.hire("A1")
    row = shop.order(serving_clerk="A1", buyer=(shapes.Buyer("phone", PHONE),))
    shop.settle(row)
    tiers.give(membership=member(), tier=Tier.objects.get(code="gold"), reason="老板的朋友", by=None, now=NOW)
    assert Customer.objects.get().tier.code == "gold"


def test_who_is_held_down_does_not_rise_before_the_date(shop):
    buy(shop, 100_000)
    basic, until = Tier.objects.get(code="basic"), NOW + timedelta(days=30)
    tiers.give(membership=member(), tier=basic, reason="倒货", by=None, now=NOW, until=until, is_held=True)
    buy(shop, 1_000_000)
    assert member().tier.code == "basic"
    assert tiers.nightly(now=until) == 1
    assert (member().tier.code, member().tier_is_held) == ("gold", False)


# ── Rules that change ────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def crowd(shop) -> World:
    for n, fen in enumerate([0, 50_000, 120_000, 600_000, 700_000]):
        buy(shop, fen, phone=f"1380000000{n}")
    return shop


def test_a_rule_is_tried_without_writing(crowd):
    (scheme,) = tiers.schemes()
    wanted = {tier.pk: tier.threshold for tier in Tier.objects.all()}
    wanted |= {Tier.objects.get(code="silver").pk: 40_000, Tier.objects.get(code="gold").pk: 650_000}
    with CaptureQueriesContext(connection) as queries:
        trial = tiers.try_out(
            scheme=tiers.Scheme(crowd.brand.pk, scheme.metric, scheme.window_days, scheme.keep_days, wanted), now=NOW
        )
    assert len(queries) == 2 and not any("UPDATE" in query["sql"] for query in queries)
    assert [(move.before.code, move.anyway.code, move.after.code, move.members) for move in trial.moves] == [
        ("basic", "basic", "basic", 1),
        ("basic", "basic", "silver", 1),
        ("silver", "silver", "silver", 1),
        ("gold", "gold", "silver", 1),
        ("gold", "gold", "gold", 1),
    ]
    assert trial.anyway == (0, 0) and trial.after == trial.difference == (1, 1)
    assert [(case.before.code, case.anyway.code, case.after.code, case.value) for case in trial.sample] == [
        ("basic", "basic", "silver", 50_000),
        ("gold", "gold", "silver", 600_000),
    ]


def test_what_happens_anyway_is_told_from_what_another_rule_does(crowd):
    """A rule that was changed and has not had its night yet: it lifts by itself whom the tried one lifts, too."""
    silver, gold = Tier.objects.get(code="silver"), Tier.objects.get(code="gold")
    Tier.objects.filter(pk=silver.pk).update(threshold=40_000)
    (present,) = tiers.schemes()
    held = Membership.objects.get(tier__code="basic", profile__year_fen=0)
    tiers.give(membership=held, tier=silver, reason="老板的朋友", by=None, now=NOW, until=NOW + timedelta(days=9))
    wanted = {**present.thresholds, gold.pk: 110_000}
    trial = tiers.try_out(scheme=tiers.Scheme(crowd.brand.pk, present.metric, 180, 180, wanted), now=NOW)
    assert trial.anyway == (1, 1)  # who spent 50,000 rises; who was given the tier for some days falls after them
    assert (trial.after, trial.difference) == ((2, 1), (1, 0))
    assert [(case.anyway.code, case.after.code) for case in trial.sample] == [("silver", "gold")]
    assert [(total.tier.code, total.now, total.anyway, total.after) for total in trial.totals] == [
        ("basic", 1, 1, 1),
        ("silver", 2, 2, 1),
        ("gold", 2, 2, 3),
    ]


def test_a_changed_rule_lets_rise_at_night_and_fall_on_the_date(crowd):
    Tier.objects.filter(code="silver").update(threshold=40_000)
    Tier.objects.filter(code="gold").update(threshold=650_000)
    assert tiers.nightly(now=NOW) == 1
    assert moves()[-1] == ("basic", "silver", "rule", None)
    assert Membership.objects.filter(tier__code="gold").count() == 2


# ── At speed ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_batch_gives_the_tiers_that_single_orders_give(shop):
    for _ in range(2):
        shop.take(shop.order(lines=[{"paid_fen": 60_000}], buyer=(shapes.Buyer("phone", PHONE),)))
    ids = list(Order.objects.order_by("pk").values_list("pk", flat=True))
    intake.settle_orders(order_ids=ids, now=NOW)
    assert moves() == [(None, "silver", "earned", Order.objects.get(pk=ids[1]).outer_order_id)]


def test_nothing_new_takes_three_statements(crowd):
    ids = list(Membership.objects.values_list("pk", flat=True))
    with CaptureQueriesContext(connection) as queries:
        assert tiers.review(membership_ids=ids, now=NOW) == 0
    assert len(queries) == 3
