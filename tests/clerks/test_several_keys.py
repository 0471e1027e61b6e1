"""P6, for somebody whom WeCom knows under several ids: whose customer they are follows from all of them together."""

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from clerks import friends, oneid
from clerks.friends import Listed, Move, Reading
from clerks.models import Binding, Friend, FriendMove
from members.models import Identity, Member, Membership
from retail import privacy
from retail.models import StaffAccount
from tests import factories
from tests.factories import NOW, World
from tests.figures import figure

pytestmark = pytest.mark.usefixtures("everything")
CORP, UNIONID = "ww-keys", "o-the-same"
CLERKS = ("anna", "bing", "chen")
KEYS = ("wm-one", "wm-two", "wm-three")
SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
PROTECTION = 90 * DAY


class Told(NamedTuple):
    """A callback about one of the keys, with a reading besides or without."""

    key: int
    move: Move
    has_reading: bool


class Joined(NamedTuple):
    """Somebody finds out that this key and the first are one person, and merges them."""

    key: int


class Story(NamedTuple):
    """What happened, in order; how the keys prove to be one person's; what was imported; how all of it arrives."""

    told: list[Told]
    unions: frozenset[int]  # keys of which WeCom tells the unionid
    imported: tuple[str, datetime] | None
    arrival: list[Told | Joined]

    def lists(self, key: int) -> tuple[Listed, ...]:
        """What WeCom lists of a key in the end."""
        since: dict[str, datetime] = {}
        for _key, move, _has in (one for one in self.told if one.key == key):
            if move.kind == "added":
                since[move.userid] = move.at
            elif move.kind != "lost":
                since.pop(move.userid, None)
        return tuple(Listed(userid, at) for userid, at in since.items())


FOLLOWS = {"": ("added",), "added": ("lost", "deleted", "transferred"), "lost": ("added", "deleted")}


@st.composite
def stories(draw: Any) -> Story:
    keys = range(draw(st.integers(1, 3)))
    at, states, told = NOW - timedelta(days=700), {}, []
    for _step in range(draw(st.integers(1, 7))):
        at += draw(st.sampled_from([SECOND, timedelta(minutes=5), 20 * DAY, 100 * DAY]))
        place = draw(st.sampled_from(keys)) if told else 0, draw(st.sampled_from(CLERKS))
        kind = draw(st.sampled_from(FOLLOWS[states.get(place, "")]))
        states[place] = "" if kind in ("deleted", "transferred") else kind
        told.append(Told(place[0], Move(place[1], kind, at), draw(st.booleans())))
    unions = frozenset(draw(st.sets(st.sampled_from(keys), min_size=2)) if len(keys) > 1 else ())
    unions = unions | {0} if unions else unions
    some = [
        *told,
        *draw(st.lists(st.sampled_from(told), max_size=3)),
        *(Joined(key) for key in {*keys} - unions - {0}),
    ]
    claims = [one.move for one in told if one.move.kind == "added"]
    claim = draw(st.sampled_from(claims))
    moments = (claim.at, claim.at - 10 * DAY, NOW - timedelta(days=750))
    imported = (draw(st.sampled_from([claim.userid, *CLERKS])), draw(st.sampled_from(moments)) + SECOND * 0.123456)
    return Story(told, unions, draw(st.none() | st.just(imported)), draw(st.permutations(some)))


# ── The product ──────────────────────────────────────────────────────────────────────────────────────────────────────
def key_id(number: int) -> int:
    known = friends.key_of(corp=CORP, external_userid=KEYS[number])
    return privacy.keep([known])[known]


def give(member: Member, key: int) -> None:
    Identity.objects.create(member=member, key_id=key, source="import", seen_at=NOW)


def load(story: Story, shop: World) -> None:
    """The first load: a member with the first key and the unionid, and whose they are; its times have microseconds."""
    if story.imported is None:
        return
    userid, at = story.imported
    member = Member.objects.create(created_at=at)
    give(member, key_id(0))
    if story.unions:
        unionid = privacy.normalised(privacy.Known("unionid", "", UNIONID))
        give(member, privacy.keep([unionid])[unionid])
    staff = StaffAccount.objects.get(corp=CORP, userid=userid).staff
    whose = {"brand": shop.brand, "store": shop.store, "staff": staff, "source": "contact_code"}
    Binding.objects.create(member=member, started_at=at, protected_until=at + PROTECTION, **whose)


def hear(story: Story, told: Told, place: int) -> None:
    at = NOW + place * SECOND
    reading = read(story, told.key, at) if told.has_reading else None
    friends.settle(corp=CORP, external_userid=KEYS[told.key], moves=[told.move], reading=reading, now=at)
    factories.join_members()


def read(story: Story, key: int, at: datetime) -> Reading:
    return Reading(at, story.lists(key), "小鹿", UNIONID if key in story.unions else "")


def join(number: int) -> None:
    """Somebody merges two members, or knows before WeCom does that both keys are one's."""
    first, other = (Member.objects.filter(identities__key=key_id(one)).first() for one in (0, number))
    if first is None and other is None:
        first = Member.objects.create(created_at=NOW)
    kept = first or other
    for one, owner in ((0, first), (number, other)):
        if owner is None or not Identity.objects.filter(key=key_id(one)).exists():
            give(kept, key_id(one))
    if first and other and first != other:
        oneid.merge(keep=first.pk, drop=other.pk, evidence={}, by=None, now=NOW)


def lived(story: Story, arrival: list[Told | Joined], shop: World) -> dict[str, Any]:
    """The end of it: everything in this order, and then a full sync."""
    with transaction.atomic():
        load(story, shop)
        for place, one in enumerate(arrival):
            join(one.key) if isinstance(one, Joined) else hear(story, one, place)
        for key in sorted({one.key for one in story.told}):
            at = NOW + DAY
            friends.settle(corp=CORP, external_userid=KEYS[key], reading=read(story, key, at), now=at)
            factories.join_members()
        outcome = end()
        transaction.set_rollback(True)
    return outcome


def end() -> dict[str, Any]:
    rows = Binding.objects.order_by("started_at", "ended_at", "pk").select_related("staff")
    codes = dict(StaffAccount.objects.filter(corp=CORP).values_list("staff", "userid"))
    [member] = {friend.member for friend in Friend.objects.filter(moves__kind="added")}
    return {
        "friends": sorted(Friend.objects.values_list("userid", "key", "state", "since")),
        "moves": sorted(FriendMove.objects.values_list("friend__userid", "friend__key", "kind", "at")),
        "bonds": [
            (codes[row.staff_id], row.started_at, row.ended_at, row.end_reason, row.protected_until, row.lost_at)
            for row in rows
            if row.ended_at != row.started_at
        ],
        "whose": {row.member_id == member.pk for row in rows if row.ended_at != row.started_at},
        "since": list(Membership.objects.filter(member=member).values_list("registered_at", flat=True)),
    }


# ── What has to come of it, told another way ─────────────────────────────────────────────────────────────────────────
def owners(story: Story) -> list[tuple[str, datetime]]:
    """Who the customer belonged to since when, under the rule `last`."""
    known = [story.imported] if story.imported else []
    active = known[0][1] if known else NOW - timedelta(days=9999)
    for move in (one.move for one in story.told if one.move.kind == "added"):
        if known and move.at <= known[0][1].replace(microsecond=0):
            continue
        if not known or (move.userid != known[-1][0] and move.at >= active + PROTECTION):
            known.append((move.userid, move.at))
        if known[-1][0] == move.userid:
            active = move.at
    return known


@pytest.fixture
def shop(everything: None) -> World:
    shop = factories.world(corp=CORP)
    for userid in CLERKS:
        StaffAccount.objects.create(staff=shop.hire(f"{userid}-{factories.number()}"), corp=CORP, userid=userid)
    for number in range(len(KEYS)):
        key_id(number)
    return shop


tried: list[int] = []


def alike(story: Story, shop: World) -> None:
    orderly: list[Told | Joined] = [*(one for one in story.arrival if isinstance(one, Joined)), *story.told]
    expected = lived(story, orderly, shop)
    assert lived(story, story.arrival, shop) == expected
    bonds = expected["bonds"]
    assert [(who, since) for who, since, *_rest in bonds] == owners(story)
    assert expected["whose"] == {True}
    # Nobody loses a customer but to somebody who claims them at that very second.
    assert all(one[2] == other[1] for one, other in pairwise(bonds))
    assert [one[2] for one in bonds[-1:]] == [None]
    tried.append(1)


def test_whatever_order_keys_imports_merges_and_callbacks_come_in(shop: World, size: Literal["quick", "full"]) -> None:
    @settings(
        max_examples=25 if size == "quick" else 3_000,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(stories())
    def check(story: Story) -> None:
        alike(story, shop)

    tried.clear()
    check()
    figure("P6", f"{len(tried)} stories of a member with 1 to 3 WeCom ids, imported or not: 0 other ends, 0 lost")


# ── The two that were lost ───────────────────────────────────────────────────────────────────────────────────────────
def claim(key: int, userid: str, at: datetime, unionid: str = UNIONID) -> None:
    reading = Reading(at, (Listed(userid, at),), "小鹿", unionid)
    moves = [Move(userid, "added", at)]
    friends.settle(corp=CORP, external_userid=KEYS[key], moves=moves, reading=reading, now=at)
    factories.join_members()


def test_a_colleague_scanned_with_another_wechat_takes_nobody_away(shop: World) -> None:
    claim(0, "anna", NOW)
    claim(1, "bing", NOW + 5 * DAY)
    claim(1, "bing", NOW + 5 * DAY)
    row = Binding.objects.get(ended_at=None)
    assert (row.staff.accounts.get().userid, row.started_at) == ("anna", NOW)
    assert Friend.objects.values("member").distinct().count() == 1


def test_who_is_deleted_under_one_id_and_a_friend_under_another_has_not_lost_them(shop: World) -> None:
    claim(0, "anna", NOW)
    claim(1, "anna", NOW + DAY)
    for key, at, lost in ((0, NOW + 2 * DAY, None), (1, NOW + 3 * DAY, NOW + 3 * DAY)):
        friends.settle(corp=CORP, external_userid=KEYS[key], moves=[Move("anna", "lost", at)], now=at)
        assert Binding.objects.get(ended_at=None).lost_at == lost


def test_an_import_that_differs_by_less_than_a_second_is_left_alone(shop: World) -> None:
    at = NOW - 30 * DAY
    story = Story([Told(0, Move("anna", "added", at), True)], frozenset(), ("anna", at + SECOND * 0.4), [])
    load(story, shop)
    before = Binding.objects.values().get()
    friends.settle(corp=CORP, external_userid=KEYS[0], reading=read(story, 0, NOW), now=NOW)
    assert Binding.objects.values().get() == before


def test_a_corrected_post_takes_no_customer_away(shop: World) -> None:
    claim(0, "anna", NOW)
    shop.staff[next(code for code in shop.staff if code.startswith("anna"))].posts.update(starts_at=NOW + DAY)
    claim(0, "bing", NOW + 2 * DAY)
    assert Binding.objects.get(ended_at=None).staff.accounts.get().userid == "anna"
