"""What stands behind the figures of a person's statement: late corrections, and what is still owed. Reads only."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import date, datetime
from typing import NamedTuple

from django.db.models import BigIntegerField, Case, F, Max, Sum, When

from commissions.models import Entry, Payout, PayoutBatch, Period, Statement
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


class Booked(NamedTuple):
    """One sale, or one thing that comes of none, with what a statement has of it; when it was sold or booked.

    `name`: of a bonus; `origin_on`: the first day of the period it is about.
    """

    order_id: int | None
    number: str
    channel: str
    kind: str
    name: str
    origin_on: date | None
    at: datetime
    fen: int

    @property
    def label(self) -> str:
        return self.name or str(Entry.Kind(self.kind).label)


def booked(*, statement: Statement, limit: int, offset: int = 0) -> list[Booked]:
    """What a statement adds up, sale by sale, the newest first. One statement."""
    rows = Entry.objects.filter(
        staff=statement.staff_id, payer=statement.payer_id, period_booked=statement.period_id
    ).exclude(kind=Entry.Kind.PAYOUT)
    alone = Case(When(order=None, then=F("pk")), output_field=BigIntegerField())
    sums = (
        rows.annotate(alone=alone)
        .values("order", "alone", "order__outer_order_id", "order__channel__name", "attainment__name")
        .annotate(at=Max("paid_at"), what=Max("kind"), origin=Max("period_origin__starts_on"), fen=Sum("fen"))
        .order_by("-at", "-order", "-alone")
    )
    return [
        Booked(
            row["order"],
            row["order__outer_order_id"] or "",
            row["order__channel__name"] or "",
            row["what"],
            row["attainment__name"] or "",
            row["origin"],
            row["at"],
            row["fen"],
        )
        for row in sums[offset : offset + limit]
    ]


def paid_at(*, entries: Iterable[Entry]) -> datetime | None:
    """When what these entries of a person brought was last paid of; None while nothing was. One statement."""
    wanted = {(entry.staff_id, entry.period_booked_id, entry.payer_id) for entry in entries}
    batches = Payout.objects.filter(
        statement__staff__in={staff_id for staff_id, _period, _payer in wanted},
        statement__period__in={period_id for _staff, period_id, _payer in wanted},
        batch__state=PayoutBatch.State.PAID,
    )
    columns = ("statement__staff", "statement__period", "statement__payer", "batch__paid_at")
    return max((at for *whose, at in batches.values_list(*columns) if tuple(whose) in wanted), default=None)


def is_on_its_way(*, entries: Iterable[Entry]) -> bool:
    """Whether all that a closed period pays of these entries of a person is in a batch. One statement, or none."""
    closed = [entry for entry in entries if entry.period_booked and entry.period_booked.status == Period.Status.CLOSED]
    if not closed:
        return False
    wanted = {(entry.period_booked_id, entry.payer_id) for entry in closed}
    rows = Statement.objects.filter(staff=closed[0].staff_id, period__in={period_id for period_id, _payer in wanted})
    left = [
        row.pay_fen - row.batched_fen  # type: ignore[attr-defined]  # with_batched adds it
        for row in rows.with_batched()
        if (row.period_id, row.payer_id) in wanted
    ]
    return bool(left) and not any(left)


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
