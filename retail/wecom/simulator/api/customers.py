"""Customers of clerks: who follows whom, what clerks noted about them, and what clerks did, counted by day."""

from typing import Any

from retail.wecom.simulator.api import Call, endpoint, lagging
from retail.wecom.simulator.refusals import Refused
from retail.wecom.simulator.shapes import Many, Text, Whole
from retail.wecom.simulator.world import DAY, Corp, Customer, Follow

FOLLOWERS_PAGE = 500
USERID, EXTERNAL = Text(64, least=1), Text(64, least=1, code=40096)


@endpoint("GET", "externalcontact/get_follow_user_list", "customers")
def get_follow_user_list(call: Call) -> dict[str, Any]:
    return {"follow_user": [member.userid for member in call.visible() if member.may_have_customers]}


@lagging("GET", "externalcontact/list", "customers", userid=USERID)
def list_(call: Call, *, userid: str) -> dict[str, Any]:
    follows = call.corp.follows_of(call.clerk(userid).userid)
    if not follows:
        raise Refused(84061)
    return {"external_userid": [one.external_userid for one in follows]}


@lagging("GET", "externalcontact/get", "customers", external_userid=EXTERNAL, cursor=Text(default=""))
def get(call: Call, *, external_userid: str, cursor: str) -> dict[str, Any]:
    customer = call.corp.customer(external_userid)
    visible = {member.userid for member in call.visible()}
    follows = [one for one in call.corp.followers_of(external_userid) if one.userid in visible]
    if not follows:
        raise Refused(84061)
    found, following = call.page(follows, cursor, FOLLOWERS_PAGE, of=external_userid)
    told = {"external_contact": _customer(customer), "follow_user": [_follow(call.corp, one) for one in found]}
    return told | ({"next_cursor": following} if following else {})


@lagging(
    "POST",
    "externalcontact/batch/get_by_user",
    "customers",
    userid_list=Many(USERID, most=100, least=1),
    cursor=Text(default=""),
    limit=Whole(1, 100, default=50),
)
def batch(call: Call, *, userid_list: list[str], cursor: str, limit: int) -> dict[str, Any]:
    """Here the relation is called follow_info and names tags by id only."""
    userids: dict[str, list[Follow]] = {call.clerk(userid).userid: [] for userid in userid_list}
    for follow in call.corp.follows.values():
        if follow.userid in userids and not follow.is_half:
            userids[follow.userid].append(follow)
    follows = [follow for own in userids.values() for follow in own]
    if not follows:
        raise Refused(84061)
    found, following = call.page(follows, cursor, limit, of=",".join(userids))
    rows = [
        {
            "external_contact": _customer(call.corp.customers[one.external_userid]),
            "follow_info": {**_note(one), "tag_id": list(one.tags)},
        }
        for one in found
    ]
    return {"external_contact_list": rows, "next_cursor": following}


@endpoint(
    "POST",
    "externalcontact/remark",
    "customers",
    userid=USERID,
    external_userid=EXTERNAL,
    remark=Text(20, default=None),
    description=Text(150, default=None),
    remark_company=Text(20, default=None),
    remark_mobiles=Many(Text(32), default=None),
    remark_pic_mediaid=Text(default=None),
)
def remark(call: Call, *, userid: str, external_userid: str, **noted: Any) -> dict[str, Any]:
    if all(value is None for value in noted.values()):
        raise Refused(40058, "invalid Request Parameter: nothing to change")
    follow = call.follow(userid, external_userid)
    note(follow, **noted)
    return {}


def note(
    follow: Follow,
    *,
    remark: str | None,
    description: str | None,
    remark_company: str | None = None,
    remark_mobiles: list[str] | None = None,
    remark_pic_mediaid: str | None = None,
) -> None:
    """Write what is not None; an empty list of mobiles, or one of "", takes them away."""
    follow.remark = follow.remark if remark is None else remark
    follow.description = follow.description if description is None else description
    follow.remark_corp_name = follow.remark_corp_name if remark_company is None else remark_company
    if remark_mobiles is not None:
        follow.remark_mobiles = [one for one in remark_mobiles if one]


def _customer(one: Customer) -> dict[str, Any]:
    told = {
        "external_userid": one.external_userid,
        "name": one.name,
        "avatar": one.avatar,
        "type": one.type,
        "gender": one.gender,
    }
    if one.unionid and one.type == 1:
        told["unionid"] = one.unionid
    if one.type == 2:
        told |= {"corp_name": one.corp_name, "corp_full_name": one.corp_name, "position": ""}
    return told


def _note(one: Follow) -> dict[str, Any]:
    told: dict[str, Any] = {
        "userid": one.userid,
        "remark": one.remark,
        "description": one.description,
        "createtime": one.created_at,
        "remark_corp_name": one.remark_corp_name,
        "remark_mobiles": list(one.remark_mobiles),
        "add_way": one.add_way,
        "oper_userid": one.oper_userid,
    }
    return told | ({"state": one.state} if one.state else {})


def _follow(corp: Corp, one: Follow) -> dict[str, Any]:
    tags = [
        {"group_name": group.name, "tag_name": tag.name, "tag_id": tag.id, "type": 1}
        for group, tag in corp.tags()
        if tag.id in one.tags
    ]
    return {**_note(one), "tags": tags}


# ── Counted by day ───────────────────────────────────────────────────────────────────────────────────────────────────
CHINA = 8 * 3600


@endpoint(
    "POST",
    "externalcontact/get_user_behavior_data",
    "statistics",
    userid=Many(USERID, most=100, default=()),
    partyid=Many(Whole(), most=100, default=()),
    start_time=Whole(),
    end_time=Whole(),
)
def behavior(call: Call, *, userid: list[str], partyid: list[int], start_time: int, end_time: int) -> dict[str, Any]:
    """Days of China from start to end; several members are added up."""
    parties = set().union(*(call.corp.branch(party) for party in partyid))
    asked = {call.clerk(one).userid for one in userid}
    asked |= {one.userid for one in call.visible() if parties & set(one.department)}
    if not asked:
        raise Refused(40063)
    first, last = _midnight(start_time), _midnight(end_time)
    if not first <= last <= first + 30 * DAY or first < call.now - 181 * DAY:
        raise Refused(40058, "invalid Request Parameter: at most 30 days of the last 180")
    days = range(first, last + 1, int(DAY))
    return {"behavior_data": [_day(call.corp, asked, day) for day in days]}


def _midnight(at: int) -> int:
    return (at + CHINA) // int(DAY) * int(DAY) - CHINA


def _day(corp: Corp, userids: set[str], day: int) -> dict[str, Any]:
    end = day + DAY
    talks = [line for line in corp.lines if day <= line.at < end and line.chat.partition("|")[0] in userids]
    sent = [line for line in talks if line.by in userids]
    fresh = [one for one in corp.follows.values() if one.userid in userids and day <= one.created_at < end]
    answered = {line.chat for line in sent} & {line.chat for line in talks if line.by not in userids}
    told: dict[str, Any] = {
        "stat_time": day,
        "chat_cnt": len({line.chat for line in sent}),
        "message_cnt": len(sent),
        "new_apply_cnt": sum(one.oper_userid == one.userid for one in fresh),
        "new_contact_cnt": len(fresh),
        "negative_feedback_cnt": sum(day <= at < end and userid in userids for at, userid in corp.losses),
    }
    asked = {line.chat for line in talks if line.by not in userids}
    return told | ({"reply_percentage": round(100 * len(answered) / len(asked), 2)} if asked else {})
