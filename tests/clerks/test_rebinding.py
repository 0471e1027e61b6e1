"""专属导购 by codes: protection, the brand's rule, what a lost friend changes, takeovers."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from clerks import friends
from clerks.friends import Listed, Move, Reading
from clerks.models import Binding
from members.models import Member
from retail import shapes
from retail.models import AuditRow, Brand, StaffAccount
from tests import factories
from tests.factories import NOW, World

pytestmark = pytest.mark.usefixtures("everything")
CORP, WHO = "ww-rebinding", "wm-somebody"
DAY = timedelta(days=1)


@pytest.fixture
def shop(everything: None) -> World:
    shop = factories.world(corp=CORP)
    for userid in ("anna", "bing"):
        StaffAccount.objects.create(staff=shop.hire(userid), corp=CORP, userid=userid)
    return shop


def hear(userid: str, at: datetime, kind: str = "added", **reading: Any) -> None:
    told = Reading(at, **reading) if reading else None
    friends.settle(corp=CORP, external_userid=WHO, moves=[Move(userid, kind, at)], reading=told, now=at)


def bonds() -> list[tuple[str, str, str]]:
    rows = Binding.objects.order_by("started_at").select_related("staff")
    return [(row.staff.code, row.source, row.end_reason) for row in rows if row.ended_at != row.started_at]


def test_another_clerk_within_the_protection_is_a_friend_and_no_more(shop: World) -> None:
    hear("anna", NOW)
    hear("bing", NOW + 89 * DAY)
    assert bonds() == [("anna", "contact_code", "")]
    assert Member.objects.get().friends.filter(state="friend").count() == 2


def test_after_the_protection_the_newest_has_them(shop: World) -> None:
    hear("anna", NOW)
    hear("bing", NOW + 90 * DAY)
    assert bonds() == [("anna", "contact_code", "rebound"), ("bing", "contact_code", "")]


def test_that_somebody_else_has_them_is_in_the_journal(shop: World) -> None:
    hear("anna", NOW)
    hear("anna", NOW + DAY)
    assert not AuditRow.objects.filter(action="binding.change").exists(), "the first relation is its own evidence"

    hear("bing", NOW + 91 * DAY)

    act = AuditRow.objects.get(action="binding.change")
    assert (act.by, act.target_id) == (None, str(Binding.objects.get(ended_at=None).pk))
    assert "anna" in act.before["staff"] and "bing" in act.after["staff"]
    assert act.at == NOW + 91 * DAY


@pytest.mark.parametrize(
    ("rebind", "days", "whose"), [("first", 900, "anna"), ("idle", 179, "anna"), ("idle", 180, "bing")]
)
def test_the_rule_of_the_brand_decides(shop: World, rebind: str, days: int, whose: str) -> None:
    Brand.objects.filter(pk=shop.brand.pk).update(rebind=rebind)
    hear("anna", NOW)
    hear("bing", NOW + days * DAY)
    assert bonds()[-1][0] == whose


def buy(shop: World, at: datetime) -> None:
    buyer = (shapes.Buyer("external_userid", WHO),)
    shop.settle(shop.order(channel=None, buyer=buyer, paid_at=at, serving_clerk="bing"), now=at)


def test_a_purchase_prolongs_the_protection(shop: World) -> None:
    hear("anna", NOW)
    buy(shop, NOW + 60 * DAY)
    hear("bing", NOW + 120 * DAY)
    assert bonds() == [("anna", "contact_code", "")]


def test_a_lost_friend_keeps_the_relation_but_it_is_prolonged_no_more(shop: World) -> None:
    hear("anna", NOW)
    hear("anna", NOW + 30 * DAY, "lost")
    buy(shop, NOW + 60 * DAY)
    row = Binding.objects.get()
    assert (row.lost_at, row.protected_until) == (NOW + 30 * DAY, NOW + 90 * DAY)
    hear("bing", NOW + 91 * DAY)
    assert bonds()[-1][0] == "bing"


def test_a_friend_again_is_prolonged_again(shop: World) -> None:
    hear("anna", NOW)
    hear("anna", NOW + 30 * DAY, "lost")
    hear("anna", NOW + 40 * DAY)
    row = Binding.objects.get()
    assert (row.lost_at, row.protected_until) == (None, NOW + 130 * DAY)


def test_an_earlier_claim_that_comes_late_takes_its_place(shop: World) -> None:
    hear("bing", NOW + 10 * DAY)
    assert bonds() == [("bing", "contact_code", "")]
    hear("anna", NOW)
    assert bonds() == [("anna", "contact_code", "")]
    hear("bing", NOW + 10 * DAY)
    assert bonds() == [("anna", "contact_code", "")]


def test_who_was_bound_at_the_till_first_stays(shop: World) -> None:
    buy(shop, NOW)
    hear("anna", NOW + 10 * DAY)
    assert bonds() == [("bing", "first_sale", "")]
    hear("anna", NOW + 95 * DAY)
    assert bonds() == [("bing", "first_sale", "rebound"), ("anna", "contact_code", "")]


def test_who_takes_over_in_wecom_has_them_at_once(shop: World) -> None:
    hear("anna", NOW)
    listed = (Listed("bing", NOW + DAY, "", friends.TAKEN_OVER),)
    hear("anna", NOW + DAY, "transferred", listed=listed)
    assert bonds() == [("anna", "contact_code", "handed_over"), ("bing", "takeover", "")]


def test_what_a_person_ended_stays_ended(shop: World) -> None:
    hear("anna", NOW)
    Binding.objects.update(ended_at=NOW + 5 * DAY, end_reason=Binding.End.MANUAL)
    hear("anna", NOW)
    assert bonds() == [("anna", "contact_code", "manual")]
    hear("bing", NOW + 6 * DAY)
    assert bonds()[-1] == ("bing", "contact_code", "")
