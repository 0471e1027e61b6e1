"""Tokens and tickets: one row of each per application, refreshed by one process while the others wait for it.

Who has waited looks at the row first, and asks for itself only if nobody has just found out that WeCom is silent
(`fetch` raises for a while then, without asking): when it is down, one process learns so, and not all of them in turn.

Who finds the token refused says which one it was; only if that is still the one in the row is another one fetched.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection

from retail import privacy
from retail.wecom.errors import Busy
from retail.wecom.models import App, Credential

MARGIN = timedelta(
    minutes=5
)  # before it expires a credential is no longer used, or a tenth of its life if that is less


_POLL = 0.05  # seconds


class Fetched(NamedTuple):
    value: str
    seconds: int


Fetch = Callable[[], Fetched]


def current(*, app: App, kind: str, fetch: Fetch, now: datetime, patience: float = math.inf) -> str:
    """The credential in use; fetched if there is none, or its time is over."""
    row = Credential.objects.filter(app=app, kind=kind, expires_at__gt=now).first()
    return _opened(row) or replace(app=app, kind=kind, refused="", fetch=fetch, now=now, patience=patience)


def replace(*, app: App, kind: str, refused: str, fetch: Fetch, now: datetime, patience: float = math.inf) -> str:
    """Another credential than `refused`: that of the row if somebody was faster, else a fetched one.

    `patience`: seconds to wait for whoever fetches it now. Raises Busy after them, and what `fetch` raises.
    """
    with _alone(app, kind, patience, now):
        known = Credential.objects.filter(app=app, kind=kind, expires_at__gt=now).first()
        if (value := _opened(known)) and value != refused:
            return value
        fetched = fetch()
        life = timedelta(seconds=fetched.seconds)
        Credential.objects.update_or_create(
            app=app,
            kind=kind,
            defaults={
                "value": privacy.sealed_in(Credential(app=app, kind=kind), "value", fetched.value.encode()),
                "refreshed_at": now,
                "expires_at": now + life - min(MARGIN, life / 10),
            },
        )
    return fetched.value


def expire(*, app: App, now: datetime) -> None:
    """Nothing kept is used any more: whoever gave it out is gone."""
    Credential.objects.filter(app=app, expires_at__gt=now).update(expires_at=now)


@contextmanager
def _alone(app: App, kind: str, patience: float, now: datetime) -> Iterator[None]:
    """One process at a time, the others wait. No transaction is open meanwhile; who dies lets the next one in."""
    name = f"wecom {kind}"
    with connection.cursor() as cursor:
        if math.isinf(patience):
            cursor.execute("SELECT pg_advisory_lock(hashtext(%s), %s)", [name, app.pk])
        elif not _is_had_within(patience, cursor, [name, app.pk]):
            raise Busy(0, "somebody else is fetching it", kind, until=now + timedelta(seconds=1))
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(hashtext(%s), %s)", [name, app.pk])


def _is_had_within(patience: float, cursor: Any, lock: list[Any]) -> bool:
    """Whether the lock came free in so many seconds: PostgreSQL's own limit would end a transaction of the caller."""
    ends = time.monotonic() + patience
    while True:
        cursor.execute("SELECT pg_try_advisory_lock(hashtext(%s), %s)", lock)
        if cursor.fetchone()[0]:
            return True
        if time.monotonic() + _POLL >= ends:
            return False
        time.sleep(_POLL)


def _opened(row: Credential | None) -> str:
    return privacy.opened(row, "value").decode() if row else ""
