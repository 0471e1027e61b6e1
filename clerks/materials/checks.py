"""What keeps a version from being put before somebody else: field → why, in the words of whoever writes it."""

import ipaddress
import re
from datetime import datetime
from urllib.parse import urlsplit

from django.utils.translation import gettext as _

from clerks.materials import words
from clerks.materials.models import Material, MaterialVersion

Kind = Material.Kind
LONGEST_URL = 500
_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]")
_INSIDE = ("localhost", "local", "internal", "lan", "home", "corp", "intranet", "invalid", "arpa")
_APPID = re.compile(r"wx[0-9a-f]{16}")
_PAGE = re.compile(r"/?[A-Za-z0-9_\-./]+(?:\?[^\s#\\<>\"']*)?")


def problems(version: MaterialVersion, *, now: datetime) -> dict[str, str]:
    """Field (or "files", "products", "template") → what is missing or wrong; empty where it can be submitted."""
    of_kind = {
        Kind.TEXT: _text,
        Kind.PICTURES: _pictures,
        Kind.LINK: _link,
        Kind.VIDEO: _video,
        Kind.FILE: _file,
        Kind.MINIPROGRAM: _miniprogram,
        Kind.PRODUCT: _product,
        Kind.LIVE: lambda row: _live(row, now),
        Kind.POSTER: _poster,
    }[Kind(version.material.kind)]
    found = {**of_kind(version), **_length(version)}
    return {field: said for field, said in found.items() if said}


# ── By kind ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def _text(version: MaterialVersion) -> dict[str, str]:
    return {} if version.text.strip() else {"text": _("话术要有文字。")}


def _pictures(version: MaterialVersion) -> dict[str, str]:
    return {} if version.files.exists() else {"files": _("至少要有一张图片，最多九张。")}


def _link(version: MaterialVersion) -> dict[str, str]:
    return {"title": _missing_title(version), "url": url_fault(version.url)}


def _video(version: MaterialVersion) -> dict[str, str]:
    return {} if version.files.exists() else {"files": _("还没有上传视频。")}


def _file(version: MaterialVersion) -> dict[str, str]:
    return {} if version.files.exists() else {"files": _("还没有上传文件。")}


def _miniprogram(version: MaterialVersion) -> dict[str, str]:
    return {
        "title": _missing_title(version),
        "appid": "" if _APPID.fullmatch(version.appid) else _("AppID 是 wx 开头的 18 位字母和数字。"),
        "page": "" if _PAGE.fullmatch(version.page) else _("写小程序页面的路径，例如 pages/index。"),
        "files": "" if version.files.exists() else _("小程序卡片要有一张封面图。"),
    }


def _product(version: MaterialVersion) -> dict[str, str]:
    is_one = version.material.products.count() == 1
    return {
        "products": "" if is_one else _("商品素材要选一个商品，而且只选一个。"),
        "url": url_fault(version.url) if version.url else "",
    }


def _live(version: MaterialVersion, now: datetime) -> dict[str, str]:
    is_to_come = version.live_at is not None and version.live_at > now
    return {
        "title": _missing_title(version),
        "live_at": "" if is_to_come else _("开播时间要填，而且在现在之后。"),
        "url": url_fault(version.url) if version.url else "",
    }


def _poster(version: MaterialVersion) -> dict[str, str]:
    template = version.material.template
    return {} if template and template.is_active else {"template": _("海报要选一个启用的模板。")}


def _missing_title(version: MaterialVersion) -> str:
    return "" if version.title.strip() else _("要有标题。")


# ── Length and variables ─────────────────────────────────────────────────────────────────────────────────────────────
def _length(version: MaterialVersion) -> dict[str, str]:
    material = version.material
    limits = {"title": None, "text": words.MOST_BYTES, **words.CARD_BYTES.get(material.kind, {})}
    products = list(material.products.values_list("name", flat=True))
    found = {}
    for field, most in limits.items():
        text = getattr(version, field)
        if strange := words.unknown(text):
            found[field] = _unknown(strange)
        elif most and (size := words.size(text, brand=material.brand, products=products)) > most:
            found[field] = _too_long(size - most)
    return found


def _unknown(names: list[str]) -> str:
    said = _("、").join(f"{{{name[:20]}}}" for name in names[:5])
    known = _("、").join(f"{{{name}}}" for name in words.KNOWN)
    return _("不认识 %(names)s：只能写 %(known)s。") % {"names": said, "known": known}


def _too_long(bytes: int) -> str:
    said = _("太长了：填上最长的名字后超出 %(bytes)s 字节，大约要删 %(letters)s 个汉字（表情更占地方）。")
    return said % {"bytes": bytes, "letters": -(-bytes // 3)}


# ── Addresses ────────────────────────────────────────────────────────────────────────────────────────────────────────
def url_fault(url: str) -> str:
    """Why a customer is not to be sent there; "" where they may be. Nobody here ever opens it."""
    if not url.strip():
        return _("要有网址。")
    if len(url) > LONGEST_URL:
        return _("网址太长：最多 %(count)s 个字符。") % {"count": LONGEST_URL}
    if re.search(r"[\s\\<>\"'\x00-\x1f\x7f]", url):
        return _("网址里有不能用的字符。")
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        return _("这不是一个网址。")
    if parts.scheme != "https":
        return _("网址要以 https:// 开头。")
    if "@" in parts.netloc:
        return _("网址里不能带用户名和密码。")
    if port not in (None, 443) or not _is_public(host):
        return _("网址要用公开的域名，不能是 IP 地址或内部地址。")
    return ""


def _is_public(host: str) -> bool:
    """A name that somebody has registered: none of this machine or network, and no number in any disguise."""
    try:
        name = host.encode("idna").decode().lower()
        ipaddress.ip_address(host)
    except UnicodeError:
        return False
    except ValueError:
        return bool(_HOST.fullmatch(name)) and name.rpartition(".")[2] not in _INSIDE
    return False
