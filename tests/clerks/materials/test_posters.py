"""Posters: what a telephone reads off them, words that stay in their boxes, drawn once."""

import io
from typing import Any

import pytest
from PIL import Image

from clerks.materials import posters
from clerks.materials.models import PosterTemplate, Share
from tests import factories
from tests.clerks.materials import poster_scene
from tests.clerks.materials.poster_scene import CODE, ORIGIN
from tests.factories import NOW, World

AREAS = [
    {"kind": "picture", "x": 50, "y": 60, "w": 650, "h": 650},
    {"kind": "title", "x": 50, "y": 740, "w": 650, "h": 130, "size": 56, "bold": True},
    {"kind": "body", "x": 50, "y": 880, "w": 650, "h": 90, "size": 28, "color": "#777777"},
    {"kind": "price", "x": 50, "y": 980, "w": 420, "h": 90, "size": 64, "color": "#c0392b", "bold": True},
    {"kind": "clerk", "x": 50, "y": 1120, "w": 420, "h": 60, "size": 40},
    {"kind": "store", "x": 50, "y": 1180, "w": 420, "h": 60, "size": 32},
    CODE,
]


@pytest.fixture
def world(everything: None) -> World:
    made = factories.world()
    made.hire("c1")
    return made


def drawn(share: Share, template: PosterTemplate, **how: Any) -> Image.Image:
    data = posters.picture(share=share, template=template, **{"now": NOW, "origin": ORIGIN, **how})
    return Image.open(io.BytesIO(data))


def test_look(world: World) -> None:
    t = poster_scene.template(world, *AREAS)
    s = poster_scene.share(world, t, photo=poster_scene.jpeg(800, 600), price_fen=89900, text="柔软不扎 Cashmere blend，版型利落。{customer}到店找{clerk}试穿，有惊喜。再长一点会怎么样呢，看看")
    s.staff.name = "欧阳𠮷㐂😀阿依古丽"
    drawn(s, t).save("/tmp/w/s9/poster1.png")
