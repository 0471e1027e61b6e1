"""The interface of tests and of the phone: time, faults, what was asked, and every act, under `/_control/`.

POST takes JSON and says so in its Content-Type, which a page of another site cannot do unasked. An error is
{"error": reason, "errcode": code} with status 400.
"""

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from retail.wecom.simulator import seed
from retail.wecom.simulator.callbacks import Plan
from retail.wecom.simulator.refusals import Refused
from retail.wecom.simulator.shapes import Flag, Many, Number, Record, Shape, Text, Whole, read
from retail.wecom.simulator.traffic import Fault, Limit
from retail.wecom.simulator.web import Request, Response, told
from retail.wecom.simulator.world import Corp, Settings, Target

if TYPE_CHECKING:
    from retail.wecom.simulator import Simulator

PREFIX = "/_control/"
Told = dict[str, Any]
VERBS: dict[tuple[str, str], tuple[Callable[..., Told], dict[str, Shape]]] = {}
CORP = Text(64, default="")


def verb(method: str, path: str, /, **shapes: Shape) -> Callable[[Callable[..., Told]], Callable[..., Told]]:
    def listed(run: Callable[..., Told]) -> Callable[..., Told]:
        VERBS[method, path] = (run, shapes)
        return run

    return listed


def answer(simulator: "Simulator", request: Request) -> Response:
    path = request.path.removeprefix(PREFIX)
    try:
        given = _given(request)
        if request.method == "POST" and path.startswith("act/"):
            corp = corp_of(simulator, given.get("corp_id", ""))
            return told(simulator.acts.do(path.removeprefix("act/"), corp, given))
        if (request.method, path) not in VERBS:
            return told({"error": f"no {request.method} {path}"}, 404)
        run, shapes = VERBS[request.method, path]
        return told(run(simulator, **read(shapes, given)))
    except Refused as refused:
        return told({"error": refused.reason, "errcode": refused.code}, 400)


def _given(request: Request) -> Told:
    if request.method != "POST":
        return dict(request.query)
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise Refused(47001, "Content-Type must be application/json")
    try:
        given = request.json()
    except ValueError:
        raise Refused(47001) from None
    if not isinstance(given, dict):
        raise Refused(47001)
    return given


def corp_of(simulator: "Simulator", corp_id: str) -> Corp:
    """The corporation; without an id the first, which is mostly the only one."""
    return simulator.world.corp(corp_id) if corp_id else next(iter(simulator.world.corps.values()))


# ── Time ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
@verb("GET", "clock")
def clock(simulator: "Simulator") -> Told:
    return {"now": simulator.clock.now(), "is_frozen": simulator.clock.is_frozen}


@verb("POST", "clock", advance=Number(default=0.0), is_frozen=Flag(default=None))
def move(simulator: "Simulator", *, advance: float, is_frozen: bool | None) -> Told:
    if is_frozen is not None and is_frozen != simulator.clock.is_frozen:
        (simulator.clock.freeze if is_frozen else simulator.clock.run)()
    simulator.clock.advance(advance)
    simulator.world.catch_up()
    return clock(simulator)


# ── Calls ────────────────────────────────────────────────────────────────────────────────────────────────────────────
@verb("GET", "log", path=Text(default="*"), after=Whole(default=0), most=Whole(default=1000))
def log(simulator: "Simulator", *, path: str, after: int, most: int) -> Told:
    return {"requests": simulator.log.told(path=path, after=after, most=most)}


@verb("POST", "log/clear")
def clear_log(simulator: "Simulator") -> Told:
    simulator.log.forget()
    return {}


@verb("GET", "faults")
def faults(simulator: "Simulator") -> Told:
    return {"faults": simulator.faults.told()}


@verb(
    "POST",
    "faults",
    path=Text(default="*"),
    kind=Text(one_of=("errcode", "status", "text", "cut", "slow"), default="errcode"),
    code=Whole(-(2**31), default=-1),
    seconds=Number(default=0.0),
    times=Whole(default=1),
    skip=Whole(default=0),
    is_late=Flag(default=False),
    agent=Whole(default=0),
)
def plan_fault(simulator: "Simulator", **given: Any) -> Told:
    simulator.faults.plan.append(Fault(**given))
    return faults(simulator)


@verb("POST", "faults/clear")
def clear_faults(simulator: "Simulator") -> Told:
    simulator.faults.plan.clear()
    return {}


LIMIT = Record(
    {"most": Whole(1), "seconds": Number(0.001), "by": Text(one_of=("corp", "agent", "ip"), default="corp")}
)


@verb("POST", "limits", path=Text(default=""), limits=Many(LIMIT, default=None), concurrent=Whole(default=None))
def set_limits(simulator: "Simulator", *, path: str, limits: Any, concurrent: int | None) -> Told:
    """Of one path, or, without, of each path there is."""
    if limits is not None:
        made = [Limit(**one) for one in limits]
        if path:
            simulator.limits.by_path[path] = made
        else:
            simulator.limits.any_path = made
    if concurrent is not None:
        simulator.limits.concurrent[path] = concurrent
    simulator.limits.forget()
    return {}


SETTINGS: dict[str, Shape] = {
    "token_seconds": Whole(1, default=None),
    "stale_seconds": Number(default=None),
    "welcome_seconds": Number(default=None),
    "race_seconds": Number(default=None),
    "transfer_seconds": Number(default=None),
    "dispatch_seconds": Number(default=None),
    "group_send_cap": Text(one_of=("day", "week", "month"), default=None),
    "old_interface": Flag(default=None),
    "latency": Number(0, 60, default=None),
}


@verb("POST", "settings", **SETTINGS)
def set_settings(simulator: "Simulator", **given: Any) -> Told:
    given = {name: value for name, value in given.items() if value is not None}
    simulator.latency = given.pop("latency", simulator.latency)
    simulator.world.settings = dataclasses.replace(simulator.world.settings, **given)
    return {**dataclasses.asdict(simulator.world.settings), "latency": simulator.latency}


# ── The world ────────────────────────────────────────────────────────────────────────────────────────────────────────
@verb("POST", "reset", world=Shape(default=None))
def reset(simulator: "Simulator", *, world: Any) -> Told:
    """All as at the start, with another world if one is given; time goes on."""
    from retail.wecom.simulator import sample

    state = simulator.world
    with state.lock:
        for records in (state.corps, state.tokens, state.tickets, state.codes):
            records.clear()
        state.settings = Settings()
        seed.fill(state, world or sample())
    simulator.faults.plan.clear()
    simulator.limits.forget()
    simulator.log.forget()
    simulator.callbacks.plan = Plan()
    return {}


@verb("GET", "world", corp_id=CORP)
def world(simulator: "Simulator", *, corp_id: str) -> Told:
    """Every record of a corporation, but for secrets and files."""
    corp = corp_of(simulator, corp_id)
    with simulator.world.lock:
        records = {name: _plain(value) for name, value in vars(corp).items() if name not in ("media", "snapshot")}
    for app in records["apps"].values():
        del app["secret"], app["old_secrets"], app["target"]
    return records


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {name: _plain(inner) for name, inner in vars(value).items()}
    if isinstance(value, dict):
        return {
            "|".join(map(str, key)) if isinstance(key, tuple) else str(key): _plain(one) for key, one in value.items()
        }
    if isinstance(value, list | tuple | set):
        return [_plain(one) for one in value]
    return value


# ── Apps ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
NAMES = Many(Text(), default=None)


@verb(
    "POST",
    "app",
    corp_id=CORP,
    agent_id=Whole(),
    name=Text(default=None),
    secret=Text(default=None),
    scopes=NAMES,
    visible=NAMES,
    trusted_ips=NAMES,
    trusted_domain=Text(default=None),
    home_url=Text(default=None),
    sidebar_url=Text(default=None),
    is_enabled=Flag(default=None),
)
def change_app(simulator: "Simulator", *, corp_id: str, agent_id: int, **given: Any) -> Told:
    """Make an app, or change one; with another secret the old one is an old one."""
    corp = corp_of(simulator, corp_id)
    fields = {
        name: set(value) if isinstance(value, list) else value for name, value in given.items() if value is not None
    }
    with simulator.world.lock:
        app = corp.apps.get(agent_id) or seed.add_app(corp, {"agent_id": agent_id, "name": str(agent_id), **fields})
        if fields.get("secret", app.secret) != app.secret:
            app.old_secrets.add(app.secret)
        for name, value in fields.items():
            setattr(app, name, value)
    return {"agent_id": agent_id, "secret": app.secret}


@verb(
    "POST",
    "app/callback",
    corp_id=CORP,
    agent_id=Whole(),
    url=Text(2048, least=1),
    token=Text(least=1),
    aes_key=Text(43, least=43),
    is_verified=Flag(default=True),
)
def configure(simulator: "Simulator", *, corp_id: str, agent_id: int, is_verified: bool, **given: str) -> Told:
    """As the administrator does: the URL must answer. `is_verified` 0 takes it unasked, for a product yet to start."""
    corp = corp_of(simulator, corp_id)
    target = Target(**given)
    if is_verified:
        simulator.callbacks.configure(corp, corp.app(agent_id), target)
    else:
        corp.app(agent_id).target = target
    return {}


@verb(
    "POST", "revoke", kind=Text(one_of=("access_token", "tickets"), default="access_token"), agent_id=Whole(default=0)
)
def revoke(simulator: "Simulator", *, kind: str, agent_id: int) -> Told:
    """Before their time: of one app, or of all."""
    state = simulator.world
    with state.lock:
        if kind == "access_token":
            state.tokens = {name: one for name, one in state.tokens.items() if agent_id not in (0, one[1].app)}
        else:
            state.tickets = {key: one for key, one in state.tickets.items() if agent_id not in (0, one.app)}
    return {}


# ── Callbacks ────────────────────────────────────────────────────────────────────────────────────────────────────────
SHARE = Number(0, 1, default=None)
TURNED: dict[str, Shape] = {
    "deliveries": Whole(1, 10, default=None),
    "timeout": Number(0.01, 60, default=None),
    "spacing": Number(0, 60, default=None),
    "verify_timeout": Number(0.01, 60, default=None),
    "drop": SHARE,
    "duplicate": SHARE,
    "delay": Number(0, 600, default=None),
    "reorder": Whole(0, 10_000, default=None),
    "wrong_signature": SHARE,
    "wrong_receive_id": SHARE,
    "same_nonce": Flag(default=None),
}


@verb("GET", "callbacks", after=Whole(default=0))
def callbacks(simulator: "Simulator", *, after: int) -> Told:
    return {"deliveries": simulator.callbacks.told(after=after), "plan": dataclasses.asdict(simulator.callbacks.plan)}


@verb("POST", "callbacks/plan", **TURNED)
def plan_callbacks(simulator: "Simulator", **given: Any) -> Told:
    """Change what is given; what was held to be shuffled leaves."""
    changed = {name: value for name, value in given.items() if value is not None}
    simulator.callbacks.let_go()
    simulator.callbacks.plan = dataclasses.replace(simulator.callbacks.plan, **changed)
    return dataclasses.asdict(simulator.callbacks.plan)


@verb("POST", "callbacks/wait", seconds=Number(0, 600, default=10.0))
def wait(simulator: "Simulator", *, seconds: float) -> Told:
    simulator.callbacks.let_go()
    return {"is_idle": simulator.callbacks.wait(seconds)}


@verb(
    "POST",
    "callbacks/send",
    corp_id=CORP,
    agent_id=Whole(),
    xml=Text(65_536, default=""),
    fields=Shape(default=None),
    by=Text(64, default="sys"),
    times=Whole(1, 100_000, default=1),
    plan=Record(TURNED, default=None),
)
def send(
    simulator: "Simulator", *, corp_id: str, agent_id: int, xml: str, fields: Any, by: str, times: int, plan: Any
) -> Told:
    """Any event at all, though nothing has happened: as a whole text, or as the fields behind CreateTime."""
    corp = corp_of(simulator, corp_id)
    app = corp.app(agent_id)
    turned = {name: value for name, value in (plan or {}).items() if value is not None}
    for _ in range(times):
        if xml:
            simulator.callbacks.emit_xml(corp, app, xml, subject=by, **turned)
        else:
            simulator.callbacks.emit(corp, app, fields or {}, by=by, **turned)
    return {}
