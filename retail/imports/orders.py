"""The CSV form of orders: one row a line, with the columns of its order repeated on each."""

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
_HEAD = (*_HEADER, "coupons", *_BUYER)  # what every row of an order repeats
_WIDTH = len(_HEAD)


class Orders:
    """How a file of orders is read and taken.

    brand: where unknown stores and SKUs are made (None = they are faults). settle: commissions at once, in this
    process; without it the workers do them. `unsettled` counts the orders that were left to the workers all the same.
    """

    columns = (*_HEAD, *_LINE)
    required = ("channel", "outer_order_id", "paid_at", "outer_line_id", "sku", "qty", "tag_fen", "paid_fen")
    width = columns.index("outer_order_id") + 1  # channel and number

    def __init__(self, *, now: datetime, make_under: Brand | None = None, settle: bool = False) -> None:
        self._now, self._make_under, self._settle = now, make_under, settle
        self.batch = 500 if settle else 1000  # a buyer whose order is settled costs a lock or two until the commit
        self.unsettled = 0

    def read(self, rows: list[Row]) -> Message:
        """One order of its rows. A bad row is left out; it can come later, as a correction that adds its line."""
        order = _order_of(rows)
        return Message(order, rows) if order else _read_one_by_one(rows)

    def prepare(self, messages: list[Message]) -> None:
        if self._make_under:
            missing.create(orders=[message.data for message in messages], brand=self._make_under)

    def take(self, channel: Channel, data: list[shapes.Order]) -> list[Taken]:
        if not self._settle:
            return intake.take_orders(channel=channel, data=data, now=self._now)
        outcomes, unsettled = _take_and_settle(channel, data, self._now)
        self.unsettled += unsettled
        return outcomes

    def without(self, message: Message, lines: set[int | None]) -> Message | None:
        kept = [place for place in range(len(message.rows)) if place not in lines]
        if None in lines or not kept:
            return None
        left = tuple(message.data.lines[place] for place in kept)
        return Message(msgspec.structs.replace(message.data, lines=left), [message.rows[place] for place in kept])


def _order_of(rows: list[Row]) -> shapes.Order | None:
    """The order when nothing at all is odd about its rows: one conversion instead of one for each row."""
    head = rows[0].cells[:_WIDTH]
    if any(row.fault or row.cells[:_WIDTH] != head for row in rows):
        return None
    content, lines = _head(head), [_line(row) for row in rows]
    content["lines"] = lines
    if clerk := next((line["serving_clerk"] for line in lines if "serving_clerk" in line), None):
        content["serving_clerk"] = clerk
    try:
        order = cells.typed(content, shapes.Order)
    except cells.BadCell:
        return None
    return order if len({line.outer_line_id for line in order.lines}) == len(rows) else None


def _read_one_by_one(rows: list[Row]) -> Message:
    """The order of the rows that are good, and what is wrong with each of the others."""
    message = Message()
    parts: list[shapes.Order] = []
    for row in rows:
        fault = row.fault
        try:
            content = {**_head(row.cells[:_WIDTH]), "lines": [_line(row)]}
            part = None if fault else cells.typed(content, shapes.Order)
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


def _head(given: tuple[str, ...]) -> dict[str, Any]:
    """The cells that each row of an order repeats, as an order without lines. Coupons are separated by `|`."""
    content: dict[str, Any] = {name: cell for name, cell in zip(_HEAD, given, strict=True) if cell}
    if "coupons" in content:
        content["coupons"] = [code.strip() for code in content["coupons"].split("|") if code.strip()]
    content["buyer"] = [{"type": kind, "value": content.pop(name)} for name, kind in _BUYER.items() if name in content]
    return content


def _line(row: Row) -> dict[str, str]:
    return {name: cell for name, cell in zip(_LINE, row.cells[_WIDTH:], strict=True) if cell}


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


def _take_and_settle(channel: Channel, data: list[shapes.Order], now: datetime) -> tuple[list[Taken], int]:
    """Record a batch and settle it in the same transaction, so that nothing is taken without being settled.

    Orders that cannot be settled are left to the workers, who try again and show them when they give up; their number.
    """
    with transaction.atomic():
        outcomes = orders.record(channel=channel, data=data, now=now)
        news = [outcome.id for outcome in outcomes if outcome.status in ("created", "corrected") and outcome.id]
        failed = intake.settle_orders(order_ids=news, now=now)
        jobs.enqueue(work=[jobs.Work("settle_order", {"order_id": order_id}) for order_id in failed], now=now)
    return outcomes, len(failed)
