"""Payout: what of a person's net is paid in each period, and what is carried into the next."""

from collections.abc import Iterable
from typing import NamedTuple


class Payment(NamedTuple):
    """One period: `paid_fen` now, `carry_fen` (of either sign) into the next."""

    paid_fen: int
    carry_fen: int


def pay(*, net_fen: int, carry_fen: int = 0, max_fen: int | None = None, min_payout_fen: int = 0) -> Payment:
    """Return what is paid out of the net of a period and the carry before it.

    Never a negative sum; at most `max_fen`, the excess is carried; and nothing below `min_payout_fen`.
    """
    due = net_fen + carry_fen
    paid = max(0, due) if max_fen is None else max(0, min(due, max_fen))
    if paid < min_payout_fen:
        paid = 0
    return Payment(paid, due - paid)


def payments(nets: Iterable[int], *, max_fen: int | None = None, min_payout_fen: int = 0) -> list[Payment]:
    """Return the payments of consecutive periods, the carry of each going into the next."""
    paid: list[Payment] = []
    for net_fen in nets:
        carry_fen = paid[-1].carry_fen if paid else 0
        paid.append(pay(net_fen=net_fen, carry_fen=carry_fen, max_fen=max_fen, min_payout_fen=min_payout_fen))
    return paid


class Draw(NamedTuple):
    """One period under a guarantee: advanced, recovered, paid, and what is still owed at its end."""

    draw_fen: int
    recovered_fen: int
    paid_fen: int
    balance_fen: int


def draw(
    *,
    earned_fen: int,
    min_fen: int,
    balance_fen: int = 0,
    is_guaranteed: bool = True,
    is_recovering: bool = False,
) -> Draw:
    """Return one period of a recoverable draw.

    In a guaranteed period the pay is lifted to `min_fen`; in a recovering one what is owed (`balance_fen`
    before it) is taken back, but never so much that the pay falls below `min_fen`. Raises ValueError for
    negative earnings.
    """
    if earned_fen < 0:
        raise ValueError("earnings must not be negative")
    draw_fen = max(0, min_fen - earned_fen) if is_guaranteed else 0
    recovered_fen = min(balance_fen, max(0, earned_fen - min_fen)) if is_recovering else 0
    change = draw_fen - recovered_fen
    return Draw(draw_fen, recovered_fen, earned_fen + change, balance_fen + change)


def draws(earnings: Iterable[int], *, min_fen: int, draw_until: int, recover_from: int) -> list[Draw]:
    """Return the draws of consecutive periods, counted from 1 and guaranteed to the end of `draw_until`."""
    drawn: list[Draw] = []
    for period, earned_fen in enumerate(earnings, start=1):
        drawn.append(
            draw(
                earned_fen=earned_fen,
                min_fen=min_fen,
                balance_fen=drawn[-1].balance_fen if drawn else 0,
                is_guaranteed=period <= draw_until,
                is_recovering=period >= recover_from,
            )
        )
    return drawn
