"""What software may call: a table of endpoints under the vendor's paths, and how a call goes through to one.

An endpoint declares its method, the scope it needs and the shapes of its parameters; the function then gets a `Call`
and those parameters, and returns the fields of its answer or raises Refused. Nothing called here causes a callback.
"""

import base64
import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from retail.wecom.simulator.refusals import Refused
from retail.wecom.simulator.shapes import Shape, read
from retail.wecom.simulator.traffic import Entry, Fault
from retail.wecom.simulator.web import Request, Response, page, told
from retail.wecom.simulator.world import App, Corp, Follow, Member, World

if TYPE_CHECKING:
    from retail.wecom.simulator import Simulator

PREFIX = "/cgi-bin/"
BAD_GATEWAY = "<html><head><title>{0} </title></head><body><center><h1>{0}</h1></center><hr>nginx</body></html>"
MORE = "hint: [{stamp}_{number}_{hint}], from ip: {ip}, more info at https://open.work.weixin.qq.com/devtool/query?e={code}"


# ── The table ────────────────────────────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True)
class Endpoint:
    method: str
    path: str
    shapes: dict[str, Shape]
    scope: str = ""  # what the app must have been given
    is_public: bool = False
    lags: bool = False


ENDPOINTS: dict[str, tuple[Endpoint, Callable[..., Any]]] = {}
Listing = Callable[[Callable[..., Any]], Callable[..., Any]]


def endpoint(method: str, path: str, scope: str = "", /, **shapes: Shape) -> Listing:
    """Put a function into the table."""
    return _listing(Endpoint(method, path, shapes, scope))


def lagging(method: str, path: str, scope: str, /, **shapes: Shape) -> Listing:
    """As `endpoint`; it shows what was true a moment ago, where that is switched on."""
    return _listing(Endpoint(method, path, shapes, scope, lags=True))


def public(method: str, path: str, /, **shapes: Shape) -> Listing:
    """As `endpoint`; it takes no access token."""
    return _listing(Endpoint(method, path, shapes, is_public=True))


def _listing(point: Endpoint) -> Listing:
    def listed(run: Callable[..., Any]) -> Callable[..., Any]:
        ENDPOINTS[point.path] = (point, run)
        return run

    return listed


# ── What a function of the table sees ────────────────────────────────────────────────────────────────────────────────
@dataclass
class Call:
    world: World
    simulator: "Simulator"
    request: Request
    corp: Corp
    app: App

    @property
    def now(self) -> float:
        return self.world.clock.now()

    @property
    def stamp(self) -> int:
        return self.world.clock.stamp()

    def member(self, userid: str, code: int = 60111) -> Member:
        """Somebody in the visible range of the app. Raises Refused(60011) for others, `code` for nobody."""
        member = self.corp.member(userid, code)
        if not self.corp.sees(self.app, member):
            raise Refused(60011)
        return member

    def clerk(self, userid: str) -> Member:
        """A visible member who may have customers."""
        member = self.member(userid)
        if not member.may_have_customers:
            raise Refused(84074)
        return member

    def visible(self) -> list[Member]:
        return [member for member in self.corp.present() if self.corp.sees(self.app, member)]

    def follow(self, userid: str, external_userid: str) -> Follow:
        self.corp.customer(external_userid)
        follow = self.corp.follow(self.clerk(userid).userid, external_userid)
        if follow.is_half:
            raise Refused(84061)
        return follow

    def page(self, rows: Sequence[Any], cursor: str, limit: int, *, of: str = "") -> tuple[list[Any], str]:
        """`limit` rows from the cursor on, and the cursor of the next ones ("" at the end).

        A cursor is opaque and belongs to one question (`of`); any other one is Refused.
        """
        first = _place(cursor, self._mark(of)) if cursor else 0
        rest = first + limit
        return list(rows[first:rest]), _cursor(rest, self._mark(of)) if rest < len(rows) else ""

    def _mark(self, of: str) -> str:
        return hashlib.sha1(f"{self.corp.corp_id} {self.request.path} {of}".encode()).hexdigest()[:10]


def _cursor(place: int, mark: str) -> str:
    return base64.urlsafe_b64encode(f"{mark}.{place}".encode()).decode().rstrip("=")


def _place(cursor: str, mark: str) -> int:
    try:
        said, _, place = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().partition(".")
    except ValueError:
        said, place = "", ""
    if said != mark or not place.isdecimal():
        raise Refused(40058, "invalid Request Parameter: cursor")
    return int(place)


# ── Through to one ───────────────────────────────────────────────────────────────────────────────────────────────────
def answer(simulator: "Simulator", request: Request) -> Response:
    """Log it, let a planned fault happen, else do it."""
    path = request.path.removeprefix(PREFIX)
    if path not in ENDPOINTS:
        return page(BAD_GATEWAY.format("404 Not Found"), 404)
    entry = simulator.log.open(
        at=simulator.clock.now(), method=request.method, path=path, query=request.query, body=None, ip=request.ip
    )
    corp_id, agent_id = simulator.world.tokens_owner(request.query.get("access_token", ""))
    entry.corp_id, entry.agent_id = corp_id, agent_id
    fault = simulator.faults.next(path, agent_id)
    if fault is None:
        return _done(simulator, request, entry)
    entry.fault = fault.kind
    if fault.kind == "slow":
        time.sleep(fault.seconds)
        return _done(simulator, request, entry)
    if fault.is_late:
        _done(simulator, request, entry)
    return _failed(fault, entry)


def _failed(fault: Fault, entry: Entry) -> Response:
    if fault.kind == "cut":
        entry.status = 0
        return Response(is_cut=True)
    if fault.kind == "status":
        entry.status = fault.code
        return page(BAD_GATEWAY.format(fault.code), fault.code)
    if fault.kind == "text":
        return page("<html><body>Please log in to this network</body></html>")
    return _refused(Refused(fault.code), entry)


def _done(simulator: "Simulator", request: Request, entry: Entry) -> Response:
    try:
        result = _run(simulator, request, entry)
    except Refused as refused:
        return _refused(refused, entry)
    return result if isinstance(result, Response) else told({"errcode": 0, "errmsg": "ok", **result})


def _refused(refused: Refused, entry: Entry) -> Response:
    entry.errcode = refused.code
    stamp = int(entry.at)
    hint = hashlib.sha1(f"{stamp} {entry.number}".encode()).hexdigest()[:32]
    more = MORE.format(stamp=stamp, number=entry.number, hint=hint, ip=entry.ip, code=refused.code)
    return told({"errcode": refused.code, "errmsg": f"{refused.reason}, {more}", **refused.more})


def _run(simulator: "Simulator", request: Request, entry: Entry) -> dict[str, Any] | Response:
    world = simulator.world
    point, run = ENDPOINTS[entry.path]
    given = _given(request, point.method, entry)
    corp, app = _NOBODY if point.is_public else _caller(world, request)
    if not app.may(point.scope):
        raise Refused(48002)
    is_debugged = request.query.get("debug") == "1"
    simulator.limits.count(
        point.path, corp=corp.corp_id, agent=str(app.agent_id), ip=request.ip, is_debugged=is_debugged
    )
    simulator.limits.enter(point.path, corp.corp_id)
    try:
        time.sleep(simulator.latency)
        parameters = read(point.shapes, given)
        world.catch_up()
        with world.lock:
            seen = world.as_read(corp) if point.lags else corp
            return run(Call(world, simulator, request, seen, app), **parameters)
    finally:
        simulator.limits.leave(point.path, corp.corp_id)


def _given(request: Request, method: str, entry: Entry) -> dict[str, Any]:
    if request.method != method:
        raise Refused(43001 if method == "GET" else 43002)
    if method == "GET" or request.headers.get("content-type", "").startswith("multipart/"):
        entry.body = len(request.body)
        return dict(request.query)
    try:
        body = request.json()
    except ValueError:
        raise Refused(47001) from None
    if not isinstance(body, dict):
        raise Refused(47001)
    entry.body = body
    return body


def _caller(world: World, request: Request) -> tuple[Corp, App]:
    """Whose access token it is. Raises Refused(41001 | 40014 | 42001 | 50003 | 60020)."""
    value = request.query.get("access_token", "")
    if not value:
        raise Refused(41001)
    if value not in world.tokens:
        raise Refused(40014)
    corp_id, token = world.tokens[value]
    if world.clock.now() >= token.until:
        raise Refused(42001)
    corp = world.corp(corp_id)
    app = corp.app(token.app)
    if not app.is_enabled:
        raise Refused(50003)
    if app.trusted_ips is not None and request.ip not in app.trusted_ips:
        raise Refused(60020)
    return corp, app


_NOBODY = (Corp("", ""), App(0, "", ""))
