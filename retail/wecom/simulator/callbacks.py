"""Callbacks: what happened, sealed, signed and sent to the apps; tried again where it is not taken.

Events of one subject (a customer, a chat, a member) leave in order, others side by side, as fast as they are taken.
The plan says what shall go wrong on the way: the vendor promises neither order nor that an event comes at all.
"""

import http.client
import itertools
import queue
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import zlib
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from random import Random
from typing import Any

from retail.wecom import crypto
from retail.wecom.simulator.clock import Clock
from retail.wecom.simulator.refusals import Refused
from retail.wecom.simulator.web import is_of_this_machine
from retail.wecom.simulator.world import App, Corp, Target

LANES = 8
REMEMBERED = 20_000
ENVELOPE = (
    "<xml><ToUserName><![CDATA[{corp}]]></ToUserName>"
    "<Encrypt><![CDATA[{sealed}]]></Encrypt><AgentID><![CDATA[{agent}]]></AgentID></xml>"
)


@dataclass(frozen=True)
class Plan:
    """Shares are 0 to 1, of all events; seconds are real ones."""

    deliveries: int = 3  # at most, the first among them
    timeout: float = 5.0
    spacing: float = 1.0  # between deliveries of one event
    verify_timeout: float = 1.0
    drop: float = 0.0
    duplicate: float = 0.0
    delay: float = 0.0  # seconds each event waits
    reorder: int = 0  # so many events are held and leave shuffled
    wrong_signature: float = 0.0
    wrong_receive_id: float = 0.0
    same_nonce: bool = False  # a further delivery repeats the envelope to the byte


@dataclass
class Delivery:
    """One event on its way to one app. state: waiting, delivered, failed, dropped."""

    number: int
    corp_id: str
    agent_id: int
    target: Target
    xml: str
    subject: str
    plan: Plan
    state: str = "waiting"
    attempts: list[dict[str, Any]] = field(default_factory=list)

    def told(self) -> dict[str, Any]:
        told = {name: value for name, value in asdict(self).items() if name not in ("target", "plan")}
        return told | {"url": self.target.url}


class Callbacks:
    def __init__(self, *, clock: Clock, seed: int = 1) -> None:
        self.plan = Plan()
        self._clock = clock
        self._random = Random(seed)
        self._numbers = itertools.count(1)
        self._deliveries: deque[Delivery] = deque(maxlen=REMEMBERED)
        self._held: list[Delivery] = []
        self._lanes: list[queue.SimpleQueue[Delivery | None]] = [queue.SimpleQueue() for _ in range(LANES)]
        self._waiting = 0
        self._changed = threading.Condition()

    def start(self) -> None:
        for lane in self._lanes:
            threading.Thread(target=self._work, args=[lane], daemon=True, name="callbacks").start()

    def stop(self) -> None:
        for lane in self._lanes:
            lane.put(None)

    # ── In ──
    def emit(self, corp: Corp, app: App, fields: Mapping[str, Any], *, by: str = "sys", **turned: Any) -> None:
        """`fields`: what stands after CreateTime. `turned`: parts of the plan for this event alone."""
        head = {"ToUserName": corp.corp_id, "FromUserName": by, "CreateTime": self._clock.stamp(), "MsgType": "event"}
        subject = next((fields[name] for name in ("ExternalUserID", "ChatId", "UserID", "Id") if name in fields), by)
        self.emit_xml(corp, app, as_xml({**head, **fields}), subject=str(subject), **turned)

    def emit_xml(self, corp: Corp, app: App, xml: str, *, subject: str = "", **turned: Any) -> None:
        if app.target is None:
            return
        plan = replace(self.plan, **turned)
        delivery = Delivery(next(self._numbers), corp.corp_id, app.agent_id, app.target, xml, subject, plan)
        self._deliveries.append(delivery)
        if self._happens(plan.drop):
            delivery.state = "dropped"
            return
        with self._changed:
            self._held += [delivery, replace(delivery)] if self._happens(plan.duplicate) else [delivery]
            if len(self._held) > plan.reorder:
                self._let_go()

    def let_go(self) -> None:
        """Send what is held to be shuffled, though it is not enough."""
        with self._changed:
            self._let_go()

    def _let_go(self) -> None:
        if len(self._held) > 1 and self._held[0].plan.reorder:
            self._random.shuffle(self._held)
        self._waiting += len(self._held)
        for delivery in self._held:
            is_ordered = not delivery.plan.reorder
            lane = zlib.crc32(delivery.subject.encode()) if is_ordered else self._random.randrange(LANES)
            self._lanes[lane % LANES].put(delivery)
        self._held = []

    def _happens(self, share: float) -> bool:
        return share > 0 and self._random.random() < share

    # ── What became of them ──
    def told(self, *, after: int = 0) -> list[dict[str, Any]]:
        return [one.told() for one in list(self._deliveries) if one.number > after]

    def wait(self, seconds: float) -> bool:
        """Whether everything has come to an end within so many real seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting, timeout=seconds)

    # ── Out ──
    def _work(self, lane: "queue.SimpleQueue[Delivery | None]") -> None:
        while (delivery := lane.get()) is not None:
            try:
                self._deliver(delivery)
            finally:
                with self._changed:
                    self._waiting -= 1
                    self._changed.notify_all()

    def _deliver(self, delivery: Delivery) -> None:
        plan = delivery.plan
        time.sleep(plan.delay)
        url, body = self._envelope(delivery)
        for number in range(plan.deliveries):
            if number:
                time.sleep(plan.spacing)
                url, body = (url, body) if plan.same_nonce else self._envelope(delivery)
            began = time.monotonic()
            status, error, _ = _asked(url, body, timeout=plan.timeout)
            seconds = round(time.monotonic() - began, 4)
            delivery.attempts.append({"at": self._clock.now(), "status": status, "error": error, "seconds": seconds})
            if status == 200:
                delivery.state = "delivered"
                return
        delivery.state = "failed"

    def _envelope(self, delivery: Delivery) -> tuple[str, bytes]:
        target, plan = delivery.target, delivery.plan
        receive_id = "wwsomebodyelse0001" if self._happens(plan.wrong_receive_id) else delivery.corp_id
        sealed = crypto.encrypt(aes_key=target.aes_key, plain=delivery.xml.encode(), receive_id=receive_id)
        token = "another token" if self._happens(plan.wrong_signature) else target.token
        url = _signed(target.url, token, sealed, stamp=self._clock.stamp(), nonce=self._nonce())
        return url, ENVELOPE.format(corp=delivery.corp_id, sealed=sealed, agent=delivery.agent_id).encode()

    def _nonce(self) -> str:
        return str(self._random.randrange(10**9, 10**10))

    # ── Configured ──
    def configure(self, corp: Corp, app: App, target: Target) -> None:
        """Take the target, once its URL has shown that it can read. Raises Refused otherwise."""
        if not is_of_this_machine(urllib.parse.urlsplit(target.url).netloc):
            raise Refused(40058, "the simulator calls back on this machine only")
        try:
            crypto.require_aes_key(target.aes_key)
        except ValueError as error:
            raise Refused(40058, str(error)) from None
        self.verify(corp, target)
        app.target = target

    def verify(self, corp: Corp, target: Target) -> None:
        plain = str(self._random.randrange(10**18, 10**19))
        sealed = crypto.encrypt(aes_key=target.aes_key, plain=plain.encode(), receive_id=corp.corp_id)
        url = _signed(target.url, target.token, sealed, stamp=self._clock.stamp(), nonce=self._nonce(), is_echo=True)
        status, error, body = _asked(url, None, timeout=self.plan.verify_timeout)
        if status != 200 or body != plain.encode():
            raise Refused(40058, f"the URL did not answer with the text itself: {status or error} {body[:80]!r}")


def _signed(url: str, token: str, sealed: str, *, stamp: int, nonce: str, is_echo: bool = False) -> str:
    given = crypto.signature(token=token, timestamp=str(stamp), nonce=nonce, encrypted=sealed)
    query = {"msg_signature": given, "timestamp": stamp, "nonce": nonce} | ({"echostr": sealed} if is_echo else {})
    return f"{url}{'&' if '?' in url else '?'}{urllib.parse.urlencode(query)}"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        """A redirect is no answer."""


_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect)


def _asked(url: str, body: bytes | None, *, timeout: float) -> tuple[int, str, bytes]:
    """(status, error, body); status 0 where no answer came."""
    request = urllib.request.Request(url, data=body, headers={"Content-Type": "text/xml", "User-Agent": "Mozilla/4.0"})
    try:
        with _DIRECT.open(request, timeout=timeout) as answer:
            return answer.status, "", answer.read(65_536)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, "", b""
    except (OSError, http.client.HTTPException) as error:
        return 0, type(error).__name__, b""


# ── XML ──────────────────────────────────────────────────────────────────────────────────────────────────────────────
def as_xml(fields: Mapping[str, Any]) -> str:
    return f"<xml>{_inside(fields)}</xml>"


def _inside(fields: Mapping[str, Any]) -> str:
    parts = []
    for name, value in fields.items():
        for one in value if isinstance(value, list) else [value]:
            parts.append(f"<{name}>{_text(one)}</{name}>")
    return "".join(parts)


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return _inside(value)
    if isinstance(value, int):
        return str(value)
    return "<![CDATA[" + str(value).replace("]]>", "]]]]><![CDATA[>") + "]]>"
