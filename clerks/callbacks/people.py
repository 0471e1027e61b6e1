"""Who works in a corp: they come, get another account, leave. What counts is what the address book says now."""

from enum import Enum, auto

from clerks import friends
from clerks.callbacks.heard import Heard, Outcome
from clerks.handover import leaving
from retail import org
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
        leaving.leave(staff=staff, corp=heard.corp, by=None, now=heard.now)
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
