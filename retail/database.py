"""Whom this process is to PostgreSQL (retail.logins), and what of the second net it lets itself see.

The name stands in DATABASE_URL, or where the embedded server runs in PGUSER: `daogou_web` for the web server,
`daogou_job` for workers, clock and commands, `daogou_owner` for `migrate` alone.

The second net (docs/adr/0010): for `daogou_web` a row of `retail_buyerkey` is there only while the setting
`daogou.stores` admits it, which a request publishes with its scope. A query that forgot its scope finds no keys. And a
row of `retail_exportfile` is there only for the person in `daogou.person`.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import psycopg
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.postgresql.psycopg_any import BaseTzLoader
from django.db.utils import DEFAULT_DB_ALIAS

from retail.logins import WEB
from retail.scope import Scope


def login() -> str:
    """The name this thread's connection logs in with."""
    return connection.settings_dict["USER"] or os.environ.get("PGUSER", "")


def require(wanted: str) -> None:
    """Raise ImproperlyConfigured unless this is who we log in as; demo and tests see to it themselves."""
    if not (settings.DEMO or settings.TESTING) and login() != wanted:
        raise ImproperlyConfigured(
            f"This process must log in to PostgreSQL as {wanted}, not as {login() or 'nobody by name'}:"
            f" set DATABASE_URL to postgresql://{wanted}:…@… (docs/settings.md)."
        )


def log_in(name: str, *, thread_only: bool = False) -> None:
    """Log in under this name from the next connection on: the whole process, or this thread alone."""
    if connection.settings_dict["USER"] == name:
        return
    connection.close()
    if thread_only:
        connection.settings_dict = {**connection.settings_dict, "USER": name}
    else:
        connections.settings[DEFAULT_DB_ALIAS]["USER"] = name


class Moments(BaseTzLoader):
    """Reads a timestamp as PostgreSQL spells it.

    Python does so by itself since 3.11, in a twentieth of the time Django's loader takes: where very many orders are
    settled, a tenth of all. What no datetime can hold is refused Django's way.
    """

    timezone = UTC

    def load(self, data: Any) -> datetime:
        try:
            return datetime.fromisoformat(str(data, "ascii")).astimezone(UTC)
        except (ValueError, OverflowError):
            return super().load(data)


def prepare(*, connection: BaseDatabaseWrapper, **_signal: object) -> None:
    """A connection that was just opened."""
    connection.connection.adapters.register_loader("timestamptz", Moments)


_said: ContextVar[tuple[str, str]] = ContextVar("published", default=("", ""))


@contextmanager
def published(visible: Scope, *, person: int | None = None) -> Iterator[None]:
    """Let the second net admit the buyer keys of this scope and the files of this user, until the block ends."""
    if login() != WEB:
        yield
        return
    token = _said.set((_spelled(visible), str(person or "")))
    _publish(*_said.get())
    try:
        yield
    finally:
        _said.reset(token)
        # What a broken transaction published goes with it.
        if not connection.needs_rollback:
            _publish(*_said.get())


def _spelled(visible: Scope) -> str:
    """`*` for everything, else the stores as an array of PostgreSQL; nothing for a clerk, whose pages show no keys."""
    if visible.is_everything:
        return "*"
    if not visible.store_ids or visible.staff_id is not None:
        return ""
    return "{" + ",".join(map(str, sorted(visible.store_ids))) + "}"


def _publish(stores: str, person: str) -> None:
    said = "SELECT set_config('daogou.stores', %s, false), set_config('daogou.person', %s, false)"
    with connection.cursor() as cursor:
        cursor.execute(said, [stores, person])


def planned(statement: str, given: Mapping[str, Any] | Sequence[Any]) -> list[tuple[Any, ...]]:
    """Run a statement that the server plans once for each connection, and return its rows.

    For the few that run hundreds of times a second: planning takes as long as running them. Django's own cursors put
    values into the text, which is another one each time.
    """
    numbered, names = _numbered(statement)
    values = [given[name] for name in names] if isinstance(given, Mapping) else given
    connection.ensure_connection()
    with connection.wrap_database_errors:
        line = connection.connection
        line.prepare_threshold = 0  # asked for with each statement; Django's cursors do not
        with psycopg.RawCursor(line) as cursor:
            cursor.execute(numbered, values, prepare=True)
            return cursor.fetchall()


_PLACE = re.compile(r"%(?:\((\w+)\)s|(s)|(%))")


@lru_cache(maxsize=256)
def _numbered(statement: str) -> tuple[bytes, tuple[str, ...]]:
    """The statement with $1, $2 … in the places of its values, and their names in that order.

    psycopg does the same, but remembers it for short statements only: those of a page would be read letter by letter
    every time.
    """
    names: dict[str, int] = {}

    def place(found: re.Match[str]) -> str:
        name, bare, _percent = found.groups()
        if bare:
            return f"${names.setdefault(str(len(names)), len(names) + 1)}"
        return f"${names.setdefault(name, len(names) + 1)}" if name else "%"

    return _PLACE.sub(place, statement).encode(), tuple(names)


# To stand in the FROM of a statement that `planned_lightly` runs. That the setting is read makes PostgreSQL set it.
LIGHTLY = """(SELECT set_config('synchronous_commit',
    CASE WHEN %(is_alone)s THEN 'off' ELSE current_setting('synchronous_commit') END, true)) AS lightly"""


def planned_lightly(statement: str, given: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """The same for what a crash of the server within the next second may take back: a count, a turn, a lease.

    Such a row is written by everybody all the time, and each would wait, the row locked, until it is on the disk.
    Within a transaction of the caller's it lasts as that does.
    """
    return planned(statement, {**given, "is_alone": not connection.in_atomic_block})


@contextmanager
def planning(**settings: str) -> Iterator[None]:
    """Let PostgreSQL plan by these settings until the block ends. Within a transaction."""
    with connection.cursor() as cursor:
        cursor.execute(";".join(f"SET LOCAL {name} = '{value}'" for name, value in settings.items()))
        yield
        cursor.execute(";".join(f"SET LOCAL {name} TO DEFAULT" for name in settings))
