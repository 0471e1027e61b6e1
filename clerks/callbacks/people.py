"""Who works in a corp: they come, get another account, leave. What counts is what the address book says now."""

from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from clerks import friends
from clerks.callbacks.heard import Heard, Outcome
from clerks.models import Friend, Notice
from clerks.outreach import codes, notices
from retail import gate, org
from retail.models import Staff
from retail.wecom.errors import Rejected
from retail.wecom.gateway import Gateway

NOBODY = frozenset({60111, 40003, 46004})
LEFT = 5  # the status of somebody who has left the corp


def came(heard: Heard) -> Outcome:
    """Somebody new: ours, if their userid is the number of one of our people."""
    userid = heard.named("UserID")
    if not is_there(heard.gateway, userid=userid):
        return Outcome.DOUBT
    org.link_account(corp=heard.corp, userid=userid, by=None, now=heard.now)
    return Outcome.DONE


def changed(heard: Heard) -> Outcome:
    """Another userid, perhaps; who has left by now has left."""
    old, new = heard.named("UserID"), heard.text("NewUserID")
    gateway = heard.gateway
    if new and is_there(gateway, userid=new):
        org.rename_account(corp=heard.corp, userid=old, new=new, by=None, now=heard.now)
        friends.rename(corp=heard.corp, userid=old, new=new)
        org.link_account(corp=heard.corp, userid=new, by=None, now=heard.now)
        return Outcome.DONE
    if is_there(gateway, userid=new or old):
        return Outcome.DONE
    return _checked(heard, new or old)


def left(heard: Heard) -> Outcome:
    """Believed as soon as the address book says so too; it may be some seconds behind."""
    return _checked(heard, heard.named("UserID"))


def _checked(heard: Heard, userid: str) -> Outcome:
    if is_there(heard.gateway, userid=userid):
        return Outcome.DOUBT
    staff = org.staff_of_account(corp=heard.corp, userid=userid)
    if staff is not None:
        part(staff=staff, corp=heard.corp, now=heard.now)
    return Outcome.DONE


def is_there(gateway: Gateway, *, userid: str) -> bool:
    try:
        return gateway.get_user(userid=userid).get("status") != LEFT
    except Rejected as error:
        if error.errcode not in NOBODY:
            raise
        return False


@transaction.atomic
def part(*, staff: Staff, corp: str, now: datetime) -> bool:
    """Somebody left: posts and sessions end, codes go to the spare, the manager hears whose customers wait."""
    store_id = _store(staff, now)
    if not org.part_with(staff=staff, corp=corp, by=None, now=now):
        return False
    if staff.user is not None:
        gate.end_sessions(user=staff.user, by=None, now=now, reason="left")
    codes.publish(ways=codes.of_staff(staff_id=staff.pk), now=now)
    waiting = Friend._base_manager.filter(corp=corp, staff=staff, state=Friend.State.FRIEND).count()
    notices.tell_all(
        staff=notices.managers_of(store_id=store_id, now=now),
        kind=Notice.Kind.STAFF_LEFT,
        title=_("%(name)s已经离职") % {"name": staff.name},
        text=_("名下有 %(count)s 位企业微信顾客等人接手。") % {"count": waiting},
        about=staff,
        is_todo=True,
        effect=f"left:{corp[:24]}:{now:%Y%m%d}:{staff.pk}",
        now=now,
    )
    return True


def _store(staff: Staff, now: datetime) -> int | None:
    held = org.roster(since=now, until=now, staff_ids=[staff.pk]).person(at=now, staff_id=staff.pk)
    return held.store_id if held else None
