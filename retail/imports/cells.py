"""Text cells into the typed shapes of the feed, with messages that name the column."""

import re
from collections.abc import Iterable
from typing import Any, TypeVar, get_args

import msgspec

from retail import shapes

IDENTITIES = tuple(get_args(shapes.IdentityType))
_PLACE = re.compile(r" - at `\$(?:\.(?P<path>[\w.\[\]]+))?`$")
_ABSENT = re.compile(r"^Object missing required field `(?P<name>\w+)`")
_DAY = re.compile(r"\d{4}-\d\d-\d\d[T ]")
_Shape = TypeVar("_Shape", bound=msgspec.Struct)


class BadCell(ValueError):
    """A cell that does not fit; the message begins with the name of its column."""


def names(shape: type[msgspec.Struct], *, without: Iterable[str] = ()) -> list[str]:
    return [name for name in shape.__struct_fields__ if name not in without]


def typed(content: dict[str, Any], shape: type[_Shape]) -> _Shape:
    """Read text values as what the shape asks for. Raises BadCell."""
    for name, value in content.items():
        # A bare number would pass as seconds since 1970: a spreadsheet's date, not a moment anybody meant.
        if name.endswith("_at") and not _DAY.match(value):
            raise BadCell(f"{name}: Expected ISO 8601 with an offset, like 2026-10-12T14:30:00+08:00, got {value!r}")
    try:
        return msgspec.convert(content, shape, strict=False)
    except msgspec.ValidationError as error:
        raise BadCell(_named(str(error), content)) from None


def _named(message: str, content: dict[str, Any]) -> str:
    """ "Expected `int`, got `str` - at `$.lines[0].qty`" → "qty: Expected `int`, got 'x'"."""
    if absent := _ABSENT.match(message):
        return f"{absent['name']}: is empty"
    found = _PLACE.search(message)
    if not found or not found["path"]:
        return message
    path, said = found["path"], message[: found.start()]
    if path.startswith("buyer["):
        return f"buyer_{content['buyer'][int(path[6 : path.index(']')])]['type']}: {said}"
    name = path.rpartition(".")[2].partition("[")[0]
    value = content.get(name) or content.get("lines", [{}])[0].get(name)
    return f"{name}: {said.replace('got `str`', f'got {value!r}')}"
