"""换个规则会怎样: the answer is what the judge would have done, and nothing is written."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from clerks import friends, policies, whatif
from clerks.friends import Move
from clerks.models import Binding, PastPolicy
from retail.models import AuditRow, Brand, StaffAccount
from tests import factories
from tests.factories import NOW, World

pytestmark = pytest.mark.usefixtures("everything")
CORP, DAY = "ww-what-if", timedelta(days=1)
TODAY = NOW + 100 * DAY


@pytest.fixture
def shop(everything: None) -> World:
    """Of anna's three customers two came to bing after 40 and after 60 days; a fourth was always bing's."""
    shop = factories.world(corp=CORP)
    for userid in ("anna", "bing"):
        StaffAccount.objects.create(staff=shop.hire(userid), corp=CORP, userid=userid)
    for day, userid, who in [
        *((0, "anna", f"wm-{n}") for n in range(3)),
        *((40, "bing", "wm-0"), (60, "bing", "wm-1"), (70, "bing", "wm-3")),
    ]:
        at = NOW + day * DAY
        friends.settle(corp=CORP, external_userid=who, moves=[Move(userid, "added", at)], now=at)
    return shop


def look(shop: World, *, since: int = 30, cap: int | None = None, **wanted: object) -> whatif.Outcome:
    said = {name: getattr(shop.brand, name) for name in policies.FIELDS} | wanted
    rules = policies.Rules.of(Brand(**said))
    return whatif.look(brand=shop.brand, rules=rules, cap=cap, since=NOW + since * DAY, now=TODAY)


def test_a_shorter_protection_gives_them_to_who_came_later(shop: World) -> None:
    before = list(Binding.objects.order_by("pk").values())

    outcome = look(shop, protection_days=30)

    assert (outcome.bound, outcome.looked, outcome.changed) == (4, 2, 2)
    assert [(line.name, line.gained, line.lost) for line in outcome.clerks] == [
        (str(shop.staff["anna"]), 0, 2),
        (str(shop.staff["bing"]), 2, 0),
    ]
    assert outcome.stores == [], "both work in the same store"
    assert {(one.was, one.would) for one in outcome.sample} == {(str(shop.staff["anna"]), str(shop.staff["bing"]))}
    assert list(Binding.objects.order_by("pk").values()) == before
    assert not PastPolicy.objects.exists() and not AuditRow.objects.filter(action="policy.change").exists()


def test_what_happened_before_is_judged_as_it_was(shop: World) -> None:
    assert look(shop, protection_days=30, since=50).changed == 1
    assert look(shop, protection_days=30, since=61).changed == 0
    assert look(shop).changed == 0


def test_a_cap_says_who_would_have_stayed_in_the_pool(shop: World) -> None:
    outcome = look(shop, cap=2, since=-1)
    assert (outcome.full, outcome.changed) == (1, 1)
    assert outcome.sample[0].would == "" and outcome.clerks[0].lost == 1
    assert look(shop, cap=3, since=-1).full == 0


def test_it_is_what_the_change_does(shop: World) -> None:
    """Had the brand laid it down on day 30, the same two would be bing's."""
    expected = {one.member.pk for one in look(shop, protection_days=30).sample}
    Binding.objects.all().delete()
    policies.change(brand=shop.brand, wanted={"protection_days": 30}, by=None, now=NOW + 30 * DAY)
    for n in range(4):
        friends.settle(corp=CORP, external_userid=f"wm-{n}", now=TODAY)
    moved = Binding.objects.filter(ended_at=None, staff=shop.staff["bing"]).exclude(started_at=NOW + 70 * DAY)
    assert {row.member_id for row in moved} == expected


def test_many_cost_no_more_statements_than_few(shop: World) -> None:
    with CaptureQueriesContext(connection) as few:
        assert look(shop, protection_days=30).changed == 2
    for n in range(10, 22):
        for day, userid in ((0, "anna"), (65, "bing")):
            at = NOW + day * DAY
            friends.settle(corp=CORP, external_userid=f"wm-{n}", moves=[Move(userid, "added", at)], now=at)
    with CaptureQueriesContext(connection) as many:
        assert look(shop, protection_days=30).changed == 14
    assert len(many) == len(few)
