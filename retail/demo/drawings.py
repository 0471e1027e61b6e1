"""Pictures of the demo's goods: a cut of flat colours before an arch, named below; the same at every drawing."""

import io
from functools import partial
from typing import Any, NamedTuple

from PIL import Image, ImageDraw

from clerks.materials import lettering

WIDTH, HEIGHT = 600, 800
FINE = 2  # drawn larger, then made smaller: soft edges
QUALITY = 82
Points = list[tuple[int, int]]


class Palette(NamedTuple):
    wall: str
    arch: str
    cloth: str
    trim: str
    ink: str


PALETTES = [
    Palette("#efe6da", "#f9f4ec", "#b5654a", "#7d3f2c", "#3d2a22"),
    Palette("#dfe5e8", "#f3f6f7", "#4f6d7a", "#2f4858", "#22333b"),
    Palette("#e6e4d8", "#f6f5ee", "#6b7d5c", "#46563b", "#2f3a28"),
    Palette("#f1dfe0", "#faf1f1", "#b56576", "#7d3c4a", "#4a2530"),
    Palette("#e9e3f0", "#f6f3fa", "#6d597a", "#463a52", "#2e2638"),
    Palette("#f3e7cf", "#fbf6ea", "#d19a3e", "#8f6420", "#4d3713"),
    Palette("#dcebe6", "#f1f8f5", "#3f8878", "#275c50", "#1c3f37"),
    Palette("#e4e4e4", "#f5f5f5", "#3c3c44", "#1f1f26", "#22222a"),
]


def picture(shape: str, palette: int, name: str, brand: str) -> bytes:
    """A JPEG of a piece of goods with its name and its brand's, if any; without a font nothing is written."""
    colours = PALETTES[palette % len(PALETTES)]
    paper, pen = _paper(WIDTH, HEIGHT, colours.wall)
    pen.pieslice((90, 50, 510, 470), 180, 360, fill=colours.arch)
    pen.rectangle((90, 259, 510, 665), fill=colours.arch)
    pen.ellipse((470, 90, 540, 160), fill=colours.trim)
    pen.ellipse((150, 630, 450, 678), fill=colours.wall)
    SHAPES[shape](pen, colours)
    drawn = _small(paper, WIDTH, HEIGHT)
    _write(drawn, name, (40, 690, 520, 60), 38, colours.ink, bold=True)
    _write(drawn, brand, (40, 750, 520, 34), 20, colours.trim)
    return _jpeg(drawn)


def smaller(picture: bytes) -> bytes:
    """For lists."""
    with Image.open(io.BytesIO(picture)) as found:
        found.draft("RGB", (WIDTH // 2, HEIGHT // 2))
        return _jpeg(found.convert("RGB"))


def background(palette: int, slogan: str, brand: str, *, is_wide: bool = False) -> bytes:
    """What a poster is drawn on, 750 × 1334: paper, a band for the words, the brand at the top."""
    colours = PALETTES[palette % len(PALETTES)]
    paper, pen = _paper(750, 1334, colours.wall if is_wide else colours.cloth)
    if is_wide:
        pen.rectangle((0, 0, 750, 110), fill=colours.ink)
        pen.rounded_rectangle((40, 950, 710, 1294), 24, fill="#ffffff")
    else:
        pen.rounded_rectangle((30, 120, 720, 1304), 28, fill=colours.arch)
        pen.ellipse((560, -130, 840, 150), fill=colours.trim)
    drawn = _small(paper, 750, 1334)
    _write(drawn, brand, (50, 24, 400, 66), 40, "#ffffff", bold=True, align="left")
    _write(drawn, slogan, (400, 36, 310, 44), 24, "#ffffff", align="right")
    return _jpeg(drawn)


def chart(title: str, rows: list[tuple[str, ...]]) -> bytes:
    """A table as a PDF of one page."""
    page = Image.new("RGB", (620, 877), "white")
    _write(page, title, (40, 40, 540, 60), 34, "#222222", bold=True)
    for line, row in enumerate(rows):
        for place, cell in enumerate(row):
            wide = 540 // len(row)
            _write(page, cell, (40 + place * wide, 130 + line * 56, wide, 40), 24, "#333333")
        ImageDraw.Draw(page).line((40, 178 + line * 56, 580, 178 + line * 56), fill="#cccccc")
    out = io.BytesIO()
    page.save(out, "PDF", quality=70)
    return out.getvalue()


class _Pen:
    """Draws in the units of the picture on its larger paper."""

    def __init__(self, paper: Image.Image) -> None:
        self._draw = ImageDraw.Draw(paper)

    def __getattr__(self, name: str) -> Any:
        return partial(self._scaled, getattr(self._draw, name))

    def _scaled(self, draw: Any, where: Any, *more: Any, **how: Any) -> None:
        fine = [tuple(FINE * one for one in point) if isinstance(point, tuple) else FINE * point for point in where]
        if "width" in how:
            how["width"] *= FINE
        if draw.__name__ == "rounded_rectangle":
            more = (FINE * more[0], *more[1:])
        draw(fine, *more, **how)


def _paper(width: int, height: int, colour: str) -> tuple[Image.Image, Any]:
    paper = Image.new("RGB", (FINE * width, FINE * height), colour)
    return paper, _Pen(paper)


def _small(paper: Image.Image, width: int, height: int) -> Image.Image:
    return paper.resize((width, height), Image.Resampling.BOX)


def _jpeg(drawn: Image.Image) -> bytes:
    out = io.BytesIO()
    drawn.save(out, "JPEG", quality=QUALITY, optimize=True)
    return out.getvalue()


def _write(
    paper: Image.Image,
    text: str,
    box: tuple[int, int, int, int],
    size: int,
    colour: str,
    *,
    bold: bool = False,
    align: str = "center",
) -> None:
    if not text or lettering.trouble():
        return
    x, y, width, height = box
    fitted = lettering.fit(lettering.clean(text), width=width, height=height, size=size, bold=bold)
    mask = lettering.mask(fitted, width=width, height=height, align=align, bold=bold)
    paper.paste(colour, (x, y, x + width, y + height), mask)


# ── Goods ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def _mirrored(half: Points) -> Points:
    """An outline from the left half of it, top to bottom."""
    return [*half, *((600 - x, y) for x, y in reversed(half))]


def _top(pen: Any, c: Palette, *, sleeve: int, hem: int) -> None:
    long = sleeve > 300
    arm = [(148, sleeve), (205, sleeve + 22)] if long else [(158, sleeve), (214, sleeve + 26)]
    pen.polygon(_mirrored([(268, 178), (222, 196), *arm, (228, 300), (224, hem)]), fill=c.cloth)
    pen.polygon([(268, 178), (300, 228), (332, 178), (316, 172), (284, 172)], fill=c.arch)


def _tee(pen: Any, c: Palette) -> None:
    _top(pen, c, sleeve=296, hem=600)
    pen.ellipse((262, 330, 338, 406), fill=c.trim)


def _shirt(pen: Any, c: Palette) -> None:
    _top(pen, c, sleeve=470, hem=630)
    pen.polygon([(268, 178), (300, 236), (262, 262), (246, 188)], fill=c.trim)
    pen.polygon([(332, 178), (300, 236), (338, 262), (354, 188)], fill=c.trim)
    for y in range(280, 620, 58):
        pen.ellipse((295, y, 305, y + 10), fill=c.arch)


def _knit(pen: Any, c: Palette) -> None:
    _top(pen, c, sleeve=480, hem=590)
    for y in range(300, 580, 44):
        pen.line([(240, y), (270, y + 18), (300, y), (330, y + 18), (360, y)], fill=c.trim, width=5)
    pen.rectangle((224, 578, 376, 602), fill=c.trim)


def _dress(pen: Any, c: Palette) -> None:
    half = [(272, 176), (236, 190), (246, 290), (256, 366), (206, 520), (168, 648)]
    pen.polygon(_mirrored(half), fill=c.cloth)
    pen.polygon([(272, 176), (300, 226), (328, 176), (318, 168), (282, 168)], fill=c.arch)
    pen.rectangle((255, 356, 345, 376), fill=c.trim)
    for x, y in ((226, 470), (286, 430), (340, 500), (372, 590), (262, 560), (212, 610), (318, 610)):
        pen.ellipse((x, y, x + 18, y + 18), fill=c.wall)


def _skirt(pen: Any, c: Palette) -> None:
    pen.polygon(_mirrored([(236, 240), (220, 330), (150, 640)]), fill=c.cloth)
    pen.rectangle((234, 226, 366, 256), fill=c.trim)
    for low, high in ((200, 262), (262, 286), (338, 314), (400, 338)):
        pen.line([(high, 262), (low, 636)], fill=c.trim, width=4)


def _pants(pen: Any, c: Palette) -> None:
    pen.polygon([(226, 190), (374, 190), (410, 656), (322, 656), (300, 330), (278, 656), (190, 656)], fill=c.cloth)
    pen.rectangle((226, 182, 374, 210), fill=c.trim)
    pen.line([(250, 240), (232, 640)], fill=c.trim, width=4)
    pen.line([(350, 240), (368, 640)], fill=c.trim, width=4)


def _coat(pen: Any, c: Palette) -> None:
    _top(pen, c, sleeve=480, hem=658)
    pen.polygon([(268, 178), (300, 340), (236, 270), (240, 190)], fill=c.trim)
    pen.polygon([(332, 178), (300, 340), (364, 270), (360, 190)], fill=c.trim)
    pen.line([(300, 340), (300, 656)], fill=c.trim, width=4)
    for y in (380, 450, 520):
        pen.ellipse((268, y, 286, y + 18), fill=c.ink)
        pen.ellipse((314, y, 332, y + 18), fill=c.ink)


def _puffer(pen: Any, c: Palette) -> None:
    for y in range(190, 600, 68):
        pen.rounded_rectangle((196, y, 404, y + 64), 30, fill=c.cloth)
    for y in range(200, 470, 68):
        pen.rounded_rectangle((138, y + 20, 214, y + 84), 30, fill=c.trim)
        pen.rounded_rectangle((386, y + 20, 462, y + 84), 30, fill=c.trim)
    pen.rounded_rectangle((244, 150, 356, 206), 26, fill=c.trim)
    pen.line([(300, 206), (300, 596)], fill=c.ink, width=5)


def _bag(pen: Any, c: Palette) -> None:
    pen.arc((220, 200, 380, 460), 180, 360, fill=c.trim, width=16)
    pen.rounded_rectangle((160, 330, 440, 640), 34, fill=c.cloth)
    pen.polygon([(160, 380), (440, 380), (300, 500)], fill=c.trim)
    pen.ellipse((284, 466, 316, 498), fill=c.wall)


def _necklace(pen: Any, c: Palette) -> None:
    pen.arc((180, 110, 420, 520), 10, 170, fill=c.cloth, width=8)
    for x, y in ((196, 410), (224, 462), (262, 500), (338, 500), (376, 462), (404, 410)):
        pen.ellipse((x - 16, y - 16, x + 16, y + 16), fill=c.wall, outline=c.trim)
    pen.polygon([(300, 506), (340, 560), (300, 620), (260, 560)], fill=c.cloth)


def _shoe(pen: Any, c: Palette) -> None:
    upper = [(150, 480), (178, 400), (262, 418), (330, 470), (440, 506), (470, 560), (146, 560)]
    pen.polygon(upper, fill=c.cloth)
    pen.polygon([(150, 480), (178, 400), (214, 408), (196, 560), (146, 560)], fill=c.trim)
    pen.rounded_rectangle((132, 552, 480, 604), 24, fill=c.ink)
    pen.rounded_rectangle((132, 552, 480, 572), 10, fill=c.wall)
    for x in (270, 302, 334):
        pen.line([(x, 440 + (x - 270) // 2), (x + 34, 420 + (x - 270) // 2)], fill=c.wall, width=8)


def _yoga(pen: Any, c: Palette) -> None:
    pen.polygon(_mirrored([(262, 176), (244, 180), (236, 270), (252, 330), (240, 400)]), fill=c.trim)
    pen.polygon([(262, 176), (300, 260), (338, 176)], fill=c.arch)
    pen.polygon([(236, 420), (364, 420), (380, 656), (322, 656), (300, 500), (278, 656), (220, 656)], fill=c.cloth)


def _tent(pen: Any, c: Palette) -> None:
    pen.polygon([(300, 240), (480, 620), (120, 620)], fill=c.cloth)
    pen.polygon([(300, 240), (360, 620), (240, 620)], fill=c.ink)
    pen.polygon([(300, 240), (300, 620), (240, 620)], fill=c.trim)
    pen.line([(300, 240), (300, 210)], fill=c.ink, width=6)
    pen.polygon([(300, 206), (340, 220), (300, 234)], fill=c.trim)


def _bottle(pen: Any, c: Palette) -> None:
    pen.rounded_rectangle((246, 180, 354, 250), 16, fill=c.ink)
    pen.rounded_rectangle((222, 244, 378, 640), 40, fill=c.cloth)
    pen.rectangle((222, 360, 378, 470), fill=c.trim)
    pen.rounded_rectangle((242, 270, 258, 610), 8, fill=c.arch)


def _candle(pen: Any, c: Palette) -> None:
    pen.ellipse((284, 270, 316, 340), fill=c.cloth)
    pen.line([(300, 330), (300, 380)], fill=c.ink, width=6)
    pen.rounded_rectangle((190, 380, 410, 640), 26, fill=c.trim)
    pen.rectangle((220, 460, 380, 560), fill=c.arch)


def _linen(pen: Any, c: Palette) -> None:
    for place, y in enumerate(range(560, 300, -76)):
        pen.rounded_rectangle((150 + 6 * place, y, 450 - 6 * place, y + 70), 30, fill=(c.cloth, c.trim)[place % 2])
        pen.line([(170, y + 48), (430, y + 48)], fill=c.arch, width=4)


SHAPES = {
    "tee": _tee, "shirt": _shirt, "knit": _knit, "dress": _dress, "skirt": _skirt, "pants": _pants, "coat": _coat,
    "puffer": _puffer, "bag": _bag, "necklace": _necklace, "shoe": _shoe, "yoga": _yoga, "tent": _tent,
    "bottle": _bottle, "candle": _candle, "linen": _linen,
}  # fmt: skip
