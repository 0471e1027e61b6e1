"""Settlement periods: calendar months of a brand, made when first needed."""

from collections.abc import Iterable
from datetime import date
from typing import NamedTuple

from django.db import connection

from commissions.models import Period

_OPEN = Period.Status.OPEN.value


class Place(NamedTuple):
    """Ids of the period an entry is booked in and of the one its `earned_on` lies in."""

    booked_id: int
    origin_id: int


def places(*, brand_id: int, days: Iterable[date]) -> dict[date, Place]:
    """Where entries earned on these days are booked: in the period of the day, or the earliest open one after it.

    The rows are locked FOR SHARE: nobody closes a period while entries are being written into it.
    """
    days = set(days)
    if not days:
        return {}
    known = _held_open(brand_id, min(days))
    covered = {period.starts_on for period in known}
    if not {_month(day) for day in days} <= covered or all(period.status != _OPEN for period in known):
        _make_months(brand_id, first=_month(min(days)), last=max([*covered, *(_month(day) for day in days)]))
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


def _make_months(brand_id: int, first: date, last: date) -> None:
    """Every month from first to the one after last, so that there is no gap and always an open one."""
    months, month = [], first
    while month <= _next_month(last):
        months.append(Period(brand_id=brand_id, starts_on=month, ends_on=_next_month(month)))
        month = _next_month(month)
    Period.objects.bulk_create(months, ignore_conflicts=True)


def _place(day: date, known: list[_Held]) -> Place:
    origin = next(period for period in known if period.starts_on <= day < period.ends_on)
    booked = next(period for period in known if period.starts_on >= origin.starts_on and period.status == _OPEN)
    return Place(booked.id, origin.id)


def _month(day: date) -> date:
    return day.replace(day=1)


def _next_month(day: date) -> date:
    return date(day.year + day.month // 12, day.month % 12 + 1, 1)
