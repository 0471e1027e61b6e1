"""关系健康: the figures are those of a plain count, for the reader's own stores, and 平均分配 on its page."""

from collections import defaultdict
from datetime import timedelta

import pytest
import time_machine

from clerks import binding, book
from clerks.models import Binding, Pooled
from members.models import Membership, Purchase
from retail import privacy, scope
from retail.desk import relations, roles
from retail.models import Employment, Post, Region, Staff
from retail.shapes import Buyer
from tests import factories, signing_in
from tests.factories import NOW, World

PAGE = "/admin/relations/"
EARLIER = NOW - timedelta(days=3)


@pytest.fixture(autouse=True)
def clock():
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def shop(db):
    with scope.within(scope.EVERYTHING):
        shop = factories.world()
        for code in ("A1", "A2", "GONE"):
            shop.hire(code)
        shop.far = shop.another_store(region=Region.objects.create(code="far", name="远方区域"))
        shop.hire("F1", store=shop.far)
        shop.hire("M1", role="store_manager")
        shop.hire("R1", role="region_manager", region=shop.region)
        shop.hire("H1", role="hq_ops")
        yield shop


def sell(shop: World, count: int, **fields) -> list[Membership]:
    numbers = [f"136{factories.number():08}" for _ in range(count)]
    channel = fields.pop("channel", None)
    rows = [shop.order(channel=channel, buyer=(Buyer("phone", number),), **fields) for number in numbers]
    orders = shop.settle(*rows, **({"channel": channel} if channel else {}))
    return list(Membership.objects.filter(purchases__order__in=orders).order_by("pk"))


def everything_that_happens(shop: World) -> None:
    sell(shop, 3, serving_clerk="A1", paid_at=EARLIER)
    (lost,) = sell(shop, 1, serving_clerk="A1", paid_at=EARLIER)
    Binding.objects.filter(member=lost.member).update(lost_at=NOW - timedelta(days=1))
    sell(shop, 2, serving_clerk="GONE", paid_at=EARLIER)
    sell(shop, 2)
    sell(shop, 1, serving_clerk="F1", store_code=shop.far.code, lines=[{"paid_fen": 7_700}])
    sell(shop, 1, channel=shop.channel("tmall"))
    for one in Binding.objects.order_by("pk")[:6]:  # everybody comes once more, two of them after their clerk left
        who = (Buyer("phone", privacy.reveal(one.member.identities.get().key)),)
        shop.settle(shop.order(buyer=who, store_code=shop.far.code, lines=[{"paid_fen": 3_000}]))
        if one.staff.code == "GONE":
            ended = {"ends_at": NOW - timedelta(days=2)}
            Employment.objects.filter(staff=one.staff).update(**ended)
            Post.objects.filter(staff=one.staff).update(**ended)
    (released,) = sell(shop, 1, serving_clerk="A2", paid_at=EARLIER)
    binding.release(pairs=[(shop.brand.pk, released.member_id)], end="unbound", by=None, now=NOW)
    book.refresh(member_ids=[released.member_id], now=NOW)


def serves(staff: Staff, at) -> bool:
    return Post.objects.at(at).filter(staff=staff).exists() and Employment.objects.at(at).filter(staff=staff).exists()


def plain(key) -> dict:
    """The same by loops: key → figures. `key`: what a row with a store and a staff belongs to."""
    found = defaultdict(relations.Health)
    for one in Binding.objects.filter(ended_at=None).select_related("store", "staff"):
        state = "orphaned" if not serves(one.staff, NOW) else "lost" if one.lost_at else "healthy"
        found[key(one.store, one.staff)] += relations.Health(**{state: 1})
    for row in Pooled.objects.select_related("store"):
        found[key(row.store, None)] += relations.Health(loose=1)
    bound = Binding.objects.filter(ended_at=None).values("member")
    found[None] += relations.Health(loose=Membership.objects.filter(pooled=None).exclude(member__in=bound).count())
    for bought in Purchase.objects.select_related("membership", "store"):
        then = Binding.objects.at(bought.paid_at).filter(member=bought.membership.member).first()
        state = "loose"
        if then:
            is_lost = then.lost_at and then.lost_at <= bought.paid_at
            state = "orphaned" if not serves(then.staff, bought.paid_at) else "lost" if is_lost else "healthy"
        found[key(bought.store, then and then.staff)] += relations.Health(**{f"{state}_fen": bought.net_fen})
    return {name: one for name, one in found.items() if one != relations.Health()}


def rows(report: relations.Report) -> dict:
    return {row.name if row.query else None: row.health for row in report.rows}


def test_the_figures_are_those_of_a_plain_count(shop, django_assert_num_queries):
    everything_that_happens(shop)
    asked = relations.Asked(30)
    with django_assert_num_queries(4):
        by_region = relations.report(asked=asked, level="region", now=NOW)

    assert rows(by_region) == plain(lambda store, _staff: store and str(store.region))
    by_store = relations.report(asked=asked, level="store", now=NOW)
    assert rows(by_store) == plain(lambda store, _staff: store and str(store))
    by_clerk = relations.report(asked=asked, level="clerk", now=NOW)
    assert rows(by_clerk) == plain(lambda _store, staff: staff and str(staff))
    assert by_region.whole == by_store.whole == by_clerk.whole
    assert sum(one.fen for one in by_region.days.values()) == by_region.whole.fen
    whole = by_region.whole
    assert whole.lost and whole.orphaned and whole.loose and whole.lost_fen and whole.orphaned_fen
    assert relations.report(asked=relations.Asked(7), level="region", now=NOW + timedelta(days=9)).whole.fen == 0


def desk(shop: World, code: str):
    staff = shop.staff[code]
    staff.user = factories.user()
    staff.save()
    roles.grant(user=staff.user, role=staff.posts.get().role)
    return signing_in.signed_in(staff.user, post=staff.posts.get())


def test_everybody_sees_their_own_and_goes_further_in(shop, django_assert_max_num_queries):
    everything_that_happens(shop)
    hq, region, manager = (desk(shop, code) for code in ("H1", "R1", "M1"))
    with django_assert_max_num_queries(24):
        page = hq.get(PAGE).content.decode()
    assert "远方区域" in page and "按区域" in page and "线上，或不在区域里" in page
    inside = hq.get(f"{PAGE}?days=7&region={shop.far.region_id}").content.decode()
    assert str(shop.far) in inside and str(shop.store) not in inside.partition("desk-cards")[2]
    clerks = hq.get(f"{PAGE}?store={shop.far.pk}").content.decode()
    assert "按导购" in clerks and "员工F1" in clerks and "员工A1" in clerks

    assert "远方区域" not in (theirs := region.get(PAGE).content.decode()) and "员工F1" not in theirs
    assert "按导购" in (own := manager.get(PAGE).content.decode()) and "员工A1" in own and "员工F1" not in own
    for asked in (f"region={shop.far.region_id}", f"store={shop.far.pk}", "days=8", "brand=999999"):
        assert region.get(f"{PAGE}?{asked}").status_code == 404


# ── 平均分配 on its page ─────────────────────────────────────────────────────────────────────────────────────────────
POOL = "/admin/clerks/pooled/"


def test_a_manager_looks_first_and_then_shares_out(shop):
    sell(shop, 5)
    sell(shop, 2, store_code=shop.far.code)
    manager = desk(shop, "M1")
    listed = manager.get(POOL).content.decode()
    assert f"{POOL}share/" in listed and listed.count(str(shop.far)) == 0

    chosen = list(Pooled.objects.filter(store=shop.store).values_list("pk", flat=True)[:4])
    seen = manager.post(POOL, {"action": "share", "_selected_action": chosen})
    assert seen.context["plan"].digest in (page := seen.content.decode()) and "员工A2" in page and "+2" in page
    assert not Binding.objects.exists()
    given = {"ids": seen.context["ids"], "digest": seen.context["plan"].digest}
    done = manager.post(f"{POOL}share/", given, follow=True)
    assert "4 位顾客" in done.content.decode() and Binding.objects.count() == 4
    assert {row.by.staff.code for row in Binding.objects.select_related("by__staff")} == {"M1"}

    again = manager.post(f"{POOL}share/", given)
    assert "刚有变化" in again.content.decode() and Binding.objects.count() == 4
    everybody = manager.get(f"{POOL}share/").context["plan"]
    assert len(everybody.to) == 1, "the other store's are not theirs"
    assert manager.get(f"{POOL}share/?store={shop.far.pk}").status_code == 404
