"""Group messages: a task for clerks, who press the button themselves."""

from typing import Any

from retail.wecom.simulator.api import Call, contents, endpoint
from retail.wecom.simulator.refusals import Refused
from retail.wecom.simulator.shapes import Flag, Many, Record, Text, Whole
from retail.wecom.simulator.world import DAY, Sending

MSGID = Text(64, least=1)
UNSENT, SENT, NOT_FRIEND, CAPPED = 0, 1, 2, 3


@endpoint(
    "POST",
    "externalcontact/add_msg_template",
    "sending",
    chat_type=Text(one_of=("single", "group"), default="single"),
    external_userid=Many(Text(64), most=10_000, default=None),
    chat_id_list=Many(Text(64), most=2000, default=None),
    tag_filter=Record(
        {"group_list": Many(Record({"tag_list": Many(Text(64), most=100, least=1)}), default=())}, default=None
    ),
    sender=Text(64, default=None),
    allow_select=Flag(default=False),
    text=contents.TEXT,
    attachments=contents.ATTACHMENTS,
)
def add(call: Call, *, text: Any, attachments: list[Any], chat_type: str, **whom: Any) -> dict[str, Any]:
    content = contents.require(call, text=text, attachments=attachments)
    content["allow_select"] = whom["allow_select"]
    sender = call.clerk(whom["sender"]).userid if whom["sender"] else None
    parts, failed = _groups(call, sender, whom) if chat_type == "group" else _singles(call, sender, whom)
    if not parts:
        raise Refused(41048, fail_list=failed)
    msgid = call.world.fresh_id("msg", 32)
    call.corp.sendings[msgid] = Sending(msgid, call.app.agent_id, call.now, chat_type, content, parts)
    return {"fail_list": failed, "msgid": msgid}


Parts = dict[str, dict[str, list[int]]]


def _singles(call: Call, sender: str | None, whom: dict[str, Any]) -> tuple[Parts, list[str]]:
    """Each customer is given to the member who spoke with them last, or to `sender` alone."""
    asked = whom["external_userid"]
    if asked is None and sender is None:
        raise Refused(40063, "external_userid and sender are both empty")
    ids = [one.external_userid for one in call.corp.follows_of(sender or "")] if asked is None else asked
    own = {one.external_userid: one for one in call.corp.follows_of(sender)} if sender else call.corp.last_talks()
    parts: Parts = {}
    failed = []
    for external_userid in dict.fromkeys(ids):
        follow = own.get(external_userid)
        if follow is None:
            failed.append(external_userid)
        elif _is_meant(follow.tags, whom["tag_filter"]):
            parts.setdefault(follow.userid, {})[external_userid] = [UNSENT, 0]
    return parts, failed


def _is_meant(tags: list[str], tag_filter: dict[str, Any] | None) -> bool:
    """One tag of each group."""
    return all(set(tags) & set(group["tag_list"]) for group in (tag_filter or {}).get("group_list", ()))


def _groups(call: Call, sender: str | None, whom: dict[str, Any]) -> tuple[Parts, list[str]]:
    if sender is None:
        raise Refused(40063, "sender is empty")
    own = {chat.chat_id for chat in call.corp.chats.values() if chat.owner == sender and chat.dismissed_at is None}
    asked = own if whom["chat_id_list"] is None else dict.fromkeys(whom["chat_id_list"])
    failed = [one for one in asked if one not in own]
    chosen = {chat_id: [UNSENT, 0] for chat_id in sorted(own & set(asked))}
    return ({sender: chosen} if chosen else {}), failed


@endpoint(
    "POST",
    "externalcontact/get_groupmsg_list_v2",
    "sending",
    chat_type=Text(one_of=("single", "group")),
    start_time=Whole(),
    end_time=Whole(),
    creator=Text(default=None),
    filter_type=Whole(0, 2, default=2),
    limit=Whole(1, 100, default=50),
    cursor=Text(default=""),
)
def list_(
    call: Call, *, chat_type: str, start_time: int, end_time: int, limit: int, cursor: str, **_: Any
) -> dict[str, Any]:
    if not start_time <= end_time <= start_time + 31 * DAY:
        raise Refused(40058, "invalid Request Parameter: at most one month")
    rows = [
        {
            "msgid": one.msgid,
            "creator": "",
            "create_time": str(int(one.created_at)),
            "create_type": 0,
            "text": one.content["text"],
            "attachments": one.content["attachments"],
        }
        for one in call.corp.sendings.values()
        if one.chat_type == chat_type and start_time <= one.created_at <= end_time
    ]
    found, following = call.page(rows, cursor, limit, of=f"{chat_type} {start_time} {end_time}")
    return {"group_msg_list": found, "next_cursor": following}


@endpoint(
    "POST",
    "externalcontact/get_groupmsg_task",
    "sending",
    msgid=MSGID,
    limit=Whole(1, 1000, default=500),
    cursor=Text(default=""),
)
def tasks(call: Call, *, msgid: str, limit: int, cursor: str) -> dict[str, Any]:
    """Status 0: the clerk has not pressed the button, 2: has."""
    sending = _sending(call, msgid)
    rows = [
        {"userid": userid, "status": 2, "send_time": sending.sent_at[userid]}
        if userid in sending.sent_at
        else {"userid": userid, "status": 0}
        for userid in sending.parts
    ]
    found, following = call.page(rows, cursor, limit, of=msgid)
    return {"task_list": found, "next_cursor": following}


@endpoint(
    "POST",
    "externalcontact/get_groupmsg_send_result",
    "sending",
    msgid=MSGID,
    userid=Text(64, least=1),
    limit=Whole(1, 1000, default=500),
    cursor=Text(default=""),
)
def results(call: Call, *, msgid: str, userid: str, limit: int, cursor: str) -> dict[str, Any]:
    sending = _sending(call, msgid)
    if call.now < sending.created_at + call.world.settings.dispatch_seconds:
        raise Refused(41063)
    name = "chat_id" if sending.chat_type == "group" else "external_userid"
    rows = [
        {name: who, "userid": userid, "status": status, **({"send_time": at} if at else {})}
        for who, (status, at) in sending.parts.get(userid, {}).items()
    ]
    found, following = call.page(rows, cursor, limit, of=f"{msgid} {userid}")
    return {"send_list": found, "next_cursor": following}


@endpoint("POST", "externalcontact/remind_groupmsg_send", "sending", msgid=MSGID)
def remind(call: Call, *, msgid: str) -> dict[str, Any]:
    sending = _open(call, msgid)
    recent = [at for at in sending.reminded_at if at > call.now - DAY]
    if len(recent) >= 3:
        raise Refused(41094)
    sending.reminded_at = [*recent, call.now]
    return {}


@endpoint("POST", "externalcontact/cancel_groupmsg_send", "sending", msgid=MSGID)
def cancel(call: Call, *, msgid: str) -> dict[str, Any]:
    _open(call, msgid).is_cancelled = True
    return {}


def _sending(call: Call, msgid: str) -> Sending:
    if msgid not in call.corp.sendings:
        raise Refused(40058, "invalid Request Parameter: msgid")
    return call.corp.sendings[msgid]


def _open(call: Call, msgid: str) -> Sending:
    sending = _sending(call, msgid)
    if sending.is_cancelled or len(sending.sent_at) == len(sending.parts):
        raise Refused(41093)
    return sending
