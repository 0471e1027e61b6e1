"""Tables of the same columns and indexes as ours, into which the limit writes what ours wrote."""

from collections.abc import Sequence
from typing import Any

from django.db import connection


class Copy:
    """A twin of a table, with the rows that ours wrote for some orders."""

    def __init__(self, table: str) -> None:
        self.table = table
        with connection.cursor() as cursor:
            cursor.execute(f"DROP TABLE IF EXISTS bench_{table}")
            cursor.execute(f"CREATE TABLE bench_{table} (LIKE {table} INCLUDING ALL)")
            cursor.execute(
                "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum), count(*) FROM pg_attribute"
                " WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped AND attname <> 'settled_at'",
                [table],
            )
            self.columns, self.width = cursor.fetchone()

    def rows(self, where: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {self.columns} FROM {self.table} WHERE {where} ORDER BY id", params)
            return cursor.fetchall()

    def insert(self, rows: Sequence[Sequence[Any]]) -> None:
        """One INSERT that lists the values."""
        if rows:
            with connection.cursor() as cursor:
                one = f"({', '.join(['%s'] * self.width)})"
                places = ", ".join([one] * len(rows))
                values = [value for row in rows for value in row]
                cursor.execute(f"INSERT INTO bench_{self.table} ({self.columns}) VALUES {places}", values)

    def copy_in(self, rows: Sequence[Sequence[Any]]) -> None:
        statement = f"COPY bench_{self.table} ({self.columns}) FROM STDIN"
        with connection.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)

    def copy_text(self, text: bytes) -> None:
        """Whole rows as COPY writes them, in one piece."""
        with connection.cursor() as cursor, cursor.copy(f"COPY bench_{self.table} FROM STDIN") as copy:
            copy.write(text)

    def sum(self, expression: str) -> Any:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {expression} FROM bench_{self.table}")
            return cursor.fetchone()[0]

    def clear(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"TRUNCATE bench_{self.table}")

    def delete(self) -> None:
        """As clear, without the file operations of a TRUNCATE: for a few rows, time and again."""
        with connection.cursor() as cursor:
            cursor.execute(f"DELETE FROM bench_{self.table}")
