"""The tiers of an attainment as the engine takes them, and where on them somebody stands."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from django.utils.translation import gettext as _

from commissions.engine.attainment import Scale, Tier
from commissions.engine.money import PPM, round_div
from commissions.models import Attainment, AttainmentStep

YUAN = 100
NOTHING = Scale(mode="marginal", tiers=(Tier(from_fen=0, ppm=0),))


def scale_of(attainment: Attainment, *, target_fen: int | None) -> Scale:
    """The tiers for somebody with that target, or with none. Of two that then begin alike the later one holds."""
    tiers = {}
    for step in _in_order(attainment):
        from_fen = step.from_fen
        if target_fen is not None and step.of_target_ppm is not None:
            from_fen = round_div(target_fen * step.of_target_ppm, PPM)
        tiers[from_fen] = Tier(
            from_fen=from_fen, ppm=step.ppm, fixed_fen=step.fixed_fen, is_beyond=step.is_beyond
        )  # fmt: skip
    if not tiers:
        return NOTHING
    is_whole = attainment.mode == Attainment.Mode.WHOLE
    return Scale(mode="whole" if is_whole else "marginal", tiers=tuple(tiers[start] for start in sorted(tiers)))


def faults(attainment: Attainment) -> Iterator[str]:
    """What keeps its tiers from being used, a sentence each."""
    steps = _in_order(attainment)
    if not steps:
        yield _("阶梯 %(name)s 还没有档。") % {"name": attainment.code}
    raised = [step.of_target_ppm for step in steps if step.from_fen]
    by_target = [ppm for ppm in raised if ppm is not None]
    if by_target and (by_target != raised or any(late <= early for early, late in pairwise(by_target))):
        yield _("阶梯 %(name)s：写了“起点占目标”，每一档都要写，而且一档比一档高。") % {"name": attainment.code}


def as_content(attainment: Attainment) -> list[Any]:
    """All that counting reads of it, for the digest of a version; what is as usual is left out."""
    usual = Attainment()
    others = {
        name: getattr(attainment, name)
        for name in ("store_group", "pay_role", "divide", "late_refund")
        if getattr(attainment, name) != getattr(usual, name)
    }
    content = [attainment.code, attainment.level, attainment.role, attainment.mode]
    return [*content, [_as_content(step) for step in _in_order(attainment)], *([others] if others else [])]


def _as_content(step: AttainmentStep) -> list[int | None]:
    is_usual = step.of_target_ppm is None and not step.is_beyond
    return [step.from_fen, step.ppm, step.fixed_fen, *(() if is_usual else (step.of_target_ppm, step.is_beyond))]


def _in_order(attainment: Attainment) -> Sequence[AttainmentStep]:
    return sorted(attainment.steps.all(), key=lambda step: step.from_fen)


# ── Where somebody stands ────────────────────────────────────────────────────────────────────────────────────────────
class Segment(NamedTuple):
    """A tier with what of the sales lies on it and what that brings; `is_last`: the one stood on."""

    tier: Tier
    sales_fen: int
    fen: int
    is_last: bool


class Standing(NamedTuple):
    """Where sales of so much stand: tier `place` of `tiers` (0 = below the first), and what the next would bring."""

    place: int
    tiers: int
    ppm: int
    next_fen: int | None
    next_ppm: int
    missing_fen: int
    gain_fen: int


def standing(scale: Scale, *, sales_fen: int) -> Standing:
    place = len([tier for tier in scale.tiers if _is_entered(scale, tier, sales_fen)])
    ppm = scale.tiers[place - 1].ppm if place else 0
    if place == len(scale.tiers):
        return Standing(place, place, ppm, None, 0, 0, 0)
    upper = scale.tiers[place]
    there = upper.from_fen if _is_entered(scale, upper, upper.from_fen) else upper.from_fen + 1
    missing_fen = -(-(there - sales_fen) // YUAN) * YUAN  # nobody counts a sale in fen
    gain_fen = scale.commission(sales_fen + missing_fen) - scale.commission(sales_fen)
    return Standing(place, len(scale.tiers), ppm, upper.from_fen, upper.ppm, missing_fen, gain_fen)


def _is_entered(scale: Scale, tier: Tier, fen: int) -> bool:
    """In segments a tier is entered by the fen after its start; on its start nothing of it is paid yet."""
    if not tier.from_fen:
        return fen >= 0
    return fen > tier.from_fen if scale.mode == "marginal" else tier.is_reached(fen)


def segments(scale: Scale, *, sales_fen: int) -> list[Segment]:
    """How the commission on that much comes about; rounded once, so the parts of rates may be a fen apart from it."""
    size = abs(sales_fen)
    place = standing(scale, sales_fen=size).place
    if scale.mode == "whole":
        return [
            Segment(tier, size if at == place else 0, scale.commission(size) if at == place else 0, at == place)
            for at, tier in enumerate(scale.tiers, start=1)
        ]
    ends = [tier.from_fen for tier in scale.tiers[1:]] + [max(size, scale.tiers[-1].from_fen)]
    parts = []
    for at, (tier, end) in enumerate(zip(scale.tiers, ends, strict=True), start=1):
        sold = max(0, min(size, end) - tier.from_fen)
        fen = round_div(sold * tier.ppm, PPM) + (tier.fixed_fen if sold else 0)
        parts.append(Segment(tier, sold, fen, at == place))
    return parts
