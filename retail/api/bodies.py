"""From the bytes of a request to typed rows, each row judged by itself. Knows no database and no HTTP."""

import codecs
import json
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Annotated, Any, Generic, NamedTuple, TypeVar

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from retail import shapes
from retail.orders import Fault

MAX_ROWS = 500
MAX_VALUES = 300_000  # of a batch, about: as many as it has commas. 500 orders of 60 lines stay below it
MAX_ROW_VALUES = 20_000  # an order of 1 000 full lines stays below it
MAX_ROW_BYTES = 1024 * 1024
MAX_DEPTH = 32
MAX_FAULTS = 20  # told of one row
MAX_SAID = 300  # signs of what was sent that an answer repeats
_PIECE = 64 * 1024
Row = TypeVar("Row", bound=Struct)


class OrderBatch(Struct, forbid_unknown_fields=True):
    """1 to 500 orders of the token's channel."""

    orders: Annotated[tuple[shapes.Order, ...], Meta(min_length=1, max_length=MAX_ROWS)]


class RefundBatch(Struct, forbid_unknown_fields=True):
    """1 to 500 refunds of the token's channel."""

    refunds: Annotated[tuple[shapes.Refund, ...], Meta(min_length=1, max_length=MAX_ROWS)]


class EventBatch(Struct, forbid_unknown_fields=True):
    """1 to 500 events of the token's channel."""

    events: Annotated[tuple[shapes.Event, ...], Meta(min_length=1, max_length=MAX_ROWS)]


class MemberBatch(Struct, forbid_unknown_fields=True):
    """1 to 500 people who are members already."""

    members: Annotated[tuple[shapes.Member, ...], Meta(min_length=1, max_length=MAX_ROWS)]


class CouponClaimBatch(Struct, forbid_unknown_fields=True):
    """1 to 500 codes that members named in the token's channel."""

    claims: Annotated[tuple[shapes.CouponClaim, ...], Meta(min_length=1, max_length=MAX_ROWS)]


class BadBody(ValueError):
    """Nothing of the body can be used; the message says where and why."""


class TooManyRows(BadBody):
    """A batch above MAX_ROWS."""


class Refused(NamedTuple):
    """A row of the wrong shape, with its number as far as it could be read."""

    number: str | None
    faults: list[Fault]


class Decoder(Generic[Row]):
    """Decodes one kind of batch, row after row; what is held of a body that is no good is its bytes and one row.

    A list of a few million empty objects takes a hundred times the room of its text. So rows are cut out and counted
    before anything is made of them, and what a row holds is counted before it is read.
    """

    def __init__(self, *, batch: type[Struct], row: type[Row], number: str) -> None:
        """`number` names the field that tells rows apart, to be echoed for a row that cannot be used; "": none."""
        (self.name,) = batch.__struct_fields__
        self.number = number
        fields = [(self.name, Raw)]
        self._loose = msgspec.json.Decoder(msgspec.defstruct("Loose", fields))
        self._envelope = msgspec.json.Decoder(msgspec.defstruct("Envelope", fields, forbid_unknown_fields=True))
        self._row = msgspec.json.Decoder(row)

    def decode(self, body: bytes) -> Sequence[Row | Refused]:
        """The rows in order. Raises BadBody when there are none to be had."""
        _check_text(body)
        if body.count(b",") > MAX_VALUES:
            raise TooManyRows(f"The body holds more than {MAX_VALUES} values; send it in several batches.")
        return [self._one(raw) for raw in self._cut(body)]

    def _cut(self, body: bytes) -> list[Raw]:
        """The rows as they stand there, 1 to MAX_ROWS."""
        try:
            batch = getattr(self._loose.decode(body), self.name)
            if len(body) - len(memoryview(batch)) > _PIECE:
                raise BadBody(f"{self.name}: give nothing else beside it.")
            self._envelope.decode(body)  # names a key that does not belong here, which may be as long as the body
        except RecursionError:
            raise BadBody("The body is nested too deeply.") from None
        except msgspec.ValidationError as error:
            fault = _fault(error)
            raise BadBody(f"{fault.field}: {fault.message}" if fault.field else fault.message) from None
        except msgspec.DecodeError as error:
            raise BadBody(f"The body is not JSON: {error}{_position(body, str(error))}") from None
        try:
            rows = [raw for raw in msgspec.structs.astuple(_ROWS.decode(batch)) if raw is not UNSET]
        except msgspec.ValidationError as error:
            if "at most" in str(error):
                raise TooManyRows(f"{self.name}: more than {MAX_ROWS} rows; send them in several batches.") from None
            raise BadBody(f"{self.name}: {error}") from None
        if _is_twice(body, batch):
            raise BadBody(f"The key {self.name!r} appears twice.")
        if not rows:
            raise BadBody(f"{self.name}: give at least one row.")
        return rows

    def _one(self, raw: Raw) -> Row | Refused:
        if len(memoryview(raw)) > MAX_ROW_BYTES:
            return Refused(None, [Fault("", f"is longer than {MAX_ROW_BYTES} bytes")])
        text = bytes(raw)
        if text.count(b",") > MAX_ROW_VALUES:
            return Refused(None, [Fault("", f"holds more than {MAX_ROW_VALUES} values")])
        try:
            row = self._row.decode(text)
            json.loads(text, object_pairs_hook=_once)
        except msgspec.MsgspecError as error:
            return self._refused(text, _fault(error))
        except _Twice:
            return self._refused(text, None)
        return row

    def _refused(self, text: bytes, fault: Fault | None) -> Refused:
        """What is wrong with a row: keys given twice, or else what its type says."""
        try:
            # Numbers stay text: this pass only looks at keys, and Python refuses to read very long ones.
            seen = json.loads(text, object_pairs_hook=_marked, parse_int=str, parse_float=str)
        except RecursionError:
            return Refused(None, [Fault("", "is nested too deeply")])
        twice = [Fault(place, "appears twice in one object") for place in islice(_repeated(seen), MAX_FAULTS)]
        number = seen.get(self.number) if isinstance(seen, dict) else None
        return Refused(number[:MAX_SAID] if isinstance(number, str) else None, twice or ([fault] if fault else []))


# An object that stands there as an array of up to MAX_ROWS values: the one form in which msgspec counts as it reads.
_ROWS = msgspec.json.Decoder(
    msgspec.defstruct(
        "Rows",
        [(f"row_{place}", Raw | UnsetType, UNSET) for place in range(MAX_ROWS)],
        array_like=True,
        forbid_unknown_fields=True,
    )
)


def _check_text(body: bytes) -> None:
    """msgspec looks at text only where it keeps it. In pieces: one rare sign makes all signs of a text four bytes."""
    reader, done = codecs.getincrementaldecoder("utf-8")(), 0
    while done < len(body):
        held = len(reader.getstate()[0])
        piece = body[done : done + _PIECE]
        try:
            reader.decode(piece, final=done + len(piece) == len(body))
        except UnicodeDecodeError as error:
            raise BadBody(f"The body is not UTF-8: byte {done - held + error.start}.") from None
        done += len(piece)


# ── Keys given twice ─────────────────────────────────────────────────────────────────────────────────────────────────
# JSON leaves open which of two equal keys counts, and msgspec takes the last: an amount could hide behind another.
_HEAD = re.compile(rb'\s*\{\s*"(?:[^"\\]|\\.)*"\s*:\s*')


def _is_twice(body: bytes, batch: Raw) -> bool:
    """Whether the envelope's one key was given again: then its last value does not begin where its first does."""
    head = _HEAD.match(body)
    return head is None or head.end() + len(memoryview(batch)) != body.rfind(b"]") + 1


class _Twice(ValueError):
    pass


class _Repeated(dict):
    """An object in which `key` was given more than once."""

    key: str


def _once(pairs: list[tuple[str, Any]]) -> None:
    if len(dict(pairs)) != len(pairs):
        raise _Twice


def _marked(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    marked, seen = _Repeated(found), set()
    for key, _ in pairs:
        if key in seen:
            marked.key = key
            break
        seen.add(key)
    return marked


class _Place(NamedTuple):
    """Where a value stands inside a row; in words only once somebody asks."""

    step: str
    above: "_Place | None"
    depth: int

    def __str__(self) -> str:
        steps: list[str] = []
        place: _Place | None = self
        while place:
            steps.append(place.step)
            place = place.above
        return "".join(reversed(steps)).lstrip(".")


def _repeated(row: Any) -> Iterator[str]:
    """The paths ("lines[0].qty") of the keys given twice inside a loosely decoded row, from its beginning on.

    What lies deeper than any shape reaches is left alone: the type of the row has refused it.
    """
    waiting: list[tuple[Any, _Place]] = [(row, _Place("", None, 0))]
    while waiting:
        value, place = waiting.pop()
        if isinstance(value, _Repeated):
            yield str(_Place(f".{value.key}", place, place.depth + 1))[:MAX_SAID]
        if place.depth == MAX_DEPTH:
            continue
        below = place.depth + 1
        if isinstance(value, dict):
            inside = [(inner, _Place(f".{key}", place, below)) for key, inner in value.items()]
        elif isinstance(value, list):
            inside = [(inner, _Place(f"[{at}]", place, below)) for at, inner in enumerate(value)]
        else:
            continue
        waiting += [pair for pair in reversed(inside) if isinstance(pair[0], dict | list)]


# ── Messages ─────────────────────────────────────────────────────────────────────────────────────────────────────────
_NAMED_FIELD = re.compile(r"(?:missing required|contains unknown) field `([^`]*)`")
_BYTE = re.compile(r"\(byte (\d+)\)$")


def _fault(error: Exception) -> Fault:
    """msgspec's "Expected `int`, got `str` - at `$.lines[2].qty`", taken apart into field and message."""
    message, _, path = str(error).partition(" - at `$")
    named = _NAMED_FIELD.search(message)
    field = f"{path.rstrip('`')}.{named[1] if named else ''}".strip(".")
    return Fault(field[:MAX_SAID], message if len(message) <= MAX_SAID else f"{message[:MAX_SAID]}…")


def _position(body: bytes, said: str) -> str:
    """Where the JSON breaks, in lines and columns, beside msgspec's "(byte 12)"; where it does not say, at the end."""
    found = _BYTE.search(said)
    before = body[: int(found[1])] if found else body
    line, column = before.count(b"\n") + 1, len(before) - before.rfind(b"\n")
    return f", line {line} column {column}"
