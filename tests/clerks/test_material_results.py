"""素材效果: rolled up it is what a plain count over the rows gives, whatever came in between."""

import random
from collections import defaultdict
from dataclasses import fields
from datetime import timedelta
from uuid import UUID

import pytest
from django.utils import timezone

from clerks.materials import results
from clerks.materials.models import Opening, Share, ShareDay, ShareSale, Visitor
from members.models import Member
from retail import periodic, shapes, tasks
from tests import factories
from tests.factories import NOW, World, sharing

pytestmark = pytest.mark.usefixtures("everything")
DAYS = 12


@pytest.fixture
def shop(everything: None) -> World:
    shop = factories.world()
    for code in ("A1", "A2"):
        shop.hire(code)
    return shop


def day_of(moment):
    return timezone.localtime(moment).date()


def plain() -> dict[tuple, results.Result]:
    """The same by loops over the rows."""
    found: dict[tuple, results.Result] = defaultdict(results.Result)
    people: dict[tuple, set] = defaultdict(set)

    def place(at, share: Share) -> tuple:
        return day_of(at), share.material_id, share.staff_id, share.store_id

    for share in Share.objects.all():
        found[place(share.made_at, share)] += results.Result(shares=1)
        if share.sent_at:
            found[place(share.sent_at, share)] += results.Result(sent=1)
    for one in Opening.objects.select_related("share"):
        key = place(one.at, one.share)
        who = ("member", one.member_id) if one.member_id else ("browser", one.visitor or one.pk)
        is_new = who not in people[key]
        people[key].add(who)
        found[key] += results.Result(
            openings=1, seconds=one.seconds, viewers=is_new, known=is_new and one.member_id is not None
        )
    for sale in ShareSale.objects.select_related("share", "order"):
        key = place(sale.paid_at, sale.share)
        purchase = getattr(sale.order, "purchase", None)
        who = ("buyer", purchase.membership.member_id if purchase else -sale.pk)
        net = sale.order.paid_fen - sum(refund.fen or 0 for refund in sale.order.refunds.all())
        found[key] += results.Result(orders=1, sales_fen=net, buyers=who not in people[key])
        people[key].add(who)
    return dict(found)


def rolled_up() -> dict[tuple, results.Result]:
    names = [one.name for one in fields(results.Result)]
    return {
        (row.day, row.material_id, row.staff_id, row.store_id): results.Result(*(getattr(row, name) for name in names))
        for row in ShareDay.objects.all()
    }


@pytest.mark.parametrize("seed", range(2))
def test_rolled_up_it_is_what_a_plain_count_gives(shop: World, seed: int) -> None:
    """Things happen between one counting and the next, and each counts only what it says has changed."""
    dice = random.Random(seed)
    versions = [sharing.material(shop) for _ in range(2)]
    links: list[Share] = []
    orders: list[shapes.Order] = []
    people = [f"1380000{n:04}" for n in range(5)]
    shop.settle(*(shop.order(buyer=(shapes.Buyer("phone", who),), paid_at=NOW - timedelta(days=99)) for who in people))
    members = [None, *Member.objects.values_list("pk", flat=True)]
    counted_at = None

    def moment():
        return NOW - timedelta(minutes=dice.randrange(DAYS * 24 * 60))

    for _ in range(4):
        for _ in range(12):
            happens = dice.choice(["share", "open", "open", "sell", "refund"])
            if happens == "share" or not links:
                at, staff = moment(), shop.staff[dice.choice(["A1", "A2"])]
                sent_at = dice.choice([None, at + timedelta(hours=dice.randrange(20))])
                links.append(sharing.share(dice.choice(versions), staff, shop.store, at=at, sent_at=sent_at))
            elif happens == "open":
                visitor = dice.choice([None, UUID(int=dice.randrange(3))])
                sharing.opening(
                    dice.choice(links), dice.choice(members), at=moment(), visitor=visitor, seconds=dice.randrange(99)
                )
            elif happens == "sell":
                who = dice.choice([(), (shapes.Buyer("phone", dice.choice(people)),)])
                orders.append(shop.order(buyer=who, paid_at=moment(), share_code=dice.choice([None, links[-1].code])))
                shop.settle(orders[-1])
            elif orders:
                shop.refund(dice.choice(orders), fen=dice.randrange(100))
        # Links and openings of past days are told nowhere but by night.
        results.roll_up(days=results.still_moving(now=NOW), now=NOW)
        results.roll_up(days=results.changed_since(counted_at, now=NOW), now=NOW)
        counted_at = NOW
        assert rolled_up() == plain()
    assert results.roll_up(days=results.changed_since(None, now=NOW), now=NOW) == 0  # nothing is left to do
    Opening.objects.all().delete()
    results.roll_up(days=results.changed_since(None, now=NOW) | {row[0] for row in rolled_up()}, now=NOW)
    assert rolled_up() == plain()


def test_an_older_day_is_counted_again_when_a_refund_or_a_name_comes(shop: World) -> None:
    long_ago = NOW - timedelta(days=100)
    link = sharing.share(sharing.material(shop), shop.staff["A1"], shop.store, at=long_ago)
    sale = shop.order(share_code=link.code, paid_at=long_ago)
    shop.settle(sale)
    visitor = UUID(int=7)
    sharing.opening(link, at=long_ago, visitor=visitor)
    results.roll_up(days=results.changed_since(None, now=NOW), now=NOW)
    before = ShareDay.objects.get()
    assert (before.sales_fen, before.known, before.viewers) == (10_000, 0, 1)

    later = NOW + timedelta(hours=1)
    shop.refund(sale, fen=4_000, now=later)
    member = Member.objects.create(created_at=NOW)
    Visitor.objects.create(key=visitor, member=member, known_at=later)
    Opening.objects.update(member=member)
    assert day_of(long_ago) in results.changed_since(later, now=later)
    results.roll_up(days=results.changed_since(later, now=later), now=later)

    after = ShareDay.objects.get()
    assert (after.pk, after.sales_fen, after.known, after.viewers) == (before.pk, 6_000, 1, 1)


def test_the_clock_counts(shop: World) -> None:
    periodic.register(with_demo=False)
    sharing.share(sharing.material(shop), shop.staff["A1"], shop.store, at=timezone.now())
    assert tasks.roll_up_results() == 1 and tasks.roll_up_results() == 0
    assert ShareDay.objects.get().shares == 1
