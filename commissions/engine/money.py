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


def allocate(amount: int, weights: Sequence[int]) -> list[int]:
    """Split `amount` (fen, any sign) by integer `weights`; the parts sum to the amount.

    Largest remainder on the absolute amount, ties to the earlier share, the sign restored afterwards, so a
    negative amount mirrors the positive one. Weights that are all 0 count as equal.

    Raises ValueError for a negative weight, and for an amount with nobody to give it to.
    """
    if min(weights, default=0) < 0:
        raise ValueError("a weight must not be negative")
    if amount and not weights:
        raise ValueError("an amount needs at least one weight")
    if not any(weights):
        weights = [1] * len(weights)
    return apportion(amount, weights, sum(weights)) if weights else []


def apportion(amount: int, weights: Sequence[int], total: int) -> list[int]:
    """Do the work of `allocate` for weights known to be sound: none negative, `total` their sum and not 0."""
    size = spare = abs(amount)
    parts, remainders = [], []
    for weight in weights:
        part, remainder = divmod(size * weight, total)
        parts.append(part)
        remainders.append(remainder)
        spare -= part
    while spare:
        # index() finds the earlier of equals. A share without a remainder, such as a weight of 0, never gets
        # a spare fen: the remainders sum to spare × total, each is below total, so there are more of them.
        nearest = remainders.index(max(remainders))
        parts[nearest] += 1
        remainders[nearest] = 0
        spare -= 1
    return parts if amount >= 0 else [-part for part in parts]
