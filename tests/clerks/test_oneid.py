"""One person over all channels: who is merged by itself, who has to be looked at, and both undone again."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from clerks import friends, oneid, sides
from clerks.friends import Listed, Reading
from clerks.models import Binding, Friend, Merge, Note, Touch
from commissions.models import Entry
from members import consent, doubts, identity, points, tiers
from members.models import (
    Doubt,
    Identity,
    Member,
    Membership,
    MemberTag,
    PointsRule,
    Purchase,
    Segment,
    SegmentMember,
    SegmentMove,
    Tag,
    Tier,
    TierMove,
    TierRule,
)
from retail import approvals, intake, scope, shapes
from retail.models import AuditRow, Order
from tests import factories
from tests.factories import NOW, World, world
from tests.figures import figure

CORP = "ww-one"
HOUR = timedelta(hours=1)
PHONE, UNIONID, OTHER, CARD = ("phone", "13800005678"), ("unionid", "o-1"), ("unionid", "o-2"), ("card", "VIP1")


@pytest.fixture
def shop(everything: Any) -> World:
    return a_shop()


def a_shop() -> World:
    shop = world(corp=CORP)
    shop.channels = {"mini": shop.channel("mini_program"), "tmall": shop.channel("tmall")}
    shop.hire("anna")
    shop.hire("bing")
    shop.plan({"id": "r", "calc": {"type": "rate", "ppm": 50_000}, "split": [{"role": "serve", "weight": 1}]})
    PointsRule.objects.create(brand=shop.brand, name="每元一分", starts_on=NOW.date() - timedelta(days=99))
    return shop


def buy(shop: World, *keys: tuple[str, str], channel: str = "", clerk: str = "", at: Any = NOW) -> int:
    buyer = tuple(shapes.Buyer(*key) for key in keys)
    place = shop.channels.get(channel, shop.pos)
    code = shop.staff[clerk].code if clerk else ""
    (order_id,) = shop.settle(
        shop.order(channel=place, buyer=buyer, serving_clerk=code or None, paid_at=at), channel=place
    )
    return order_id


def register(shop: World, *keys: tuple[str, str], channel: str = "mini") -> None:
    place = shop.channels.get(channel, shop.pos)
    event = shapes.Event(
        channel=place.code,
        outer_event_id=f"E{factories.number()}",
        type="register",
        at=NOW,
        buyer=tuple(shapes.Buyer(*key) for key in keys),
    )
    (outcome,) = intake.take_events(channel=place, data=[event], now=NOW)
    assert not outcome.faults


def whose(order_id: int) -> int:
    return Purchase.objects.get(order=order_id).membership.member_id


def pair(one: int, other: int) -> Doubt:
    return doubts.between([one], [other]).get()


# ── By rule ──────────────────────────────────────────────────────────────────────────────────────────────────────────
class TestWhoIsOne:
    def test_whom_a_registration_proves_to_be_one_person_becomes_one(self, shop: World) -> None:
        tmall, mini = buy(shop, PHONE, channel="tmall"), buy(shop, UNIONID, channel="mini")
        assert whose(tmall) != whose(mini)

        register(shop, UNIONID, PHONE)
        factories.join_members()

        member = Member.objects.get(pk=whose(mini))
        assert whose(tmall) == member.pk
        assert sorted(member.identities.values_list("key__type", "source")) == [
            ("phone", "order"),
            ("unionid", "order"),
        ]
        assert not member.identities.filter(verified_at=None).exists()
        assert member.memberships.get().points == 200
        assert Merge.objects.get().by is None

    def test_told_again_it_changes_nothing(self, shop: World) -> None:
        buy(shop, PHONE), buy(shop, UNIONID, channel="mini")
        for _ in range(2):
            register(shop, UNIONID, PHONE)
            factories.join_members()
        assert Merge.objects.count() == 1
        assert Doubt.objects.get().state == Doubt.State.MERGED

    def test_one_phone_with_two_proven_unionids_is_two_persons(self, shop: World) -> None:
        register(shop, UNIONID, PHONE)
        register(shop, OTHER, PHONE)
        factories.join_members()

        assert not Merge.objects.exists()
        doubt = Doubt.objects.get()
        assert doubt.state == Doubt.State.OPEN
        keys = Identity.objects.filter(key__in=doubt.evidence["keys"])
        assert {key.key.type for key in keys} == {"unionid", "phone"}

    def test_a_phone_typed_beside_a_unionid_joins_nobody(self, shop: World) -> None:
        known, mini = buy(shop, PHONE), buy(shop, UNIONID, PHONE, channel="mini")
        assert whose(known) != whose(mini)
        assert pair(whose(known), whose(mini)).state == Doubt.State.OPEN

    def test_who_comes_by_a_phone_that_was_hearsay_is_somebody_else(self, shop: World) -> None:
        mini, till = buy(shop, UNIONID, PHONE, channel="mini"), buy(shop, PHONE)
        assert whose(mini) != whose(till)
        assert Identity.objects.get(key__type="phone").member_id == whose(till)
        assert pair(whose(mini), whose(till)).state == Doubt.State.OPEN

    def test_a_card_shown_by_two_people_joins_neither(self, shop: World) -> None:
        first, second = buy(shop, PHONE, CARD), buy(shop, ("phone", "13900001111"), CARD)
        assert whose(first) != whose(second)
        assert Identity.objects.filter(member=whose(second)).count() == 1
        assert pair(whose(first), whose(second)).state == Doubt.State.OPEN

    def test_whoever_shows_a_card_has_what_was_bought_by_it(self, shop: World) -> None:
        card, phone = buy(shop, CARD), buy(shop, PHONE, CARD)
        alone = buy(shop, ("phone", "13900001111"))
        factories.join_members()
        assert whose(card) == whose(phone) != whose(alone)

        other = buy(shop, ("phone", "13900001111"), CARD)
        factories.join_members()
        assert whose(other) == whose(alone) != whose(card)

    def test_a_phone_typed_at_a_till_proves_nothing(self, shop: World) -> None:
        mini, till = buy(shop, UNIONID, channel="mini"), buy(shop, PHONE)
        register(shop, UNIONID, PHONE, channel="pos")
        factories.join_members()
        assert whose(mini) != whose(till)
        assert Identity.objects.get(key__type="phone").verified_at is None

    def test_an_import_is_believed_but_merges_nobody(self, shop: World) -> None:
        one, other = buy(shop, PHONE), buy(shop, CARD)
        keys = set(Identity.objects.values_list("key", flat=True))
        identity.meet(key_ids=keys, name="", at=NOW, source=identity.IMPORT)
        factories.join_members()
        assert whose(one) == whose(other)  # nothing but a card

        more = buy(shop, UNIONID, channel="mini")
        identity.meet(key_ids=Identity.objects.values_list("key", flat=True), name="", at=NOW, source=identity.IMPORT)
        assert pair(whose(more), whose(one)).state == Doubt.State.OPEN

    def test_whom_somebody_kept_apart_no_rule_merges(self, shop: World) -> None:
        till, mini = buy(shop, PHONE), buy(shop, UNIONID, PHONE, channel="mini")
        doubts.keep_apart(doubt=Doubt.objects.get(), by=None, reason="母女", now=NOW)
        register(shop, UNIONID, PHONE)
        factories.join_members()
        assert whose(till) != whose(mini)
        assert AuditRow.objects.filter(action="doubt.apart", reason="母女").exists()

        # Nor where one of them has become somebody else since.
        third = whose(buy(shop, CARD))
        oneid.merge(keep=third, drop=whose(mini), evidence={}, by=None, now=NOW)
        register(shop, UNIONID, PHONE)
        factories.join_members()
        assert whose(till) != whose(mini) == third
        assert pair(third, whose(till)).state == Doubt.State.OPEN


# ── By hand ──────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def two(shop: World) -> tuple[int, int]:
    """Two customers of different clerks."""
    one = whose(buy(shop, PHONE, clerk="anna", at=NOW - 9 * HOUR))
    return one, whose(buy(shop, UNIONID, clerk="bing", channel="", at=NOW - 8 * HOUR))


def merge(two: tuple[int, int], **given: Any) -> Merge:
    return oneid.merge(keep=two[0], drop=two[1], **{"evidence": {}, "by": None, "now": NOW, **given})


def standing() -> list[Any]:
    """What is whose, as far as anybody sees."""
    bound = Binding.objects.order_by("pk").values_list("pk", "member", "staff", "ended_at", "end_reason")
    rows = Membership.objects.order_by("pk")
    return [
        list(Purchase.objects.order_by("pk").values_list("order", "membership__member")),
        list(rows.values_list("pk", "member", "points", "tier", "registered_at", "first_purchase_at")),
        list(Identity.objects.order_by("pk").values_list("key", "member")),
        list(Note.objects.order_by("pk").values_list("member", "text")),
        list(bound),
        list(Member.objects.order_by("pk").values_list("pk", "name", "merged_into", "created_at")),
    ]


def seen(side: sides.Side) -> list[Any]:
    """What a page shows of one of two."""
    return [
        side.born_on,
        side.created_at,
        [(one.key.masked, one.is_hearsay) for one in side.identities],
        [(row.brand.code, row.tier and row.tier.code, row.registered_at) for row in side.memberships],
        [row.order.outer_order_id for row in side.orders],
    ]


def ladder(shop: World) -> list[Tier]:
    TierRule.objects.create(brand=shop.brand, metric="spend", window_days=365, keep_days=180)
    steps = enumerate([("basic", 0), ("silver", 1_000_000), ("gold", 9_000_000)])
    return [
        Tier.objects.create(brand=shop.brand, code=code, name=code, rank=rank, threshold=threshold)
        for rank, (code, threshold) in steps
    ]


def by_hand(member: int, tier: Tier, **given: Any) -> None:
    tiers.give(membership=Membership.objects.get(member=member), tier=tier, reason="老板的朋友", by=None, **given)


def tiers_of(*members: int) -> list[Any]:
    rows = [Membership.objects.select_related("tier").get(member=member) for member in members]
    return [(row.tier, row.tier_since, row.tier_until, row.tier_is_held) for row in rows]


def history(member: int) -> list[Any]:
    return list(TierMove.objects.filter(membership__member=member).order_by("pk").values())


class TestMerging:
    def test_what_each_had_is_seen_later(self, shop: World, two: tuple[int, int]) -> None:
        """Also after more was bought, the kept one was merged into a third, and a fourth into that one."""
        _basic, _silver, gold = ladder(shop)
        by_hand(two[1], gold, now=NOW - 4 * HOUR)
        Member.objects.filter(pk=two[1]).update(born_on=NOW.date())
        third, fourth = (whose(buy(shop, ("card", number), at=NOW - HOUR)) for number in ("C3", "C4"))

        def shown(number: int) -> list[Any]:
            return seen(sides.as_they_are(number=number))

        merges, wanted = [], []
        for n, (keep, drop) in enumerate([two, (third, two[0]), (third, fourth)]):
            wanted.append([shown(keep), shown(drop)])
            merges.append(merge((keep, drop), now=NOW + n * HOUR))
            buy(shop, PHONE, at=NOW + n * HOUR + HOUR / 2)
        for done, both in zip(merges, wanted, strict=True):
            assert [seen(side) for side in sides.as_they_were(merge=done)] == both

    def test_whose_purchase_was_another_members_leaves_the_segment_of_those_who_rest(self, shop, two) -> None:
        fields = {"brand": shop.brand, "condition": {}, "rest_days": 60, "created_at": NOW}
        resting = Segment.objects.create(name="很久没来", **fields)
        asleep = Membership.objects.get(member=two[0])
        long_ago = NOW - 100 * 24 * HOUR
        Purchase.objects.filter(membership=asleep).update(paid_at=long_ago)
        Membership.objects.filter(pk=asleep.pk).update(first_purchase_at=long_ago, last_purchase_at=long_ago)
        SegmentMember.objects.create(segment=resting, membership=asleep, entered_at=NOW)
        merge(two)
        assert not SegmentMember.objects.exists()
        left = SegmentMove.objects.get()
        assert (left.membership, left.is_entry) == (asleep, False)

    def test_parted_again_everything_is_as_it_was(self, shop: World, two: tuple[int, int]) -> None:
        gold = Tier.objects.create(brand=shop.brand, code="gold", name="金卡", rank=2)
        Membership.objects.filter(member=two[1]).update(tier=gold, tier_since=NOW)
        Member.objects.filter(pk=two[1]).update(name="小鹿")
        note = {"brand": shop.brand, "staff": shop.staff["anna"], "store": shop.store, "created_at": NOW}
        Note.objects.create(member_id=two[1], text="喜欢红色", **note)
        before, entries = standing(), list(Entry.objects.values())

        done = merge(two)
        kept = Membership.objects.get(member=two[0])
        assert (kept.points, kept.tier, kept.member.name) == (200, gold, "小鹿")
        assert Note.objects.get().member_id == two[0]
        assert {whose(order) for order in Order.objects.values_list("pk", flat=True)} == {two[0]}

        oneid.unmerge(merge=done, by=None, now=NOW + HOUR)
        assert standing() == before
        assert list(Entry.objects.values()) == entries
        assert pair(*two).state == Doubt.State.APART

    def test_parted_again_both_stand_where_they_stood(self, shop: World, two: tuple[int, int]) -> None:
        basic, silver, gold = ladder(shop)
        for member in two:
            tiers.review(membership_ids=[Membership.objects.get(member=member).pk], now=NOW - 5 * HOUR)
        until = NOW + timedelta(days=100)
        by_hand(two[1], gold, until=until, now=NOW - 4 * HOUR)
        before, moves = tiers_of(*two), history(two[1])

        done = merge(two)
        assert tiers_of(*two) == [(gold, NOW - 4 * HOUR, until, False), (None, None, None, False)]
        dropped = Membership.objects.get(member=two[1])
        assert tiers.nightly(now=NOW) == 0 and history(two[1]) == moves
        assert tiers.standing(membership=dropped, now=NOW).next is None
        with pytest.raises(approvals.Refused, match="已经并入"):
            tiers.give(membership=dropped, tier=gold, reason="补发", by=None, now=NOW)

        oneid.unmerge(merge=done, by=None, now=NOW + HOUR)
        assert tiers_of(*two) == before and history(two[1]) == moves

        # What the two had together made them rise goes again; what somebody gave since stays.
        Tier.objects.filter(pk=silver.pk).update(threshold=15_000)
        by_hand(two[1], basic, now=NOW + 2 * HOUR)
        again = merge(two, now=NOW + 3 * HOUR)
        assert tiers_of(two[0])[0][0] == silver
        oneid.unmerge(merge=again, by=None, now=NOW + 4 * HOUR)
        assert [tier for tier, *_ in tiers_of(*two)] == [basic, basic]
        again = merge(two, now=NOW + 5 * HOUR)
        by_hand(two[0], gold, now=NOW + 6 * HOUR)
        oneid.unmerge(merge=again, by=None, now=NOW + 7 * HOUR)
        assert [tier for tier, *_ in tiers_of(*two)] == [gold, basic]

    def test_who_is_not_to_rise_does_not_by_being_merged(self, shop: World, two: tuple[int, int]) -> None:
        basic, _silver, gold = ladder(shop)
        by_hand(two[1], basic, until=NOW + HOUR, is_held=True, now=NOW - HOUR)
        by_hand(two[0], gold, now=NOW - HOUR)
        merge(two)
        assert tiers_of(two[0]) == [(basic, NOW - HOUR, NOW + HOUR, True)]

    def test_of_two_clerks_the_one_who_was_active_last_stays(self, shop: World, two: tuple[int, int]) -> None:
        merge(two)
        held, ended = Binding.objects.order_by("ended_at")[::-1]
        assert (held.staff.code, held.ended_at) == (shop.staff["bing"].code, None)
        assert (ended.staff.code, ended.end_reason) == (shop.staff["anna"].code, Binding.End.MERGED)

    def test_what_came_since_goes_by_its_key(self, shop: World, two: tuple[int, int]) -> None:
        done = merge(two)
        theirs, ours = buy(shop, UNIONID, CARD), buy(shop, PHONE)
        by_card = buy(shop, CARD)
        assert {whose(theirs), whose(ours), whose(by_card)} == {two[0]}

        oneid.unmerge(merge=done, by=None, now=NOW + HOUR)
        assert (whose(theirs), whose(ours), whose(by_card)) == (two[1], two[0], two[1])
        assert points_of(*two) == [200, 300]

    def test_friends_follow_their_keys(self, shop: World, two: tuple[int, int]) -> None:
        reading = Reading(NOW, (Listed("nobody", NOW - HOUR),), "小鹿", "o-1")
        friends.settle(corp=CORP, external_userid="wm-1", reading=reading, now=NOW)
        assert Friend.objects.get().member_id == two[1]
        done = merge(two)
        assert Friend.objects.get().member_id == two[0]
        oneid.unmerge(merge=done, by=None, now=NOW + HOUR)
        assert Friend.objects.get().member_id == two[1]

    def test_stop_means_stop_through_both(self, shop: World, two: tuple[int, int]) -> None:
        asked = {"corp": CORP, "channel": "wecom", "purpose": "marketing"}
        first = consent.stop(member=Member.objects.get(pk=two[1]), corp=CORP, by=None, now=NOW - HOUR)
        done = merge(two)
        assert not consent.allows(member_id=two[0], **asked)
        first.refresh_from_db()
        consent.lift(stop=first, by=None, now=NOW + HOUR)
        assert consent.allows(member_id=two[0], **asked)

        oneid.unmerge(merge=done, by=None, now=NOW + 2 * HOUR)
        assert not consent.allows(member_id=two[1], **asked)  # it may have been the other who took it back
        assert consent.allows(member_id=two[0], **asked)  # the one nobody ever spoke for

        again = merge(two, now=NOW + 3 * HOUR)
        for stop in Member.objects.get(pk=two[0]).stops.filter(lifted_at=None):
            consent.lift(stop=stop, by=None, now=NOW + 4 * HOUR)
        consent.stop(member=Member.objects.get(pk=two[0]), corp=CORP, by=None, now=NOW + 5 * HOUR)
        oneid.unmerge(merge=again, by=None, now=NOW + 6 * HOUR)
        assert not any(consent.allows(member_id=one, **asked) for one in two)

    def test_a_wish_not_to_be_profiled_holds_for_both(self, shop: World, two: tuple[int, int]) -> None:
        tag = Tag.objects.create(kind=Tag.Kind.MODEL, code="active", name="活跃")
        put = {"brand": shop.brand, "tag": tag, "source": "model", "since": NOW - HOUR}
        MemberTag.objects.create(member_id=two[0], **put)
        consent.stop(member=Member.objects.get(pk=two[1]), corp="", purpose="profiling", by=None, now=NOW - HOUR)
        done = merge(two)
        assert not MemberTag.objects.filter(until=None).exists()
        assert Membership.objects.get(member=two[0]).profile.tag_ids == []

        # Said of the number that is nobody's own any more, it holds for the person.
        consent.stop(member=Member.objects.get(pk=two[1]), corp=CORP, by=None, now=NOW + HOUR)
        assert Member.objects.get(pk=two[0]).stops.filter(corp=CORP, lifted_at=None).exists()
        oneid.unmerge(merge=done, by=None, now=NOW + HOUR)
        assert consent.unprofiled(member_ids=two) == set(two)

    def test_of_a_chain_the_last_is_undone_first(self, shop: World, two: tuple[int, int]) -> None:
        third = whose(buy(shop, CARD))
        first = merge(two)
        second = oneid.merge(keep=third, drop=two[0], evidence={}, by=None, now=NOW)
        with pytest.raises(oneid.Refused, match="后来又并入了"):
            oneid.unmerge(merge=first, by=None, now=NOW)
        oneid.unmerge(merge=second, by=None, now=NOW)
        oneid.unmerge(merge=first, by=None, now=NOW)
        assert points_of(*two, third) == [100, 100, 100]

    def test_of_two_merges_into_one_the_last_is_undone_first(self, shop: World, two: tuple[int, int]) -> None:
        first = merge(two)
        oneid.merge(keep=two[0], drop=whose(buy(shop, CARD)), evidence={}, by=None, now=NOW)
        with pytest.raises(oneid.Refused, match="还并入了"):
            oneid.unmerge(merge=first, by=None, now=NOW)

    def test_what_cannot_be_says_why(self, two: tuple[int, int]) -> None:
        with pytest.raises(oneid.Refused, match="同一位"):
            oneid.merge(keep=two[0], drop=two[0], evidence={}, by=None, now=NOW)
        done = merge(two)
        with pytest.raises(oneid.Refused, match="已经并入"):
            merge(two)
        oneid.unmerge(merge=done, by=None, now=NOW)
        with pytest.raises(oneid.Refused, match="已经撤销"):
            oneid.unmerge(merge=done, by=None, now=NOW)


def points_of(*members: int) -> list[int]:
    return [Membership.objects.get(member=member).points for member in members]


# ── At once ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def at_once(*acts: Any) -> list[Exception]:
    start, failures = threading.Barrier(len(acts)), []

    def run(act: Any) -> None:
        try:
            start.wait()
            with scope.within(scope.EVERYTHING):
                act()
        except oneid.Refused:
            pass  # somebody else was quicker
        except Exception as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_merges_and_orders_at_once_lose_nothing(size: str) -> None:
    """Three merges of the same three people in a circle, while all of them buy."""
    races, wrong = (100 if size == "full" else 6), 0
    with scope.within(scope.EVERYTHING):
        shop = a_shop()
    for race in range(races):
        phones = [("phone", f"1370000{race:03}{n}") for n in range(3)]
        with scope.within(scope.EVERYTHING):
            people = [whose(buy(shop, phone)) for phone in phones]
            rows = [shop.order(buyer=(shapes.Buyer(*phone),)) for phone in phones * 2]
            taken = [outcome.id for outcome in shop.take(*rows)]
        merges = [
            lambda keep=keep, drop=drop: oneid.merge(keep=keep, drop=drop, evidence={}, by=None, now=NOW)
            for keep, drop in zip(people, people[1:] + people[:1], strict=True)
        ]
        orders = [lambda order_id=order_id: intake.settle_order(order_id=order_id, now=NOW) for order_id in taken]
        failures = at_once(*merges, *orders)
        with scope.within(scope.EVERYTHING):
            assert failures == []
            roots = Member.objects.filter(pk__in=people, merged_into=None)
            bought = Purchase.objects.filter(membership__member__in=roots).count()
            held = sum(Membership.objects.filter(member__in=people).values_list("points", flat=True))
            wrong += (bought, held, roots.count()) != (9, 900, 1)
            for row in Merge.objects.filter(keep__in=people, undone_at=None).order_by("-pk"):
                with transaction.atomic():
                    oneid.unmerge(merge=row, by=None, now=NOW)
            wrong += points_of(*people) != [300, 300, 300]
    figure("P6", f"{races} races of 3 merges in a circle and 6 orders: {wrong} ended otherwise than one by one")
    assert wrong == 0


def test_every_touch_is_kept(shop: World, two: tuple[int, int]) -> None:
    Touch.objects.create(corp=CORP, member_id=two[1], purpose="service", at=NOW, effect="t1")
    done = merge(two)
    assert Touch.objects.get().member_id == two[0]
    oneid.unmerge(merge=done, by=None, now=NOW)
    assert Touch.objects.get().member_id == two[1]
    assert points.summary(membership=Membership.objects.get(member=two[1]), now=NOW).balance == 100
