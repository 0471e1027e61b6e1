"""What a purchase is worth by now: what was paid, less what came back."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from django.db import connection

from retail.models import Order


class Returned(Protocol):
    """How much of a line came back: `back` of `size`, in fen, or in pieces where nothing was paid."""

    @property
    def back(self) -> int: ...
    @property
    def size(self) -> int: ...


Back = Mapping[int, Returned]
"""By the id of the line; a line nothing came back of is not in it."""


def left(*, paid_fen: int, came: Returned | None) -> int:
    """What of a line is still sold, in fen; of the sign of what was paid."""
    if came is None or not paid_fen:
        return paid_fen
    return paid_fen - came.back if paid_fen > 0 else paid_fen + came.back


def note(*, orders: Sequence[Order], back: Back) -> None:
    """Keep with the purchases of orders what they are worth. Only those whose worth is another one are written."""
    if not orders:
        return
    worth = {
        order.pk: sum(left(paid_fen=line.paid_fen, came=back.get(line.pk)) for line in order.all_lines)
        for order in orders
    }
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE members_purchase p SET net_fen = w.fen FROM unnest(%s::bigint[], %s::bigint[]) AS w(order_id, fen)"
            " WHERE p.order_id = w.order_id AND p.net_fen <> w.fen",
            [list(worth), list(worth.values())],
        )
