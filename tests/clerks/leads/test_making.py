"""What fires a lead, who is left alone, and who gets it."""

from datetime import timedelta

import pytest

from clerks.leads import dealing, sieve, watching
from clerks.leads.models import Lead, LeadPolicy, LeadRun
from clerks.models import Binding, Touch
from members import consent
from members.models import Coupon, CouponType, Member, Purchase
from retail.models import Post, Refund
from tests.clerks.leads.scene import CORP, NOON, Scene, kinds_of, told
from tests.factories import LONG_AGO, NOW

pytestmark = pytest.mark.usefixtures("everything")


@pytest.fixture
def scene(everything: None) -> Scene:
    return Scene.make()


def test_each_thing_that_happens_fires_its_type_with_its_numbers(scene: Scene) -> None:
    product = scene.shop.product.pk
    LeadPolicy.objects.update(clerk_least=10)
    who = {name: scene.member() for name in ("asked", "unpaid", "cart", "viewed", "live", "coupon", "slept", "likely")}
    scene.did(who["asked"], "asked", hours_ago=1)
    scene.did(who["unpaid"], "order_placed", hours_ago=2, outer_order_id="N1", product_id=product)
    scene.did(who["cart"], "cart", hours_ago=5, product_id=product)
    for hours in (3, 30, 60, 71):
        scene.did(who["viewed"], "view", hours_ago=hours, product_id=product)
    scene.did(who["live"], "live_watch", hours_ago=14, seconds=754)
    type = CouponType.objects.create(
        brand=scene.shop.brand, code="T", name="100 元券", kind="gift", gift="礼", starts_at=LONG_AGO
    )
    Coupon.objects.create(
        type=type, membership=who["coupon"].memberships.get(), code="C1", issued_at=NOW, valid_from=NOW,
        valid_until=NOON.replace(hour=0) + timedelta(days=3),
    )  # fmt: skip
    scene.bought(who["slept"], days_ago=95, orders=6, score=0.2, band="low")
    scene.bought(who["likely"], days_ago=38)
    born = scene.member(born_on=(NOON + timedelta(days=2)).date().replace(year=1980))
    scene.bought(born, days_ago=5)

    made = scene.make_leads()

    assert {name: kinds_of(member) for name, member in who.items()} == {
        "asked": {"asked"}, "unpaid": {"unpaid"}, "cart": {"cart"}, "viewed": {"viewed"}, "live": {"live"},
        "coupon": {"expiring"}, "slept": {"dormant"}, "likely": {"likely"},
    }  # fmt: skip
    assert {name: next(told(member)) for name, member in who.items()} == {
        "asked": "1 小时前问过，还没有回复",
        "unpaid": f"2 小时前下单“{scene.shop.product.name}”，还没有付款",
        "cart": f"5 小时前加购了“{scene.shop.product.name}”",
        "viewed": f"3 天里看了 4 次“{scene.shop.product.name}”",
        "live": "看了直播 12 分钟，没有下单",
        "coupon": "“100 元券”2 天后到期",
        "slept": "94 天没来，以前一共买过 6 次",
        "likely": "常 40 天买一次，已经 37 天没买",
    }
    assert next(told(who["coupon"], now=NOON + timedelta(days=1))) == "“100 元券”明天到期"
    assert kinds_of(born) == {"date"} and list(told(born)) == ["2 天后生日"]
    assert made["dormant"].left_out == {"awake": 2} and made["likely"].left_out == {"awake": 1}
    assert {lead.staff for lead in Lead.objects.all()} == {scene.clerks[0]}


def test_what_was_wanted_is_there_again_or_cheaper(scene: Scene) -> None:
    product = scene.shop.product
    liked, looked, once, bought, after = (scene.member() for _ in range(5))
    scene.did(liked, "favourite", hours_ago=200, product_id=product.pk)
    for member, hours in ((looked, (300, 400)), (once, (300,)), (after, (1,))):
        for each in hours:
            scene.did(member, "view", hours_ago=each, product_id=product.pk)
    scene.did(bought, "cart", hours_ago=150, product_id=product.pk)
    (order_id,) = scene.shop.settle(scene.shop.order(paid_at=NOON - timedelta(hours=100)))
    Purchase.objects.filter(order=order_id).delete()
    membership = bought.memberships.get()
    Purchase.objects.create(
        order_id=order_id, membership=membership, paid_at=NOON - timedelta(hours=100), is_first=False
    )
    scene.news("sold_out", hours_ago=160)
    assert scene.make_kind("stock").made == 0 and watching.today(brand=scene.shop.brand, now=NOON)[3].is_fed is False
    scene.news("restocked", hours_ago=20)
    assert scene.make_kind("stock").made == 2 and scene.make_kind("stock").made == 0
    assert {kinds_of(one) == {"stock"} for one in (liked, looked)} == {True}
    assert not any(kinds_of(one) for one in (once, bought, after))
    assert list(told(liked)) == [f"收藏过的“{product.name}”到货了"]
    assert watching.today(brand=scene.shop.brand, now=NOON)[3].is_fed

    Lead.objects.update(state="expired", closed_at=NOON - timedelta(days=9))
    scene.news("price_cut", hours_ago=3, fen=128000)
    assert scene.make_kind("stock").made == 2
    assert f"看过几次的“{product.name}”降价了 ¥1,280" in list(told(looked))

    Lead.objects.update(state="expired", closed_at=NOON - timedelta(days=9))
    cart = scene.member()
    scene.did(cart, "cart", hours_ago=4, product_id=product.pk)
    scene.news("sold_out", hours_ago=2)  # nobody is told of what cannot be had, be it in their cart
    assert scene.make_kind("cart").made == scene.make_kind("stock").made == 0


def test_an_unpaid_order_says_what_it_comes_to_where_that_was_told(scene: Scene) -> None:
    member = scene.member()
    scene.did(member, "order_placed", hours_ago=2, outer_order_id="N2", fen=128000)
    scene.make_kind("unpaid")
    assert list(told(member)) == ["2 小时前下单 ¥1,280，还没有付款"]


def test_a_run_again_makes_nothing(scene: Scene) -> None:
    member = scene.member()
    scene.did(member, "cart", hours_ago=5, product_id=scene.shop.product.pk)
    scene.bought(scene.member(), days_ago=90)
    scene.make_leads()
    before = list(Lead._base_manager.order_by("pk").values_list("pk", "owned_at"))
    again = scene.make_leads(now=NOON + timedelta(minutes=5))
    assert len(before) == 2 and sum(one.made for one in again.values()) == 0
    assert list(Lead._base_manager.order_by("pk").values_list("pk", "owned_at")) == before
    Lead.objects.update(state="lost", closed_at=NOON)  # nor does the same thing fire again later
    assert sum(one.made for one in scene.make_leads(now=NOON + timedelta(hours=1)).values()) == 0
    assert LeadRun.objects.get(kind="cart").made == 1


def quieted(scene: Scene, member: Member, why: str) -> None:
    brand, pk = scene.shop.brand, member.pk
    match why:
        case "stopped":
            consent.stop(member=member, corp=CORP, purpose="marketing", by=None, now=NOW)
        case "unprofiled":
            consent.stop(member=member, corp=CORP, purpose="profiling", by=None, now=NOW)
        case "lost":
            Binding.objects.filter(member=member).update(lost_at=NOW)
        case "complained":
            scene.did(member, "complained", hours_ago=50)
        case "refunding":
            order = scene.shop.order(paid_at=NOW - timedelta(days=9))
            (order_id,) = scene.shop.settle(order)
            row = scene.shop.refund(order, fen=100, now=NOW - timedelta(days=1))
            member.memberships.get(brand=brand).purchases.create(
                order_id=order_id, paid_at=NOW - timedelta(days=9), is_first=False
            )
            assert Refund.objects.get(pk=row.id).refunded_at == NOW - timedelta(days=1)
        case "often" | "resting":
            days = {"often": (4, 6), "resting": (2,)}[why]
            for day in days:
                Touch.objects.create(
                    corp=CORP, member_id=pk, purpose="marketing", at=NOON - timedelta(days=day), effect=f"{pk}:{day}"
                )


@pytest.mark.parametrize("why", ["stopped", "unprofiled", "lost", "complained", "refunding", "often", "resting"])
def test_who_is_to_be_left_alone_is_and_the_page_knows_why(scene: Scene, why: str) -> None:
    member = scene.member()
    scene.did(member, "cart", hours_ago=5, product_id=scene.shop.product.pk)
    quieted(scene, member, why)
    if why == "often":
        LeadPolicy.objects.update(rest_days=0)
    assert scene.make_kind("cart").left_out == {why: 1}
    assert sieve.why(brand=scene.shop.brand, member_id=member.pk, now=NOON) == why


@pytest.mark.parametrize(("why", "is_open"), [("often", True), ("resting", True), ("lost", False), ("stopped", True)])
def test_who_waits_for_an_answer_gets_one_unless_they_said_stop(scene: Scene, why: str, is_open: bool) -> None:
    """Offers unwanted is no stop to an answer; nothing wanted at all is."""
    member = scene.member()
    scene.did(member, "asked", hours_ago=1)
    quieted(scene, member, why)
    assert (scene.make_kind("asked").made == 1) == is_open
    consent.stop(member=member, corp=CORP, by=None, now=NOW)
    dealing.withdraw(brand=scene.shop.brand, now=NOON)
    assert not Lead.objects.open().exists()


def test_what_is_open_is_withdrawn_when_they_complain(scene: Scene) -> None:
    member = scene.member()
    scene.did(member, "cart", hours_ago=5, product_id=scene.shop.product.pk)
    scene.make_leads()
    scene.did(member, "complained", hours_ago=0)
    dealing.tend(brand=scene.shop.brand, now=NOON)
    lead = Lead.objects.get()
    assert (lead.state, lead.withdrawn_for) == ("withdrawn", "complained")


def test_the_nearest_gets_it_and_nobodys_goes_to_whom_has_least_to_do(scene: Scene) -> None:
    one, two = scene.clerks
    product = scene.shop.product.pk
    bound, linked, former, loose, gone = scene.member(of=1), *(scene.member(of=None) for _ in range(4))
    scene.did(linked, "view", hours_ago=100, share_code=two.share_code)
    for member, staff in ((former, two), (gone, scene.shop.hire("left"))):
        Binding.objects.create(
            brand=scene.shop.brand, member=member, staff=staff, store=scene.shop.store, source="manual",
            started_at=LONG_AGO, ended_at=NOON - timedelta(days=20), end_reason="left", protected_until=LONG_AGO,
        )  # fmt: skip
    Post.objects.filter(staff__code="left").update(ends_at=NOON - timedelta(days=10))
    for member in (bound, linked, former, loose, gone):
        scene.did(member, "cart", hours_ago=5, product_id=product)

    scene.make_leads()

    who = {lead.member: lead.staff for lead in Lead.objects.all()}
    assert (who[bound], who[linked], who[former]) == (two, two, two)
    assert {who[loose], who[gone]} == {one}  # who has none yet; the leaver's goes to the store
    assert {lead.store for lead in Lead.objects.all()} == {scene.shop.store}


def test_only_as_many_of_the_best_as_a_clerk_can_talk_to(scene: Scene) -> None:
    """A book of thirty is worth three a day, one of them somebody who sleeps where there are four places."""
    people = [scene.member() for _ in range(12)]
    for place, member in enumerate(people):
        scene.bought(member, days_ago=30 if place < 9 else 100, score=0.9 - place / 100)
    made = scene.make_leads()
    assert (made["likely"].made, made["dormant"].made) == (3, 0)
    assert {lead.member for lead in Lead.objects.filter(kind="likely")} == set(people[:3])
    LeadPolicy.objects.update(clerk_least=8)
    made = scene.make_leads(now=NOON + timedelta(minutes=5))
    assert (made["likely"].made, made["dormant"].made) == (4, 1)
