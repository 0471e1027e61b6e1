"""Posters: what a telephone reads off them, words that stay in their boxes, drawn once."""

import io
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import zxingcpp
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageChops

from clerks.materials import areas, lettering, posters
from clerks.materials.models import PosterPicture, PosterTemplate, Share
from retail import doctor, retention, scope
from tests import factories
from tests.factories import NOW, World
from tests.factories import posters as poster_scene
from tests.factories.posters import AREAS, CODE, ORIGIN


@pytest.fixture
def world(everything: None) -> World:
    made = factories.world()
    made.hire("c1")
    return made


def drawn(share: Share, template: PosterTemplate, **how: Any) -> Image.Image:
    data = posters.picture(share=share, template=template, **{"now": NOW, "origin": ORIGIN, **how})
    return Image.open(io.BytesIO(data)).convert("RGB")


def read(picture: Image.Image) -> list[str]:
    return [found.text for found in zxingcpp.read_barcodes(picture)]


def worn(picture: Image.Image) -> Image.Image:
    """As it arrives: half as large, and pressed by a chat."""
    out = io.BytesIO()
    picture.resize((picture.width // 2, picture.height // 2)).save(out, "JPEG", quality=60)
    return Image.open(out)


# ── The code ─────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("width", "height", "side", "origin"),
    [
        (750, 1334, 160, ORIGIN),
        (1080, 1920, 200, "https://daogou.xl-fashion.example.com.cn"),
        (600, 800, 260, "https://a-very-long-name.of-a-shop.somewhere-in-the-cloud.example.com.cn:8443"),
        (2000, 1000, 160, f"https://{'long.' * 30}example.com"),  # grows until it can be read
    ],
)
def test_a_telephone_reads_the_code(world: World, width: int, height: int, side: int, origin: str) -> None:
    """Also off a dark background, from a corner, and from the picture as a chat sends it on."""
    corner = {**CODE, "x": width - side, "y": height - side, "w": side, "h": side}
    words = {"kind": "title", "x": 0, "y": height - 200, "w": width, "h": 200, "size": 200, "color": "#000000"}
    template = poster_scene.template(world, corner, words, width=width, height=height, colour="#101010")
    share = poster_scene.share(world, template)
    picture = drawn(share, template, origin=origin)
    assert picture.size == (width, height)
    assert read(picture) == read(worn(picture)) == [f"{origin}/s/{share.code}"]


# ── Words ────────────────────────────────────────────────────────────────────────────────────────────────────────────
NAMES = [
    *("欧阳𠮷㐂", "阿依古丽·买买提江·吐尔逊娜依", "Wolfeschlegelsteinhausenbergerdorff", "王😀小👨‍👩‍👧明", "Ấp Ḕ ǻ"),
    *("，。！？，。！？", "　　", "😀😀", "第一行\n第二行\n第三行\n第四行", "a" * 300, "很" * 300, "¥￥$%‰…—"),
]


@pytest.mark.parametrize("name", NAMES)
def test_words_never_leave_their_box(world: World, name: str) -> None:
    box = {"x": 100, "y": 200, "w": 300, "h": 60}
    bare = poster_scene.template(world, CODE)
    lettered = [{"kind": kind, "size": 44, "bold": True, **box} for kind in ("title", "body", "clerk", "store")]
    share = poster_scene.share(world, bare, title=name[:64], text=name)
    share.staff.name = share.store.name = name
    blank = drawn(share, bare)
    for area in lettered:
        bare.areas = [area, CODE]
        changed = ImageChops.difference(blank, drawn(share, bare)).point(lambda level: 255 if level > 40 else 0)
        there = changed.getbbox() or (0, 0, 0, 0)
        assert there == (0, 0, 0, 0) or (there[0] >= 100 - 8 and there[1] >= 200 - 8), (area["kind"], there)
        assert there[2] <= 400 + 8 and there[3] <= 260 + 8, (area["kind"], there)  # JPEG smears over a block


def test_words_are_broken_where_one_would_break_them() -> None:
    assert lettering.clean("王😀小\ufe0f\x00明\u200d") == "王小明"
    assert lettering.clean("a  b\t c") == "a b c"
    assert lettering.clean("\U00031fff") == lettering.clean("😀") == ""  # no letters that anybody has given a meaning
    assert lettering.clean("𓀀") == lettering.MISSING  # a letter, but none of our font
    assert lettering.lines("柔软，不扎。很好看", width=3) == ["柔软，", "不扎。", "很好看"]
    assert lettering.lines("新款 Cashmere blend", width=5.5) == ["新款", "Cashmere", "blend"]
    assert lettering.lines("只要 ¥899（原价）#新款", width=3) == ["只要", "¥899", "（原", "价）", "#新款"]
    small = lettering.fit("很长很长的标题要小一点", width=200, height=70, size=40)
    assert 24 <= small.size < 40 and "".join(small.lines) == "很长很长的标题要小一点"
    cut = lettering.fit("很" * 200, width=200, height=60, size=40)
    assert cut.lines[-1].endswith("…") and cut.size == 24


@given(st.text(max_size=120), st.integers(20, 400), st.integers(20, 200), st.integers(12, 200))
def test_any_text_fits(text: str, width: int, height: int, size: int) -> None:
    fitted = lettering.fit(lettering.clean(text) or "x", width=width, height=height, size=size)
    assert 1 <= fitted.size <= size
    assert len(fitted.lines) * lettering.LEADING * fitted.size <= height or len(fitted.lines) == 1
    widest = max(map(lettering.span, fitted.lines)) * fitted.size
    assert widest <= width + 1 or max(map(len, fitted.lines)) <= 2  # one letter may be wider than its box


def test_prices(world: World) -> None:
    """That on the tag is crossed out beside a lower one, and stands alone where there is no other."""
    area = {"kind": "price", "x": 0, "y": 0, "w": 400, "h": 80, "size": 60}
    template = poster_scene.template(world, area, CODE)
    plain = [posters.draw(template=template, sheet=posters.Sheet("u", price_fen=fen)) for fen in (10000, 5990, None)]
    tagged = posters.draw(template=template, sheet=posters.Sheet("u", price_fen=5990, tag_fen=10000))
    assert len({*plain, tagged}) == 4
    share = poster_scene.share(world, template)
    share.product = world.product  # 100 yuan on its tag
    alone = posters.picture(share=share, template=template, now=NOW, origin=ORIGIN)
    assert posters.yuan(10000) == "¥100" and posters.yuan(5990) == "¥59.90"
    seen = [Image.open(io.BytesIO(data)).crop((0, 0, 400, 80)).tobytes() for data in (alone, plain[0])]
    assert seen[0] == seen[1]


# ── What may be drawn ────────────────────────────────────────────────────────────────────────────────────────────────
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=5),
    max_leaves=12,
)
fields = st.fixed_dictionaries(
    {"kind": st.sampled_from(areas.Kind.values) | anything},
    optional=dict.fromkeys(("x", "y", "w", "h", "size"), st.integers(-10, 800) | anything)
    | dict.fromkeys(("color", "align", "bold", "text", "more"), st.sampled_from(["#000000", "left", True]) | anything),
)


@given(anything | st.lists(fields, max_size=5))
def test_any_document_is_judged(document: object) -> None:
    """Whatever has no fault is drawn; sentences can be sent and kept."""
    found = posters.faults(document, 750, 1334)
    assert all(str(fault).encode() for fault in found)
    if not found:
        blank = PosterTemplate(background=poster_scene.jpeg(750, 1334), width=750, height=1334, areas=document)
        assert posters.draw(template=blank, sheet=posters.sample(origin=ORIGIN))
        assert "\\u0000" not in json.dumps(document)


def test_faults_name_the_area() -> None:
    text = {"kind": "text", "x": 0, "y": 0, "w": 100, "h": 50, "text": "新品"}
    for wrong in (
        *({"kind": "shop"}, {"x": -1}, {"x": 700}, {"h": 5}, {"w": 1.5}, {"y": True}, {"size": 8}, {"size": 201}),
        *({"color": "red"}, {"align": "up"}, {"bold": 1}, {"text": ""}, {"text": "字" * 201}, {"text": "a\x00"}),
        {"font": "x"},
    ):
        (fault,) = posters.faults([CODE, {**text, **wrong}], 750, 1334)
        assert fault.place == 1 and str(fault).startswith("第 2 个区域"), wrong
    assert posters.faults([CODE, text], 750, 1334) == []
    for wrong in ([], [text], [{**CODE, "w": 100}], [CODE, {**CODE, "x": 400}], [CODE, *[text] * 30], {}, None, "[]"):
        assert posters.faults(wrong, 750, 1334), wrong


# ── Once ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
def made() -> dict[str, Any]:
    return dict(PosterPicture.objects.values_list("key", "made_at"))


def test_the_same_is_drawn_once(world: World) -> None:
    template = poster_scene.template(world, *AREAS)
    share = poster_scene.share(world, template, photo=poster_scene.jpeg(800, 600), price_fen=8990)
    first, later = drawn(share, template), NOW + timedelta(minutes=1)
    again = drawn(share, template, now=later)
    assert first.tobytes() == again.tobytes() and list(made().values()) == [NOW]
    template.areas[1]["size"] = 40
    template.number += 1
    template.save()
    assert drawn(share, template, now=later).tobytes() != first.tobytes()
    share.staff.name = "李静"
    drawn(share, template, now=later)
    assert sorted(made().values()) == [NOW, later, later]
    kept = next(kept for kept in retention.TABLE if kept.name.startswith("posters"))
    assert kept.forget(later) == 1 and kept.days == 30 and set(made().values()) == {later}


def test_without_a_font_it_is_said(world: World, settings: Any) -> None:
    template = poster_scene.template(world, *AREAS)
    share = poster_scene.share(world, template)
    settings.FONT = "/nowhere/font.ttc"
    with pytest.raises(posters.Undrawable, match="fonts-noto-cjk"):
        drawn(share, template)
    assert not made()
    assert "posters_written" in {one.name for one in doctor.examine(now=NOW, sample=1) if one.failures}


def test_a_broken_picture_breaks_no_poster(world: World) -> None:
    template = poster_scene.template(world, *AREAS)
    share = poster_scene.share(world, template, photo=b"no picture")
    assert read(drawn(share, template)) == [f"{ORIGIN}/s/{share.code}"]
    template.background = b"no picture, either"
    with pytest.raises(posters.Undrawable):
        drawn(share, template)


@pytest.mark.django_db(transaction=True)
def test_who_asks_at_the_same_time_waits() -> None:
    """Five at once, one drawing."""
    with scope.within(scope.EVERYTHING):
        world = factories.world()
        world.hire("c1")
        template = poster_scene.template(world, *AREAS)
        share = poster_scene.share(world, template)
    with ThreadPoolExecutor(5) as people:
        pictures = list(people.map(lambda _number: _asked(share.pk, template.pk), range(5)))
    assert len(set(pictures)) == 1 and PosterPicture.objects.count() == 1


def _asked(share: int, template: int) -> bytes:
    try:
        with scope.within(scope.EVERYTHING):
            found, drawn_on = Share.objects.get(pk=share), PosterTemplate.objects.get(pk=template)
            return posters.picture(share=found, template=drawn_on, now=NOW, origin=ORIGIN)
    finally:
        connection.close()
