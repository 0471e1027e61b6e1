"""客户朋友圈: posts that clerks publish themselves."""

from typing import Any

from retail.wecom.simulator.api import Call, contents, endpoint
from retail.wecom.simulator.refusals import Refused
from retail.wecom.simulator.shapes import Many, Record, Text, Whole
from retail.wecom.simulator.world import DAY, Moment

ID = Text(64, least=1)
JOB_SECONDS = DAY
PAGE = {"cursor": Text(default=""), "limit": Whole(1, 1000, default=500)}


@endpoint(
    "POST",
    "externalcontact/add_moment_task",
    "moments",
    text=Record({"content": Text(2000, default="")}, default=None),
    attachments=contents.ATTACHMENTS,
    visible_range=Record(
        {
            "sender_list": Record(
                {"user_list": Many(Text(64), default=()), "department_list": Many(Whole(), default=())}, default=None
            ),
            "external_contact_list": Record({"tag_list": Many(Text(64), default=())}, default=None),
        },
        default=None,
    ),
)
def add(call: Call, *, text: Any, attachments: list[Any], visible_range: Any) -> dict[str, Any]:
    content = contents.require(call, text=text, attachments=attachments)
    _require_one_kind([one["msgtype"] for one in attachments])
    senders = (visible_range or {}).get("sender_list")
    tags = set(((visible_range or {}).get("external_contact_list") or {}).get("tag_list", ()))
    parts = {
        userid: [one.external_userid for one in call.corp.follows_of(userid) if not tags or tags & set(one.tags)]
        for userid in _senders(call, senders)
    }
    if not parts:
        raise Refused(41048)
    moment = Moment(call.world.fresh_id(""), call.world.fresh_id("mom"), call.app.agent_id, call.stamp, content, parts)
    call.corp.moments[moment.moment_id] = moment
    return {"jobid": moment.jobid}


def _require_one_kind(kinds: list[str]) -> None:
    """Nine pictures, or one video, or one link."""
    if kinds and set(kinds) != {"image"} and (len(kinds) > 1 or kinds[0] not in ("video", "link")):
        raise Refused(40058, "invalid Request Parameter: attachments are pictures, or one video, or one link")


def _senders(call: Call, senders: Any) -> list[str]:
    if not senders:
        return [member.userid for member in call.visible() if member.may_have_customers]
    parties = set().union(*(call.corp.branch(one) for one in senders["department_list"]))
    named = [call.clerk(one).userid for one in senders["user_list"]]
    return list(dict.fromkeys([*named, *(one.userid for one in call.visible() if parties & set(one.department))]))


@endpoint("GET", "externalcontact/get_moment_task_result", "moments", jobid=ID)
def job(call: Call, *, jobid: str) -> dict[str, Any]:
    """Status 3: done. A job is remembered for a day."""
    moment = next((one for one in call.corp.moments.values() if one.jobid == jobid), None)
    if moment is None or call.now > moment.created_at + JOB_SECONDS:
        raise Refused(40058, "invalid Request Parameter: jobid")
    nobody: dict[str, list[Any]] = {"user_list": [], "department_list": []}
    result = {"errcode": 0, "errmsg": "ok", "moment_id": moment.moment_id, "invalid_sender_list": nobody}
    return {"status": 3, "type": "add_moment_task", "result": result}


@endpoint(
    "POST",
    "externalcontact/get_moment_list",
    "moments",
    start_time=Whole(),
    end_time=Whole(),
    creator=Text(default=None),
    filter_type=Whole(0, 2, default=2),
    cursor=Text(default=""),
    limit=Whole(1, 20, default=20),
)
def list_(call: Call, *, start_time: int, end_time: int, cursor: str, limit: int, **_: Any) -> dict[str, Any]:
    if not start_time <= end_time <= start_time + 30 * DAY:
        raise Refused(40058, "invalid Request Parameter: at most 30 days")
    rows = [
        {
            "moment_id": one.moment_id,
            "creator": "" if one.app else next(iter(one.parts)),
            "create_time": str(one.created_at),
            "create_type": int(not one.app),  # by the company, or by a clerk
            "visible_type": 1,
            **_shown(one),
        }
        for one in call.corp.moments.values()
        if start_time <= one.created_at <= end_time
    ]
    found, following = call.page(rows, cursor, limit, of=f"{start_time} {end_time}")
    return {"next_cursor": following, "moment_list": found}


def _shown(moment: Moment) -> dict[str, Any]:
    by_kind: dict[str, Any] = {"text": moment.content["text"]}
    for one in moment.content["attachments"]:
        kind = one["msgtype"]
        if kind == "image":
            by_kind.setdefault("image", []).append(one["image"])
        else:
            by_kind[kind] = one[kind]
    return by_kind


def _moment(call: Call, moment_id: str) -> Moment:
    if moment_id not in call.corp.moments:
        raise Refused(40058, "invalid Request Parameter: moment_id")
    return call.corp.moments[moment_id]


@endpoint("POST", "externalcontact/get_moment_task", "moments", moment_id=ID, **PAGE)
def tasks(call: Call, *, moment_id: str, cursor: str, limit: int) -> dict[str, Any]:
    """publish_status 0: not yet, 1: published."""
    moment = _moment(call, moment_id)
    rows = [{"userid": one, "publish_status": int(one in moment.published_at)} for one in moment.parts]
    found, following = call.page(rows, cursor, limit, of=moment_id)
    return {"next_cursor": following, "task_list": found}


@endpoint("POST", "externalcontact/get_moment_customer_list", "moments", moment_id=ID, userid=ID, **PAGE)
def customers(call: Call, *, moment_id: str, userid: str, cursor: str, limit: int) -> dict[str, Any]:
    """Whom the post is meant for."""
    rows = [{"userid": userid, "external_userid": one} for one in _moment(call, moment_id).parts.get(userid, ())]
    found, following = call.page(rows, cursor, limit, of=f"{moment_id} {userid}")
    return {"next_cursor": following, "customer_list": found}


@endpoint(
    "POST",
    "externalcontact/get_moment_send_result",
    "moments",
    moment_id=ID,
    userid=ID,
    cursor=Text(default=""),
    limit=Whole(1, 5000, default=3000),
)
def results(call: Call, *, moment_id: str, userid: str, cursor: str, limit: int) -> dict[str, Any]:
    """Who has it, once it is published."""
    moment = _moment(call, moment_id)
    seen = moment.parts.get(userid, ()) if userid in moment.published_at else ()
    found, following = call.page([{"external_userid": one} for one in seen], cursor, limit, of=f"{moment_id} {userid}")
    return {"next_cursor": following, "customer_list": found}


@endpoint("POST", "externalcontact/get_moment_comments", "moments", moment_id=ID, userid=ID)
def comments(call: Call, *, moment_id: str, userid: str) -> dict[str, Any]:
    own = [one for one in _moment(call, moment_id).comments if one["clerk"] == userid]

    def told(kind: str) -> list[dict[str, Any]]:
        return [
            {"external_userid": one["external_userid"], "create_time": one["at"]} for one in own if one["kind"] == kind
        ]

    return {"comment_list": told("comment"), "like_list": told("like")}
