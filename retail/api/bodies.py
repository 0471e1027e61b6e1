"""From the bytes of a request to typed rows, each row judged by itself. Knows no database and no HTTP."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Generic, NamedTuple, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct

from retail import shapes
from retail.orders import Fault

MAX_ROWS = 500
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


class BadBody(ValueError):
    """Nothing of the body can be used; the message says where and why."""


class TooManyRows(BadBody):
    """A batch above MAX_ROWS."""


class Refused(NamedTuple):
    """A row of the wrong shape, with its number as far as it could be read."""

    number: str | None
    faults: list[Fault]


class Decoder(Generic[Row]):
    """Decodes one kind of batch: one typed pass over the whole, and row by row only when that pass found a fault."""

    def __init__(self, *, batch: type[Struct], row: type[Row], number: str) -> None:
        """`number` names the field that tells rows apart, to be echoed for a row that cannot be used."""
        (self.name,) = batch.__struct_fields__
        self.number = number
        self._batch = msgspec.json.Decoder(batch)
        self._raw_batch = msgspec.json.Decoder(
            msgspec.defstruct("RawBatch", [(self.name, list[Raw])], forbid_unknown_fields=True)
        )
        self._row = msgspec.json.Decoder(row)

    def decode(self, body: bytes) -> Sequence[Row | Refused]:
        """The rows in order. Raises BadBody when there are none to be had."""
        try:
            body.decode()  # msgspec looks at text only where it keeps it
        except UnicodeDecodeError as error:
            raise BadBody(f"The body is not UTF-8: byte {error.start}.") from None
        try:
            rows = getattr(self._batch.decode(body), self.name)
            json.loads(body, object_pairs_hook=_once)
        except (msgspec.MsgspecError, _Twice):
            return list(self._row_by_row(body))
        return rows

    def _row_by_row(self, body: bytes) -> Iterator[Row | Refused]:
        try:
            raw_rows = getattr(self._raw_batch.decode(body), self.name)
            # Numbers stay text: this pass only looks at keys, and Python refuses to read very long ones.
            loose = json.loads(body, object_pairs_hook=_marked, parse_int=str, parse_float=str)
        except RecursionError:
            raise BadBody("The body is nested too deeply.") from None
        except msgspec.ValidationError as error:
            fault = _fault(error)
            raise BadBody(f"{fault.field}: {fault.message}" if fault.field else fault.message) from None
        except msgspec.DecodeError as error:
            raise BadBody(f"The body is not JSON: {_position(body) or error}") from None
        if isinstance(loose, _Repeated):
            raise BadBody(f"The key {loose.key!r} appears twice.")
        if not raw_rows:
            raise BadBody(f"{self.name}: give at least one row.")
        if len(raw_rows) > MAX_ROWS:
            raise TooManyRows(f"{self.name}: {len(raw_rows)} rows; a batch takes at most {MAX_ROWS}.")
        for raw, seen in zip(raw_rows, loose[self.name], strict=True):
            yield self._one(raw, seen)

    def _one(self, raw: Raw, seen: Any) -> Row | Refused:
        faults = [Fault(place, "appears twice in one object") for place in _repeated(seen)]
        try:
            if not faults:
                return self._row.decode(raw)
        except msgspec.MsgspecError as error:
            faults = [_fault(error)]
        number = seen.get(self.number) if isinstance(seen, dict) else None
        return Refused(number if isinstance(number, str) else None, faults)


# ── Keys given twice ─────────────────────────────────────────────────────────────────────────────────────────────────
# JSON leaves open which of two equal keys counts, and msgspec takes the last: an amount could hide behind another.
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
    keys = [key for key, _ in pairs]
    marked = _Repeated(found)
    marked.key = next(key for place, key in enumerate(keys) if key in keys[:place])
    return marked


def _repeated(value: Any, path: str = "") -> Iterator[str]:
    """The paths ("lines[0].qty") of the keys given twice inside a loosely decoded row."""
    if isinstance(value, _Repeated):
        yield f"{path}.{value.key}".lstrip(".")
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _repeated(inner, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _repeated(inner, f"{path}[{place}]")


# ── Messages ─────────────────────────────────────────────────────────────────────────────────────────────────────────
_NAMED_FIELD = re.compile(r"(?:missing required|contains unknown) field `([^`]*)`")


def _fault(error: Exception) -> Fault:
    """msgspec's "Expected `int`, got `str` - at `$.lines[2].qty`", taken apart into field and message."""
    message, _, path = str(error).partition(" - at `$")
    named = _NAMED_FIELD.search(message)
    return Fault(f"{path.rstrip('`')}.{named[1] if named else ''}".strip("."), message)


def _position(body: bytes) -> str:
    """Where the JSON breaks, in lines and columns; empty when Python's more lenient reader accepts it."""
    try:
        json.loads(body)
    except json.JSONDecodeError as error:
        return str(error)
    except (ValueError, RecursionError):
        pass
    return ""
