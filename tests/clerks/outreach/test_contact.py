"""The gate: stops, quiet hours, whose customer, how often. "Stop" means stop, whatever came before (P9)."""

import random
from datetime import datetime, timedelta
from typing import Literal

import pytest

from clerks.models import Binding, Touch
from clerks.outreach import contact
from clerks.outreach.contact import Purpose
from members import consent
from members.models import Identity, Member, Stop
from retail import privacy
from tests import factories
from tests.factories import NOW, World
from tests.figures import figure

pytestmark = pytest.mark.usefixtures("everything")
CORP = "ww-contact"


@pytest.fixture
def shop(everything: None) -> World:
    shop = factories.world(corp=CORP)
    shop.hire("anna")
    shop.hire("bing")
    return shop


@pytest.fixture
def member(shop: World) -> Member:
    member = Member.objects.create(name="小鹿", created_at=NOW)
    Binding.objects.create(
        brand=shop.brand, member=member, staff=shop.staff["anna"], store=shop.store, source="manual",
        started_at=NOW, protected_until=NOW + timedelta(days=90),
    )  # fmt: skip
    return member


def verdict(
    member: Member, shop: World, purpose: str = Purpose.MARKETING, by: str = "anna", now: datetime = NOW
) -> str:
    found = contact.may(member_id=member.pk, corp=CORP, purpose=purpose, by=shop.staff[by], now=now)
    return found.reason or "yes"


def test_ones_own_customer_in_the_day(shop: World, member: Member) -> None:
    assert verdict(member, shop) == "yes"


def test_who_asked_to_be_forgotten_and_came_back_is_answered_and_never_sought(shop: World, member: Member) -> None:
    known = privacy.Known("phone", "", "13900001111")
    (old,) = privacy.keep([known]).values()
    privacy.erase(key_id=old, by=None, reason="本人要求", now=NOW)
    (key,) = privacy.keep([known]).values()
    Identity.objects.create(member=member, key_id=key, source="order", seen_at=NOW)

    said = {purpose: verdict(member, shop, purpose) for purpose in Purpose.values}

    gone = dict.fromkeys(("service", "marketing", "opened"), "forgotten")
    assert said == {"welcome": "yes", "reply": "yes", **gone}


def test_somebody_elses_customer(shop: World, member: Member) -> None:
    assert verdict(member, shop, by="bing") == "not_yours"


@pytest.mark.parametrize(("hour", "said"), [(8, "quiet"), (9, "yes"), (20, "yes"), (21, "quiet")])
def test_nobody_is_disturbed_at_night(shop: World, member: Member, hour: int, said: str) -> None:
    assert verdict(member, shop, now=NOW.replace(hour=hour)) == said
    assert verdict(member, shop, Purpose.SERVICE, now=NOW.replace(hour=hour)) == "yes"


def test_once_a_day_twice_a_week_six_times_a_month_whoever_it_was(shop: World, member: Member) -> None:
    """On whichever days one asks: as often as it is allowed they are contacted, by a colleague."""
    days = [day for day in range(45) if _contacted(shop, member, NOW + timedelta(days=day))]

    assert days == [0, 1, 7, 8, 14, 15, 30, 31, 37, 38, 44]
    assert verdict(member, shop, now=NOW + timedelta(days=44, hours=2)) == "too_often"


def _contacted(shop: World, member: Member, at: datetime) -> bool:
    if verdict(member, shop, now=at) != "yes":
        return False
    about = {"member_id": member.pk, "corp": CORP, "purpose": "marketing", "by": shop.staff["bing"]}
    contact.touch(**about, store_id=None, effect=f"t{at}", now=at)
    return True


def test_the_same_touch_counts_once(shop: World, member: Member) -> None:
    for _ in range(2):
        contact.touch(
            member_id=member.pk, corp=CORP, purpose="service", by=None, store_id=None, effect="same", now=NOW
        )
    assert Touch.objects.count() == 1


def test_a_stop_holds_for_its_corp_channel_and_purpose(shop: World, member: Member) -> None:
    stop = consent.stop(member=member, corp=CORP, purpose="marketing", by=None, now=NOW)
    assert consent.stop(member=member, corp=CORP, purpose="marketing", by=None, now=NOW) == stop
    assert (verdict(member, shop), verdict(member, shop, Purpose.SERVICE)) == ("stopped", "yes")
    consent.stop(member=member, corp="another", by=None, now=NOW)
    assert verdict(member, shop, Purpose.SERVICE) == "yes"
    consent.lift(stop=stop, by=None, now=NOW)
    assert verdict(member, shop) == "yes"


def test_no_history_gets_past_a_stop(shop: World, member: Member, size: Literal["quick", "full"]) -> None:
    """Stops and lifts of any channel and purpose in any order: allowed exactly where no stop in force fits."""
    rng, histories = random.Random(9), 500 if size == "quick" else 10_000
    for _ in range(histories):
        Stop.objects.all().delete()
        held: set[tuple[str, str]] = set()
        for _ in range(rng.randint(1, 5)):
            place = (rng.choice(["", "wecom", "sms"]), rng.choice(["", "marketing", "service"]))
            row = Stop.objects.filter(channel=place[0], purpose=place[1], lifted_at=None).first()
            if row and rng.random() < 0.4:
                consent.lift(stop=row, by=None, now=NOW)
                held.discard(place)
            else:
                consent.stop(member=member, corp=CORP, channel=place[0], purpose=place[1], by=None, now=NOW)
                held.add(place)
        for purpose in ("marketing", "service"):
            is_stopped = any(c in ("", "wecom") and p in ("", purpose) for c, p in held)
            assert (verdict(member, shop, purpose) == "stopped") == is_stopped
    figure("P9", f"{histories} histories of stops: 0 let through")


@pytest.mark.parametrize("purpose", ["welcome", "service", "marketing"])
def test_nobody_contacts_whom_nobody_knows(shop: World, purpose: str) -> None:
    verdict = contact.may(member_id=None, corp=CORP, purpose=purpose, by=None, now=NOW)
    assert (verdict.ok, verdict.reason) == (False, "unknown")
