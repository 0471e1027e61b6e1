"""Materials as tests need them: approved ones of every kind, and the pictures in them."""

import io
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any

from PIL import Image

from clerks.materials import pictures
from clerks.materials.models import Material, MaterialFile, MaterialVersion, PosterTemplate
from retail.models import Product, Region, Store
from retail.wecom.models import Media, MediaContent
from tests.factories import LONG_AGO, World, number

MP4 = (
    b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom"
    + b"\x00\x00\x00\x08moov"
    + b"\x00\x00\x00\x0cmdat\x00\x00\x00\x00"
)
PDF = b"%PDF-1.4\n1 0 obj\n<< /Type /Catalog >>\nendobj\ntrailer\n<< /Root 1 0 R >>\n%%EOF\n"
# What each kind says unless told otherwise.
CONTENT: dict[str, dict[str, Any]] = {
    "text": {"text": "{customer}您好，新款到了，我是{clerk}"},
    "pictures": {"text": "这周的搭配"},
    "link": {"title": "秋季新款", "text": "点开看看", "url": "https://shop.example.com/autumn"},
    "video": {"text": "试穿视频"},
    "file": {"text": "尺码表"},
    "miniprogram": {"title": "秋季新款", "appid": "wx0123456789abcdef", "page": "pages/goods/index"},
    "product": {"text": "{product}到店了"},
    "live": {"title": "周五晚八点", "text": "直播间见", "url": "https://live.example.com/8"},
    "poster": {"text": "扫码来看"},
}
_FILES = {"pictures": 2, "video": 1, "file": 1, "miniprogram": 1, "link": 1, "product": 1, "live": 1}


def picture(width: int = 60, height: int = 80, *, color: str = "#c33", format: str = "JPEG", **options: Any) -> bytes:
    """A picture of one colour, as somebody uploads it."""
    out = io.BytesIO()
    Image.new("RGB", (width, height), color).save(out, format, **options)
    return out.getvalue()


@cache
def _drawn(color: str) -> pictures.Picture:
    return pictures.redraw(picture(color=color))


def material(
    shop: World,
    kind: str = "text",
    *,
    state: str = "approved",
    products: Sequence[Product] = (),
    stores: Sequence[Store] = (),
    regions: Sequence[Region] = (),
    files: int | None = None,
    version: dict[str, Any] | None = None,
    **fields: Any,
) -> Material:
    """A material of the shop's brand whose first version is approved unless told otherwise.

    version: fields of that version. files: how many it has; a product's is about the shop's product.
    """
    if kind == "poster":
        fields = {"template": template(shop), **fields}
    given = {"name": f"素材{number()}", "made_at": LONG_AGO, **fields}
    made = Material.objects.create(brand=shop.brand, kind=kind, **given)
    made.products.set(products or ([shop.product] if kind == "product" else []))
    made.stores.set(stores)
    made.regions.set(regions)
    add_version(made, state=state, files=files, **(version or {}))
    return made


def add_version(
    material: Material, *, state: str = "approved", files: int | None = None, **fields: Any
) -> MaterialVersion:
    """The next version of a material, with what its kind needs."""
    said: dict[str, Any] = {**CONTENT[material.kind], "made_at": LONG_AGO, **fields}
    if state in ("approved", "returned"):
        said = {"decided_at": LONG_AGO, **said}
    if material.kind == "live":
        said = {"live_at": datetime.fromisoformat("2035-01-01T20:00:00+08:00"), **said}
    count = material.versions.count() + 1
    # Files join a draft: what is approved takes none.
    version = MaterialVersion.objects.create(material=material, number=count, state="draft", **said)
    for place in range(_FILES.get(material.kind, 0) if files is None else files):
        add_file(version, place)
    version.state = state
    version.save(update_fields=["state"])
    return version


def add_file(version: MaterialVersion, place: int = 0) -> MaterialFile:
    """A picture; the video of a video, the PDF of a file."""
    kind = version.material.kind
    drawn = _drawn(f"#{(place * 40) % 256:02x}3333")
    name, data = {"video": ("video.mp4", MP4), "file": ("尺码表.pdf", PDF)}.get(kind, (f"{number()}.jpg", drawn.data))
    media = Media.objects.create(
        corp_id=version.material.brand.corp,
        kind=kind if kind in ("video", "file") else "image",
        name=name,
        size=len(data),
        made_at=LONG_AGO,
    )
    MediaContent.objects.create(media=media, data=data)
    seen = {} if kind in ("video", "file") else {"width": drawn.width, "height": drawn.height, "small": drawn.small}
    return MaterialFile.objects.create(version=version, place=place, media=media, **seen)


def template(shop: World, **fields: Any) -> PosterTemplate:
    drawn = _drawn("#ffffff")
    areas = [{"kind": "code", "x": 5, "y": 5, "w": 40, "h": 40}]
    given = {"name": f"模板{number()}", "areas": areas, **fields}
    return PosterTemplate.objects.create(
        brand=shop.brand, background=drawn.data, width=drawn.width, height=drawn.height, **given
    )
