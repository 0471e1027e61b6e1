"""The CSV form of refunds: one row a refund."""

from datetime import datetime

from retail import intake, shapes
from retail.imports import cells
from retail.imports.feed import Message
from retail.imports.table import Row
from retail.models import Channel
from retail.orders import Taken


class Refunds:
    """How a file of refunds is read and taken; the workers take the commissions back."""

    columns = cells.names(shapes.Refund)
    required = ("channel", "outer_refund_id", "outer_order_id", "outer_line_id", "refunded_at")
    batch, width = 1000, 0

    def __init__(self, *, now: datetime) -> None:
        self._now = now

    def read(self, rows: list[Row]) -> Message:
        (row,) = rows
        try:
            if row.fault:
                raise cells.BadCell(row.fault)
            return Message(cells.typed(_content(row), shapes.Refund), rows)
        except cells.BadCell as error:
            return Message(failed=[(row, str(error))])

    def prepare(self, messages: list[Message]) -> None:
        """Nothing is made for a refund: the order it names brings everything."""

    def take(self, channel: Channel, data: list[shapes.Refund]) -> list[Taken]:
        return intake.take_refunds(channel=channel, data=data, now=self._now)

    def without(self, message: Message, lines: set[int | None]) -> Message | None:
        return None


def _content(row: Row) -> dict[str, str]:
    return {name: cell for name, cell in zip(Refunds.columns, row.cells, strict=True) if cell}
