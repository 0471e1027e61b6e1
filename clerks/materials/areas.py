"""Where on a poster what is drawn: areas that headquarters write, checked before they are kept."""

import re
import unicodedata
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from django.db import models
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

MOST = 30
MOST_LETTERS = 200
SMALLEST = 20  # pixels of a side
SMALLEST_CODE = 160  # below that a telephone does not read it from another one's screen
SIZES = (12, 200)
COLOUR = "#222222"
SIZE = 40


class Kind(models.TextChoices):
    PICTURE = "picture", gettext_lazy("图片")
    TITLE = "title", gettext_lazy("标题")
    BODY = "body", gettext_lazy("正文")
    TEXT = "text", gettext_lazy("固定文字")
    PRICE = "price", gettext_lazy("价格")
    CLERK = "clerk", gettext_lazy("导购姓名")
    STORE = "store", gettext_lazy("门店名称")
    CODE = "code", gettext_lazy("二维码")


class Align(models.TextChoices):
    LEFT = "left", gettext_lazy("靠左")
    CENTER = "center", gettext_lazy("居中")
    RIGHT = "right", gettext_lazy("靠右")


PLACE = ("x", "y", "w", "h")
LETTERS = ("size", "color", "align", "bold")
WORDLESS = (Kind.PICTURE, Kind.CODE)


class Area(NamedTuple):
    """One that was checked; pixels of the background."""

    kind: str
    x: int
    y: int
    w: int
    h: int
    size: int = SIZE
    color: str = COLOUR
    align: str = Align.LEFT
    bold: bool = False
    text: str = ""


class Fault(NamedTuple):
    """What is wrong with which area, counted from 0; none: with all of them."""

    place: int | None
    words: str

    def __str__(self) -> str:
        if self.place is None:
            return self.words
        return _("第 %(place)s 个区域：%(words)s") % {"place": self.place + 1, "words": self.words}


def faults(areas: object, width: int, height: int) -> list[Fault]:
    """Everything wrong with what is to be drawn on a background of this size; it may be any JSON."""
    if not isinstance(areas, list):
        return [Fault(None, _("区域要是一个列表。"))]
    if len(areas) > MOST:
        return [Fault(None, _("区域最多 %(most)s 个。") % {"most": MOST})]
    found = [Fault(place, words) for place, area in enumerate(areas) for words in _faults_of(area, width, height)]
    codes = [
        (place, area) for place, area in enumerate(areas) if isinstance(area, dict) and area.get("kind") == "code"
    ]
    if not codes:
        found.append(Fault(None, _("至少要有一个二维码区域，不然看不出是谁发的。")))
    return found or list(_covering(codes))


def read(areas: list[dict[str, Any]]) -> list[Area]:
    """Areas without faults as they are drawn, codes last: nothing lies over them."""
    found = [Area(**area) for area in areas]
    return sorted(found, key=lambda area: area.kind == Kind.CODE)


def _faults_of(area: object, width: int, height: int) -> Iterator[str]:
    if not isinstance(area, dict):
        yield _("要写成一组“名称: 值”。")
        return
    kind = area.get("kind")
    if not isinstance(kind, str) or kind not in Kind.values:
        yield _("不认识的类型，可以是 %(kinds)s。") % {"kinds": _("、").join(Kind.values)}
        return
    known = {"kind", *PLACE, *(() if kind in WORDLESS else LETTERS), *(["text"] if kind == Kind.TEXT else [])}
    if unknown := sorted(set(area) - known):
        yield _("不认识的属性：%(names)s。") % {"names": _("、").join(map(_plain, unknown[:5]))}
    yield from _misplaced(area, width, height)
    for name, value in area.items():
        if name in known and (check := CHECKS.get(name)) and (words := check(value)):
            yield words
    if kind == Kind.TEXT and "text" not in area:
        yield _("固定文字不能为空。")


def _misplaced(area: dict[str, Any], width: int, height: int) -> Iterator[str]:
    if not all(_is_whole(area.get(name)) for name in PLACE):
        yield _("位置和大小（x、y、w、h）要写整数像素。")
        return
    x, y, w, h = (area[name] for name in PLACE)
    smallest = SMALLEST_CODE if area["kind"] == Kind.CODE else SMALLEST
    if w < smallest or h < smallest:
        yield _("太小了：宽和高至少 %(least)s 像素。") % {"least": smallest}
    if x < 0 or y < 0 or x + w > width or y + h > height:
        yield _("超出了底图：底图宽 %(width)s、高 %(height)s 像素。") % {"width": width, "height": height}


def _covering(codes: list[tuple[int, Any]]) -> Iterator[Fault]:
    for number, (place, one) in enumerate(codes):
        for _earlier, other in codes[:number]:
            if _overlap(one, other):
                yield Fault(place, _("两个二维码叠在一起，扫不出来。"))


def _overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    beside = one["x"] >= other["x"] + other["w"] or other["x"] >= one["x"] + one["w"]
    below = one["y"] >= other["y"] + other["h"] or other["y"] >= one["y"] + one["h"]
    return not (beside or below)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _size_fault(value: Any) -> str:
    if _is_whole(value) and SIZES[0] <= value <= SIZES[1]:
        return ""
    return _("字号要在 %(least)s 和 %(most)s 之间。") % {"least": SIZES[0], "most": SIZES[1]}


def _colour_fault(value: Any) -> str:
    is_one = isinstance(value, str) and re.fullmatch(r"#[0-9a-fA-F]{6}", value)
    return "" if is_one else _("颜色要写成 #rrggbb，比如 #222222。")


def _align_fault(value: Any) -> str:
    if isinstance(value, str) and value in Align.values:
        return ""
    return _("对齐只能是 %(ways)s。") % {"ways": _("、").join(Align.values)}


def _bold_fault(value: Any) -> str:
    return "" if isinstance(value, bool) else _("加粗只能是 true 或 false。")


def _text_fault(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        return _("固定文字不能为空。")
    if len(value) > MOST_LETTERS:
        return _("固定文字最多 %(most)s 个字。") % {"most": MOST_LETTERS}
    if any(unicodedata.category(letter) in ("Cc", "Cs") and letter not in "\r\n\t" for letter in value):
        return _("固定文字里有不能用的字符。")
    return ""


def _plain(name: str) -> str:
    """A name that somebody gave, short and in letters that can be sent."""
    return name[:30].encode("utf-8", "replace").decode().replace("\x00", "?")


CHECKS: dict[str, Callable[[Any], str]] = {
    "size": _size_fault,
    "color": _colour_fault,
    "align": _align_fault,
    "bold": _bold_fault,
    "text": _text_fault,
}
