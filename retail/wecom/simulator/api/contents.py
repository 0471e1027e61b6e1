"""What may be said: text and attachments, the same in welcomes, group messages and moments."""

from typing import Any

from retail.wecom.simulator.api import Call
from retail.wecom.simulator.refusals import Refused
from retail.wecom.simulator.shapes import Many, Record, Shape, Text

MOST_ATTACHMENTS = 9
MEDIA = Text(least=1)
KINDS = {
    "image": Record({"media_id": Text(default=""), "pic_url": Text(2048, default="")}),
    "link": Record(
        {
            "title": Text(most_bytes=128, least=1),
            "picurl": Text(2048, default=""),
            "desc": Text(most_bytes=512, default=""),
            "url": Text(2048, least=1),
        }
    ),
    "miniprogram": Record(
        {"title": Text(most_bytes=64, least=1), "pic_media_id": MEDIA, "appid": Text(least=1), "page": Text(least=1)}
    ),
    "video": Record({"media_id": MEDIA}),
    "file": Record({"media_id": MEDIA}),
}


class Attachment(Shape):
    """{"msgtype": kind, kind: {…}}; of the other kinds nothing is kept."""

    def read(self, name: str, value: Any) -> dict[str, Any]:
        kind = Record({"msgtype": Text(one_of=tuple(KINDS))}).read(name, value)["msgtype"]
        fields = KINDS[kind].read(f"{name}.{kind}", value.get(kind))
        if kind == "image" and not fields["media_id"] and not fields["pic_url"]:
            raise Refused(40058, f"invalid Request Parameter: {name}.image has no media_id and no pic_url")
        return {"msgtype": kind, kind: {field: said for field, said in fields.items() if said}}


TEXT = Record({"content": Text(most_bytes=4000, default="")}, default=None)
ATTACHMENTS = Many(Attachment(), most=MOST_ATTACHMENTS, default=())


def require(call: Call, *, text: dict[str, Any] | None, attachments: list[Any]) -> dict[str, Any]:
    """The content to keep: {"text", "attachments"}. Raises Refused for none at all and for media that is not there."""
    said = (text or {}).get("content", "")
    if not said and not attachments:
        raise Refused(40063, "text and attachments are both empty")
    for one in attachments:
        fields = one[one["msgtype"]]
        for name in {"media_id", "pic_media_id"} & set(fields):
            require_media(call, fields[name])
    return {"text": {"content": said}, "attachments": list(attachments)}


def require_media(call: Call, media_id: str) -> None:
    media = call.corp.media.get(media_id)
    if media is None or call.now >= media.until:
        raise Refused(40007)
