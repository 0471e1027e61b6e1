"""The CSV form of orders: one row a line, with the columns of its order repeated on each."""

from collections.abc import Hashable
from datetime import datetime
from typing import Any

import msgspec
from django.db import transaction

from retail import intake, jobs, orders, shapes
from retail.imports import cells, missing
from retail.imports.feed import Message
from retail.imports.table import Row
from retail.models import Brand, Channel
from retail.orders import Taken

_HEADER = cells.names(shapes.Order, without=("buyer", "lines", "coupons", "serving_clerk"))
_LINE = cells.names(shapes.Line)
_BUYER = {f"buyer_{kind}": kind for kind in cells.IDENTITIES}


class Orders:
    """How a file of orders is read and taken.

    brand: where unknown stores and SKUs are made (None = they are faults). settle: commissions at once, in this
    process; without it the workers do them.
    """

    columns = frozenset([*_HEADER, *_LINE, *_BUYER, "coupons"])
    required = frozenset(
        ["channel", "outer_order_id", "paid_at", "outer_line_id", "sku", "qty", "tag_fen", "paid_fen"]
    )

    def __init__(self, *, now: datetime, make_under: Brand | None = None, settle: bool = False) -> None:
        self._now, self._make_under, self._settle = now, make_under, settle

    def key(self, row: Row) -> Hashable:
        return row.cells.get("channel"), row.cells.get("outer_order_id")

    def read(self, rows: list[Row]) -> Message:
        """One order of its rows. A bad row is left out; it can come later, as a correction that adds its line."""
        message = Message()
        parts: list[shapes.Order] = []
        for row in rows:
            fault = row.fault
            try:
                part = None if fault else cells.typed(_content(row.cells), shapes.Order)
            except cells.BadCell as error:
                part, fault = None, str(error)
            if part and parts:
                fault = _conflict(part, parts, message.rows)
            if fault:
                message.failed.append((row, fault))
            elif part is not None and part not in parts:
                parts.append(part)
                message.rows.append(row)
        if parts:
            message.data = _joined(parts)
        return message

    def prepare(self, messages: list[Message]) -> None:
        if self._make_under:
            missing.create(orders=[message.data for message in messages], brand=self._make_under)

    def take(self, channel: Channel, data: list[shapes.Order]) -> list[Taken]:
        if self._settle:
            return _take_and_settle(channel, data, self._now)
        return intake.take_orders(channel=channel, data=data, now=self._now)

    def without(self, message: Message, lines: set[int | None]) -> Message | None:
        kept = [place for place in range(len(message.rows)) if place not in lines]
        if None in lines or not kept:
            return None
        left = tuple(message.data.lines[place] for place in kept)
        return Message(msgspec.structs.replace(message.data, lines=left), [message.rows[place] for place in kept])


def _content(given: dict[str, str]) -> dict[str, Any]:
    """The cells of a row in the form of an order with one line. Coupons are separated by `|`."""
    content: dict[str, Any] = {name: given[name] for name in _HEADER if name in given}
    content["lines"] = [{name: given[name] for name in _LINE if name in given}]
    content["buyer"] = [{"type": kind, "value": given[name]} for name, kind in _BUYER.items() if name in given]
    if "coupons" in given:
        content["coupons"] = [code.strip() for code in given["coupons"].split("|") if code.strip()]
    return content


def _conflict(part: shapes.Order, parts: list[shapes.Order], rows: list[Row]) -> str:
    """What speaks against this row beside the earlier ones of its order; the very same row twice is no harm."""
    for name in (*_HEADER, "buyer", "coupons"):
        if getattr(part, name) != getattr(parts[0], name):
            return f"{name}: differs from row {rows[0].number} of the same order"
    for earlier, row in zip(parts, rows, strict=True):
        if part != earlier and part.lines[0].outer_line_id == earlier.lines[0].outer_line_id:
            return f"outer_line_id: the same line says something else on row {row.number}"
    return ""


def _joined(parts: list[shapes.Order]) -> shapes.Order:
    """One order of parts with the same head. Its clerk is the first one named; every line keeps its own."""
    lines = tuple(part.lines[0] for part in parts)
    clerk = next((line.serving_clerk for line in lines if line.serving_clerk), None)
    return msgspec.structs.replace(parts[0], lines=lines, serving_clerk=clerk)


def _take_and_settle(channel: Channel, data: list[shapes.Order], now: datetime) -> list[Taken]:
    """Record a batch and settle it in the same transaction, so that nothing is taken without being settled.

    An order that cannot be settled is left to the workers, who try again and show it when they give up.
    """
    with transaction.atomic():
        outcomes = orders.record(channel=channel, data=data, now=now)
        news = [outcome.id for outcome in outcomes if outcome.status in ("created", "corrected") and outcome.id]
        failed = intake.settle_orders(order_ids=news, now=now)
        jobs.enqueue(work=[jobs.Work("settle_order", {"order_id": order_id}) for order_id in failed], now=now)
    return outcomes
