"""Handing customers over: of members at work (the customer may refuse for a day), and of those who have left."""

from collections.abc import Callable
from typing import Any

from retail.wecom.simulator.api import Call, endpoint
from retail.wecom.simulator.refusals import Refused
from retail.wecom.simulator.shapes import Many, Text, Whole
from retail.wecom.simulator.world import DAY, Member, Transfer

USERID = Text(64, least=1)
CUSTOMERS = Many(Text(64), most=100, least=1)
LEDGER_SECONDS, LEDGER_MOST = 90 * DAY, 2
LEFT_SECONDS = 365 * DAY
WAITING, NONE = 2, 5


@endpoint(
    "POST",
    "externalcontact/transfer_customer",
    "transfer",
    handover_userid=USERID,
    takeover_userid=USERID,
    external_userid=CUSTOMERS,
    transfer_success_msg=Text(200, default=""),
)
def transfer(
    call: Call, *, handover_userid: str, takeover_userid: str, external_userid: list[str], transfer_success_msg: str
) -> dict[str, Any]:
    handover, takeover = call.clerk(handover_userid), call.clerk(takeover_userid)
    if handover.userid == takeover.userid:
        raise Refused(40130)

    def errcode(who: str) -> int:
        if who not in call.corp.customers:
            return 40096
        if (handover.userid, who) not in call.corp.follows:
            return 40131
        return _ledger(call, who)

    return _begin(call, handover, takeover, external_userid, errcode, said=transfer_success_msg)


def _ledger(call: Call, external_userid: str) -> int:
    """0 where the customer may be handed over once more."""
    own = [one for one in call.corp.transfers if one.external_userid == external_userid]
    if any(one.status == WAITING for one in own):
        return 40129
    recent = [one for one in own if one.started_at > call.now - LEDGER_SECONDS and not one.is_resigned]
    return 40128 if len(recent) >= LEDGER_MOST else 0


@endpoint(
    "POST",
    "externalcontact/resigned/transfer_customer",
    "transfer",
    handover_userid=USERID,
    takeover_userid=USERID,
    external_userid=CUSTOMERS,
)
def transfer_of_left(
    call: Call, *, handover_userid: str, takeover_userid: str, external_userid: list[str]
) -> dict[str, Any]:
    handover = _left(call, handover_userid)

    def errcode(who: str) -> int:
        waits = any(one.external_userid == who and one.status == WAITING for one in call.corp.transfers)
        if who not in call.corp.customers:
            return 40096
        if waits:
            return 40129
        return 0 if (handover.userid, who) in call.corp.unassigned else 40099

    return _begin(call, handover, call.clerk(takeover_userid), external_userid, errcode, is_resigned=True)


def _left(call: Call, userid: str) -> Member:
    member = call.corp.members.get(userid)
    if member is None:
        raise Refused(40003)
    if member.left_at is None or member.left_at < call.now - LEFT_SECONDS:
        raise Refused(40097)
    return member


def _begin(
    call: Call,
    handover: Member,
    takeover: Member,
    external_userids: list[str],
    errcode: Callable[[str], int],
    *,
    said: str = "",
    is_resigned: bool = False,
) -> dict[str, Any]:
    """Errcode 0 of a customer means begun; it comes to pass by itself a day later."""
    told = []
    for external_userid in external_userids:
        code = errcode(external_userid)
        if not code:
            begun = Transfer(
                handover.userid, takeover.userid, external_userid, call.now, said, is_resigned=is_resigned
            )
            call.corp.transfers.append(begun)
            call.simulator.acts.complete_later(call.corp, begun)
        told.append({"external_userid": external_userid, "errcode": code})
    return {"customer": told}


@endpoint(
    "POST",
    "externalcontact/transfer_result",
    "transfer",
    handover_userid=USERID,
    takeover_userid=USERID,
    cursor=Text(default=""),
)
def result(call: Call, **asked: Any) -> dict[str, Any]:
    return _results(call, is_resigned=False, **asked)


@endpoint(
    "POST",
    "externalcontact/resigned/transfer_result",
    "transfer",
    handover_userid=USERID,
    takeover_userid=USERID,
    cursor=Text(default=""),
)
def result_of_left(call: Call, **asked: Any) -> dict[str, Any]:
    return _results(call, is_resigned=True, **asked)


def _results(
    call: Call, *, is_resigned: bool, handover_userid: str, takeover_userid: str, cursor: str
) -> dict[str, Any]:
    """The last hand-over of each customer between the two."""
    latest = {
        one.external_userid: {
            "external_userid": one.external_userid,
            "status": one.status,
            "takeover_time": int(one.ended_at) if one.status == 1 else 0,
        }
        for one in call.corp.transfers
        if (one.handover, one.takeover, one.is_resigned) == (handover_userid, takeover_userid, is_resigned)
    }
    found, following = call.page([*latest.values()], cursor, 1000, of=f"{handover_userid} {takeover_userid}")
    return {"customer": found, "next_cursor": following}


@endpoint(
    "POST",
    "externalcontact/get_unassigned_list",
    "transfer",
    page_id=Whole(default=0),
    page_size=Whole(1, 1000, default=1000),
    cursor=Text(default=""),
)
def unassigned(call: Call, *, page_id: int, page_size: int, cursor: str) -> dict[str, Any]:
    """Of members who have left: customers nobody has taken over. By page or by cursor."""
    rows = [
        {"handover_userid": userid, "external_userid": who, "dimission_time": int(since)}
        for (userid, who), since in call.corp.unassigned.items()
    ]
    if page_id and not cursor:
        first = page_id * page_size
        rest = first + page_size
        return {"info": rows[first:rest], "is_last": rest >= len(rows), "next_cursor": ""}
    found, following = call.page(rows, cursor, page_size)
    return {"info": found, "is_last": not following, "next_cursor": following}
