"""Pictures that come from outside: looked at with care, and drawn anew. What was uploaded is never given to anybody.

    bytes ──size──▶ kind by its first bytes ──pixels, before any is decoded──▶ decoded, turned upright ──▶ JPEG

Drawing anew leaves nothing behind the picture: no second file in the same bytes, no place where it was taken.
"""

import io
import warnings
from typing import NamedTuple

from django.utils.translation import gettext as _
from PIL import Image, ImageOps

MEGA = 1024 * 1024
MOST_BYTES = 20 * MEGA
MOST_PIXELS = 40_000_000  # of a JPEG, which is decoded at a fraction of its size
# Of what has to be decoded whole. A picture of WebP lies in memory several times over.
MOST_WHOLE = {"JPEG": 12_200_000, "PNG": 9_000_000, "WEBP": 6_000_000, "CMYK": 10_000_000}
LONGEST = 2560  # pixels of a side as it is kept
SMALL = 480
TINY = 160
QUALITY = 85
FORMATS = ("JPEG", "PNG", "WEBP")
_JPEG = ("JPEG", "MPO")  # of which many telephones write the second: a JPEG with another one behind it
_FRAMES, _SCAN = (0xC0, 0xC1), 0xDA  # markers of a JPEG that is not progressive


class Unfit(ValueError):
    """This is no picture for us; the words say why."""


class Picture(NamedTuple):
    """A picture as it is kept: JPEG, upright, on white; and small, for lists."""

    data: bytes
    small: bytes
    width: int
    height: int


def redraw(data: bytes, *, longest: int = LONGEST) -> Picture:
    """What may be shown of an upload. Raises Unfit."""
    if len(data) > MOST_BYTES:
        raise Unfit(_("图片太大：最多 %(size)s MB。") % {"size": MOST_BYTES // MEGA})
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=FORMATS) as found:
                return _drawn(found, data, longest)
    except Unfit:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise Unfit(_too_many(MOST_PIXELS)) from None
    except Exception as error:  # Pillow's decoders raise whatever a broken file makes them stumble over
        raise Unfit(_("这不是能用的图片，请换一张 JPG、PNG 或 WebP。")) from error


def tiny(small: bytes) -> bytes:
    """Of one that was drawn: as large as a list shows it on a sharp screen."""
    with Image.open(io.BytesIO(small), formats=("JPEG",)) as found:
        found.draft("RGB", (TINY, TINY))
        found.thumbnail((TINY, TINY))
        out = io.BytesIO()
        found.convert("RGB").save(out, "JPEG", quality=75)
    return out.getvalue()


def _drawn(found: Image.Image, data: bytes, longest: int) -> Picture:
    width, height = found.size
    if width * height > (most := _most_pixels(found, data)):
        raise Unfit(_too_many(most))
    if found.format in _JPEG:
        found.draft("RGB", (longest, longest))
    elif found.mode == "P":  # colours of a palette cannot be mixed
        found = found.convert("RGBA" if found.has_transparency_data else "RGB")
    # Made small before anything else, which would need it once more at full size.
    found.thumbnail((longest, longest))
    whole = ImageOps.exif_transpose(_on_white(found))
    whole.info = {}  # a comment that came with it would be written again
    small = whole.copy()
    small.thumbnail((SMALL, SMALL))
    return Picture(_jpeg(whole), _jpeg(small), *whole.size)


def _most_pixels(found: Image.Image, data: bytes) -> int:
    if found.format not in _JPEG:
        return MOST_WHOLE[found.format or "PNG"]
    is_in_parts = found.mode != "CMYK" and not found.info.get("progressive") and _scanned_at_once(data)
    return MOST_PIXELS if is_in_parts else MOST_WHOLE["CMYK" if found.mode == "CMYK" else "JPEG"]


def _scanned_at_once(data: bytes) -> bool:
    """Whether the first scan of a JPEG holds all its colours. Where each has its own the decoder keeps all of them."""
    place, colours = 2, 0
    while place + 10 < len(data) and data[place] == 0xFF:
        kind, size = data[place + 1], int.from_bytes(data[place + 2 : place + 4])
        if kind == _SCAN:
            return data[place + 4] == colours
        if kind in _FRAMES:
            colours = data[place + 9]
        place += 2 + size
    return False


def _on_white(picture: Image.Image) -> Image.Image:
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    paper = Image.new("RGB", picture.size, "white")
    with_alpha = picture.convert("RGBA")
    paper.paste(with_alpha, mask=with_alpha.getchannel("A"))
    return paper


def _jpeg(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=QUALITY, optimize=True, progressive=True)
    return out.getvalue()


def _too_many(most: int) -> str:
    return _("图片的像素太多：这种图片最多 %(count)s 万。") % {"count": most // 10_000}
