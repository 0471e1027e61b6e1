"""Coupons: who gets them, which order uses them, and that nothing depends on the order in which facts come."""

import random
from datetime import timedelta

import pytest

from commissions.models import ActionEvent
from members import coupons
from members.coupons import Refused, giving
from members.models import Coupon, CouponUse
from retail import intake, shapes
from retail.models import Order
from tests import factories
from tests.factories import NOW, World, rated
from tests.factories.coupons import coupon_type, day, given, issued, member, quota

pytestmark = pytest.mark.usefixtures("everything")
ANN, BEA = "13800000001", "13800000002"
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


@pytest.fixture
def shop(everything: None) -> World:
    shop = factories.world()
    for code in ("anna", "bing"):
        shop.hire(code)
    return shop


def sale(shop: World, *codes: str, phone: str | None = ANN, paid: int = 25_000, **fields) -> shapes.Order:
    buyer = (shapes.Buyer("phone", phone),) if phone else ()
    return shop.order(coupons=codes, buyer=buyer, lines=[{"paid_fen": paid}], **fields)


def outcome(row: shapes.Order, code: str | None = None) -> str:
    return CouponUse.objects.get(order__outer_order_id=row.outer_order_id, code=code or row.coupons[0]).outcome


def states(*some: Coupon) -> list[str]:
    return [Coupon.objects.get(pk=one.pk).state for one in some]


# ── Use ──────────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_an_order_redeems_the_coupon_it_names(shop):
    (coupon,) = issued(coupon_type(shop), member(shop, ANN))
    row = sale(shop, coupon.code)
    (order_id,) = shop.settle(row)
    intake.settle_order(order_id=order_id, now=NOW + MINUTE)

    coupon.refresh_from_db()
    assert (coupon.state, coupon.order_id, coupon.redeemed_at, coupon.uses) == ("redeemed", order_id, NOW, 1)
    assert outcome(row) == "counted"
    assert list(coupon.moves.order_by("pk").values_list("state", "order")) == [
        ("issued", None),
        ("redeemed", order_id),
    ]


@pytest.mark.parametrize(
    ("fields", "said", "wrong"),
    [
        ({}, {}, ""),
        ({}, {"paid": 24_901}, ""),  # the till dropped what was below a yuan
        ({}, {"paid": 24_900}, "floor"),
        ({}, {"phone": BEA}, "member"),
        ({}, {"phone": None}, ""),  # who shows the code has it
        ({}, {"paid_at": day("2026-11-11") - MINUTE}, ""),
        ({}, {"paid_at": day("2026-11-11")}, "expired"),
        ({}, {"paid_at": day("2026-10-12")}, ""),  # the day it was got counts
        ({}, {"paid_at": day("2026-10-12") - MINUTE}, "early"),
        ({"channel_codes": ["tmall-1"]}, {}, "channel"),
        ({"category_codes": ["elsewhere"]}, {}, "category"),
        ({"kind": "percent", "off_ppm": 120_000, "floor_fen": 9_999}, {"paid": 8_799}, ""),
        ({"kind": "percent", "off_ppm": 120_000, "floor_fen": 30_000}, {"paid": 26_000}, "floor"),
        ({"kind": "gift", "gift": "围巾"}, {"paid": 1}, ""),
    ],
)
def test_the_rules_of_a_type_are_judged_and_never_stand_in_the_way(shop, fields, said, wrong):
    (coupon,) = issued(coupon_type(shop, **fields), member(shop, ANN))
    row = sale(shop, coupon.code, **said)
    shop.settle(row, now=NOW + 40 * DAY)

    assert outcome(row) == (wrong or "counted")
    assert states(coupon) == [("expired" if wrong else "redeemed")]
    assert Order.objects.get(outer_order_id=row.outer_order_id).settled_at is not None


def test_two_coupons_of_one_order_are_taken_off_before_the_floor_is_asked(shop):
    type = coupon_type(shop)
    one, two = issued(type, member(shop, ANN), member(shop, ANN))
    row = sale(shop, one.code, two.code, paid=20_000)
    shop.settle(row)

    assert states(one, two) == ["redeemed", "redeemed"]


def test_a_code_nobody_knows_is_seen_and_judged_once_it_is_taken_in(shop):
    row = sale(shop, "PRINTED-0001")
    shop.settle(row)
    assert outcome(row) == "unknown"

    type = coupon_type(shop, usable_until=NOW.date() + 30 * DAY)
    wrong = giving.take_codes(
        type=type, codes=["PRINTED-0001", "PRINTED-0002", "short", "全角字符不行吧"], by=None, now=NOW
    )
    again = giving.take_codes(type=type, codes=["PRINTED-0002"], by=None, now=NOW)
    assert set(wrong) == {"short", "全角字符不行吧"} and set(again) == {"PRINTED-0002"}
    used = Coupon.objects.get(code="PRINTED-0001")
    assert (outcome(row), used.state, used.membership) == (
        "early" if used.valid_from > NOW else "counted",
        "redeemed",
        member(shop, ANN),
    )


def test_an_open_code_is_claimed_once_and_lives_from_then(shop):
    type = coupon_type(shop, ends_at=NOW + 10 * DAY, per_member=1)
    giving.generate(type=type, count=2, by=None, now=NOW)
    one, two = Coupon.objects.order_by("pk")
    assert (one.state, one.membership, len(one.code)) == ("open", None, 16)

    coupons.claim(code=f" {one.code} ", membership=member(shop, ANN), by=None, now=NOW + DAY)
    one.refresh_from_db()
    assert (one.state, one.valid_until) == ("issued", day("2026-11-12"))
    for code, who in ((one.code, BEA), ("NOSUCHCODE", BEA), (two.code, ANN)):
        with pytest.raises(Refused):
            coupons.claim(code=code, membership=member(shop, who), by=None, now=NOW + DAY)


def test_a_full_refund_gives_it_back_while_it_is_valid_and_a_partial_one_does_not(shop):
    type = coupon_type(shop)
    kept, back, late = issued(type, *[member(shop, ANN)] * 3)
    rows = [sale(shop, coupon.code) for coupon in (kept, back, late)]
    shop.settle(*rows)
    shop.refund(rows[0], fen=24_999)
    shop.refund(rows[1], fen=25_000)
    shop.refund(rows[2], fen=25_000, now=NOW + 40 * DAY)

    assert states(kept, back, late) == ["redeemed", "issued", "redeemed"]
    assert [outcome(row) for row in rows] == ["counted", "returned", "counted"]
    last = sale(shop, back.code, paid_at=NOW + DAY)
    shop.settle(last)
    assert (outcome(last), Coupon.objects.get(pk=back.pk).uses) == ("counted", 2)


def test_a_type_may_keep_what_was_used(shop):
    (coupon,) = issued(coupon_type(shop, comes_back=False), member(shop, ANN))
    row = sale(shop, coupon.code)
    shop.settle(row)
    shop.refund(row, fen=25_000)
    assert states(coupon) == ["redeemed"]


def test_a_corrected_order_that_drops_it_gives_it_back(shop):
    (coupon,) = issued(coupon_type(shop), member(shop, ANN))
    row = sale(shop, coupon.code)
    shop.settle(row)
    shop.settle(sale(shop, outer_order_id=row.outer_order_id, paid=30_000))

    assert states(coupon) == ["issued"]
    assert outcome(row) == "dropped"
    assert coupon.moves.latest("pk").reason == "订单更正，不再用它"


# ── Whatever comes first ─────────────────────────────────────────────────────────────────────────────────────────────
def test_the_same_facts_in_any_order_end_the_same(shop):
    rated(shop, coupon={"fen": 300, "once_per": ""})
    ends = []
    for seed in range(6):
        dice = random.Random(seed)
        type = coupon_type(shop)
        anna = shop.staff["anna"]
        quota(type, anna)
        mine, hers = (given(type, member(shop, phone), anna) for phone in (ANN, BEA))
        facts = happenings(shop, mine.code, hers.code)
        while any(facts):
            dice.choice([line for line in facts if line]).pop(0)()
        codes = {mine.code: "mine", hers.code: "hers"}
        ends.append(
            (
                sorted((codes[c.code], c.state, c.order and c.order.outer_order_id[:2]) for c in (at(mine), at(hers))),
                sorted(
                    (use.order.outer_order_id[:2], codes[use.code], use.outcome)
                    for use in CouponUse.objects.filter(code__in=codes).select_related("order")
                ),
                sum(paid(anna, one) for one in (mine, hers)),
            )
        )
    assert ends == [ends[0]] * 6
    assert ends[0] == (
        [("hers", "issued", None), ("mine", "redeemed", "B-")],
        [
            ("A-", "mine", "returned"),
            ("B-", "mine", "counted"),
            ("C-", "hers", "dropped"),
            ("C-", "mine", "member"),
            ("D-", "mine", "used"),
        ],
        300,
    )


def at(coupon: Coupon) -> Coupon:
    return Coupon.objects.select_related("order").get(pk=coupon.pk)


def happenings(shop: World, mine: str, hers: str):
    """Lines of facts; within a line they come in order, the lines in any."""
    a = sale(shop, mine, outer_order_id=f"A-{mine}")
    b = sale(shop, mine, outer_order_id=f"B-{mine}", paid_at=NOW + MINUTE)
    c = sale(shop, mine, hers, phone=BEA, outer_order_id=f"C-{mine}", paid_at=NOW - MINUTE)
    c_again = sale(shop, mine, phone=BEA, outer_order_id=f"C-{mine}", paid_at=NOW - MINUTE, paid=31_000)
    d = sale(shop, mine, outer_order_id=f"D-{mine}", paid_at=NOW + 2 * MINUTE)
    return [
        [lambda: shop.settle(a)],
        [lambda: shop.refund(a, fen=25_000, now=NOW + DAY, outer_refund_id=f"R-{mine}")],
        [lambda: shop.settle(b)],
        [lambda: shop.settle(c), lambda: shop.settle(c_again)],
        [lambda: shop.settle(d)],
        [lambda: coupons.expire(now=NOW + DAY), lambda: intake.settle_coupons_again(now=NOW + DAY)],
    ]


def paid(staff, coupon: Coupon) -> int:
    events = ActionEvent.objects.filter(staff=staff, type="coupon", reason="", number__contains=f":{coupon.pk}:")
    return sum(events.values_list("fen", flat=True))
