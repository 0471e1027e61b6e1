"""Booking what comes of no order: bonuses, what a closing adds, adjustments, payouts."""

import hashlib
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from django.db import connection

from commissions import periods
from commissions.models import Entry, Period
from commissions.models.ledger import SHANGHAI


class Leg(NamedTuple):
    """What one person gets. The rest is what a bonus comes from, as `Entry` holds it."""

    staff_id: int | None
    store_id: int | None
    fen: int
    role: str = ""
    version_id: int | None = None
    attainment_id: int | None = None
    base_fen: int = 0
    pool_fen: int = 0


def book(
    *,
    period: Period,
    payer_id: int | None,
    kind: str,
    legs: Sequence[Leg],
    source: str,
    now: datetime,
    earned_on: date | None = None,
    into: Period | None = None,
) -> list[Entry]:
    """One transaction outside of any order: its legs, and the house's. `source` names it: the same is booked once.

    It is about `period` and booked there, or `into` the one given; with `earned_on`, or if the period is closed, into
    the first open one from that day, or today.
    """
    today = now.astimezone(SHANGHAI).date()
    if into is not None:
        booked_id, earned_on = into.pk, into.ends_on - timedelta(days=1)
    elif earned_on is None and period.status != Period.Status.CLOSED:
        booked_id, earned_on = period.pk, period.ends_on - timedelta(days=1)
    else:
        earned_on = earned_on or today
        booked_id = periods.places(brand_id=period.brand_id, days=[earned_on])[earned_on].booked_id
    house = Leg(None, None, -sum(leg.fen for leg in legs))
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval(pg_get_serial_sequence('commissions_entry', 'id'))")
        (txn,) = cursor.fetchone()
    return Entry.objects.bulk_create(
        [
            Entry(
                key=UUID(bytes=hashlib.sha256(f"{source} {place}".encode()).digest()[:16]),
                txn=txn,
                kind=kind,
                brand_id=period.brand_id,
                payer_id=payer_id,
                paid_at=now,
                posted_at=now,
                earned_on=earned_on,
                period_booked_id=booked_id,
                period_origin_id=period.pk,
                **leg._asdict(),
            )
            for place, leg in enumerate([*legs, house])
            if leg.fen
        ]
    )
