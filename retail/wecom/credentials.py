"""Tokens and tickets: one row of each per application, refreshed by one process while the others wait for it.

Who finds the token refused says which one it was; only if that is still the one in the row is another one fetched.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import connection

from retail import privacy
from retail.wecom.models import App, Credential

MARGIN = timedelta(
    minutes=5
)  # before it expires a credential is no longer used, or a tenth of its life if that is less


class Fetched(NamedTuple):
    value: str
    seconds: int


Fetch = Callable[[], Fetched]


def current(*, app: App, kind: str, fetch: Fetch, now: datetime) -> str:
    """The credential in use; fetched if there is none, or its time is over."""
    row = Credential.objects.filter(app=app, kind=kind, expires_at__gt=now).first()
    return _opened(row) or replace(app=app, kind=kind, refused="", fetch=fetch, now=now)


def replace(*, app: App, kind: str, refused: str, fetch: Fetch, now: datetime) -> str:
    """Another credential than `refused`: that of the row if somebody was faster, else a fetched one."""
    with _alone(app, kind):
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


@contextmanager
def _alone(app: App, kind: str) -> Iterator[None]:
    """One process at a time, the others wait. No transaction is open meanwhile; who dies lets the next one in."""
    name = f"wecom {kind}"
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(hashtext(%s), %s)", [name, app.pk])
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(hashtext(%s), %s)", [name, app.pk])


def _opened(row: Credential | None) -> str:
    return privacy.opened(row, "value").decode() if row else ""
