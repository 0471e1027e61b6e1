"""Writing orders and refunds as the feed would have, and remembering what the customers bought."""

import hashlib
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from retail import shapes
from retail.demo import copying
from retail.demo.shopping import Sale
from retail.models import Channel

_ORDER = (
    "id, channel_id, outer_order_id, version, fingerprint, brand_id, store_id, paid_at, delivered_at, buyer_keys,"
    " serving_clerk, fulfil_store_id, fulfilling_clerk, share_code, chat_id, live_event, coupons, points_used,"
    " tag_fen, paid_fen, received_at, settled_version"
)
_LINE = (
    "order_id, outer_line_id, product_id, brand_label, category_label, qty, tag_fen, paid_fen, cost_fen, is_gift,"
    " serving_clerk"
)
_REFUND = (
    "channel_id, outer_refund_id, version, outer_order_id, outer_line_id, order_id, refunded_at, fen, cumulative_fen,"
    " qty, received_at, trouble, excess"
)
_PURCHASE = "order_id, membership_id, store_id, paid_at, net_fen, is_first, dormant_days"


class Event(NamedTuple):
    """Something of the last days the real flow still has to do: settle an order, by its id, or take a refund."""

    at: datetime
    order_id: int
    channel: Channel
    refund: shapes.Refund | None = None


class Journal:
    """Writes sales: before `settled_from` they become purchases of their customers, from then on wait as `events`."""

    def __init__(self, *, settled_from: datetime) -> None:
        self._settled_from = settled_from
        self._orders = copying.Writer("retail_order", _ORDER, bundle=5_000)
        self._lines = copying.Writer("retail_orderline", _LINE, bundle=10_000)
        self._refunds = copying.Writer("retail_refund", _REFUND, bundle=5_000)
        self._purchases: list[tuple[Any, ...]] = []
        self._count = 0
        self.events: list[Event] = []

    def write(self, sale: Sale) -> None:
        """Write one order with what came back of it."""
        self._count += 1
        self._orders.add(_order(self._count, sale))
        for item in sale.items:
            self._lines.add(_line(self._count, sale, item))
        if sale.data.paid_at >= self._settled_from:
            self._leave(self._count, sale)
            return
        self._remember(self._count, sale)
        if sale.refund:
            self._refunds.add(_refund(self._count, sale, sale.refund))

    def close(self) -> None:
        for writer in (self._orders, self._lines, self._refunds):
            writer.flush()

    def write_purchases(self) -> None:
        """After the memberships they belong to."""
        copying.copy("members_purchase", _PURCHASE, self._purchases)
        self._purchases = []

    def _leave(self, order_id: int, sale: Sale) -> None:
        order = Event(sale.data.paid_at, order_id, sale.channel)
        self.events.append(order)
        if sale.refund:
            self.events.append(order._replace(at=sale.refund.refunded_at, refund=sale.refund))

    def _remember(self, order_id: int, sale: Sale) -> None:
        customer, at = sale.customer, sale.data.paid_at
        if customer is None:
            return
        last = customer.last_at
        store_id = sale.store.pk if sale.store else None
        dormant = None if last is None else (at - last).days
        paid_fen = sum(line.paid_fen for line in sale.data.lines)  # what came back is taken off when it is settled
        self._purchases.append((order_id, customer.id, store_id, at, paid_fen, last is None, dormant))
        customer.first_at, customer.last_at = customer.first_at or at, at
        if sale.channel.kind == Channel.Kind.POS and sale.served_by and sale.store and not customer.first_sale:
            customer.first_sale = (at, sale.served_by, sale.store, order_id)


def _order(order_id: int, sale: Sale) -> tuple[Any, ...]:
    data, lines = sale.data, sale.data.lines
    fingerprint = hashlib.blake2b(shapes.encode(data), digest_size=16).digest()
    return (
        *(order_id, sale.channel.pk, data.outer_order_id, 1, fingerprint, sale.channel.brand_id),
        *(sale.store.pk if sale.store else None, data.paid_at, data.delivered_at, _array(sale.key_ids)),
        *(data.serving_clerk or "", sale.fulfil_store.pk if sale.fulfil_store else None),
        *(data.fulfilling_clerk or "", data.share_code or "", "", data.live_event or "", _array(data.coupons)),
        *(data.points_used, sum(line.tag_fen for line in lines), sum(line.paid_fen for line in lines)),
        *(data.paid_at + timedelta(seconds=3), 0),
    )


def _array(values: Iterable[object]) -> str:
    """An array as PostgreSQL spells it: psycopg takes longer to dump such a list than all the rest of the row."""
    return "{" + ",".join(map(str, values)) + "}"


def _line(order_id: int, sale: Sale, item: Any) -> tuple[Any, ...]:
    line, product = item.line, item.product
    return (
        *(order_id, line.outer_line_id, product.pk, sale.channel.brand.code, product.category.code, line.qty),
        *(line.tag_fen, line.paid_fen, line.cost_fen, line.is_gift, line.serving_clerk or ""),
    )


def _refund(order_id: int, sale: Sale, data: shapes.Refund) -> tuple[Any, ...]:
    return (
        *(sale.channel.pk, data.outer_refund_id, 1, data.outer_order_id, data.outer_line_id, order_id),
        *(data.refunded_at, data.fen, data.cumulative_fen, data.qty, data.refunded_at, "", 0),
    )
