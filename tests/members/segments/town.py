"""A small world in which every kind of condition has somebody who fits and somebody who does not."""

import random
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from clerks.models import Binding, Friend, Touch
from members import behaviour, profiles
from members.models import (
    Consent,
    Coupon,
    CouponType,
    Event,
    Member,
    Membership,
    MemberTag,
    PointsAdjustment,
    PointsEntry,
    Stop,
    Tag,
    Tier,
)
from retail import intake, privacy, shapes
from retail.models import Category, Order, Product
from tests.factories import LONG_AGO, NOW, World, number, world

PEOPLE = 36
MIDNIGHT = NOW.replace(hour=0, minute=0)
# Days ago, and seconds before or after that midnight: the edges of every window.
EDGES = [(days, seconds) for days in (0, 1, 30, 60, 90, 180, 365, 400) for seconds in (-1, 0, 1)]


@dataclass
class Town:
    shop: World
    other: World
    codes: dict[str, list[str]] = field(default_factory=dict)  # what conditions may name
    members: list[Member] = field(default_factory=list)


def build(seed: int = 7) -> Town:
    """To be called within EVERYTHING."""
    dice = random.Random(seed)
    corp = f"corp{number()}"
    town = Town(world(corp=corp), world(corp=corp))
    town.shop.hire("seg-A"), town.shop.hire("seg-B")
    _trade(town, dice)
    town.members = list(Member.objects.filter(memberships__brand=town.shop.brand).order_by("pk"))
    _own(town, dice)
    _know(town, dice)
    _meet(town, dice)
    one, into = town.members[:2]
    Member.objects.filter(pk=one.pk).update(merged_into=into)
    profiles.refresh(membership_ids=Membership.objects.values_list("pk", flat=True), now=NOW)
    return town


def _at(dice: random.Random) -> Any:
    if dice.random() < 0.5:
        return NOW - timedelta(minutes=dice.randrange(1, 600 * 1440))
    days, seconds = dice.choice(EDGES)
    return min(MIDNIGHT - timedelta(days=days) + timedelta(seconds=seconds), NOW)


def _trade(town: Town, dice: random.Random) -> None:
    shop = town.shop
    second, category = shop.another_store(), Category.objects.create(code=f"seg-{number()}", name="鞋")
    shoe = Product.objects.create(sku=f"seg-{number()}", name="鞋", brand=shop.brand, category=category, tag_fen=9000)
    channels = [shop.pos, shop.pos, shop.channel("tmall")]
    town.codes |= {
        "store": [shop.store.code, second.code],
        "category": [category.code, shop.product.category.code],
        "product": [shoe.sku, shop.product.sku],
        "staff": ["seg-A", "seg-B"],
    }
    for brand in (shop, shop, shop, town.other):
        sales = [
            _sale(brand, dice, channels if brand is shop else [brand.pos], [shop.store, second], shoe)
            for _ in range(30)
        ]
        _settle(brand, sales, dice)
    for n in range(PEOPLE - 3, PEOPLE):  # members who never bought
        member = Member.objects.create(created_at=LONG_AGO, name=f"看客{n}")
        Membership.objects.create(brand=shop.brand, member=member, registered_at=_at(dice))


def _sale(brand: World, dice: random.Random, channels: list[Any], stores: list[Any], shoe: Product) -> Any:
    channel = dice.choice(channels)
    skus = [brand.product.sku, shoe.sku] if channel.brand_id == shoe.brand_id else [brand.product.sku]
    lines = []
    for _ in range(dice.randint(1, 2)):
        sign = dice.choice([1, 1, 1, 1, -1])
        fen = sign * dice.choice([0, 1, 9999, 30000, 80000])
        lines.append({"sku": dice.choice(skus), "qty": sign * dice.randint(1, 3), "paid_fen": fen, "tag_fen": fen})
    return channel, brand.order(
        channel=channel,
        lines=lines,
        buyer=(shapes.Buyer("phone", f"139{dice.randrange(PEOPLE - 3):08}"),),
        paid_at=_at(dice),
        serving_clerk=dice.choice(["seg-A", "seg-B", None]),
        **(
            {"store_code": dice.choice(stores).code}
            if channel.kind == "pos" and brand.brand == stores[0].brand
            else {}
        ),
    )


def _settle(brand: World, sales: list[Any], dice: random.Random) -> None:
    ids = []
    for channel, sale in sales:
        ids += [taken.id for taken in brand.take(sale, channel=channel)]
    assert intake.settle_orders(order_ids=ids, now=NOW) == []
    for channel, sale in dice.sample(sales, 12):
        amounts = [{"fen": 5000}, {"qty": 1}, {"cumulative_fen": 30000}, {"fen": 10**9}]
        for amount in dice.sample(amounts, dice.randint(1, 2)):
            row = shapes.Refund(
                channel=channel.code, outer_order_id=sale.outer_order_id, outer_line_id="1",
                outer_refund_id=f"R{number()}", refunded_at=NOW - timedelta(minutes=dice.randrange(99)), **amount,
            )  # fmt: skip
            (taken,) = intake.take_refunds(channel=channel, data=[row], now=NOW)
            intake.settle_refund(refund_id=taken.id, now=NOW)


def _own(town: Town, dice: random.Random) -> None:
    brand = town.shop.brand
    tiers = [Tier.objects.create(brand=brand, code=f"t{rank}", name=f"等级{rank}", rank=rank) for rank in (1, 2, 3)]
    types = [
        CouponType.objects.create(
            brand=brand, code=f"c{n}-{number()}", name=f"券{n}", kind="amount", off_fen=1_000, starts_at=LONG_AGO
        )
        for n in range(2)
    ]
    town.codes |= {"tier": [tier.code for tier in tiers], "coupon": [one.code for one in types]}
    staff = list(town.shop.staff.values())
    for row in Membership.objects.filter(brand=brand).order_by("pk"):
        row.tier = dice.choice([None, *tiers])
        row.registered_at, row.registered_store = _at(dice), dice.choice([None, town.shop.store])
        row.registered_by = dice.choice([None, *staff])
        row.points = sum(_points(row, dice))
        row.save()
        for _ in range(dice.randint(0, 2)):
            state = dice.choice(["issued", "issued", "redeemed", "expired", "void"])
            until = NOW + timedelta(hours=dice.choice([-50, -1, 0, 1, 24 * 3 - 1, 24 * 3, 24 * 30]))
            Coupon.objects.create(
                type=dice.choice(types), membership=row, code=f"K{number()}", state=state,
                issued_at=LONG_AGO, valid_from=LONG_AGO, valid_until=until,
                redeemed_at=_at(dice) if state == "redeemed" else None,
                order=Order.objects.earliest("pk") if state == "redeemed" else None,
            )  # fmt: skip
    for member in town.members:
        Member.objects.filter(pk=member.pk).update(born_on=dice.choice([None, date(1990, dice.randint(1, 12), 1)]))


def _points(row: Membership, dice: random.Random) -> list[int]:
    """Lots, and what was used of them: never more than there is."""
    lots = [dice.choice([100, 250]) for _ in range(dice.randint(0, 3))]
    for points in lots:
        last = dice.choice([None, *(NOW.date() + timedelta(days=days) for days in (0, 3, 7, 8, 300))])
        _entry(row, "adjust", points, expires_on=last)
    used = dice.choice([0, 0, 120, 200])
    if not lots or used > sum(lots):
        return lots
    if used:
        _entry(row, "deduct", -used)
    return [*lots, -used]


def _entry(row: Membership, kind: str, points: int, **more: Any) -> None:
    given = PointsAdjustment.objects.create(membership=row, points=points, reason="补", at=NOW)
    PointsEntry.objects.create(
        membership=row, kind=kind, points=points, adjustment=given, at=NOW, created_at=NOW, **more
    )


def _know(town: Town, dice: random.Random) -> None:
    brand, channel = town.shop.brand, town.shop.pos
    behaviour.make_months(NOW - timedelta(days=30 * months) for months in range(-1, 30))
    tags = [
        *(Tag.objects.create(brand=brand, kind="company", code=f"a{n}-{brand.pk}", name=f"标签{n}") for n in range(2)),
        Tag.objects.create(kind="model", code=f"m-{brand.pk}", name="价格敏感"),
        Tag.objects.create(
            brand=brand,
            kind="clerk",
            staff=next(iter(town.shop.staff.values())),
            code=f"own-{brand.pk}",
            name="导购自己的话",
        ),
    ]
    town.codes["tag"] = [tag.code for tag in tags[:3]]
    products = list(Product.objects.filter(brand=brand))
    for member in town.members:
        for tag in dice.sample(tags, dice.randint(0, 3)):
            whose = dice.choice([brand, None, town.other.brand])
            MemberTag.objects.create(
                member=member,
                brand=whose,
                tag=tag,
                source="manual",
                since=LONG_AGO,
                until=dice.choice([None, None, NOW]),
            )
        for _ in range(dice.randint(0, 4)):
            Event.objects.create(
                id=number(), at=_at(dice), channel=channel, outer_event_id=f"E{number()}", brand=brand, member=member,
                kind=dice.choice(["view", "cart"]), product=dice.choice([None, *products]),
                store=dice.choice([None, town.shop.store]), received_at=NOW,
            )  # fmt: skip
        for _ in range(dice.randint(0, 2)):
            Consent.objects.create(
                member=member, purpose=dice.choice(["marketing", "profiling"]), is_given=dice.random() < 0.5,
                source="test", at=_at(dice), noted_at=NOW,
            )  # fmt: skip
        if dice.random() < 0.4:
            lifted = dice.choice([None, NOW])
            purpose = dice.choice(["", "marketing", "service"])
            Stop.objects.create(
                member=member, corp=dice.choice([brand.corp, "x"]), purpose=purpose, at=NOW, lifted_at=lifted
            )


def _meet(town: Town, dice: random.Random) -> None:
    shop = town.shop
    staff = list(shop.staff.values())
    bindings = list(Binding.objects.filter(brand=shop.brand, ended_at=None).order_by("pk"))
    Binding.objects.filter(pk__in=[row.pk for row in bindings[::3]]).update(ended_at=NOW, end_reason="unbound")
    for member in town.members:
        for clerk in dice.sample(staff, dice.randint(0, 2)):
            known = privacy.Known("external_userid", shop.brand.corp, f"wm{number()}")
            Friend.objects.create(
                corp=dice.choice([shop.brand.corp, shop.brand.corp, "x"]), userid=clerk.code, member=member,
                key_id=privacy.keep([known])[known], state=dice.choice(["friend", "lost", "none"]), staff=clerk,
            )  # fmt: skip
        for _ in range(dice.randint(0, 2)):
            Touch.objects.create(
                corp=dice.choice([shop.brand.corp, shop.brand.corp, "x"]), member=member, at=_at(dice),
                purpose=dice.choice(["welcome", "service", "marketing", "reply"]), effect=f"T{number()}",
            )  # fmt: skip
