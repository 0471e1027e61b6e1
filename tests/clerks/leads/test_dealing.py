"""What becomes of a lead: contacted, put off, turned down, claimed, handed over, won, over; and nobody too often."""

import contextlib
import random
from collections import defaultdict
from datetime import datetime, timedelta

import pytest

from clerks.leads import cards, dealing, making, push, rules
from clerks.leads.models import Lead, LeadPolicy
from clerks.models import Friend, Notice, Touch
from clerks.outreach import contact
from members.models import Purchase
from retail import org
from retail.models import Post
from tests.clerks.leads.scene import NOON, Scene
from tests.factories import NOW

pytestmark = pytest.mark.usefixtures("everything")


@pytest.fixture
def scene(everything: None) -> Scene:
    return Scene.make()


def carted(scene: Scene, **member: object) -> Lead:
    one = scene.member(**member)
    scene.did(one, "cart", hours_ago=5, product_id=scene.shop.product.pk)
    scene.make_kind("cart")
    return Lead.objects.get(member=one)


def test_contacted_for_all_there_is_and_only_once_a_day(scene: Scene) -> None:
    lead = carted(scene)
    scene.bought(lead.member, days_ago=30)
    scene.make_leads()
    clerk = scene.clerks[0]
    friend = dealing.touch(lead=lead, by=clerk, now=NOON)
    assert friend.member == lead.member
    assert set(Lead.objects.values_list("kind", "state")) == {("cart", "contacted"), ("likely", "contacted")}
    assert Touch.objects.get().purpose == "marketing"
    assert dealing.touch(lead=lead, by=clerk, now=NOON + timedelta(hours=1)) == friend  # back to the chat
    assert Touch.objects.count() == 1
    Lead.objects.update(state="new", contacted_at=None)
    with pytest.raises(dealing.Refused, match="歇一歇"):
        dealing.touch(lead=lead, by=clerk, now=NOON + timedelta(hours=2))


@pytest.mark.parametrize(("hour", "kind", "is_ok"), [(22, "cart", False), (22, "asked", True), (10, "cart", True)])
def test_at_night_only_who_waits_is_answered(scene: Scene, hour: int, kind: str, is_ok: bool) -> None:
    member = scene.member()
    scene.did(member, kind, hours_ago=3, product_id=scene.shop.product.pk)
    scene.make_kind(kind)
    now = NOON.replace(hour=hour)
    if is_ok:
        dealing.touch(lead=Lead.objects.get(), by=scene.clerks[0], now=now)
    else:
        with pytest.raises(dealing.Refused, match="休息时间"):
            dealing.touch(lead=Lead.objects.get(), by=scene.clerks[0], now=now)


def test_nobody_acts_so_a_colleague_may_and_the_first_may_not(scene: Scene) -> None:
    lead, (one, two) = carted(scene), scene.clerks
    posts = {staff: Post.objects.select_related("store", "staff").get(staff=staff) for staff in (one, two)}
    later = NOON + timedelta(hours=24)
    dealing.tend(brand=scene.shop.brand, now=later)
    lead.refresh_from_db()
    assert (lead.staff, lead.left_staff) == (None, one)
    with pytest.raises(dealing.Refused, match="请同事跟进"):
        dealing.claim(lead_id=lead.pk, post=posts[one], now=later)
    LeadPolicy.objects.update(claims_per_day=0)
    with pytest.raises(dealing.Refused, match="认领满"):
        dealing.claim(lead_id=lead.pk, post=posts[two], now=later)
    LeadPolicy.objects.update(claims_per_day=1)
    assert dealing.claim(lead_id=lead.pk, post=posts[two], now=later).staff_id == two.pk
    with pytest.raises(dealing.Refused, match="已经有人跟进"):
        dealing.claim(lead_id=lead.pk, post=posts[two], now=later)
    Lead.objects.update(expires_at=later + timedelta(days=9))
    dealing.tend(brand=scene.shop.brand, now=later + timedelta(hours=24))
    for days, who in ((1, one), (6, one), (1, two), (7.5, two)):  # the first is still barred once the second was
        with pytest.raises(dealing.Refused, match="请同事跟进"):
            dealing.claim(lead_id=lead.pk, post=posts[who], now=later + timedelta(days=days))
    assert dealing.claim(lead_id=lead.pk, post=posts[one], now=later + timedelta(days=7)).staff_id == one.pk


def test_a_later_order_wins_it_in_any_channel(scene: Scene) -> None:
    contacted, natural, other = carted(scene), carted(scene), carted(scene)
    dealing.touch(lead=contacted, by=scene.clerks[0], now=NOON)
    for lead in (contacted, natural):
        (order_id,) = scene.shop.settle(scene.shop.order(paid_at=NOW))
        membership = lead.member.memberships.get()
        Purchase.objects.filter(order=order_id).delete()
        bought = Purchase.objects.create(order_id=order_id, membership=membership, paid_at=NOW, is_first=False)
        dealing.close_won(purchases={order_id: bought}, now=NOW)
    found = {lead.pk: lead for lead in Lead.objects.all()}
    assert [(found[one.pk].state, found[one.pk].is_natural) for one in (contacted, natural, other)] == [
        ("won", False), ("won", True), ("new", False),
    ]  # fmt: skip


def test_what_is_over_ends(scene: Scene) -> None:
    contacted, ignored = carted(scene), carted(scene)
    dealing.touch(lead=contacted, by=scene.clerks[0], now=NOON)
    dealing.end(brand=scene.shop.brand, now=NOON + timedelta(days=4))
    states = dict(Lead.objects.values_list("pk", "state"))
    assert states == {contacted.pk: "contacted", ignored.pk: "expired"}
    dealing.end(brand=scene.shop.brand, now=NOON + timedelta(days=15))
    contacted.refresh_from_db()
    assert contacted.state == "lost"


def test_leads_go_along_with_the_customer(scene: Scene) -> None:
    lead, (one, two) = carted(scene), scene.clerks
    to = org.roster(since=NOW, until=NOW, staff_ids=[two.pk]).person(at=NOW, staff_id=two.pk)
    count = dealing.hand_over(brand_id=scene.shop.brand.pk, member_ids=[lead.member_id], to=to, now=NOW)
    lead.refresh_from_db()
    assert (count, lead.staff, lead.left_staff) == (1, two, one)


def test_two_digests_a_day_and_no_third(scene: Scene) -> None:
    brand = scene.shop.brand
    told = []
    for hour in (8, 9, 10, 15, 16, 20):
        now = NOON.replace(hour=hour)
        member = scene.member()
        scene.did(member, "cart", hours_ago=5, now=now, product_id=scene.shop.product.pk)
        making.make_all(brand=brand, now=now, is_daily=False)
        push.digest(brand=brand, now=now)
        told.append(Notice.objects.count())
    assert told == [0, 1, 1, 2, 2, 2]
    assert Notice.objects.earliest("pk").title == "今天有 2 位顾客值得联系"


def test_the_digest_says_as_many_as_the_list_shows(scene: Scene) -> None:
    for _ in range(5):
        scene.did(scene.member(), "cart", hours_ago=5, product_id=scene.shop.product.pk)
    scene.did(scene.member(), "asked", hours_ago=1)
    scene.make_leads()
    push.digest(brand=scene.shop.brand, now=NOON)
    post = Post.objects.select_related("store__brand").get(staff=scene.clerks[0])
    assert len(cards.board(post=post, now=NOON).cards) == 4  # three a day, and who waits for an answer
    assert "有 4 位" in Notice.objects.get().title


@pytest.mark.parametrize(("asked", "moved"), [((12, 0), (14, 0)), ((20, 30), (10, 30)), ((2, 0), (11, 0))])
def test_the_night_is_nobody_s_fault(scene: Scene, asked: tuple[int, int], moved: tuple[int, int]) -> None:
    """Two hours to answer are two hours of the day: a question of the evening is there the next morning."""
    at = NOON.replace(hour=asked[0], minute=asked[1])
    scene.did(scene.member(), "asked", hours_ago=0, now=at)
    scene.make_leads(now=at, is_daily=False)
    due = NOON.replace(hour=moved[0], minute=moved[1]) + timedelta(days=int(asked[0] > 14))
    kept = [dealing.move_on(brand=scene.shop.brand, now=due + late) for late in (-timedelta(minutes=1), timedelta())]
    assert kept == [0, 1]


def test_nobody_is_contacted_above_the_caps(scene: Scene, size: str) -> None:
    """Clerks who contact whoever they may, at every hour, whatever customers do: never more than the rules allow."""
    days, clerks, people = (90, 100, 4) if size == "full" else (12, 2, 3)
    LeadPolicy.objects.update(rest_days=0, score_rest_days=0)  # the caps alone hold them back
    rng = random.Random(7)
    for number in range(2, clerks):
        scene.shop.hire(f"C{number}")
    members = [scene.member(of=number) for number in range(clerks) for _ in range(people)]
    by_member = {friend.member_id: friend.staff for friend in Friend.objects.select_related("staff")}
    for member in members:
        scene.bought(member, days_ago=rng.choice((20, 40, 90)), score=rng.random())
    for day in range(days):
        for hour in (9, 15, 21):
            now = NOON.replace(hour=hour) + timedelta(days=day)
            for member in rng.sample(members, max(1, len(members) // 4)):
                kind = rng.choice(("cart", "asked", "live_watch"))
                more = {"seconds": 600} if kind == "live_watch" else {"product_id": scene.shop.product.pk}
                scene.did(member, kind, hours_ago=3, now=now, **more)
            making.make_all(brand=scene.shop.brand, now=now, is_daily=hour == 9)
            waiting = list(Lead.objects.waiting(now).select_related("brand"))
            for lead in rng.sample(waiting, min(len(waiting), 60)):
                _try(lead, by_member[lead.member_id], now)
            dealing.tend(brand=scene.shop.brand, now=now)
    worst = _most(rules.limits(rules.of(scene.shop.brand)))
    assert worst == 0 and Touch.objects.filter(purpose="marketing").count() > people
    assert not Touch.objects.filter(purpose="marketing", at__hour__gte=21).exists()


def _try(lead: Lead, by: object, now: datetime) -> None:
    with contextlib.suppress(dealing.Refused):
        dealing.touch(lead=lead, by=by, now=now)


def _most(limits: contact.Limits) -> int:
    """How many contacts were above a cap, within any window that ends with one of them."""
    times: dict[int, list[datetime]] = defaultdict(list)
    for member_id, at in Touch.objects.filter(purpose="marketing").order_by("at").values_list("member", "at"):
        times[member_id].append(at)
    return sum(
        sum(at - timedelta(days=days) < one <= at for one in some) > most
        for some in times.values()
        for at in some
        for most, days in limits.windows
    )
