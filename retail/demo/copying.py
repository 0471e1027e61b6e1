"""Writing many rows at once: COPY with ids we choose, sequences moved up behind them."""

from collections.abc import Iterable, Sequence
from typing import Any

from django.apps import apps
from django.db import connection

APPS = ("retail", "members", "commissions", "clerks")


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


def move_up_sequences() -> None:
    """Let every table's next id follow the highest one in it."""
    with connection.cursor() as cursor:
        for table in _tables():
            cursor.execute(
                f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) FROM {table} HAVING max(id) > 0"
            )


def analyze() -> None:
    """Tell the planner what the tables hold now; it would else guess they are empty."""
    with connection.cursor() as cursor:
        for table in _tables():
            cursor.execute(f"ANALYZE {table}")


def _tables() -> list[str]:
    return [model._meta.db_table for app in APPS for model in apps.get_app_config(app).get_models()]
