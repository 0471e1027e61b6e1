"""Messages of an app to its members, and the files they are made of."""

from typing import Any

from retail.wecom.simulator.api import Call, endpoint
from retail.wecom.simulator.api.contents import require_media
from retail.wecom.simulator.refusals import Refused
from retail.wecom.simulator.shapes import Flag, Many, Record, Shape, Text, Whole
from retail.wecom.simulator.traffic import HOUR, MINUTE, Limit
from retail.wecom.simulator.web import Response
from retail.wecom.simulator.world import DAY, Corp, Media, Member, Note, Ticket, World

CARD_SECONDS = 72 * HOUR
MOST_USERS, MOST_OTHERS = 1000, 100
PER_ACCOUNT_A_DAY = 200
PER_MEMBER = (Limit(30, MINUTE, by="member"), Limit(1000, HOUR, by="member"))


HEADING = Record({"title": Text(most_bytes=512, default=""), "desc": Text(most_bytes=512, default="")}, default=None)
BUTTON = Record({"text": Text(most_bytes=120, least=1), "key": Text(1024, default=""), "type": Whole(0, 1, default=0)})
CARD: dict[str, dict[str, Shape]] = {
    "text_notice": {"card_action": Record({"type": Whole(1, 2)})},
    "news_notice": {"card_action": Record({"type": Whole(1, 2)}), "card_image": Record({"url": Text(least=1)})},
    "button_interaction": {"button_list": Many(BUTTON, most=6, least=1), "task_id": Text(128, least=1)},
    "vote_interaction": {
        "checkbox": Record({"question_key": Text(1024, least=1), "option_list": Many(Shape(), most=20, least=1)}),
        "submit_button": Record({"text": Text(least=1), "key": Text(1024, least=1)}),
        "task_id": Text(128, least=1),
    },
    "multiple_interaction": {
        "select_list": Many(Shape(), most=3, least=1),
        "submit_button": Record({"text": Text(least=1), "key": Text(1024, least=1)}),
        "task_id": Text(128, least=1),
    },
}
MEDIA: dict[str, Shape] = {"media_id": Text(least=1)}
BODIES: dict[str, dict[str, Shape]] = {
    "text": {"content": Text(most_bytes=2048, least=1)},
    "markdown": {"content": Text(most_bytes=2048, least=1)},
    "textcard": {
        "title": Text(most_bytes=128, least=1),
        "description": Text(most_bytes=512, least=1),
        "url": Text(2048, least=1),
        "btntxt": Text(4, default=""),
    },
    "news": {"articles": Many(Record({"title": Text(most_bytes=128, least=1)}), most=8, least=1)},
    "image": MEDIA,
    "voice": MEDIA,
    "video": MEDIA,
    "file": MEDIA,
    "template_card": {"card_type": Text(one_of=tuple(CARD)), "main_title": HEADING},
}


@endpoint(
    "POST",
    "message/send",
    "messages",
    touser=Text(default=""),
    toparty=Text(default=""),
    totag=Text(default=""),
    agentid=Whole(code=40056),
    msgtype=Text(one_of=tuple(BODIES), code=40008),
    enable_duplicate_check=Flag(default=False),
    duplicate_check_interval=Whole(0, 14_400, default=1800),
    **{kind: Shape(default=None) for kind in BODIES},
)
def send(
    call: Call, *, msgtype: str, agentid: int, touser: str, toparty: str, totag: str, **given: Any
) -> dict[str, Any]:
    """Ids that are nobody's, or not visible, are listed in lower case; only where none is left it is an error."""
    if agentid != call.app.agent_id:
        raise Refused(40056)
    content = _content(call, msgtype, given[msgtype])
    members, told = _receivers(call, touser, toparty, totag)
    if not members:
        raise Refused(81013, **told)
    _count(call, len(members))
    msgid = call.world.fresh_id("msg", 40)
    is_interactive = msgtype == "template_card" and content[msgtype]["card_type"].endswith("_interaction")
    told |= {"response_code": card_code(call.world, call.corp, agentid, msgid)} if is_interactive else {}
    is_repeated = given["enable_duplicate_check"] and _was_sent(call, content, given["duplicate_check_interval"])
    for member in members:
        if not is_repeated and _takes_more(call, member):
            call.corp.notes.append(Note(msgid, agentid, member.userid, call.now, msgtype, content))
    return {**told, "msgid": msgid}


def _content(call: Call, msgtype: str, body: Any) -> dict[str, Any]:
    Record(BODIES[msgtype]).read(msgtype, body)
    if msgtype == "template_card":
        Record(CARD[body["card_type"]]).read(msgtype, body)
    if "media_id" in body:
        require_media(call, body["media_id"])
    return {msgtype: body}


def _receivers(call: Call, touser: str, toparty: str, totag: str) -> tuple[list[Member], dict[str, Any]]:
    users, parties, tags = ([one for one in text.split("|") if one] for text in (touser, toparty, totag))
    if len(users) > MOST_USERS or len(parties) > MOST_OTHERS or len(tags) > MOST_OTHERS:
        raise Refused(82003)
    visible = {member.userid.lower(): member for member in call.visible()}
    if users == ["@all"]:
        return [*visible.values()], {"invaliduser": "", "invalidparty": "", "invalidtag": "", "unlicenseduser": ""}
    known = {str(id): call.corp.branch(id) for id in call.corp.departments}
    found = [visible[one.lower()] for one in users if one.lower() in visible]
    for party in parties:
        found += [one for one in visible.values() if known.get(party, set()) & set(one.department)]
    told = {
        "invaliduser": "|".join(one.lower() for one in users if one.lower() not in visible),
        "invalidparty": "|".join(one for one in parties if one not in known),
        "invalidtag": "|".join(tags),
        "unlicenseduser": "",
    }
    return [*{one.userid: one for one in found}.values()], told


def _count(call: Call, receivers: int) -> None:
    """So many person-times a day as the corporation has accounts, times two hundred."""
    most = Limit(PER_ACCOUNT_A_DAY * max(1, len(call.corp.present())), DAY)
    if not call.simulator.limits.take(most, f"messages {call.corp.corp_id}/{call.app.agent_id}", receivers):
        raise Refused(45009)


def _takes_more(call: Call, member: Member) -> bool:
    """What is over a member's share is dropped, and nobody is told."""
    what = f"messages {call.corp.corp_id}/{call.app.agent_id} {member.userid}"
    return all(call.simulator.limits.take(limit, what) for limit in PER_MEMBER)


def _was_sent(call: Call, content: dict[str, Any], seconds: int) -> bool:
    recent = (one for one in call.corp.notes if one.app == call.app.agent_id and one.at > call.now - seconds)
    return any(one.content == content for one in recent)


def card_code(world: World, corp: Corp, agent_id: int, msgid: str) -> str:
    """With which the card may be changed once."""
    code = world.fresh_id("", 64)
    corp.cards[code] = Ticket(code, agent_id, world.clock.now() + CARD_SECONDS, {"msgid": msgid})
    return code


@endpoint(
    "POST",
    "message/update_template_card",
    "messages",
    userids=Many(Text(64), most=MOST_USERS, default=()),
    partyids=Many(Whole(), most=MOST_OTHERS, default=()),
    tagids=Many(Whole(), most=MOST_OTHERS, default=()),
    atall=Whole(0, 1, default=0),
    agentid=Whole(code=40056),
    response_code=Text(least=1),
    button=Record({"replace_name": Text(least=1)}, default=None),
    template_card=Shape(default=None),
)
def update_card(
    call: Call, *, agentid: int, response_code: str, userids: list[str], atall: int, button: Any, **given: Any
) -> dict[str, Any]:
    """Once for each code, within 72 hours: the buttons give way to a word, or the card to another."""
    if agentid != call.app.agent_id:
        raise Refused(40056)
    if not button and not given["template_card"]:
        raise Refused(40063)
    ticket = call.corp.cards.get(response_code)
    if ticket is None or ticket.is_used or ticket.app != agentid or call.now >= ticket.until:
        raise Refused(40058, "invalid Request Parameter: response_code is used or expired")
    ticket.is_used = True
    asked = {one.lower() for one in userids}
    invalid = [one for one in userids if one.lower() not in {member.userid.lower() for member in call.visible()}]
    for note in call.corp.notes:
        is_asked = atall or note.userid.lower() in asked
        if is_asked and note.msgid == ticket.of["msgid"]:
            note.content = _updated(note.content, button, given["template_card"])
    return {"invaliduser": invalid}


def _updated(content: dict[str, Any], button: Any, card: Any) -> dict[str, Any]:
    if card:
        return {"template_card": card}
    return {"template_card": content["template_card"] | {"replaced": button["replace_name"]}}


# ── Files ────────────────────────────────────────────────────────────────────────────────────────────────────────────
MEGA = 1024 * 1024
KEPT_SECONDS = 3 * DAY
# kind → most bytes, endings ("" for any), the code of too much
FILES = {
    "image": (10 * MEGA, ("jpg", "jpeg", "png"), 40009),
    "voice": (2 * MEGA, ("amr",), 40006),
    "video": (10 * MEGA, ("mp4",), 40006),
    "file": (20 * MEGA, (), 40006),
}


@endpoint("POST", "media/upload", "media", type=Text(one_of=tuple(FILES), code=40005))
def upload(call: Call, *, type: str) -> dict[str, Any]:
    media = _kept(call, type)
    return {"type": type, "media_id": media.media_id, "created_at": str(call.stamp)}


@endpoint(
    "POST",
    "media/upload_attachment",
    "media",
    media_type=Text(one_of=("image", "video", "file"), code=40005),
    attachment_type=Whole(1, 2),
)
def upload_attachment(call: Call, *, media_type: str, attachment_type: int) -> dict[str, Any]:
    media = _kept(call, media_type)
    return {"type": media_type, "media_id": media.media_id, "created_at": str(call.stamp)}


@endpoint("POST", "media/uploadimg", "media")
def upload_image(call: Call) -> dict[str, Any]:
    media = _kept(call, "image", most=2 * MEGA)
    return {"url": f"{call.world.base_url}/media/{media.media_id}"}


@endpoint("GET", "media/get", "media", media_id=Text(least=1, code=40007))
def get(call: Call, *, media_id: str) -> Response:
    require_media(call, media_id)
    media = call.corp.media[media_id]
    head = {"Content-Type": "application/octet-stream", "Content-Disposition": 'attachment; filename="media"'}
    return Response(200, media.content, head)


def _kept(call: Call, kind: str, most: int = 0) -> Media:
    """The file of the field `media`, for three days."""
    found = [(file, content) for field, file, content in call.request.parts() if field == "media" and file]
    if not found:
        raise Refused(41005)
    name, content = found[0]
    limit, endings, code = FILES[kind]
    if not content:
        raise Refused(44001)
    if len(content) <= 5:
        raise Refused(40006)
    if len(content) > (most or limit):
        raise Refused(code)
    if endings and name.rpartition(".")[2].lower() not in endings:
        raise Refused(40004)
    media = Media(call.world.fresh_id("", 64), kind, name, content, call.now + KEPT_SECONDS)
    call.corp.media[media.media_id] = media
    return media
