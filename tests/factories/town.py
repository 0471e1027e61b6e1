"""A random world of two brands, what happens in it, and every row that settling writes of it."""

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any, NamedTuple

import msgspec
from django.db import connection, transaction
from django.db.models import F

from clerks.materials.models import Share, ShareSale
from clerks.models import Binding, TurnedAway
from commissions import plans
from commissions.models import BuyerSnapshot, ClaimRow, Entry, Period, PlanVersion
from members.models import Identity, Member, Membership, PointsEntry, PointsRule, Profile, Purchase, Tier
from retail import intake, privacy, shapes
from retail.models import Channel, Order, Post, Refund, Store, StoreGroup
from tests.factories import LONG_AGO, NOW, World, franchisee, number, sharing, world

SPLIT = [
    {"role": role, "weight": weight}
    for role, weight in {
        "serve": 4,
        "bound": 3,
        "recruit": 1,
        "share": 1,
        "fulfil": 1,
        "manager": 2,
        "region": 1,
    }.items()
]
RULES = (
    {"id": "base", "calc": {"type": "rate", "ppm": 33_333}, "split": SPLIT, "missing": "reallocate"},
    {
        "id": "new",
        "group": "welcome",
        "when": {"member": "new"},
        "calc": {"type": "fixed", "fen": 501},
        "split": [{"role": "first_order", "weight": 2}, {"role": "serve", "weight": 1}],
    },
    {
        "id": "group",
        "group": "where",
        "when": {"store_group": ["old-town"]},
        "calc": {"type": "per_qty", "fen": 7},
        "split": [{"role": "serve", "weight": 1}],
    },
)


# ── A world of two brands ────────────────────────────────────────────────────────────────────────────────────────────
@dataclass
class Town:
    """Two brands, one of them with a franchise store, and everything that can happen to an order."""

    dice: random.Random
    brands: list[World] = field(default_factory=lambda: [world(), world(protection_days=20, customers_cap=4)])
    stores: list[list[Store]] = field(default_factory=list)  # of each brand
    links: list[list[Share]] = field(default_factory=list)  # of each brand
    luck: random.Random = field(default_factory=lambda: random.Random(9))  # of links: the rest happens as without them

    def __post_init__(self) -> None:
        for place, brand in enumerate(self.brands):
            self._people(brand, f"{place}")
            brand.plan(*RULES)
            _points(brand)
        self._a_second_version(self.brands[0])
        self._customers_known_before()
        for place, brand in enumerate(self.brands):
            self._links_that_were_opened(brand, f"{place}")
        self.channels = [
            [brand.pos, *(brand.channel(kind) for kind in ("mini_program", "tmall"))] for brand in self.brands
        ]

    def _people(self, brand: World, tag: str) -> None:
        theirs = brand.another_store(franchisee=franchisee())
        StoreGroup.objects.create(code=f"new-{tag}", name="新店").stores.add(brand.store, theirs)
        group = StoreGroup.objects.get_or_create(code="old-town", defaults={"name": "老城"})[0]
        group.stores.add(brand.store)
        for n in range(3):
            brand.hire(f"A{tag}{n}")
        brand.hire(f"F{tag}", store=theirs)
        brand.hire(f"M{tag}", role="store_manager")
        brand.hire(f"N{tag}", role="store_manager", store=theirs)
        brand.hire(f"R{tag}", role="region_manager", region=brand.region)
        moved = brand.hire(f"X{tag}")  # works next door from half-time on
        Post.objects.filter(staff=moved).update(ends_at=NOW - timedelta(days=30))
        Post.objects.create(staff=moved, role="clerk", store=theirs, starts_at=NOW - timedelta(days=30))
        self.stores.append([brand.store, theirs])

    def _a_second_version(self, brand: World) -> None:
        draft = plans.copy(version=PlanVersion.objects.get(plan__brand=brand.brand), by=None, now=NOW)
        draft.rules.filter(code="base").update(calc={"type": "rate", "ppm": 20_001})
        plans.approve(version=draft, by=None, now=NOW)
        plans.activate(version=draft, starts_at=NOW - timedelta(days=25), by=None, now=NOW - timedelta(days=25))

    def _customers_known_before(self) -> None:
        """A clerk who also buys, and members somebody recruited, one of them with a tier."""
        brand = self.brands[0]
        clerk = brand.staff["A00"]
        clerk.phone_key_id = _key_of("13800000000")
        clerk.save()
        tier = Tier.objects.create(brand=brand.brand, code="gold", name="金卡", rank=1)
        for n in (1, 2):
            row = Membership.objects.create(
                brand=brand.brand,
                member=Member.objects.create(created_at=NOW - timedelta(days=500)),
                tier=tier if n == 1 else None,
                registered_at=NOW - timedelta(days=500),
                registered_by=brand.staff["A01"],
            )
            Identity.objects.create(
                member=row.member, key_id=_key_of(f"1380000000{n}"), source="test", seen_at=row.registered_at
            )

    def _links_that_were_opened(self, brand: World, tag: str) -> None:
        """By the members known before, at some time of these two months, and by somebody nobody knows."""
        version = sharing.material(brand)
        people = [brand.staff[f"A{tag}0"], brand.staff[f"A{tag}2"], brand.staff[f"X{tag}"]]
        links = [sharing.share(version, staff, brand.store) for staff in people]
        members = [*Member.objects.order_by("pk").values_list("pk", flat=True), None]
        for _ in range(120):
            at = NOW - timedelta(minutes=self.luck.randrange(60 * 24 * 60))
            sharing.opening(self.luck.choice(links), self.luck.choice(members), at=at)
        self.links.append(links)

    def orders(self, count: int) -> list[tuple[Channel, shapes.Order]]:
        return [self.order() for _ in range(count)]

    def order(self, **fields: Any) -> tuple[Channel, shapes.Order]:
        dice = self.dice
        place = dice.randrange(len(self.brands))
        brand, tag = self.brands[place], str(place)
        channel = dice.choice(self.channels[place])
        clerks = [f"A{tag}0", f"A{tag}1", f"F{tag}", f"X{tag}", "ghost", None]
        codes = {
            "serving_clerk": dice.choice(clerks),
            "fulfilling_clerk": dice.choice([None, None, f"A{tag}2"]),
            "share_code": dice.choice([None, None, f"s-A{tag}1"]),
            "fulfil_store_code": dice.choice([None, None, self.stores[place][1].code]),
            "points_used": dice.choice([0, 0, 0, 150]),
        }
        if self.luck.random() < 0.2:
            codes["share_code"] = self.luck.choice(self.luck.choice(self.links)).code
        if channel == brand.pos:
            codes["store_code"] = dice.choice(self.stores[place]).code
        row = brand.order(
            channel=channel,
            lines=[self._line(clerks) for _ in range(dice.randint(1, 3))],
            buyer=self._buyer(),
            paid_at=NOW - timedelta(minutes=dice.randrange(60 * 24 * 60)),
            **{**codes, **fields},
        )
        return channel, row

    def _line(self, clerks: list[str | None]) -> dict[str, Any]:
        dice = self.dice
        sign = dice.choice([1, 1, 1, 1, -1])  # −1: an exchange
        said = {"serving_clerk": dice.choice(clerks)} if dice.random() < 0.2 else {}
        return {"paid_fen": sign * dice.choice([0, 1, 4999, 99999]), "qty": sign * dice.randint(1, 3), **said}

    def _buyer(self) -> tuple[shapes.Buyer, ...]:
        """One of a dozen people by some of the ways they are known; sometimes two people's keys are mixed up."""
        who = self.dice.randrange(12)
        other = self.dice.randrange(12) if self.dice.random() < 0.1 else who
        known = [
            shapes.Buyer("phone", f"138000000{who:02}"),
            shapes.Buyer("unionid", f"oUnion{other}"),
            shapes.Buyer("card", f"VIP{who}"),
        ]
        return tuple(self.dice.sample(known, self.dice.randint(0, len(known))))


def _points(brand: World) -> None:
    """A point a yuan, for a fortnight's points some have expired by now, and twice as many on some days."""
    common = {"brand": brand.brand, "starts_on": LONG_AGO.date()}
    PointsRule.objects.create(name="基础", life="days", lives_days=14, **common)
    PointsRule.objects.create(name="会员日", kind="times", month_days=[8, 18, 28], **common)


def _key_of(phone: str) -> int:
    (key_id,) = privacy.keep([privacy.normalised(privacy.Known("phone", "", phone))]).values()
    return key_id


# ── What happens in it, and the ways of settling ─────────────────────────────────────────────────────────────────────
class Way(NamedTuple):
    """How orders, and how the refunds of orders, are settled; both take ids of orders."""

    orders: Callable[[list[int]], None]
    refunds: Callable[[list[int]], None]


@dataclass(frozen=True)
class Story:
    """Facts in the order they arrive: rounds of orders, refunds (some before their order) and corrections."""

    rounds: list[tuple[list[tuple[Channel, shapes.Order]], list[tuple[Channel, shapes.Refund]]]]

    def happen(self, way: Way) -> None:
        """Each round is taken down, then settled in the order of payment, then its refunds are."""
        for orders, refunds in self.rounds:
            late = [outcome.id for refund in refunds for outcome in _take_refund(refund) if outcome.status != "parked"]
            take(orders)
            way.orders(unsettled())
            known = Refund.objects.filter(pk__in=late).order_by("pk").values_list("order", flat=True)
            way.refunds(list(dict.fromkeys(known)))


def take(orders: Iterable[tuple[Channel, shapes.Order]]) -> None:
    for channel, row in orders:
        intake.take_orders(channel=channel, data=[row], now=NOW)


def unsettled() -> list[int]:
    waiting = Order.objects.exclude(settled_version=F("version")).order_by("paid_at", "pk")
    return list(waiting.values_list("pk", flat=True))


def _take_refund(refund: tuple[Channel, shapes.Refund]) -> list[Any]:
    channel, row = refund
    return intake.take_refunds(channel=channel, data=[row], now=NOW)


def story(town: Town, *, rounds: int = 3, orders: int = 25) -> Story:
    dice, told, rows = town.dice, [], town.orders(rounds * orders)
    for place in range(rounds):
        fresh = rows[place * orders : (place + 1) * orders]
        known = rows[: place * orders]
        corrected = [_correction(town, *dice.choice(known)) for _ in range(12)] if known else []
        corrected = list({row.outer_order_id: (channel, row) for channel, row in corrected}.values())
        refunds = [refund_of(dice, *dice.choice(rows)) for _ in range(25)]  # also of orders of later rounds
        told.append(([*fresh, *corrected], refunds))
    return Story(told)


def _correction(town: Town, channel: Channel, row: shapes.Order) -> tuple[Channel, shapes.Order]:
    """Other amounts, another clerk, or no code any more."""
    if row.share_code and town.luck.random() < 0.3:
        return channel, msgspec.structs.replace(row, share_code=None)
    if town.dice.random() < 0.5:
        tag = row.serving_clerk[1] if row.serving_clerk and row.serving_clerk != "ghost" else "0"
        return channel, msgspec.structs.replace(row, serving_clerk=f"A{tag}2")
    lines = tuple(
        msgspec.structs.replace(line, paid_fen=line.paid_fen // 2, tag_fen=line.tag_fen // 2) for line in row.lines
    )
    return channel, msgspec.structs.replace(row, lines=lines)


def refund_of(dice: random.Random, channel: Channel, row: shapes.Order) -> tuple[Channel, shapes.Refund]:
    amount = dice.choice([{"fen": dice.randint(0, 6000)}, {"qty": 1}, {"cumulative_fen": dice.randint(0, 90000)}])
    return channel, shapes.Refund(
        channel=channel.code,
        outer_refund_id=f"R{number()}",
        outer_order_id=row.outer_order_id,
        outer_line_id=dice.choice(row.lines).outer_line_id,
        refunded_at=NOW,
        **amount,
    )


def _each_order(ids: list[int]) -> None:
    for order_id in ids:
        intake.settle_order(order_id=order_id, now=NOW)


def _each_refund(ids: list[int]) -> None:
    for order_id in ids:
        intake.settle_refunds_of(order_id=order_id, now=NOW)


ONE_BY_ONE = Way(_each_order, _each_refund)


def in_batches(dice: random.Random, largest: int, *, is_shuffled: bool = False) -> Way:
    """Batches of up to `largest`; shuffled they come in no order at all."""

    def each(verb: Callable[..., list[int]], ids: list[int]) -> None:
        ids = dice.sample(ids, len(ids)) if is_shuffled else ids
        while ids:
            size = dice.randint(1, largest)
            assert verb(order_ids=ids[:size], now=NOW) == []
            ids = ids[size:]

    return Way(partial(each, intake.settle_orders), partial(each, intake.settle_refunds))


SEQUENCES = ("retail_order", "retail_orderline", "retail_refund", "retail_buyerkey")


def told(story: Story, way: Way, *, first_id: int) -> dict[str, list[Any]]:
    """What the world looks like after the story, which then never happened. Facts get ids from `first_id` on: the same
    each time, so that the keys of entries are the same.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            for table in SEQUENCES:
                cursor.execute(f"SELECT setval('{table}_id_seq', {first_id})")
        story.happen(way)
        rows = written()
        transaction.set_rollback(True)
    return rows


def written() -> dict[str, list[Any]]:
    """Every row settling writes, without the ids that sequences give out: members are the keys they are known by."""
    keys: dict[int, tuple[int, ...]] = {}
    for member_id, key_id in Identity.objects.order_by("key_id").values_list("member_id", "key_id"):
        keys[member_id] = (*keys.get(member_id, ()), key_id)
    bindings = {row.pk: (row.brand_id, keys[row.member_id], row.started_at) for row in Binding.objects.all()}
    memberships = {row.pk: (row.brand_id, keys[row.member_id]) for row in Membership.objects.all()}
    claims = {row.pk: (row.order_id, row.line_id, row.revision, row.role) for row in ClaimRow.objects.all()}
    entries = {row.pk: row.key for row in Entry.objects.all()}
    houses = {row.txn: row.payer_id for row in Entry.objects.of_house()}
    periods = dict(Period.objects.values_list("pk", "starts_on"))
    as_is: dict[str, Callable[[Any], Any]] = {
        "member_id": keys.get,
        "membership_id": memberships.get,
        "claim_id": claims.get,
        "reverses_id": entries.get,
        "period_booked_id": periods.get,
        "period_origin_id": periods.get,
        "txn": houses.get,
        "evidence": lambda said: bindings[said["binding"]] if "binding" in said else sorted(said.items()),
    }
    kinds = (
        Identity,
        Membership,
        Profile,
        Purchase,
        Binding,
        TurnedAway,
        ClaimRow,
        BuyerSnapshot,
        Entry,
        Order,
        Refund,
        ShareSale,
    )
    rows = {kind.__name__: sorted(_plain(kind.objects.all(), as_is)) for kind in kinds}
    # What has expired is one difference after a batch and several after single orders; the balance is the same.
    rows["PointsEntry"] = sorted(_plain(PointsEntry.objects.exclude(kind="expire"), as_is))
    return rows


def _plain(rows: Iterable[Any], as_is: dict[str, Callable[[Any], Any]]) -> Iterator[str]:
    for row in rows:
        names = [field.attname for field in row._meta.concrete_fields if not field.primary_key]
        yield repr({name: as_is.get(name, lambda value: value)(getattr(row, name)) for name in names})
