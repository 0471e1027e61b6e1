"""Words in a box: broken into lines as Chinese and Latin are, made smaller where they are too long, never outside it.

    words ──clean──▶ what the font has ──pieces──▶ what must stay together ──lines──▶ fit ──▶ a mask of the box

What the font does not have: a letter is drawn as □, so that a name is seen to have one more; an emoji is left out.
"""

import re
import unicodedata
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from django.conf import settings
from django.utils.translation import gettext as _
from PIL import Image, ImageDraw, ImageFont

LEAST = 12  # pixels; what is still too long then ends with …
SHRUNK = 0.6  # of the wanted size; below that it is cut off
LEADING = 1.3  # of the size from line to line
BASE = 1.02  # of the size from the top of a line to its base: Latin capitals with two accents fit
MEASURED = 100  # pixels at which letters are measured; others in proportion
MOST = 600  # letters that are looked at
MISSING = "□"
NOT_FIRST = ("Pe", "Pf", "Po", "Pd")  # categories of Unicode that begin no line: what closes, commas, dashes
NOT_LAST = ("Ps", "Pi", "Sc")  # and that end none: what opens, signs of money
OPENS = frozenset("#@&*")  # of NOT_FIRST, but what they belong to comes behind them
CHINESE, MOST_FACES = "SC", 16  # of the languages in one font file


class NoFont(RuntimeError):
    """There is no font to write Chinese with."""


class Fitted(NamedTuple):
    lines: list[str]
    size: int


def clean(text: str) -> str:
    """What of a text can be written, line by line."""
    kept = "".join(map(_letter, unicodedata.normalize("NFC", text[:MOST])))
    return "\n".join(re.sub(r" +", " ", line).strip() for line in kept.splitlines()).strip("\n")


def fit(text: str, *, width: int, height: int, size: int, bold: bool = False) -> Fitted:
    """The largest size up to the wanted one at which a cleaned text fits; cut off where none does."""
    least, largest = min(size, max(LEAST, int(size * SHRUNK))), size
    best = None
    while least <= largest:
        middle = (least + largest + 1) // 2
        found = lines(text, width=width / middle, bold=bold)
        if len(found) * LEADING * middle <= height:
            best, least = Fitted(found, middle), middle + 1
        else:
            largest = middle - 1
    return best or _cut_off(text, width, height, least, bold)


def lines(text: str, *, width: float, bold: bool = False) -> list[str]:
    """A cleaned text in lines of at most `width`, in units of the size of the letters."""
    return [line for paragraph in text.split("\n") for line in _broken(paragraph, width, bold)]


def mask(fitted: Fitted, *, width: int, height: int, align: str, bold: bool = False) -> Image.Image:
    """The box with the words in it, white on black; in the middle of its height."""
    box = Image.new("L", (width, height))
    pen, letters = ImageDraw.Draw(box), font(fitted.size, bold)
    top = (height - len(fitted.lines) * LEADING * fitted.size) / 2
    side = {"left": 0.0, "center": 0.5, "right": 1.0}[align]
    for number, line in enumerate(fitted.lines):
        x = (width - letters.getlength(line)) * side
        pen.text((max(0, x), top + (number * LEADING + BASE) * fitted.size), line, fill=255, font=letters, anchor="ls")
    return box


def span(text: str, bold: bool = False) -> float:
    """How long a line is, in units of the size of its letters."""
    return sum(_wide(letter, bold) for letter in text)


def _cut_off(text: str, width: int, height: int, size: int, bold: bool) -> Fitted:
    size = min(size, max(1, int(height / LEADING)))
    found, room = lines(text, width=width / size, bold=bold), max(1, int(height / (LEADING * size)))
    if len(found) > room:
        found = [*found[: room - 1], _cut(found[room - 1], width / size, bold)]
    return Fitted(found, size)


# ── The font ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def trouble() -> str:
    """Why nothing can be written; empty if it can."""
    try:
        font(LEAST)
    except NoFont as error:
        return str(error)
    return ""


def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Raises NoFont."""
    return _opened(settings.FONT, size, bold)


@lru_cache(64)
def _opened(path: str, size: int, bold: bool) -> ImageFont.FreeTypeFont:
    heavy = Path(path.replace("-Regular.", "-Bold."))
    chosen = str(heavy) if bold and heavy.is_file() else path
    try:
        return ImageFont.truetype(chosen, size, index=_face(chosen))
    except OSError as error:
        said = _("服务器上没有中文字体，海报画不出来：请管理员安装 fonts-noto-cjk，或用 DAOGOU_FONT 指定字体文件。")
        raise NoFont(said) from error


@lru_cache(8)
def _face(path: str) -> int:
    """Which of the faces in a file is the one for simplified Chinese; the first where none says so."""
    for index in range(MOST_FACES):
        try:
            found = ImageFont.truetype(path, LEAST, index=index)
        except OSError:
            break
        if str(found.getname()[0]).endswith(CHINESE):
            return index
    return 0


@lru_cache(20_000)
def _wide(letter: str, bold: bool) -> float:
    return font(MEASURED, bold).getlength(letter) / MEASURED


@lru_cache(20_000)
def _has(letter: str) -> bool:
    """Fonts draw one and the same picture for all that they do not have."""
    letters = font(LEAST)
    seen, nothing = letters.getmask(letter), letters.getmask("\U0010ffff")
    return (seen.size, bytes(seen)) != (nothing.size, bytes(nothing))


def _letter(letter: str) -> str:
    kind = unicodedata.category(letter)
    if letter == "\n":
        return letter
    if letter.isspace():
        return " "
    if kind.startswith("C") or "\ufe00" <= letter <= "\ufe0f" or "\U000e0100" <= letter <= "\U000e01ef":
        return ""
    if _has(letter):
        return letter
    return MISSING if kind.startswith("L") else ""


# ── Lines ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def _broken(paragraph: str, width: float, bold: bool) -> list[str]:
    found, line = [], ""
    for piece in _pieces(paragraph, width, bold):
        if line and span((line + piece).rstrip(), bold) > width:
            found.append(line.rstrip())
            line = ""
        line = (line + piece) if line else piece.lstrip()
    return [*found, line.rstrip()]


def _pieces(paragraph: str, width: float, bold: bool) -> list[str]:
    """What stays together on a line; longer than a line nothing does."""
    found: list[str] = []
    for letter in paragraph:
        if found and _stays(found[-1], letter) and span(found[-1] + letter, bold) <= width:
            found[-1] += letter
        else:
            found.append(letter)
    return found


def _stays(piece: str, letter: str) -> bool:
    if letter == " " or piece == " ":
        return False
    before, kind = unicodedata.category(piece[-1]), unicodedata.category(letter)
    if kind.startswith("M") or before in NOT_LAST or piece[-1] in OPENS:
        return True
    if kind in NOT_FIRST and letter not in OPENS:
        return True
    return not (_is_wide(piece[-1]) or _is_wide(letter))


def _is_wide(letter: str) -> bool:
    return unicodedata.east_asian_width(letter) in "WF"


def _cut(line: str, width: float, bold: bool) -> str:
    while line and span(line + "…", bold) > width:
        line = line[:-1].rstrip()
    return line + "…"
