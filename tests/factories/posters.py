"""A template, a material with a picture, and a clerk's share of it."""

import copy
import io
from typing import Any

from PIL import Image, ImageDraw

from clerks.materials import shares
from clerks.materials.models import Material, MaterialFile, MaterialVersion, PosterTemplate, Share
from retail.models import Post
from retail.wecom.models import Media, MediaContent
from tests.factories import NOW, World, sharing

ORIGIN = "https://shop.example"
CODE = {"kind": "code", "x": 500, "y": 1080, "w": 200, "h": 200}
AREAS = [
    {"kind": "picture", "x": 50, "y": 60, "w": 650, "h": 650},
    {"kind": "title", "x": 50, "y": 740, "w": 650, "h": 130, "size": 56, "bold": True},
    {"kind": "body", "x": 50, "y": 880, "w": 650, "h": 90, "size": 28, "color": "#777777"},
    {"kind": "price", "x": 50, "y": 980, "w": 420, "h": 90, "size": 64, "color": "#c0392b", "bold": True},
    {"kind": "clerk", "x": 50, "y": 1120, "w": 420, "h": 60, "size": 40},
    {"kind": "store", "x": 50, "y": 1180, "w": 420, "h": 60, "size": 32},
    CODE,
]


def jpeg(width: int, height: int, colour: str = "#f4efe6") -> bytes:
    out = io.BytesIO()
    picture = Image.new("RGB", (width, height), colour)
    ImageDraw.Draw(picture).rectangle((0, 0, width // 3, height // 3), fill="#c4785a")
    picture.save(out, "JPEG")
    return out.getvalue()


def template(
    world: World,
    *areas: dict[str, Any],
    width: int = 750,
    height: int = 1334,
    colour: str = "#f4efe6",
    name: str = "秋日",
) -> PosterTemplate:
    return PosterTemplate.objects.create(
        brand=world.brand,
        name=name,
        background=jpeg(width, height, colour),
        width=width,
        height=height,
        areas=copy.deepcopy(list(areas)) or [CODE],
    )


def share(world: World, of: PosterTemplate, *, photo: bytes | None = None, **version: Any) -> Share:
    """Of a poster in force that the first clerk of the world has just prepared."""
    material = Material.objects.create(brand=world.brand, kind="poster", name="秋日海报", template=of, made_at=NOW)
    made = MaterialVersion.objects.create(material=material, number=1, made_at=NOW, **{"title": "羊毛大衣", **version})
    if photo is not None:
        media = Media.objects.create(corp_id="ww", kind="image", name="1.jpg", size=len(photo), made_at=NOW)
        MediaContent.objects.create(media=media, data=photo)
        MaterialFile.objects.create(version=made, place=0, media=media)
    sharing.approve(made)
    clerk = next(iter(world.staff.values()))
    post = Post.objects.select_related("store", "staff").get(staff=clerk)
    return shares.make(post=post, version=made, via="poster", now=NOW)
