"""A year of orders and refunds, oldest first, in the feed's own shapes."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from random import Random

from retail import shapes
from retail.demo import baskets, seasons
from retail.demo.baskets import Item
from retail.demo.customers import Customer, Customers
from retail.demo.goods import Shelf
from retail.demo.people import People
from retail.demo.shops import SHARE_OF, Shops
from retail.models import Channel, Staff, Store

KINDS = Channel.Kind
BRAND_SHARE = {"XL": 62, "LY": 38}
_UNKNOWN = {KINDS.POS: 0.16, KINDS.VIDEO_LIVE: 0.1, KINDS.MINI_PROGRAM: 0.02}  # else 0.12
_REFUNDED = {KINDS.POS: 0.035, KINDS.MINI_PROGRAM: 0.09, KINDS.VIDEO_LIVE: 0.14}  # else 0.12
SHARED = {KINDS.MINI_PROGRAM: 0.3, KINDS.VIDEO_LIVE: 0.4}
_SHIPPED_BY_STORE = {KINDS.MINI_PROGRAM: 0.16, KINDS.TMALL: 0.1, KINDS.VIDEO_LIVE: 0.08}
_FLAGSHIP_WEIGHT = 1.7


@dataclass(slots=True)
class Sale:
    """One order that happened, with what its codes stand for."""

    data: shapes.Order
    channel: Channel
    customer: Customer | None
    key_ids: list[int]
    items: list[Item]
    store: Store | None = None
    served_by: Staff | None = None
    fulfil_store: Store | None = None
    refund: shapes.Refund | None = None

    def give_back(self, line: shapes.Line, at: datetime, **amount: int) -> shapes.Refund:
        order = self.data
        return baskets.give_back(
            channel=order.channel, order=order.outer_order_id, line=line.outer_line_id, at=at, **amount
        )


@dataclass(slots=True)
class Market:
    """Everything a sale needs: who sells, who buys, what there is."""

    rng: Random
    shops: Shops
    people: People
    customers: Customers
    shelves: dict[int, Shelf]
    now: datetime

    def sales(self, wanted: int) -> Iterator[Sale]:
        """About `wanted` orders over the year, in the order of payment."""
        for day, channels in self._calendar(wanted):
            moments = [
                (seasons.moment(self.rng, day, in_shop=channel.kind == KINDS.POS, now=self.now), channel)
                for channel in channels
            ]
            for at, channel in sorted(moments, key=lambda pair: pair[0]):
                yield self.sale(channel, at)

    def _calendar(self, wanted: int) -> Iterator[tuple[datetime, list[Channel]]]:
        """For each day, the channel of each of its orders."""
        today = self.now.date()
        days = [today - timedelta(days=back) for back in range(seasons.YEAR, -1, -1)]
        cells = [(day, channel) for day in days for channel in self.shops.channels]
        weights = [
            SHARE_OF[channel.kind]
            * BRAND_SHARE[channel.brand.code]
            * seasons.weight(day, kind=channel.kind, today=today)
            for day, channel in cells
        ]
        drawn = Counter(self.rng.choices(range(len(cells)), cum_weights=list(accumulate(weights)), k=wanted))
        per_day = len(self.shops.channels)
        for place, day in enumerate(days):
            block = range(place * per_day, (place + 1) * per_day)
            yield day, [cells[cell][1] for cell in block for _ in range(drawn[cell])]

    def sale(self, channel: Channel, at: datetime) -> Sale:
        """One order of this channel at this moment."""
        in_shop = channel.kind == KINDS.POS
        store = self._store(channel) if in_shop else None
        pool = self.customers.pools[store.pk if store else channel.code]
        customer = None if self.rng.random() < _UNKNOWN.get(channel.kind, 0.12) else pool.draw(self.rng, at)
        sale = self.ring_up(channel, at, customer=customer, store=store)
        sale.refund = self._refund(sale)
        return sale

    def ring_up(
        self,
        channel: Channel,
        at: datetime,
        *,
        customer: Customer | None,
        store: Store | None = None,
        served_by: Staff | None = None,
        shared_by: Staff | None = None,
    ) -> Sale:
        """An order of this customer; who served or shared is drawn where nobody is named."""
        rng, kind = self.rng, channel.kind
        items = baskets.fill(rng, self.shelves[channel.brand_id], kind=kind, at=at)
        known = customer.buyer(rng, channel) if customer else []
        if kind == KINDS.POS:
            served_by = served_by or self._server(store, at)
        elif customer:
            shared_by = shared_by or self._sharer(channel, customer, at)
            if kind == KINDS.MINI_PROGRAM and rng.random() < 0.2:
                store = customer.store  # picked up there
        fulfil_store = self._shipper(channel, customer) if not store else None
        shipper = self.people.clerk(rng, fulfil_store, at) if fulfil_store and rng.random() < 0.5 else None
        data = shapes.Order(
            channel=channel.code,
            outer_order_id=self._number(channel, at, store),
            paid_at=at,
            delivered_at=self._delivery(at) if kind != KINDS.POS else None,
            store_code=store.code if store else None,
            buyer=tuple(buyer for buyer, _ in known),
            serving_clerk=served_by.code if served_by else None,
            fulfil_store_code=fulfil_store.code if fulfil_store else None,
            fulfilling_clerk=shipper.code if shipper else None,
            share_code=shared_by.share_code if shared_by else None,
            live_event=f"LIVE-{at:%Y%m%d}" if kind == KINDS.VIDEO_LIVE else None,
            coupons=self._coupons(customer),
            points_used=int(rng.random() * 20) * 100 if customer and rng.random() < 0.05 else 0,
            lines=tuple(item.line for item in items),
        )
        return Sale(data, channel, customer, [key for _, key in known], items, store, served_by, fulfil_store)

    def _coupons(self, customer: Customer | None) -> tuple[str, ...]:
        """One in twenty shows a coupon; whose it is, and what it gives, is written later (`demo.vouchers`)."""
        if self.rng.random() >= 0.12:
            return ()
        drawn = self.rng.random()
        return (f"{int(drawn * 2**53):014X}",) if customer and drawn < 0.45 else ()

    def _refund(self, sale: Sale) -> shapes.Refund | None:
        """Sometimes money goes back on one line, some days later."""
        rng = self.rng
        if rng.random() >= _REFUNDED.get(sale.channel.kind, 0.12):
            return None
        line = rng.choice(sale.data.lines)
        at = sale.data.paid_at + timedelta(hours=2 + rng.random() ** 1.5 * 280)
        amount = baskets.amount(rng, line)
        if line.paid_fen <= 0 or at >= seasons.midnight(self.now):
            return None
        return sale.give_back(line, at, **amount)

    def _store(self, channel: Channel) -> Store:
        stores = self.shops.stores_of[channel.brand_id]
        return stores[int(self.rng.random() ** _FLAGSHIP_WEIGHT * len(stores))]

    def _server(self, store: Store | None, at: datetime) -> Staff | None:
        return self.people.clerk(self.rng, store, at) if store and self.rng.random() < 0.94 else None

    def _sharer(self, channel: Channel, customer: Customer, at: datetime) -> Staff | None:
        """The clerk whose link was followed: mostly one of the customer's own store."""
        if self.rng.random() >= SHARED.get(channel.kind, 0):
            return None
        return self.people.clerk(self.rng, customer.store, at)

    def _shipper(self, channel: Channel, customer: Customer | None) -> Store | None:
        if self.rng.random() >= _SHIPPED_BY_STORE.get(channel.kind, 0):
            return None
        return customer.store if customer else self._store(channel)

    def _delivery(self, at: datetime) -> datetime | None:
        """Two to four days later; the parcels of the last days are still on their way."""
        if seasons.midnight(self.now) - at < timedelta(days=seasons.SETTLED_DAYS):
            return None
        return at + timedelta(hours=40 + int(self.rng.random() * 60))

    def _number(self, channel: Channel, at: datetime, store: Store | None) -> str:
        tail = int(self.rng.random() * 10**7)
        return f"{store.code if store else channel.pk}{int(at.timestamp())}{tail:07d}"
