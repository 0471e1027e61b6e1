"""专属规则: each value of each policy, what a change leaves alone, and who is turned away from a clerk who is full."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from clerks import binding, friends, policies
from clerks.friends import Move
from clerks.models import Binding, Notice, PastPolicy, TurnedAway
from clerks.outreach import contact, full
from members.models import Member, Purchase
from retail import intake, privacy, shapes
from retail.models import AuditRow, Brand, StaffAccount, Store
from tests import factories
from tests.factories import NOW, World

pytestmark = pytest.mark.usefixtures("everything")
CORP, WHO = "ww-policies", "wm-lin"
DAY = timedelta(days=1)


@pytest.fixture
def shop(everything: None) -> World:
    shop = factories.world(corp=CORP)
    for userid in ("anna", "bing"):
        StaffAccount.objects.create(staff=shop.hire(userid), corp=CORP, userid=userid)
    away = shop.another_store()
    StaffAccount.objects.create(staff=shop.hire("chen", store=away), corp=CORP, userid="chen")
    return shop


def hear(userid: str, at: datetime, who: str = WHO) -> None:
    friends.settle(corp=CORP, external_userid=who, moves=[Move(userid, "added", at)], now=at)


def lay_down(shop: World, **wanted: Any) -> None:
    """As if it had always been so."""
    Brand.objects.filter(pk=shop.brand.pk).update(**wanted)
    shop.brand.refresh_from_db()


def owner() -> str:
    return Binding.objects.select_related("staff").get(ended_at=None).staff.code


def buy(shop: World, at: datetime, clerk: str | None = None, buyer: str = WHO) -> None:
    who = (shapes.Buyer("external_userid", buyer),)
    shop.settle(shop.order(buyer=who, paid_at=at, serving_clerk=clerk), now=at)


def reply(shop: World, at: datetime) -> None:
    contact.touch(
        member_id=Member.objects.get().pk, corp=CORP, purpose=contact.Purpose.REPLY, by=shop.staff["anna"],
        store_id=shop.store.pk, effect=f"reply:{at}", now=at,
    )  # fmt: skip


def open_link(shop: World, at: datetime, clerk: str = "anna") -> Binding | None:
    member, staff = Member.objects.get(), shop.staff[clerk]
    return binding.claim_by_link(brand=shop.brand, member_id=member.pk, staff_id=staff.pk, link="L7", at=at, now=at)


# ── Each value ───────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(("days", "whose"), [(30, "bing"), (31, "anna")])
def test_the_protection_lasts_as_long_as_the_brand_says(shop: World, days: int, whose: str) -> None:
    lay_down(shop, protection_days=days)
    hear("anna", NOW)
    hear("bing", NOW + 30 * DAY)
    assert owner() == whose


@pytest.mark.parametrize("sign", ["purchases", "replies", "materials"])
@pytest.mark.parametrize("counts", [True, False])
def test_a_sign_of_life_prolongs_the_protection_where_it_counts(shop: World, sign: str, counts: bool) -> None:
    lay_down(shop, **{f"counts_{sign}": counts})
    hear("anna", NOW)
    {"purchases": buy, "replies": reply, "materials": open_link}[sign](shop, NOW + 60 * DAY)
    if sign != "replies":  # what is shown at once; of a reply it is known when claims are judged again
        assert Binding.objects.get().protected_until == NOW + (150 if counts else 90) * DAY
    hear("bing", NOW + 100 * DAY)
    assert owner() == ("anna" if counts else "bing")


def test_per_store_the_protection_holds_against_colleagues_of_the_store_only(shop: World) -> None:
    lay_down(shop, exclusive=Brand.Exclusive.STORE, rebind=Brand.Rebind.FIRST)
    hear("anna", NOW)
    hear("bing", NOW + 5 * DAY)
    assert owner() == "anna"
    hear("chen", NOW + 6 * DAY)
    assert owner() == "chen"
    assert Binding.objects.get(ended_at=None).store == Store.objects.get(posts__staff=shop.staff["chen"])


def test_per_brand_it_holds_against_everybody(shop: World) -> None:
    hear("anna", NOW)
    hear("chen", NOW + 6 * DAY)
    assert owner() == "anna"


# ── The cap ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_who_scans_the_code_of_a_full_clerk_is_nobodys_and_another_clerk_may_have_them(shop: World) -> None:
    lay_down(shop, customers_cap=1)
    hear("anna", NOW, "wm-first")
    hear("anna", NOW + DAY)
    hear("anna", NOW + DAY)  # told twice
    assert Binding.objects.filter(ended_at=None).count() == 1
    assert (TurnedAway.objects.get().staff, TurnedAway.objects.get().source) == (shop.staff["anna"], "contact_code")

    Binding.objects.update(ended_at=NOW + 2 * DAY, end_reason="manual")
    hear("anna", NOW + DAY)
    assert not Binding.objects.filter(ended_at=None).exists(), "what was decided then stays so"
    hear("bing", NOW + 3 * DAY)
    assert Binding.objects.get(ended_at=None).staff == shop.staff["bing"]


def test_a_full_clerk_takes_nobody_by_sale_registration_or_link(shop: World) -> None:
    lay_down(shop, customers_cap=1)
    assert binding.room(brand=shop.brand, staff_ids=[shop.staff["anna"].pk], now=NOW) == {shop.staff["anna"].pk: 1}
    buy(shop, NOW - 5 * DAY, "anna", "wm-first")
    assert binding.room(brand=shop.brand, staff_ids=[shop.staff["anna"].pk], now=NOW) == {shop.staff["anna"].pk: 0}

    buy(shop, NOW - 4 * DAY, "anna", "wm-second")
    register(shop, "13800000003")
    member = Member.objects.get(identities__key__in=[key_of("wm-second")])
    binding.claim_by_link(
        brand=shop.brand, member_id=member.pk, staff_id=shop.staff["anna"].pk, link="L1", at=NOW, now=NOW
    )

    assert Binding.objects.count() == 1
    assert {row.source for row in TurnedAway.objects.all()} == {"first_sale", "registration", "material"}


def key_of(external_userid: str) -> int:
    known = friends.key_of(corp=CORP, external_userid=external_userid)
    return privacy.keep([known])[known]


def test_a_batch_of_first_sales_fills_a_clerk_like_one_sale_after_another(shop: World) -> None:
    lay_down(shop, customers_cap=2)
    rows = [
        shop.order(buyer=(shapes.Buyer("phone", f"1390000000{n}"),), serving_clerk="anna", paid_at=NOW - (9 - n) * DAY)
        for n in range(4)
    ]
    ids = [one.id for one in shop.take(*rows) if one.id]
    assert intake.settle_orders(order_ids=ids, now=NOW) == []
    bound = sorted(Binding.objects.values_list("order", flat=True))
    assert bound == sorted(ids[:2]) and TurnedAway.objects.count() == 2

    lay_down(shop, customers_cap=9)
    bought = Purchase.objects.select_related("order__brand", "order__channel", "membership")
    binding.on_purchases(purchases={one.order_id: one for one in bought}, now=NOW)
    assert Binding.objects.count() == 2, "settled again, the same are turned away"


def test_the_clerk_and_their_manager_hear_of_it_once(shop: World) -> None:
    shop.hire("boss", role="store_manager")
    lay_down(shop, customers_cap=0)
    hear("anna", NOW)
    assert full.tell(now=NOW) == 1
    assert full.tell(now=NOW) == 0
    told = {row.staff.code: row for row in Notice.objects.select_related("staff")}
    assert set(told) == {"anna", "boss"} and "名额已满" in told["anna"].title


# ── A change ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_change_takes_nobody_after_the_fact_and_moves_the_protection_of_today(shop: World) -> None:
    boss = factories.user()
    hear("anna", NOW)
    hear("bing", NOW + 40 * DAY)
    assert policies.change(brand=shop.brand, wanted={"protection_days": 30}, by=boss, now=NOW + 50 * DAY)
    assert not policies.change(brand=shop.brand, wanted={"protection_days": 30}, by=boss, now=NOW + 51 * DAY)

    assert Binding.objects.get().protected_until == NOW + 30 * DAY
    hear("bing", NOW + 40 * DAY)
    assert owner() == "anna", "the claim of day 40 is judged by the 90 days of then"
    hear("chen", NOW + 60 * DAY)
    assert owner() == "chen"
    act = AuditRow.objects.get(action="policy.change")
    assert (act.by, act.before, act.after) == (boss, {"protection_days": 90}, {"protection_days": 30})
    assert PastPolicy.objects.get().protection_days == 90


# ── Sources ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def register(shop: World, phone: str, share_code: str = "s-anna", at: datetime = NOW) -> None:
    row = shapes.Event(
        channel=shop.pos.code, outer_event_id=f"E{factories.number()}", type="register", at=at,
        buyer=(shapes.Buyer("phone", phone),), share_code=share_code, store_code=shop.store.code,
    )  # fmt: skip
    (outcome,) = intake.take_events(channel=shop.pos, data=[row], now=at)
    assert not outcome.faults


def test_registering_by_a_clerks_code_binds_who_is_nobodys(shop: World) -> None:
    register(shop, "13800000001")
    row = Binding.objects.get()
    assert (row.staff, row.source, row.came_by, row.started_at) == (shop.staff["anna"], "registration", "s-anna", NOW)
    assert row.customer.staff == row.staff  # the clerk's list has them

    register(shop, "13800000001", "s-bing", NOW + DAY)
    register(shop, "13800000001")
    assert Binding.objects.get() == row


def test_opening_a_clerks_link_binds_who_is_nobodys_and_only_that(shop: World) -> None:
    buy(shop, NOW - DAY)
    row = open_link(shop, NOW)
    assert row is not None and (row.staff, row.source, row.came_by) == (shop.staff["anna"], "material", "L7")
    assert open_link(shop, NOW + DAY, "bing") is None
    assert Binding.objects.get(ended_at=None).staff == shop.staff["anna"]
