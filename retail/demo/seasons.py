"""When people buy: weekends, the big shopping days, the hours of a shop and of a sofa."""

from datetime import date, datetime, time, timedelta, timezone
from itertools import accumulate
from random import Random

from retail.models import Channel

SHANGHAI = timezone(timedelta(hours=8))  # no summer time since 1991, and quicker than a zone file
YEAR = 365  # days the world looks back
SETTLED_DAYS = 10  # of them the last ones, today included, are settled by the real flow
TODAY = 0.6  # of a usual day's orders: the day is not over yet

_ONLINE_FEASTS = {
    (3, 6): 1.5, (3, 7): 1.8, (3, 8): 2.4, (5, 20): 1.8, (6, 1): 2.2, (6, 16): 2.0, (6, 17): 2.6, (6, 18): 4.0,
    (8, 8): 1.4, (9, 9): 1.6, (10, 31): 2.5, (11, 1): 2.6, (11, 10): 3.0, (11, 11): 5.0, (12, 12): 2.6,
}  # fmt: skip
_SHOP_FEASTS = {
    (1, 1): 1.8, (3, 8): 1.7, (5, 1): 2.0, (5, 2): 1.9, (5, 3): 1.7, (10, 1): 2.1, (12, 24): 1.4, (12, 31): 1.6,
}  # fmt: skip
_SHOP_HOURS = [0] * 10 + [2, 5, 6, 5, 6, 8, 8, 8, 9, 9, 7, 3, 0, 0]
_SOFA_HOURS = [3, 1, 0.5, 0.2, 0.2, 0.3, 1, 2, 3, 4, 5, 5, 6, 5, 4, 4, 4, 4, 4, 5, 8, 10, 9, 6]
_HOUR_STEPS = {False: list(accumulate(_SOFA_HOURS)), True: list(accumulate(_SHOP_HOURS))}


def weight(day: date, *, kind: str, today: date) -> float:
    """How much is bought on a day, 1 being a plain weekday.

    The last days have no feasts: their orders are settled one by one while somebody waits for the demo to start.
    """
    in_shop = kind == Channel.Kind.POS
    week = (1.7 if day.weekday() >= 5 else 1.15 if day.weekday() == 4 else 1.0) if in_shop else 1.0
    if (today - day).days < SETTLED_DAYS:
        return week * (TODAY if day == today else 1)
    feasts = _SHOP_FEASTS if in_shop else _ONLINE_FEASTS
    month = 1.25 if day.month in (1, 11, 12) else 0.9 if day.month in (2, 7) else 1.0
    return week * month * feasts.get((day.month, day.day), 1.0)


def midnight(moment: datetime) -> datetime:
    """The first moment of that day in Shanghai."""
    return datetime.combine(moment.date(), time(), SHANGHAI)


def moment(rng: Random, day: date, *, in_shop: bool, now: datetime) -> datetime:
    """A time of day, by the hours of a shop or of a sofa. Today's are squeezed into what has passed of the day."""
    hour = rng.choices(range(24), cum_weights=_HOUR_STEPS[in_shop])[0]
    since_midnight = timedelta(seconds=hour * 3600 + int(rng.random() * 3600))
    start = datetime.combine(day, time(), SHANGHAI)
    if day == now.date():
        # To the microsecond, so that what happens today happens in the same order at every hour.
        since_midnight *= (now - start) / timedelta(days=1)
    return start + since_midnight
