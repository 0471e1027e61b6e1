"""P25: what a picture from outside becomes, and what becomes of what is no picture."""

import io
import struct
import subprocess
import sys
import zipfile
import zlib

import pytest
from django.conf import settings
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from clerks.materials import pictures
from tests.factories.materials import picture
from tests.figures import figure

MOST_GROWTH = 150  # megabytes: a worker has 300 beside what it needs anyhow
SECRET = b"<script>alert(7)</script>"


def opened(data: bytes) -> Image.Image:
    found = Image.open(io.BytesIO(data))
    found.load()
    return found


# ── Bombs: few bytes, many pixels ────────────────────────────────────────────────────────────────────────────────────
def png(width: int, height: int, *, more: bytes = b"") -> bytes:
    """A PNG that says it is so large, and has no rows."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)), (b"IDAT", zlib.compress(more))]
    told = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(told) + struct.pack(">I", 0) + b"IEND\xaeB`\x82"


def jpeg(width: int, height: int) -> bytes:
    """A small JPEG whose header says it is so large."""
    data = picture()
    frame = data.index(b"\xff\xc0") + 5
    return data[:frame] + struct.pack(">HH", height, width) + data[frame + 4 :]


def webp(width: int, height: int) -> bytes:
    size = ((width - 1) | (height - 1) << 14).to_bytes(4, "little")
    body = b"WEBPVP8L" + struct.pack("<I", 6) + b"\x2f" + size + b"\x00"
    return b"RIFF" + struct.pack("<I", len(body)) + body


def scattered() -> bytes:
    """A JPEG of 16 million pixels, the colours of which come one after the other: its decoder needs all at once."""
    data = jpeg(4000, 4000)
    scan = data.index(b"\xff\xda")
    return data[: scan + 4] + b"\x01" + data[scan + 5 :]


BOMBS = {
    "PNG": png(60_000, 60_000),
    "PNG above its cap": png(3200, 3200),
    "JPEG": jpeg(65_000, 65_000),
    "JPEG above its cap": jpeg(6400, 6400),
    "JPEG, progressive": picture(3600, 3600, progressive=True),
    "JPEG, scan after scan": scattered(),
    "WebP": webp(16_000, 16_000),
    "WebP above its cap": webp(2500, 2500),
    "long": png(1, 40_000_000),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_by_what_its_header_says(name: str) -> None:
    with pytest.raises(pictures.Unfit, match="像素太多"):
        pictures.redraw(BOMBS[name])


PLANTED = """
import io, sys
from django.conf import settings
settings.configure(USE_I18N=False)
from PIL import Image
from clerks.materials import pictures

def memory(of):
    with open("/proc/self/status") as told:
        return next(int(line.split()[1]) for line in told if line.startswith(of))

def growth(mode, format, side, **options):
    out = io.BytesIO()
    Image.new(mode, (side, side)).save(out, format, **options)
    with open("/proc/self/clear_refs", "w") as peak:
        peak.write("5")
    pictures.redraw(out.getvalue())
    return (memory("VmHWM") - usual) // 1024

most = {name: int(count**0.5) for name, count in pictures.MOST_WHOLE.items()}
usual = memory("VmRSS")
print(
    growth("RGB", "JPEG", int(pictures.MOST_PIXELS**0.5)),
    growth("RGB", "JPEG", most["JPEG"], progressive=True, subsampling=0),
    growth("CMYK", "JPEG", most["CMYK"], progressive=True, subsampling=0),
    growth("RGBA", "PNG", most["PNG"], compress_level=1),
    growth("P", "PNG", most["PNG"], transparency=0),
    growth("RGBA", "WEBP", most["WEBP"], method=0),
)
"""


def test_the_largest_that_are_taken_need_little_memory() -> None:
    """More than a process has that has looked at none; one after the other, as a worker would."""
    done = subprocess.run(
        [sys.executable, "-c", PLANTED], cwd=settings.BASE_DIR, capture_output=True, text=True, check=True, timeout=120
    )
    grown = [int(word) for word in done.stdout.split()]
    figure("P25", f"pictures at their caps: {max(grown)} MB more, of {MOST_GROWTH}")
    assert len(grown) == 6 and max(grown) <= MOST_GROWTH


# ── What is no picture ───────────────────────────────────────────────────────────────────────────────────────────────
NO_PICTURES = {
    "empty": b"",
    "html": b"<!doctype html><html><body>" + SECRET,
    "svg": b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" onload="alert(7)"/>',
    "gif": picture(format="GIF"),
    "bmp": picture(format="BMP"),
    "tiff": picture(format="TIFF"),
    "ico": picture(32, 32, format="ICO"),
    "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    "pdf": b"%PDF-1.4\n%%EOF",
    "a beginning and html": b"\xff\xd8\xff\xe0" + SECRET,
    "half a JPEG": picture(400, 400)[:900],
    "half a PNG": picture(400, 400, format="PNG")[:200],
    "half a WebP": picture(400, 400, format="WEBP")[:60],
    "a PNG without rows": png(9, 9),
    "zeroes": b"\x00" * 4096,
}


@pytest.mark.parametrize("name", NO_PICTURES)
def test_what_is_no_picture_of_ours_is_refused(name: str) -> None:
    with pytest.raises(pictures.Unfit, match="不是能用的图片"):
        pictures.redraw(NO_PICTURES[name])


def test_what_is_too_many_bytes_is_not_even_looked_at() -> None:
    with pytest.raises(pictures.Unfit, match="20 MB"):
        pictures.redraw(picture() + b"\x00" * pictures.MOST_BYTES)


# ── Drawn anew ───────────────────────────────────────────────────────────────────────────────────────────────────────
def zipped() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        packed.writestr("run.html", SECRET)
    return out.getvalue()


def exif() -> Image.Exif:
    found = Image.Exif()
    found[0x0112] = 6  # to be turned a quarter to the right
    found[0x010E] = SECRET.decode()
    found[0x010F] = "SecretPhone"
    found.get_ifd(0x8825).update({1: "N", 2: (31.0, 14.0, 5.0), 3: "E", 4: (121.0, 28.0, 9.0)})
    return found


def commented() -> bytes:
    return picture(
        comment=SECRET, exif=exif(), icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    )


def described() -> bytes:
    words = PngInfo()
    words.add_text("Comment", SECRET.decode())
    return picture(format="PNG", pnginfo=words, exif=exif())


POLYGLOTS = {
    "html behind a JPEG": picture() + SECRET,
    "html in a JPEG": commented(),
    "a zip behind a PNG": picture(format="PNG") + zipped(),
    "a zip behind a WebP": picture(format="WEBP") + zipped(),
    "html in a PNG": described(),
}


@pytest.mark.parametrize("name", POLYGLOTS)
def test_nothing_else_in_the_same_bytes_comes_through(name: str) -> None:
    drawn = pictures.redraw(POLYGLOTS[name])
    for data in (drawn.data, drawn.small, pictures.tiny(drawn.small)):
        assert data.startswith(b"\xff\xd8\xff") and data.endswith(b"\xff\xd9")
        assert all(strange not in data for strange in (SECRET, b"PK\x03\x04", b"run.html", b"Exif", b"Secret", b"ICC"))
        found = opened(data)
        assert not found.getexif() and not {"exif", "comment", "icc_profile", "xmp"} & set(found.info)
        with pytest.raises(zipfile.BadZipFile):
            zipfile.ZipFile(io.BytesIO(data))


def test_it_stands_upright_and_no_place_is_left() -> None:
    lying = Image.new("RGB", (80, 40), "blue")
    lying.paste("red", (0, 0, 40, 40))  # on the left: it comes to be above
    out = io.BytesIO()
    lying.save(out, "JPEG", exif=exif())
    drawn = pictures.redraw(out.getvalue())
    found = opened(drawn.data)
    assert found.size == (drawn.width, drawn.height) == (40, 80) and not found.getexif().get_ifd(0x8825)
    above, below = found.getpixel((20, 10)), found.getpixel((20, 70))
    assert above[0] > 200 > 60 > above[2] and below[2] > 200 > 60 > below[0]


@pytest.mark.parametrize(("mode", "format"), [("RGBA", "PNG"), ("LA", "PNG"), ("P", "PNG"), ("RGBA", "WEBP")])
def test_what_shines_through_is_white(mode: str, format: str) -> None:
    options = {"transparency": 0} if mode == "P" else {}
    out = io.BytesIO()
    Image.new(mode, (20, 20)).save(out, format, **options)
    pixel = opened(pictures.redraw(out.getvalue()).data).getpixel((10, 10))
    assert min(pixel) > 250


def test_every_picture_of_a_telephone_is_taken_and_made_to_fit() -> None:
    """Also grey, CMYK, sixteen bits deep, and the two in one that many telephones write; the larger ones smaller."""
    both = io.BytesIO()
    Image.new("RGB", (90, 60), "red").save(both, "MPO", save_all=True, append_images=[Image.new("RGB", (30, 20))])
    kinds = [both.getvalue(), picture(90, 60, progressive=True), picture(90, 60, format="WEBP", lossless=True)]
    for mode, format in (("L", "JPEG"), ("CMYK", "JPEG"), ("1", "PNG"), ("I;16", "PNG"), ("P", "PNG"), ("LA", "PNG")):
        out = io.BytesIO()
        Image.new(mode, (90, 60)).save(out, format)
        kinds.append(out.getvalue())
    for data in kinds:
        drawn = pictures.redraw(data)
        assert (drawn.width, drawn.height) == (90, 60) and opened(drawn.data).mode == "RGB"
    drawn = pictures.redraw(picture(4000, 1000))
    assert (drawn.width, drawn.height) == opened(drawn.data).size == (pictures.LONGEST, 640)
    assert opened(drawn.small).size == (480, 120) and opened(pictures.tiny(drawn.small)).size == (160, 40)
    assert opened(pictures.redraw(picture(1, 3000)).small).size[1] == 480
