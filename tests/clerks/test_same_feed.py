"""P6 for persons: the same orders, registrations and friends in any order make the same members of them."""

from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from clerks import friends
from clerks.friends import Listed, Reading
from members import identity
from members.models import Doubt, Identity, Membership, PointsRule, Purchase
from retail import intake, privacy, shapes
from retail.models import BuyerKey
from tests import factories
from tests.factories import NOW, World, world
from tests.figures import figure

pytestmark = pytest.mark.usefixtures("everything")
CORP = "ww-feed"
PEOPLE = (1, 2)
HOUR = timedelta(hours=1)


class Fact(NamedTuple):
    """Who did what when; `phone_of`: whose phone was given with it, if any."""

    kind: str
    who: int
    at: datetime
    phone_of: int | None = None


def keys_of(fact: Fact) -> tuple[shapes.Buyer, ...]:
    """What the channel tells of the buyer."""
    phone = [("phone", f"1380000000{fact.phone_of}")] if fact.phone_of else []
    said = {
        "till": phone,
        "till with card": [*phone, ("card", f"VIP{fact.who}")],
        "till, card only": [("card", f"VIP{fact.who}")],
        "mini": [("unionid", f"o-{fact.who}"), *phone],
        "tmall": [("channel_id", f"tm{fact.who}"), *phone],
        "register": [("unionid", f"o-{fact.who}"), *phone],
    }[fact.kind]
    return tuple(shapes.Buyer(*key) for key in said)


@st.composite
def feeds(draw: Any) -> list[Fact]:
    """What could have happened. A mini-program order and Tmall's may go to somebody else's phone."""
    facts = []
    for place in range(draw(st.integers(2, 6))):
        who = draw(st.sampled_from(PEOPLE))
        kind = draw(
            st.sampled_from(["till", "till with card", "till, card only", "mini", "tmall", "register", "wecom"])
        )
        own, other = who, draw(st.sampled_from(PEOPLE))
        phone = {"till": own, "till with card": own, "register": own, "mini": draw(st.sampled_from([None, other]))}
        facts.append(Fact(kind, who, NOW - 20 * HOUR + place * HOUR, phone.get(kind)))
    return facts


# ── The product ──────────────────────────────────────────────────────────────────────────────────────────────────────
def tell(shop: World, fact: Fact, place: int) -> None:
    if fact.kind == "wecom":
        at = NOW - 30 * HOUR + fact.who * HOUR  # WeCom always says the same
        reading = Reading(at + HOUR, (Listed("anna", at),), "", f"o-{fact.who}")
        friends.settle(corp=CORP, external_userid=f"wm-{fact.who}", reading=reading, now=at + HOUR)
    elif fact.kind == "register":
        channel = shop.channels["mini"]
        event = shapes.Event(
            channel=channel.code, outer_event_id=f"E{place}", type="register", at=fact.at, buyer=keys_of(fact)
        )
        (outcome,) = intake.take_events(channel=channel, data=[event], now=fact.at)
        assert not outcome.faults
    else:
        channel = shop.channels.get(fact.kind, shop.pos)
        row = shop.order(channel=channel, buyer=keys_of(fact), paid_at=fact.at, outer_order_id=f"O{place}")
        shop.settle(row, channel=channel, now=fact.at)


def lived(shop: World, feed: list[Fact], arrival: list[int], is_joined_late: bool) -> dict[str, Any]:
    with transaction.atomic():
        for place in arrival:
            tell(shop, feed[place], place)
            if not is_joined_late:
                factories.join_members()
        factories.join_members()
        outcome = end()
        transaction.set_rollback(True)
    return outcome


def end() -> dict[str, Any]:
    """Everybody by what they are known by, with all that is theirs; whom somebody has to look at together."""
    keys: dict[int, set[tuple[str, str]]] = {}
    for row in Identity.objects.filter(is_hearsay=False).select_related("key"):
        keys.setdefault(row.member_id, set()).add(named(row.key))
    persons = {member_id: frozenset(some) for member_id, some in keys.items()}

    def now_of(member_id: int) -> frozenset[tuple[str, str]]:
        """A question stays as it was asked; whoever answers it sees whom the two have become since."""
        return persons[identity.persons([member_id])[member_id][0]]

    identities = Identity.objects.filter(is_hearsay=False).select_related("key")
    return {
        "persons": sorted(map(sorted, persons.values())),
        "known since": sorted((named(row.key), row.seen_at, str(row.verified_at)) for row in identities),
        "bought": sorted(
            (sorted(persons[one.membership.member_id]), one.order.outer_order_id)
            for one in Purchase.objects.select_related("membership", "order")
        ),
        "standing": sorted(
            (sorted(persons[row.member_id]), row.points, str(row.first_purchase_at), str(row.last_purchase_at))
            for row in Membership.objects.filter(member__merged_into=None)
        ),
        "asked": groups(
            [(now_of(one.one_id), now_of(one.other_id)) for one in Doubt.objects.filter(state=Doubt.State.OPEN)]
        ),
    }


def named(key: BuyerKey) -> tuple[str, str]:
    return key.type, privacy.reveal(key)


def groups(pairs: list[tuple[Any, Any]]) -> set[frozenset[Any]]:
    """Who is to be looked at together: with the one key everybody learns first, or with the other."""
    found: list[set[Any]] = []
    for one, other in pairs:
        near = [some for some in found if one in some or other in some]
        found = [some for some in found if some not in near] + [{one, other}.union(*near)]
    return {frozenset(some) for some in found}


@pytest.fixture
def shop() -> World:
    shop = world(corp=CORP)
    PointsRule.objects.create(brand=shop.brand, name="每元一分", starts_on=NOW.date() - timedelta(days=99))
    shop.channels = {"mini": shop.channel("mini_program"), "tmall": shop.channel("tmall")}
    return shop


def test_the_same_feed_in_any_order_gives_the_same_members(shop: World, size: Literal["quick", "full"]) -> None:
    tried = [0]

    @settings(
        max_examples=40 if size == "quick" else 3_000,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(feeds(), st.data())
    def check(feed: list[Fact], data: Any) -> None:
        arrival = data.draw(st.permutations(range(len(feed))))
        expected = lived(shop, feed, list(range(len(feed))), is_joined_late=False)
        assert lived(shop, feed, list(arrival), is_joined_late=data.draw(st.booleans())) == expected
        tried[0] += 1

    check()
    figure("P6", f"{tried[0]} feeds of two people in another order: 0 other members")
