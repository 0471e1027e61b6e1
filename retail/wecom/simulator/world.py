"""What the simulated WeCom knows: plain records of one corporation each, and how to look things up in them.

Nothing here speaks a protocol. `api/` changes the records for software and tells nobody; `acts` changes them for
people, which is what callbacks are about. A record changes only while `World.lock` is held.
"""

import copy
import heapq
import itertools
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from retail.wecom.simulator.clock import Clock
from retail.wecom.simulator.refusals import Refused

DAY = 86400.0
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


# ── The corporation and its software ─────────────────────────────────────────────────────────────────────────────────
@dataclass
class Target:
    """Where callbacks of an app go, and how they are sealed."""

    url: str
    token: str
    aes_key: str


@dataclass
class App:
    agent_id: int
    name: str
    secret: str
    scopes: set[str] | None = None  # None: all but the synchronisation of the address book
    visible: set[str] | None = None  # userids and "party:<id>"; None: everybody
    trusted_ips: set[str] | None = None
    trusted_domain: str = ""  # host:port of pages that may sign people in; "": any
    home_url: str = ""
    sidebar_url: str = ""
    target: Target | None = None
    is_enabled: bool = True
    old_secrets: set[str] = field(default_factory=set)

    def may(self, scope: str) -> bool:
        return not scope or (scope != "sync" if self.scopes is None else scope in self.scopes)


@dataclass
class Department:
    id: int
    name: str
    parentid: int = 1
    order: int = 1


@dataclass
class Member:
    userid: str
    name: str
    department: list[int]
    position: str = ""
    gender: str = "0"
    is_active: bool = True
    may_have_customers: bool = True
    welcome: str = ""  # set by the administrator; then apps get no WelcomeCode
    customer_limit: int = 20_000
    left_at: float | None = None


@dataclass
class Customer:
    external_userid: str
    name: str
    type: int = 1  # 1 WeChat, 2 WeCom
    gender: int = 0
    avatar: str = ""
    unionid: str = ""
    corp_name: str = ""


@dataclass
class Follow:
    """A clerk's side of the relation. `half`: not confirmed yet; `is_lost`: the customer has deleted the clerk."""

    userid: str
    external_userid: str
    created_at: int
    state: str = ""
    add_way: int = 1
    oper_userid: str = ""
    config_id: str = ""
    remark: str = ""
    description: str = ""
    remark_corp_name: str = ""
    remark_mobiles: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    is_half: bool = False
    is_lost: bool = False


@dataclass
class Line:
    """Something said between a clerk and a customer, or in a group chat."""

    at: float
    chat: str  # "userid|external_userid" or a chat_id
    by: str
    kind: str
    content: dict[str, Any]
    via: str = ""  # the feature it was sent with: welcome, group_send, sidebar, transfer


@dataclass
class Way:
    """联系我: a code that customers scan."""

    config_id: str
    created_at: int
    app: int
    fields: dict[str, Any]
    qr_code: str


@dataclass
class Greeting:
    """One moment in which a customer may be welcomed; every app has a code of its own for it."""

    userid: str
    external_userid: str
    until: float
    sent_at: float | None = None
    sent_by: int = 0


@dataclass
class Tag:
    id: str
    name: str
    order: int
    created_at: int
    app: int  # 0: an administrator


@dataclass
class TagGroup:
    id: str
    name: str
    order: int
    created_at: int
    app: int
    tags: list[Tag] = field(default_factory=list)


@dataclass
class Chat:
    """A group chat with customers in it. `members`: id → what the interface says of one."""

    chat_id: str
    name: str
    owner: str
    created_at: int
    notice: str = ""
    status: int = 0  # 0 well, 1 the owner has left, 2 being handed over, 3 handed over
    members: dict[str, dict[str, Any]] = field(default_factory=dict)
    admins: list[str] = field(default_factory=list)
    member_version: str = ""
    dismissed_at: float | None = None


@dataclass
class Sending:
    """A group message. `parts`: clerk → receiver → [status, time]; the clerk has to press the button."""

    msgid: str
    app: int
    created_at: float
    chat_type: str
    content: dict[str, Any]
    parts: dict[str, dict[str, list[int]]]
    sent_at: dict[str, int] = field(default_factory=dict)
    reminded_at: list[float] = field(default_factory=list)
    is_cancelled: bool = False


@dataclass
class Transfer:
    """A hand-over of one customer. `status`: 1 done, 2 waiting, 3 refused, 4 at the limit."""

    handover: str
    takeover: str
    external_userid: str
    started_at: float
    said: str = ""
    status: int = 2
    ended_at: float = 0
    is_resigned: bool = False


@dataclass
class Moment:
    jobid: str
    moment_id: str
    app: int  # 0: a clerk published it of their own accord
    created_at: int
    content: dict[str, Any]
    parts: dict[str, list[str]]  # clerk → customers who see it
    published_at: dict[str, int] = field(default_factory=dict)
    comments: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Media:
    media_id: str
    type: str
    name: str
    content: bytes
    until: float


@dataclass
class Note:
    """A message of an app in a clerk's inbox."""

    msgid: str
    app: int
    userid: str
    at: float
    msgtype: str
    content: dict[str, Any]


@dataclass
class Ticket:
    """Something handed out that expires: an access token, a ticket, a code. `of` says whom it is for."""

    value: str
    app: int
    until: float
    of: dict[str, Any] = field(default_factory=dict)
    is_used: bool = False


@dataclass
class Corp:
    corp_id: str
    name: str
    apps: dict[int, App] = field(default_factory=dict)
    departments: dict[int, Department] = field(default_factory=dict)
    members: dict[str, Member] = field(default_factory=dict)
    member_tags: dict[int, dict[str, Any]] = field(default_factory=dict)  # id → {name, userids}
    customers: dict[str, Customer] = field(default_factory=dict)
    follows: dict[tuple[str, str], Follow] = field(default_factory=dict)  # (userid, external_userid)
    once: set[tuple[str, str]] = field(default_factory=set)  # pairs that have been friends
    requests: list[dict[str, Any]] = field(default_factory=list)  # friends to be, where the code asks the clerk
    unassigned: dict[tuple[str, str], float] = field(default_factory=dict)  # (left member, customer) → since
    lines: list[Line] = field(default_factory=list)
    ways: dict[str, Way] = field(default_factory=dict)
    greetings: dict[str, tuple[int, Greeting]] = field(default_factory=dict)  # welcome code → app, greeting
    tag_groups: dict[str, TagGroup] = field(default_factory=dict)
    chats: dict[str, Chat] = field(default_factory=dict)
    sendings: dict[str, Sending] = field(default_factory=dict)
    transfers: list[Transfer] = field(default_factory=list)
    moments: dict[str, Moment] = field(default_factory=dict)
    media: dict[str, Media] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    cards: dict[str, Ticket] = field(default_factory=dict)  # response codes of template cards
    losses: list[tuple[float, str]] = field(default_factory=list)  # when which clerk was deleted by a customer
    chat_transfers: list[tuple[float, str, str]] = field(default_factory=list)  # when, chat, new owner
    snapshot: "tuple[float, Corp] | None" = None  # until when reads still see what was before

    # ── Looking up ──
    def app(self, agent_id: int) -> App:
        if agent_id not in self.apps:
            raise Refused(40056)
        return self.apps[agent_id]

    def member(self, userid: str, code: int = 60111) -> Member:
        """Ids of members are compared without case."""
        member = self.members.get(userid) or next(
            (one for known, one in self.members.items() if known.lower() == userid.lower()), None
        )
        if member is None or member.left_at is not None:
            raise Refused(code)
        return member

    def customer(self, external_userid: str, code: int = 40096) -> Customer:
        if external_userid not in self.customers:
            raise Refused(code)
        return self.customers[external_userid]

    def follow(self, userid: str, external_userid: str, code: int = 84061) -> Follow:
        if (userid, external_userid) not in self.follows:
            raise Refused(code)
        return self.follows[userid, external_userid]

    def chat(self, chat_id: str) -> Chat:
        if chat_id not in self.chats:
            raise Refused(40050)
        return self.chats[chat_id]

    def tags(self) -> Iterator[tuple[TagGroup, Tag]]:
        return ((group, tag) for group in self.tag_groups.values() for tag in group.tags)

    def present(self) -> list[Member]:
        return [member for member in self.members.values() if member.left_at is None]

    def follows_of(self, userid: str) -> list[Follow]:
        """Confirmed ones, oldest first; as at the vendor also those whose customer has deleted the clerk."""
        return [one for (clerk, _), one in self.follows.items() if clerk == userid and not one.is_half]

    def followers_of(self, external_userid: str) -> list[Follow]:
        return [one for (_, who), one in self.follows.items() if who == external_userid and not one.is_half]

    def branch(self, department_id: int) -> set[int]:
        """A department with all below it."""
        found, fresh = {department_id}, {department_id}
        while fresh:
            fresh = {one.id for one in self.departments.values() if one.parentid in fresh} - found
            found |= fresh
        return found

    def sees(self, app: App, member: Member) -> bool:
        """Whether the member is in the visible range of the app."""
        if app.visible is None or member.userid in app.visible:
            return True
        parties = [int(one.partition(":")[2]) for one in app.visible if one.startswith("party:")]
        return any(set(member.department) & self.branch(party) for party in parties)

    def last_talks(self) -> dict[str, Follow]:
        """Customer → the relation in which they were last spoken with; else the newest one."""
        by_age = sorted((one for one in self.follows.values() if not one.is_half), key=lambda one: one.created_at)
        found = {one.external_userid: one for one in by_age}
        by_chat = {f"{one.userid}|{one.external_userid}": one for one in by_age}
        for line in self.lines:
            if follow := by_chat.get(line.chat):
                found[follow.external_userid] = follow
        return found


# ── All of them, and time ────────────────────────────────────────────────────────────────────────────────────────────
@dataclass
class Settings:
    """What a test or a visitor may turn."""

    token_seconds: int = 7200
    stale_seconds: float = 0.0  # how long reads lag behind an act; the vendor's groups: about 2
    welcome_seconds: float = 20.0
    race_seconds: float = 1.0  # in which a second app's welcome is told 41096 instead of 41051
    transfer_seconds: float = DAY
    dispatch_seconds: float = 1.0  # in which the result of a group message is 41063
    group_send_cap: str = "month"  # of one customer: month (as many as it has days), week (7), day (1)
    old_interface: bool = False  # mobile, mail and avatar of members are shown, as to apps of before 2022-06-20


class World:
    """Corporations, the clock and what is due. `agenda` holds what will happen by itself, such as a hand-over."""

    def __init__(self, *, clock: Clock, base_url: str, seed: int = 1) -> None:
        self.clock = clock
        self.base_url = base_url
        self.settings = Settings()
        self.lock = threading.RLock()
        self.corps: dict[str, Corp] = {}
        self.tokens: dict[str, tuple[str, Ticket]] = {}  # access token → corp, ticket
        self.tickets: dict[tuple[str, int, str], Ticket] = {}  # corp, app (0 for the corp's own kind), kind
        self.codes: dict[str, tuple[str, Ticket]] = {}  # sign-in codes and user tickets
        self.random = Random(seed)
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count(1)

    def corp(self, corp_id: str) -> Corp:
        if corp_id not in self.corps:
            raise Refused(40013)
        return self.corps[corp_id]

    def fresh_id(self, prefix: str, length: int = 32) -> str:
        """An id as opaque as the vendor's."""
        return prefix + "".join(self.random.choices(ALPHABET, k=length - len(prefix)))

    def at(self, moment: float, happening: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (moment, next(self._numbers), happening))

    def catch_up(self) -> None:
        """Let happen what is due by now, in the order of time."""
        with self.lock:
            while self._agenda and self._agenda[0][0] <= self.clock.now():
                heapq.heappop(self._agenda)[2]()

    def keep_stale(self, corp: Corp) -> None:
        """Before an act: for a while, reads will show the world as it is now."""
        seconds, now = self.settings.stale_seconds, self.clock.now()
        if seconds and (corp.snapshot is None or corp.snapshot[0] <= now):
            corp.snapshot = None
            corp.snapshot = (now + seconds, copy.deepcopy(corp))

    def as_read(self, corp: Corp) -> Corp:
        if corp.snapshot is None:
            return corp
        until, before = corp.snapshot
        return before if self.clock.now() < until else corp

    def tokens_owner(self, access_token: str) -> tuple[str, int]:
        """Corporation and app of a token, expired or not; ("", 0) of any other."""
        corp_id, token = self.tokens.get(access_token, ("", Ticket("", 0, 0)))
        return corp_id, token.app
