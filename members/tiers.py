"""等级: who stands where with a brand, by what they bought or collected in its rolling window.

A member rises at once, with the order that caused it, and keeps the tier until its date; then it is looked at anew. A
refund changes nothing before that day, but shows what will happen on it (`standing`). A protected tier is given by
hand alone and never lapses; a tier given by hand lapses on its date like any other.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone
from django.utils.translation import gettext as _

from members import by_hand, profiles
from members.models import Membership, Tier, TierMove, TierRule
from retail import approvals, audit, database, logs

CHUNK = 5_000  # memberships changed in one transaction of the nightly work
_Metric, _Cause = TierRule.Metric, TierMove.Cause
# What one purchase `p` counts for.
_EACH = {
    _Metric.SPEND: "p.net_fen",
    _Metric.ORDERS: "(p.net_fen > 0)::int",
    _Metric.POINTS: "(SELECT sum(e.points) FROM members_pointsentry e WHERE e.order_id = p.order_id"
    " AND e.membership_id = p.membership_id AND e.kind IN ('earn', 'back'))",
}


@dataclass(frozen=True, slots=True)
class Scheme:
    """How a brand gives its tiers: the rule in force, or one to try. `thresholds` by the id of the tier."""

    brand_id: int
    metric: str
    window_days: int
    keep_days: int
    thresholds: Mapping[int, int]

    @classmethod
    def of(cls, rule: TierRule, tiers: Iterable[Tier]) -> "Scheme":
        """Of the tiers those of the rule's brand count that can be reached."""
        reached = (tier for tier in tiers if tier.brand_id == rule.brand_id and not tier.is_protected)
        thresholds = {tier.pk: tier.threshold for tier in reached}
        return cls(rule.brand_id, rule.metric, rule.window_days, rule.keep_days, thresholds)

    def since(self, now: datetime) -> datetime:
        """The start of the window: the midnight so many days ago."""
        day = timezone.localtime(now).date() - timedelta(days=self.window_days)
        return timezone.make_aware(datetime.combine(day, time()))

    def said(self, now: datetime) -> dict[str, Any]:
        return {
            "brand": self.brand_id,
            "since": self.since(now),
            "tiers": list(self.thresholds),
            "thresholds": list(self.thresholds.values()),
            "keep": timedelta(days=self.keep_days),
            "now": now,
        }


def schemes(*, of: Q | None = None) -> Iterator[Scheme]:
    """Of the brands that have a rule, or of those of their rules that are meant."""
    known = list(TierRule._base_manager.filter(of or Q()).order_by("brand"))
    if not known:
        return
    tiers = list(Tier._base_manager.filter(brand__in=[rule.brand_id for rule in known]))
    for rule in known:
        yield Scheme.of(rule, tiers)


# ── Judging ──────────────────────────────────────────────────────────────────────────────────────────────────────────
# What everybody of a brand has in the window, and the tier that gives: the highest they reach, by rank. Who was merged
# into somebody else is nobody any more: what they had waits as it was, in case they are parted again.
_JUDGED = """
WITH ladder AS MATERIALIZED (
    SELECT t.id, t.rank, step.threshold, lead(step.threshold) OVER (ORDER BY t.rank) AS above
    FROM unnest(%(tiers)s::bigint[], %(thresholds)s::bigint[]) AS step(id, threshold)
    JOIN members_tier t ON t.id = step.id
), counted AS (
    SELECT m.id, m.tier_id, m.tier_until, m.tier_is_held, greatest(0, bought.value)::bigint AS value
    FROM members_membership m LEFT JOIN (
        SELECT p.membership_id, sum({each}) AS value FROM members_purchase p
        WHERE p.paid_at >= %(since)s {whose} GROUP BY 1
    ) bought ON bought.membership_id = m.id
    WHERE m.brand_id = %(brand)s {which} AND NOT EXISTS (
        SELECT FROM members_member gone WHERE gone.id = m.member_id AND gone.merged_into_id IS NOT NULL)
), judged AS (
    SELECT counted.id, counted.value, counted.tier_id AS before_id, merited.id AS after_id, merited.threshold,
        coalesce(held.rank, -1) AS before, coalesce(merited.rank, -1) AS after,
        coalesce(held.is_protected, false) AS is_protected,
        counted.tier_until <= %(now)s AS is_over,
        counted.tier_is_held AND coalesce(counted.tier_until > %(now)s, true) AS is_held
    FROM counted LEFT JOIN members_tier held ON held.id = counted.tier_id
    LEFT JOIN ladder merited ON counted.value >= merited.threshold
        AND (merited.above IS NULL OR counted.value < merited.above)
), due AS (
    SELECT *, after > before AS rises FROM judged
    WHERE NOT is_protected AND (is_over OR after > before AND NOT is_held)
)
"""
_ALL, _THESE = ("", ""), ("AND m.id = ANY(%(ids)s::bigint[])", "AND p.membership_id = ANY(%(ids)s::bigint[])")


def _judged(scheme: Scheme, of: tuple[str, str], rest: str) -> str:
    which, whose = of
    return _JUDGED.format(each=_EACH[_Metric(scheme.metric)], which=which, whose=whose) + rest


def review(*, membership_ids: Collection[int], now: datetime) -> int:
    """Let those rise who have reached more, and look at those anew whose date has come; how many changed.

    Somebody who has just bought is looked at here after their order was judged by the tier before it.
    """
    ids = list(membership_ids)
    if not ids:
        return 0
    theirs = Q(Exists(Membership._base_manager.filter(brand=OuterRef("brand"), pk__in=ids)))
    return sum(_change(scheme, _due(scheme, now, ids=ids), now, _Cause.EARNED) for scheme in schemes(of=theirs))


def nightly(*, now: datetime) -> int:
    """Look at everybody of every brand: dates that have come, and what a changed rule gives; how many changed."""
    count = 0
    for scheme in schemes():
        with transaction.atomic(), database.planning(work_mem="128MB"):  # everybody's sums are in memory at once
            ids = _due(scheme, now)
        for start in range(0, len(ids), CHUNK):
            count += _change(scheme, ids[start : start + CHUNK], now, _Cause.RULE)
    return count


def _due(scheme: Scheme, now: datetime, *, ids: list[int] | None = None) -> list[int]:
    """Those whose tier changes or is prolonged now, in the order they are locked in."""
    sql = _judged(scheme, _ALL if ids is None else _THESE, "SELECT id FROM due ORDER BY id")
    with connection.cursor() as cursor:
        cursor.execute(sql, {**scheme.said(now), "ids": ids})
        return [pk for (pk,) in cursor.fetchall()]


def _change(scheme: Scheme, ids: list[int], now: datetime, cause: str) -> int:
    """`cause`: why somebody rises of whom no order tells it."""
    if not ids:
        return 0
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT FROM members_membership WHERE id = ANY(%s::bigint[]) ORDER BY id FOR NO KEY UPDATE", [ids]
        )
        sql = _judged(scheme, _THESE, _CHANGED.format(each=_EACH[_Metric(scheme.metric)]))
        cursor.execute(sql, {**scheme.said(now), "ids": ids, "cause": cause})
        return cursor.fetchone()[0]


# The order that caused it is the first with which everything from the start of the window on was enough. The tier
# counts from then on; who only keeps theirs keeps it from now on.
_CHANGED = """
, caused AS (
    SELECT due.*, cause.order_id, coalesce(cause.paid_at, %(now)s) AS at
    FROM due LEFT JOIN LATERAL (
        SELECT order_id, paid_at FROM (
            SELECT p.order_id, p.paid_at, p.id, sum({each}) OVER (ORDER BY p.paid_at, p.id) AS value
            FROM members_purchase p WHERE p.membership_id = due.id AND p.paid_at >= %(since)s
        ) so_far WHERE so_far.value >= due.threshold ORDER BY so_far.paid_at, so_far.id LIMIT 1
    ) cause ON due.rises AND due.threshold > 0 AND %(cause)s = 'earned'
), changed AS (
    UPDATE members_membership m SET tier_id = after_id, tier_is_held = false,
        tier_since = CASE WHEN before_id IS DISTINCT FROM after_id THEN at ELSE tier_since END,
        tier_until = CASE WHEN threshold > 0 THEN
            CASE WHEN at + %(keep)s > %(now)s THEN at + %(keep)s ELSE %(now)s + %(keep)s END END
    FROM caused WHERE m.id = caused.id RETURNING m.id
), moved AS (
    INSERT INTO members_tiermove (membership_id, before_id, after_id, cause, order_id, at)
    SELECT id, before_id, after_id,
        CASE WHEN NOT rises THEN 'lapsed' WHEN before_id IS NULL THEN 'earned' ELSE %(cause)s END, order_id, at
    FROM caused WHERE before_id IS DISTINCT FROM after_id ORDER BY id
)
SELECT count(*) FROM changed
"""


# ── By hand ──────────────────────────────────────────────────────────────────────────────────────────────────────────
@transaction.atomic
def give(
    *,
    membership: Membership,
    tier: Tier | None,
    reason: str,
    by: Any,
    now: datetime,
    until: datetime | None = None,
    is_held: bool = False,
) -> TierMove:
    """Give somebody a tier by hand until that moment, None = for good. `is_held`: they do not rise before it.

    Raises approvals.Refused.
    """
    row = Membership._base_manager.select_for_update(of=("self",)).get(pk=membership.pk)
    wrong = _why_not(row, tier, until, now) or by_hand.objection(membership=row, reason=reason, by=by)
    if wrong:
        raise approvals.Refused(wrong)
    move = TierMove._base_manager.create(
        membership=row,
        before_id=row.tier_id,
        after=tier,
        cause=_Cause.MANUAL,
        by=by,
        reason=logs.struck(reason),
        at=now,
    )
    row.tier, row.tier_since, row.tier_until, row.tier_is_held = tier, now, until, is_held
    row.save(update_fields=["tier", "tier_since", "tier_until", "tier_is_held"])
    profiles.follow(membership_ids=[row.pk], now=now)
    audit.record(
        by=by,
        action="member.tier",
        target=row,
        now=now,
        before={"tier": str(move.before or "")},
        after={"tier": str(tier or ""), "until": until.isoformat() if until else None},
        reason=reason,
    )
    return move


def _why_not(row: Membership, tier: Tier | None, until: datetime | None, now: datetime) -> str:
    if tier and tier.brand_id != row.brand_id:
        return _("这是另一个品牌的等级。")
    if until and until <= now:
        return _("保留到的那天已经过了。")
    return ""


# ── Looking ──────────────────────────────────────────────────────────────────────────────────────────────────────────
class Standing(NamedTuple):
    """Where somebody stands. `value` and `missing` in fen, orders or points, by `metric`.

    `until`: when it is looked at anew; `then`: the tier they would have then by what counts now.
    """

    tier: Tier | None
    until: datetime | None
    metric: str
    value: int
    next: Tier | None
    missing: int
    then: Tier | None


def standing(*, membership: Membership, now: datetime) -> Standing:
    """What a page shows of somebody's tier. Without a rule of the brand there is nothing to reach."""
    tiers, rule = _of_brand(membership.brand_id)
    tier, until = tiers.get(membership.tier_id or 0), membership.tier_until
    if rule is None:
        return Standing(tier, until, "", 0, None, 0, tier)
    scheme = Scheme.of(rule, tiers.values())
    asked = _judged(scheme, _THESE, "SELECT value, after_id FROM judged")
    judged = database.planned(asked, {**scheme.said(now), "ids": [membership.pk]})
    if not judged:  # merged into somebody else
        return Standing(tier, until, "", 0, None, 0, tier)
    ((value, after_id),) = judged
    rank = tier.rank if tier else -1
    above = [one for one in tiers.values() if not one.is_protected and one.rank > rank and one.threshold > value]
    if tier and tier.is_protected:
        return Standing(tier, None, scheme.metric, value, None, 0, tier)
    merited = tiers.get(after_id or 0)
    following = above[0] if above else None
    return Standing(
        tier, until, scheme.metric, value, following, following.threshold - value if following else 0, merited
    )


def _of_brand(brand_id: int) -> tuple[dict[int, Tier], TierRule | None]:
    """The tiers of a brand, lowest first, and its rule. Every portrait asks for them."""
    tiers = [Tier(*row) for row in database.planned(_TIERS, [brand_id])]
    rules = [TierRule(*row) for row in database.planned(_RULE, [brand_id])]
    return {tier.pk: tier for tier in tiers}, rules[0] if rules else None


def _columns(model: type[Tier] | type[TierRule]) -> str:
    return ", ".join(str(field.column) for field in model._meta.concrete_fields)


_TIERS = f"SELECT {_columns(Tier)} FROM members_tier WHERE brand_id = %s ORDER BY rank"
_RULE = f"SELECT {_columns(TierRule)} FROM members_tierrule WHERE brand_id = %s"


# ── Trying a rule ────────────────────────────────────────────────────────────────────────────────────────────────────
class Move(NamedTuple):
    """So many members are in the one tier now, and would be in another: by the rule in force, and by the one tried."""

    before: Tier | None
    anyway: Tier | None
    after: Tier | None
    members: int


class Case(NamedTuple):
    """Somebody of whom the tried rule thinks otherwise than the one in force; `value` by the metric of the tried."""

    membership: Membership
    before: Tier | None
    anyway: Tier | None
    after: Tier | None
    value: int


class Total(NamedTuple):
    """How many members of a tier there are, would be by the rule in force, and by the one tried."""

    tier: Tier | None
    now: int
    anyway: int
    after: int


class Turn(NamedTuple):
    """How many would rise tonight, and how many fall when their date comes."""

    rising: int
    falling: int


@dataclass(frozen=True, slots=True)
class Trial:
    """What a scheme would make of everybody of a brand today, beside what the rule in force makes of them anyway."""

    moves: Sequence[Move]
    sample: Sequence[Case]

    @property
    def anyway(self) -> Turn:
        return self._turn((move.before, move.anyway, move.members) for move in self.moves)

    @property
    def after(self) -> Turn:
        return self._turn((move.before, move.after, move.members) for move in self.moves)

    @property
    def difference(self) -> Turn:
        """How many would stand higher than by the rule in force, and how many lower."""
        return self._turn((move.anyway, move.after, move.members) for move in self.moves)

    @staticmethod
    def _turn(steps: Iterable[tuple[Tier | None, Tier | None, int]]) -> Turn:
        found = [(_rank(then) - _rank(was), members) for was, then, members in steps]
        return Turn(sum(members for up, members in found if up > 0), sum(members for up, members in found if up < 0))

    @property
    def changes(self) -> list[Move]:
        """What the tried rule does that would not happen anyway."""
        return [move for move in self.moves if move.anyway != move.after]

    @property
    def totals(self) -> list[Total]:
        tiers = {tier for move in self.moves for tier in (move.before, move.anyway, move.after)}
        return [
            Total(
                tier,
                sum(move.members for move in self.moves if move.before == tier),
                sum(move.members for move in self.moves if move.anyway == tier),
                sum(move.members for move in self.moves if move.after == tier),
            )
            for tier in sorted(tiers, key=_rank)
        ]


def _rank(tier: Tier | None) -> int:
    return tier.rank if tier else -1


SAMPLE = 20


def try_out(*, scheme: Scheme, now: datetime) -> Trial:
    """Nothing is written. Protected tiers stay. A few statements, however many members there are."""
    tiers, rule = _of_brand(scheme.brand_id)
    present = Scheme.of(rule, tiers.values()) if rule else scheme
    statement = _TRIED.format(
        tried=_judged(scheme, _ALL, _STEPS), present=_judged(present, _ALL, _STEPS).replace("%(", "%(present_")
    )
    given = scheme.said(now) | {f"present_{name}": value for name, value in present.said(now).items()}
    with connection.cursor() as cursor:
        cursor.execute(statement, {**given, "sample": SAMPLE})
        counts, rows = (json.loads(said or "[]") for said in cursor.fetchone())
    moves = [
        Move(tiers.get(before), tiers.get(anyway), tiers.get(after), count) for before, anyway, after, count in counts
    ]
    memberships = Membership.objects.select_related("member", "brand").in_bulk([pk for pk, *_rest in rows])
    sample = [
        Case(memberships[pk], tiers.get(before), tiers.get(anyway), tiers.get(after), value)
        for pk, before, anyway, after, value in rows
        if pk in memberships
    ]
    moves.sort(key=lambda move: (_rank(move.before), _rank(move.anyway), _rank(move.after)))
    return Trial(moves, sample)


# Who is held where they are does not rise before their date.
_STEPS = """
SELECT judged.id, before_id, after, value, judged.threshold,
    CASE WHEN is_protected OR is_held AND after > before THEN before_id ELSE after_id END AS then_id
FROM judged
"""
# Everybody judged by both rules, once. Of those on whom the two differ the nearest to a threshold come first: of them
# somebody will ask.
_TRIED = """
WITH compared AS MATERIALIZED (
    SELECT tried.id, tried.before_id, present.then_id AS present_id, tried.then_id AS tried_id, tried.value,
        abs(tried.value - CASE WHEN tried.after > present.after THEN tried.threshold
            ELSE coalesce(lost.threshold, present.threshold, 0) END) AS distance
    FROM ({tried}) tried JOIN ({present}) present USING (id)
    LEFT JOIN unnest(%(tiers)s::bigint[], %(thresholds)s::bigint[]) AS lost(id, threshold) ON lost.id = present.then_id
), counted AS (
    SELECT before_id, present_id, tried_id, count(*) AS members FROM compared GROUP BY 1, 2, 3
), sampled AS (
    SELECT * FROM compared WHERE present_id IS DISTINCT FROM tried_id ORDER BY distance, id LIMIT %(sample)s
)
SELECT (SELECT jsonb_agg(jsonb_build_array(before_id, present_id, tried_id, members)) FROM counted), (
    SELECT jsonb_agg(jsonb_build_array(id, before_id, present_id, tried_id, value) ORDER BY distance, id) FROM sampled
)
"""


@transaction.atomic
def change(*, scheme: Scheme, by: Any, now: datetime) -> None:
    """Let this scheme hold from now on; the next night lets rise who now has enough."""
    rule = TierRule._base_manager.select_for_update(of=("self",)).get(brand=scheme.brand_id)
    tiers = list(Tier._base_manager.select_for_update(of=("self",)).filter(pk__in=scheme.thresholds).order_by("rank"))
    before = _told(rule, tiers)
    rule.metric, rule.window_days, rule.keep_days = scheme.metric, scheme.window_days, scheme.keep_days
    rule.save()
    for tier in tiers:
        tier.threshold = scheme.thresholds[tier.pk]
        tier.save(update_fields=["threshold"])
    audit.record(by=by, action="tiers.change", target=rule, now=now, before=before, after=_told(rule, tiers))


def _told(rule: TierRule, tiers: Sequence[Tier]) -> dict[str, str]:
    said = {name: str(getattr(rule, name)) for name in ("metric", "window_days", "keep_days")}
    return said | {tier.code: str(tier.threshold) for tier in tiers}
