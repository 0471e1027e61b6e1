"""What is told to the commissions: friends made and lost, sleepers woken, members recruited, persons merged."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from clerks import friends
from clerks.friends import Listed, Move, Reading
from clerks.models import Notice
from commissions import actions
from commissions.models import ActionEvent, Entry
from members.models import Identity, Membership, Tier, TierRule
from retail import intake, privacy, shapes, tasks
from retail.jobs import Job
from retail.models import StaffAccount
from tests import factories
from tests.factories import NOW, World, rated
from tests.factories.coupons import coupon_type, given, member, quota

pytestmark = pytest.mark.usefixtures("everything")
CORP = "ww-rewards"
PHONE = shapes.Buyer("phone", "13800005678")
LONG = timedelta(days=200)


@pytest.fixture
def shop(everything: None) -> World:
    shop = factories.world(corp=CORP)
    for code in ("anna", "bing"):
        StaffAccount.objects.create(staff=shop.hire(code), corp=CORP, userid=code)
    rule = {"friend": {"fen": 500, "void_days": 7}, "register": {"fen": 300}}
    rated(shop, **rule, wake={"fen": 800, "min_inactive_days": 60, "void_days": 15})
    return shop


def tell(userid: str, kind: str, at=NOW, *, who: str = "wm-one", **reading) -> None:
    read = Reading(at, (Listed(userid, at),), **reading) if reading else None
    friends.settle(corp=CORP, external_userid=who, moves=[Move(userid, kind, at)], reading=read, now=at)


def owed(shop: World) -> dict[str, int]:
    sums = dict.fromkeys(shop.staff, 0)
    for code, fen in Entry.objects.filter(kind="cpa", staff__isnull=False).values_list("staff__code", "fen"):
        sums[code] += fen
    return sums


def reasons() -> list[str]:
    return list(ActionEvent.objects.order_by("pk").values_list("reason", flat=True))


# ── Friends ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_the_first_friend_of_a_customer_is_paid_for_and_no_other(shop):
    tell("anna", "added")
    tell("anna", "added")
    tell("bing", "added", NOW + timedelta(hours=1))

    assert owed(shop) == {"anna": 500, "bing": 0}
    assert reasons() == ["", "already_paid"]
    assert ActionEvent.objects.first().store == shop.store


@pytest.mark.parametrize(("kind", "days", "left"), [("lost", 6, 0), ("deleted", 7, 0), ("lost", 8, 500)])
def test_whoever_deletes_the_other_within_the_window_ends_it(shop, kind, days, left):
    tell("anna", "added")
    tell("anna", kind, NOW + timedelta(days=days))

    assert owed(shop)["anna"] == left


def test_a_customer_given_to_a_colleague_is_no_new_friend_and_ends_nothing(shop):
    tell("anna", "added")
    taken = Listed("bing", NOW + timedelta(days=1), add_way=friends.TAKEN_OVER)
    read = Reading(NOW + timedelta(days=1), (taken,))
    moves = [Move("anna", "transferred", NOW + timedelta(days=1)), Move("bing", "added", NOW + timedelta(days=1))]
    friends.settle(corp=CORP, external_userid="wm-one", moves=moves, reading=read, now=NOW + timedelta(days=1))

    assert owed(shop) == {"anna": 500, "bing": 0}
    assert ActionEvent.objects.count() == 1


def test_two_contacts_who_are_one_person_are_paid_for_once(shop):
    tell("anna", "added", who="wm-one", name="小鹿")
    tell("bing", "added", NOW + timedelta(hours=1), who="wm-two", name="鹿")
    assert owed(shop) == {"anna": 500, "bing": 500}

    read = {"name": "小鹿", "unionid": "o-the-same"}
    tell("anna", "added", who="wm-one", **read)
    tell("bing", "added", NOW + timedelta(hours=1), who="wm-two", **read)

    factories.join_members()
    assert Identity.objects.values("member").distinct().count() == 1
    assert owed(shop) == {"anna": 500, "bing": 0}
    assert ActionEvent.objects.get(cause="merged").staff == shop.staff["bing"]


def test_headquarters_hear_when_a_budget_is_spent(shop):
    operator = shop.hire("ops", role="hq_ops")
    rated(shop, starts_at=NOW - timedelta(days=1), friend={"fen": 500, "budget_fen": 600})
    for who in ("wm-1", "wm-2", "wm-3"):
        tell("anna", "added", who=who)

    job = Job.objects.get(kind=actions.BUDGET_ENDED)
    for _ in range(2):
        tasks.REGISTRY[job.kind](**job.payload)
    notice = Notice.objects.get(staff=operator)
    assert "加企业微信好友" in notice.title and "¥5.00" in notice.text and "¥6.00" in notice.text


# ── Purchases ────────────────────────────────────────────────────────────────────────────────────────────────────────
def sale(shop: World, days_ago: int = 0, **fields) -> shapes.Order:
    paid_at = NOW - timedelta(days=days_ago)
    return shop.order(serving_clerk="anna", buyer=(PHONE,), paid_at=paid_at, **fields)


def test_a_sleeper_is_woken_for_the_clerk_whose_customer_they_are(shop):
    shop.settle(sale(shop, 200), sale(shop, 141))
    assert reasons() == ["too_active"]
    shop.settle(sale(shop, 81))

    woken = ActionEvent.objects.get(reason="")
    assert (woken.type, woken.active_days, woken.order.paid_at) == ("wake", 60, NOW - timedelta(days=81))
    assert owed(shop)["anna"] == 800
    # It is in no sum of the order's own commission.
    assert not Entry.objects.filter(order__isnull=False).exists()


def test_what_comes_back_whole_woke_nobody(shop):
    shop.settle(sale(shop, 200))
    order = sale(shop, lines=[{}, {"paid_fen": 0, "is_gift": True}])
    shop.settle(order)
    shop.refund(order, fen=9_999)
    assert owed(shop)["anna"] == 800

    shop.refund(order, fen=1)
    assert owed(shop)["anna"] == 0


def test_nobody_wakes_themselves(shop):
    known = privacy.Known("phone", "", "13800005678")
    shop.staff["anna"].phone_key_id = privacy.keep([privacy.normalised(known)])[privacy.normalised(known)]
    shop.staff["anna"].save()
    shop.settle(sale(shop, 200), sale(shop))

    assert not ActionEvent.objects.exists()


@pytest.mark.parametrize("count", [2, 7])
def test_settling_many_who_slept_takes_no_more_statements_than_one(shop, count):
    """Their locks apart: each buyer is told by a key of their own."""
    buyers = [(shapes.Buyer("phone", f"1380000{place:04d}"),) for place in range(count)]
    for buyer in buyers:
        shop.settle(shop.order(serving_clerk="anna", buyer=buyer, paid_at=NOW - LONG))
    taken = shop.take(*(shop.order(serving_clerk="anna", buyer=buyer) for buyer in buyers))
    with CaptureQueriesContext(connection) as queries:
        intake.settle_orders(order_ids=[one.id for one in taken], now=NOW)
    assert ActionEvent.objects.count() == count
    told = [query["sql"] for query in queries if "commissions_action" in query["sql"]]
    assert len(told) == 3, told


# ── Registrations ────────────────────────────────────────────────────────────────────────────────────────────────────
def register(shop: World, number: str = "E1", *, at=NOW, buyer=PHONE, **fields) -> str:
    given = {"share_code": "s-anna", "store_code": shop.store.code} | fields
    row = shapes.Event(channel=shop.pos.code, outer_event_id=number, type="register", at=at, buyer=(buyer,), **given)
    (outcome,) = intake.take_events(channel=shop.pos, data=[row], now=NOW)
    return outcome.status if not outcome.faults else outcome.faults[0].field


def test_who_is_recruited_is_paid_for_once(shop):
    assert register(shop) == "created"
    assert [register(shop), register(shop, "E2", share_code="s-bing")] == ["unchanged", "unchanged"]

    joined = Membership.objects.get()
    assert (joined.registered_by, joined.registered_store) == (shop.staff["anna"], shop.store)
    assert owed(shop) == {"anna": 300, "bing": 0}


def test_who_registers_has_the_first_tier_at_once(shop):
    first = Tier.objects.create(brand=shop.brand, code="basic", name="普卡", rank=0, threshold=0)
    TierRule.objects.create(brand=shop.brand)
    register(shop)
    assert Membership.objects.get().tier == first


def test_who_bought_before_is_not_recruited(shop):
    shop.settle(sale(shop, 3))

    assert register(shop) == "unchanged"
    assert register(shop, at=NOW - timedelta(days=4)) == "created"
    assert owed(shop)["anna"] == 300


def test_nobody_is_paid_for_who_came_by_themselves(shop):
    assert register(shop, share_code=None) == "created"
    assert register(shop, "E2", share_code="nobody", buyer=shapes.Buyer("phone", "13900000000")) == "created"
    assert not ActionEvent.objects.exists()


def test_an_event_of_an_unknown_store_is_rejected(shop):
    assert register(shop, store_code="nowhere") == "store_code"
    assert not Membership.objects.exists()


# ── Coupons ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_coupon_pays_who_gave_it_when_it_is_used_and_nobody_for_their_own(shop):
    rated(shop, coupon={"fen": 200, "once_per": "customer", "void_days": 15})
    type, anna = coupon_type(shop), shop.staff["anna"]
    quota(type, anna)
    earlier = NOW - timedelta(minutes=5)
    theirs, again = (given(type, member(shop, PHONE.value), anna, at) for at in (earlier, NOW))
    own = given(type, member(shop, "13900000009"), anna)
    anna.phone_key = own.membership.member.identities.get().key
    anna.save()
    rows = [
        shop.order(coupons=(coupon.code,), buyer=(buyer,), lines=[{"paid_fen": 26_000}])
        for coupon, buyer in ((theirs, PHONE), (again, PHONE), (own, shapes.Buyer("phone", "13900000009")))
    ]
    shop.settle(*rows)
    assert [(e.fen, e.reason) for e in ActionEvent.objects.order_by("pk")] == [(200, ""), (0, "already_paid")]
    assert Entry.objects.filter(kind="cpr", staff=anna).get().fen == 200

    shop.refund(rows[0], fen=26_000)
    shop.refund(rows[0], fen=26_000)
    assert list(Entry.objects.filter(kind="cpr", staff=anna).values_list("fen", flat=True)) == [200, -200]
    assert ActionEvent.objects.get(fen__lt=0).cause == "returned"
