"""Coupons: who gets them, which order uses them, and that nothing depends on the order in which facts come."""

import random
import threading
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction

from commissions.models import ActionEvent
from members import consent, coupons
from members.coupons import Refused, ending, funnel, giving, issuing
from members.models import Coupon, CouponIssue, CouponMove, CouponQuota, CouponSkip, CouponUse, Segment, SegmentMember
from retail import intake, scope, shapes
from retail.audit import AuditRow
from retail.models import Order
from tests import factories
from tests.factories import LONG_AGO, NOW, World, rated, settle_at_once
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
    codes = ["PRINTED-0001", "PRINTED-0002", "short", "全角字符不行吧"]
    assert set(giving.take_codes(type=type, codes=codes, by=None, now=NOW)) == {"short", "全角字符不行吧"}
    assert set(giving.take_codes(type=type, codes=["PRINTED-0002"], by=None, now=NOW)) == {"PRINTED-0002"}
    used = Coupon.objects.get(code="PRINTED-0001")
    assert (outcome(row), used.state, used.membership) == ("counted", "redeemed", member(shop, ANN))


def test_an_open_code_is_claimed_once_and_lives_from_then(shop):
    type = coupon_type(shop, ends_at=NOW + 10 * DAY, per_member=1)
    giving.take_codes(type=type, codes=[giving.new_code() for _n in range(2)], by=None, now=NOW)
    one, two = Coupon.objects.order_by("pk")
    assert (one.state, one.membership, len(one.code)) == ("open", None, 16)

    coupons.claim(code=f" {one.code} ", membership=member(shop, ANN), by=None, now=NOW + DAY)
    one.refresh_from_db()
    assert (one.state, one.valid_until) == ("issued", day("2026-11-12"))
    coupons.claim(code=one.code, membership=member(shop, ANN), by=None, now=NOW + 2 * DAY)
    assert one.moves.count() == 2 and AuditRow.objects.filter(action="coupon.claim").count() == 1, "told again"
    wrong = [(one.code, BEA, "别人"), ("NOSUCHCODE", BEA, "没有这个"), (two.code, ANN, "领满")]
    for code, who, why in wrong:
        with pytest.raises(Refused, match=why):
            coupons.claim(code=code, membership=member(shop, who), by=None, now=NOW + DAY)
    with pytest.raises(Refused, match="过期"):
        coupons.claim(code=two.code, membership=member(shop, BEA), by=None, now=NOW + 90 * DAY)


def test_codes_are_made_chunk_by_chunk_and_no_more_than_the_type_has(shop, monkeypatch):
    monkeypatch.setattr(issuing, "CHUNK", 2)
    type = coupon_type(shop, ends_at=NOW + 10 * DAY, limit=6)
    with pytest.raises(Refused, match="最多还能做 6 张"):
        issuing.ask_codes(type=type, count=7, by=None, now=NOW)
    issue = issuing.ask_codes(type=type, count=5, by=None, now=NOW)
    issued(type, *[member(shop, ANN)] * 2)  # meanwhile
    for _n in range(2):
        issuing.work(issue_id=issue.pk, now=NOW)
    issue.refresh_from_db()
    made = list(issue.coupons.values_list("code", "state", "membership"))
    assert (issue.state, issue.issued, issue.skipped) == ("done", 4, 1)
    assert len({code for code, _state, _member in made}) == 4 and {row[1:] for row in made} == {("open", None)}


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


# ── Giving ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_clerk_gives_what_the_quota_and_the_type_allow(shop):
    type, anna = coupon_type(shop, per_member=1, limit=2), shop.staff["anna"]
    held = quota(type, anna, 3)
    coupon = given(type, member(shop, ANN), anna)
    assert (coupon.issued_by, coupon.store, list(coupons.givable(staff=anna, now=NOW))) == (anna, shop.store, [held])

    for who, clerk, says in (
        (ANN, "anna", "已经领满了"),
        (BEA, "bing", "额度用完了"),
        ("13800000003", "anna", ""),
        ("13800000004", "anna", "已经发完了"),
    ):
        if says:
            with pytest.raises(Refused, match=says):
                given(type, member(shop, who), shop.staff[clerk])
        else:
            given(type, member(shop, who), shop.staff[clerk])
    held.refresh_from_db()
    type.refresh_from_db()
    assert (held.given, type.issued, Coupon.objects.count()) == (2, 2, 2)
    assert not coupons.givable(staff=anna, now=NOW)


def test_who_wants_no_offers_is_given_none(shop):
    type, anna = coupon_type(shop), shop.staff["anna"]
    quota(type, anna)
    ann, bea = member(shop, ANN), member(shop, BEA)
    consent.stop(member=ann.member, corp=shop.brand.corp, purpose="marketing", by=None, now=NOW)
    consent.stop(member=bea.member, corp=shop.brand.corp, channel="sms", by=None, now=NOW)  # a coupon is no message
    with pytest.raises(Refused, match="不要发优惠"):
        given(type, ann, anna)
    given(type, bea, anna)
    consent.lift(stop=ann.member.stops.get(), by=None, now=NOW)
    given(type, ann, anna)
    assert CouponQuota.objects.get().given == 2


def test_nobody_gives_to_themselves_or_another_brands_customer(shop):
    type, anna = coupon_type(shop), shop.staff["anna"]
    quota(type, anna)
    self = member(shop, ANN)
    anna.phone_key = self.member.identities.get().key
    anna.save()
    with pytest.raises(Refused, match="自己"):
        given(type, self, anna)
    with pytest.raises(Refused, match="品牌"):
        given(type, member(factories.world(), BEA), anna)
    assert CouponQuota.objects.get().given == 0


def test_those_that_can_still_be_used_come_first_soonest_to_end(shop):
    ann = member(shop, ANN)
    (late,), (soon,), (used,) = (issued(coupon_type(shop, lives_days=days), ann) for days in (9, 2, 1))
    shop.settle(sale(shop, used.code))
    assert list(coupons.of_member(membership=ann)) == [soon, late, used]


def test_a_segment_is_given_to_once_with_an_outcome_for_everybody(shop, monkeypatch):
    monkeypatch.setattr(issuing, "CHUNK", 2)
    type = coupon_type(shop, per_member=1, limit=4)
    people = [member(shop, f"1390000000{n}") for n in range(8)]
    has = issued(type, people[0])
    for one, purpose in ((people[0], "profiling"), (people[6], ""), (people[7], "marketing")):
        consent.stop(member=one.member, corp=shop.brand.corp, purpose=purpose, by=None, now=NOW)
    segment = Segment.objects.create(brand=shop.brand, name="老客", condition={}, created_at=NOW)
    SegmentMember.objects.bulk_create(SegmentMember(segment=segment, membership=one, entered_at=NOW) for one in people)

    seen = issuing.preview(type=type, segment=segment)
    assert (seen.members, seen.stopped, seen.enough, seen.left, seen.gets) == (8, 2, 1, 3, 3)
    issue = issuing.ask(type=type, segment=segment, by=None, now=NOW)
    for _n in range(2):
        issuing.work(issue_id=issue.pk, now=NOW)
    issue.refresh_from_db()

    assert (issue.state, issue.issued, issue.skipped) == ("done", 3, 5)
    assert set(issue.coupons.values_list("membership", flat=True)) == {one.pk for one in people[1:4]}
    assert [*CouponSkip.objects.order_by("membership").values_list("membership", "reason")] == [
        (people[0].pk, "enough"),
        (people[4].pk, "limit"),
        (people[5].pk, "limit"),
        (people[6].pk, "stopped"),
        (people[7].pk, "stopped"),
    ]
    assert states(*has) == ["issued"]
    with pytest.raises(Refused):
        issuing.ask(type=type, segment=segment, by=None, now=NOW)


def test_issuing_that_was_stopped_goes_no_further(shop, monkeypatch):
    type = coupon_type(shop)
    segment = Segment.objects.create(brand=shop.brand, name="老客", condition={}, created_at=NOW)
    SegmentMember.objects.create(segment=segment, membership=member(shop, ANN), entered_at=NOW)
    issue = issuing.ask(type=type, segment=segment, by=None, now=NOW)
    issuing.stop(issue=issue, by=None, now=NOW)
    issuing.work(issue_id=issue.pk, now=NOW)
    assert (CouponIssue.objects.get().state, Coupon.objects.count()) == ("stopped", 0)


# ── Ends ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_time_ends_what_was_not_used_and_a_late_order_still_used_it(shop, monkeypatch):
    monkeypatch.setattr(ending, "AT_ONCE", 1)
    used, unused, late = issued(coupon_type(shop), *[member(shop, ANN)] * 3)
    shop.settle(sale(shop, used.code))
    assert (coupons.expire(now=NOW + 29 * DAY), coupons.expire(now=NOW + 31 * DAY)) == (0, 2)
    assert states(used, unused, late) == ["redeemed", "expired", "expired"]

    shop.settle(sale(shop, late.code), now=NOW + 32 * DAY)
    assert states(late) == ["redeemed"]
    assert unused.moves.latest("pk").at == unused.valid_until


def test_a_coupon_is_taken_away_with_a_reason_unless_it_was_used_before(shop):
    one, used, late = issued(coupon_type(shop), *[member(shop, ANN)] * 3)
    shop.settle(sale(shop, used.code))
    with pytest.raises(Refused, match="没用过"):
        coupons.void(coupon=used, reason="发错了", by=None, now=NOW)
    with pytest.raises(Refused, match="为什么"):
        coupons.void(coupon=one, reason=" ", by=None, now=NOW)
    for coupon in (one, late):
        coupons.void(coupon=coupon, reason="发错了，电话 13812345678", by=None, now=NOW)
    after, before = sale(shop, one.code, paid_at=NOW + MINUTE), sale(shop, late.code, paid_at=NOW - MINUTE)
    shop.settle(after, before)

    assert (outcome(after), outcome(before)) == ("void", "counted")
    assert states(one, late) == ["void", "redeemed"]
    assert "13812345678" not in one.moves.latest("pk").reason


def test_the_funnel_counts_what_orders_brought_net(shop):
    type, anna = coupon_type(shop), shop.staff["anna"]
    quota(type, anna)
    ours = [given(type, member(shop, ANN), anna, NOW - timedelta(minutes=4 - n)) for n in range(4)]
    issued(type, member(shop, BEA))
    twice = sale(shop, ours[0].code, ours[1].code, paid=40_000)
    part = sale(shop, ours[2].code, paid=30_000)
    shop.settle(twice, part)
    shop.refund(part, fen=10_000)
    coupons.expire(now=NOW + 40 * DAY)

    span = {"type_ids": [type.pk], "since": LONG_AGO, "until": NOW + DAY}
    (whole,) = funnel.of_types(**span)
    assert (whole.issued, whole.redeemed, whole.expired, whole.orders, whole.net_fen) == (5, 3, 2, 2, 60_000)
    assert whole.used_ppm == 600_000
    by_clerk = {row.staff_id: row for row in funnel.of_clerks(**span)}
    assert (by_clerk[anna.pk].issued, by_clerk[anna.pk].net_fen, by_clerk[None].issued) == (4, 60_000, 1)
    assert funnel.of_types(**span, stores=[]) == []


def test_what_happened_to_a_coupon_is_never_changed(shop):
    (coupon,) = issued(coupon_type(shop), member(shop, ANN))
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        CouponMove.objects.filter(coupon=coupon).update(reason="x")


def test_orders_without_coupons_ask_nothing(shop, django_assert_num_queries):
    with django_assert_num_queries(0):
        coupons.redeem_many(orders=[Order(coupons=[])], now=NOW)


# ── At once ──────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.django_db(transaction=True)
def test_of_two_orders_at_once_one_redeems_and_of_many_gifts_no_quota_is_exceeded():
    with scope.within(scope.EVERYTHING):
        shop = factories.world()
        anna = shop.hire("anna")
        type = coupon_type(shop)
        (coupon,) = issued(type, member(shop, ANN))
        rows = [sale(shop, coupon.code, phone=None, paid_at=NOW + n * MINUTE) for n in range(4)]
        assert settle_at_once(shop.take(*rows)) == []
        assert sorted(outcome(row) for row in rows) == ["counted", "used", "used", "used"]
        assert outcome(rows[0]) == "counted"

        held = quota(type, anna, 3)
        customers = [member(shop, f"1370000000{n}") for n in range(8)]
        refused = at_once([lambda who=who: given(type, who, anna) for who in customers])
        held.refresh_from_db()
        type.refresh_from_db()
        assert (held.given, Coupon.objects.filter(issued_by=anna).count(), type.issued) == (3, 3, 4)
        assert [error.__class__ for error in refused] == [Refused] * 5


def at_once(acts) -> list[Exception]:
    """Do each in a thread of its own; what went wrong."""
    failures: list[Exception] = []

    def do(act) -> None:
        try:
            with scope.within(scope.EVERYTHING):
                act()
        except Exception as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=do, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures
