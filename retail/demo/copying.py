"""Writing many rows at once: COPY with ids we choose, indexes and foreign keys made at the end, sequences moved up."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

from django.apps import apps
from django.db import connection

from retail import beside

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


class ForeignKey(NamedTuple):
    """`is_whole`: of a table without partitions, whose rows can be checked apart from making it."""

    table: str
    name: str
    definition: str
    is_whole: bool


def drop_foreign_keys() -> list[ForeignKey]:
    """Those of all tables: looked up row by row, what a row names costs more than the row."""
    with connection.cursor() as cursor:
        cursor.execute(_FOREIGN_KEYS, [_tables()])
        dropped = [ForeignKey(*row) for row in cursor.fetchall()]
        _check_what_waits()
        for one in dropped:
            cursor.execute(f'ALTER TABLE {one.table} DROP CONSTRAINT "{one.name}"')
    return dropped


def make_foreign_keys(dropped: list[ForeignKey]) -> None:
    """The same again, and all rows looked through."""
    with connection.cursor() as cursor:
        _check_what_waits()
        for one in dropped:
            later = "NOT VALID" if one.is_whole else ""
            cursor.execute(f'ALTER TABLE {one.table} ADD CONSTRAINT "{one.name}" {one.definition} {later}')
    tables = sorted({one.table for one in dropped if one.is_whole})
    checks = [partial(_check, [one for one in dropped if one.table in tables[place::2]]) for place in (0, 1)]
    beside.run(apart=checks[0], here=checks[1])


def _check(foreign_keys: list[ForeignKey]) -> None:
    with connection.cursor() as cursor:
        for one in foreign_keys:
            cursor.execute(f'ALTER TABLE {one.table} VALIDATE CONSTRAINT "{one.name}"')


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
    """What a transaction would look at when it ends forbids such changes; without one nothing waits."""
    if connection.in_atomic_block:
        connection.check_constraints()


_FOREIGN_KEYS = """
SELECT conrelid::regclass::text, conname, pg_get_constraintdef(c.oid), t.relkind <> 'p'
FROM pg_constraint c JOIN pg_class t ON t.oid = conrelid
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
    """Tell the planner roughly what the tables of these apps hold now; it would else guess they are empty."""
    with connection.cursor() as cursor:
        cursor.execute("SET default_statistics_target = 20")
        cursor.execute(f"ANALYZE {', '.join(_tables(*labels))}")
        cursor.execute("RESET default_statistics_target")


def tables_but(*others: str) -> list[str]:
    """All tables but those."""
    return [table for table in _tables() if table not in others]


def _tables(*labels: str, numbered: bool = False) -> list[str]:
    """Those of these apps, else of all; `numbered`: only those with a sequence. Without those made by hand."""
    models = [one for app in labels or APPS for one in apps.get_app_config(app).get_models() if one._meta.managed]
    return [model._meta.db_table for model in models if model._meta.auto_field or not numbered]
