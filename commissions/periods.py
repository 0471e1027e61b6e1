"""Settlement periods of a brand, made when first needed, as its pay cycle says: without a gap and without overlap."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from typing import NamedTuple

from django.db import connection, transaction
from django.db.models import Max, Min

from commissions.models import PayCycle, Period

_OPEN = Period.Status.OPEN.value
_MONTHLY = [1]
_DAY = timedelta(days=1)


class Place(NamedTuple):
    """Ids of the period an entry is booked in and of the one its `earned_on` lies in, or the first there is."""

    booked_id: int
    origin_id: int


def places(*, brand_id: int, days: Iterable[date]) -> dict[date, Place]:
    """Where entries earned on these days are booked: in the period of the day, or the earliest open one after it.

    Once the first period of a brand is closed none is made before it: it would stand open behind what is closed, and
    nothing after it could be closed. Older days count as days of the first period.

    The rows are locked FOR SHARE: nobody closes a period while entries are being written into it.
    """
    days = set(days)
    if not days:
        return {}
    known = _held_open(brand_id, min(days))
    if not known or not _covers(known, min(days), max(days)):
        _make(brand_id, min(days), max(days))
        known = _held_open(brand_id, min(days))
    return {day: _place(day, known) for day in days}


class _Held(NamedTuple):
    id: int
    starts_on: date
    ends_on: date
    status: str


def _held_open(brand_id: int, day: date) -> list[_Held]:
    """Periods that end after that day, oldest first, whose closing waits for our commit."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, starts_on, ends_on, status FROM commissions_period"
            " WHERE brand_id = %s AND ends_on > %s ORDER BY starts_on FOR SHARE",
            [brand_id, day],
        )
        return [_Held(*row) for row in cursor.fetchall()]


def _covers(known: Sequence[_Held], first: date, last: date) -> bool:
    """Whether every day has its period, and there is an open one for the last of them. There are no gaps.

    Where the day comes before what is known, that is the first period of the brand.
    """
    has_begin = known[0].starts_on <= first or known[0].status != _OPEN
    return has_begin and last < known[-1].ends_on and known[-1].status == _OPEN


def _place(day: date, known: list[_Held]) -> Place:
    origin = next(period for period in known if day < period.ends_on)
    booked = next(period for period in known if period.starts_on >= origin.starts_on and period.status == _OPEN)
    return Place(booked.id, origin.id)


# ── Making them ──────────────────────────────────────────────────────────────────────────────────────────────────────
def free_from(*, brand_id: int) -> date | None:
    """The first day for which no period is made yet: from then on another pay cycle may hold. None: there is none.

    Nobody makes one until our commit.
    """
    _one_at_a_time(brand_id)
    return Period._base_manager.filter(brand=brand_id).aggregate(last=Max("ends_on"))["last"]


@transaction.atomic
def _make(brand_id: int, first: date, last: date) -> None:
    """Periods for all these days, joined to those that are there, and one after them: there is always an open one."""
    _one_at_a_time(brand_id)
    cycle = _Cycle(PayCycle._base_manager.filter(brand=brand_id).order_by("since"))
    known = Period._base_manager.filter(brand=brand_id).aggregate(first=Min("starts_on"), last=Max("ends_on"))
    if known["first"] is None:
        spans = list(cycle.spans(cycle.begin(first), last))
    else:
        spans = list(cycle.spans(known["last"], last))
        if first < known["first"] and _is_open(brand_id, known["first"]):
            before = cycle.spans(cycle.begin(first), known["first"])
            spans += [(start, min(end, known["first"])) for start, end in before if start < known["first"]]
    Period._base_manager.bulk_create(Period(brand_id=brand_id, starts_on=start, ends_on=end) for start, end in spans)


def _is_open(brand_id: int, starts_on: date) -> bool:
    return Period._base_manager.filter(brand=brand_id, starts_on=starts_on, status=_OPEN).exists()


def _one_at_a_time(brand_id: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('periods', %s))", [brand_id])


class _Cycle:
    """The days on which periods of a brand begin."""

    def __init__(self, rows: Iterable[PayCycle]) -> None:
        self._changes = [(row.since, row.days) for row in rows]

    def begins(self, day: date) -> bool:
        """Whether a period begins on this day: by the cycle that holds then, or because another one starts."""
        days = next((days for since, days in reversed(self._changes) if since <= day), _MONTHLY)
        return day.day in days or any(since == day for since, _ in self._changes)

    def begin(self, day: date) -> date:
        """The day on which the period of this day begins."""
        while not self.begins(day):
            day -= _DAY
        return day

    def spans(self, start: date, last: date) -> Iterator[tuple[date, date]]:
        """Periods from a day on; the last of them is the first that begins after `last`."""
        while True:
            end = start + _DAY
            while not self.begins(end):
                end += _DAY
            yield start, end
            if start > last:
                return
            start = end
