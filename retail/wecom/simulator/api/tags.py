"""Tags of the corporation, in groups, and marking customers with them."""

from typing import Any

from retail.wecom.simulator.api import Call, endpoint
from retail.wecom.simulator.refusals import Refused
from retail.wecom.simulator.shapes import Many, Record, Text, Whole
from retail.wecom.simulator.world import Corp, Tag, TagGroup, World

MOST_TAGS = 3000
NAME, ID = Text(30, least=1), Text(64, least=1)
FRESH = Record({"name": NAME, "order": Whole(default=0)})


@endpoint(
    "POST",
    "externalcontact/get_corp_tag_list",
    "tags",
    tag_id=Many(ID, most=1000, default=()),
    group_id=Many(ID, most=1000, default=()),
)
def list_(call: Call, *, tag_id: list[str], group_id: list[str]) -> dict[str, Any]:
    """All of them, or of the tags and groups that are named."""
    told = []
    for group in call.corp.tag_groups.values():
        whole = (not tag_id and not group_id) or group.id in group_id
        tags = [tag for tag in group.tags if whole or tag.id in tag_id]
        if tags:
            told.append(_group(group, tags))
    return {"tag_group": told}


@endpoint(
    "POST",
    "externalcontact/add_corp_tag",
    "tags",
    group_id=Text(64, default=""),
    group_name=Text(30, default=""),
    order=Whole(default=0),
    tag=Many(FRESH, most=100, least=1),
    agentid=Whole(default=None),
)
def add(call: Call, *, group_id: str, group_name: str, order: int, tag: list[Any], agentid: int) -> dict[str, Any]:
    """Into a group by its id, or by its name, which makes one where there is none."""
    if not group_id and not group_name:
        raise Refused(40063)
    group, made = add_tags(
        call.world, call.corp, group_id=group_id, group_name=group_name, order=order, tags=tag, app=call.app.agent_id
    )
    return {"tag_group": _group(group, made)}


def add_tags(
    world: World, corp: Corp, *, group_id: str, group_name: str, order: int, tags: list[dict[str, Any]], app: int
) -> tuple[TagGroup, list[Tag]]:
    """The group and the tags made. Raises Refused(40068 | 40071 | 40126)."""
    stamp = world.clock.stamp()
    group = next((one for one in corp.tag_groups.values() if group_name and one.name == group_name), None)
    if group_id:
        group = corp.tag_groups.get(group_id)
        if group is None:
            raise Refused(40068)
    group = group or TagGroup(world.fresh_id("et"), group_name, order, stamp, app)
    names = [one["name"] for one in tags]
    if len(set(names)) < len(names) or {one.name for one in group.tags} & set(names):
        raise Refused(40071)
    if sum(1 for _ in corp.tags()) + len(tags) > MOST_TAGS:
        raise Refused(40126)
    made = [Tag(world.fresh_id("et"), one["name"], one["order"] or 0, stamp, app) for one in tags]
    group.tags += made
    corp.tag_groups[group.id] = group
    return group, made


@endpoint(
    "POST",
    "externalcontact/edit_corp_tag",
    "tags",
    id=ID,
    name=Text(30, default=""),
    order=Whole(default=None),
    agentid=Whole(default=None),
)
def edit(call: Call, *, id: str, name: str, order: int | None, agentid: int | None) -> dict[str, Any]:
    siblings, found = find(call.corp, id)
    _require_own(call, found)
    rename(siblings, found, name=name, order=order)
    return {}


def rename(siblings: list[Any], found: Tag | TagGroup, *, name: str, order: int | None) -> None:
    if name and any(one.name == name and one is not found for one in siblings):
        raise Refused(40071)
    found.name = name or found.name
    found.order = found.order if order is None else order


def find(corp: Corp, id: str) -> tuple[list[Any], Tag | TagGroup]:
    """A tag or a group, with what stands beside it. Raises Refused(40068)."""
    if id in corp.tag_groups:
        return [*corp.tag_groups.values()], corp.tag_groups[id]
    for group, tag in corp.tags():
        if tag.id == id:
            return group.tags, tag
    raise Refused(40068)


def _require_own(call: Call, found: Tag | TagGroup) -> None:
    if found.app != call.app.agent_id:
        raise Refused(301002)


@endpoint(
    "POST",
    "externalcontact/del_corp_tag",
    "tags",
    tag_id=Many(ID, default=()),
    group_id=Many(ID, default=()),
    agentid=Whole(default=None),
)
def delete(call: Call, *, tag_id: list[str], group_id: list[str], agentid: int | None) -> dict[str, Any]:
    if not tag_id and not group_id:
        raise Refused(40063)
    ids = [*tag_id, *group_id]
    for id in ids:
        _require_own(call, find(call.corp, id)[1])
    remove(call.corp, ids)
    return {}


def remove(corp: Corp, ids: list[str]) -> None:
    """Tags go from their customers too; a group without tags goes with the last."""
    gone = {tag.id for group, tag in corp.tags() if tag.id in ids or group.id in ids}
    for group in corp.tag_groups.values():
        group.tags = [tag for tag in group.tags if tag.id not in gone]
    corp.tag_groups = {id: group for id, group in corp.tag_groups.items() if group.tags}
    for follow in corp.follows.values():
        follow.tags = [one for one in follow.tags if one not in gone]


@endpoint(
    "POST",
    "externalcontact/mark_tag",
    "tags",
    userid=ID,
    external_userid=Text(64, least=1, code=40096),
    add_tag=Many(ID, default=()),
    remove_tag=Many(ID, default=()),
)
def mark(
    call: Call, *, userid: str, external_userid: str, add_tag: list[str], remove_tag: list[str]
) -> dict[str, Any]:
    if not add_tag and not remove_tag:
        raise Refused(40063)
    follow = call.follow(userid, external_userid)
    known = {tag.id for _, tag in call.corp.tags()}
    if set(add_tag) - known:
        raise Refused(40068)
    tags = [one for one in dict.fromkeys([*follow.tags, *add_tag]) if one not in remove_tag]
    if len(tags) > MOST_TAGS:
        raise Refused(40126)
    follow.tags = tags
    return {}


def _group(group: TagGroup, tags: list[Tag]) -> dict[str, Any]:
    return {
        "group_id": group.id,
        "group_name": group.name,
        "create_time": group.created_at,
        "order": group.order,
        "tag": [{"id": one.id, "name": one.name, "create_time": one.created_at, "order": one.order} for one in tags],
    }
