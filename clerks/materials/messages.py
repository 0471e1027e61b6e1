"""What WeCom's client is given to send, in its own shapes: the JS-SDK's sendChatMessage and shareToExternalMoments.

words             ──▶ text          in the chat; in moments the text alone
pictures, link, product, live, poster, video, file
                  ──▶ news          a card that leads to the tracked link; in moments a text with one link
mini-program      ──▶ miniprogram   its page is told the link's code; moments take none
original files    ──▶ image, video, file by the id WeCom gave them: nobody sees whether these are opened
"""

from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.conf import settings
from django.utils import timezone, translation
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from clerks.materials.models import Material, MaterialVersion
from clerks.materials.scripts import Names, fill
from retail.wecom.models import Media

TITLE_BYTES, ABOUT_BYTES = 128, 512  # of a card in a chat
MOMENT_LETTERS, MOMENT_TITLE_BYTES = 2000, 64
CODE = "daogou_share"  # the name by which a mini-program is told the code of the link
_HTML = ".html"  # without it the customer's phone does not find the page of a mini-program
_ORIGINALS = {Media.Kind.IMAGE: "image", Media.Kind.VIDEO: "video", Media.Kind.FILE: "file"}


class Said(NamedTuple):
    """A version as its customer reads it. `text`: what goes with it, or the words themselves."""

    kind: str
    title: str
    text: str
    about: str


def said(*, material: Material, version: MaterialVersion, names: Names) -> Said:
    title, text = fill(version.title, names) or material.name, fill(version.text, names)
    return Said(material.kind, title, text, _about(material, version, text))


def _about(material: Material, version: MaterialVersion, text: str) -> str:
    """The small line of a card: for whoever gets it, so in the language of the house."""
    with translation.override(settings.LANGUAGE_CODE):
        parts = []
        if version.price_fen is not None:
            yuan, rest = divmod(version.price_fen, 100)
            parts.append(f"¥{yuan}.{rest:02}" if rest else f"¥{yuan}")
        if version.live_at is not None:
            day = date_format(timezone.localtime(version.live_at), _("n月j日 H:i"))
            parts.append(_("%(day)s 开播") % {"day": day})
        return " · ".join([*parts, *([" ".join(text.split())] if text else [])]) or _("点开看看")


# ── To one customer ──────────────────────────────────────────────────────────────────────────────────────────────────
def chat(*, said: Said, version: MaterialVersion, url: str, has_cover: bool) -> dict[str, Any]:
    """For sendChatMessage. `url`: the tracked link, with its host; `has_cover`: there is a picture to stand beside."""
    if said.kind == Material.Kind.TEXT:
        return {"msgtype": "text", "text": {"content": said.text}}
    if said.kind == Material.Kind.MINIPROGRAM:
        card = {"appid": version.appid, "title": _within(said.title, MOMENT_TITLE_BYTES), "imgUrl": _cover(url)}
        return {"msgtype": "miniprogram", "miniprogram": {**card, "page": _page(version.page, url)}}
    card = {"link": url, "title": _within(said.title, TITLE_BYTES), **_pictured(url, has_cover)}
    return {"msgtype": "news", "news": {**card, "desc": _within(said.about, ABOUT_BYTES)}}


def original(*, media: Media, media_id: str) -> dict[str, Any]:
    """A file itself, for sendChatMessage."""
    kind = _ORIGINALS[Media.Kind(media.kind)]
    return {"msgtype": kind, kind: {"mediaid": media_id}}


def _pictured(url: str, has_cover: bool) -> dict[str, str]:
    return {"imgUrl": _cover(url)} if has_cover else {}


def _cover(url: str) -> str:
    return f"{url}/cover.jpg"


def _page(page: str, url: str) -> str:
    path, _mark, query = page.partition("?")
    code = urlencode({CODE: url.rpartition("/")[2]})
    return f"{path if path.endswith(_HTML) else path + _HTML}?{f'{query}&' if query else ''}{code}"


# ── To all, and by hand ──────────────────────────────────────────────────────────────────────────────────────────────
def moments(*, said: Said, url: str, has_cover: bool) -> dict[str, Any] | None:
    """For shareToExternalMoments: nine pictures, a video or a link, and only the last can be followed. None: it takes
    no mini-programs.
    """
    if said.kind == Material.Kind.MINIPROGRAM:
        return None
    text = {"content": (said.text or said.title)[:MOMENT_LETTERS]}
    if said.kind == Material.Kind.TEXT:
        return {"text": text, "attachments": []}
    link = {"title": _within(said.title, MOMENT_TITLE_BYTES), **_pictured(url, has_cover), "url": url}
    return {"text": text, "attachments": [{"msgtype": "link", "link": link}]}


def words(*, said: Said, url: str) -> str:
    """To be pasted anywhere: the text, and unless that is all there is, the link."""
    if said.kind == Material.Kind.TEXT:
        return said.text
    return "\n".join(one for one in (said.text or said.title, url) if one)


def _within(text: str, most: int) -> str:
    """The text, or as much of it as fits into so many bytes with dots behind it."""
    if len(text.encode()) <= most:
        return text
    return text.encode()[: most - 3].decode(errors="ignore") + "…"
