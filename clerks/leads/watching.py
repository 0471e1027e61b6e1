"""How leads go: which type is worked and wins, at which score, who is deleted for it, who in a store does the work.

Counted from the rows of those who were pushed; what leads bring above what would have come anyway is `report`.
"""

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import Count, Q

from clerks.leads import kinds, rules, sieve
from clerks.leads.models import Lead, LeadRun
from clerks.models import Touch
from members.models import Event
from retail.models import Brand
from retail.privacy import without_numbers

TEAM_DAYS = 30
DELETED_WITHIN = timedelta(days=3)  # after a contact: the customer has had enough


class Row(NamedTuple):
    """A type, or a tenth of the scores: how many leads, of those contacted, won, and deleted after the contact."""

    name: str
    code: str
    leads: int
    contacted: int
    won: int
    natural: int
    refused: int
    deleted: int

    @property
    def won_percent(self) -> float | None:
        return _percent(self.won, self.leads)

    @property
    def contacted_percent(self) -> float | None:
        return _percent(self.contacted, self.leads)

    @property
    def deleted_percent(self) -> float | None:
        return _percent(self.deleted, self.contacted)


def _percent(part: int, whole: int) -> float | None:
    return round(100 * part / whole, 1) if whole else None


_COUNTS = """
WITH pushed AS MATERIALIZED (
    SELECT l.*, l.contacted_at IS NOT NULL AND EXISTS (
        SELECT FROM clerks_friendmove m JOIN clerks_friend f ON f.id = m.friend_id
        WHERE f.member_id = l.member_id AND m.kind = 'lost' AND m.at >= l.contacted_at
            AND m.at < l.contacted_at + %(within)s) AS is_deleted
    FROM leads_lead l WHERE l.brand_id = %(brand)s AND l.arm = 'treated' AND l.created_at >= %(since)s
        AND (%(stores)s::bigint[] IS NULL OR l.store_id = ANY(%(stores)s))
), tenths AS (
    SELECT *, ntile(10) OVER (ORDER BY score DESC, id) AS tenth FROM pushed WHERE score IS NOT NULL
)
SELECT 'kind', kind, {sums} FROM pushed GROUP BY 2
UNION ALL SELECT 'tenth', tenth::text, {sums} FROM tenths GROUP BY 2
""".replace(
    "{sums}",
    "count(*), count(contacted_at), count(*) FILTER (WHERE state = 'won'), count(*) FILTER (WHERE is_natural),"
    " count(*) FILTER (WHERE refusal <> ''), count(*) FILTER (WHERE is_deleted)",
)


class Counts(NamedTuple):
    kinds: list[Row]
    tenths: list[Row]


def counts(*, brand: Brand, days: int, now: datetime, store_ids: list[int] | None = None) -> Counts:
    """Of the leads of the last days, by type and by tenth of the score, the best first. One statement."""
    asked: dict[str, Any] = {
        "brand": brand.pk,
        "since": now - timedelta(days=days),
        "within": DELETED_WITHIN,
        "stores": store_ids,
    }
    with connection.cursor() as cursor:
        cursor.execute(_COUNTS, asked)
        found = cursor.fetchall()
    by_kind = {code: figures for sort, code, *figures in found if sort == "kind"}
    empty = [0] * 6
    of_kinds = [Row(str(one.code.label), str(one.code), *by_kind.get(one.code, empty)) for one in kinds.KINDS.values()]
    tenths = sorted((int(code), figures) for sort, code, *figures in found if sort == "tenth")
    return Counts(of_kinds, [Row(str(number), str(number), *figures) for number, figures in tenths])


class Fed(NamedTuple):
    """A type, whether what it lives on is told to us, whether it is switched off, and whom it left out today."""

    kind: kinds.Kind
    is_fed: bool
    is_off: bool
    made: int
    withheld: int
    left_out: list[tuple[Any, int]]


_LIVES_ON = {
    kinds.K.ASKED: ("asked", "replied"),
    kinds.K.UNPAID: ("order_placed",),
    kinds.K.CART: ("cart", "favourite"),
    kinds.K.STOCK: ("restocked", "price_cut"),
    kinds.K.VIEWED: ("view",),
    kinds.K.LIVE: ("live_watch",),
}


def today(*, brand: Brand, now: datetime) -> list[Fed]:
    """What each type did today, and what is missing for it."""
    policy, since = rules.of(brand), now - timedelta(days=30)
    told = Event._base_manager.filter(brand=brand, at__gte=since, at__lte=now).values_list("kind", flat=True)
    seen = set(told.order_by().distinct())
    if Touch._base_manager.filter(store__brand=brand, purpose=Touch.Purpose.REPLY, at__gte=since).exists():
        seen.add("replied")
    runs = {run.kind: run for run in LeadRun._base_manager.filter(brand=brand, day=rules.day_of(now))}
    return [
        Fed(
            one,
            one.code not in _LIVES_ON or bool(seen & {*_LIVES_ON[one.code]}),
            one.code in policy.off_kinds,
            run.made if (run := runs.get(str(one.code))) else 0,
            run.withheld if run else 0,
            [(sieve.WORDS.get(why, why), count) for why, count in sorted(run.left_out.items())] if run else [],
        )
        for one in kinds.KINDS.values()
    ]


class Worker(NamedTuple):
    name: str
    waiting: int
    contacted: int
    won: int
    moved: int


def team(*, store_id: int, now: datetime) -> list[Worker]:
    """Who of a store works their leads, those with most waiting first. Two statements."""
    since = now - timedelta(days=TEAM_DAYS)
    rows = Lead._base_manager.filter(store=store_id, arm=Lead.Arm.TREATED, created_at__gte=since)
    is_waiting = Q(closed_at=None, state__in=Lead.WAITING, expires_at__gt=now)
    kept = (
        rows.filter(staff__isnull=False)
        .values("staff", "staff__name")
        .annotate(
            waiting=Count("pk", filter=is_waiting),
            contacted=Count("contacted_at"),
            won=Count("pk", filter=Q(state=Lead.State.WON)),
        )
    )
    found = {row["staff"]: [row["staff__name"], row["waiting"], row["contacted"], row["won"], 0] for row in kept}
    moved = rows.filter(left_staff__isnull=False).values("left_staff", "left_staff__name").annotate(count=Count("pk"))
    for row in moved:
        found.setdefault(row["left_staff"], [row["left_staff__name"], 0, 0, 0, 0])[4] = row["count"]
    workers = [Worker(without_numbers(name), *figures) for name, *figures in found.values()]
    return sorted(workers, key=lambda one: (-one.waiting, -one.moved, one.name))
