"""The browser inside the phone: a port of its own that shows the product's pages as WeCom's client would.

It stands before the product like the client's web view: pages come through unchanged, but for one script in front of
all others (`bridge.js`, the fake WeixinJSBridge) and without the headers that forbid a frame, which a web view does
not ask about. What pages ask the bridge for is answered here, and only where their signatures are right.
"""

import http.client
import re
import secrets
from dataclasses import dataclass, field
from importlib import resources
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from retail.wecom import crypto
from retail.wecom.simulator.phone import moments
from retail.wecom.simulator.refusals import Refused
from retail.wecom.simulator.web import Listener, Request, Response, is_of_this_machine, page, redirect, told
from retail.wecom.simulator.world import Corp, Line, Moment

if TYPE_CHECKING:
    from retail.wecom.simulator import Simulator

COOKIE = "wecom_window"
OWN = "/_wecom/"
AGENT = "wxwork/4.1.20"
BRIDGE = b'<script src="/_wecom/bridge.js"></script>'
HOP = ("connection", "keep-alive", "transfer-encoding", "upgrade", "content-length", "accept-encoding", "te")
UNASKED = ("x-frame-options", "strict-transport-security", "server", "date")
TIMEOUT = 60
SINGLE, GROUP = ("single_chat_tools", "contact_profile", "chat_attachment"), ("group_chat_tools",)
MOST_WITH_CUSTOMERS = 40


@dataclass
class Session:
    """A page open in the phone: whose, of which app, and beside which chat."""

    corp_id: str
    userid: str
    origin: str
    entry: str = "normal"
    external_userid: str = ""
    chat_id: str = ""


@dataclass
class Identity:
    """What a signature proves: the corporation, or one of its apps."""

    agent_id: int
    is_app: bool


Answer = dict[str, Any]


@dataclass
class Window:
    simulator: "Simulator"
    port: int
    listener: Listener = field(init=False)
    _sessions: dict[str, Session] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.listener = Listener(self.answer, port=self.port)
        self.netloc = urlsplit(self.listener.url).netloc

    def session(self, key: str) -> Session | None:
        return self._sessions.get(key)

    def inside(self, url: str, session: Session | None) -> str:
        """The address under which the phone sees a page of the product."""
        if session and url.startswith(session.origin):
            return self.listener.url + url.removeprefix(session.origin)
        return url

    # ── The web view ─────────────────────────────────────────────────────────────────────────────────────────────
    def answer(self, request: Request) -> Response:
        if request.path == f"{OWN}open":
            return self._open(request)
        if request.path == f"{OWN}bridge.js":
            script = resources.files(__package__).joinpath("bridge.js").read_bytes()
            return Response(200, script, {"Content-Type": "text/javascript; charset=UTF-8"})
        session = self._sessions.get(request.cookies.get(COOKIE, ""))
        if session is None:
            return page("<h1>Open this from the phone.</h1>", 404)
        if request.path == f"{OWN}invoke":
            return self._invoke(request, session)
        return self._fetch(request, session)

    def _open(self, request: Request) -> Response:
        """?to=<address of a page>&corp_id&userid[&entry&external_userid&chat_id]"""
        given = request.query
        to = urlsplit(given.pop("to", ""))
        if to.scheme != "http" or not is_of_this_machine(to.netloc):
            return page("<h1>The phone opens pages of this machine only.</h1>", 400)
        names = ("corp_id", "userid", "entry", "external_userid", "chat_id")
        known = {name: given[name] for name in names if given.get(name)}
        key = secrets.token_urlsafe(16)
        self._sessions[key] = Session(origin=f"http://{to.netloc}", **known)
        path = to.path or "/"
        fragment = f"#{to.fragment}" if to.fragment else ""
        return redirect(
            f"{path}{'?' + to.query if to.query else ''}{fragment}", f"{COOKIE}={key}; Path=/; HttpOnly; SameSite=Lax"
        )

    def _fetch(self, request: Request, session: Session) -> Response:
        """Ask the product, as this very address: so it signs what the page sees."""
        headers = {name: value for name, value in request.headers.items() if name not in HOP}
        headers["user-agent"] = f"{headers.get('user-agent', '')} {AGENT}".strip()
        connection = http.client.HTTPConnection(urlsplit(session.origin).netloc, timeout=TIMEOUT)
        try:
            body = request.body if request.body or request.method == "POST" else None
            connection.request(request.method, request.target, body=body, headers=headers)
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            return page(f"<h1>{session.origin} does not answer: {type(error).__name__}</h1>", 502)
        finally:
            connection.close()
        return self._shown(answer, content, session)

    def _shown(self, answer: http.client.HTTPResponse, content: bytes, session: Session) -> Response:
        response = Response(answer.status, content)
        for name, value in answer.getheaders():
            lower = name.lower()
            if lower == "set-cookie":
                response.cookies.append(value)
            elif lower == "location":
                response.headers[name] = self.inside(value, session)
            elif lower.startswith("content-security-policy"):
                response.headers[name] = re.sub(r"frame-ancestors[^;]*;?", "", value)
            elif lower not in HOP and lower not in UNASKED:
                response.headers[name] = value
        if answer.getheader("Content-Type", "").startswith("text/html"):
            response.body = re.sub(rb"(<head\b[^>]*>)", rb"\1" + BRIDGE, content, count=1, flags=re.I)
        return response

    # ── The bridge ───────────────────────────────────────────────────────────────────────────────────────────────
    def _invoke(self, request: Request, session: Session) -> Response:
        """{name, params, url} from `bridge.js`; the answer is what the page's callback gets."""
        if request.headers.get("content-type", "").partition(";")[0] != "application/json":
            return told({"err_msg": "fail"}, 400)
        asked = request.json()
        name, params, url = str(asked["name"]), dict(asked["params"]), str(asked["url"])
        simulator = self.simulator
        entry = simulator.log.open(
            at=simulator.clock.now(), method="JS", path=f"js/{name}", query={}, body=params, ip=request.ip
        )
        entry.corp_id = session.corp_id
        try:
            with simulator.world.lock:
                done = self._done(session, name, params, url)
        except Refused as refused:
            entry.errcode = refused.code
            return told({"err_msg": f"{name}:fail {refused.reason}", "err_code": refused.code})
        return told({"err_msg": f"{name}:ok", **done})

    def _done(self, session: Session, name: str, params: Answer, url: str) -> Answer:
        corp = self.simulator.world.corp(session.corp_id)
        if name in ("preVerifyJSAPI", "agentConfig"):
            return self._configured(corp, name, params, url)
        if name not in CALLS:
            raise Refused(-1, "function not exist")
        given = [str(params.get(part, "")) for part in ("verifyNonceStr", "verifyTimestamp", "verifySignature")]
        identity = self._signer(corp, *given, url=url)
        run, needs_app = CALLS[name]
        if identity is None or (needs_app and not identity.is_app):
            raise Refused(-1, "no permission")
        return run(self, corp, session, params)

    def _configured(self, corp: Corp, name: str, params: Answer, url: str) -> Answer:
        is_app = name == "agentConfig"
        names = (
            ("nonceStr", "timestamp", "signature")
            if is_app
            else ("verifyNonceStr", "verifyTimestamp", "verifySignature")
        )
        identity = self._signer(corp, *(str(params.get(part, "")) for part in names), url=url)
        if params.get("corpid" if is_app else "verifyAppId") != corp.corp_id:
            raise Refused(40013, "invalid corpid")
        is_named = identity and (not is_app or str(identity.agent_id) == str(params.get("agentid")))
        if identity is None or not is_named or identity.is_app != is_app:
            raise Refused(40093, "40093 invalid signature")
        domain = corp.app(identity.agent_id).trusted_domain
        if domain and urlsplit(url).netloc not in (domain, self.netloc):
            raise Refused(50001, "50001 the page is not under the trusted domain")
        return {}

    def _signer(self, corp: Corp, nonce: str, timestamp: str, signature: str, *, url: str) -> Identity | None:
        """Whose ticket the page was signed with: the corporation's or an app's."""
        now = self.simulator.clock.now()
        for (corp_id, agent_id, kind), ticket in self.simulator.world.tickets.items():
            if corp_id == corp.corp_id and now < ticket.until:
                right = crypto.js_signature(ticket=ticket.value, nonce=nonce, timestamp=timestamp, url=url)
                if right == signature:
                    return Identity(agent_id, kind == "agent_ticket")
        return None

    # ── What pages may ask for ───────────────────────────────────────────────────────────────────────────────────
    def _context(self, corp: Corp, session: Session, params: Answer) -> Answer:
        return {"entry": session.entry, "shareTicket": ""}

    def _contact(self, corp: Corp, session: Session, params: Answer) -> Answer:
        if session.entry not in SINGLE or not session.external_userid:
            raise Refused(-1, "without context of external contact")
        return {"userId": session.external_userid}

    def _chat(self, corp: Corp, session: Session, params: Answer) -> Answer:
        if session.entry not in GROUP or not session.chat_id:
            raise Refused(-1, "without context of external chat")
        return {"chatId": session.chat_id}

    def _send(self, corp: Corp, session: Session, params: Answer) -> Answer:
        """Into the chat the page stands beside."""
        kind = str(params.get("msgtype", ""))
        if kind not in ("text", "image", "video", "file", "news", "miniprogram") or not params.get(kind):
            raise Refused(40058, "invalid msgtype")
        chat = session.chat_id or f"{session.userid}|{session.external_userid}"
        if not session.chat_id and (session.userid, session.external_userid) not in corp.follows:
            raise Refused(-1, "without context of external contact")
        content = {kind: params[kind]}
        corp.lines.append(Line(self.simulator.clock.now(), chat, session.userid, kind, content, via="sidebar"))
        return {}

    def _open_chat(self, corp: Corp, session: Session, params: Answer) -> Answer:
        """With one it is a talk, with several a group chat, which the client makes (and tells the apps)."""
        if params.get("chatId"):
            return {"chatId": corp.chat(params["chatId"]).chat_id}
        members = [one for one in str(params.get("userIds", "")).split(";") if one]
        customers = [one for one in str(params.get("externalUserIds", "")).split(";") if one]
        if not members and not customers:
            raise Refused(40063, "userIds and externalUserIds are empty")
        if customers and len(members) + len(customers) > MOST_WITH_CUSTOMERS:
            raise Refused(-1, "too many members")
        for one in customers:
            corp.follow(session.userid, one)
        if len(members) + len(customers) == 1:
            return {"chatId": "", "opened": [*members, *customers][0]}
        given = {"owner": session.userid, "name": params.get("groupName", ""), "members": [*members, *customers]}
        return {"chatId": self.simulator.acts.do("create_chat", corp, given)["chat_id"]}

    def _publish(self, corp: Corp, session: Session, params: Answer) -> Answer:
        """By whoever looks, to all of their customers; the client's own page to say more is passed over."""
        member, now = corp.members[session.userid], int(self.simulator.clock.now())
        if not member.may_have_customers:
            raise Refused(-1, "no permission")
        content = moments.published(params, is_there=lambda key: key in corp.media and now < corp.media[key].until)
        world = self.simulator.world
        parts = {member.userid: [one.external_userid for one in corp.follows_of(member.userid)]}
        given = (world.fresh_id(""), world.fresh_id("mom"), 0, now, content, parts)
        made = Moment(*given, published_at={member.userid: now})
        corp.moments[made.moment_id] = made
        return {}

    def _nothing(self, corp: Corp, session: Session, params: Answer) -> Answer:
        return {}


# name → what it does, whether it needs the signature of an app
CALLS: dict[str, tuple[Any, bool]] = {
    "getContext": (Window._context, False),
    "getCurExternalContact": (Window._contact, True),
    "getCurExternalChat": (Window._chat, True),
    "sendChatMessage": (Window._send, True),
    "openEnterpriseChat": (Window._open_chat, False),
    "shareToExternalContact": (Window._nothing, True),
    "shareToExternalChat": (Window._nothing, True),
    "shareToExternalMoments": (Window._publish, True),
    "navigateToAddCustomer": (Window._nothing, True),
    "openUserProfile": (Window._nothing, False),
    "closeWindow": (Window._nothing, False),
    "hideOptionMenu": (Window._nothing, False),
    "hideMoreItemsOnMenu": (Window._nothing, False),
    "checkJsApi": (Window._nothing, False),
    "imagePreview": (Window._nothing, False),
    "scanQRCode": (Window._nothing, False),
}
