"""A template, a material with a picture, and a clerk's share of it."""

import io
from typing import Any

from PIL import Image, ImageDraw

from clerks.materials import shares
from clerks.materials.models import Material, MaterialFile, MaterialVersion, PosterTemplate, Share
from retail.models import Post
from retail.wecom.models import Media, MediaContent
from tests.factories import NOW, World

ORIGIN = "https://shop.example"
CODE = {"kind": "code", "x": 500, "y": 1080, "w": 200, "h": 200}


def jpeg(width: int, height: int, colour: str = "#f4efe6") -> bytes:
    out = io.BytesIO()
    picture = Image.new("RGB", (width, height), colour)
    ImageDraw.Draw(picture).rectangle((0, 0, width // 3, height // 3), fill="#c4785a")
    picture.save(out, "JPEG")
    return out.getvalue()


def template(world: World, *areas: dict[str, Any], width: int = 750, height: int = 1334) -> PosterTemplate:
    return PosterTemplate.objects.create(
        brand=world.brand,
        name="秋日",
        background=jpeg(width, height),
        width=width,
        height=height,
        areas=list(areas) or [CODE],
    )


def share(world: World, of: PosterTemplate, *, photo: bytes | None = None, **version: Any) -> Share:
    """Of a poster in force that the first clerk of the world has just prepared."""
    material = Material.objects.create(brand=world.brand, kind="poster", name="秋日海报", template=of, made_at=NOW)
    made = MaterialVersion.objects.create(
        material=material, number=1, state="approved", made_at=NOW, **{"title": "羊毛大衣", **version}
    )
    if photo is not None:
        media = Media.objects.create(corp_id="ww", kind="image", name="1.jpg", size=len(photo), made_at=NOW)
        MediaContent.objects.create(media=media, data=photo)
        MaterialFile.objects.create(version=made, place=0, media=media)
    clerk = next(iter(world.staff.values()))
    post = Post.objects.select_related("store", "staff").get(staff=clerk)
    return shares.make(post=post, version=made, via="poster", now=NOW)
