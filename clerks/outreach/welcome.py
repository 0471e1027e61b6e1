"""欢迎语: the fast lane. A WelcomeCode is good for twenty seconds and once; what is missed is a to-do of the clerk.

    waiting ──▶ sent     or taken (another application was faster), refused (the customer wants no word from us)
       └─ 18 s after the callback ──▶ missed: the clerk is told and sends it by hand

Asked again, for as long as it may help, after −1, 41096 or a broken line: a code works once, so nobody is greeted
twice. Each try is a run of the job, which is due again a moment later (`jobs.Later`): no worker sleeps, so nobody's
trouble is anybody else's. Nothing here waits for a look at the customer, or for a line that is closed to others.

Files were given to WeCom long before (`retail.wecom.media`). One that it has forgotten all the same is uploaded by a
job of the common queue, which is looked for between the tries; where there is not the time, or it fails, the customer
is greeted without it, and the greeting says so (`left_out`).
"""

import time
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any
from zlib import crc32

from django.db.models import Exists, F, OuterRef, Q
from django.utils import timezone
from django.utils.translation import gettext as _

from clerks import friends
from clerks.models import ContactWay, Friend, Greeting, Notice, Welcome, WelcomePart
from clerks.outreach import contact, notices, wording
from members import identity
from retail import database, jobs, org, privacy
from retail.models import Staff, Store
from retail.wecom import inbox, media
from retail.wecom.errors import Rejected, SwitchedOff, Unreachable, Waiting, WeComError
from retail.wecom.inbox import Opened
from retail.wecom.models import App, Media

DEADLINE = timedelta(seconds=18)
MOST_PARTS = 9
PAUSES = (0.5, 1.0, 2.0)  # seconds after the first tries, the last after each further one
LOOKS = 0.5  # seconds between two looks for a file that is on its way
TRY = timedelta(seconds=4)  # for one try, below the lease of its job
TRIES_FOR_FILES = 3  # after which the customer is greeted without those that WeCom forgets again and again
DELIVERED = 41051
RESERVE = timedelta(seconds=6)  # of the time left no file may take: the welcome itself needs it
State = Greeting.State


# ── What is said ─────────────────────────────────────────────────────────────────────────────────────────────────────
def choose(*, staff: Staff, store: Store, state_code: str, at: datetime) -> Welcome | None:
    """The narrowest welcome that fits: of the code, the clerk, the store, this time of day; of equals the newest."""
    way = ContactWay._base_manager.filter(state_code=state_code).first() if state_code else None
    rows = Welcome._base_manager.select_related("brand").filter(
        Q(way=None) | Q(way=way),
        Q(staff=None) | Q(staff=staff),
        Q(store=None) | Q(store=store),
        brand=store.brand_id,
        is_active=True,
    )
    rows = rows.annotate(has_parts=Exists(WelcomePart._base_manager.filter(welcome=OuterRef("pk"))))
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


def text_of(*, welcome: Welcome, staff: Staff | None, store: Store | None) -> str:
    """The words, with the names of clerk, store and brand."""
    names = {"clerk": staff.name if staff else "", "store": store.name if store else "", "brand": welcome.brand.name}
    return wording.cut(wording.fill(welcome.text, names))


def parts_of(*, welcome: Welcome) -> list[WelcomePart]:
    """Its attachments. Of one that `choose` chose it is known whether it has any."""
    if not getattr(welcome, "has_parts", True):
        return []
    return list(welcome.parts.select_related("media").order_by("pk")[:MOST_PARTS])


def misfit(*, kind: str, media: Media | None, corp: str) -> str:
    """Why this file cannot be that kind of attachment, in words; "" where it can."""
    if media is None:
        return ""
    if kind == WelcomePart.Kind.LINK:
        return _("网页不带素材，图片用网址。")
    fitting = Media.Kind.IMAGE if kind == WelcomePart.Kind.MINIPROGRAM else kind
    if media.kind != fitting:
        return _("这个素材不是%(kind)s。") % {"kind": Media.Kind(fitting).label}
    return "" if corp in ("", media.corp_id) else _("这个素材是别的企业的。")


def attachments_of(*, parts: Iterable[WelcomePart], ids: Mapping[int, str]) -> list[dict[str, Any]]:
    """As the gateway wants them. `ids`: media → what WeCom calls it now; what is not there stays away."""
    return [_attachment(part, ids) for part in parts if part.media_id is None or part.media_id in ids]


def _attachment(part: WelcomePart, ids: Mapping[int, str]) -> dict[str, Any]:
    file = {"media_id": ids[part.media_id]} if part.media_id is not None else {}
    body: dict[str, str]
    if part.kind == WelcomePart.Kind.LINK:
        body = {"title": part.title, "url": part.url, "desc": part.about, "picurl": part.picture_url}
    elif part.kind == WelcomePart.Kind.MINIPROGRAM:
        body = {"title": part.title, "pic_media_id": file["media_id"], "appid": part.appid, "page": part.page}
    else:
        body = file or {"pic_url": part.picture_url}
    return {"msgtype": part.kind, part.kind: body}


# ── The fast lane ────────────────────────────────────────────────────────────────────────────────────────────────────
def send(*, message_id: int, now: datetime) -> None:
    """Greet whom a callback is about: one try, which ends with a state or raises jobs.Later, and what is no matter of
    WeCom's.
    """
    try:
        opened = inbox.open_message(message_id)
    except inbox.Forgotten:  # the person wanted to be
        return
    greeting, is_at_work = _begin(opened, now)
    if greeting.state != State.WAITING:
        return
    if greeting.welcome is None or greeting.staff is None or not is_at_work:
        _end(greeting, State.NOTHING, now)
        return
    _deliver(_Delivery(greeting, opened, now))


def _begin(opened: Opened, now: datetime) -> tuple[Greeting, bool]:
    """The row of this code, made with what will be said before anything is, and whether its clerk works here now.

    Nobody is greeted in the name of somebody who has left meanwhile. Made at the first try, which is nearly always the
    only one: so it is tried to be made before it is looked for.
    """
    message, fields = opened
    corp, at = message.app.corp_id, message.received_at
    staff = org.staff_of_account(corp=corp, userid=fields.get("UserID", ""))
    roster = org.roster(since=at, until=max(at, now), staff_ids=[staff.pk] if staff else [], is_hot=True)
    held = roster.person(at=at, staff_id=staff.pk) if staff else None
    store = Store._base_manager.select_related("brand").get(pk=held.store_id) if held and held.store_id else None
    welcome = None
    if staff and store:
        welcome = choose(staff=staff, store=store, state_code=fields.get("State", ""), at=at)
    known = friends.key_of(corp=corp, external_userid=fields["ExternalUserID"])
    key_id = privacy.keep([known])[known]
    row = Greeting(message=message, key_id=key_id, staff=staff, store=store, welcome=welcome, received_at=at)
    if not _is_first(row):
        rows = Greeting._base_manager.select_related("welcome__brand", "staff", "store")
        row = rows.get(message=message)
    return row, row.staff_id is not None and roster.person(at=now, staff_id=row.staff_id) is not None


def _is_first(row: Greeting) -> bool:
    """Write the row, unless there is one of this message: another try, or a worker that died, has made it."""
    given = [row.message_id, row.key_id, row.staff_id, row.store_id, row.welcome_id, row.state, row.received_at]
    made = database.planned(_MAKE, given)
    if made:
        row.pk = made[0][0]
        row._state.adding = False
    return bool(made)


_MAKE = """
INSERT INTO clerks_greeting (message_id, key_id, staff_id, store_id, welcome_id, state, received_at, attempts)
VALUES (%s, %s, %s, %s, %s, %s, %s, 0) ON CONFLICT (message_id) DO NOTHING RETURNING id
"""


class _Delivery:
    """What is to be said in this try, and the time there is; `now` is when it began, the rest is measured."""

    def __init__(self, greeting: Greeting, opened: Opened, now: datetime) -> None:
        assert greeting.welcome is not None
        self.greeting, self.opened = greeting, opened
        self.text = text_of(welcome=greeting.welcome, staff=greeting.staff, store=greeting.store)
        self.parts = parts_of(welcome=greeting.welcome)
        self.ends = greeting.received_at + DEADLINE
        self._now, self._began = now, time.monotonic()
        self.ids = self._ids()

    @property
    def at(self) -> datetime:
        return self._now + timedelta(seconds=time.monotonic() - self._began)

    @property
    def app(self) -> App:
        return self.opened.message.app

    @property
    def attachments(self) -> list[dict[str, Any]]:
        return attachments_of(parts=self.parts, ids=self.ids)

    def again(self, pause: float, said: str) -> jobs.Later:
        """Not now, but after a pause, or when time is up: then it is missed."""
        return jobs.Later(said, until=min(self.at + timedelta(seconds=pause), self.ends))

    def awaits_files(self) -> bool:
        """Whether one that WeCom does not hold may yet be there in time. Has it uploaded."""
        if self.at >= self.ends - RESERVE or self.greeting.attempts >= TRIES_FOR_FILES:
            return False
        late = [file for file in self._files() if file.is_active and file.pk not in self.ids]
        coming = [media.is_coming(file, now=self.at) for file in late]  # each is asked for, not the first alone
        return any(coming)

    def forget_files(self) -> None:
        """WeCom knows one of the ids no more, and does not say which: all are to be had anew."""
        for file in self._files():
            if file.pk in self.ids:
                media.forget(media=file, refused=self.ids[file.pk])
        self.ids = {}

    def _files(self) -> Collection[Media]:
        return {part.media for part in self.parts if part.media is not None}

    def _ids(self) -> dict[int, str]:
        """Media → id, of those that WeCom has."""
        found = {file.pk: media.usable(file, now=self.at) for file in self._files() if file.is_active}
        return {pk: id for pk, id in found.items() if id}


def _deliver(delivery: _Delivery) -> None:
    """One try: it is sent, is of no use, comes too late, or is due again."""
    greeting = delivery.greeting
    if delivery.at >= delivery.ends:
        return _miss(delivery)
    if delivery.awaits_files():
        raise delivery.again(LOOKS, "A file is on its way.")
    is_unsure = _begin_try(greeting)
    try:
        _ask(delivery)
    except contact.Forbidden:
        return _end(greeting, State.REFUSED, delivery.at)
    except Rejected as error:
        if error.errcode == media.GONE and delivery.ids:
            delivery.forget_files()
            _keep_errcode(greeting, None if is_unsure else media.GONE)
            return _deliver(delivery)
        return _refused(delivery, error, is_unsure)
    except SwitchedOff:
        return _miss(delivery)
    except Waiting as error:
        is_unsure |= isinstance(error, Unreachable) and error.may_have_worked
        _keep_errcode(greeting, None if is_unsure else error.errcode)
        raise delivery.again(PAUSES[min(greeting.attempts, len(PAUSES)) - 1], str(error)) from error
    except WeComError as error:
        greeting.errcode = error.errcode
        return _miss(delivery)
    return _sent(delivery)


def _begin_try(greeting: Greeting) -> bool:
    """Count a try before it is made. True if one before may have worked: what came of it nobody could write down."""
    is_unsure = greeting.attempts > 0 and greeting.errcode is None
    greeting.attempts += 1
    Greeting._base_manager.filter(pk=greeting.pk).update(attempts=F("attempts") + 1, errcode=None)
    return is_unsure


def _keep_errcode(greeting: Greeting, errcode: int | None) -> None:
    """None once one try may have worked: whatever is answered to the later ones, 41051 may then be our own doing."""
    greeting.errcode = errcode
    greeting.save(update_fields=["errcode"])


def _ask(delivery: _Delivery) -> None:
    greeting, at = delivery.greeting, delivery.at
    contact.welcome(
        app=delivery.app,
        code=delivery.opened.fields["WelcomeCode"],
        text=delivery.text,
        attachments=delivery.attachments,
        member_id=identity.owners([greeting.key_id]).get(greeting.key_id),
        by=greeting.staff,
        within=min(TRY, delivery.ends - at),
        now=at,
    )


def _sent(delivery: _Delivery) -> None:
    greeting = delivery.greeting
    greeting.errcode, greeting.left_out = 0, len(delivery.parts) - len(delivery.attachments)
    _end(greeting, State.SENT, delivery.at)
    _record(greeting, delivery.app.corp_id)


def _refused(delivery: _Delivery, error: Rejected, is_unsure: bool) -> None:
    delivery.greeting.errcode = error.errcode
    if error.errcode == DELIVERED:
        _end(delivery.greeting, State.SENT if is_unsure else State.TAKEN, delivery.at)
    else:
        _miss(delivery)


def _end(greeting: Greeting, state: str, at: datetime) -> None:
    greeting.state = state
    greeting.took_ms = max(0, round((at - greeting.received_at).total_seconds() * 1000))
    greeting.save(update_fields=["state", "took_ms", "errcode", "left_out"])


def record(*, message_id: int) -> None:
    """What follows from a greeting as soon as we know who was greeted: asked from both lanes, once counts.

    That a customer was greeted is a touch; a to-do to greet them by hand names them.
    """
    greeting = Greeting._base_manager.filter(message=message_id).select_related("staff", "message__app").first()
    if greeting is not None:
        _record(greeting, greeting.message.app.corp_id)


def _record(greeting: Greeting, corp: str) -> None:
    member_id = identity.owners([greeting.key_id]).get(greeting.key_id)
    if member_id is None:
        return
    if greeting.state == State.MISSED:
        _name(greeting)
    if greeting.state != State.SENT:
        return
    contact.touch(
        member_id=member_id,
        corp=corp,
        purpose=contact.Purpose.WELCOME,
        by=greeting.staff,
        store_id=greeting.store_id,
        effect=f"welcome:{greeting.message_id}",
        now=greeting.received_at,
    )


def _miss(delivery: _Delivery) -> None:
    """Too late: the clerk says hello by hand."""
    greeting, at = delivery.greeting, delivery.at
    _end(greeting, State.MISSED, at)
    if greeting.staff is not None:
        friend = _friend(greeting)
        notices.tell(
            staff=greeting.staff,
            kind=Notice.Kind.WELCOME_MISSED,
            title=_missed(friend),
            text=delivery.text[:500],
            about=greeting,
            friend=friend,
            is_todo=True,
            effect=f"welcome:{greeting.pk}",
            now=at,
        )


def _friend(greeting: Greeting) -> Friend | None:
    rows = Friend._base_manager.filter(key=greeting.key_id, staff=greeting.staff_id, member__isnull=False)
    return rows.select_related("member").first()


def _missed(friend: Friend | None) -> str:
    """By name where it is known yet: which of today's new customers it is."""
    name = privacy.without_numbers(friend.member.name) if friend and friend.member else ""
    if name:
        return _("%(name)s加了您，欢迎语没发出去") % {"name": name[:30]}
    return _("有新顾客加了您，欢迎语没发出去")


def _name(greeting: Greeting) -> None:
    """The look at the customer came after the notice."""
    if friend := _friend(greeting):
        rows = Notice._base_manager.filter(kind=Notice.Kind.WELCOME_MISSED, about_id=str(greeting.pk), friend=None)
        rows.update(friend=friend, title=_missed(friend)[:64])


# ── Files ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def renew_file(*, media_id: int, now: datetime) -> None:
    """A job: upload a file; headquarters hears of one that WeCom does not take, once for each reason."""
    file = media.renew(media_id=media_id, now=now)
    if file.trouble:
        notices.tell_all(
            staff=notices.operators(now=now),
            kind=Notice.Kind.MEDIA_TROUBLE,
            title=_("素材“%(name)s”有问题") % {"name": file.name[:30]},
            text=file.trouble,
            about=file,
            is_todo=True,
            effect=f"media:{file.pk}:{crc32(file.trouble.encode())}",
            now=now,
        )
