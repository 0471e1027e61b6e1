"""How a parameter must look. An endpoint declares its own as `name=Text(most=30)`; whatever does not fit is a Refused.

Every shape has a `default`; without one the parameter is needed. What nobody declared is ignored, as the vendor does.
"""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

from retail.wecom.simulator.refusals import Refused

NEEDED: Any = object()
INVALID = 40058


def _require(fits: bool, said: str, code: int = INVALID) -> None:
    if not fits:
        raise Refused(code, f"invalid Request Parameter: {said}")


@dataclass(frozen=True)
class Shape:
    _: KW_ONLY
    default: Any = NEEDED
    code: int = INVALID

    def read(self, name: str, value: Any) -> Any:
        return value


@dataclass(frozen=True)
class Text(Shape):
    """`most` counts characters, `most_bytes` bytes of UTF-8."""

    most: int = 0
    _: KW_ONLY
    least: int = 0
    most_bytes: int = 0
    one_of: tuple[str, ...] = ()

    def read(self, name: str, value: Any) -> str:
        _require(isinstance(value, str), f"{name} must be a string", self.code)
        _require(not self.most or len(value) <= self.most, f"{name} exceed max length {self.most}", self.code)
        size = len(value.encode())
        _require(not self.most_bytes or size <= self.most_bytes, f"{name} exceed max length {self.most_bytes}")
        _require(len(value) >= self.least, f"{name} is empty", self.code)
        _require(not self.one_of or value in self.one_of, f"{name} is none of {', '.join(self.one_of)}", self.code)
        return value


@dataclass(frozen=True)
class Whole(Shape):
    """A whole number; in a query it comes as digits."""

    least: int = 0
    most: int = 2**63 - 1

    def read(self, name: str, value: Any) -> int:
        if isinstance(value, str) and value.lstrip("-").isdecimal() and len(value) < 20:
            value = int(value)
        _require(isinstance(value, int) and not isinstance(value, bool), f"{name} must be a number", self.code)
        _require(self.least <= value <= self.most, f"{name} must be {self.least} to {self.most}", self.code)
        return int(value)


@dataclass(frozen=True)
class Number(Shape):
    """Seconds or a share; only the control of the simulator takes fractions."""

    least: float = 0
    most: float = float("inf")

    def read(self, name: str, value: Any) -> float:
        _require(isinstance(value, int | float) and not isinstance(value, bool), f"{name} must be a number")
        _require(self.least <= value <= self.most, f"{name} must be {self.least} to {self.most}")
        return float(value)


@dataclass(frozen=True)
class Flag(Shape):
    def read(self, name: str, value: Any) -> bool:
        _require(value in (True, False, 0, 1, "0", "1"), f"{name} must be true or false", self.code)
        return value in (True, 1, "1")


@dataclass(frozen=True)
class Many(Shape):
    """A list; each of it of one shape."""

    each: Shape = field(default_factory=Shape)
    most: int = 0
    _: KW_ONLY
    least: int = 0

    def read(self, name: str, value: Any) -> list[Any]:
        _require(isinstance(value, list), f"{name} must be a list", self.code)
        _require(not self.most or len(value) <= self.most, f"{name} exceed max length {self.most}", self.code)
        _require(len(value) >= self.least, f"{name} is empty", self.code)
        return [self.each.read(f"{name}[{place}]", one) for place, one in enumerate(value)]


@dataclass(frozen=True)
class Record(Shape):
    """An object; gives a dict that holds every declared field."""

    fields: Mapping[str, Shape] = field(default_factory=dict)

    def read(self, name: str, value: Any) -> dict[str, Any]:
        _require(isinstance(value, dict), f"{name} must be an object", self.code)
        return read(self.fields, value, within=f"{name}.")


def read(shapes: Mapping[str, Shape], given: Mapping[str, Any], *, within: str = "") -> dict[str, Any]:
    """The declared parameters out of what was given. Raises Refused for the first that does not fit."""
    found = {}
    for name, shape in shapes.items():
        value = given.get(name)
        if value is None:  # null counts as absent
            _require(shape.default is not NEEDED, f"missing {within}{name}", shape.code)
            found[name] = shape.default
        else:
            found[name] = shape.read(within + name, value)
    return found
