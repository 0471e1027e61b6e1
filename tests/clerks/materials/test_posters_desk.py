"""The page of poster templates: a background, areas, what is wrong with them, and how it looks."""

import io
import json
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from PIL import Image

from clerks.materials.models import PosterTemplate
from retail.audit import AuditRow
from retail.desk import roles
from retail.models import Post
from tests import factories, signing_in
from tests.factories import World, posters
from tests.factories.posters import AREAS, CODE

PAGE = "/admin/materials/postertemplate/"


@pytest.fixture
def world(everything: None) -> World:
    return factories.world()


def desk(world: World, role: str) -> Client:
    staff = world.hire(role, role=role)
    staff.user = factories.user()
    staff.save()
    roles.grant(user=staff.user, role=role)
    staff.user.refresh_from_db()
    return signing_in.signed_in(staff.user, post=staff.posts.get())


def sent(world: World, areas: object, picture: bytes | None = None) -> dict[str, Any]:
    given = {"name": "秋日", "brand": world.brand.pk, "is_active": "on", "areas": json.dumps(areas)}
    return given | ({"file": SimpleUploadedFile("底图.jpg", picture)} if picture else {})


def test_headquarters_draw_a_template(world: World) -> None:
    client, picture = desk(world, Post.Role.HQ_OPS), posters.jpeg(3000, 4000)
    tried = client.post(f"{PAGE}preview/", sent(world, [CODE, {**CODE, "w": 20}], picture)).json()
    assert (tried["width"], tried["height"], tried["picture"]) == (1500, 2000, "")
    assert [fault["place"] for fault in tried["faults"]] == [1]
    shown = client.post(f"{PAGE}preview/", sent(world, AREAS, picture)).json()
    assert shown["faults"] == [] and shown["picture"].startswith("data:image/jpeg;base64,")
    assert not PosterTemplate.objects.exists()

    refused = client.post(f"{PAGE}add/", sent(world, [], b"<svg>"))
    assert {"file", "areas"} & set(refused.context["adminform"].form.errors) == {"file"}
    assert client.post(f"{PAGE}add/", sent(world, AREAS, picture)).status_code == 302
    row = PosterTemplate.objects.get()
    assert (row.width, row.height, row.number, row.areas) == (1500, 2000, 1, AREAS)
    assert bytes(row.background) != picture

    change = f"{PAGE}{row.pk}/change/"
    wrong = client.post(change, sent(world, [{**CODE, "x": 1400}]))
    assert "第 1 个区域" in wrong.text and "1500" in wrong.text
    for broken in ("{", "null", '"' * 9, "[" * 3000, "x" * 50_000):
        assert client.post(change, {**sent(world, []), "areas": broken}).status_code == 200
    assert client.post(change, {**sent(world, AREAS), "name": "另一个名字"}).status_code == 302
    assert client.post(change, sent(world, [CODE])).status_code == 302
    row.refresh_from_db()
    assert (row.number, row.areas) == (2, [CODE])
    assert AuditRow.objects.filter(target_type="materials.postertemplate", target_id=str(row.pk)).count() == 3
    assert "用它的素材" in client.get(PAGE).text


def test_others_only_look(world: World) -> None:
    row = posters.template(world, *AREAS)
    client = desk(world, Post.Role.AUDITOR)
    page = client.get(f"{PAGE}{row.pk}/change/")
    assert page.status_code == 200 and "data-poster" not in page.text and "proof.jpg" in page.text
    for address, width in (("proof.jpg", 750), ("background.jpg", 750), ("proof.jpg?1&small", 180)):
        answer = client.get(f"{PAGE}{row.pk}/{address}")
        assert answer["Content-Type"] == "image/jpeg"
        assert Image.open(io.BytesIO(answer.content)).width == width
    assert client.post(f"{PAGE}preview/", sent(world, AREAS)).status_code == 403
    assert desk(world, Post.Role.STORE_MANAGER).get(f"{PAGE}{row.pk}/proof.jpg").status_code == 404


def test_without_a_font_the_page_says_so(world: World, settings: Any) -> None:
    row = posters.template(world, *AREAS)
    settings.FONT = "/nowhere/font.ttc"
    client = desk(world, Post.Role.HQ_OPS)
    assert "fonts-noto-cjk" in client.get(f"{PAGE}{row.pk}/change/").text
    assert client.get(f"{PAGE}{row.pk}/proof.jpg").content == bytes(row.background)
    (fault,) = client.post(f"{PAGE}preview/", {**sent(world, AREAS), "template": row.pk}).json()["faults"]
    assert fault["place"] is None and "fonts-noto-cjk" in fault["words"]
