"""How much a rule gives for a line, before it is split: base, calculation, floor and cap.

Every calculation comes down to the same two terms, a rate on the base and a fixed amount, so the pool is
always `base × ppm + fen`, rounded once. All amounts here belong to the positive twin of a line and are never
negative.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from .document import Document
from .facts import Line

BASES = ("paid", "tag", "margin")


def base_of(kind: str, line: Line) -> int:
    """Return the base in fen: what was `paid`, the `tag` price, or the `margin` (never below 0)."""
    if kind == "paid":
        return line.paid_fen
    if kind == "tag":
        return line.tag_fen
    return max(0, line.paid_fen - (line.cost_fen or 0) * line.qty)


def keeps_discount(line: Line, bp: int) -> bool:
    """True when the line was sold at `bp` basis points of its tag price or dearer; equality counts."""
    return line.paid_fen * 10_000 >= line.tag_fen * bp


Terms = tuple[int, int]
"""What a calculation gives for one line: ppm of the base, and fen beside it."""


class Calc(Protocol):
    """One way to calculate; `kind` is its name in the public format."""

    @property
    def kind(self) -> str: ...

    def terms(self, line: Line) -> Terms: ...


@dataclass(frozen=True, slots=True)
class Rate:
    """A share of the base."""

    ppm: int
    kind: str = "rate"

    def terms(self, line: Line) -> Terms:
        return (self.ppm, 0)


@dataclass(frozen=True, slots=True)
class Fixed:
    """The same amount for every line."""

    fen: int
    kind: str = "fixed"

    def terms(self, line: Line) -> Terms:
        return (0, self.fen)


@dataclass(frozen=True, slots=True)
class PerQty:
    """An amount for every piece."""

    fen: int
    kind: str = "per_qty"

    def terms(self, line: Line) -> Terms:
        return (0, self.fen * line.qty)


@dataclass(frozen=True, slots=True)
class RatePlus:
    """A share of the base and an amount for every piece."""

    ppm: int
    fen: int
    kind: str = "rate_plus"

    def terms(self, line: Line) -> Terms:
        return (self.ppm, self.fen * line.qty)


@dataclass(frozen=True, slots=True)
class DiscountTier:
    """A share that depends on the discount given: the first of `steps` (bp, ppm) the line keeps, else
    nothing.
    """

    steps: tuple[tuple[int, int], ...]
    kind: str = "discount_tier"

    def terms(self, line: Line) -> Terms:
        return next(((ppm, 0) for bp, ppm in self.steps if keeps_discount(line, bp)), (0, 0))


def parse_calc(document: Document) -> Calc:
    """Read `{type, …}`; notes an unknown type or field, a negative or missing number, steps that do not fall."""
    parse = _PARSERS.get(document.choice("type", _PARSERS))
    return parse(document) if parse else Fixed(0)


def _parse_rate(document: Document) -> Calc:
    document.allow_only("type", "ppm")
    return Rate(document.integer("ppm", least=0))


def _parse_fixed(document: Document) -> Calc:
    document.allow_only("type", "fen")
    return Fixed(document.integer("fen", least=0))


def _parse_per_qty(document: Document) -> Calc:
    document.allow_only("type", "fen")
    return PerQty(document.integer("fen", least=0))


def _parse_rate_plus(document: Document) -> Calc:
    document.allow_only("type", "ppm", "fen")
    return RatePlus(document.integer("ppm", least=0), document.integer("fen", least=0))


def _parse_discount_tier(document: Document) -> Calc:
    document.allow_only("type", "steps")
    steps = document.pairs("steps")
    floors = [bp for bp, _ in steps]
    # A step at or above an earlier one could never be the first that is kept.
    if not floors or floors != sorted(set(floors), reverse=True):
        document.note("steps", "must fall from step to step, none twice")
    return DiscountTier(tuple(steps))


_PARSERS: Mapping[str, Callable[[Document], Calc]] = {
    "rate": _parse_rate,
    "fixed": _parse_fixed,
    "per_qty": _parse_per_qty,
    "rate_plus": _parse_rate_plus,
    "discount_tier": _parse_discount_tier,
}
