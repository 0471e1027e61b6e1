"""What an order earns in points: which of a brand's rules hold for it, and what they make of an amount."""

from collections import defaultdict
from collections.abc import Collection
from datetime import date, timedelta
from math import gcd
from typing import NamedTuple

from django.utils import timezone

from members.models import PointsRule
from retail.models import Order

_Kind, _Life = PointsRule.Kind, PointsRule.Life


class Rate(NamedTuple):
    """So many points for so many fen, by which rules, and the last day they are good for."""

    rule_id: int
    times_id: int | None
    points: int
    fen: int
    expires_on: date | None

    def of(self, fen: int) -> int:
        """Whole points for an amount, none for what does not fill one; below 0 for what was brought in exchange."""
        whole = abs(fen) * self.points // self.fen
        return whole if fen >= 0 else -whole


class Tariff:
    """The rules of some brands as they are now. One statement."""

    def __init__(self, brand_ids: Collection[int]) -> None:
        self._rules: dict[tuple[int, str], list[PointsRule]] = defaultdict(list)
        for rule in PointsRule._base_manager.filter(brand__in=brand_ids).order_by("-priority", "-pk"):
            self._rules[rule.brand_id, rule.kind].append(rule)

    def rate(self, *, order: Order, tier_id: int | None) -> Rate | None:
        """What an order of a member of this tier earns by; None where no basic rule holds."""
        if (order.brand_id, _Kind.BASIC) not in self._rules:
            return None
        day = timezone.localtime(order.paid_at).date()
        matching = (rule for rule in self._rules[order.brand_id, _Kind.BASIC] if _holds(rule, order, tier_id, day))
        basic = next(matching, None)
        if basic is None:
            return None
        times = max(
            (rule for rule in self._rules[order.brand_id, _Kind.TIMES] if _holds(rule, order, tier_id, day)),
            key=lambda rule: rule.times_percent,
            default=None,
        )
        percent = times.times_percent if times else 100
        points, fen = basic.points * percent, basic.spend_fen * 100
        shared = gcd(points, fen)
        return Rate(basic.pk, times.pk if times else None, points // shared, fen // shared, last_day(basic, day))


def _holds(rule: PointsRule, order: Order, tier_id: int | None, day: date) -> bool:
    return (
        rule.starts_on <= day
        and (rule.ends_on is None or day <= rule.ends_on)
        and rule.channel_id in (None, order.channel_id)
        and rule.tier_id in (None, tier_id)
        and (not rule.month_days or day.day in rule.month_days)
        and (not rule.weekdays or day.isoweekday() in rule.weekdays)
    )


def last_day(rule: PointsRule, day: date) -> date | None:
    """The last day that points of a basic rule are good for when they were got on that day; None: for ever."""
    if rule.life == _Life.DAYS:
        return day + timedelta(days=rule.lives_days or 0)
    if rule.life == _Life.FOREVER:
        return None
    return date(day.year + (rule.life == _Life.NEXT_YEAR), 12, 31)
