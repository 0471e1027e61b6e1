"""The pages for people: two phones on one page, the codes to scan, and the page that asks who signs in."""

import html
import io
from importlib import resources
from string import Template
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

import segno

from retail.wecom.simulator import control
from retail.wecom.simulator.phone.window import COOKIE, Window
from retail.wecom.simulator.refusals import Refused
from retail.wecom.simulator.web import Request, Response, page, redirect, told
from retail.wecom.simulator.world import Corp

if TYPE_CHECKING:
    from retail.wecom.simulator import Simulator

AUTHORIZE = "/connect/oauth2/authorize"
TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
FILES = {"": "phone.html", "phone.css": "phone.css", "phone.js": "phone.js"}
SCOPES = ("snsapi_base", "snsapi_privateinfo")
MOST_STATE = 128
STRICT = "default-src 'self'; img-src 'self' data:; frame-src http://127.0.0.1:* http://localhost:*"


def text_of(name: str) -> str:
    return resources.files(__name__).joinpath(name).read_text(encoding="utf-8")


class Phone:
    def __init__(self, simulator: "Simulator", *, port: int) -> None:
        self._simulator = simulator
        self.window = Window(simulator, port=port)

    def start(self) -> None:
        self.window.listener.start()

    def stop(self) -> None:
        self.window.listener.stop()

    def answer(self, request: Request) -> Response | None:
        """None where there is no such page."""
        first, _, rest = request.path.strip("/").partition("/")
        if not first:
            return redirect("/phone/")
        if request.path == AUTHORIZE:
            return self._authorize(request)
        if first == "phone":
            return self._state(request) if rest == "state" else _file(rest)
        if first == "qr":
            return self._code(rest.removesuffix(".png"))
        return self._media(rest) if first == "media" else None

    def _state(self, request: Request) -> Response:
        """What both phones show, and where the browser inside them listens."""
        corp_id = request.query.get("corp_id", "")
        state = control.world(self._simulator, corp_id=corp_id)
        corps = [{"corp_id": one.corp_id, "name": one.name} for one in self._simulator.world.corps.values()]
        deliveries = self._simulator.callbacks.told()[-30:]
        clock = control.clock(self._simulator)
        window = self.window.listener.url
        return told({"corps": corps, "clock": clock, "deliveries": deliveries, "window": window, "corp": state})

    def _code(self, config_id: str) -> Response | None:
        """The picture of a code; it leads to the phone, which scans it."""
        if not any(config_id in corp.ways for corp in self._simulator.world.corps.values()):
            return None
        picture = io.BytesIO()
        url = f"{self._simulator.url}/phone/?{urlencode({'scan': config_id})}"
        segno.make(url, micro=False).save(picture, kind="png", scale=6)
        return Response(200, picture.getvalue(), {"Content-Type": "image/png"})

    def _media(self, media_id: str) -> Response | None:
        for corp in self._simulator.world.corps.values():
            if media := corp.media.get(media_id):
                kind = "image/png" if media.content.startswith(b"\x89PNG") else "image/jpeg"
                shown = kind if media.type == "image" else "application/octet-stream"
                return Response(200, media.content, {"Content-Type": shown, "X-Content-Type-Options": "nosniff"})
        return None

    # ── Signing in ───────────────────────────────────────────────────────────────────────────────────────────────
    def _authorize(self, request: Request) -> Response:
        """Back to the page with a code; who it is, the phone knows, or the visitor says (`as=`)."""
        query = request.query
        try:
            corp, agent_id = self._asking(query)
        except Refused as refused:
            return _refused(refused)
        session = self.window.session(request.cookies.get(COOKIE, ""))
        chosen = query.get("as", "")
        if session and session.corp_id == corp.corp_id and not chosen:
            chosen = session.userid
        if not chosen:
            return page(_picker(request, corp))
        who = {"userid": chosen} if chosen in corp.members else {"external_userid": chosen}
        scope = query.get("scope", "snsapi_base")
        try:
            code = self._simulator.acts.do("sign_in", corp, {**who, "agent_id": agent_id, "scope": scope})["code"]
        except Refused as refused:  # a member who has left
            return _refused(refused)
        url = self.window.inside(query["redirect_uri"], session)
        answer = urlencode({"code": code, "state": query.get("state", "")})
        return redirect(f"{url}{'&' if '?' in url else '?'}{answer}")

    def _asking(self, query: dict[str, str]) -> tuple[Corp, int]:
        """The corporation and app on whose behalf somebody is to sign in. Raises Refused."""
        corp = self._simulator.world.corp(query.get("appid", ""))
        state = query.get("state", "")
        if query.get("response_type") != "code" or query.get("scope", SCOPES[0]) not in SCOPES:
            raise Refused(40035, "response_type or scope")
        if len(state) > MOST_STATE or not all(one.isalnum() and one.isascii() for one in state):
            raise Refused(40035, "state is letters and digits, 128 at most")
        agent_id = int(query["agentid"]) if query.get("agentid", "").isdecimal() else 0
        if not agent_id and query.get("scope") == SCOPES[1]:
            raise Refused(40035, "agentid is missing")
        apps = [corp.app(agent_id)] if agent_id else [*corp.apps.values()]
        domains = {app.trusted_domain for app in apps if app.trusted_domain}
        where = urlsplit(query.get("redirect_uri", ""))
        if where.scheme not in ("http", "https") or not where.netloc:
            raise Refused(50001)
        if domains and where.netloc not in domains | {self.window.netloc}:
            raise Refused(50001)
        return corp, agent_id


def _file(name: str) -> Response | None:
    if name not in FILES:
        return None
    kind = TYPES[FILES[name].rpartition(".")[2]]
    head = {"Content-Type": f"{kind}; charset=UTF-8", "Cache-Control": "no-store", "Content-Security-Policy": STRICT}
    return Response(200, text_of(FILES[name]).encode(), head)


def _refused(refused: Refused) -> Response:
    markup = Template(text_of("refused.html"))
    return page(markup.substitute(code=refused.code, reason=html.escape(refused.reason)), status=400)


def _picker(request: Request, corp: Corp) -> str:
    people = [(one.userid, one.name, one.userid) for one in corp.present()]
    people += [(one.external_userid, one.name, "") for one in corp.customers.values()]
    rows = [
        f'<li><a href="{html.escape(request.target)}&amp;{html.escape(urlencode({"as": id}))}">'
        f"{html.escape(name)} <small>{html.escape(said)}</small></a></li>"
        for id, name, said in people
    ]
    return Template(text_of("authorize.html")).substitute(people="\n".join(rows), corp=html.escape(corp.name))
