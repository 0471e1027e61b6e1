"""One random world settled one by one and in batches: every row that settling writes is the same."""

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from django.db import connection, transaction
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from clerks.models import Binding
from commissions import plans
from commissions.models import BuyerSnapshot, ClaimRow, Entry, Period, PlanVersion
from members.models import Identity, Member, Membership, Purchase, Tier
from retail import intake, privacy, shapes
from retail.models import Channel, Order, Post, Refund, Store, StoreGroup
from tests.factories import NOW, World, franchisee, number, world

pytestmark = pytest.mark.usefixtures("everything")

Settle = Callable[[list[int]], None]

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
    brands: list[World] = field(default_factory=lambda: [world(), world(protection_days=20)])
    stores: list[list[Store]] = field(default_factory=list)  # of each brand

    def __post_init__(self) -> None:
        for place, brand in enumerate(self.brands):
            self._people(brand, f"{place}")
            brand.plan(*RULES)
        self._a_second_version(self.brands[0])
        self._customers_known_before()
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
        }
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


def _key_of(phone: str) -> int:
    (key_id,) = privacy.keep([privacy.normalised(privacy.Known("phone", "", phone))]).values()
    return key_id


# ── What happens in it, and the two ways of settling ─────────────────────────────────────────────────────────────────
@dataclass(frozen=True)
class Story:
    """Facts in the order they arrive: rounds of orders, refunds (some before their order) and corrections."""

    rounds: list[tuple[list[tuple[Channel, shapes.Order]], list[tuple[Channel, shapes.Refund]]]]

    def happen(self, settle: Settle) -> None:
        """Each round is taken down, then settled in the order of payment, then its refunds are."""
        for rows, refunds in self.rounds:
            late = [outcome.id for refund in refunds for outcome in _take_refund(refund) if outcome.status != "parked"]
            for channel, row in rows:
                intake.take_orders(channel=channel, data=[row], now=NOW)
            waiting = Order.objects.exclude(settled_version=F("version")).order_by("paid_at", "pk")
            settle(list(waiting.values_list("pk", flat=True)))
            for refund_id in late:
                intake.settle_refund(refund_id=refund_id, now=NOW)


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
        refunds = [_refund(dice, *dice.choice(rows)) for _ in range(25)]  # also of orders of later rounds
        told.append(([*fresh, *corrected], refunds))
    return Story(told)


def _correction(town: Town, channel: Channel, row: shapes.Order) -> tuple[Channel, shapes.Order]:
    """Other amounts, or another clerk."""
    if town.dice.random() < 0.5:
        tag = row.serving_clerk[1] if row.serving_clerk and row.serving_clerk != "ghost" else "0"
        return channel, msgspec.structs.replace(row, serving_clerk=f"A{tag}2")
    lines = tuple(
        msgspec.structs.replace(line, paid_fen=line.paid_fen // 2, tag_fen=line.tag_fen // 2) for line in row.lines
    )
    return channel, msgspec.structs.replace(row, lines=lines)


def _refund(dice: random.Random, channel: Channel, row: shapes.Order) -> tuple[Channel, shapes.Refund]:
    amount = dice.choice([{"fen": dice.randint(0, 6000)}, {"qty": 1}, {"cumulative_fen": dice.randint(0, 90000)}])
    return channel, shapes.Refund(
        channel=channel.code,
        outer_refund_id=f"R{number()}",
        outer_order_id=row.outer_order_id,
        outer_line_id=dice.choice(row.lines).outer_line_id,
        refunded_at=NOW,
        **amount,
    )


def one_by_one(ids: list[int]) -> None:
    for order_id in ids:
        intake.settle_order(order_id=order_id, now=NOW)


def in_batches(dice: random.Random, largest: int) -> Settle:
    def settle(ids: list[int]) -> None:
        for batch in cut(ids, dice, largest):
            assert intake.settle_orders(order_ids=batch, now=NOW) == []

    return settle


def cut(ids: list[int], dice: random.Random, largest: int) -> Iterator[list[int]]:
    while ids:
        size = dice.randint(1, largest)
        yield ids[:size]
        ids = ids[size:]


SEQUENCES = ("retail_order", "retail_orderline", "retail_refund", "retail_buyerkey")


def told(story: Story, settle: Settle, *, first_id: int) -> dict[str, list[Any]]:
    """What the world looks like after the story, which then never happened. Facts get ids from `first_id` on: the same
    each time, so that the keys of entries are the same.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            for table in SEQUENCES:
                cursor.execute(f"SELECT setval('{table}_id_seq', {first_id})")
        story.happen(settle)
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
    kinds = (Identity, Membership, Purchase, Binding, ClaimRow, BuyerSnapshot, Entry, Order, Refund)
    return {kind.__name__: sorted(_plain(kind.objects.all(), as_is)) for kind in kinds}


def _plain(rows: Iterable[Any], as_is: dict[str, Callable[[Any], Any]]) -> Iterator[str]:
    for row in rows:
        names = [field.attname for field in row._meta.concrete_fields if not field.primary_key]
        yield repr({name: as_is.get(name, lambda value: value)(getattr(row, name)) for name in names})


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_both_ways_write_the_same_rows(seed):
    town = Town(random.Random(seed))
    happens, first_id = story(town), number() * 100_000

    alone = told(happens, one_by_one, first_id=first_id)

    assert len(alone["Entry"]) > 300 and len(alone["Binding"]) > 5
    for largest in (7, 60):
        together = told(happens, in_batches(random.Random(seed), largest), first_id=first_id)
        for name, rows in alone.items():
            assert together[name] == rows, name


def test_orders_and_refunds_in_any_order_end_the_same():
    """Where nothing depends on who came first (no buyers), batches may be shuffled, refunds come before or after."""
    town = Town(random.Random(5))
    rows = [(channel, msgspec.structs.replace(row, buyer=())) for channel, row in town.orders(30)]
    refunds = [_refund(town.dice, *town.dice.choice(rows)) for _ in range(20)]
    refunds.sort(key=lambda refund: refund[1].outer_refund_id)
    first_id = number() * 100_000

    def shuffled(ids: list[int]) -> None:
        in_batches(town.dice, 9)(town.dice.sample(ids, len(ids)))

    before = told(Story([([], refunds), (rows, [])]), shuffled, first_id=first_id)
    after = told(Story([(rows, []), ([], refunds)]), shuffled, first_id=first_id)

    assert len(before["Entry"]) > 100
    for name in ("ClaimRow", "BuyerSnapshot"):
        assert before[name] == after[name]


# ── What a batch costs, and what a bad order in it does ──────────────────────────────────────────────────────────────
@pytest.fixture
def shop() -> World:
    shop = world()
    shop.hire("A1")
    shop.hire("M1", role="store_manager")
    split = [{"role": "serve", "weight": 7}, {"role": "bound", "weight": 2}, {"role": "manager", "weight": 1}]
    shop.plan({"id": "base", "calc": {"type": "rate", "ppm": 30_000}, "split": split})
    shop.settle(shop.order(serving_clerk="A1"))  # compiles the plan, makes the periods
    return shop


def taken(shop: World, count: int, *, days_ago: int = 0) -> list[int]:
    rows = [
        shop.order(
            lines=[{}, {}],
            serving_clerk="A1",
            buyer=(shapes.Buyer("phone", f"139{n:08}"),),
            paid_at=NOW - timedelta(days=days_ago),
        )
        for n in range(count)
    ]
    return [outcome.id for outcome in shop.take(*rows) if outcome.id]


# Of members nobody knew, and of those then known, an order each that came late.
NEW, KNOWN = 24, 22


@pytest.mark.parametrize("count", [5, 50])
def test_a_batch_takes_as_many_statements_whatever_its_size(shop, count):
    assert statements(taken(shop, count)) == NEW
    assert statements(taken(shop, count, days_ago=3)) == KNOWN


def statements(ids: list[int]) -> int:
    """How many a batch takes, savepoints apart."""
    with CaptureQueriesContext(connection) as queries:
        assert intake.settle_orders(order_ids=ids, now=NOW) == []
    return len([query for query in queries if "SAVEPOINT" not in query["sql"]])


def test_an_order_that_cannot_be_settled_costs_the_others_nothing(shop):
    ids = taken(shop, 9)
    Order.objects.filter(pk=ids[4]).update(settled_version=7)  # of which there is no document

    assert intake.settle_orders(order_ids=ids, now=NOW) == [ids[4]]
    assert Purchase.objects.filter(order__in=ids).count() == 8
    assert not Purchase.objects.filter(order=ids[4]).exists()


def test_settling_a_batch_again_posts_nothing(shop):
    ids = taken(shop, 9)
    intake.settle_orders(order_ids=ids, now=NOW)
    before = Entry.objects.count()

    assert intake.settle_orders(order_ids=ids, now=NOW) == []
    assert Entry.objects.count() == before
