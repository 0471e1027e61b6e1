"""欢迎语: the fast lane. A WelcomeCode is good for twenty seconds and once; what is missed is a to-do of the clerk.

    waiting ──▶ sent     or taken (another application was faster), refused (the customer wants no word from us)
       └─ 18 s after the callback ──▶ missed: the clerk is told and sends it by hand

Asked again, for as long as it may help, after −1, 41096 or a broken line: a code works once, so nobody is greeted
twice. Nothing here waits for a look at the customer, or for a line that is closed to everybody else.
"""

import time
from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import chain, islice, repeat
from typing import Any, NamedTuple

from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext as _

from clerks import friends
from clerks.models import ContactWay, Greeting, Welcome, WelcomePart
from clerks.outreach import contact, notices
from members import identity
from retail import org, privacy
from retail.models import Staff, Store
from retail.wecom import inbox
from retail.wecom.errors import Rejected, Unreachable, Waiting, WeComError
from retail.wecom.inbox import Opened

DEADLINE = timedelta(seconds=18)
MOST_PARTS = 9
PAUSES = (0.5, 1.0, 2.0)  # seconds after the first tries, the last after each further one
DELIVERED = 41051
State = Greeting.State


class Said(NamedTuple):
    """A welcome as it goes out."""

    text: str
    attachments: list[dict[str, Any]]


# ── What is said ─────────────────────────────────────────────────────────────────────────────────────────────────────
def choose(*, staff: Staff, store: Store, state_code: str, at: datetime) -> Welcome | None:
    """The narrowest welcome that fits: of the code, the clerk, the store, this time of day; of equals the newest."""
    way = ContactWay._base_manager.filter(state_code=state_code).first() if state_code else None
    rows = Welcome._base_manager.filter(
        Q(way=None) | Q(way=way),
        Q(staff=None) | Q(staff=staff),
        Q(store=None) | Q(store=store),
        brand=store.brand_id,
        is_active=True,
    )
    clock = timezone.localtime(at).time()
    fitting = [row for row in rows if is_within(clock, row.starts, row.ends)]
    return max(fitting, key=_narrowness, default=None)


def _narrowness(row: Welcome) -> tuple[bool, bool, bool, bool, int]:
    return row.way_id is not None, row.staff_id is not None, row.store_id is not None, row.starts is not None, row.pk


def is_within(clock: Any, starts: Any, ends: Any) -> bool:
    """Whether a time of day lies between two others; `starts` after `ends` spans midnight, none is all day."""
    if starts is None or ends is None:
        return True
    return starts <= clock < ends if starts <= ends else clock >= starts or clock < ends


def compose(
    *, welcome: Welcome, staff: Staff | None, store: Store | None, parts: Iterable[WelcomePart] | None = None
) -> Said:
    """The words and attachments, as the gateway wants them. `parts`: instead of those kept, for one being written."""
    names = {"{clerk}": staff.name if staff else "", "{store}": store.name if store else ""}
    names["{brand}"] = welcome.brand.name
    text = welcome.text
    for placeholder, name in names.items():
        text = text.replace(placeholder, name)
    shown = welcome.parts.order_by("pk") if parts is None else parts
    return Said(text, [_attachment(part) for part in islice(shown, MOST_PARTS)])


def _attachment(part: WelcomePart) -> dict[str, Any]:
    if part.kind == WelcomePart.Kind.IMAGE:
        body = {"media_id": part.media_id} if part.media_id else {"pic_url": part.picture_url}
    elif part.kind == WelcomePart.Kind.LINK:
        body = {"title": part.title, "url": part.url, "desc": part.about, "picurl": part.picture_url}
    else:
        body = {"title": part.title, "pic_media_id": part.media_id, "appid": part.appid, "page": part.page}
    return {"msgtype": part.kind, part.kind: body}


# ── The fast lane ────────────────────────────────────────────────────────────────────────────────────────────────────
def send(*, message_id: int, now: datetime) -> None:
    """Greet whom a callback is about. Ends with a state; raises only what is no matter of WeCom's."""
    try:
        opened = inbox.open_message(message_id)
    except inbox.Forgotten:  # the person wanted to be
        return
    greeting = _begin(opened)
    if greeting.state != State.WAITING:
        return
    welcome = greeting.welcome
    if welcome is None or greeting.staff is None:
        _end(greeting, State.NOTHING, now)
        return
    _deliver(greeting, opened, compose(welcome=welcome, staff=greeting.staff, store=greeting.store), now)


def _begin(opened: Opened) -> Greeting:
    """The row of this code: made, with what will be said, before anything is."""
    message, fields = opened
    existing = (
        Greeting._base_manager.select_related("welcome__brand", "staff", "store").filter(message=message).first()
    )
    if existing is not None:
        return existing
    corp, at = message.app.corp_id, message.received_at
    known = friends.key_of(corp=corp, external_userid=fields["ExternalUserID"])
    staff = org.staff_of_account(corp=corp, userid=fields.get("UserID", ""))
    held = org.roster(since=at, until=at, staff_ids=[staff.pk]).person(at=at, staff_id=staff.pk) if staff else None
    store = Store._base_manager.select_related("brand").get(pk=held.store_id) if held and held.store_id else None
    welcome = None
    if staff and store:
        welcome = choose(staff=staff, store=store, state_code=fields.get("State", ""), at=at)
    given = {"key_id": privacy.keep([known])[known], "staff": staff, "store": store, "welcome": welcome}
    return Greeting._base_manager.get_or_create(message=message, defaults={**given, "received_at": at})[0]


def _deliver(greeting: Greeting, opened: Opened, said: Said, now: datetime) -> None:
    """Try until it is sent, it is of no use, or time is up. `now` is when this began; the rest is measured."""
    began = time.monotonic()
    may_have_worked = greeting.attempts > 0  # its worker died on the way
    ends = greeting.received_at + DEADLINE
    for pause in chain(PAUSES, repeat(PAUSES[-1])):
        at = _later(now, began)
        if at >= ends:
            break
        Greeting._base_manager.filter(pk=greeting.pk).update(attempts=F("attempts") + 1)
        try:
            _ask(greeting, opened, said, ends - at, at)
        except contact.Forbidden:
            return _end(greeting, State.REFUSED, now)
        except Rejected as error:
            return _refused(greeting, error, may_have_worked, said, _later(now, began))
        except Waiting as error:
            greeting.errcode = error.errcode
            may_have_worked |= isinstance(error, Unreachable) and error.may_have_worked
            time.sleep(max(0.0, min(pause, (ends - _later(now, began)).total_seconds())))
        except WeComError as error:
            greeting.errcode = error.errcode
            break
        else:
            greeting.errcode = 0
            _end(greeting, State.SENT, _later(now, began))
            return record(message_id=opened.message.pk)
    return _miss(greeting, said, _later(now, began))


def _later(now: datetime, began: float) -> datetime:
    return now + timedelta(seconds=time.monotonic() - began)


def _ask(greeting: Greeting, opened: Opened, said: Said, within: timedelta, at: datetime) -> None:
    member_id = identity.owners([greeting.key_id]).get(greeting.key_id)
    contact.welcome(
        app=opened.message.app,
        code=opened.fields["WelcomeCode"],
        text=said.text,
        attachments=said.attachments,
        member_id=member_id,
        by=greeting.staff,
        within=within,
        now=at,
    )


def _refused(greeting: Greeting, error: Rejected, may_have_worked: bool, said: Said, at: datetime) -> None:
    greeting.errcode = error.errcode
    if error.errcode == DELIVERED:
        _end(greeting, State.SENT if may_have_worked else State.TAKEN, at)
    else:
        _miss(greeting, said, at)


def _end(greeting: Greeting, state: str, at: datetime) -> None:
    greeting.state = state
    greeting.took_ms = max(0, round((at - greeting.received_at).total_seconds() * 1000))
    greeting.save(update_fields=["state", "took_ms", "errcode"])


def record(*, message_id: int) -> None:
    """That a customer was greeted is a touch, as soon as we know who they are. Asked from both lanes; once counts."""
    greeting = Greeting._base_manager.filter(message=message_id, state=State.SENT).select_related("staff").first()
    member_id = identity.owners([greeting.key_id]).get(greeting.key_id) if greeting else None
    if greeting is None or member_id is None:
        return
    contact.touch(
        member_id=member_id,
        corp=greeting.message.app.corp_id,
        purpose=contact.Purpose.WELCOME,
        by=greeting.staff,
        store_id=greeting.store_id,
        effect=f"welcome:{message_id}",
        now=greeting.received_at,
    )


def _miss(greeting: Greeting, said: Said, at: datetime) -> None:
    """Too late: the clerk says hello by hand."""
    _end(greeting, State.MISSED, at)
    if greeting.staff is not None:
        notices.tell(
            staff=greeting.staff,
            kind="welcome_missed",
            title=_("有新顾客加了您，欢迎语没发出去"),
            text=said.text[:500],
            about=greeting,
            is_todo=True,
            effect=f"welcome:{greeting.pk}",
            now=at,
        )
