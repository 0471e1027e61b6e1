"""The rules of leads that need no database: how many a clerk gets, who counts as asleep, when nobody is disturbed."""

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from clerks.leads.kinds import Kind
from clerks.leads.models import LeadPolicy
from clerks.outreach.contact import Limits
from retail.models import Brand

SHANGHAI = ZoneInfo("Asia/Shanghai")


def of(brand: Brand) -> LeadPolicy:
    """The rules of a brand, the defaults where it has set none. Nothing is written."""
    return LeadPolicy._base_manager.filter(brand=brand).first() or LeadPolicy(brand=brand)


def limits(policy: LeadPolicy) -> Limits:
    """How often and at which hours the customers of a brand may be contacted without having asked."""
    windows = ((policy.per_day, 1), (policy.per_week, 7), (policy.per_month, 30))
    return Limits(windows=windows, hours=(policy.quiet_until, policy.quiet_from))


def most(*, policy: LeadPolicy, reachable: int) -> int:
    """How many customers a clerk is shown a day: a part of those they can reach, within bounds.

    With ten out of a book of 236 the best are 1.6 times as good as any; with one in a hundred, four times.
    """
    part = reachable * policy.book_ppm // 1_000_000
    return max(policy.clerk_least, min(policy.clerk_most, part))


def rest(*, policy: LeadPolicy, kind: Kind) -> int:
    """For how many days after a contact, or a lead of the same type, there is none of this type."""
    if kind.is_service:
        return 0
    return policy.score_rest_days if kind.is_scored else policy.rest_days


def act_within(*, policy: LeadPolicy, is_service: bool) -> timedelta:
    """How long a clerk has before the lead goes to the pool of the store."""
    return timedelta(hours=policy.service_act_hours if is_service else policy.act_hours)


def open_since(*, policy: LeadPolicy, now: datetime, within: timedelta) -> datetime:
    """Since when so many hours have gone by at which customers may be disturbed: the night is not counted."""
    day, end = day_of(now), now
    while True:
        opens, closes = (midnight(day) + timedelta(hours=hour) for hour in (policy.quiet_until, policy.quiet_from))
        open_now = max(timedelta(0), min(end, closes) - opens)
        if open_now >= within:
            return min(end, closes) - within
        within, day = within - open_now, day - timedelta(days=1)
        end = midnight(day + timedelta(days=1))


def quarter(day: date) -> date:
    """The first day of the quarter."""
    return day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1)


def day_of(now: datetime) -> date:
    return now.astimezone(SHANGHAI).date()


def midnight(day: date) -> datetime:
    """When a day begins in Shanghai."""
    return datetime.combine(day, time(), SHANGHAI)
