"""Refunds: what comes back of a line, and what each entry of it gives back.

The frozen entry decides, never the rule and never a second split: a pool split again by largest remainder is
not monotone. What an entry has given back depends only on how much of the line has come back in all, so the
order of the refunds does not matter, and a line that has come back whole has given back everything.
"""

from dataclasses import dataclass, replace

from .money import round_div


def reversal(fen: int, base_fen: int, before_fen: int, after_fen: int) -> int:
    """Return the signed entry to post when the refunded part of a line goes from `before_fen` to `after_fen`.

    `fen` is the amount of the original entry, `base_fen` what was paid for the line; its sign does not
    matter, as refunds are magnitudes. A gift is measured in pieces instead: see `Returned.size`. Raises
    ValueError for a base of 0.
    """
    size = abs(base_fen)
    if not size:
        raise ValueError("a line of 0 fen is measured in pieces")
    return round_div(fen * before_fen, size) - round_div(fen * after_fen, size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """How much of one line has come back: `back` out of `size`, in fen, or in pieces for a line of 0 fen.

    `pieces` counts the pieces that came back, for refunds that give nothing but a quantity.
    """

    paid_fen: int
    qty: int
    back: int = 0
    pieces: int = 0

    @property
    def size(self) -> int:
        """The whole line, as a magnitude; never 0."""
        return abs(self.paid_fen) or abs(self.qty) or 1

    def plus(
        self, *, fen: int | None = None, cumulative_fen: int | None = None, qty: int | None = None
    ) -> "tuple[Returned, int]":
        """Return the state after one more refund and what of it was beyond the line, as a magnitude.

        The refund is `fen`, or `cumulative_fen` (all so far; an older message that says less moves nothing),
        or the share of `qty` pieces. A line of 0 fen goes by `qty`, and comes back whole without one. Raises
        ValueError for a negative number, or when a line with a price gets none of the three.
        """
        if min(fen or 0, cumulative_fen or 0, qty or 0) < 0:
            raise ValueError("a refund is given as a magnitude")
        wanted = self._wanted(fen, cumulative_fen, qty)
        back = max(self.back, min(self.size, wanted))
        pieces = min(self.pieces + (qty or 0), self._all_pieces)
        return replace(self, back=back, pieces=pieces), max(0, wanted - self.size)

    @property
    def _all_pieces(self) -> int:
        return abs(self.qty) or 1

    def _wanted(self, fen: int | None, cumulative_fen: int | None, qty: int | None) -> int:
        if not self.paid_fen:
            return self.size if qty is None else self.back + qty
        if fen is not None:
            return self.back + fen
        if cumulative_fen is not None:
            return cumulative_fen
        if qty is None:
            raise ValueError("a refund needs fen, cumulative_fen or qty")
        # Rounded on all pieces so far, so that the last piece brings the last fen.
        return self.back + self._worth(self.pieces + qty) - self._worth(self.pieces)

    def _worth(self, pieces: int) -> int:
        return round_div(self.size * pieces, self._all_pieces)
