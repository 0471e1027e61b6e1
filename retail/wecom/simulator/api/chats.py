"""Group chats with customers in them."""

from typing import Any

from retail.wecom.simulator.api import Call, endpoint, lagging
from retail.wecom.simulator.refusals import Refused
from retail.wecom.simulator.shapes import Many, Record, Text, Whole
from retail.wecom.simulator.world import DAY, Chat, Corp

USERID = Text(64, least=1)
CHATS = Many(Text(64), most=100, least=1)
MOST_OWNERS = 1000
PER_DAY, LEDGER_SECONDS, LEDGER_MOST = 300, 90 * DAY, 2


@lagging(
    "POST",
    "externalcontact/groupchat/list",
    "chats",
    status_filter=Whole(0, 3, default=0),
    owner_filter=Record({"userid_list": Many(USERID, most=100, default=None)}, default=None),
    cursor=Text(default=""),
    limit=Whole(1, 1000),
)
def list_(call: Call, *, status_filter: int, owner_filter: Any, cursor: str, limit: int) -> dict[str, Any]:
    owners = (owner_filter or {}).get("userid_list")
    if owners is None and len(call.visible()) > MOST_OWNERS:
        raise Refused(81017)
    asked = {call.member(one).userid for one in owners} if owners else None
    rows = [
        {"chat_id": chat.chat_id, "status": chat.status}
        for chat in call.corp.chats.values()
        if chat.dismissed_at is None and (asked is None or chat.owner in asked)
        if not status_filter or chat.status == status_filter
    ]
    of = f"{status_filter} {sorted(asked or ())}"
    found, following = call.page(rows, cursor, limit, of=of)
    return {"group_chat_list": found, "next_cursor": following}


@lagging(
    "POST",
    "externalcontact/groupchat/get",
    "chats",
    chat_id=Text(64, least=1, code=40050),
    need_name=Whole(0, 1, default=0),
)
def get(call: Call, *, chat_id: str, need_name: int) -> dict[str, Any]:
    chat = call.corp.chat(chat_id)
    if chat.dismissed_at is not None:
        raise Refused(49008)
    members = [_member(call.corp, userid, facts, bool(need_name)) for userid, facts in chat.members.items()]
    told = {
        "chat_id": chat.chat_id,
        "name": chat.name,
        "owner": chat.owner,
        "create_time": chat.created_at,
        "notice": chat.notice,
        "member_list": members,
        "admin_list": [{"userid": one} for one in chat.admins],
        "member_version": chat.member_version,
    }
    return {"group_chat": told}


def _member(corp: Corp, userid: str, facts: dict[str, Any], need_name: bool) -> dict[str, Any]:
    told = {"userid": userid, **facts}
    customer, member = corp.customers.get(userid), corp.members.get(userid)
    if customer and customer.unionid:
        told["unionid"] = customer.unionid
    if need_name and (customer or member):
        told["name"] = (customer or member).name  # type: ignore[union-attr]
    return told


@endpoint("POST", "externalcontact/groupchat/transfer", "chats", chat_id_list=CHATS, new_owner=USERID)
def transfer(call: Call, *, chat_id_list: list[str], new_owner: str) -> dict[str, Any]:
    """Of owners who have left."""
    return _transferred(call, chat_id_list, new_owner, has_left=True)


@endpoint("POST", "externalcontact/groupchat/onjob_transfer", "chats", chat_id_list=CHATS, new_owner=USERID)
def transfer_on_job(call: Call, *, chat_id_list: list[str], new_owner: str) -> dict[str, Any]:
    return _transferred(call, chat_id_list, new_owner, has_left=False)


def _transferred(call: Call, chat_ids: list[str], new_owner: str, *, has_left: bool) -> dict[str, Any]:
    owner = call.clerk(new_owner)
    failed = []
    for chat_id in chat_ids:
        try:
            chat = _free(call, chat_id, owner.userid, has_left)
            if not owner.is_active:
                raise Refused(90504)
        except Refused as refused:
            failed.append({"chat_id": chat_id, "errcode": refused.code, "errmsg": refused.reason})
            continue
        chat.owner, chat.status = owner.userid, 3 if has_left else 0
        chat.members.setdefault(owner.userid, {"type": 1, "join_time": call.stamp, "join_scene": 1})
        call.corp.chat_transfers.append((call.now, chat_id, owner.userid))
    return {"failed_chat_list": failed}


def _free(call: Call, chat_id: str, new_owner: str, has_left: bool) -> Chat:
    """The chat, where it may be handed over now. Raises Refused(905xx)."""
    chat = call.corp.chats.get(chat_id)
    if chat is None or chat.dismissed_at is not None:
        raise Refused(90501)
    owner = call.corp.members.get(chat.owner)
    if (owner is None or owner.left_at is not None) != has_left:
        raise Refused(90500 if has_left else 90502)
    today = [one for one in call.corp.chat_transfers if one[2] == new_owner and one[0] > call.now - DAY]
    if len(today) >= PER_DAY:
        raise Refused(90507)
    recent = [one for one in call.corp.chat_transfers if one[1] == chat_id and one[0] > call.now - LEDGER_SECONDS]
    if not has_left and len(recent) >= LEDGER_MOST:
        raise Refused(90508)
    return chat
