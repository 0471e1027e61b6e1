"""Seals over what is append-only: whoever edits history past the triggers, the owner of the tables too, is found.

Every few minutes the rows that came since are closed into blocks, table by table. A seal holds the SHA-256 of its
block, which the database computes, and an HMAC over that and the seal before it, with a key the database never sees
(retail.privacy): a row changed, taken out or put in between, or a seal forged, left out or moved, no longer fits.
Whole seals taken off the end would leave a shorter chain that fits; so each machine that seals also keeps the last
one it made in a file, and makes no other before it finds that one again.

Posting knows nothing of this and waits for nothing. The price is a window: until its block is closed, a row is
guarded by triggers and rights alone (docs/adr/0014).
"""

import hmac
import json
import os
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

from django.conf import settings
from django.db import connection, models, transaction
from django.utils.translation import gettext_lazy as _

from retail import privacy, rights

# When a row came, as it says itself; of a buyer's snapshot the claims say it that were written with it.
_CAME = {
    "commissions_actionevent": "judged_at",
    "commissions_buyersnapshot": "(SELECT min(c.resolved_at) FROM commissions_claimrow c"
    " WHERE (c.order_id, c.revision) = (r.order_id, r.revision))",
    "commissions_claimrow": "resolved_at",
    "commissions_countmark": "posted_at",
    "commissions_companyleg": "made_at",
    "commissions_disputestep": "at",
    "commissions_entry": "posted_at",
    "commissions_payout": "(SELECT b.made_at FROM commissions_payoutbatch b WHERE b.id = r.batch_id)",
    "members_consent": "noted_at",
    "members_pointsentry": "created_at",
    "members_couponmove": "noted_at",
    "retail_auditrow": "at",
    "retail_orderversion": "superseded_at",
    "retail_refundversion": "superseded_at",
    "retail_suppression": "at",
}
BLOCK = 50_000  # rows under one seal at most
PATIENCE = 5.0  # seconds a sealing waits for those who are writing


class ChainCut(Exception):
    """Seals that this machine remembers are gone: nothing is sealed any more until somebody has looked."""


class Seal(models.Model):
    """One block: the rows of a table above the block before it, up to `up_to`. Numbered without a gap."""

    number = models.BigIntegerField(primary_key=True)
    table = models.CharField(max_length=64)
    up_to = models.BigIntegerField()
    rows = models.BigIntegerField()
    columns = models.TextField()  # those the table had then, which the digest is over
    digest = models.BinaryField(max_length=32)
    mac = models.BinaryField(max_length=32)
    sealed_at = models.DateTimeField()

    class Meta:
        verbose_name = _("历史记录的封条")
        verbose_name_plural = _("历史记录的封条")

    def mac_after(self, before: bytes) -> bytes:
        """What `mac` has to be if the seal before this one had that."""
        said = [self.number, self.table, self.up_to, self.rows, self.columns, bytes(self.digest).hex()]
        return privacy.mac(json.dumps([before.hex(), *said, self.sealed_at.astimezone(UTC).isoformat()]))


def _tables() -> list[str]:
    """Seals themselves hang on each other instead."""
    return [table for table in rights.APPEND_ONLY if table != Seal._meta.db_table]


# ── Sealing ──────────────────────────────────────────────────────────────────────────────────────────────────────────
@transaction.atomic
def seal(*, now: datetime, patience: float = PATIENCE) -> int:
    """Seal all rows that are there for good; returns how many.

    A table in which somebody is still writing after `patience` seconds is left to the next time. Raises ChainCut: a
    seal made after a cut would become the end that is remembered, and the cut would be forgotten.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('seals', 0))")
    if lost := _head_lost():
        raise ChainCut(lost)
    last = Seal.objects.order_by("number").last()
    count = 0
    for table in _tables():
        for block in _blocks(table, _sealed_up_to(table), patience):
            last = _chained(last, table, block, now)
            count += block.rows
    if count and last:
        transaction.on_commit(partial(_remember, last))
    return count


class _Block(NamedTuple):
    up_to: int
    rows: int
    columns: str
    digest: bytes


def _sealed_up_to(table: str) -> int | None:
    return Seal.objects.filter(table=table).aggregate(last=models.Max("up_to"))["last"]


def _blocks(table: str, after: int | None, patience: float) -> Iterator[_Block]:
    complete = _complete_up_to(table, patience)
    columns = _columns(table)
    while complete is not None and (after is None or after < complete):
        up_to = _end_of_block(table, after, complete)
        ((_, rows, digest),) = _digests(table, columns, [(0, after, up_to)])
        if rows:
            yield _Block(up_to, rows, columns, digest)
        after = up_to


def _complete_up_to(table: str, patience: float) -> int | None:
    """An id below which no row will come any more; None when that takes longer than we wait.

    Whoever took an id of the sequence holds a lock on it until the end of the transaction. So once all are gone who
    hold one after we read the number, every id up to it was used or never will be.
    """
    sequence = _sequence(table)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {sequence}")
        up_to = cursor.fetchone()[0]
        cursor.execute(
            "SELECT virtualtransaction FROM pg_locks WHERE relation = %s::regclass AND mode = 'RowExclusiveLock'"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            " AND pid IS DISTINCT FROM pg_backend_pid()",
            [sequence],
        )
        writing = [transaction for (transaction,) in cursor.fetchall()]
        deadline = time.monotonic() + patience
        while writing:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE virtualtransaction = ANY(%s)", [writing])
            if not cursor.fetchone()[0]:
                break
            if time.monotonic() > deadline:
                return None
            time.sleep(0.02)
    return up_to


def _sequence(table: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_get_serial_sequence(%s, 'id')", [table])
        return cursor.fetchone()[0]


def _columns(table: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute"
            " WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped",
            [table],
        )
        return cursor.fetchone()[0]


def _end_of_block(table: str, after: int | None, complete: int) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT id FROM {table} WHERE id > %s AND id <= %s ORDER BY id OFFSET %s LIMIT 1",
            [_above(after), complete, BLOCK - 1],
        )
        found = cursor.fetchone()
    return found[0] if found else complete


def _above(after: int | None) -> int:
    """The first block of a table has no beginning: no id is too low for it."""
    return -(2**63) if after is None else after


def _chained(last: Seal | None, table: str, block: _Block, now: datetime) -> Seal:
    seal = Seal(number=last.number + 1 if last else 1, table=table, sealed_at=now, **block._asdict())
    seal.mac = seal.mac_after(bytes(last.mac) if last else b"")
    seal.save(force_insert=True)
    return seal


# Hashed one by one: together the rows might exceed the size of a value.
_DIGESTS = """
SELECT number, count(id), sha256(coalesce(string_agg(hash, ''::bytea ORDER BY id), ''))
FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[]) AS block(number, after, up_to)
LEFT JOIN LATERAL (
    SELECT id, sha256(convert_to(ROW({columns})::text, 'UTF8')) AS hash FROM {table}
    WHERE id > block.after AND id <= block.up_to
) r ON true
GROUP BY number
"""
# A row as text is then the same in every session.
_PLAIN = """
SELECT set_config('TimeZone', 'UTC', true), set_config('DateStyle', 'ISO', true),
    set_config('bytea_output', 'hex', true)
"""


def _digests(table: str, columns: str, blocks: Sequence[tuple[int, int | None, int]]) -> list[tuple[int, int, bytes]]:
    """Number, rows and digest of each (number, after, up to)."""
    numbers, afters, up_tos = zip(*blocks, strict=True)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_PLAIN)
        statement = _DIGESTS.format(table=table, columns=columns)
        cursor.execute(statement, [list(numbers), [_above(after) for after in afters], list(up_tos)])
        return [(number, rows, bytes(digest)) for number, rows, digest in cursor.fetchall()]


# ── Looking ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def faults() -> Iterator[str]:
    """What no longer fits: seals, blocks, and the end of the chain this machine remembers."""
    seals = list(Seal.objects.order_by("number"))
    if lost := _head_lost():
        yield lost
    genuine: dict[tuple[str, str], list[tuple[Seal, int | None]]] = defaultdict(list)
    ends: dict[str, int] = {}
    before, expected = b"", 1
    for seal in seals:
        if seal.number != expected or not hmac.compare_digest(seal.mac_after(before), bytes(seal.mac)):
            yield f"seal {seal.number} of {seal.table} was changed, or the one before it"
        else:  # of a forged one not even the names of its columns are to be used
            genuine[seal.table, seal.columns].append((seal, ends.get(seal.table)))
        ends[seal.table] = seal.up_to
        before, expected = bytes(seal.mac), seal.number + 1
    for (table, columns), blocks in genuine.items():
        yield from _changed_blocks(table, columns, blocks)
    for table in _tables():
        yield from _rows_ahead(table)


def _changed_blocks(table: str, columns: str, blocks: list[tuple[Seal, int | None]]) -> Iterator[str]:
    if table not in _tables() or not set(_names(columns)) <= set(_names(_columns(table))):
        yield f"{table}: the table, or a column of it that was sealed, is gone"
        return
    by_number = {seal.number: (seal, after) for seal, after in blocks}
    for number, rows, digest in _digests(table, columns, [(seal.number, after, seal.up_to) for seal, after in blocks]):
        seal, after = by_number[number]
        if (rows, digest) != (seal.rows, bytes(seal.digest)):
            first = "" if after is None else f"{after + 1} "
            yield f"{table}, ids {first}to {seal.up_to}: {rows:,} rows where {seal.rows:,} were sealed, or others"


def unsealed_since() -> dict[str, datetime]:
    """When the oldest row came that has no seal yet, for each table in which there are some."""
    found = {}
    for table in _tables():
        with connection.cursor() as cursor:
            unsealed = f"SELECT min({_CAME[table]}) FROM {table} r WHERE id > %s"
            cursor.execute(unsealed, [_above(_sealed_up_to(table))])
            (since,) = cursor.fetchone()
        if since:
            found[table] = since
    return found


def _rows_ahead(table: str) -> Iterator[str]:
    """Whose number the sequence never gave out would not be sealed before it does."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*), min(id) FROM {table} WHERE id > (SELECT last_value FROM {_sequence(table)})")
        rows, first = cursor.fetchone()
    if rows:
        yield f"{table}: {rows:,} rows from id {first} on, a number that was never given out"


def _names(columns: str) -> list[str]:
    return columns.split(", ")


# ── The end of the chain, kept outside the database ──────────────────────────────────────────────────────────────────
def head_file() -> Path:
    """To be removed after a backup was restored on purpose, for the chain is shorter then."""
    return Path(settings.VAR_DIR) / "seals.head"


def _remember(last: Seal) -> None:
    scratch = head_file().with_suffix(f".{os.getpid()}")
    scratch.parent.mkdir(parents=True, exist_ok=True)
    scratch.write_text(f"{last.number} {bytes(last.mac).hex()}\n")
    scratch.replace(head_file())


def _head_lost() -> str:
    """What is wrong with the end of the chain that is remembered; empty if it is there, or none is remembered."""
    try:
        number, mac = _remembered()
    except FileNotFoundError:
        return ""
    except ValueError:
        return f"{head_file()} is damaged: nobody knows how long the chain was"
    known = Seal.objects.filter(number=number).first()
    if known and hmac.compare_digest(bytes(known.mac), mac):
        return ""
    return f"seal {number}, which {head_file()} remembers, is not there any more: the chain was cut"


def _remembered() -> tuple[int, bytes]:
    """Number and `mac` of the last seal this machine made. Raises FileNotFoundError, and ValueError if damaged."""
    number, mac = head_file().read_text().split()
    if not (number.isdecimal() and len(number) <= 18 and len(mac) == 64):
        raise ValueError
    return int(number), bytes.fromhex(mac)
