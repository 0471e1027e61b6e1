"""联系我: codes that customers scan, and the welcome they get within twenty seconds."""

from typing import Any

from retail.wecom.simulator.api import Call, contents, endpoint
from retail.wecom.simulator.refusals import Refused
from retail.wecom.simulator.shapes import Flag, Many, Record, Text, Whole
from retail.wecom.simulator.world import DAY, Line, Way

MOST_MEMBERS = 100
TEMP_SECONDS = 14 * int(DAY)
CONFIG = Text(64, least=1)
SHARED = {
    "style": Whole(1, 3, default=None),
    "remark": Text(30, default=None),
    "skip_verify": Flag(default=None),
    "state": Text(30, default=None),
    "user": Many(Text(64), most=MOST_MEMBERS, default=None),
    "party": Many(Whole(), most=MOST_MEMBERS, default=None),
    "expires_in": Whole(1, TEMP_SECONDS, default=None),
    "chat_expires_in": Whole(1, TEMP_SECONDS, default=None),
    "unionid": Text(default=None),
    "conclusions": Record({}, default=None),
}
DEFAULTS = {"style": 1, "remark": "", "skip_verify": True, "state": "", "user": [], "party": []}


@endpoint(
    "POST",
    "externalcontact/add_contact_way",
    "customers",
    type=Whole(1, 2),
    scene=Whole(1, 2),
    is_temp=Flag(default=False),
    is_exclusive=Flag(default=False),
    **SHARED,
)
def add(call: Call, **given: Any) -> dict[str, Any]:
    fields = {name: value for name, value in given.items() if value is not None}
    fields = {**DEFAULTS, **fields}
    _require_members(call, fields)
    if fields["is_temp"]:
        if fields["type"] != 1:
            raise Refused(40058, "invalid Request Parameter: a temporary code is of one member")
        fields = {"expires_in": 7 * int(DAY), "chat_expires_in": int(DAY), **fields}
    config_id = call.world.fresh_id("", 32)
    way = Way(config_id, call.stamp, call.app.agent_id, fields, f"{call.world.base_url}/qr/{config_id}.png")
    call.corp.ways[config_id] = way
    return {"config_id": config_id, **({"qr_code": way.qr_code} if fields["scene"] == 2 else {})}


def _require_members(call: Call, fields: dict[str, Any]) -> None:
    if fields["type"] == 1 and (len(fields["user"]) != 1 or fields["party"]):
        raise Refused(40058, "invalid Request Parameter: type 1 takes exactly one user")
    if not fields["user"] and not fields["party"]:
        raise Refused(40063)
    for userid in fields["user"]:
        if not call.clerk(userid).is_active:
            raise Refused(41054)
    if unknown := set(fields["party"]) - set(call.corp.departments):
        raise Refused(60003, f"department not found: {min(unknown)}")


@endpoint("POST", "externalcontact/update_contact_way", "customers", config_id=CONFIG, **SHARED)
def update(call: Call, *, config_id: str, **given: Any) -> dict[str, Any]:
    """Fields that are not given stay; the picture stays too."""
    way = _way(call, config_id)
    fields = way.fields | {name: value for name, value in given.items() if value is not None}
    _require_members(call, fields)
    way.fields = fields
    return {}


@endpoint("POST", "externalcontact/get_contact_way", "customers", config_id=CONFIG)
def get(call: Call, *, config_id: str) -> dict[str, Any]:
    way = _way(call, config_id)
    return {"contact_way": {"config_id": config_id, "qr_code": way.qr_code, **way.fields}}


@endpoint(
    "POST",
    "externalcontact/list_contact_way",
    "customers",
    start_time=Whole(default=None),
    end_time=Whole(default=None),
    cursor=Text(default=""),
    limit=Whole(1, 1000, default=100),
)
def list_(call: Call, *, start_time: int | None, end_time: int | None, cursor: str, limit: int) -> dict[str, Any]:
    end = call.stamp if end_time is None else end_time
    start = end - 90 * int(DAY) if start_time is None else start_time
    ways = [
        way.config_id
        for way in call.corp.ways.values()
        if way.app == call.app.agent_id and start <= way.created_at <= end and not way.fields["is_temp"]
    ]
    of = "" if start_time is None and end_time is None else f"{start} {end}"
    found, following = call.page(ways, cursor, limit, of=of)
    return {"contact_way": [{"config_id": one} for one in found], "next_cursor": following}


@endpoint("POST", "externalcontact/del_contact_way", "customers", config_id=CONFIG)
def delete(call: Call, *, config_id: str) -> dict[str, Any]:
    _way(call, config_id)
    del call.corp.ways[config_id]
    return {}


def _way(call: Call, config_id: str) -> Way:
    """A code of this app; others' are as good as unknown."""
    way = call.corp.ways.get(config_id)
    if way is None or way.app != call.app.agent_id:
        raise Refused(40058, "invalid Request Parameter: config_id")
    return way


# ── Welcome ──────────────────────────────────────────────────────────────────────────────────────────────────────────
@endpoint(
    "POST",
    "externalcontact/send_welcome_msg",
    "customers",
    welcome_code=Text(least=1, code=41050),
    text=contents.TEXT,
    attachments=contents.ATTACHMENTS,
)
def send_welcome(call: Call, *, welcome_code: str, text: Any, attachments: list[Any]) -> dict[str, Any]:
    """Once, within twenty seconds of the event; of several apps the first wins."""
    agent_id, greeting = call.corp.greetings.get(welcome_code, (0, None))
    if greeting is None or agent_id != call.app.agent_id or call.now >= greeting.until:
        raise Refused(41050)
    if greeting.sent_at is not None:
        is_race = greeting.sent_by != agent_id and call.now < greeting.sent_at + call.world.settings.race_seconds
        raise Refused(41096 if is_race else 41051)
    content = contents.require(call, text=text, attachments=attachments)
    greeting.sent_at, greeting.sent_by = call.now, agent_id
    chat = f"{greeting.userid}|{greeting.external_userid}"
    call.corp.lines.append(Line(call.now, chat, greeting.userid, "message", content, via="welcome"))
    return {}
