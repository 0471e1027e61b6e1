"""发表内容到客户朋友圈: what the JS-SDK's shareToExternalMoments takes, refused in the vendor's words.

A text of 2000 letters at most; nine pictures, or one video, or one link. A file the client cannot fetch it leaves out.
"""

from collections.abc import Callable
from typing import Any

from retail.wecom.simulator.refusals import Refused

MOST_TEXT, MOST_TITLE_BYTES = 2000, 64
MOST = {"image": 9, "video": 1, "link": 1}


def published(params: dict[str, Any], *, is_there: Callable[[str], bool]) -> dict[str, Any]:
    """The content to keep: {"text", "attachments"}. Raises Refused."""
    text = str((params.get("text") or {}).get("content") or "")
    given = params.get("attachments") or []
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        raise Refused(-1, "invalid attachments")
    if not text and not given:
        raise Refused(-1, "invalid params")
    if len(text) > MOST_TEXT:
        raise Refused(-1, "invalid text size")
    kinds = {one.get("msgtype") for one in given}
    if len(kinds) > 1 or not kinds <= set(MOST):
        raise Refused(-1, "invalid attachments msgtype")
    if any(len(given) > MOST[str(kind)] for kind in kinds):
        raise Refused(-1, "invalid attachments size")
    attachments = [kept for one in given if (kept := _kept(one["msgtype"], one, is_there))]
    return {"text": {"content": text}, "attachments": attachments}


def _kept(kind: str, one: dict[str, Any], is_there: Callable[[str], bool]) -> dict[str, Any] | None:
    """As the server's own interface tells it. None for a file that is not there."""
    fields = one.get(kind) or {}
    if kind == "link":
        if not fields.get("url"):
            raise Refused(-1, "invalid link url")
        if len(str(fields.get("title", "")).encode()) > MOST_TITLE_BYTES:
            raise Refused(-1, "invalid link title size")
        return {"msgtype": kind, kind: {"title": fields.get("title", ""), "url": fields["url"]}}
    if kind == "image" and fields.get("imgUrl"):
        return {"msgtype": kind, kind: {"pic_url": fields["imgUrl"]}}
    media_id = str(fields.get("mediaid", ""))
    return {"msgtype": kind, kind: {"media_id": media_id}} if is_there(media_id) else None
