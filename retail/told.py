"""What the codes and keys of a row stand for that tells of a person and is no order: events, and members themselves.

Of a batch at once: stores, products, people and companies are looked up, and keys kept, in one statement each. What
its time says of somebody who asked to be forgotten since is not known again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import NamedTuple, TypeVar

from django.utils import timezone

from retail import catalog, orders, org, privacy, shapes
from retail.models import Brand, Channel, Franchisee, Store
from retail.orders import Fault

_Thing = TypeVar("_Thing")

OLDEST = 110  # years; nobody who buys is older


# ── Events ───────────────────────────────────────────────────────────────────────────────────────────────────────────
class Told(NamedTuple):
    """Of whom, where and about what an event speaks."""

    brand_id: int
    store_id: int | None
    product_id: int | None
    key_ids: list[int]


class _Read(NamedTuple):
    """The same while the keys are not kept yet."""

    brand_id: int
    store_id: int | None
    product_id: int | None
    keys: list[privacy.Known]


def events(*, channel: Channel, data: Sequence[shapes.Event]) -> list[Told | list[Fault]]:
    """What each event means, or what is wrong with it; in order. The keys of the good ones are kept."""
    stores = orders.stores({row.store_code for row in data if row.store_code})
    skus = {row.sku for row in data if row.sku}
    products = catalog.products_by_sku(skus) if skus else {}
    read = [_event(channel, row, stores, products) for row in data]
    gone = _forgotten(one.keys for one in read if isinstance(one, _Read))
    known = [
        one._replace(keys=_not_told_again(one.keys, gone, row.at)) if isinstance(one, _Read) else one
        for row, one in zip(data, read, strict=True)
    ]
    ids = privacy.keep(key for one in known if isinstance(one, _Read) for key in one.keys)
    return [
        Told(one.brand_id, one.store_id, one.product_id, _ids(one.keys, ids)) if isinstance(one, _Read) else one
        for one in known
    ]


def _event(
    channel: Channel,
    row: shapes.Event,
    stores: dict[str, orders.Shop],
    products: dict[str, catalog.Sold],
) -> _Read | list[Fault]:
    faults = orders.time_faults("at", row.at)
    if row.channel != channel.code:
        faults.append(Fault("channel", f"is {row.channel!r}, but these events are taken for {channel.code!r}"))
    store, product = _found(stores, row.store_code), _found(products, row.sku)
    if row.store_code and store is None:
        faults.append(Fault("store_code", f"unknown store {row.store_code!r}"))
    if row.sku and product is None:
        faults.append(Fault("sku", f"unknown SKU {row.sku!r}"))
    brand = store.brand if store else channel.brand
    if brand is None and not faults:
        faults.append(Fault("store_code", f"channel {channel.code!r} serves several brands: give the store"))
    keys, wrong = orders.identities(channel, brand, row.buyer)
    faults += wrong + _misplaced(row)
    if faults or brand is None:
        return faults
    return _Read(brand.id, store.id if store else None, product.id if product else None, keys)


def _misplaced(row: shapes.Event) -> list[Fault]:
    """Who did it, of what somebody did; the product, of what happened to one."""
    needed, barred = ("sku", "buyer") if row.type in shapes.OF_PRODUCTS else ("buyer", "")
    faults = [] if getattr(row, needed) else [Fault(needed, f"Object missing required field `{needed}`")]
    return [*faults, *([Fault("buyer", "is nobody's of a product")] if barred and row.buyer else [])]


# ── Members ──────────────────────────────────────────────────────────────────────────────────────────────────────────
class ToldConsent(NamedTuple):
    purpose: str
    is_given: bool
    at: datetime
    text_version: str
    company_id: int | None


@dataclass(slots=True)
class ToldMember:
    """Who it is and what their row says, with its codes looked up. `is_forgotten`: no name of theirs is kept."""

    data: shapes.Member
    brand_id: int
    channel_id: int | None
    store_id: int | None
    clerk: org.Held | None
    consents: list[ToldConsent]
    keys: list[privacy.Known]
    key_ids: list[int]
    is_forgotten: bool = False


def members(
    *, channel: Channel | None, brand: Brand | None, data: Sequence[shapes.Member], now: datetime
) -> list[ToldMember | list[Fault]]:
    """What each row means, or what is wrong with it; in order. The keys of the good ones are kept.

    `channel`: the caller's, which no row may contradict; an import has none, and its rows may name any. `brand`: whose
    members they become, where neither the store nor the channel says so.
    """
    look = _look(channel, brand, data, now)
    read = [look.at(row) for row in data]
    good = [one for one in read if isinstance(one, ToldMember)]
    gone = _forgotten(one.keys for one in good)
    refused = set()
    for place, one in enumerate(read):
        if isinstance(one, ToldMember):
            one.is_forgotten = any(key in gone for key in one.keys)
            # By one key of theirs the whole row speaks of who is to be forgotten, whatever it adds.
            if len(_not_told_again(one.keys, gone, one.data.registered_at)) < len(one.keys):
                refused.add(place)
    good = [one for place, one in enumerate(read) if isinstance(one, ToldMember) and place not in refused]
    ids = privacy.keep(key for one in good for key in one.keys)
    for one in good:
        one.key_ids = _ids(one.keys, ids)
    return [[Fault("buyer", "asked to be forgotten")] if place in refused else one for place, one in enumerate(read)]


def birthdays(now: datetime) -> tuple[date, date]:
    """The first and the last day on which somebody who buys today may have been born."""
    today = timezone.localtime(now).date()
    return today.replace(year=today.year - OLDEST, day=1), today


def member_faults(
    *, channel: Channel | None, brand: Brand | None, data: Sequence[shapes.Member], now: datetime
) -> list[list[Fault]]:
    """What is wrong with each row, as far as `members` would say; nothing is kept."""
    look = _look(channel, brand, data, now)
    return [found if isinstance(found := look.at(row), list) else [] for row in data]


def _look(channel: Channel | None, brand: Brand | None, data: Sequence[shapes.Member], now: datetime) -> "_Look":
    named = {row.channel for row in data if row.channel} if channel is None else set()
    channels = {one.code: one for one in Channel._base_manager.filter(code__in=named).select_related("brand")}
    return _Look(
        channel=channel,
        channels=channels,
        brand=brand,
        stores=orders.stores({row.store_code for row in data if row.store_code}),
        roster=org.roster(since=now, until=now, codes={row.clerk for row in data if row.clerk}),
        companies=_companies({one.company for row in data for one in row.consents if one.company}),
        now=now,
    )


@dataclass(slots=True)
class _Look:
    """What the codes of a batch stand for."""

    channel: Channel | None
    channels: dict[str, Channel]
    brand: Brand | None
    stores: dict[str, orders.Shop]
    roster: org.Roster
    companies: dict[str, int]
    now: datetime
    brands: dict[int, int] = field(default_factory=dict)

    def at(self, row: shapes.Member) -> ToldMember | list[Fault]:
        faults: list[Fault] = []
        channel = self._channel(row, faults)
        store = _found(self.stores, row.store_code)
        if row.store_code and store is None:
            faults.append(Fault("store_code", f"unknown store {row.store_code!r}"))
        brand = self._brand(channel, store, faults)
        clerk = self.roster.person(at=self.now, code=row.clerk) if row.clerk else None
        if row.clerk and (clerk is None or (brand is not None and self._brand_of(clerk) != brand.id)):
            faults.append(Fault("clerk", f"nobody {row.clerk!r} holds a post in a store of the brand now"))
        faults += self._time_faults(row)
        consents = self._consents(row, faults)
        keys, wrong = orders.identities(channel, brand, row.buyer)
        odd = (key.type == "phone" and not privacy.is_possible(key.value) for key in keys)
        wrong += [Fault("buyer", "phone: is no number that anybody can have")] if any(odd) else []
        if faults + wrong or brand is None:
            return faults + wrong
        ids = channel.pk if channel else None, store.id if store else None
        return ToldMember(row, brand.id, *ids, clerk, consents, keys, [])

    def _brand_of(self, clerk: org.Held) -> int | None:
        """Few clerks stand in a batch, and most of them many times."""
        store_id = clerk.store_id
        if store_id is not None and store_id not in self.brands:
            self.brands[store_id] = Store._base_manager.values_list("brand_id", flat=True).get(pk=store_id)
        return self.brands.get(store_id) if store_id is not None else None

    def _channel(self, row: shapes.Member, faults: list[Fault]) -> Channel | None:
        if self.channel is not None:
            if row.channel not in (None, self.channel.code):
                said = f"is {row.channel!r}, but these members are taken for {self.channel.code!r}"
                faults.append(Fault("channel", said))
            return self.channel
        if row.channel and row.channel not in self.channels:
            faults.append(Fault("channel", f"unknown channel {row.channel!r}"))
        return self.channels.get(row.channel or "")

    def _brand(
        self, channel: Channel | None, store: orders.Shop | None, faults: list[Fault]
    ) -> orders.Label | Brand | None:
        if self.brand is not None:
            if store is not None and store.brand.id != self.brand.pk:
                faults.append(Fault("store_code", f"is a store of {store.brand.code!r}, not of {self.brand.code!r}"))
            return self.brand
        brand = store.brand if store else channel.brand if channel else None
        if brand is None and not faults:
            code = channel.code if channel else ""
            faults.append(Fault("store_code", f"channel {code!r} serves several brands: give the store"))
        return brand

    def _time_faults(self, row: shapes.Member) -> list[Fault]:
        faults = orders.time_faults("registered_at", row.registered_at)
        if row.registered_at is not None and row.registered_at > self.now:
            faults.append(Fault("registered_at", "has not come yet"))
        first, last = birthdays(self.now)
        if row.birthday is not None and not first <= row.birthday <= last:
            faults.append(Fault("birthday", f"must be a day of the last {OLDEST} years"))
        return faults

    def _consents(self, row: shapes.Member, faults: list[Fault]) -> list[ToldConsent]:
        found = []
        for place, one in enumerate(row.consents):
            faults += orders.time_faults(f"consents[{place}].at", one.at)
            if one.company and one.company not in self.companies:
                faults.append(Fault(f"consents[{place}].company", f"unknown company {one.company!r}"))
            company_id = self.companies.get(one.company or "")
            found.append(ToldConsent(one.purpose, one.is_given, one.at, one.text_version or "", company_id))
        return found


def _companies(codes: set[str]) -> dict[str, int]:
    return dict(Franchisee._base_manager.filter(code__in=codes).values_list("code", "pk")) if codes else {}


# ── Both ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
def _found(table: dict[str, _Thing], code: str | None) -> _Thing | None:
    return table.get(code) if code else None


def _forgotten(rows: Iterable[list[privacy.Known]]) -> dict[privacy.Known, datetime]:
    keys = {key for some in rows for key in some}
    return privacy.suppressed(keys) if keys else {}


def _not_told_again(
    keys: list[privacy.Known], gone: dict[privacy.Known, datetime], at: datetime | None
) -> list[privacy.Known]:
    """Without those whose owner asked to be forgotten after it. Who comes back later is known from then on."""
    return [key for key in keys if key not in gone or (at is not None and gone[key] < at)]


def _ids(keys: list[privacy.Known], ids: dict[privacy.Known, int]) -> list[int]:
    return list(dict.fromkeys(ids[key] for key in keys))
