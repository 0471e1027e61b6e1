"""Taking a file of the feed down in batches: good rows once, bad rows beside the file with the reason.

A batch is committed first, then its failed rows are written, then the progress file. Whatever moment the import is
killed at, the next start repeats at most one batch, and what was taken is found `unchanged`.
"""

import fcntl
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import groupby, islice
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from retail import garbage
from retail.imports.progress import Checkpoint, FailedRows, Meter, Tally
from retail.imports.scattered import Key, Scattered
from retail.imports.table import Row, Table, TableError
from retail.models import Channel
from retail.orders import Taken

PART = 50_000  # groups of rows that do not stand together, held in memory at once: some 50 MB


@dataclass(slots=True)
class Message:
    """One order or refund put together from rows. `rows[i]` said the part that a fault of `lines[i]` means."""

    data: Any = None
    rows: list[Row] = field(default_factory=list)
    failed: list[tuple[Row, str]] = field(default_factory=list)


class Feed(Protocol):
    """What the importer has to know of one kind of file."""

    columns: Sequence[str]
    required: Sequence[str]
    batch: int  # messages taken in one transaction
    width: int  # rows with the same cells in that many of the first columns make one message; 0: each is one

    def read(self, rows: list[Row]) -> Message: ...

    def prepare(self, messages: list[Message]) -> None:
        """Called before a batch is taken; may make what is missing."""

    def take(self, channel: Channel, data: list[Any]) -> list[Taken]: ...

    def without(self, message: Message, lines: set[int | None]) -> Message | None:
        """What is left of a rejected message without these lines; None when the whole of it was at fault."""


class Report(NamedTuple):
    """What became of a file; `resumed_at` is the number of rows that an earlier start had already seen to."""

    rows: int
    outcomes: dict[str, int]
    failed: int
    failed_path: Path
    encoding: str
    is_cut: bool
    resumed_at: int


def run(*, path: Path, feed: Feed, restart: bool = False, size: int | None = None) -> Report:
    """Import one file; `restart` forgets how far an earlier start had come, `size` is another than the feed's batch.

    Raises TableError.
    """
    with _sole(path), garbage.collected_by_hand() as collect:
        source = Table(path, columns=feed.columns, required=feed.required)
        checkpoint = Checkpoint(source)
        tally = (None if restart else checkpoint.load()) or Tally()
        scattered = Scattered(source.keys(feed.columns[: feed.width]))
        failed = FailedRows(source, keep_bytes=tally.failed_bytes)
        resumed_at = tally.rows
        meter = Meter(total=scattered.rows, unit="rows", start=resumed_at)
        for batch in _batches(source, feed, scattered, replace(tally), size or feed.batch):
            wrong = _take(batch.messages, feed, tally)
            tally.done, tally.scattered = batch.done, batch.scattered
            tally.rows, tally.failed = tally.rows + batch.rows, tally.failed + len(wrong)
            if wrong:
                tally.failed_bytes = failed.add(wrong)
            checkpoint.save(tally)
            meter(tally.rows)
            collect()
        checkpoint.clear()
    return Report(tally.rows, tally.outcomes, tally.failed, failed.path, source.encoding, source.is_cut, resumed_at)


@contextmanager
def _sole(path: Path) -> Iterator[None]:
    """Nobody else imports this very file meanwhile; a copy of it may, and finds everything unchanged."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise TableError("is being imported by another process") from None
        yield


class _Batch(NamedTuple):
    """Messages of `rows` rows. With them rows up to `done` are through, and `scattered` of the scattered messages."""

    messages: list[Message]
    rows: int
    done: int
    scattered: int


def _batches(source: Table, feed: Feed, scattered: Scattered, since: Tally, size: int) -> Iterator[_Batch]:
    """What `since` has not seen, `size` messages at a time; those whose rows do not stand together come last."""
    done, apart = since.done, since.scattered
    for groups in _bundles(_together(source, feed, scattered, since.done), size):
        done = groups[-1][-1].number
        yield _batch(groups, feed, done, apart)
    for groups in _bundles(islice(_apart(source, feed, scattered), apart, None), size):
        apart += len(groups)
        yield _batch(groups, feed, done, apart)


def _together(source: Table, feed: Feed, scattered: Scattered, done: int) -> Iterator[list[Row]]:
    """The rows of each message after row `done`, without the scattered ones."""
    for key, rows in _groups(source, feed):
        if rows[-1].number > done and scattered.part(key, 1) is None:
            yield rows


def _apart(source: Table, feed: Feed, scattered: Scattered) -> Iterator[list[Row]]:
    """The rows of each scattered message. The file is read once for every PART of them, to hold no more of it."""
    parts = -(-scattered.groups // PART)
    for part in range(parts):
        gathered: dict[Key, list[Row]] = {}
        for key, rows in _groups(source, feed):
            if scattered.part(key, parts) == part:
                gathered.setdefault(key, []).extend(rows)
        yield from gathered.values()


def _groups(source: Table, feed: Feed) -> Iterator[tuple[Key, list[Row]]]:
    """Rows that follow each other and have the same key; one without a whole key stands alone."""
    width = feed.width

    def key_of(row: Row) -> Key:
        key = row.cells[:width]
        return key if key and all(key) else (str(row.number),)

    for key, rows in groupby(source.rows(), key_of):
        yield key, list(rows)


def _bundles(groups: Iterable[list[Row]], size: int) -> Iterator[list[list[Row]]]:
    groups = iter(groups)
    while bundle := list(islice(groups, size)):
        yield bundle


def _batch(groups: list[list[Row]], feed: Feed, done: int, scattered: int) -> _Batch:
    return _Batch([feed.read(rows) for rows in groups], sum(map(len, groups)), done, scattered)


def _take(batch: list[Message], feed: Feed, tally: Tally) -> list[tuple[Row, str]]:
    """Take a batch down channel by channel; returns the rows that failed, in the order of the file."""
    wrong = [failed for message in batch for failed in message.failed]
    good = [message for message in batch if message.data is not None]
    feed.prepare(good)
    by_channel: dict[str, list[Message]] = {}
    for message in good:
        by_channel.setdefault(message.data.channel, []).append(message)
    channels = {
        channel.code: channel for channel in Channel.objects.filter(code__in=by_channel).select_related("brand")
    }
    for code, messages in sorted(by_channel.items()):
        if code not in channels:
            wrong += [(row, f"channel: unknown channel {code!r}") for message in messages for row in message.rows]
            continue
        again = []
        for message, outcome in _outcomes(feed, channels[code], messages):
            if outcome.status != "rejected":
                tally.count(outcome.status)
                continue
            wrong += _blamed(message, outcome)
            if rest := feed.without(message, {_line_of(fault.field) for fault in outcome.faults}):
                again.append(rest)
        for _, outcome in _outcomes(feed, channels[code], again):
            tally.count(outcome.status)
    return sorted(wrong, key=lambda failed: failed[0].number)


def _outcomes(feed: Feed, channel: Channel, messages: list[Message]) -> Iterator[tuple[Message, Taken]]:
    if messages:
        yield from zip(messages, feed.take(channel, [message.data for message in messages]), strict=True)


def _line_of(field: str) -> int | None:
    """Which line a fault is about: "lines[2].sku" → 2; None when it is about the whole message."""
    return int(field[6 : field.index("]")]) if field.startswith("lines[") else None


def _blamed(message: Message, outcome: Taken) -> list[tuple[Row, str]]:
    """The rows at fault: those of the lines at fault, or every row when the fault is about all of them."""
    reasons: dict[int, list[str]] = {}
    for fault in outcome.faults:
        place = _line_of(fault.field)
        rows = message.rows if place is None else [message.rows[place]]
        for row in rows:
            reasons.setdefault(row.number, []).append(f"{fault.field.rpartition('].')[2]}: {fault.message}")
    return [(row, "; ".join(reasons[row.number])) for row in message.rows if row.number in reasons]
