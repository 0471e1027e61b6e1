"""A type given to everybody in a segment, or made into codes: asked for, then done by a job, chunk by chunk.

Each chunk is a transaction that also notes how far it got; a job that dies goes on from there, and nobody gets two.
"""

from datetime import datetime
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import Count, F
from django.utils.translation import gettext as _

from members import consent
from members.coupons import giving
from members.coupons.giving import Refused
from members.models import Coupon, CouponIssue, CouponSkip, CouponType, Segment, SegmentMember, Stop
from retail import audit, jobs

JOB = "coupon_issue"  # {"issue_id"}
CHUNK = 500  # members in one transaction; the type is locked for as long
MOST_CODES = 50_000  # at once: as many as one file may hold

_State = CouponIssue.State


class Preview(NamedTuple):
    """How many are in the segment, how many of them want no offers, how many others have enough already, and how many
    coupons are left (None: any).
    """

    members: int
    stopped: int
    enough: int
    left: int | None

    @property
    def gets(self) -> int:
        willing = self.members - self.stopped - self.enough
        return willing if self.left is None else min(willing, self.left)


def preview(*, type: CouponType, segment: Segment) -> Preview:
    """What issuing would come to now. Five statements."""
    type = CouponType._base_manager.select_related("brand").get(pk=type.pk)
    there = SegmentMember._base_manager.filter(segment=segment)
    members = there.count()
    stops = consent.stops(corp=type.brand.corp, purpose=Stop.Purpose.MARKETING)
    willing = there.exclude(membership__member__in=stops.values("member"))
    stopped = members - willing.count()
    has = Coupon._base_manager.filter(type=type, membership__in=willing.values("membership")).exclude(
        state=Coupon.State.VOID
    )
    full = has.values("membership").annotate(has=Count("pk")).filter(has__gte=type.per_member)
    left = None if type.limit is None else max(0, type.limit - type.issued)
    return Preview(members, stopped, full.count(), left)


@transaction.atomic
def ask(*, type: CouponType, segment: Segment, by: Any, now: datetime) -> CouponIssue:
    """Have a job give the type to everybody in the segment. Raises Refused."""
    if segment.brand_id != type.brand_id:
        raise Refused(_("人群和券种不是同一个品牌的。"))
    if not giving.is_given_now(type, now):
        raise Refused(_("这种券现在不发放。"))
    seen = preview(type=type, segment=segment)
    if not seen.gets:
        raise Refused(_("没有人能领到：人群是空的，或者都说过不要发优惠，或者都领满了，或者券发完了。"))
    issue = CouponIssue.objects.create(type=type, segment=segment, total=seen.members, asked_by=by, asked_at=now)
    audit.record(
        by=by, action="coupon.issue", target=issue, now=now, after={"type": type.code, "members": seen.members}
    )
    jobs.enqueue(work=[jobs.Work(JOB, {"issue_id": issue.pk}, f"coupons:{type.pk}")], now=now)
    return issue


@transaction.atomic
def ask_codes(*, type: CouponType, count: int, by: Any, now: datetime) -> CouponIssue:
    """Have a job make so many codes that members claim. Raises Refused."""
    type = CouponType._base_manager.get(pk=type.pk)
    giving.valid(type, None, now)  # or they would have no end
    if not 1 <= count <= MOST_CODES:
        raise Refused(_("一次做 1 到 %(most)s 个券码。") % {"most": f"{MOST_CODES:,}"})
    left = None if type.limit is None else max(0, type.limit - type.issued)
    if left is not None and count > left:
        raise Refused(_("这种券最多还能做 %(left)s 张。") % {"left": f"{left:,}"})
    issue = CouponIssue.objects.create(type=type, total=count, asked_by=by, asked_at=now)
    audit.record(by=by, action="coupon.codes", target=type, now=now, after={"codes": count})
    jobs.enqueue(work=[jobs.Work(JOB, {"issue_id": issue.pk}, f"coupons:{type.pk}")], now=now)
    return issue


@transaction.atomic
def stop(*, issue: CouponIssue, by: Any, now: datetime) -> None:
    """Stop at the next chunk; who has one keeps it. Raises Refused."""
    issue = CouponIssue._base_manager.select_for_update(of=("self",)).get(pk=issue.pk)
    if issue.state not in (_State.WAITING, _State.RUNNING):
        raise Refused(_("已经结束了。"))
    issue.state, issue.ended_at = _State.STOPPED, now
    issue.save(update_fields=["state", "ended_at"])
    audit.record(by=by, action="coupon.stop", target=issue, now=now)


def work(*, issue_id: int, now: datetime) -> None:
    """A job: the chunks that are left, in the order of the memberships' numbers."""
    while _chunk(issue_id, now):
        jobs.renew()


@transaction.atomic
def _chunk(issue_id: int, now: datetime) -> bool:
    """Give to some more; False where there are none, or somebody stopped it."""
    issue = CouponIssue._base_manager.select_for_update(of=("self",)).select_related("type").get(pk=issue_id)
    if issue.state not in (_State.WAITING, _State.RUNNING):
        return False
    return _give_some(issue, now) if issue.segment_id else _make_some(issue, now)


def _make_some(issue: CouponIssue, now: datetime) -> bool:
    wanted = min(CHUNK, issue.total - issue.issued)
    made = giving.make_codes(type=issue.type, count=wanted, issue=issue, now=now)
    is_over = made < CHUNK
    CouponIssue._base_manager.filter(pk=issue.pk).update(
        state=_State.DONE if is_over else _State.RUNNING,
        issued=F("issued") + made,
        skipped=issue.total - issue.issued - made if is_over else 0,
        ended_at=now if is_over else None,
    )
    return not is_over


def _give_some(issue: CouponIssue, now: datetime) -> bool:
    there = SegmentMember._base_manager.filter(segment=issue.segment_id, membership__gt=issue.reached)
    ids = list(there.order_by("membership").values_list("membership_id", flat=True)[:CHUNK])
    given = giving.make(type=issue.type, membership_ids=ids, now=now, issue=issue)
    CouponSkip._base_manager.bulk_create(
        CouponSkip(issue=issue, membership_id=membership_id, reason=reason)
        for membership_id, reason in given.skipped.items()
    )
    issue.state = _State.RUNNING if ids else _State.DONE
    issue.reached = ids[-1] if ids else issue.reached
    CouponIssue._base_manager.filter(pk=issue.pk).update(
        state=issue.state,
        reached=issue.reached,
        issued=F("issued") + len(given.coupons),
        skipped=F("skipped") + len(given.skipped),
        ended_at=None if ids else now,
    )
    return bool(ids)
