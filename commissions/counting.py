"""Which lines count for attainment, decided with the rules and kept: a line counts unless a mark says otherwise.

Nearly every line is won by a rule that counts, so that is what goes without saying. No mark is ever changed: a line
that is judged anew and differently gets another one.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from django.db import connection

from commissions.models import CountMark
from retail.models import Order


def mark(*, orders: Sequence[Order], uncounted: Mapping[int, Collection[int]], now: datetime) -> None:
    """Note of orders just judged which lines do not count (by order id). Where nothing is new: no statement."""
    known = _known([order.pk for order in orders if order.settled_version])
    news = []
    for order_id, line_ids in uncounted.items():
        news += [(order_id, line_id, False) for line_id in line_ids if known.pop(line_id, (order_id, True))[1]]
    news += [(order_id, line_id, True) for line_id, (order_id, counts) in known.items() if not counts]
    if news:
        with connection.cursor() as cursor:
            order_ids, line_ids, counts = zip(*news, strict=True)
            cursor.execute(_INSERT, [now, list(order_ids), list(line_ids), list(counts)])


_INSERT = """
INSERT INTO commissions_countmark (order_id, line_id, counts, posted_at)
SELECT order_id, line_id, counts, %s
FROM unnest(%s::bigint[], %s::bigint[], %s::bool[]) AS given(order_id, line_id, counts)
"""


def _known(order_ids: Sequence[int]) -> dict[int, tuple[int, bool]]:
    """Line id → its order and what its last mark says, for orders that were judged before."""
    if not order_ids:
        return {}
    rows = CountMark.objects.filter(order__pk__among=order_ids).order_by("pk")
    return {line_id: (order_id, counts) for order_id, line_id, counts in rows.values_list("order", "line", "counts")}
