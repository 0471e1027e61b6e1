"""The address book: members and departments."""

from typing import Any

from retail.wecom.simulator.api import Call, endpoint
from retail.wecom.simulator.refusals import Refused
from retail.wecom.simulator.shapes import Flag, Text, Whole
from retail.wecom.simulator.world import Department, Member


@endpoint("GET", "user/get", "contacts", userid=Text(64, least=1))
def get(call: Call, *, userid: str) -> dict[str, Any]:
    return _told(call, call.member(userid))


@endpoint("GET", "user/list", "contacts", department_id=Whole(), fetch_child=Flag(default=False))
def list_(call: Call, *, department_id: int, fetch_child: bool) -> dict[str, Any]:
    return {"userlist": [_told(call, member) for member in _members(call, department_id, fetch_child)]}


@endpoint("GET", "user/simplelist", "contacts", department_id=Whole(), fetch_child=Flag(default=False))
def simple_list(call: Call, *, department_id: int, fetch_child: bool) -> dict[str, Any]:
    found = _members(call, department_id, fetch_child)
    return {"userlist": [{"userid": one.userid, "name": one.name, "department": one.department} for one in found]}


@endpoint("POST", "user/list_id", "sync", cursor=Text(default=""), limit=Whole(1, 10_000, default=10_000))
def list_id(call: Call, *, cursor: str, limit: int) -> dict[str, Any]:
    """One row per member and department; only for the secret of the synchronisation."""
    rows = [{"userid": one.userid, "department": party} for one in call.corp.present() for party in one.department]
    found, cursor = call.page(rows, cursor, limit)
    return {"next_cursor": cursor, "dept_user": found}


@endpoint("GET", "department/list", "contacts", id=Whole(default=None))
def list_departments(call: Call, *, id: int | None) -> dict[str, Any]:
    departments = call.corp.departments
    if id is not None and id not in departments:
        raise Refused(60003)
    branch = call.corp.branch(id) if id is not None else set(departments)
    return {"department": [_party(one) for one in departments.values() if one.id in branch]}


@endpoint("GET", "department/simplelist", "contacts", id=Whole(default=None))
def simple_list_departments(call: Call, *, id: int | None) -> dict[str, Any]:
    rows = list_departments(call, id=id)["department"]
    return {"department_id": [{name: row[name] for name in ("id", "parentid", "order")} for row in rows]}


@endpoint("GET", "department/get", "contacts", id=Whole())
def get_department(call: Call, *, id: int) -> dict[str, Any]:
    if id not in call.corp.departments:
        raise Refused(60003)
    return {"department": _party(call.corp.departments[id])}


@endpoint("GET", "tag/list", "contacts")
def list_tags(call: Call) -> dict[str, Any]:
    """Tags of members, which have nothing to do with those of customers."""
    return {"taglist": [{"tagid": id, "tagname": tag["name"]} for id, tag in call.corp.member_tags.items()]}


@endpoint("GET", "tag/get", "contacts", tagid=Whole(code=40068))
def get_tag(call: Call, *, tagid: int) -> dict[str, Any]:
    if tagid not in call.corp.member_tags:
        raise Refused(40068)
    tag = call.corp.member_tags[tagid]
    users = [{"userid": one.userid, "name": one.name} for one in call.visible() if one.userid in tag["userids"]]
    return {"tagname": tag["name"], "userlist": users, "partylist": []}


@endpoint("GET", "agent/get", agentid=Whole(code=40056))
def get_agent(call: Call, *, agentid: int) -> dict[str, Any]:
    if agentid != call.app.agent_id:
        raise Refused(40056)
    users = [{"userid": member.userid} for member in call.visible()]
    domain = call.app.trusted_domain
    return {"agentid": agentid, "name": call.app.name, "allow_userinfos": {"user": users}, "redirect_domain": domain}


def _members(call: Call, department_id: int, fetch_child: bool) -> list[Member]:
    if department_id not in call.corp.departments:
        raise Refused(60003)
    parties = call.corp.branch(department_id) if fetch_child else {department_id}
    return [member for member in call.visible() if parties & set(member.department)]


def _told(call: Call, member: Member) -> dict[str, Any]:
    told: dict[str, Any] = {
        "userid": member.userid,
        "name": member.name,
        "department": member.department,
        "order": [0] * len(member.department),
        "position": member.position,
        "status": 1 if member.is_active else 4,
        "enable": 1,
        "isleader": 0,
        "is_leader_in_dept": [0] * len(member.department),
        "direct_leader": [],
        "main_department": member.department[0] if member.department else 1,
        "extattr": {"attrs": []},
        "telephone": "",
        "alias": "",
    }
    if call.world.settings.old_interface:
        told |= {"gender": member.gender, "mobile": "", "email": "", "avatar": "", "thumb_avatar": ""}
    return told


def _party(one: Department) -> dict[str, Any]:
    return {"id": one.id, "name": one.name, "parentid": one.parentid, "order": one.order, "department_leader": []}
