"""离职: somebody is out within a minute, whoever said so, and their customers are somebody's to hand over."""

from datetime import datetime

from django.db import connection, transaction
from django.utils.translation import gettext as _

from clerks import tagging
from clerks.handover import cases
from clerks.models import Handover, Notice
from clerks.outreach import codes, notices, wording
from retail import gate, org
from retail.models import Post, Staff, User


class Refused(ValueError):
    """This person does not leave by this button; the words are for who pressed it."""


@transaction.atomic
def leave(*, staff: Staff, corp: str | None, by: User | None, now: datetime, reason: str = "") -> bool:
    """Somebody left a WeCom corp, or us (`corp` None): the one way in which anybody goes; whether they were there.

    Posts and sessions end, so the next request is refused; codes go to the spare; what was on its way to them, or to
    customers in their name, stops; a handover opens for each store, and its manager is told. Said by headquarters
    and by WeCom, in any order, it is one leaving.
    """
    store_id = _store(staff, now)
    is_new = org.part_with(staff=staff, corp=corp, by=by, now=now)
    if not is_new and not (corp and _left_wecom_later(staff, corp)):
        return False
    if is_new:
        _follow(staff, store_id, by, now, reason, is_resigned=corp is not None)
    else:
        _stop(staff, now)
    return is_new


def _follow(
    staff: Staff, store_id: int | None, by: User | None, now: datetime, reason: str, *, is_resigned: bool
) -> None:
    """What follows when somebody's posts are over."""
    if staff.user is not None:
        gate.end_sessions(user=staff.user, by=by, now=now, reason="left")
    _stop(staff, now)
    kind = Handover.Kind.LEFT
    opened = cases.open_(staff=staff, kind=kind, is_resigned=is_resigned, by=by, reason=reason, now=now)
    _tell(staff, opened, store_id, now)


def _stop(staff: Staff, now: datetime) -> None:
    codes.publish(ways=codes.of_staff(staff_id=staff.pk), now=now)
    notices.stop(staff=staff)
    tagging.stop(staff=staff)


# ── Who went by a date ───────────────────────────────────────────────────────────────────────────────────────────────
def follow_dates(*, now: datetime, staff: Staff | None = None, by: User | None = None) -> int:
    """Somebody's last post ended by the date that stands in our books, and nobody said 离职: they leave all the same.

    Whose next post is known already comes back, and keeps their customers. Asked every minute, of everybody who still
    has customers and no handover of them that goes on, or of one whose posts somebody has just changed; how many left.
    """
    with connection.cursor() as cursor:
        cursor.execute(_GONE, {"now": now, "staff": staff.pk if staff else None})
        found = [staff_id for (staff_id,) in cursor.fetchall()]
    return sum(_gone_by_date(staff_id, by, now) for staff_id in found)


@transaction.atomic
def _gone_by_date(staff_id: int, by: User | None, now: datetime) -> bool:
    staff = Staff._base_manager.select_for_update(of=("self",)).select_related("user").get(pk=staff_id)
    if Handover._base_manager.filter(staff=staff, opened_at__gte=now).exists():  # two clocks struck at once
        return False
    with wording.for_others():
        _follow(staff, None, by, now, _("岗位到期"), is_resigned=False)
    return True


# Customers of somebody without a post now or later: theirs, or friends of theirs who are nobody's and were in no
# handover yet.
_GONE = """
SELECT s.id FROM retail_staff s
WHERE s.id = coalesce(%(staff)s::bigint, s.id) AND NOT EXISTS (
    SELECT FROM retail_post p JOIN retail_employment e ON e.staff_id = p.staff_id
    WHERE p.staff_id = s.id AND (p.ends_at IS NULL OR p.ends_at > %(now)s)
        AND (e.ends_at IS NULL OR e.ends_at > %(now)s)
) AND (EXISTS (
    SELECT FROM clerks_binding b WHERE b.staff_id = s.id AND b.ended_at IS NULL AND NOT EXISTS (
        SELECT FROM clerks_handover h
        WHERE h.staff_id = s.id AND h.store_id = b.store_id AND h.state IN ('open', 'running'))
) OR EXISTS (
    SELECT FROM clerks_friend f JOIN retail_store t ON t.id = f.store_id
    WHERE f.staff_id = s.id AND f.state = 'friend' AND f.member_id IS NOT NULL
        AND NOT EXISTS (SELECT FROM clerks_binding b
            WHERE b.brand_id = t.brand_id AND b.member_id = f.member_id AND b.ended_at IS NULL)
        AND NOT EXISTS (SELECT FROM clerks_handoverrow r JOIN clerks_handover h ON h.id = r.handover_id
            WHERE r.member_id = f.member_id AND h.staff_id = s.id)
)) ORDER BY s.id
"""


def _store(staff: Staff, now: datetime) -> int | None:
    held = org.roster(since=now, until=now, staff_ids=[staff.pk]).person(at=now, staff_id=staff.pk)
    return held.store_id if held else None


def _left_wecom_later(staff: Staff, corp: str) -> bool:
    """Headquarters was first: from now on their friends are handed over as those of somebody who has left."""
    rows = Handover._base_manager.filter(staff=staff, brand__corp=corp, is_resigned=False)
    return bool(rows.exclude(state=Handover.State.CANCELLED).update(is_resigned=True, kind=Handover.Kind.LEFT))


def _tell(staff: Staff, opened: list[Handover], store_id: int | None, now: datetime) -> None:
    """Whoever leads the store hears how many wait, and the notice opens the handover."""
    for handover in opened:
        _tell_managers(staff, handover.store_id, handover, now)
    if not opened:
        _tell_managers(staff, store_id, None, now)


def _tell_managers(staff: Staff, store_id: int | None, handover: Handover | None, now: datetime) -> None:
    managers = [one for one in notices.managers_of(store_id=store_id, now=now) if one.pk != staff.pk]
    count = handover.total if handover else 0
    notices.tell_all(
        staff=managers or notices.operators(now=now),
        kind=Notice.Kind.STAFF_LEFT,
        title=_("%(name)s已经离职") % {"name": staff.name},
        text=_("名下有 %(count)s 位顾客等人接手。") % {"count": count} if count else _("名下没有要交接的顾客。"),
        about=handover or staff,
        is_todo=count > 0,
        effect=f"left:{handover.pk if handover else 'nobody'}:{now:%Y%m%d}:{staff.pk}",
        now=now,
    )


def dismiss(*, staff: Staff, by: User, now: datetime, reason: str = "") -> None:
    """Headquarters says that somebody has left. Raises Refused."""
    if staff.user is not None and staff.user_id == by.pk:
        raise Refused(_("不能给自己办理离职。"))
    if not Post.objects.at(now).filter(staff=staff).exists() and not staff.employments.filter(ends_at=None).exists():
        raise Refused(_("这个人现在没有岗位，已经不在职。"))
    if not leave(staff=staff, corp=None, by=by, now=now, reason=reason):
        raise Refused(_("这个人现在没有岗位，已经不在职。"))
