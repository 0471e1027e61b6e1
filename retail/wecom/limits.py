"""How fast WeCom may be asked: a bucket for each interface, a number at once, and a breaker for when it is down.

All of it lies in PostgreSQL, so that it holds for all processes together. A bucket is one point in time that moves on
by a step with every call: nobody has to fill it, and what stands ahead of the clock is what was used.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Max

from retail import database
from retail.wecom.errors import Busy, Limited, Paused
from retail.wecom.models import App, Valve

BREAKER = ""  # the path of the row that is a corp's breaker
BLIP = timedelta(seconds=2)  # after which one silence is asked about again


def _rate(path: str) -> tuple[timedelta, timedelta]:
    """One call's step, and how far ahead of the clock the steps may run."""
    return _as_steps(settings.WECOM_RATES.get(path, settings.WECOM_RATES[""]))


def _as_steps(rate: tuple[int, int]) -> tuple[timedelta, timedelta]:
    per_hour, burst = rate
    step = timedelta(hours=1) / per_hour
    return step, step * burst


# ── The bucket ───────────────────────────────────────────────────────────────────────────────────────────────────────
def take(*, app: App, path: str, now: datetime) -> None:
    """Count one call against the quota of this interface. Raises Limited with the time of the next."""
    _take(app.corp_id, path, path, *_rate(path), now)


def take_for_members(*, app: App, path: str, members: Collection[str], now: datetime) -> None:
    """Count one message to each of these people, of whom a message may have a thousand, in one statement.

    What stands for them does not name them. Raises Limited, and counts nobody, where one of them has had too many.
    """
    step, ahead = _as_steps(settings.WECOM_MEMBER_RATE)
    names = sorted({f"{path}@{member}" for member in members})  # in one order: two messages lock the same rows
    asked: dict[str, Any] = {"corp": app.corp_id, "paths": names, "now": now, "step": step, "latest": now + ahead}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_TAKE_EACH, asked)
        if len(cursor.fetchall()) == len(names):
            return
        transaction.set_rollback(True)
    fullest = Valve.objects.filter(corp_id=app.corp_id, path__in=names).aggregate(at=Max("next_at"))["at"]
    raise Limited(0, "our own limit", path, until=max(fullest + step - ahead, now + step))


def take_for_caller(*, path: str, caller: str, now: datetime) -> None:
    """Count one call of somebody who is not signed in; `caller` stands for them. Raises Limited."""
    _take("", f"{path}@{caller}", path, *_rate(path), now)


def forget(*, before: datetime) -> int:
    """Delete the buckets of single people that have been full again since then."""
    return Valve.objects.filter(path__contains="@", next_at__lt=before).delete()[0]


def _take(corp_id: str, name: str, path: str, step: timedelta, ahead: timedelta, now: datetime) -> None:
    asked: dict[str, Any] = {"corp": corp_id, "path": name, "now": now, "step": step, "latest": now + ahead}
    if database.planned_lightly(_TAKE, asked):
        return
    row = Valve.objects.get(corp_id=corp_id, path=name)
    until = max(row.next_at + step - ahead, row.blocked_until or now)
    raise Limited(0, "our own limit", path, until=max(until, now + step))


_TAKE = f"""
INSERT INTO wecom_valve AS v (corp_id, path, next_at, failures)
SELECT %(corp)s, %(path)s, %(now)s::timestamptz + %(step)s::interval, 0 FROM {database.LIGHTLY}
ON CONFLICT (corp_id, path) DO UPDATE SET next_at = greatest(v.next_at, %(now)s) + %(step)s
    WHERE greatest(v.next_at, %(now)s) + %(step)s <= %(latest)s
    AND (v.blocked_until IS NULL OR v.blocked_until <= %(now)s)
RETURNING next_at
"""


_TAKE_EACH = """
INSERT INTO wecom_valve AS v (corp_id, path, next_at, failures)
SELECT %(corp)s, path, %(now)s + %(step)s, 0 FROM unnest(%(paths)s::text[]) AS path
ON CONFLICT (corp_id, path) DO UPDATE SET next_at = greatest(v.next_at, %(now)s) + %(step)s
    WHERE greatest(v.next_at, %(now)s) + %(step)s <= %(latest)s
RETURNING id
"""


def block(*, app: App, path: str, until: datetime, now: datetime) -> None:
    """WeCom said that the quota of this interface is used up: nobody asks before `until`."""
    Valve.objects.update_or_create(
        corp_id=app.corp_id, path=path, defaults={"blocked_until": until}, create_defaults=_fresh(now, until)
    )


def _fresh(now: datetime, until: datetime) -> dict[str, datetime]:
    return {"next_at": now, "blocked_until": until}


def left(*, app: App, path: str, now: datetime) -> float:
    """Which part of an interface's quota is left now, 0 to 1."""
    row = Valve.objects.filter(corp_id=app.corp_id, path=path).first()
    if row is None:
        return 1.0
    if row.blocked_until and row.blocked_until > now:
        return 0.0
    return 1.0 - min(1.0, max(timedelta(), row.next_at - now) / _rate(path)[1])


# ── So many at once ──────────────────────────────────────────────────────────────────────────────────────────────────
@contextmanager
def place(*, app: App, path: str, now: datetime) -> Iterator[None]:
    """One of the places for calls under way. Raises Busy when all are taken; a process that dies frees its own."""
    cap = settings.WECOM_AT_ONCE.get(path, settings.WECOM_AT_ONCE[""])
    name = f"wecom {app.corp_id} {path}"
    found = database.planned(_PLACE, [cap, name])
    if not found:
        raise Busy(0, "as many calls as may be are under way", path, until=now + timedelta(seconds=2))
    try:
        yield
    finally:
        database.planned("SELECT pg_advisory_unlock(hashtext(%s), %s::int)", [name, found[0][0]])


# MATERIALIZED and LIMIT: the planner must not try, and so take, more than the first that is free.
_PLACE = """
WITH places AS MATERIALIZED (SELECT n FROM generate_series(1, %s) AS n)
SELECT n FROM places WHERE pg_try_advisory_lock(hashtext(%s), n) LIMIT 1
"""


# ── The breaker ──────────────────────────────────────────────────────────────────────────────────────────────────────
def require_open_line(*, app: App, path: str, now: datetime) -> None:
    """Raise Paused while WeCom does not answer. When the pause is over one caller tries for all."""
    most, seconds = settings.WECOM_BREAKER
    row = Valve.objects.filter(corp_id=app.corp_id, path=BREAKER, failures__gte=most).first()
    if row is None:
        return
    pause = now + timedelta(seconds=seconds)
    tries = Valve.objects.filter(pk=row.pk, failures__gte=most, blocked_until__lte=now).update(blocked_until=pause)
    if not tries:
        raise Paused(path, until=max(row.blocked_until or now, now + timedelta(seconds=1)))


def note_silence(*, app: App, now: datetime) -> datetime:
    """WeCom did not answer. Returns when to try again: soon, but after so many in a row later, and nobody before."""
    most, seconds = settings.WECOM_BREAKER
    until = now + timedelta(seconds=seconds)
    with connection.cursor() as cursor:
        cursor.execute(_SILENCE, {"corp": app.corp_id, "now": now, "until": until, "most": most})
        (failures,) = cursor.fetchone()
    return until if failures >= most else now + BLIP


_SILENCE = """
INSERT INTO wecom_valve AS v (corp_id, path, next_at, failures) VALUES (%(corp)s, '', %(now)s, 1)
ON CONFLICT (corp_id, path) DO UPDATE SET failures = v.failures + 1,
    blocked_until = CASE WHEN v.failures + 1 >= %(most)s THEN %(until)s ELSE v.blocked_until END
RETURNING failures
"""


# ── What was used ────────────────────────────────────────────────────────────────────────────────────────────────────
def count(*, app: App, path: str, errcode: int, now: datetime, is_good: bool = False) -> None:
    """One more answer of this kind in this hour, the last of them now. `is_good`: WeCom answers, so the line is."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    asked = {"app": app.pk, "corp": app.corp_id, "path": path, "errcode": errcode, "hour": hour, "now": now}
    database.planned_lightly(_COUNT, {**asked, "is_good": is_good})


_COUNT = f"""
WITH line AS (
    UPDATE wecom_valve SET failures = 0, blocked_until = NULL
    WHERE %(is_good)s AND corp_id = %(corp)s AND path = '{BREAKER}' AND failures > 0
)
INSERT INTO wecom_use AS u (app_id, path, errcode, hour, count, last_at)
SELECT %(app)s, %(path)s, %(errcode)s, %(hour)s::timestamptz, 1, %(now)s::timestamptz FROM {database.LIGHTLY}
ON CONFLICT (app_id, path, errcode, hour) DO UPDATE SET count = u.count + 1, last_at = excluded.last_at
RETURNING 1
"""
