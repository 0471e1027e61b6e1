"""What stands behind the figures of a person's statement: late corrections, and what is still owed. Reads only."""

from collections import defaultdict
from datetime import date
from typing import NamedTuple

from django.db.models import F, Sum

from commissions.models import Entry, Period, Statement
from retail.models import Order


class Correction(NamedTuple):
    """What changed about an earlier period after it was closed, and is booked in this one."""

    origin: Period
    order: Order | None
    kind: str
    fen: int


def corrections(*, statement: Statement) -> list[Correction]:
    """The late changes in a statement, the older period first. At most five statements."""
    booked = Entry.objects.filter(
        staff=statement.staff_id, payer=statement.payer_id, period_booked=statement.period_id
    )
    late = booked.filter(kind__in=(Entry.Kind.REVERSE, Entry.Kind.DELTA), order__isnull=False)
    sums = late.values_list("order", "line", "kind").annotate(fen=Sum("fen")).order_by("order", "line", "kind")
    found = [row for row in sums if row[-1]]
    # An order whose line first brought something in an earlier period.
    lines = {line for _order, line, _kind, _fen in found}
    earned = Entry.objects.filter(staff=statement.staff_id, line__in=lines, kind=Entry.Kind.EARN).order_by("-pk")
    origin = dict(earned.values_list("line", "period_booked"))
    changes: dict[tuple[int, int | None, str], int] = defaultdict(int)
    for order_id, line_id, kind, fen in found:
        if origin.get(line_id, statement.period_id) != statement.period_id:
            changes[origin[line_id], order_id, kind] += fen
    others = booked.filter(kind=Entry.Kind.ADJUST).exclude(period_origin=F("period_booked"))
    for period_id, fen in others.values_list("period_origin").annotate(fen=Sum("fen")):
        changes[period_id, None, Entry.Kind.ADJUST] += fen
    return _told(changes)


def _told(changes: dict[tuple[int, int | None, str], int]) -> list[Correction]:
    periods = Period._base_manager.in_bulk({period_id for period_id, _order, _kind in changes})
    orders = Order._base_manager.select_related("channel").in_bulk(
        {order for _period, order, _kind in changes if order}
    )
    rows = [
        Correction(periods[period_id], orders.get(order_id or 0), str(Entry.Kind(kind).label), fen)
        for (period_id, order_id, kind), fen in changes.items()
        if fen
    ]
    return sorted(rows, key=lambda row: (row.origin.starts_on, row.order.pk if row.order else 0))


def debt(*, staff_id: int, today: date) -> int:
    """What a person owes by now because refunds took back what was paid, ≥ 0; the next pay is less by it.

    Of each company for itself: what the last statement left over, and what is confirmed since. Two statements.
    """
    last = Statement.objects.filter(staff=staff_id).order_by("period__brand", "payer", "-period__starts_on")
    rows = last.distinct("period__brand", "payer").values_list("period__brand", "payer", "carry_out_fen")
    owed: dict[tuple[int, int | None], int] = defaultdict(int)
    for brand_id, payer_id, fen in rows:
        owed[brand_id, payer_id] += fen
    booked = Entry.objects.filter(staff=staff_id, earned_on__lte=today).exclude(kind=Entry.Kind.PAYOUT)
    since = booked.exclude(period_booked__status=Period.Status.CLOSED).order_by()
    for brand_id, payer_id, fen in since.values_list("brand", "payer").annotate(fen=Sum("fen")):
        owed[brand_id, payer_id] += fen
    return -sum(fen for fen in owed.values() if fen < 0)
