"""A clerk's link, and customers who follow it over the ways a server offers."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from http.cookies import SimpleCookie
from typing import Any

from clerks.materials import shares
from clerks.materials.models import MaterialFile, MaterialVersion, Share
from clerks.pages import lane
from retail.models import Post, Staff
from retail.wecom.models import Media, MediaContent
from tests import factories
from tests.factories import LONG_AGO, World, sharing

PHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 MicroMessenger/8.0.54"
)
DESK = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Safari/537.36"
SAID = ("title", "text", "url", "price_fen", "live_at")


@dataclass
class Linked:
    shop: World
    clerk: Staff
    post: Post
    version: MaterialVersion
    share: Share

    @property
    def path(self) -> str:
        return shares.path(self.share)

    def another(self, **fields: Any) -> Share:
        """A link of the same clerk to something else."""
        return shares.make(post=self.post, version=_version(self.shop, **fields), via="chat", now=LONG_AGO)


def linked(**fields: Any) -> Linked:
    """A shop, its clerk, and the clerk's link to a product."""
    shop = factories.world(corp=fields.pop("corp", ""))
    clerk = shop.hire(f"G{factories.number()}")
    post = clerk.posts.get()
    version = _version(shop, **{"kind": "product", **fields})
    share = shares.make(post=post, version=version, via="chat", now=LONG_AGO)
    return Linked(shop, clerk, post, version, share)


def _version(shop: World, *, files: Sequence[dict[str, Any]] = (), **fields: Any) -> MaterialVersion:
    """Approved once its files are in it, unless told otherwise; `files`: what `file` takes."""
    said = {name: fields.pop(name) for name in SAID if name in fields}
    state = fields.pop("state", "approved")
    version = sharing.material(shop, version={**said, "state": "draft"}, **fields)
    for place, given in enumerate(files, start=1):
        file(version, place=place, **given)
    if state == "approved":
        sharing.approve(version)
    return version


def file(version: MaterialVersion, *, data: bytes, place: int, kind: str = "image", **fields: Any) -> MaterialFile:
    name = fields.pop("name", f"{place}.jpg")
    media = Media.objects.create(corp_id="", kind=kind, name=name, size=len(data), made_at=LONG_AGO)
    MediaContent.objects.create(media=media, data=data)
    return MaterialFile.objects.create(version=version, place=place, media=media, small=data, **fields)


@dataclass
class Got:
    status: int
    head: dict[str, str]
    body: bytes

    @property
    def cookie(self) -> Any:
        """The number of the browser, as it was set."""
        return SimpleCookie(self.head.get("Set-Cookie", "")).get("daogou_visitor")


def follow(path: str, *, method: str = "GET", **environ: Any) -> Got:
    """What the short way answers at this address; 0 for what it leaves to the long one."""
    reply = lane.followed(asked(path, method, **environ))
    return Got(int(reply.status[:3]), dict(reply.head), reply.body) if reply else Got(0, {}, b"")


def asked(path: str, method: str = "GET", **environ: Any) -> dict[str, Any]:
    given = {"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": "", "REMOTE_ADDR": "10.0.0.1"}
    given |= {"HTTP_USER_AGENT": PHONE, "wsgi.url_scheme": "http", "wsgi.input": io.BytesIO()}
    return {**given, **environ}
