"""New keys: sealing anew what older ones sealed, taking an old one away, and whether keys and tables fit each other.

What a key and a sealed value are: `retail.privacy`. How an operator goes about it: docs/privacy.md.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from typing import Any, NamedTuple

from django.apps import apps
from django.db import connection, models, transaction

from retail import privacy


class KeyInUse(ValueError):
    """This key cannot go yet, or ever."""


class _Column(NamedTuple):
    """A column of sealed values, by its names, and the columns that its place is made of."""

    model: type[models.Model]
    name: str
    of: list[str]

    @property
    def sql(self) -> dict[str, str]:
        """How SQL spells them; `key` is the id of the key that sealed a value."""
        quote = connection.ops.quote_name
        table, name = quote(self.model._meta.db_table), quote(self.name)
        key = f"CASE get_byte({name}, 0) WHEN {privacy.BOUND} THEN get_byte({name}, 1) ELSE get_byte({name}, 0) END"
        return {"table": table, "name": name, "key": key, "of": ", ".join(map(quote, self.of))}

    def place(self, identity: Iterable[Any]) -> str:
        return privacy.place_of(self.model._meta.db_table, self.name, identity)


def columns() -> list[_Column]:
    """All there are."""
    return [
        _Column(model, str(field.column), privacy.identity_of(model, field))
        for model in apps.get_models()
        for field in model._meta.concrete_fields
        if isinstance(field, privacy.SealedField)
    ]


def sealed_by() -> dict[int, int]:
    """How many values each key has sealed."""
    counts: Counter[int] = Counter()
    with connection.cursor() as cursor:
        for column in columns():
            cursor.execute(
                "SELECT {key}, count(*) FROM {table} WHERE {name} IS NOT NULL GROUP BY 1".format(**column.sql)
            )
            counts.update(dict(cursor.fetchall()))
    return dict(sorted(counts.items()))


def rotate(*, batch: int = 2000) -> Iterator[int]:
    """Seal anew what the newest key has not sealed for its place; yields the size of each batch, committed by itself.

    Where it was stopped, it goes on: what is done is told by the first two bytes.
    """
    for column in columns():
        yield from _rotate(column, batch)


def _rotate(column: _Column, batch: int) -> Iterator[int]:
    done, last_id = bytes([privacy.BOUND, privacy.key_ids()[0]]), 0
    while True:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                "SELECT id, {name}, {of} FROM {table} WHERE id > %s AND substr({name}, 1, 2) <> %s"
                " ORDER BY id LIMIT %s FOR UPDATE".format(**column.sql),
                [last_id, done, batch],
            )
            rows = [(row_id, _anew(sealed, column.place(of))) for row_id, sealed, *of in cursor.fetchall()]
            if not rows:
                return
            cursor.execute(
                "UPDATE {table} k SET {name} = w.sealed"
                " FROM unnest(%s::bigint[], %s::bytea[]) AS w(id, sealed) WHERE k.id = w.id".format(**column.sql),
                [[row[0] for row in rows], privacy.as_array(row[1] for row in rows)],
            )
        last_id = rows[-1][0]
        yield len(rows)


def _anew(sealed: bytes, place: str) -> bytes:
    return privacy.seal(privacy.open_sealed(bytes(sealed), place=place), place=place)


def refuse_drop(key_id: int) -> None:
    """Raise KeyInUse unless this key may be taken away."""
    ids = privacy.key_ids()
    if key_id not in ids:
        raise KeyInUse(f"There is no key {key_id}.")
    if key_id == ids[-1]:
        raise KeyInUse(f"Key {key_id} is the oldest: the index by which buyers are found hangs on it. It stays.")
    if key_id == ids[0]:
        raise KeyInUse(f"Key {key_id} is the newest: it seals what comes in.")
    if count := sealed_by().get(key_id):
        raise KeyInUse(f"{count} values are still sealed with key {key_id}: run rotate_privacy_keys first.")


def unbound() -> int:
    """How many values are sealed as before there was a place: they would open in any row."""
    with connection.cursor() as cursor:
        count = 0
        for column in columns():
            cursor.execute(
                "SELECT count(*) FROM {table} WHERE get_byte({name}, 0) <> %s".format(**column.sql), [privacy.BOUND]
            )
            count += cursor.fetchone()[0]
    return count


def faults() -> list[str]:
    """What is wrong between the keys and the tables: values no key opens, or an index made with another oldest key.

    Of each column the first and the last value that each of the keys has sealed are opened.
    """
    missing = sorted(set(sealed_by()) - set(privacy.key_ids()))
    found = [f"Key {key_id} is missing, and values are sealed with it." for key_id in missing]
    for column in columns():
        found += [fault for row in _ends_of(column, privacy.key_ids()) if (fault := _fault_of(row, column.name))]
    return list(dict.fromkeys(found))


def _ends_of(column: _Column, keys: Collection[int]) -> Iterator[models.Model]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT min(id), max(id) FROM {table} WHERE {name} IS NOT NULL AND {key} = ANY(%s) GROUP BY {key}".format(
                **column.sql
            ),
            [list(keys)],
        )
        ids = {row_id for ends in cursor.fetchall() for row_id in ends}
    yield from column.model._base_manager.filter(pk__in=ids).order_by("pk")


def _fault_of(row: models.Model, name: str) -> str:
    """What is wrong with one sealed value, in words; "" when nothing is."""
    try:
        plain = privacy.opened(row, name)
    except privacy.MissingKey as error:
        return f"{row._meta.label} {row.pk}: {error}"
    if isinstance(row, privacy.BuyerKey) and not _is_found_again(row, plain.decode()):
        return "The oldest key is not the one the index was made with: buyers would not be found again."
    return ""


def _is_found_again(key: privacy.BuyerKey, value: str) -> bool:
    return privacy.fingerprint(privacy.Known(key.type, key.scope, value)) == bytes(key.hmac)
