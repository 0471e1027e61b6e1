"""公海: who is in which store's pool, shared out by hand and by the clock."""

import random
from datetime import timedelta

import pytest
import time_machine

from clerks import binding, book, pool, pooled
from clerks.models import Binding, Notice, Pooled, PoolPolicy
from commissions import returns
from members.models import Identity, Membership, Purchase
from members.profiles import refresh as roll_up
from retail import doctor, jobs, tasks
from retail.models import OrderLine, Post, Refund, Store
from retail.shapes import Buyer
from tests import factories
from tests.factories import NOW, World
from tests.factories.town import ONE_BY_ONE, Town, story

pytestmark = pytest.mark.usefixtures("everything")


# ── Who is in which pool ─────────────────────────────────────────────────────────────────────────────────────────────
def kept() -> dict[int, dict]:
    return {row["membership_id"]: row for row in Pooled._base_manager.values() if row.pop("refreshed_at")}


def plain() -> dict[int, dict]:
    """The same rows by loops over everything."""
    found = (_plain(one) for one in Membership.objects.select_related("member", "registered_store"))
    return {row["membership_id"]: row for row in found if row}


def _plain(one: Membership) -> dict | None:
    relations = list(Binding.objects.filter(brand=one.brand, member=one.member).select_related("store"))
    known = Identity.objects.filter(member=one.member, key__cipher__isnull=False)
    if one.member.merged_into_id or any(row.ended_at is None for row in relations) or not known.exists():
        return None
    past = sorted((row for row in relations if row.ended_at > row.started_at), key=lambda row: (row.ended_at, row.pk))
    last, since = past[-1] if past else None, pooled.since(NOW)
    bought = Purchase.objects.filter(membership=one, store__isnull=False, paid_at__gte=since)
    bought = bought.order_by("-paid_at", "-order").first()
    places = [last.store if last and last.ended_at >= since else None, bought and bought.store, one.registered_store]
    store = next((place for place in places if place and place.is_open), None)
    if store is None:
        return None
    return {
        "membership_id": one.pk,
        "brand_id": one.brand_id,
        "member_id": one.member_id,
        "store_id": store.pk,
        "since": last.ended_at if last else one.registered_at,
        "last_staff_id": last.staff_id if last and last.store.franchisee_id == store.franchisee_id else None,
        "left_at": last and last.ended_at,
        **_sums(one, store),
    }


def _sums(one: Membership, store: Store) -> dict:
    """What the store's company may know of their orders."""
    times, fen = [], 0
    for purchase in Purchase.objects.filter(membership=one).select_related("store", "order"):
        if purchase.store is not None and purchase.store.franchisee_id != store.franchisee_id:
            continue
        lines = list(OrderLine.objects.filter(order=purchase.order))
        back = returns.tally(lines=lines, refunds=Refund.objects.filter(order=purchase.order)).back
        for line in lines:
            gone = back[line.pk].back if line.pk in back else 0
            fen += line.paid_fen - gone * ((line.paid_fen > 0) - (line.paid_fen < 0))
        if any(line.qty > 0 and not (line.pk in back and back[line.pk].back == back[line.pk].size) for line in lines):
            times.append(purchase.paid_at)
    return {"bought_at": max(times, default=None), "orders": len(times), "paid_fen": fen}


def test_the_pools_of_a_random_world_are_what_the_facts_say():
    dice = random.Random(8)
    town = Town(dice)
    story(town, rounds=2, orders=30).happen(ONE_BY_ONE)
    assert kept() == plain()

    held = list(Binding.objects.filter(ended_at=None))
    away = dice.sample(held, len(held) * 2 // 3)
    binding.release(pairs=[(row.brand_id, row.member_id) for row in away], end="unbound", by=None, now=NOW)
    book.refresh(member_ids=[row.member_id for row in away], now=NOW)
    rows = kept()
    assert rows == plain() and len(rows) >= len(away) and any(row["orders"] > 1 for row in rows.values())
    assert len({row["store_id"] for row in rows.values()}) > 2

    Store.objects.filter(pk=town.stores[0][0].pk).update(is_open=False)
    spoilt = next(iter(rows))
    Pooled._base_manager.filter(pk=spoilt).update(paid_fen=-1)
    assert rows[spoilt]["member_id"] in set(pooled.otherwise(now=NOW))
    looked = {one.name: one.failures for one in doctor.examine(now=NOW, sample=None)}
    assert looked["pools_follow_the_facts"] > 0
    book.refresh_all(now=NOW)
    assert kept() == plain() != rows and list(pooled.otherwise(now=NOW)) == []


# ── Shared out ───────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def shop() -> World:
    shop = factories.world()
    for code in ("A1", "A2", "A3"):
        shop.hire(code)
    shop.hire("M1", role=Post.Role.STORE_MANAGER)
    return shop


def buyers(shop: World, count: int, **fields: object) -> list[Membership]:
    """People who bought, from nobody unless told otherwise."""
    numbers = [f"138{factories.number():08}" for _ in range(count)]
    orders = shop.settle(*(shop.order(buyer=(Buyer("phone", number),), **fields) for number in numbers))
    return list(Membership.objects.filter(purchases__order__in=orders).order_by("pk"))


def books(shop: World) -> dict[str, int]:
    rows = Binding.objects.filter(ended_at=None).values_list("staff__code", flat=True)
    return {code: list(rows).count(code) for code in ("A1", "A2", "A3")}


def leave(rows: list[Membership], *, now=NOW) -> None:
    """Their clerk's no more."""
    binding.release(pairs=[(row.brand_id, row.member_id) for row in rows], end="unbound", by=None, now=now)
    book.refresh(member_ids=[row.member_id for row in rows], now=now)


def test_small_books_first_the_last_clerk_never_and_no_more_than_the_cap(shop):
    of_a1 = buyers(shop, 4, serving_clerk="A1")
    leave(of_a1[:2], now=NOW + timedelta(hours=1))
    buyers(shop, 1, serving_clerk="A2")
    buyers(shop, 7)
    shop.brand.customers_cap = 4
    shop.brand.save()
    later = NOW + timedelta(hours=2)

    plan = pool.plan(rows=Pooled.objects.all(), now=later)
    assert {share.staff.code: (share.has, share.gets) for share in plan.shares} == {
        "A1": (2, 2), "A2": (1, 3), "A3": (0, 4),
    }  # fmt: skip
    assert (len(plan.to), plan.left, plan.rest) == (9, 0, 0)
    assert plan.digest == pool.plan(rows=Pooled.objects.order_by("-pk"), now=later).digest

    stolen = next(pair for pair in plan.to if pair[1] == of_a1[0].member_id)
    assert plan.to[stolen].staff_id != shop.staff["A1"].pk
    by_hand = {stolen: pool._held(shop.staff["M1"].pk, shop.store)}
    binding.transfer(to=by_hand, source="manual", end="manual", by=None, now=later, reason="老板的朋友")
    got = pool.hand_out(plan=plan, by=None, now=later)

    assert sum(got.values()) == 8 and max(books(shop).values()) <= 4
    assert not Pooled.objects.exists() and list(book.otherwise()) == []
    assert set(Binding.objects.filter(source="pool").values_list("reason", flat=True)) == {"从公海平均分配"}
    told = dict(Notice.objects.values_list("staff", "title"))
    assert told == {staff_id: f"给您分了 {count} 位顾客" for staff_id, count in got.items()}


def test_each_morning_who_has_waited_long_enough_finds_a_clerk(shop):
    early, late = buyers(shop, 3), buyers(shop, 1)
    Membership.objects.filter(pk__in=[one.pk for one in early]).update(registered_at=NOW - timedelta(days=2))
    roll_up(membership_ids=[one.pk for one in early + late], now=NOW)
    book.refresh(member_ids=[one.member_id for one in early], now=NOW)

    def morning(hour: int) -> list[int]:
        with time_machine.travel(NOW.replace(hour=hour), tick=False):
            count = tasks.share_pools()
            jobs.run(ids=list(jobs.Job.objects.pending().values_list("pk", flat=True)), registry=tasks.REGISTRY)
            return [count, Pooled.objects.count()]

    assert morning(9) == [0, 4]  # the brand has not asked for it
    tasks.periodic.rows().update(description="")
    PoolPolicy.objects.create(brand=shop.brand, auto="daily", auto_after_days=1)
    assert morning(7) == [0, 4]  # too early to tell anybody
    assert morning(9) == [1, 1]
    assert books(shop) == {"A1": 1, "A2": 1, "A3": 1} and Notice.objects.count() == 3
    assert morning(10) == [0, 1]
