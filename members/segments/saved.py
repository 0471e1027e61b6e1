"""Segments as they are kept: made, refreshed by differences, left by who buys, ended."""

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext as _

from members.models import Membership, Segment, SegmentMember, SegmentMove, SegmentSize
from members.segments import grammar, names, query
from members.segments.fields import midnight
from members.segments.grammar import Fault, Group
from members.segments.names import Names
from members.segments.words import sentence
from retail import audit, jobs, scope
from retail.models import Brand

JOB = "refresh_segment"
EVERY = timedelta(hours=1)  # so often each is refreshed


class SegmentRefused(Exception):
    """Something that cannot be done with a segment, in words for who wanted to."""


class Understood(NamedTuple):
    """A condition that was read, with what its codes mean."""

    tree: Group
    names: Names

    def __str__(self) -> str:
        return sentence(self.tree, self.names)


def understand(*, condition: Any, brand: Brand) -> Understood:
    """A kept condition. Codes that are gone mean nobody. Raises grammar.Refused."""
    tree = grammar.parse(condition)
    wanted = [(of, codes) for one in tree.conditions() for of, codes, _place in one.codes()]
    return Understood(tree, names.of_codes(wanted, brand=brand))


def check(*, condition: Any, brand: Brand) -> Understood:
    """A condition somebody has just written: everything it names must be there, within their scope.

    Raises grammar.Refused.
    """
    tree = grammar.parse(condition)
    wanted = [(of, codes, place) for one in tree.conditions() for of, codes, place in one.codes()]
    known = names.of_codes([(of, codes) for of, codes, _place in wanted], brand=brand, is_scoped=True)
    lost = [(place, known.unknown(of, codes)) for of, codes, place in wanted]
    faults = [
        Fault(place, _("没有这个编码：%(code)s") % {"code": _("、").join(codes)}) for place, codes in lost if codes
    ]
    if faults:
        raise grammar.Refused(faults)
    return Understood(tree, known)


def dormant_days() -> int:
    """So long nobody who is asleep has bought."""
    return settings.DORMANT_DAYS


def rest_of(*, segment: Segment) -> int:
    """Who bought in the last so many days is left out of it; 0: nobody."""
    return _rest(segment.is_dormant_only, segment.rest_days)


def _rest(is_dormant_only: bool, rest_days: int | None) -> int:
    return max(dormant_days() if is_dormant_only else 0, rest_days or 0)


def rested_since(*, is_dormant_only: bool, rest_days: int | None, today: date) -> datetime | None:
    """Who bought since then is left in peace; None: nobody is."""
    days = _rest(is_dormant_only, rest_days)
    return midnight(today - timedelta(days=days)) if days else None


def _rested_since(segment: Segment, now: datetime) -> datetime | None:
    today = timezone.localtime(now).date()
    return rested_since(is_dormant_only=segment.is_dormant_only, rest_days=segment.rest_days, today=today)


# ── For other rooms ──────────────────────────────────────────────────────────────────────────────────────────────────
def members_of(*, segment: Segment) -> QuerySet[SegmentMember, int]:
    """The ids of the memberships that are in it, as of its last refresh and every purchase since; nobody of an ended
    one. The scope in force does not narrow it.
    """
    rows = SegmentMember.objects.filter(segment=segment, segment__ended_at=None)
    return rows.values_list("membership", flat=True)


def present(*, segment: Segment) -> QuerySet[SegmentMember]:
    """Those in it whom the scope in force shows, the last to come first."""
    return shown(SegmentMember.objects.filter(segment=segment)).order_by("-pk")


def with_count(rows: QuerySet[Segment]) -> QuerySet[Segment]:
    """`seen_count`: how many are in each of those whom the scope in force shows."""
    theirs = shown(SegmentMember.objects.filter(segment=OuterRef("pk"))).order_by().values("segment")
    return rows.annotate(seen_count=Coalesce(Subquery(theirs.annotate(count=Count("pk")).values("count")), 0))


def moves(*, segment: Segment) -> QuerySet[SegmentMove]:
    """Who came and went of those whom the scope in force shows, the latest first."""
    return shown(SegmentMove.objects.filter(segment=segment)).order_by("-at", "-pk")


def shown(rows: QuerySet[Any]) -> QuerySet[Any]:
    """Those of the rows of a `membership` whom the scope in force shows."""
    if scope.current().is_everything:
        return rows
    return rows.filter(membership__in=Membership.objects.order_by().values("pk"))


# ── Refreshing ───────────────────────────────────────────────────────────────────────────────────────────────────────
class Refreshed(NamedTuple):
    """`left_out`: fit the condition, but bought too lately."""

    size: int
    entered: int
    left: int
    left_out: int


def enqueue(*, segment: Segment, now: datetime) -> None:
    """Refresh it soon, once."""
    jobs.enqueue(work=[jobs.Work(JOB, {"segment_id": segment.pk}, f"segment:{segment.pk}")], now=now)


def enqueue_due(*, now: datetime) -> int:
    """Refresh soon what follows its condition and was not refreshed for an hour; how many."""
    due = Q(refreshed_at=None) | Q(refreshed_at__lt=now - EVERY)
    following = Segment._base_manager.filter(due, ended_at=None).exclude(
        kind=Segment.Kind.FROZEN, refreshed_at__isnull=False, is_dormant_only=False, rest_days=None
    )
    work = [
        jobs.Work(JOB, {"segment_id": pk}, f"segment:{pk}")
        for pk in following.order_by("pk").values_list("pk", flat=True)
    ]
    jobs.enqueue(work=work, now=now)
    return len(work)


@transaction.atomic
def refresh(*, segment: Segment, now: datetime) -> Refreshed:
    """Let it hold who fits now, and write down who entered and left; nothing else is touched.

    A frozen list is drawn once; afterwards it only loses who bought too lately, and who is nobody of their own any
    more. An ended segment stays as it was.
    """
    segment = Segment._base_manager.select_for_update(of=("self",)).select_related("brand").get(pk=segment.pk)
    if segment.ended_at is not None:
        raise SegmentRefused(_("这个人群已经停用。"))
    is_drawn = segment.is_frozen and segment.refreshed_at is not None
    given: dict[str, Any] = {"segment": segment.pk, "now": now}
    with scope.within(scope.EVERYTHING), connection.cursor() as cursor:
        wanted = _still(segment, now) if is_drawn else _fitting(segment, now)
        cursor.execute(_REFRESH % {"wanted": wanted.sql}, {**wanted.params, **given})
        found = Refreshed(*cursor.fetchone())
    if found.entered or found.left or segment.refreshed_at is None:
        SegmentSize.objects.create(segment=segment, at=now, **found._asdict())
    Segment._base_manager.filter(pk=segment.pk).update(size=found.size, refreshed_at=now)
    return found


def _fitting(segment: Segment, now: datetime) -> query.Statement:
    known = understand(condition=segment.condition, brand=segment.brand)
    since = _rested_since(segment, now)
    return query.members(known.tree, brand=segment.brand, names=known.names, now=now, rested_since=since)


def _still(segment: Segment, now: datetime) -> query.Statement:
    return query.Statement(_STILL, {"rested_since": _rested_since(segment, now)})


_STILL = """
SELECT m.id, (m.last_purchase_at >= %(rested_since)s) IS TRUE AS is_resting
FROM members_segmentmember s JOIN members_membership m ON m.id = s.membership_id
WHERE s.segment_id = %(segment)s AND NOT EXISTS (
    SELECT FROM members_member gone WHERE gone.id = m.member_id AND gone.merged_into_id IS NOT NULL)
"""
# Rows go in the order in which settling takes them away, too, so that neither waits for the other in a ring.
_REFRESH = """
WITH fits AS MATERIALIZED (%(wanted)s), wanted AS (SELECT id FROM fits WHERE NOT is_resting), over AS (
    SELECT s.id, s.membership_id FROM members_segmentmember s
    WHERE s.segment_id = %%(segment)s AND NOT EXISTS (SELECT FROM wanted w WHERE w.id = s.membership_id)
    ORDER BY s.id FOR UPDATE OF s
), gone AS (
    DELETE FROM members_segmentmember s USING over WHERE s.id = over.id RETURNING s.membership_id
), come AS (
    INSERT INTO members_segmentmember (segment_id, membership_id, entered_at)
    SELECT %%(segment)s, w.id, %%(now)s FROM wanted w WHERE NOT EXISTS (
        SELECT FROM members_segmentmember s WHERE s.segment_id = %%(segment)s AND s.membership_id = w.id)
    ORDER BY w.id ON CONFLICT DO NOTHING RETURNING membership_id
), moves AS (
    INSERT INTO members_segmentmove (segment_id, membership_id, is_entry, at)
    SELECT %%(segment)s, membership_id, true, %%(now)s FROM come
    UNION ALL SELECT %%(segment)s, membership_id, false, %%(now)s FROM gone
)
SELECT (SELECT count(*) FROM wanted), (SELECT count(*) FROM come), (SELECT count(*) FROM gone),
    (SELECT count(*) FROM fits WHERE is_resting)
"""


@transaction.atomic
def bought(*, membership_ids: Iterable[int], now: datetime) -> int:
    """Whoever of these has bought leaves the segments of those who have not, at once; how many rows that were.

    `size` follows with the next refresh: settling does not wait for a segment that everybody is in.
    """
    with connection.cursor() as cursor:
        given = {"ids": list(membership_ids), "today": timezone.localtime(now).date(), "days": settings.DORMANT_DAYS}
        cursor.execute(_BOUGHT, {**given, "now": now})
        return cursor.rowcount


_BOUGHT = """
WITH over AS (
    SELECT s.id FROM members_segmentmember s
    JOIN members_segment g ON g.id = s.segment_id
        AND g.ended_at IS NULL AND (g.is_dormant_only OR g.rest_days IS NOT NULL)
    JOIN members_membership m ON m.id = s.membership_id AND m.last_purchase_at >= (%(today)s::date - greatest(
        CASE WHEN g.is_dormant_only THEN %(days)s ELSE 0 END, coalesce(g.rest_days, 0)))::timestamp
        AT TIME ZONE 'Asia/Shanghai'
    WHERE s.membership_id = ANY(%(ids)s::bigint[]) ORDER BY s.id FOR UPDATE OF s
), gone AS (
    DELETE FROM members_segmentmember s USING over WHERE s.id = over.id RETURNING s.segment_id, s.membership_id
)
INSERT INTO members_segmentmove (segment_id, membership_id, is_entry, at)
SELECT segment_id, membership_id, false, %(now)s FROM gone ORDER BY segment_id, membership_id
"""


# ── By hand ──────────────────────────────────────────────────────────────────────────────────────────────────────────
@transaction.atomic
def end(*, segment: Segment, by: Any, now: datetime) -> None:
    """Nobody uses it any more; what it was stays to be read."""
    if not Segment._base_manager.filter(pk=segment.pk, ended_at=None).update(ended_at=now):
        raise SegmentRefused(_("这个人群已经停用。"))
    audit.record(by=by, action="segment.end", target=segment, now=now)


@transaction.atomic
def copy(*, segment: Segment, by: Any, now: datetime) -> Segment:
    """The same condition under another name, to be changed."""
    taken = set(Segment._base_manager.filter(brand=segment.brand, ended_at=None).values_list("name", flat=True))
    wished = (_("%(name)s 副本 %(count)s") % {"name": segment.name[:50], "count": count} for count in range(1, 1000))
    made = Segment.objects.create(
        brand=segment.brand,
        name=next(name for name in wished if name not in taken),
        kind=Segment.Kind.RULE,
        condition=segment.condition,
        is_dormant_only=segment.is_dormant_only,
        rest_days=segment.rest_days,
        created_by=by,
        created_at=now,
    )
    audit.record(by=by, action="segment.copy", target=made, now=now, before={"from": segment.name})
    enqueue(segment=made, now=now)
    return made
