"""The members: who they are, how they are known, where they are at home and how much they like to buy."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial
from itertools import accumulate, count
from random import Random
from typing import Any

from retail.demo import copying, keys, names, seasons
from retail.demo.people import People
from retail.demo.shops import Shops
from retail.models import Brand, Channel, Staff, Store
from retail.shapes import Buyer

KINDS = Channel.Kind
_ABROAD = (KINDS.TMALL, KINDS.DOUYIN, KINDS.JD)  # markets that tell their own buyer number and seldom a phone
_TIER_STEPS = (2.5, 6.0, 15.0)  # of `liking`: silver, gold, diamond


@dataclass(slots=True)
class Customer:
    """One membership: a person (`person` is the id of the Member) with one brand. Key ids: 0 = there is none."""

    id: int
    person: int
    brand: Brand
    store: Store
    liking: float
    registered_at: datetime
    registered_by: Staff | None
    phone: int = 0
    unionid: int = 0
    external: int = 0
    card: int = 0
    market: Channel | None = None
    market_key: int = 0
    first_at: datetime | None = None
    last_at: datetime | None = None
    first_sale: tuple[datetime, Staff, Store, int] | None = None  # of an unbound member at the till, with the order
    staff: Staff | None = None  # of ours, when it is one
    is_regular: bool = False  # of a clerk behind a door: bound for sure

    def buyer(self, rng: Random, channel: Channel) -> list[tuple[Buyer, int]]:
        """How this channel knows them: what it sends and the ids of those keys."""
        if channel.kind in _ABROAD:
            known = [(Buyer("channel_id", keys.channel_id(self.person)), self.market_key)]
            return known + (self._phone() if rng.random() < 0.3 else [])
        if channel.kind == KINDS.POS:
            if self.card and rng.random() < 0.3:
                return [(Buyer("card", keys.card(self.person)), self.card)]
            return self._phone() or self._unionid()
        return self._unionid() + (self._phone() if rng.random() < 0.5 else [])

    def _phone(self) -> list[tuple[Buyer, int]]:
        number = keys.staff_phone(self.staff.pk) if self.staff else keys.phone(self.person)
        return [(Buyer("phone", number), self.phone)] if self.phone else []

    def _unionid(self) -> list[tuple[Buyer, int]]:
        return [(Buyer("unionid", keys.unionid(self.person)), self.unionid)] if self.unionid else []


@dataclass(slots=True)
class Pool:
    """Customers to draw from, the ones who like to buy more often."""

    customers: list[Customer] = field(default_factory=list)
    steps: list[float] = field(default_factory=list)

    def draw(self, rng: Random, at: datetime) -> Customer | None:
        """Somebody who was a member at that time already."""
        for _ in range(4):
            customer = rng.choices(self.customers, cum_weights=self.steps)[0] if self.customers else None
            if customer is None or customer.registered_at <= at:
                return customer
        return None


@dataclass(slots=True)
class Customers:
    """`pools`: a store's id for its till, a channel's code for what comes through it."""

    all: list[Customer] = field(default_factory=list)
    pools: dict[object, Pool] = field(default_factory=lambda: defaultdict(Pool))

    def sort_into_pools(self, channels: list[Channel]) -> None:
        ways = {(channel.brand_id, channel.kind): channel.code for channel in channels}
        for customer in self.all:
            places: list[object] = [customer.store.pk]
            if customer.unionid:
                places += [ways[customer.brand.pk, kind] for kind in (KINDS.MINI_PROGRAM, KINDS.VIDEO_LIVE)]
            if customer.market:
                places.append(customer.market.code)
            for place in places:
                self.pools[place].customers.append(customer)
        for pool in self.pools.values():
            pool.steps = list(accumulate(customer.liking for customer in pool.customers))


_IDENTITY = "member_id, key_id, source, channel_id, seen_at, verified_at"
TABLES = ("retail_buyerkey", "members_member", "members_identity")


class Registry:
    """Makes the members, and writes them with keys and identities; memberships are written after their orders.

    Two with random numbers of one state make the same members: `is_writing` is left out where another writes them.
    """

    def __init__(
        self, rng: Random, *, shops: Shops, people: People, keyring: keys.Numbers, now: datetime, is_writing: bool
    ) -> None:
        self._rng, self._people, self._keyring, self._today = rng, people, keyring, seasons.midnight(now)
        self._channels = {(channel.brand_id, channel.kind): channel for channel in shops.channels}
        self._brands = shops.brands
        self._stores = shops.stores_of
        pen: Any = partial(copying.Writer, bundle=20_000) if is_writing else lambda *_: copying.Nowhere()
        self._identities = pen("members_identity", _IDENTITY)
        self._members = pen("members_member", "id, name, created_at, born_on")
        self._ids = count(1)

    def fill(self, wanted: int, *, progress: Callable[[int], None] = lambda done: None) -> Customers:
        customers = Customers()
        clerks = [stint for stints in self._people.stints.values() for stint in stints[::7] if stint.ends_at is None]
        for person in range(1, wanted + 1):
            own = clerks[person - 1] if person <= min(len(clerks), wanted // 10) else None
            customers.all += self._person(person, own.staff if own else None, own.store if own else None)
            if person % 1000 == 0:
                progress(person)
        for writer in (self._members, self._keyring, self._identities):
            writer.flush()
        customers.sort_into_pools(list(self._channels.values()))
        return customers

    def _person(self, person: int, staff: Staff | None, store: Store | None) -> list[Customer]:
        """One person with one membership, or with both brands."""
        rng = self._rng
        draw = rng.random()
        brands = self._brands if draw < 0.12 else self._brands[:1] if draw < 0.7 else self._brands[1:]
        if store is not None:
            brands = [store.brand]
        customers = [self._membership(person, brand, store) for brand in brands]
        since = min(customer.registered_at for customer in customers)
        self._members.add((person, staff.name if staff else names.of_customer(rng), since, _birthday(person)))
        self._know_person(person, customers, staff, since)
        for customer in customers:
            self._know_customer(customer)
        return customers

    def _membership(self, person: int, brand: Brand, store: Store | None) -> Customer:
        rng = self._rng
        stores = self._stores[brand.pk]
        store = store or stores[int(rng.random() ** 1.3 * len(stores))]
        days = rng.random() * (365 if rng.random() < 0.3 else 1000)
        registered_at = self._today - timedelta(days=days)
        by = self._people.clerk(rng, store, registered_at) if rng.random() < 0.72 else None
        liking = min(rng.paretovariate(1.16), 60.0)
        return Customer(next(self._ids), person, brand, store, liking, registered_at, by)

    def _know_person(self, person: int, customers: list[Customer], staff: Staff | None, since: datetime) -> None:
        """Phone and unionid are the person's, the same for every brand."""
        phone = unionid = 0
        if staff:
            phone = staff.phone_key_id
        elif self._rng.random() < 0.86:
            phone = self._keyring.add("phone", "", keys.phone(person))
        if not phone or self._rng.random() < 0.62:
            unionid = self._keyring.add("unionid", "", keys.unionid(person))
        for customer in customers:
            customer.phone, customer.unionid, customer.staff = phone, unionid, staff
        for key in filter(None, (phone, unionid)):
            self._identify(person, key, None, since, since)

    def _know_customer(self, customer: Customer) -> None:
        """A card, a contact in WeCom and a buyer number of a market are known to one brand each."""
        rng, brand, since = self._rng, customer.brand, customer.registered_at
        if rng.random() < 0.25:
            customer.card = self._keyring.add("card", brand.code, keys.card(customer.person))
            self._identify(customer.person, customer.card, None, since, None)
        if customer.registered_by and rng.random() < 0.55:
            value = keys.external_userid(customer.person, brand.corp)
            customer.external = self._keyring.add("external_userid", brand.corp, value)
            self._identify(customer.person, customer.external, None, since, since)
        if rng.random() < 0.3:
            kind = rng.choices(_ABROAD, weights=(58, 25, 17))[0]
            customer.market = self._channels[brand.pk, kind]
            customer.market_key = self._keyring.add(
                "channel_id", customer.market.code, keys.channel_id(customer.person)
            )
            self._identify(customer.person, customer.market_key, customer.market, since, None)

    def _identify(
        self, person: int, key: int, channel: Channel | None, seen_at: datetime, verified_at: datetime | None
    ) -> None:
        source = "order" if channel else "register"
        self._identities.add((person, key, source, channel.pk if channel else None, seen_at, verified_at))


def _birthday(person: int) -> date | None:
    """Two of three have told it; now and then somebody has typed a year of the next century."""
    if person % 3 == 0:
        return None
    year = 2077 if person % 4001 == 1 else 1958 + person * 7 % 48
    return date(year, 1 + person % 12, 1 + person % 28)


_MEMBERSHIP = (
    "id, brand_id, member_id, tier_id, tier_since, tier_until, registered_at, registered_store_id, registered_by_id,"
    " first_purchase_at, last_purchase_at"
)


def write_memberships(customers: Customers, shops: Shops, now: datetime) -> None:
    """Write where everybody stands, once their purchases up to now are known.

    The tier they had before this year; it is kept to some day of the next, and what they bought may give a better one.
    """
    copying.copy("members_membership", _MEMBERSHIP, _memberships(customers, shops, now))


def _memberships(customers: Customers, shops: Shops, now: datetime) -> Iterator[tuple[object, ...]]:
    for one in customers.all:
        place = sum(one.liking >= step for step in _TIER_STEPS)
        tier = shops.tiers[one.brand.pk][place]
        until = now + timedelta(days=1 + one.id % seasons.YEAR) if place else None
        by = one.registered_by.pk if one.registered_by else None
        yield (
            *(one.id, one.brand.pk, one.person, tier.pk, one.registered_at, until),
            *(one.registered_at, one.store.pk, by, one.first_at, one.last_at),
        )
