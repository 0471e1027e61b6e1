"""Who works in a corp: they come, get another account, leave. What counts is what the address book says now."""

from datetime import datetime
from enum import Enum, auto

from django.db import transaction
from django.utils.translation import gettext as _

from clerks import friends
from clerks.callbacks.heard import Heard, Outcome
from clerks.models import Friend, Notice
from clerks.outreach import codes, notices
from retail import gate, org
from retail.models import Staff
from retail.wecom.errors import Misconfigured, Rejected
from retail.wecom.gateway import Gateway

NOBODY = frozenset({60111, 40003, 46004})
OUT_OF_SIGHT = 60011  # of a member outside what the application may see; whether they are there it does not say
LEFT = 5  # the status of somebody who has left the corp


class Presence(Enum):
    THERE = auto()
    GONE = auto()
    HIDDEN = auto()  # nothing is known of them, so they stay as they are


def came(heard: Heard) -> Outcome:
    """Somebody new: ours, if their userid is the number of one of our people."""
    userid = heard.named("UserID")
    presence = look_for(heard.gateway, userid=userid)
    if presence is Presence.THERE:
        org.link_account(corp=heard.corp, userid=userid, by=None, now=heard.now)
    return _AS_SEEN[presence]


def changed(heard: Heard) -> Outcome:
    """Another userid, perhaps; who has left by now has left."""
    old, new = heard.named("UserID"), heard.text("NewUserID")
    gateway = heard.gateway
    if new and look_for(gateway, userid=new) is Presence.THERE:
        org.rename_account(corp=heard.corp, userid=old, new=new, by=None, now=heard.now)
        friends.rename(corp=heard.corp, userid=old, new=new)
        org.link_account(corp=heard.corp, userid=new, by=None, now=heard.now)
        return Outcome.DONE
    presence = look_for(gateway, userid=new or old)
    return _parted(heard, new or old) if presence is Presence.GONE else _AS_SEEN[presence]


def left(heard: Heard) -> Outcome:
    """Believed as soon as the address book says so too; it may be some seconds behind."""
    userid = heard.named("UserID")
    presence = look_for(heard.gateway, userid=userid)
    if presence is Presence.GONE:
        return _parted(heard, userid)
    return Outcome.DOUBT if presence is Presence.THERE else Outcome.IGNORED


_AS_SEEN = {Presence.THERE: Outcome.DONE, Presence.GONE: Outcome.DOUBT, Presence.HIDDEN: Outcome.IGNORED}


def _parted(heard: Heard, userid: str) -> Outcome:
    staff = org.staff_of_account(corp=heard.corp, userid=userid)
    if staff is not None:
        part(staff=staff, corp=heard.corp, now=heard.now)
    return Outcome.DONE


def look_for(gateway: Gateway, *, userid: str) -> Presence:
    """What the address book says of a member now."""
    try:
        return Presence.GONE if gateway.get_user(userid=userid).get("status") == LEFT else Presence.THERE
    except Rejected as error:
        if error.errcode not in NOBODY:
            raise
        return Presence.GONE
    except Misconfigured as error:
        if error.errcode != OUT_OF_SIGHT:
            raise
        return Presence.HIDDEN


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
