"""Kept segments: refreshed by differences, left by who buys, drawn once, ended, copied."""

from datetime import timedelta

import pytest
from django.db.models import F

from clerks import oneid
from members import segments
from members.models import Member, Membership, Segment, SegmentMember, SegmentMove, Tier
from retail import shapes
from retail.jobs import Job
from tests.factories import LONG_AGO, NOW, number, world

pytestmark = pytest.mark.django_db

LATER = NOW + timedelta(hours=2)
EVER_BOUGHT = {"match": "all", "of": [{"kind": "orders", "is": "ge", "count": 1}]}
ASLEEP = {"match": "all", "of": [{"kind": "spent", "is": "ge", "fen": 20_000}]}


@pytest.fixture
def shop(everything):
    return world()


def make(shop, condition=EVER_BOUGHT, **fields):
    return Segment.objects.create(
        **{"brand": shop.brand, "name": f"人群{number()}", "condition": condition, "created_at": NOW, **fields}
    )


def sell(shop, phone, *, fen=10_000, at=NOW, now=None):
    sale = shop.order(buyer=(shapes.Buyer("phone", phone),), paid_at=at, lines=[{"paid_fen": fen}])
    shop.settle(sale, now=now or at)
    return sale, Membership.objects.get(purchases__order__outer_order_id=sale.outer_order_id)


def moves(segment):
    rows = SegmentMove.objects.filter(segment=segment).order_by("at", "pk")
    return [(row.membership_id, row.is_entry, row.at) for row in rows]


def test_a_refresh_writes_down_differences_alone(shop):
    _, first = sell(shop, "13800000001")
    segment = make(shop)
    assert segments.refresh(segment=segment, now=NOW) == (1, 1, 0, 0)
    entered = SegmentMember.objects.get(segment=segment)
    assert segments.refresh(segment=segment, now=LATER) == (1, 0, 0, 0)
    assert SegmentMember.objects.get(segment=segment) == entered

    sale, second = sell(shop, "13800000002")
    assert segments.refresh(segment=segment, now=LATER) == (2, 1, 0, 0)
    shop.refund(sale, fen=10_000)
    much_later = LATER + timedelta(hours=1)
    assert segments.refresh(segment=segment, now=much_later) == (1, 0, 1, 0)
    assert moves(segment) == [(first.pk, True, NOW), (second.pk, True, LATER), (second.pk, False, much_later)]
    assert list(segment.sizes.order_by("at").values_list("size", "entered", "left")) == [
        (1, 1, 0),
        (2, 1, 0),
        (1, 0, 1),
    ]
    segment.refresh_from_db()
    assert (segment.size, segment.refreshed_at) == (1, much_later)
    assert list(segments.members_of(segment=segment)) == [first.pk]


def test_a_buyer_leaves_the_sleeping_at_once_and_comes_back_when_asleep(shop):
    """B6."""
    long_ago = NOW - timedelta(days=100)
    _, sleeper = sell(shop, "13800000001", fen=30_000, at=long_ago)
    _, other = sell(shop, "13800000003", fen=30_000, at=long_ago)
    _, awake = sell(shop, "13800000002", fen=30_000, at=NOW - timedelta(days=5))
    asleep, anybody = make(shop, ASLEEP, is_dormant_only=True), make(shop, ASLEEP)
    frozen = make(shop, ASLEEP, kind="frozen", rest_days=10)
    assert segments.refresh(segment=asleep, now=NOW) == (2, 2, 0, 1)  # who was left out is said
    assert segments.refresh(segment=anybody, now=NOW) == (3, 3, 0, 0)
    assert segments.refresh(segment=frozen, now=NOW) == (2, 2, 0, 1)

    sell(shop, "13800000001", at=NOW, now=LATER)
    sell(shop, "13800000003", at=long_ago + timedelta(days=1), now=LATER)  # told late, and long past: wakes nobody
    assert moves(asleep)[2:] == moves(frozen)[2:] == [(sleeper.pk, False, LATER)]
    assert list(segments.members_of(segment=asleep)) == list(segments.members_of(segment=frozen)) == [other.pk]
    assert set(segments.members_of(segment=anybody)) == {sleeper.pk, other.pk, awake.pk}
    tired = NOW + timedelta(days=61)
    assert segments.refresh(segment=asleep, now=tired) == (3, 2, 0, 0)
    assert segments.refresh(segment=frozen, now=tired) == (1, 0, 0, 0)  # a list that was drawn takes nobody in


def test_whoever_was_merged_away_is_nobody_of_their_own(shop):
    _, kept = sell(shop, "13800000001")
    _, dropped = sell(shop, "13800000002")
    rule, frozen = make(shop), make(shop, kind="frozen")
    for segment in (rule, frozen):
        assert segments.refresh(segment=segment, now=NOW).size == 2
    oneid.merge(keep=kept.member_id, drop=dropped.member_id, evidence={}, by=None, now=LATER)
    for segment in (rule, frozen):
        assert segments.refresh(segment=segment, now=LATER) == (1, 0, 1, 0)


def test_another_brand_is_another_world(shop):
    sell(shop, "13800000001")
    assert segments.refresh(segment=make(world()), now=NOW).size == 0


def test_the_clock_refreshes_what_can_change_and_nothing_else(shop):
    sell(shop, "13800000001")
    due, fresh, drawn = make(shop), make(shop), make(shop, kind="frozen")
    drawn_dormant = make(shop, kind="frozen", is_dormant_only=True)
    for segment in (fresh, drawn, drawn_dormant):
        segments.refresh(segment=segment, now=NOW)
    ended = make(shop)
    segments.end(segment=ended, by=None, now=NOW)
    Segment.objects.filter(pk__in=[drawn.pk, drawn_dormant.pk]).update(
        refreshed_at=F("refreshed_at") - timedelta(days=1)
    )

    assert segments.enqueue_due(now=NOW) == segments.enqueue_due(now=NOW) == 2
    waiting = Job.objects.filter(kind=segments.JOB)
    assert sorted(job.payload["segment_id"] for job in waiting) == [due.pk, drawn_dormant.pk]


def test_an_ended_one_stays_as_it_was(shop):
    sell(shop, "13800000001")
    segment = make(shop)
    segments.refresh(segment=segment, now=NOW)
    segments.end(segment=segment, by=None, now=LATER)
    assert list(segments.members_of(segment=segment)) == []
    assert segments.present(segment=segment).count() == 1  # to be read
    with pytest.raises(segments.SegmentRefused, match="已经停用"):
        segments.refresh(segment=segment, now=LATER)
    with pytest.raises(segments.SegmentRefused, match="已经停用"):
        segments.end(segment=segment, by=None, now=LATER)
    Segment.objects.create(brand=shop.brand, name=segment.name, condition=EVER_BOUGHT, created_at=NOW)  # free again


def test_a_copy_is_a_rule_of_its_own(shop):
    segment = make(shop, ASLEEP, kind="frozen", is_dormant_only=True, name="沉睡")
    names = [segments.copy(segment=segment, by=None, now=NOW).name for _ in range(2)]
    assert names == ["沉睡 副本 1", "沉睡 副本 2"]
    made = Segment.objects.get(name="沉睡 副本 1")
    assert (made.kind, made.condition, made.is_dormant_only) == ("rule", ASLEEP, True)


def test_a_code_that_is_gone_means_nobody(shop):
    _, member = sell(shop, "13800000001")
    tier = Tier.objects.create(brand=shop.brand, code="gold", name="金卡", rank=1)
    Membership.objects.filter(pk=member.pk).update(tier=tier)
    segment = make(shop, {"match": "all", "of": [{"kind": "tier", "is": "one_of", "tier": ["gold"]}]})
    assert str(segments.check(condition=segment.condition, brand=shop.brand)) == "等级是金卡。"
    assert segments.refresh(segment=segment, now=NOW).size == 1
    Tier.objects.filter(pk=tier.pk).update(code="old")
    assert str(segments.understand(condition=segment.condition, brand=shop.brand)) == "等级是gold。"
    assert segments.refresh(segment=segment, now=LATER).size == 0
    with pytest.raises(segments.Refused, match="没有这个编码：gold"):
        segments.check(condition=segment.condition, brand=shop.brand)


def test_a_member_who_never_bought_is_counted_too(shop):
    member = Member.objects.create(created_at=LONG_AGO)
    row = Membership.objects.create(brand=shop.brand, member=member, registered_at=LONG_AGO)
    none = {"match": "none", "of": [{"kind": "orders", "is": "ge", "count": 1}]}
    segment = make(shop, none)
    segments.refresh(segment=segment, now=NOW)
    assert list(segments.members_of(segment=segment)) == [row.pk]
