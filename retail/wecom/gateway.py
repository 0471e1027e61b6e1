"""The one way out to WeCom. Nothing else in the house knows wechatpy, tokens or addresses.

    gateway = Gateway(app)
    gateway.contact(external_userid="wm…")          # methods named after the vendor's paths: retail.wecom.endpoints

A call waits for nobody and holds no transaction: it is refused within one (ask between two, or after the commit).
What is of no use after some seconds says so (`within`): no request of it lasts beyond, and the breaker is not asked.
Every answer is counted; every error is one of retail.wecom.errors, without a token, a secret or an address in it.
"""

import logging
import math
import threading
import time
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

import requests
import urllib3
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone
from wechatpy.enterprise import WeChatClient
from wechatpy.exceptions import WeChatClientException

from retail import privacy
from retail.wecom import credentials, errors, limits
from retail.wecom.credentials import Fetch, Fetched
from retail.wecom.endpoints import Endpoints
from retail.wecom.errors import Busy, Limited, Misconfigured, Rejected, SwitchedOff, Unreachable, WeComError
from retail.wecom.models import App, Credential, Use

log = logging.getLogger(__name__)

TRIES = 3  # of a call that WeCom is too busy for, with a short breath between them
BREATH = 0.2  # seconds, doubled with each try
LEAST = 0.2  # seconds: with less of them left nothing is asked
OFF = timedelta(minutes=2)  # after which work of an application that is switched off is looked at again
MESSAGES = "message/send"
PICTURES = (".qpic.cn", ".qlogo.cn")  # where WeCom keeps pictures
MOST_PICTURE = 512 * 1024
NO_ANSWER = -2  # counted where WeCom would have put its errcode
Kind = Credential.Kind
TICKETS = {Kind.CORP_TICKET: "get_jsapi_ticket", Kind.AGENT_TICKET: "ticket/get"}
Files = Mapping[str, tuple[str, bytes]]


class Gateway(Endpoints):
    """WeCom, asked on behalf of one application."""

    def __init__(self, app: App, *, within: timedelta | None = None) -> None:
        """`within`: for how long from now an answer is of any use."""
        self.app = app
        self._ends = None if within is None else time.monotonic() + within.total_seconds()

    @property
    def _seconds_left(self) -> float:
        return math.inf if self._ends is None else self._ends - time.monotonic()

    # ── Credentials ──────────────────────────────────────────────────────────────────────────────────────────────────
    def js_ticket(self, *, refused: str = "") -> str:
        """The corp's ticket, for `config` of the JS-SDK; another one than `refused`, which WeCom takes no more."""
        return self._credential(Kind.CORP_TICKET, self._corp_ticket, refused)

    def agent_ticket(self, *, refused: str = "") -> str:
        """The application's own ticket, for `agentConfig`."""
        return self._credential(Kind.AGENT_TICKET, self._agent_ticket, refused)

    def _credential(self, kind: str, fetch: Fetch, refused: str = "") -> str:
        now, patience = timezone.now(), max(0.0, self._seconds_left)
        fetched = partial(self._fetched, kind, fetch)
        asked: dict[str, Any] = {"app": self.app, "kind": kind, "fetch": fetched, "now": now, "patience": patience}
        return credentials.replace(**asked, refused=refused) if refused else credentials.current(**asked)

    def _fetched(self, kind: str, fetch: Fetch) -> Fetched:
        """Whoever waited to fetch it, too, learns of a silence from the quota instead of finding out for itself.

        What the credential was for was not asked, whatever became of asking for the credential.
        """
        try:
            return fetch()
        except Unreachable as error:
            path = TICKETS.get(Kind(kind)) or self._token_bucket
            self._pause(path, max(limits.BLIP, error.until - timezone.now()))
            error.may_have_worked = False
            raise

    def _corp_ticket(self) -> Fetched:
        answer = self.call("GET", TICKETS[Kind.CORP_TICKET])
        return Fetched(answer["ticket"], int(answer["expires_in"]))

    def _agent_ticket(self) -> Fetched:
        answer = self.call("GET", TICKETS[Kind.AGENT_TICKET], params={"type": "agent_config"})
        return Fetched(answer["ticket"], int(answer["expires_in"]))

    def _fetch_token(self) -> Fetched:
        """Asked again and again with a wrong secret WeCom locks our address out: one wrong answer is a pause."""
        path = "gettoken"
        limits.take(app=self.app, path=self._token_bucket, now=timezone.now())
        try:
            answer = self._answered("GET", path, {"corpid": self.app.corp_id, "corpsecret": self.app.secret})
        except Misconfigured:
            self._pause(self._token_bucket, timedelta(minutes=1))
            raise
        return Fetched(answer["access_token"], int(answer["expires_in"]))

    @property
    def _token_bucket(self) -> str:
        """Each application asks for tokens of its own."""
        return f"gettoken/{self.app.agent_id}"

    def _pause(self, path: str, delta: timedelta) -> None:
        now = timezone.now()
        limits.block(app=self.app, path=path, until=now + delta, now=now)

    # ── One call ─────────────────────────────────────────────────────────────────────────────────────────────────────
    def call(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, Any] | None = None,
        body: Any = None,
        files: Files | None = None,
    ) -> dict[str, Any]:
        """Ask; the answer as WeCom gave it. Raises the errors of retail.wecom.errors.

        A token that turns out to be dead is replaced once; -1 and its like are tried TRIES times, save for who has a
        deadline: they come again by themselves, and hold nobody up until then.
        """
        _refuse_within_a_transaction()
        now = timezone.now()
        if not self.app.is_active:
            raise SwitchedOff(path, until=now + OFF)
        if self._ends is None:
            limits.require_open_line(app=self.app, path=path, now=now)
        if path == MESSAGES and isinstance(body, dict):
            self._spare(path, (body.get("touser") or "").split("|"), now)
        limits.take(app=self.app, path=path, now=now)
        with limits.place(app=self.app, path=path, now=now):
            token, is_replaced = self._credential(Kind.ACCESS_TOKEN, self._fetch_token), False
            for attempt in range(1, TRIES + 2):
                try:
                    return self._answered(method, path, {**(params or {}), "access_token": token}, body, files)
                except _Expired as error:
                    if is_replaced:
                        raise Misconfigured(error.errcode, error.errmsg, path)
                    token, is_replaced = self._credential(Kind.ACCESS_TOKEN, self._fetch_token, token), True
                except Busy as error:
                    if attempt >= TRIES or self._ends is not None:
                        if error.errcode == -1:  # no answer to speak of, either
                            self._note_silence(timezone.now())
                        raise
                    time.sleep(max(0.0, min(BREATH * 2 ** (attempt - 1), self._seconds_left)))
        raise AssertionError("unreachable")

    def _answered(
        self, method: str, path: str, params: dict[str, Any], body: Any = None, files: Files | None = None
    ) -> dict[str, Any]:
        """One request, its answer counted; an error of WeCom's raised as one of ours."""
        if self._seconds_left < LEAST:
            raise Unreachable("out of time", path, until=timezone.now(), may_have_worked=False)
        reply = _send(self.app.api_url, method, path, params, body, files, _timeout(self._seconds_left))
        now = timezone.now()
        if reply.answer is None:
            limits.count(app=self.app, path=path, errcode=NO_ANSWER, now=now)
            until = self._note_silence(now)
            log.warning("WeCom %s: %s", path, reply.failure)
            raise Unreachable(reply.failure, path, until=until, may_have_worked=reply.may_have_worked)
        errcode = int(reply.answer.get("errcode") or 0)
        is_good = errcode not in errors.BUSY
        limits.count(app=self.app, path=path, errcode=errcode, now=now, is_good=is_good)
        if errcode == 0:
            return reply.answer
        raise self._error(errcode, _first_words(reply.answer.get("errmsg")), path, now)

    def _note_silence(self, now: datetime) -> datetime:
        """When to try again. Who goes around the breaker does not hold it shut for the others either."""
        return limits.note_silence(app=self.app, now=now) if self._ends is None else now

    def _error(self, errcode: int, errmsg: str, path: str, now: datetime) -> WeComError:
        """What an errcode means for whoever asked; notes it where it concerns everybody."""
        if errcode in errors.BUSY:
            return Busy(errcode, errmsg, path, until=now + timedelta(seconds=10))
        if errcode == errors.LIMITED:
            until = now + self._penalty(path, now)
            limits.block(app=self.app, path=path, until=until, now=now)
            return Limited(errcode, errmsg, path, until=until)
        if errcode in errors.EXPIRED:
            return _Expired(errcode, errmsg, path)
        if errcode in errors.MISCONFIGURED:
            log.error("WeCom %s: %s %s", path, errcode, errmsg)
            return Misconfigured(errcode, errmsg, path)
        return Rejected(errcode, errmsg, path)

    def _penalty(self, path: str, now: datetime) -> timedelta:
        """A window is a minute, an hour or a day, and WeCom does not say which: twice as long each time in an hour."""
        hour = now.replace(minute=0, second=0, microsecond=0)
        used = Use.objects.filter(app=self.app, path=path, errcode=errors.LIMITED, hour=hour).first()
        return min(timedelta(hours=1), timedelta(minutes=1) * 2 ** min(10, used.count - 1 if used else 0))

    def picture(self, *, url: str) -> bytes:
        """A picture WeCom has named the address of. Raises Unreachable: also where the address is not WeCom's."""
        try:
            where, api = urlsplit(url), urlsplit(self.app.api_url)
            is_wecoms = where.netloc == api.netloc or (where.hostname or "").endswith(PICTURES)
        except ValueError:
            is_wecoms = False
        if not is_wecoms:
            raise Unreachable("not an address of WeCom's", "picture", until=timezone.now())
        try:
            answer = requests.get(url, timeout=settings.WECOM_TIMEOUT, allow_redirects=False, stream=True)
            content = answer.raw.read(MOST_PICTURE + 1, decode_content=True)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise Unreachable(type(error).__name__, "picture", until=timezone.now()) from None
        if (
            answer.status_code != 200
            or len(content) > MOST_PICTURE
            or not content.startswith((b"\x89PNG", b"\xff\xd8"))
        ):
            raise Unreachable(f"HTTP {answer.status_code}, no picture", "picture", until=timezone.now())
        return bytes(content)

    def _spare(self, path: str, userids: Iterable[str], now: datetime) -> None:
        """Count a message to each of them, who get no more than so many. Raises Limited.

        WeCom drops what is too much for one person without a word.
        """
        if members := [privacy.blind(userid)[:16] for userid in userids if userid]:
            limits.take_for_members(app=self.app, path=path, members=members, now=now)


class _Expired(WeComError):
    """The token is dead, or was never alive."""


def _refuse_within_a_transaction() -> None:
    """Raises RuntimeError in an atomic block (but for that of a test): rows stay locked while WeCom thinks."""
    if connection.in_atomic_block:  # else there is nothing to ask, and a BEGIN and a COMMIT are two ways
        with transaction.atomic(durable=True):
            pass


def _first_words(errmsg: object) -> str:
    """Without the hint, our address and the vendor's: nothing for a log."""
    return str(errmsg or "").partition(", hint:")[0].partition(", from ip:")[0][:200]


def authorize_url(*, app: App, back: str, state: str, scope: str = "snsapi_base") -> str:
    """Where a browser is sent to say who it is; WeCom sends it to `back` with `code` and `state`."""
    asked = {"appid": app.corp_id, "redirect_uri": back, "response_type": "code", "scope": scope, "state": state}
    if scope != "snsapi_base":
        asked["agentid"] = str(app.agent_id)
    return f"{app.oauth_url}/connect/oauth2/authorize?{urlencode(asked)}#wechat_redirect"


def scan_url(*, app: App, back: str, state: str) -> str:
    """Where a browser outside WeCom shows a code to scan with it; from there as with `authorize_url`."""
    asked = {"login_type": "CorpApp", "appid": app.corp_id, "agentid": app.agent_id, "redirect_uri": back}
    return f"{settings.WECOM_LOGIN_URL}/wwlogin/sso/login?{urlencode({**asked, 'state': state})}"


# ── The adapter to wechatpy ──────────────────────────────────────────────────────────────────────────────────────────
class _Reply(NamedTuple):
    """An answer of WeCom's, or None and why there is none."""

    answer: dict[str, Any] | None
    failure: str = ""
    may_have_worked: bool = True


class _Client(WeChatClient):
    """wechatpy for the request only: it neither fetches a token nor tries again, and knows no secret."""

    def __init__(self, base_url: str) -> None:
        super().__init__(corp_id="", secret="", timeout=settings.WECOM_TIMEOUT, auto_retry=False)
        self.API_BASE_URL = f"{base_url}/cgi-bin/"

    def fetch_access_token(self) -> None:
        raise AssertionError("Tokens are the business of retail.wecom.credentials.")


_thread = threading.local()


def _client(base_url: str) -> _Client:
    """One for each thread and address, so that its connections are used again."""
    clients = _thread.__dict__.setdefault("clients", {})
    if base_url not in clients:
        clients[base_url] = _Client(base_url)
    return clients[base_url]


def hang_up() -> None:
    """Close this thread's connections."""
    for client in _thread.__dict__.pop("clients", {}).values():
        client._http.close()


def _timeout(left: float) -> tuple[float, float]:
    """Seconds to connect and to answer, together no more than are left."""
    most_connect, most_answer = settings.WECOM_TIMEOUT
    connect = min(most_connect, left / 4)
    return connect, min(most_answer, left - connect)


def _send(
    base_url: str,
    method: str,
    path: str,
    params: dict[str, Any],
    body: Any,
    files: Files | None,
    timeout: tuple[float, float],
) -> _Reply:
    """What is raised on the way holds the address with its token: it ends here, and is not chained."""
    sent: dict[str, Any] = {"params": list(params.items()), "allow_redirects": False, "timeout": timeout}
    if files is not None:
        sent["files"] = files
    elif body is not None:
        sent["data"] = body
    try:
        answer = getattr(_client(base_url), method.lower())(path, **sent)
    except WeChatClientException as error:
        if error.errcode is not None:
            return _Reply({"errcode": error.errcode, "errmsg": str(error.errmsg)})
        return _Reply(None, f"HTTP {getattr(error.response, 'status_code', '?')}")
    except (requests.RequestException, ValueError) as error:
        return _Reply(None, type(error).__name__, may_have_worked=not _never_left(error))
    if not isinstance(answer, dict):
        return _Reply(None, "not JSON")
    return _Reply(answer)


def _never_left(error: Exception) -> bool:
    """Whether there was no connection to begin with, so that WeCom cannot have heard of it."""
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return isinstance(error, requests.ConnectTimeout) or isinstance(reason, urllib3.exceptions.NewConnectionError)
