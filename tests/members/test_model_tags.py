"""Computed tags against a plain reading of the purchases; only differences are written, and each says why."""

import random
from collections import Counter
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone, translation

from members import consent, model_tags, profiles, tag_words, tags
from members.models import Member, Membership, MemberTag, Profile, Purchase, Stop, Tag
from retail import periodic, tasks
from retail.models import Category, Product, Refund
from retail.shapes import Buyer
from tests.factories import NOW, World, world

pytestmark = pytest.mark.usefixtures("everything")
SIZES = ["S", "M", "L", "38", "39", "165", ""]


@pytest.fixture
def shop() -> World:
    shop = world()
    shop.hire("A1")
    for place in range(3):
        category = Category.objects.create(code=f"K{place}", name=f"品类{place}")
        for size in SIZES:
            Product.objects.create(
                sku=f"K{place}/{size}x", name=f"单品 墨绿 {size}", brand=shop.brand, category=category, tag_fen=1
            )
    return shop


def bought(shop, dice, who):
    """An order of somebody with habits of their own: the higher their number the dearer they buy, and the more."""
    habit = random.Random(who)
    at = NOW - timedelta(hours=dice.randrange(24 * dice.choice([60, 200, 500])))
    favourite = habit.randrange(3)
    lines = []
    for _ in range(dice.randint(1, 3)):
        category = favourite if dice.random() < 0.7 else dice.randrange(3)
        size = habit.choice(SIZES) if dice.random() < 0.7 else dice.choice(SIZES)
        tag = dice.choice([15_000, 40_000, 90_000]) * dice.randint(1, 2)
        share = dice.choice([50, 70, 71, 100]) if who % 3 else 69
        lines.append({"sku": f"K{category}/{size}x", "tag_fen": tag, "paid_fen": tag * share // 100})
    return shop.order(
        lines=lines,
        buyer=(Buyer("phone", f"139000000{who:02}"),),
        paid_at=at,
        serving_clerk="A1",
        coupons=("C1",) if dice.random() < (who % 4) / 4 else (),
        points_used=100 if dice.random() < (who % 5) / 5 else 0,
    )


@pytest.fixture
def town(shop):
    dice = random.Random(11)
    rows = [bought(shop, dice, who) for who in range(18) for _ in range(1 + who % 8)]
    shop.settle(*rows)
    for row in dice.sample(rows, 12):
        shop.refund(row, line=dice.choice(row.lines).outer_line_id, qty=1)
    return shop


def test_what_is_computed_is_what_a_plain_reading_says(town):
    model_tags.recompute(now=NOW)

    wanted = {row.pk: plain(row, NOW) for row in Membership.objects.all()}
    counts = Counter(code for said in wanted.values() for code in said)
    assert {rule.code for rule in model_tags.RULES} <= counts.keys() | {"lost", "new", "asleep", "price_low"}, counts
    assert standing() == wanted
    assert all(
        row.tag_ids == sorted(Tag.objects.filter(kind="model", code__in=wanted[row.pk]).values_list("pk", flat=True))
        for row in Profile.objects.all()
    )


def standing():
    rows = MemberTag.objects.filter(source="model", until=None).select_related("tag")
    memberships = {(row.member_id, row.brand_id): row.pk for row in Membership.objects.all()}
    said = {pk: {} for pk in memberships.values()}
    for row in rows:
        said[memberships[row.member_id, row.brand_id]][row.tag.code] = row.why
    return said


def plain(membership, now):
    """Code → numbers, by loops."""
    profile = Profile.objects.get(pk=membership.pk)
    if not profile.orders:
        return {}
    said = {}
    last, today = timezone.localdate(profile.last_at), timezone.localdate(now)
    age, day = (today - last).days, last.isoformat()
    if age <= 90:
        more = {"n": profile.year_orders} if profile.orders > 1 else {}
        said["active" if profile.orders > 1 else "new"] = {"day": day, **more}
    else:
        said["cooling" if age <= 180 else "asleep" if age <= 365 else "lost"] = {"day": day}
    if profile.year_fen >= 150_000:
        code = "value_high" if profile.year_fen >= 500_000 else "value_mid"
        said[code] = {"fen": profile.year_fen, "n": profile.year_orders}
    if profile.pieces >= 2:
        each = profile.paid_fen // profile.pieces
        code = "price_low" if each < 20_000 else "price_mid" if each < 60_000 else "price_high"
        said[code] = {"fen": each, "n": profile.pieces}
    midnight = timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)
    year = Purchase.objects.filter(membership=membership, paid_at__gte=midnight - timedelta(days=365))
    return said | habits([purchase.order for purchase in year]) | preferences([one.order for one in year])


def habits(orders):
    n = len(orders)
    counts = {
        "discount": sum(order.tag_fen > 0 and order.paid_fen / order.tag_fen <= 0.7 for order in orders),
        "coupon": sum(bool(order.coupons) for order in orders),
        "points": sum(bool(order.points_used) for order in orders),
    }
    shares = {"discount": 0.5, "coupon": 0.5, "points": 0.3}
    return {code: {"n": n, "k": k} for code, k in counts.items() if n >= 3 and k >= shares[code] * n}


def preferences(orders):
    categories, sizes = Counter(), {}
    for order in orders:
        for line in order.lines.select_related("product__category"):
            if line.is_gift or Refund.objects.filter(order=order, outer_line_id=line.outer_line_id).exists():
                continue
            categories[line.product.category_id] += line.qty
            size = line.product.name.rpartition(" ")[2]
            if size:
                family = "cm" if size == "165" else "shoe" if size[0] == "3" else "letter"
                sizes.setdefault(family, Counter())[size] += line.qty
    said = {}
    if categories:
        pk, k = min(categories.items(), key=lambda one: (-one[1], one[0]))
        total = sum(categories.values())
        if k >= 3 and k / total >= 0.4:
            said[f"category:{pk}"] = {"n": total, "k": k}
    for counts in sizes.values():
        size, k = min(counts.items(), key=lambda one: (-one[1], one[0]))
        if k >= 2 and k / sum(counts.values()) >= 0.5:
            said[f"size:{size}"] = {"n": sum(counts.values()), "k": k}
    return said


def test_only_what_is_otherwise_is_written_and_ends_when_it_holds_no_more(town):
    first = model_tags.recompute(now=NOW)
    assert first.put > 30 and (first.ended, first.explained) == (0, 0)
    rows = dict(MemberTag.objects.values_list("pk", "since"))

    assert model_tags.recompute(now=NOW + timedelta(hours=1)) == (0, 0, 0)

    for days in (1, 30, 91, 200):  # a night like any other: only of whose profile has changed
        later = NOW + timedelta(days=days)
        profiles.refresh_all(now=later)
        moved = model_tags.recompute_changed(since=later, now=later)
        assert standing() == {row.pk: plain(row, later) for row in Membership.objects.all()}
        assert model_tags.recompute(now=later) == (0, 0, 0)
    assert moved.ended > 5 and moved.put > 5
    assert standing() == {row.pk: plain(row, later) for row in Membership.objects.all()}
    assert dict(MemberTag.objects.filter(pk__in=rows).values_list("pk", "since")) == rows  # history stays

    some = Membership.objects.order_by("pk")[3]
    MemberTag.objects.filter(member=some.member).update(until=later)
    again = model_tags.recompute(now=later, membership_ids=[some.pk])
    assert again.put == len(plain(some, later)) and again.ended == 0


def test_of_who_wants_no_profiling_nothing_is_worked_out(town):
    member = Member.objects.order_by("pk")[7]
    model_tags.recompute(now=NOW)
    assert MemberTag.objects.filter(member=member, until=None).exists()

    consent.stop(member=member, corp="", purpose=Stop.Purpose.PROFILING, by=None, now=NOW)
    model_tags.drop(member_ids=[member.pk], now=NOW)
    model_tags.recompute(now=NOW)

    assert not MemberTag.objects.filter(member=member, until=None).exists()
    assert not any(MemberTag.objects.filter(member=member).values_list("why", flat=True))
    assert Profile.objects.get(membership__member=member).tag_ids == []


def test_a_word_that_is_switched_off_is_on_nobody(town):
    model_tags.recompute(now=NOW)
    tag = Tag.objects.get(code="discount")
    on = set(Profile.objects.filter(tag_ids__contains=[tag.pk]).values_list("pk", flat=True))

    tags.switch(tag=tag, is_active=False, by=None, now=NOW)
    assert on and not Profile.objects.filter(tag_ids__contains=[tag.pk]).exists()
    model_tags.recompute(now=NOW)
    tags.switch(tag=tag, is_active=True, by=None, now=NOW)
    model_tags.recompute(now=NOW)

    assert set(Profile.objects.filter(tag_ids__contains=[tag.pk]).values_list("pk", flat=True)) == on


@translation.override("zh-hans")
def test_a_clerk_reads_why(shop):
    rows = [
        shop.order(
            buyer=(Buyer("phone", "13900000001"),),
            lines=[{"sku": "K1/Mx", "tag_fen": 80_000, "paid_fen": 40_000 if n < 6 else 80_000}],
            paid_at=NOW - timedelta(days=10 * n + 3),
        )
        for n in range(8)
    ]
    shop.settle(*rows)
    model_tags.recompute(now=NOW)

    held = tags.of_member(membership=Membership.objects.get(), staff=shop.staff["A1"])

    assert {one.tag.name: one.sentence for one in held} == {
        "活跃": "最近一次购买在 2026 年 10 月 9 日，近一年买了 8 次",
        "中等消费": "近一年 8 单，实付 ¥4,000",
        "两百到六百": "买过 8 件，平均每件 ¥500",
        "价格敏感": "近一年 8 单里 6 单在 7 折以下",
        "品类1": "近一年 8 件里 8 件是品类1",
        "M": "近一年这类尺码 8 件里 8 件是 M",
    }
    assert {one.as_of for one in held} == {timezone.localdate(NOW)}
    assert all(tag_words.sentence(row) for row in MemberTag.objects.select_related("tag"))


def test_the_logins_of_workers_and_requests_may_do_it(town):
    (member,) = Member.objects.order_by("pk")[:1]
    word = tags.define(group_name="", name="有车", brand=None, by=None, now=NOW)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL ROLE daogou_job")
        assert profiles.refresh_all(now=NOW + timedelta(days=100)) and model_tags.recompute(now=NOW).put
        cursor.execute("SET LOCAL ROLE daogou_web")
        assert tags.put(tag=word, member_ids=[member.pk], staff=None, now=NOW)
        assert tags.take_off(tag=word, member_ids=[member.pk], staff=None, now=NOW)
        cursor.execute("RESET ROLE")


def test_it_is_done_once_a_night(town, time_machine):
    periodic.register(with_demo=False)
    time_machine.move_to("2026-10-13T01:30:00+08:00", tick=False)
    assert tasks.members_by_night() == 0 and not MemberTag.objects.exists()

    time_machine.move_to("2026-10-13T02:30:00+08:00", tick=False)
    tasks.members_by_night()
    count = MemberTag.objects.count()
    assert periodic.last(task="retail.members_night").found["put"] == count > 0
    MemberTag.objects.update(until=timezone.now())
    assert tasks.members_by_night() == 0 and MemberTag.objects.count() == count
