"""How much a rule gives for a line, before it is split.

Every calculation comes down to three terms: a rate on the base, an amount for the line, an amount for each
piece. All amounts here belong to the positive twin of a line and are never negative.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from .document import Document
from .facts import Line
from .money import PPM

BASES = ("paid", "tag", "margin")

_HALF = PPM // 2

_TERMS: Mapping[str, tuple[str, ...]] = {
    "rate": ("ppm",),
    "fixed": ("fen",),
    "per_qty": ("fen",),
    "rate_plus": ("ppm", "fen"),
    "discount_tier": ("steps",),
}
"""The kinds of calculation and what each is written with."""


def base_of(kind: str, line: Line) -> int:
    """Return the base in fen: what was `paid`, the `tag` price, or the `margin` (never below 0)."""
    if kind == "paid":
        return line.paid_fen
    if kind == "tag":
        return line.tag_fen
    return max(0, line.paid_fen - (line.cost_fen or 0) * line.qty)


class Terms(NamedTuple):
    """What a calculation gives for one line: `ppm` of the base, and `fixed_fen` beside it."""

    ppm: int
    fixed_fen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Calc:
    """One calculation; `kind` is its name in the public format.

    `steps` (basis points, ppm) replaces the rate by one that depends on the discount given.
    """

    kind: str
    ppm: int = 0
    line_fen: int = 0
    piece_fen: int = 0
    steps: tuple[tuple[int, int], ...] = ()

    def terms(self, line: Line) -> Terms:
        ppm = self._step_ppm(line) if self.steps else self.ppm
        return Terms(ppm, self.line_fen + self.piece_fen * line.qty)

    def pool(self, base_fen: int, line: Line) -> int:
        """Return the pool in fen, rounded once, half up (which is half away from zero here)."""
        # The terms again, written out: their tuple would cost as much as the arithmetic.
        ppm = self._step_ppm(line) if self.steps else self.ppm
        return (base_fen * ppm + _HALF) // PPM + self.line_fen + self.piece_fen * line.qty

    def _step_ppm(self, line: Line) -> int:
        """Return the rate of the first step whose share of the tag price the line keeps; none, 0."""
        return next((ppm for bp, ppm in self.steps if line.paid_fen * 10_000 >= line.tag_fen * bp), 0)


def parse_calc(document: Document) -> Calc:
    """Read `{type, …}`; notes what is unknown, missing or negative, and steps that do not fall."""
    kind = document.choice("type", _TERMS)
    terms = _TERMS.get(kind, ())
    document.allow_only("type", *terms)
    fen = document.integer("fen", least=0) if "fen" in terms else 0
    return Calc(
        kind=kind,
        ppm=document.integer("ppm", least=0) if "ppm" in terms else 0,
        line_fen=fen if kind == "fixed" else 0,
        piece_fen=0 if kind == "fixed" else fen,
        steps=_parse_steps(document) if "steps" in terms else (),
    )


def _parse_steps(document: Document) -> tuple[tuple[int, int], ...]:
    steps = document.pairs("steps")
    bounds = [bp for bp, _ in steps]
    # A step at or above an earlier one could never be the first that is kept.
    if not bounds or bounds != sorted(set(bounds), reverse=True):
        document.note("steps", "must fall from step to step, none twice")
    return tuple(steps)
