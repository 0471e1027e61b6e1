"""离职: somebody is out within a minute, whoever said so, and their customers are somebody's to hand over."""

from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from clerks import tagging
from clerks.handover import cases
from clerks.models import Handover, Notice
from clerks.outreach import codes, notices
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
    if is_new and staff.user is not None:
        gate.end_sessions(user=staff.user, by=by, now=now, reason="left")
    codes.publish(ways=codes.of_staff(staff_id=staff.pk), now=now)
    notices.stop(staff=staff)
    tagging.stop(staff=staff)
    if is_new:
        kind, is_resigned = Handover.Kind.LEFT, corp is not None
        opened = cases.open_(staff=staff, kind=kind, is_resigned=is_resigned, by=by, reason=reason, now=now)
        _tell(staff, opened, store_id, now)
    return is_new


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
