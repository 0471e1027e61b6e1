"""数据质量: how good what is known of members is, in figures that lead to lists.

Four statements over whole tables, kept for some minutes: everybody who looks at the page in that time sees the same.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.core.cache import cache
from django.db import connection
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone

from members.matching import OWN
from members.models import Identity, Member, Membership
from retail import told

KEPT = timedelta(minutes=5)
DAYS = 30  # of sales
EARLY = timedelta(days=365)  # that somebody may have bought before they became a member


class Sales(NamedTuple):
    """Settled orders of a channel, and those of which nobody knows who bought."""

    channel_id: int
    name: str
    orders: int
    unknown: int
    fen: int
    unknown_fen: int

    @property
    def share(self) -> str:
        return f"{self.unknown_fen * 1000 // self.fen / 10:g}%" if self.fen > 0 else "–"


class Report(NamedTuple):
    """`at`: when it was counted. `found`: by the name of what is wrong (`CHECKS`, `OF_MEMBERSHIPS`)."""

    at: datetime
    members: int
    found: dict[str, int]
    open: int
    sure: int
    sales: list[Sales]


# ── What can be wrong ────────────────────────────────────────────────────────────────────────────────────────────────
def _living() -> QuerySet[Member]:
    return Member.objects.filter(merged_into=None)


def _keyless(_now: datetime) -> QuerySet[Member]:
    own = Identity._base_manager.filter(member=OuterRef("pk"), is_hearsay=False, key__type__in=list(OWN))
    return _living().filter(~Exists(own))


def _unborn(now: datetime) -> QuerySet[Member]:
    """Nobody is born in the future, or lives that long."""
    first, last = told.birthdays(now)
    return _living().filter(Q(born_on__gt=last) | Q(born_on__lt=first))


# What a mask tells of the number: of eleven digits and more the first three, of shorter ones only that they are. Those
# of Hong Kong and Macau are short, too, unless they come with their country.
ODD = r"^(?!1[3-9]|0|\+)"


def _odd_phone(_now: datetime) -> QuerySet[Member]:
    phones = Identity._base_manager.filter(member=OuterRef("pk"), key__type="phone", key__cipher__isnull=False)
    return _living().filter(Exists(phones.filter(key__masked__regex=ODD)))


CHECKS: dict[str, Callable[[datetime], QuerySet[Member]]] = {
    "keyless": _keyless,
    "odd_phone": _odd_phone,
    "nameless": lambda _now: _living().filter(name=""),
    "no_birthday": lambda _now: _living().filter(born_on=None),
    "unborn": _unborn,
}


def _early(_now: datetime) -> QuerySet[Membership]:
    return Membership.objects.filter(member__merged_into=None, first_purchase_at__lt=F("registered_at") - EARLY)


def _ahead(now: datetime) -> QuerySet[Membership]:
    tomorrow = now + timedelta(days=1)
    return Membership.objects.filter(member__merged_into=None, registered_at__gt=tomorrow)


OF_MEMBERSHIPS: dict[str, Callable[[datetime], QuerySet[Membership]]] = {"early": _early, "ahead": _ahead}


# ── The figures ──────────────────────────────────────────────────────────────────────────────────────────────────────
_PLACE = "members.quality"


def report(*, now: datetime) -> Report:
    """Of the whole group: for those who see everything."""
    kept: Report | None = cache.get(_PLACE)
    if kept is None:
        kept = _count(now)
        cache.set(_PLACE, kept, KEPT.total_seconds())
    return kept


_MEMBERS = """
SELECT count(*), count(*) FILTER (WHERE name = ''), count(*) FILTER (WHERE born_on IS NULL),
    count(*) FILTER (WHERE born_on > %(today)s OR born_on < %(oldest)s),
    count(*) FILTER (WHERE NOT EXISTS (
        SELECT FROM members_identity i JOIN retail_buyerkey k ON k.id = i.key_id
        WHERE i.member_id = m.id AND NOT i.is_hearsay AND k.type = ANY(%(own)s))),
    (SELECT count(DISTINCT i.member_id) FROM members_identity i JOIN retail_buyerkey k ON k.id = i.key_id
        WHERE k.type = 'phone' AND k.cipher IS NOT NULL AND k.masked ~ %(odd)s)
FROM members_member m WHERE merged_into_id IS NULL
"""
_MEMBERSHIPS = """
SELECT count(*) FILTER (WHERE s.first_purchase_at < s.registered_at - %(early)s),
    count(*) FILTER (WHERE s.registered_at > %(tomorrow)s)
FROM members_membership s JOIN members_member m ON m.id = s.member_id AND m.merged_into_id IS NULL
"""
_DOUBTS = """
SELECT count(*) FILTER (WHERE state = 'open'), count(*) FILTER (WHERE state = 'sure') FROM members_doubt
WHERE state IN ('open', 'sure')
"""
_SALES = """
SELECT c.id, c.name, count(*), count(*) FILTER (WHERE p.id IS NULL), coalesce(sum(o.paid_fen), 0)::bigint,
    coalesce(sum(o.paid_fen) FILTER (WHERE p.id IS NULL), 0)::bigint
FROM retail_order o JOIN retail_channel c ON c.id = o.channel_id LEFT JOIN members_purchase p ON p.order_id = o.id
WHERE o.paid_at >= %(since)s AND o.settled_at IS NOT NULL GROUP BY c.id, c.name ORDER BY 6 DESC, c.id
"""


def _count(now: datetime) -> Report:
    oldest, today = told.birthdays(now)
    given: dict[str, Any] = {
        "today": today,
        "oldest": oldest,
        "own": list(OWN),
        "odd": ODD,
        "early": EARLY,
        "tomorrow": now + timedelta(days=1),
        "since": since(now),
    }
    with connection.cursor() as cursor:
        cursor.execute(_MEMBERS, given)
        members, nameless, no_birthday, unborn, keyless, odd_phone = cursor.fetchone()
        cursor.execute(_MEMBERSHIPS, given)
        early, ahead = cursor.fetchone()
        cursor.execute(_DOUBTS)
        waiting, sure = cursor.fetchone()
        cursor.execute(_SALES, given)
        sales = [Sales(*row) for row in cursor.fetchall()]
    found = {
        "keyless": keyless,
        "odd_phone": odd_phone,
        "nameless": nameless,
        "no_birthday": no_birthday,
        "unborn": unborn,
    }
    return Report(now, members, found | {"early": early, "ahead": ahead}, waiting, sure, sales)


def since(now: datetime) -> datetime:
    return timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=DAYS - 1)
