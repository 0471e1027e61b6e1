"""打开: who looked at what a link leads to, written for good before the answer goes out (retail.together)."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import IntegrityError, InterfaceError, OperationalError, connection, transaction

from retail import database, jobs, together
from retail.jobs import Work

SHANGHAI = ZoneInfo("Asia/Shanghai")
KEPT = timedelta(days=400)  # as behaviour is
MONTHS_AHEAD = 2
MOST_SECONDS = 3600
JOB = "share_opened"


class Row(NamedTuple):
    """One opening. Without a member it is that of whoever the visitor is known to be."""

    at: datetime
    share_id: int
    visitor: UUID | None = None
    member_id: int | None = None
    seconds: int = 0


# ── Together ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def write(*, row: Row) -> None:
    """Return when the row is committed, together with those of other requests. Raises together.Away."""
    _line.write(row)


def _commit(rows: Sequence[Row], *, is_again: bool = False) -> None:
    """A month nobody has made yet is made, a connection that had died is made anew; each of them once.

    Not where the rows were written and only the answer to COMMIT was lost: they may be there.
    """
    line: Any = connection  # of which the stubs know little
    is_old = line.connection is not None and not line.in_atomic_block
    is_written = False
    try:
        with transaction.atomic():
            keep(rows=rows, now=max(row.at for row in rows))
            is_written = True
    except IntegrityError:
        if is_again:
            raise
        make_months(row.at for row in rows)
        _commit(rows, is_again=True)
    except (OperationalError, InterfaceError):
        if is_again or is_written or not is_old:
            raise
        line.close()
        _commit(rows, is_again=True)


_line = together.Line(_commit)


# ── Kept ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
@transaction.atomic
def keep(*, rows: Sequence[Row], now: datetime) -> None:
    """Write openings, but for those of our own people, with the work that follows for whom we know."""
    if rows:
        columns = [list(column) for column in zip(*rows, strict=True)]
        written = database.planned(_INSERT, columns)
        tell(opened=[Opened(*one) for one in written if one[1] is not None], now=now)


_INSERT = """
WITH w AS (
    SELECT * FROM unnest(%s::timestamptz[], %s::bigint[], %s::uuid[], %s::bigint[], %s::int[])
        AS w(at, share_id, visitor, member_id, seconds)
)
INSERT INTO materials_opening (at, share_id, visitor, member_id, seconds)
SELECT w.at, w.share_id, w.visitor, coalesce(w.member_id, v.member_id), w.seconds
FROM w LEFT JOIN materials_visitor v ON v.key = w.visitor WHERE v.staff_id IS NULL
RETURNING share_id, member_id, at
"""


class Opened(NamedTuple):
    """That a known member opened a link."""

    share_id: int
    member_id: int
    at: datetime


def tell(*, opened: Sequence[Opened], now: datetime) -> None:
    """Enqueue what follows from openings of members, in the transaction that wrote them.

    The job names the first opening of that day: those that come while it waits are the same job, and one that comes
    after it ran has it look once more.
    """
    if not opened:
        return
    with connection.cursor() as cursor:
        cursor.execute(_FIRST_OF_DAY, [list(column) for column in zip(*(_day_of(one) for one in opened), strict=True)])
        firsts = [Opened(*row) for row in cursor.fetchall()]
    work = [
        Work(JOB, {**one._asdict(), "at": one.at.isoformat()}, f"share:{one.share_id}:{one.member_id}")
        for one in firsts
    ]
    jobs.enqueue(work=work, now=now, bell=jobs.ring_soon)


def _day_of(one: Opened) -> tuple[int, int, datetime, datetime]:
    begins = one.at.astimezone(SHANGHAI).replace(hour=0, minute=0, second=0, microsecond=0)
    return one.share_id, one.member_id, begins, begins + timedelta(days=1)


_FIRST_OF_DAY = """
SELECT w.share_id, w.member_id, min(o.at)
FROM (SELECT DISTINCT * FROM unnest(%s::bigint[], %s::bigint[], %s::timestamptz[], %s::timestamptz[])
    AS w(share_id, member_id, begins, ends)) w
JOIN materials_opening o ON o.share_id = w.share_id AND o.member_id = w.member_id
    AND o.at >= w.begins AND o.at < w.ends
GROUP BY w.share_id, w.member_id, w.begins ORDER BY 1, 2, 3
"""


def stay(*, id: int, at: datetime, seconds: int, now: datetime) -> None:
    """How long the page was in sight so far: never less than was told before, nor longer than it has been open."""
    least = min(seconds, MOST_SECONDS, max(0, int((now - at).total_seconds()) + 1))
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE materials_opening SET seconds = %s WHERE id = %s AND at = %s AND seconds < %s",
            [least, id, at, least],
        )


# ── Months ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def make_months(moments: Iterable[datetime]) -> None:
    """Make the months of these moments that are not there yet. Only the owner's function may."""
    days = {moment.astimezone(SHANGHAI).date().replace(day=1) for moment in moments}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT day FROM unnest(%s::date[]) day"
            " WHERE to_regclass('public.materials_opening_' || to_char(day, 'YYYYMM')) IS NULL ORDER BY 1",
            [sorted(days)],
        )
        for (day,) in cursor.fetchall():
            cursor.execute("SELECT make_opening_month(%s)", [day])


def prepare(*, now: datetime) -> None:
    """Make the months to come, while nothing waits for them."""
    day = now.astimezone(SHANGHAI).replace(day=1, hour=12)
    make_months([day + timedelta(days=31 * step) for step in range(MONTHS_AHEAD + 1)])


def forget(*, before: datetime) -> int:
    """Drop the months that had ended by then; how many."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT drop_opening_months(%s)", [_month(before)])
        return int(cursor.fetchone()[0])


def _month(moment: datetime) -> date:
    return moment.astimezone(SHANGHAI).date().replace(day=1)
