"""Attainment: tiers over what was sold on a line, in an order, or by a person in a period."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Literal

from .document import Document
from .money import PPM, round_div

MODES = ("marginal", "whole")
POLICIES = ("original_period_forward", "current_period")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """One step: from `from_fen` on (beyond it, when `is_beyond`), `ppm` and once `fixed_fen`."""

    from_fen: int
    ppm: int
    fixed_fen: int = 0
    is_beyond: bool = False

    def is_reached(self, fen: int) -> bool:
        return fen > self.from_fen or (fen == self.from_fen and not self.is_beyond)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Tiers in rising order and how they are read.

    `marginal`: each segment at its own rate, the sum rounded once, `fixed_fen` of every tier whose segment is
    not empty. `whole`: the highest tier reached decides the rate of everything and the `fixed_fen`.
    """

    mode: Literal["marginal", "whole"]
    tiers: tuple[Tier, ...]

    def commission(self, fen: int) -> int:
        """Return the commission on sales of `fen`: 0 for 0, and mirrored for a negative sum."""
        if fen < 0:
            return -self.commission(-fen)
        if not fen:
            return 0
        return self._marginal(fen) if self.mode == "marginal" else self._whole(fen)

    def booking(self, *, total_fen: int, booked_fen: int) -> int:
        """Return what to book now: the commission on the total less what is booked already.

        So the bookings always sum to the commission on the total, whatever the order of events.
        """
        return self.commission(total_fen) - booked_fen

    def _marginal(self, fen: int) -> int:
        ends = [tier.from_fen for tier in self.tiers[1:]] + [fen]
        # Exactly on a step the segment behind it is empty: that tier is not entered, whatever its bound.
        entered = [
            (tier, min(fen, end) - tier.from_fen)
            for tier, end in zip(self.tiers, ends, strict=True)
            if fen > tier.from_fen
        ]
        by_rate = round_div(sum(tier.ppm * segment for tier, segment in entered), PPM)
        return by_rate + sum(tier.fixed_fen for tier, _ in entered)

    def _whole(self, fen: int) -> int:
        reached = [tier for tier in self.tiers if tier.is_reached(fen)]
        return round_div(fen * reached[-1].ppm, PPM) + reached[-1].fixed_fen if reached else 0


def parse_scale(document: Document, *, mode_key: str = "mode") -> Scale:
    """Read `{mode, tiers: [{from_fen, ppm, fixed_fen?, bound?}], bound?}`.

    A tier's own bound beats the common one. Notes an unknown mode or bound, no tiers, a negative step or rate, steps
    that do not rise.
    """
    common = document.choice("bound", ("ge", "gt"), default="ge")
    tiers = []
    for tier in document.children("tiers"):
        tier.allow_only("from_fen", "ppm", "fixed_fen", "bound")
        tiers.append(
            Tier(
                from_fen=tier.integer("from_fen", least=0),
                ppm=tier.integer("ppm", least=0),
                fixed_fen=tier.integer("fixed_fen", default=0),
                is_beyond=tier.choice("bound", ("ge", "gt"), default=common) == "gt",
            )
        )
    if not tiers or any(later.from_fen <= earlier.from_fen for earlier, later in pairwise(tiers)):
        document.note("tiers", "must rise from tier to tier, none twice")
    mode = document.choice(mode_key, MODES)
    return Scale(mode="whole" if mode == "whole" else "marginal", tiers=tuple(tiers))


def bookings(scale: Scale, *, amounts: Sequence[int], prior_fen: int = 0) -> list[int]:
    """Return what each amount adds to the commission, coming after `prior_fen` and the amounts before it."""
    commissions = [scale.commission(fen) for fen in accumulate(amounts, initial=prior_fen)]
    return [after - before for before, after in pairwise(commissions)]


@dataclass(frozen=True, slots=True, kw_only=True)
class LateRefund:
    """A refund posted in one period for a sale of another; `fen` is a magnitude."""

    posted: str
    sale_period: str
    fen: int
    policy: Literal["original_period_forward", "current_period"] = "original_period_forward"


def restate(scale: Scale, *, sales: Mapping[str, int], refunds: Iterable[LateRefund]) -> dict[str, int]:
    """Return what is booked in each period of `sales` after the refunds.

    `original_period_forward` recomputes the period of the sale and posts the difference where the refund was
    posted; `current_period` takes the refund off the sales of the period it was posted in. Raises KeyError
    for a period without sales (0 will do).
    """
    attained = dict(sales)
    booked = {period: scale.commission(fen) for period, fen in sales.items()}
    for refund in refunds:
        changed = refund.posted if refund.policy == "current_period" else refund.sale_period
        before = scale.commission(attained[changed])
        attained[changed] -= refund.fen
        booked[refund.posted] += scale.commission(attained[changed]) - before
    return booked
