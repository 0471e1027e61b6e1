"""What stands between a caller and an endpoint: limits by window, faults on order, and the log of requests."""

import fnmatch
from collections import Counter, deque
from dataclasses import asdict, dataclass, field
from typing import Any

from retail.wecom.simulator.clock import Clock
from retail.wecom.simulator.refusals import Refused

MINUTE, HOUR = 60.0, 3600.0
LOGGED = 20_000


# ── Limits ───────────────────────────────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True)
class Limit:
    """At most `most` calls per `seconds`, counted by corporation, app ("agent") or address ("ip")."""

    most: int
    seconds: float
    by: str = "corp"


ANY_PATH = [
    Limit(10_000, MINUTE),
    Limit(150_000, HOUR),
    Limit(20_000, MINUTE, by="ip"),
    Limit(600_000, HOUR, by="ip"),
]
TICKET = [Limit(400, HOUR), Limit(100, HOUR, by="agent")]
BY_PATH = {
    "get_jsapi_ticket": TICKET,
    "ticket/get": TICKET,
    "externalcontact/add_moment_task": [Limit(10, MINUTE)],
    "message/send": [],  # counts receivers, see api/messages.py
}
DEBUGGED = [Limit(5, MINUTE)]
CONCURRENT = {"externalcontact/mark_tag": 5}


@dataclass
class _Window:
    began_at: float
    count: int = 0
    shut_until: float = 0.0


class Limits:
    """Windows begin with their first call; once one is full, it stays shut as long as it is wide."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self.by_path: dict[str, list[Limit]] = dict(BY_PATH)
        self.any_path: list[Limit] = list(ANY_PATH)
        self.concurrent: dict[str, int] = dict(CONCURRENT)
        self._windows: dict[tuple[str, str, Limit], _Window] = {}
        self._running: Counter[tuple[str, str]] = Counter()

    def count(self, path: str, *, corp: str, agent: str, ip: str, is_debugged: bool = False) -> None:
        """One more call. Raises Refused(45009)."""
        who = {"corp": corp, "agent": f"{corp}/{agent}", "ip": ip}
        for limit in [*self.by_path.get(path, []), *self.any_path, *(DEBUGGED if is_debugged else [])]:
            if not self.take(limit, f"{path} {who[limit.by]}"):
                raise Refused(45009)

    def take(self, limit: Limit, what: str, amount: int = 1) -> bool:
        now = self._clock.now()
        window = self._windows.setdefault((limit.by, what, limit), _Window(now))
        if now < window.shut_until:
            return False
        if now >= window.began_at + limit.seconds:
            window.began_at, window.count = now, 0
        if window.count + amount > limit.most:
            window.shut_until, window.began_at, window.count = now + limit.seconds, now + limit.seconds, 0
            return False
        window.count += amount
        return True

    def enter(self, path: str, corp: str) -> None:
        """Raises Refused(45033) where as many are already running as may at once."""
        self._running[path, corp] += 1
        if self._running[path, corp] > self.concurrent.get(path, 1 << 30):
            self.leave(path, corp)
            raise Refused(45033)

    def leave(self, path: str, corp: str) -> None:
        self._running[path, corp] -= 1

    def forget(self) -> None:
        self._windows.clear()


# ── Faults ───────────────────────────────────────────────────────────────────────────────────────────────────────────
@dataclass
class Fault:
    """Something that goes wrong with calls of `path` (a pattern such as `externalcontact/*`).

    kind: `errcode` (answers `code`), `status` (HTTP status `code` with a page), `text` (200 with what is not JSON),
    `cut` (the connection is closed without an answer), `slow` (answers after `seconds`, really). `is_late`: the
    effect has happened before; the caller cannot know. `times`: how often, 0 for ever; after the first `skip` calls.
    """

    path: str = "*"
    kind: str = "errcode"
    code: int = -1
    seconds: float = 0.0
    times: int = 1
    skip: int = 0
    is_late: bool = False
    agent: int = 0  # 0: any app
    hits: int = field(default=0)

    def meets(self, path: str, agent: int) -> bool:
        return fnmatch.fnmatchcase(path, self.path) and self.agent in (0, agent)


class Faults:
    def __init__(self) -> None:
        self.plan: list[Fault] = []

    def next(self, path: str, agent: int) -> Fault | None:
        """The first fault that meets this call and is not used up."""
        for fault in self.plan:
            if fault.meets(path, agent):
                if fault.skip:
                    fault.skip -= 1
                elif not fault.times or fault.hits < fault.times:
                    fault.hits += 1
                    return fault
        return None

    def told(self) -> list[dict[str, Any]]:
        return [asdict(fault) for fault in self.plan]


# ── Log ──────────────────────────────────────────────────────────────────────────────────────────────────────────────
SECRET = ("access_token", "corpsecret", "secret")


@dataclass
class Entry:
    """One request that was answered. Secrets and tokens are left out; `body` is what was decoded, or its length."""

    number: int
    at: float
    method: str
    path: str
    query: dict[str, str]
    body: Any
    ip: str
    corp_id: str = ""
    agent_id: int = 0
    status: int = 200
    errcode: int = 0
    fault: str = ""


class Log:
    def __init__(self) -> None:
        self._entries: deque[Entry] = deque(maxlen=LOGGED)
        self._count = 0

    def open(self, **fields: Any) -> Entry:
        self._count += 1
        entry = Entry(number=self._count, **fields)
        entry.query = {name: value for name, value in entry.query.items() if name not in SECRET}
        self._entries.append(entry)
        return entry

    def told(self, *, path: str, after: int, most: int) -> list[dict[str, Any]]:
        found = (one for one in list(self._entries) if one.number > after and fnmatch.fnmatchcase(one.path, path))
        return [asdict(one) for one in list(found)[-most:]]

    def forget(self) -> None:
        self._entries.clear()
