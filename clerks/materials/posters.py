"""海报: a template with the words, the price and the picture of a material, and the code of one clerk's share.

    share, template ──sheet──▶ what goes in ──key──▶ drawn before? as it is
                                                  └─ no: drawn, by one at a time, and kept for a month

What goes in decides the key, all of it: whatever changes, the next poster is another one. Nothing of a poster is worth
keeping; the share is.
"""

import hashlib
import io
import json
import logging
from datetime import datetime
from threading import Lock
from typing import Any, NamedTuple

import segno
from django.conf import settings
from django.db import connection, transaction
from django.db.models import BinaryField, F, Func, QuerySet
from django.utils.translation import gettext as _
from PIL import Image, ImageDraw, ImageOps

from clerks.materials import areas, lettering, library, pictures, scripts, shares
from clerks.materials.areas import Area, Kind
from clerks.materials.models import Material, MaterialFile, MaterialVersion, PosterPicture, PosterTemplate, Share
from retail.models import Product
from retail.wecom.models import Media, MediaContent

logger = logging.getLogger(__name__)

DRAWN = 1  # counts up when the same would be drawn otherwise
QUALITY = 88
QUIET = 4  # modules of white around a code, as its standard asks
LEAST_MODULE = 4  # pixels; a code of a long address grows until each has so many
LONGEST = 2000  # pixels of a side of a background
SOME_PHOTO = -1  # stands for any: a proof shows where it will be
TAG = 0.5  # of the size of the price: the crossed-out one beside it
FAINT = 150  # of 255

faults = areas.faults
_one_at_a_time = Lock()  # in one process: a poster takes some twenty megabytes while it is drawn


class Undrawable(RuntimeError):
    """This poster cannot be drawn; the words say why."""


class Sheet(NamedTuple):
    """What goes into the areas. `photo`: the number of a picture's file, `photo_hash` what is in it."""

    url: str
    title: str = ""
    body: str = ""
    clerk: str = ""
    store: str = ""
    price_fen: int | None = None
    tag_fen: int | None = None
    photo: int | None = None
    photo_hash: str = ""


def picture(*, share: Share, template: PosterTemplate, now: datetime, origin: str) -> bytes:
    """The poster of a share, JPEG; `origin`: of this site, as https://shop.example. Raises Undrawable."""
    return _once(template, _sheet(share, origin, now), now)


def proof(*, template: PosterTemplate, now: datetime, origin: str) -> bytes:
    """How a template looks, with made-up words. Raises Undrawable."""
    return _once(template, sample(origin=origin), now)


def sample(*, origin: str) -> Sheet:
    return Sheet(
        url=f"{origin}/s/{'x' * shares.LENGTH}",
        title=_("秋日新款 羊毛混纺双排扣大衣"),
        body=_("柔软不扎，版型利落。到店试穿，有惊喜。"),
        clerk=_("王小美"),
        store=_("上海南京西路旗舰店"),
        price_fen=89_900,
        tag_fen=129_900,
        photo=SOME_PHOTO,
    )


class Trial(NamedTuple):
    """A version somebody writes or decides on, with the names of some clerk; `photo`: the number of its picture."""

    template: PosterTemplate
    version: MaterialVersion
    product: Product | None
    photo: int | None
    clerk: str
    store: str


def trial(*, of: Trial, now: datetime, origin: str) -> bytes:
    """How posters of a version will look; none is kept. Raises Undrawable."""
    photo = of.photo or _photo_of(of.product, now)
    url = f"{origin}/s/{'x' * shares.LENGTH}"
    words = _words(of.version, of.product, url=url, clerk=of.clerk, store=of.store)
    return draw(template=of.template, sheet=words._replace(photo=photo))


def forget(*, before: datetime) -> int:
    return PosterPicture.objects.filter(made_at__lt=before).delete()[0]


# ── What goes in ─────────────────────────────────────────────────────────────────────────────────────────────────────
def _sheet(share: Share, origin: str, now: datetime) -> Sheet:
    product = _product(share)
    url = origin.rstrip("/") + shares.path(share)
    words = _words(share.version, product, url=url, clerk=share.staff.name, store=share.store.name)
    photo = _photo(share, product, now)
    return words._replace(photo=photo, photo_hash=_hash_of(photo))


def _words(version: MaterialVersion, product: Product | None, *, url: str, clerk: str, store: str) -> Sheet:
    price_fen, tag_fen = version.price_fen, product.tag_fen if product else None
    names = {"clerk": clerk, "store": store, "product": product.name if product else ""}
    return Sheet(
        url=url,
        title=version.title or version.material.name,
        body=scripts.for_everybody(version.text, **names),
        clerk=clerk,
        store=store,
        price_fen=tag_fen if price_fen is None else price_fen,
        tag_fen=tag_fen if price_fen is not None and tag_fen is not None and tag_fen > price_fen else None,
    )


def _product(share: Share) -> Product | None:
    return share.product or share.material.products.order_by("pk").first()


def _photo(share: Share, product: Product | None, now: datetime) -> int | None:
    """The first picture of what is shared; else of something else that may be sent of the same product."""
    own = _pictures().filter(version=share.version_id).values_list("media_id", flat=True).first()
    return own or _photo_of(product, now)


def _pictures() -> QuerySet[MaterialFile]:
    return MaterialFile._base_manager.filter(media__kind=Media.Kind.IMAGE).order_by("place")


def _photo_of(product: Product | None, now: datetime) -> int | None:
    if product is None:
        return None
    kinds = (Material.Kind.PRODUCT, Material.Kind.PICTURES)
    others = _pictures().filter(version__in=library.live(now=now), version__material__products=product)
    others = others.filter(version__material__is_active=True, version__material__kind__in=kinds)
    return others.order_by("version__material", "place").values_list("media_id", flat=True).first()


def _hash_of(photo: int | None) -> str:
    if photo is None:
        return ""
    sha = Func(F("data"), function="sha256", output_field=BinaryField())
    found = MediaContent.objects.filter(media=photo).annotate(sha=sha).values_list("sha", flat=True).first()
    return bytes(found).hex() if found else ""


def _key(template: PosterTemplate, sheet: Sheet) -> str:
    background = hashlib.sha256(template.background).hexdigest()
    what = [DRAWN, settings.FONT, template.pk, template.number, background, template.areas, *sheet]
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


def _once(template: PosterTemplate, sheet: Sheet, now: datetime) -> bytes:
    key = _key(template, sheet)
    return _kept(key) or _drawn_once(key, template, sheet, now)


# ── Once ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
def _kept(key: str) -> bytes | None:
    data = PosterPicture.objects.filter(key=key).values_list("data", flat=True).first()
    return None if data is None else bytes(data)


@transaction.atomic
def _drawn_once(key: str, template: PosterTemplate, sheet: Sheet, now: datetime) -> bytes:
    """Who asks for the same meanwhile waits for it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [key])
    if data := _kept(key):
        return data
    data = draw(template=template, sheet=sheet)
    PosterPicture.objects.create(key=key, data=data, made_at=now)
    return data


def draw(*, template: PosterTemplate, sheet: Sheet) -> bytes:
    """A poster that is not kept. Raises Undrawable."""
    if faults(template.areas, template.width, template.height):
        raise Undrawable(_("海报模板有问题，请总部在后台看一下。"))
    if said := lettering.trouble():
        raise Undrawable(said)
    with _one_at_a_time:
        paper = _background(template)
        for area in areas.read(template.areas):
            DRAW[area.kind](paper, area, sheet)
        out = io.BytesIO()
        paper.save(out, "JPEG", quality=QUALITY, optimize=True)
    return out.getvalue()


def _background(template: PosterTemplate) -> Image.Image:
    found = _opened(bytes(template.background))
    if found is None or found.size != (template.width, template.height) or max(found.size) > LONGEST:
        raise Undrawable(_("海报的底图坏了，请总部重新上传。"))
    return found


def _opened(data: bytes) -> Image.Image | None:
    """A picture of ours; none where it is broken or larger than any we keep."""
    try:
        found = Image.open(io.BytesIO(data), formats=pictures.FORMATS)
        if found.width * found.height <= pictures.LONGEST**2:
            return found.convert("RGB")
    except Exception:  # Pillow's decoders raise whatever a broken file makes them stumble over
        logger.info("A picture for a poster is broken.")
    return None


# ── Areas ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def _draw_photo(paper: Image.Image, area: Area, sheet: Sheet) -> None:
    """Filling its area, its edges cut off where it has another shape; without one the background stays."""
    if sheet.photo == SOME_PHOTO:
        _draw_stand_in(paper, area)
        return
    data = (
        MediaContent.objects.filter(media=sheet.photo).values_list("data", flat=True).first() if sheet.photo else b""
    )
    if data and (found := _opened(bytes(data))):
        paper.paste(ImageOps.fit(found, (area.w, area.h)), (area.x, area.y))


def _draw_stand_in(paper: Image.Image, area: Area) -> None:
    paper.paste("#d9d5cd", (area.x, area.y, area.x + area.w, area.y + area.h))
    _draw_words(paper, area._replace(color="#8f8a80", size=48, align=areas.Align.CENTER), str(Kind.PICTURE.label))


def _draw_words(paper: Image.Image, area: Area, text: str) -> None:
    if words := lettering.clean(text):
        fitted = lettering.fit(words, width=area.w, height=area.h, size=area.size, bold=area.bold)
        mask = lettering.mask(fitted, width=area.w, height=area.h, align=area.align, bold=area.bold)
        paper.paste(area.color, (area.x, area.y, area.x + area.w, area.y + area.h), mask)


def _draw_price(paper: Image.Image, area: Area, sheet: Sheet) -> None:
    """The price, and smaller and crossed out that on the tag; together in one line as large as fits."""
    if sheet.price_fen is None:
        return
    price, tag = yuan(sheet.price_fen), yuan(sheet.tag_fen) if sheet.tag_fen is not None else ""
    long = lettering.span(price, area.bold) + (TAG * (0.5 + lettering.span(tag)) if tag else 0)
    size = max(1, min(area.size, int(area.w / long), int(area.h / lettering.LEADING)))
    mask = Image.new("L", (area.w, area.h))
    pen, base = ImageDraw.Draw(mask), (area.h - lettering.LEADING * size) / 2 + lettering.BASE * size
    x = (area.w - long * size) * {"left": 0.0, "center": 0.5, "right": 1.0}[area.align]
    pen.text((x, base), price, fill=255, font=lettering.font(size, area.bold), anchor="ls")
    if tag:
        _cross_out(pen, x + (lettering.span(price, area.bold) + TAG * 0.5) * size, base, tag, max(1, int(size * TAG)))
    paper.paste(area.color, (area.x, area.y, area.x + area.w, area.y + area.h), mask)


def _cross_out(pen: ImageDraw.ImageDraw, x: float, base: float, words: str, size: int) -> None:
    letters, middle = lettering.font(size), base - size * 0.36
    pen.text((x, base), words, fill=FAINT, font=letters, anchor="ls")
    pen.line((x, middle, x + letters.getlength(words), middle), fill=FAINT, width=max(1, size // 14))


def _draw_code(paper: Image.Image, area: Area, sheet: Sheet) -> None:
    """As large as its area; larger where the address is so long that it could not be read."""
    code = segno.make(sheet.url, error="m", micro=False)
    wide = int(code.symbol_size(border=QUIET)[0])
    side = min(max(min(area.w, area.h), LEAST_MODULE * wide), *paper.size)
    dots = Image.new("L", (wide, wide), 255)
    dots.putdata([0 if dark else 255 for row in code.matrix_iter(border=QUIET) for dark in row])
    drawn = dots.resize((wide * 8, wide * 8), Image.Resampling.NEAREST).resize((side, side), Image.Resampling.BOX)
    x = min(max(0, area.x + (area.w - side) // 2), paper.width - side)
    y = min(max(0, area.y + (area.h - side) // 2), paper.height - side)
    paper.paste(drawn.convert("RGB"), (x, y))


def yuan(fen: int) -> str:
    """¥899, ¥59.90"""
    return f"¥{fen // 100}" if fen % 100 == 0 else f"¥{fen / 100:.2f}"


DRAW: dict[str, Any] = {
    Kind.PICTURE: _draw_photo,
    Kind.PRICE: _draw_price,
    Kind.CODE: _draw_code,
    Kind.TITLE: lambda paper, area, sheet: _draw_words(paper, area, sheet.title),
    Kind.BODY: lambda paper, area, sheet: _draw_words(paper, area, sheet.body),
    Kind.TEXT: lambda paper, area, sheet: _draw_words(paper, area, area.text),
    Kind.CLERK: lambda paper, area, sheet: _draw_words(paper, area, sheet.clerk),
    Kind.STORE: lambda paper, area, sheet: _draw_words(paper, area, sheet.store),
}
