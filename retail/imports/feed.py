"""Taking a file of the feed down in batches: good rows once, bad rows beside the file with the reason.

A batch is committed first, then its failed rows are written, then the progress file. Whatever moment the import is
killed at, the next start repeats at most one batch, and what was taken is found `unchanged`.
"""

import fcntl
from collections.abc import Collection, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import groupby, islice
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from retail.imports.progress import Checkpoint, FailedRows, Meter, Tally
from retail.imports.table import Row, Table, TableError
from retail.models import Channel
from retail.orders import Taken

BATCH = 500  # messages in one transaction


@dataclass(slots=True)
class Message:
    """One order or refund put together from rows. `rows[i]` said the part that a fault of `lines[i]` means."""

    data: Any = None
    rows: list[Row] = field(default_factory=list)
    failed: list[tuple[Row, str]] = field(default_factory=list)


class Feed(Protocol):
    """What the importer has to know of one kind of file."""

    columns: Collection[str]
    required: Collection[str]

    def key(self, row: Row) -> Hashable:
        """Rows with the same key make one message."""

    def read(self, rows: list[Row]) -> Message: ...

    def prepare(self, messages: list[Message]) -> None:
        """Called before a batch is taken; may make what is missing."""

    def take(self, channel: Channel, data: list[Any]) -> list[Taken]: ...

    def without(self, message: Message, lines: set[int | None]) -> Message | None:
        """What is left of a rejected message without these lines; None when the whole of it was at fault."""


class Report(NamedTuple):
    rows: int
    outcomes: dict[str, int]
    failed: int
    failed_path: Path
    is_cut: bool


def run(*, path: Path, feed: Feed, restart: bool = False, size: int = BATCH) -> Report:
    """Import one file; `restart` forgets how far an earlier start had come. Raises TableError."""
    with _sole(path):
        source = Table(path, columns=feed.columns, required=feed.required)
        checkpoint = Checkpoint(source)
        tally = (None if restart else checkpoint.load()) or Tally()
        failed = FailedRows(source, keep_bytes=tally.failed_bytes)
        total, scattered = _scan(source, feed)
        meter = Meter(total=total, unit="rows", start=tally.rows)
        for batch in _batches(source, feed, scattered, replace(tally), size):
            wrong = _take(batch.messages, feed, tally)
            tally.done, tally.scattered = batch.done, batch.scattered
            tally.rows, tally.failed = tally.rows + batch.rows, tally.failed + len(wrong)
            if wrong:
                tally.failed_bytes = failed.add(wrong)
            checkpoint.save(tally)
            meter(tally.rows)
        checkpoint.clear()
    return Report(tally.rows, tally.outcomes, tally.failed, failed.path, source.is_cut)


@contextmanager
def _sole(path: Path) -> Iterator[None]:
    """Nobody else imports this very file meanwhile; a copy of it may, and finds everything unchanged."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise TableError("is being imported by another process") from None
        yield


def _scan(source: Table, feed: Feed) -> tuple[int, set[Hashable]]:
    """How many rows there are, and the keys whose rows do not stand together."""
    count, last = 0, None
    seen: set[Hashable] = set()
    scattered: set[Hashable] = set()
    for row in source.rows():
        count += 1
        key = feed.key(row)
        if key != last and key in seen:
            scattered.add(key)
        seen.add(key)
        last = key
    return count, scattered


class _Batch(NamedTuple):
    """Messages of `rows` rows. With them rows up to `done` are through, and `scattered` of the scattered messages."""

    messages: list[Message]
    rows: int
    done: int
    scattered: int


def _batches(source: Table, feed: Feed, scattered: set[Hashable], since: Tally, size: int) -> Iterator[_Batch]:
    """What `since` has not seen, `size` messages at a time; those whose rows do not stand together come last."""
    done, gathered = since.done, dict[Hashable, list[Row]]()
    for groups in _bundles(_together(source, feed, scattered, gathered, since.done), size):
        done = groups[-1][-1].number
        yield _batch(groups, feed, done, since.scattered)
    apart = list(gathered.values())
    for start in range(since.scattered, len(apart), size):
        groups = apart[start : start + size]
        yield _batch(groups, feed, done, start + len(groups))


def _together(
    source: Table, feed: Feed, scattered: set[Hashable], gathered: dict[Hashable, list[Row]], done: int
) -> Iterator[list[Row]]:
    """The rows of each message after row `done`; scattered ones are gathered instead, from the whole file."""
    for key, group in groupby(source.rows(), feed.key):
        rows = list(group)
        if key in scattered:
            gathered.setdefault(key, []).extend(rows)
        elif rows[-1].number > done:
            yield rows


def _bundles(groups: Iterator[list[Row]], size: int) -> Iterator[list[list[Row]]]:
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
    channels = {channel.code: channel for channel in Channel.objects.filter(code__in=by_channel)}
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
