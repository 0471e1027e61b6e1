"""How leads come about: for each type what fires it, less who is left alone, given to whoever should act on it.

    triggers ──▶ sieve ──▶ arm ──▶ owner ──▶ Lead (or a withheld one) ──▶ what nobody owns is dealt out in its store

One statement for each type, of however many members. Run again it makes nothing: what fired is a lead already.
"""

from datetime import date, datetime
from typing import Any, NamedTuple

from django.db import connection, transaction

from clerks.leads import holdout, kinds, owners, rules, sieve, triggers
from clerks.leads.kinds import Kind
from clerks.leads.models import LeadPolicy, LeadRun
from retail.models import Brand


class Made(NamedTuple):
    """How many leads of a type came about, how many members were held out, and who got none, by reason."""

    made: int
    withheld: int
    left_out: dict[str, int]


_MAKE = """
WITH found AS MATERIALIZED ({found}), asked AS (
    SELECT f.*, {owner_columns}, {is_withheld} AS is_withheld, {stop} AS stop
    FROM found f {owner}
), judged AS MATERIALIZED (
    SELECT a.*, coalesce(a.stop, CASE
        WHEN a.store_id IS NULL THEN 'nobody'
        WHEN EXISTS (SELECT FROM leads_lead l WHERE l.brand_id = %(brand)s AND l.source = a.source) THEN 'known'
        WHEN EXISTS (SELECT FROM leads_lead l WHERE l.brand_id = %(brand)s AND l.member_id = a.member_id
            AND l.kind = %(kind)s AND l.closed_at IS NULL) THEN 'open'
        WHEN a.expires_at <= %(now)s THEN 'known'
        WHEN NOT %(service)s AND ({often}) THEN 'often'
        WHEN NOT %(service)s AND ({resting}) THEN 'resting' END) AS held
    FROM asked a
), placed AS (
    SELECT j.*, CASE WHEN held IS NULL AND row_number() OVER (
        PARTITION BY staff_id, held IS NULL ORDER BY score DESC NULLS LAST, member_id) > room THEN 'full'
        ELSE held END AS verdict
    FROM judged j
), made AS (
    INSERT INTO leads_lead (brand_id, member_id, kind, rank, source, arm, state, staff_id, store_id, score,
        expected_fen, version_id, reasons, product_id, created_at, owned_at, expires_at, refusal,
        withdrawn_for, is_natural, let_lie)
    SELECT %(brand)s, member_id, %(kind)s, %(rank)s, source,
        CASE WHEN is_withheld THEN 'withheld' ELSE 'treated' END, CASE WHEN is_withheld THEN 'withheld' ELSE 'new' END,
        staff_id, store_id, score, expected_fen, version_id,
        jsonb_path_query_array(said, '$[*] ? (@ != null)'), product_id,
        %(now)s, CASE WHEN staff_id IS NOT NULL THEN %(now)s::timestamptz END, expires_at, '', '', false, '{{}}'
    FROM placed WHERE verdict IS NULL ORDER BY member_id
    ON CONFLICT DO NOTHING RETURNING arm
)
SELECT verdict, count(*) FROM placed WHERE verdict IS NOT NULL AND verdict <> 'known' GROUP BY 1
UNION ALL SELECT arm, count(*) FROM made GROUP BY 1
"""


@transaction.atomic
def make(*, brand: Brand, kind: Kind, now: datetime) -> Made:
    """All leads of a type that there should be now and are not. Of one brand only one run at a time."""
    policy = rules.of(brand)
    _alone(brand)
    day = rules.day_of(now)
    if not policy.is_on or kind.code in policy.off_kinds or kind.code not in triggers.FOUND:
        return Made(0, 0, {})
    counts = _made(brand, policy, kind, now)
    made, withheld = counts.pop("treated", 0), counts.pop("withheld", 0)
    _note(brand, kind, day, Made(made, withheld, counts), now)
    return Made(made, withheld, counts)


def make_all(*, brand: Brand, now: datetime, is_daily: bool) -> dict[str, Made]:
    """The types that follow events; with `is_daily` those of the morning, too. Highest first: they take the places."""
    wanted = [one for one in kinds.KINDS.values() if is_daily or not one.is_daily]
    made = {str(one.code): make(brand=brand, kind=one, now=now) for one in wanted}
    owners.deal_out(brand=brand, now=now)
    return made


def _made(brand: Brand, policy: LeadPolicy, kind: Kind, now: datetime) -> dict[str, int]:
    member = "f.member_id"
    drawn = holdout.of_quarter(brand=brand, day=rules.day_of(now))
    sql = _MAKE.format(
        found=triggers.FOUND[kind.code],
        owner=owners.OF_MEMBER.format(member=member),
        owner_columns=owners.COLUMNS,
        stop=sieve.STOP.format(member=member, service="%(service)s"),
        often=sieve.OFTEN.format(member="a.member_id"),
        resting=sieve.RESTING.format(member="a.member_id"),
        is_withheld="NOT %(service)s AND " + holdout.IS_WITHHELD.format(member=member),
    )
    asked: dict[str, Any] = {
        **sieve.given(brand=brand, policy=policy, now=now),
        "kind": str(kind.code),
        "rank": kind.rank,
        "service": kind.is_service,
        "rest": rules.rest(policy=policy, kind=kind),
        "salt": drawn.salt,
        "holdout_ppm": drawn.ppm,
        "weekday": str(now.astimezone(rules.SHANGHAI).isoweekday()),
    }
    with connection.cursor() as cursor:
        cursor.execute(sql, asked)
        counts = {str(verdict): int(count) for verdict, count in cursor.fetchall()}
        if kind.code in triggers.AWAKE:
            cursor.execute(triggers.AWAKE[kind.code], asked)
            if awake := int(cursor.fetchone()[0]):
                counts["awake"] = awake
    return counts


def _note(brand: Brand, kind: Kind, day: date, found: Made, now: datetime) -> None:
    """What was made adds up over the day; who was left out is as of the last look."""
    row, _ = LeadRun._base_manager.get_or_create(
        brand=brand, kind=kind.code, day=day, defaults={"looked_at": now, "left_out": {}}
    )
    row.made += found.made
    row.withheld += found.withheld
    row.left_out, row.looked_at = found.left_out, now
    row.save(update_fields=["made", "withheld", "left_out", "looked_at"])


def _alone(brand: Brand) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('leads', %s))", [brand.pk])
