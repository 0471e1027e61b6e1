"""阶梯奖金 of a try: what the ladders of a version would have given, beside those that held, for whole periods.

Both are reckoned on what was sold by now, so a bonus that is not booked yet is on both sides. Which lines count is as
it was judged when they were settled. Nothing is written.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from commissions import attaining
from commissions.models import Attainment, Period, PlanVersion


@dataclass(frozen=True, slots=True)
class Bonuses:
    """`people`: person → what they had, and would have. `periods`: those that were reckoned, by name."""

    people: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    periods: tuple[str, ...] = ()

    @property
    def old_fen(self) -> int:
        return sum(old for old, _new in self.people.values())

    @property
    def new_fen(self) -> int:
        return sum(new for _old, new in self.people.values())


def reckon(*, version: PlanVersion, first: date, last: date, now: datetime) -> Bonuses:
    """The periods that begin and end within these days; a month that is not whole has no tier yet."""
    periods = Period.objects.filter(
        brand=version.plan.brand_id, starts_on__gte=first, ends_on__lte=last + timedelta(days=1)
    )
    wanted = list(Attainment.objects.filter(version=version).order_by("code").prefetch_related("steps"))
    people: dict[int, list[int]] = defaultdict(lambda: [0, 0])
    reckoned = []
    for period in periods.order_by("starts_on"):
        held = attaining.definitions(period=period)
        if not held and not wanted:
            continue
        reckoned.append(str(period))
        for place, given in enumerate(attaining.would_give(period=period, sets=[held, wanted], now=now)):
            for staff_id, fen in given.items():
                people[staff_id][place] += fen
    moved = {staff_id: (old, new) for staff_id, (old, new) in people.items() if old or new}
    return Bonuses(moved, tuple(reckoned))
