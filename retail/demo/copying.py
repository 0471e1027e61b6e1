"""Writing many rows at once: COPY with ids we choose, foreign keys checked all at once, sequences moved up behind."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.apps import apps
from django.db import connection

APPS = ("retail", "members", "commissions", "clerks", "leads", "materials")


def copy(table: str, columns: str, rows: Iterable[Sequence[Any]]) -> None:
    """COPY the rows into a table, in the order of `columns`."""
    with connection.cursor() as cursor, cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as writer:
        write = writer.write_row
        for row in rows:
            write(row)


class Writer:
    """Collects rows of one table and copies them a bundle at a time."""

    def __init__(self, table: str, columns: str, *, bundle: int) -> None:
        self._table, self._columns, self._bundle = table, columns, bundle
        self._rows: list[Sequence[Any]] = []

    def add(self, row: Sequence[Any]) -> None:
        self._rows.append(row)
        if len(self._rows) >= self._bundle:
            self.flush()

    def flush(self) -> None:
        copy(self._table, self._columns, self._rows)
        self._rows = []


class Nowhere:
    """Takes the rows a writer would, and writes none."""

    def add(self, row: Sequence[Any]) -> None:
        pass

    def flush(self) -> None:
        pass


@contextmanager
def checked_at_the_end() -> Iterator[None]:
    """Take the foreign keys of all tables away for this block, and make them again at its end.

    Row by row they cost more than all the COPYs together.
    """
    with connection.cursor() as cursor:
        cursor.execute(_FOREIGN_KEYS, [_tables()])
        foreign_keys = cursor.fetchall()
        _check_what_waits()  # which would forbid the change
        for table, name, _ in foreign_keys:
            cursor.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"')
    yield
    with connection.cursor() as cursor:
        _check_what_waits()
        for table, name, definition in foreign_keys:
            cursor.execute(f'ALTER TABLE {table} ADD CONSTRAINT "{name}" {definition}')


@contextmanager
def indexed_at_the_end(*tables: str) -> Iterator[None]:
    """Take the plain indexes of these tables away for this block, which looks nothing up in them."""
    with connection.cursor() as cursor:
        cursor.execute(_INDEXES, [list(tables)])
        indexes = cursor.fetchall()
        _check_what_waits()
        for name, _ in indexes:
            cursor.execute(f"DROP INDEX {name}")
    yield
    with connection.cursor() as cursor:
        _check_what_waits()
        for _, definition in indexes:
            cursor.execute(definition)


def _check_what_waits() -> None:
    """The foreign keys that a transaction would look at when it ends; without one nothing waits."""
    if connection.in_atomic_block:
        connection.check_constraints()


_FOREIGN_KEYS = """
SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
WHERE contype = 'f' AND conrelid::regclass::text = ANY(%s) ORDER BY conrelid, conname
"""
_INDEXES = """
SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index
WHERE indrelid::regclass::text = ANY(%s) AND NOT indisunique AND NOT indisexclusion ORDER BY indrelid, indexrelid
"""


def move_up_sequences() -> None:
    """Let every table's next id follow the highest one in it."""
    with connection.cursor() as cursor:
        for table in _tables(numbered=True):
            cursor.execute(
                f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) FROM {table} HAVING max(id) > 0"
            )


def analyze(*labels: str) -> None:
    """Tell the planner what the tables of these apps hold now; it would else guess they are empty."""
    with connection.cursor() as cursor:
        cursor.execute(f"ANALYZE {', '.join(_tables(*labels))}")


def tables_but(*others: str) -> list[str]:
    """All tables but those."""
    return [table for table in _tables() if table not in others]


def _tables(*labels: str, numbered: bool = False) -> list[str]:
    """Those of these apps, else of all; `numbered`: only those with a sequence. Without those made by hand."""
    models = [one for app in labels or APPS for one in apps.get_app_config(app).get_models() if one._meta.managed]
    return [model._meta.db_table for model in models if model._meta.auto_field or not numbered]
