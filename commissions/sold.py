"""Settled orders as judging reads them, by the hundred thousand: rows, not instances, and nothing is locked.

It has the names that pricing and refunds look at, so the same code does both kinds of order.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from django.db import connection

from retail.models import Channel, Refund, Store
from retail.models.orders import SoldLine


class Sold(NamedTuple):
    pk: int
    brand_id: int
    paid_at: datetime
    live_event: str
    channel: Channel
    store: Store | None
    all_lines: list[SoldLine]
    all_refunds: list[Refund]


class Places:
    """Channels and stores, each read once however many orders name it."""

    def __init__(self) -> None:
        self._channels: dict[int, Channel] = {}
        self._stores: dict[int | None, Store | None] = {None: None}

    def channel(self, pk: int) -> Channel:
        if pk not in self._channels:
            self._channels = Channel._base_manager.in_bulk()
        return self._channels[pk]

    def store(self, pk: int | None) -> Store | None:
        if pk not in self._stores:
            self._stores = {None: None, **Store._base_manager.in_bulk()}
        return self._stores[pk]


def read(*, order_ids: Sequence[int], places: Places) -> list[Sold]:
    """Those of the orders that are settled as they now stand, with their lines and refunds."""
    lines: dict[int, list[SoldLine]] = defaultdict(list)
    refunds: dict[int, list[Refund]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(_LINES, [list(order_ids)])
        for order_id, *line in cursor.fetchall():
            lines[order_id].append(SoldLine._make(line))
        cursor.execute(_ORDERS, [list(order_ids)])
        orders = cursor.fetchall()
    for refund in Refund._base_manager.filter(order__pk__among=order_ids):
        refunds[refund.order_id or 0].append(refund)
    return [
        Sold(pk, brand, paid_at, live, places.channel(channel), places.store(store), lines[pk], refunds.get(pk, []))
        for pk, brand, paid_at, live, channel, store in orders
    ]


_LINES = """
SELECT l.order_id, l.id, l.outer_line_id, p.sku, l.brand_label, l.category_label, l.qty, l.tag_fen, l.paid_fen,
    l.cost_fen, l.serving_clerk
FROM retail_orderline l JOIN retail_product p ON p.id = l.product_id
WHERE l.order_id = ANY(%s::bigint[]) ORDER BY l.id
"""
_ORDERS = """
SELECT id, brand_id, paid_at, live_event, channel_id, store_id FROM retail_order
WHERE id = ANY(%s::bigint[]) AND settled_at IS NOT NULL AND settled_version = version
"""
