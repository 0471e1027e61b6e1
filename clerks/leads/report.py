"""增量: what leads bring above what would have come anyway, told by those who were left alone on purpose.

Treated against withheld, by type, from the moment the lead came about: all leads, whether the clerk acted or not, all
channels, net of what came back. Of a member the first lead of the period counts, and of a type the first of that type:
whatever came later may follow from what was done about the first. So the members are what is drawn, and are compared.

Where too few have been through the days, there is no number, but how many more leads it takes.
"""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from math import ceil, sqrt
from typing import Any, NamedTuple

from django.db import connection

from clerks.leads import kinds, rules
from retail.models import Brand

DAYS = (7, 14, 30)
ALL = "all"
Z = 1.96  # 95 %
PRECISE = 0.05  # a number is told once the share of buyers is known to within so much …
LEAST = 30  # … and there are so many on either side


class Arm(NamedTuple):
    """Of so many members: who bought, the sum of what they paid, and the sum of its squares (fen)."""

    members: int = 0
    buyers: int = 0
    fen: int = 0
    squares: float = 0.0

    @property
    def rate(self) -> float:
        return self.buyers / self.members if self.members else 0.0

    @property
    def mean(self) -> float:
        return self.fen / self.members if self.members else 0.0

    @property
    def variance(self) -> float:
        """Of the money, per member; unbiased."""
        if self.members < 2:
            return 0.0
        return max(0.0, (self.squares - self.members * self.mean**2) / (self.members - 1))


class Effect(NamedTuple):
    """A difference with its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def is_sure(self) -> bool:
        """Whether it is not likely to be chance."""
        return self.low > 0 or self.high < 0


class Line(NamedTuple):
    """A type (or all) after so many days. `more`: leads still needed before a number means something, 0 if enough."""

    kind: str
    days: int
    treated: Arm
    withheld: Arm
    more: int

    @property
    def is_enough(self) -> bool:
        return self.more == 0

    @property
    def rate(self) -> Effect:
        """The difference in the share of buyers."""
        one, other = self.treated, self.withheld
        return _effect(one.rate - other.rate, _of_share(one), _of_share(other))

    @property
    def fen(self) -> Effect:
        """The difference in money per lead."""
        one, other = self.treated, self.withheld
        return _effect(one.mean - other.mean, one.variance / one.members, other.variance / other.members)

    @property
    def total_fen(self) -> int:
        """What the treated bought more because of their leads."""
        return round(self.fen.value * self.treated.members)


def _effect(value: float, one: float, other: float) -> Effect:
    half = Z * sqrt(one + other)
    return Effect(value, value - half, value + half)


def _of_share(arm: Arm) -> float:
    return arm.rate * (1 - arm.rate) / arm.members


def more_needed(*, treated: Arm, withheld: Arm, holdout: float) -> int:
    """How many more leads it takes until the difference in the share of buyers is known to PRECISE.

    `holdout`: the part of all leads that is withheld. Shares are taken as they are, with two buyers and two others
    added, so that the first few say neither never nor always.
    """
    if not 0 < holdout < 1:
        return 0 if treated.members >= LEAST and withheld.members >= LEAST else LEAST
    spread = sum(
        _shrunk(arm) * (1 - _shrunk(arm)) / part for arm, part in ((treated, 1 - holdout), (withheld, holdout))
    )
    wanted = max((Z / PRECISE) ** 2 * spread, LEAST / min(holdout, 1 - holdout))
    lacking = max(0, LEAST - withheld.members, LEAST - treated.members)
    return max(ceil(wanted) - treated.members - withheld.members, lacking)


def _shrunk(arm: Arm) -> float:
    return (arm.buyers + 2) / (arm.members + 4)


# ── Counted ──────────────────────────────────────────────────────────────────────────────────────────────────────────
# Types 1 and 2 are outside: nobody is held out of an answer.
_SUMS = """
WITH drawn AS MATERIALIZED (
    SELECT l.kind, l.member_id, l.arm, l.created_at, l.id,
        row_number() OVER (PARTITION BY l.member_id ORDER BY l.created_at, l.id) AS turn,
        row_number() OVER (PARTITION BY l.member_id, l.kind ORDER BY l.created_at, l.id) AS turn_of_kind
    FROM leads_lead l
    WHERE l.brand_id = %(brand)s AND l.created_at >= %(since)s AND l.created_at < %(until)s
        AND l.kind <> ALL(%(service)s)
), counted AS (
    SELECT '{all}' AS kind, member_id, arm, created_at FROM drawn WHERE turn = 1
    UNION ALL SELECT kind, member_id, arm, created_at FROM drawn WHERE turn_of_kind = 1
), outcome AS (
    SELECT c.kind, d.days, c.arm, coalesce(sum(p.net_fen), 0) AS fen, coalesce(bool_or(p.net_fen > 0), false) AS bought
    FROM counted c CROSS JOIN unnest(%(days)s::int[]) d (days)
    JOIN members_membership m ON m.brand_id = %(brand)s AND m.member_id = c.member_id
    LEFT JOIN members_purchase p ON p.membership_id = m.id AND p.paid_at >= c.created_at
        AND p.paid_at < c.created_at + make_interval(days => d.days)
    WHERE c.created_at + make_interval(days => d.days) <= %(now)s
    GROUP BY c.kind, d.days, c.arm, c.member_id
)
SELECT kind, days, arm, count(*), count(*) FILTER (WHERE bought), sum(fen)::bigint, sum(fen::float * fen)
FROM outcome GROUP BY 1, 2, 3
""".replace("{all}", ALL)


def lines(*, brand: Brand, first: date, last: date, now: datetime) -> list[Line]:
    """The table for leads that came about from one day to another, both of them counted; all types, then each."""
    service = [one.code for one in kinds.KINDS.values() if one.is_service]
    asked: dict[str, Any] = {
        "brand": brand.pk,
        "since": rules.midnight(first),
        "until": rules.midnight(last + timedelta(days=1)),
        "now": now,
        "days": list(DAYS),
        "service": [str(code) for code in service],
    }
    with connection.cursor() as cursor:
        cursor.execute(_SUMS, asked)
        arms = {(kind, days, arm): Arm(*sums) for kind, days, arm, *sums in cursor.fetchall()}
    wanted = [ALL, *(one.code for one in kinds.KINDS.values() if not one.is_service)]
    part = rules.of(brand).holdout_ppm / 1_000_000
    return [_line(str(kind), days, arms, part) for kind in wanted for days in DAYS]


def _line(kind: str, days: int, arms: dict[tuple[str, int, str], Arm], part: float) -> Line:
    treated, withheld = (arms.get((kind, days, arm), Arm()) for arm in ("treated", "withheld"))
    return Line(kind, days, treated, withheld, more_needed(treated=treated, withheld=withheld, holdout=part))


# ── As a file ────────────────────────────────────────────────────────────────────────────────────────────────────────
HEAD = (
    *("kind", "days", "treated", "withheld", "treated_buyers", "withheld_buyers"),
    *("treated_rate", "withheld_rate", "rate_effect", "rate_low", "rate_high"),
    *("treated_fen_per_lead", "withheld_fen_per_lead", "fen_effect", "fen_low", "fen_high", "increment_fen"),
    *("enough", "more_needed"),
)


def rows(table: list[Line]) -> Iterator[list[object]]:
    """The rows of a CSV below HEAD; where there is not enough, the effects are left empty."""
    for one in table:
        arms = (one.treated, one.withheld)
        shares = [round(arm.rate, 6) if arm.members else "" for arm in arms]  # of nobody there is no share
        means = [round(arm.mean) if arm.members else "" for arm in arms]
        effects: tuple[list[object], list[object]] = (["", "", ""], ["", "", "", ""])
        if one.is_enough:
            effects = (
                [round(figure, 6) for figure in one.rate],
                [*(round(figure) for figure in one.fen), one.total_fen],
            )
        counts = [one.treated.members, one.withheld.members, one.treated.buyers, one.withheld.buyers]
        yield [one.kind, one.days, *counts, *shares, *effects[0], *means, *effects[1], int(one.is_enough), one.more]
