"""Exact arithmetic on whole fen: one rounding rule and one way to split."""

from collections.abc import Sequence

PPM = 1_000_000
"""Parts per million in one whole: 10 000 ppm are 1 %."""


def round_div(numerator: int, denominator: int) -> int:
    """Return `numerator ÷ denominator` rounded half away from zero (−5 ÷ 2 → −3).

    Raises ZeroDivisionError for a denominator of 0.
    """
    magnitude, divisor = abs(numerator), abs(denominator)
    rounded = (2 * magnitude + divisor) // (2 * divisor)
    return rounded if (numerator < 0) == (denominator < 0) else -rounded


def rate_of(fen: int, ppm: int) -> int:
    """Return `ppm` of an amount that is not negative, rounded half up (which is half away from zero)."""
    return (fen * ppm + PPM // 2) // PPM


def allocate(amount: int, weights: Sequence[int]) -> list[int]:
    """Split `amount` (fen, any sign) by integer `weights`; the parts sum to the amount.

    Largest remainder on the absolute amount, ties to the earlier share, the sign restored afterwards, so a
    negative amount mirrors the positive one. Weights that are all 0 count as equal. A zero weight beside a
    positive one leaves no remainder, and there are always fewer spare fen than shares with a remainder: it
    never gets one.

    Raises ValueError for a negative weight, and for an amount with nobody to give it to.
    """
    if not any(weights):
        weights = [1] * len(weights)
    elif min(weights) < 0:
        raise ValueError("a weight must not be negative")
    total = sum(weights)
    if not total:
        if amount:
            raise ValueError("an amount needs at least one weight")
        return []
    size = abs(amount)
    parts = [size * weight // total for weight in weights]
    spare = size - sum(parts)
    if spare:
        remainders = [size * weight % total for weight in weights]
        # The sort is stable, reversed too: among equal remainders the earlier share stays in front.
        ranked = sorted(range(len(parts)), key=remainders.__getitem__, reverse=True)
        for position in ranked[:spare]:
            parts[position] += 1
    return parts if amount >= 0 else [-part for part in parts]
