"""P6: whatever order moves and readings arrive in, and however often, the end is the same."""

import random
from datetime import timedelta
from typing import Any, Literal, NamedTuple

import pytest
from django.db import transaction

from clerks import friends
from clerks.friends import Listed, Move, Reading
from clerks.models import Binding, Friend, FriendMove
from members.models import Membership
from retail import shapes
from retail.models import StaffAccount
from tests import factories
from tests.factories import NOW, World
from tests.figures import figure

pytestmark = pytest.mark.usefixtures("everything")
CORP, WHO = "ww-friends", "wm-somebody"
CLERKS = ("anna", "bing", "chen")
SECOND = timedelta(seconds=1)


@pytest.fixture
def shop(everything: None) -> World:
    shop = factories.world(corp=CORP)
    for userid in CLERKS:
        StaffAccount.objects.create(staff=shop.hire(f"{userid}-{factories.number()}"), corp=CORP, userid=userid)
    return shop


class Life(NamedTuple):
    """What happened between a customer and three clerks, and what WeCom lists after each of it."""

    moves: list[Move]
    lists: list[tuple[Listed, ...]]


def life(rng: random.Random, *, length: int) -> Life:
    """As it can happen: nobody is lost who was no friend, added who is one, and so on."""
    at, states, since, moves, lists = NOW - timedelta(days=600), {}, {}, [], []
    while len(moves) < length:
        userid = rng.choice(CLERKS)
        follows: dict[str, list[str]] = {
            "": ["half", "added"],
            "half": ["added"],
            "added": ["lost", "deleted", "transferred"],
            "lost": ["added", "deleted"],
        }
        at += rng.choice([SECOND, timedelta(minutes=5), timedelta(days=20), timedelta(days=100)])
        kind = rng.choice(follows[states.get(userid, "")])
        states[userid] = "" if kind in ("deleted", "transferred") else kind
        if kind == "added":
            since[userid] = at
        moves.append(Move(userid, kind, at, rng.choice(["", "door", "poster"]) if kind == "added" else ""))
        lists.append(tuple(Listed(u, since[u], tags=("t",)) for u, s in states.items() if s in ("added", "lost")))
    return Life(moves, lists)


def end() -> dict[str, Any]:
    """Everything that may not depend on the order."""
    rows = Binding.objects.order_by("started_at", "pk")
    return {
        "friends": {row.userid: (row.state, row.since, row.state_code) for row in Friend.objects.all()},
        "moves": sorted(FriendMove.objects.values_list("friend__userid", "kind", "at", "state_code")),
        "bonds": [
            (row.staff_id, row.started_at, row.ended_at, row.end_reason, row.protected_until, row.lost_at)
            for row in rows
            if row.ended_at != row.started_at
        ],
        "membership": list(Membership.objects.values_list("registered_at", "registered_store")),
    }


def lived(story: Life, order: list[int], *, is_late: bool) -> dict[str, Any]:
    """The end of it, when moves arrive in this order; what is read is as it is by then, or as it is in the end."""
    newest = 0
    with transaction.atomic():
        for place, number in enumerate(order):
            newest = max(newest, number)
            known = story.lists[-1 if is_late else newest]
            at = NOW + place * SECOND if is_late else story.moves[newest].at + timedelta(minutes=2)
            reading = Reading(at, known, "小鹿")
            friends.settle(
                corp=CORP, external_userid=WHO, moves=[story.moves[number]], reading=reading, now=max(at, NOW)
            )
        outcome = end()
        transaction.set_rollback(True)
    return outcome


def orders(rng: random.Random, length: int, *, is_late: bool) -> list[int]:
    """Each move once to three times: in any order, or some places from where it belongs."""
    places = [place for place in range(length) for _ in range(rng.choice([1, 1, 1, 2]))]
    if is_late:
        rng.shuffle(places)
        return places
    return sorted(places, key=lambda place: place + rng.uniform(0, 4))


def test_the_order_of_arrival_does_not_matter(shop: World, size: Literal["quick", "full"]) -> None:
    rng, histories, each = random.Random(6), (10 if size == "quick" else 100), (16 if size == "quick" else 100)
    tried = 0
    for number in range(histories):
        story = life(rng, length=30 if number % 20 == 0 else rng.randint(3, 7))
        expected = lived(story, list(range(len(story.moves))), is_late=True)
        for turn in range(each if number % 20 else 5):
            is_late = turn % 2 == 0
            order = orders(rng, len(story.moves), is_late=is_late)
            assert lived(story, order, is_late=is_late) == expected, (story, order, is_late)
            tried += 1
    figure("P6", f"{tried} orders of arrival of {histories} lives of a customer: 0 other ends")


def settle(moves: list[Move] = [], **reading: Any) -> Friend:  # noqa: B006
    told = Reading(reading["at"], reading.get("listed", ())) if reading else None
    return friends.settle(
        corp=CORP, external_userid=WHO, moves=moves, reading=told, now=reading.get("at", NOW)
    ).friends["anna"]


def test_a_reading_finds_what_nobody_told(shop: World) -> None:
    friend = settle(at=NOW, listed=(Listed("anna", NOW - timedelta(days=3), "door", 1, ("vip",)),))
    assert (friend.state, friend.since, friend.tags) == ("friend", NOW - timedelta(days=3), ["vip"])
    assert friend.moves.get().is_read
    assert Binding.objects.get().started_at == friend.since


def test_a_reading_that_is_some_seconds_old_ends_nothing(shop: World) -> None:
    friend = settle([Move("anna", "added", NOW)], at=NOW + 5 * SECOND)
    assert (friend.state, friend.moves.count()) == ("friend", 1)
    assert settle(at=NOW + timedelta(minutes=2)).state == "deleted"


def test_a_stale_reading_revives_nobody(shop: World) -> None:
    settle([Move("anna", "added", NOW - timedelta(days=3))])
    listed = (Listed("anna", NOW - timedelta(days=3) + SECOND),)  # WeCom's two clocks
    friend = settle([Move("anna", "deleted", NOW)], at=NOW + 2 * SECOND, listed=listed)
    assert (friend.state, friend.moves.count()) == ("deleted", 2)


def test_a_late_event_takes_the_place_of_what_a_reading_showed(shop: World) -> None:
    settle([Move("anna", "added", NOW - timedelta(days=3))])
    assert settle(at=NOW).state == "deleted"
    friend = settle([Move("anna", "transferred", NOW - timedelta(days=1))])
    assert friend.state == "transferred"
    assert [(move.kind, move.is_read) for move in friend.moves.order_by("at")] == [
        ("added", False),
        ("transferred", False),
    ]


def test_an_older_reading_does_not_overwrite_a_newer_one(shop: World) -> None:
    added = NOW - timedelta(days=3)
    settle(at=NOW, listed=(Listed("anna", added, tags=("new",)),))
    assert settle(at=NOW - SECOND, listed=(Listed("anna", added, tags=("old",)),)).tags == ["new"]


def test_the_stronger_identity_decides_who_it_is(shop: World) -> None:
    shop.settle(shop.order(buyer=(shapes.Buyer("unionid", "o-known"),)))
    reading = Reading(NOW, (Listed("anna", NOW),), "小鹿", "o-known")
    friend = friends.settle(corp=CORP, external_userid=WHO, reading=reading, now=NOW).friends["anna"]
    assert friend.member == Membership.objects.get().member
    assert friend.member.identities.count() == 2
