"""素材 in the admin: written by one person, let through by another, with files one by one and many at a time."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from clerks.materials import uploads
from clerks.materials.models import Material, MaterialUpload, MaterialVersion
from retail.desk import roles
from retail.models import Post
from tests import factories, signing_in
from tests.factories import World, materials, posters
from tests.forms import shown

PAGE = "/admin/materials/material/"
VERSION = "/admin/materials/materialversion/"
UPLOAD = "/admin/materials/materialupload/"
SENT = {"_form_submitted": "True"}
State = MaterialVersion.State
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'
HTML = b"<!doctype html><script>alert(1)</script>"


@pytest.fixture
def world(everything: None) -> World:
    return factories.world()


def desk(world: World, role: str, code: str = "") -> Client:
    staff = world.hire(code or role, role=role)
    staff.user = factories.user()
    staff.save()
    roles.grant(user=staff.user, role=role)
    staff.user.refresh_from_db()
    return signing_in.signed_in(staff.user, post=staff.posts.get())


@pytest.fixture
def author(world: World) -> Client:
    return desk(world, Post.Role.HQ_OPS, "author")


def file(name: str, data: bytes) -> SimpleUploadedFile:
    return SimpleUploadedFile(name, data)


def made(client: Client, world: World, kind: str, **said: Any) -> Any:
    """What the editor answers to a new material."""
    given = {"brand": world.brand.pk, "kind": kind, "name": "秋天的搭配", "scene": "daily"}
    return client.post(f"{PAGE}add/?kind={kind}", given | said)


def press(client: Client, address: str, **said: Any) -> Any:
    return client.post(address, SENT | said, follow=True)


def test_one_writes_another_lets_through(world: World, author: Client) -> None:
    other = desk(world, Post.Role.HQ_OPS, "other")
    assert "要做哪一种素材" in author.get(f"{PAGE}add/").text
    assert made(author, world, "text", text="{customer}您好").status_code == 302
    material = Material.objects.get()
    draft = material.versions.get()
    page, version = f"{PAGE}{material.pk}/", f"{VERSION}{draft.pk}/"
    assert "王女士您好" in author.get(f"{page}change/").text
    changed = shown(author.get(f"{page}change/")) | {"text": "{custom}您好"}
    assert author.post(f"{page}change/", changed).status_code == 302
    press(author, f"{page}submit/")
    draft.refresh_from_db()
    assert draft.state == State.DRAFT and "不认识 {custom}" in author.get(f"{page}change/").text
    author.post(f"{page}change/", changed | {"text": "{customer}，到货了"})

    author.post(f"{page}change/", changed | {"text": "{customer}，到货", "materials_material_save_and_submit": "1"})
    draft.refresh_from_db()
    assert (draft.text, draft.state) == ("{customer}，到货", State.WAITING)
    press(author, f"{page}withdraw/")
    author.post(f"{page}change/", changed | {"text": "{customer}，到货了"})
    press(author, f"{page}submit/")
    press(author, f"{version}approve/")
    draft.refresh_from_db()
    assert draft.state == State.WAITING and "您写过或改过" in author.get(f"{version}change/").text
    assert 'name="text"' not in author.get(f"{page}change/").text
    press(other, f"{version}send_back/", reason="写上尺码")
    assert "写上尺码" in author.get(f"{page}change/").text
    author.post(f"{page}change/", changed | {"text": "{customer}，到货了，都有"})
    press(author, f"{page}submit/")
    assert "王女士，到货了，都有" in other.get(f"{version}change/").text
    press(other, f"{version}approve/")
    draft.refresh_from_db()
    assert (draft.state, draft.text) == (State.APPROVED, "{customer}，到货了，都有")

    press(other, f"{page}revise/")
    second = material.versions.get(number=2)
    other.post(f"{page}change/", changed | {"text": "{customer}，又到货了"})
    press(other, f"{page}submit/")
    compared = author.get(f"{VERSION}{second.pk}/change/").text
    assert "和第 1 版比" in compared and "<ins>又" in compared
    press(author, f"{VERSION}{second.pk}/approve/")
    for act, is_active in (("retire", False), ("revive", True)):
        press(other, f"{page}{act}/")
        material.refresh_from_db()
        assert material.is_active == is_active
    assert "第 2 版" in author.get(PAGE).text


def test_several_pictures_in_one_field_and_their_order(world: World, author: Client) -> None:
    given = [file(f"{n}.jpg", materials.picture(60 + n, 80)) for n in range(4)]
    assert made(author, world, "pictures", files=given).status_code == 302
    material = Material.objects.get()
    draft = material.versions.get()
    rows = list(draft.files.order_by("place"))
    assert [row.width for row in rows] == [60, 61, 62, 63]

    page = f"{PAGE}{material.pk}/change/"
    sent = shown(author.get(page)) | {f"place_{row.pk}": str(4 - n) for n, row in enumerate(rows)}
    more = {f"drop_{rows[1].pk}": "on", "files": [file("x.png", materials.picture(99, 80, format="PNG"))]}
    assert author.post(page, sent | more).status_code == 302
    assert list(draft.files.order_by("place").values_list("width", flat=True)) == [63, 62, 60, 99]

    nine = [file(f"{n}.jpg", materials.picture()) for n in range(6)]
    refused = author.post(page, sent | {"files": nine, "text": "写了一半"})
    assert "最多 9 个文件" in refused.text and "写了一半" in refused.text
    assert draft.files.count() == 4


def test_of_several_files_the_good_ones_stay_and_another_cover_replaces_the_first(
    world: World, author: Client
) -> None:
    given = [file("好.jpg", materials.picture(60, 80)), file("坏.jpg", HTML)]
    answer = made(author, world, "pictures", files=given)
    assert answer.status_code == 302 and "坏.jpg：" in author.get(answer["Location"]).text
    assert Material.objects.get().versions.get().files.get().width == 60
    again = made(author, world, "pictures", name="", files=[file("好.jpg", materials.picture())])
    assert "再选一次" in str(again.context["adminform"].form.errors["files"])

    made(author, world, "link", title="画册", files=[file("a.jpg", materials.picture(60, 80))])
    link = Material.objects.get(kind="link")
    page = f"{PAGE}{link.pk}/change/"
    author.post(page, shown(author.get(page)) | {"files": [file("b.jpg", materials.picture(70, 80))]})
    assert link.versions.get().files.get().width == 70


def test_a_material_takes_nothing_of_another_brand_and_no_grade_that_nobody_has(world: World, author: Client) -> None:
    other = factories.world()
    theirs = {"template": posters.template(other).pk, "stores": other.store.pk, "grades": "没有的"}
    errors = made(author, world, "poster", **theirs).context["adminform"].form.errors
    assert set(errors) == {"template", "stores", "grades"}
    assert not Material.objects.exists()


def test_a_poster_is_shown_as_it_will_be(world: World, author: Client) -> None:
    template = posters.template(world)
    answer = made(author, world, "poster", template=template.pk, files=[file("a.jpg", materials.picture())])
    assert answer.status_code == 302
    version = Material.objects.get().versions.get()
    for page in (answer["Location"], f"{VERSION}{version.pk}/change/"):
        assert 'src="data:image/jpeg;base64,' in author.get(page).text
    typed = author.post(f"{PAGE}preview/", {"brand": world.brand.pk, "kind": "poster", "template": template.pk})
    assert 'src="data:image/jpeg;base64,' in typed.text
    untold = author.post(f"{PAGE}preview/", {"brand": world.brand.pk, "kind": "poster"})
    assert "先选一个海报模板" in untold.text


BAD = {
    "pictures": [
        ("a.svg", SVG),
        ("b.jpg", HTML),
        ("c.jpg", materials.picture()[:300]),
        ("../../d.png", b"GIF89a" + bytes(40)),
        ("e.jpg", b""),
        ("f.png", materials.picture(9000, 9000, format="PNG")),
    ],
    "video": [("a.mp4", materials.MP4[:-2]), ("b.mp4", HTML)],
    "file": [("a.pdf", HTML), ("b.exe", b"MZ"), ("c.docx", b"PK\x03\x04")],
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_is_named_and_what_was_typed_stays(world: World, author: Client, kind: str) -> None:
    for name, data in BAD[kind]:
        answer = made(author, world, kind, text="写好的字", files=[file(name, data)])
        errors = answer.context["adminform"].form.errors
        assert answer.status_code == 200 and set(errors) == {"files"}, name
        assert "写好的字" in answer.text and "../" not in str(errors), name
    assert not Material.objects.exists()


def test_many_at_once_become_drafts_or_say_why_not(world: World, author: Client) -> None:
    good = [(f"{n}.jpg", materials.picture()) for n in range(3)]
    rest = [("v.mp4", materials.MP4), ("p.pdf", materials.PDF), ("../../x.jpg", materials.picture())]
    given = [file(name, data) for name, data in (*good, *rest, *BAD["pictures"][:3])]
    answer = author.post(f"{UPLOAD}add/", {"brand": world.brand.pk, "scene": "daily", "files": given})
    upload = MaterialUpload.objects.get()
    assert answer.status_code == 302 and upload.count == 9
    page = f"{UPLOAD}{upload.pk}/"
    assert "0 / 9 个文件" in author.get(f"{page}change/").text
    uploads.work(upload_id=upload.pk, now=timezone.now)
    assert author.get(f"{page}progress/")["HX-Refresh"] == "true"
    done = author.get(f"{page}change/").text
    assert "6 个成了草稿，3 个没有成" in done and "../" not in done
    assert sorted(Material.objects.values_list("kind", flat=True)) == ["file", *["pictures"] * 4, "video"]
    assert done.count("草稿</small>") == 6
    chosen = {"action": "submit_all", "_selected_action": list(Material.objects.values_list("pk", flat=True))}
    assert "6 个送审了" in author.post(PAGE, chosen, follow=True).text
    for wrong in ({}, {"files": [file("e.jpg", b"")]}):
        assert author.post(f"{UPLOAD}add/", {"brand": world.brand.pk, "scene": "daily"} | wrong).status_code == 200
    assert MaterialUpload.objects.count() == 1 and author.get(UPLOAD).status_code == 200


def test_every_kind_has_an_editor_and_a_preview(world: World, author: Client) -> None:
    for kind in Material.Kind:
        assert author.get(f"{PAGE}add/?kind={kind}").status_code == 200, kind
        more = {"template": posters.template(world).pk} if kind == Material.Kind.POSTER else {}
        answer = made(author, world, kind, name=f"新的{kind}", title="标题", **more)
        assert answer.status_code == 302, (kind, answer.context and answer.context["adminform"].form.errors)
        material = Material.objects.get(kind=kind)
        address = f"{PAGE}preview/?material={material.pk}"
        assert author.get(f"{PAGE}{material.pk}/change/").status_code == 200, kind
        assert author.post(address, {"text": "<b>\x00{clerk}", "price_fen": "x"}).status_code == 200, kind
    assert all(f"新的{kind}" in author.get(PAGE).text for kind in Material.Kind)
    assert "新的text" in author.get(f"{PAGE}?q=xindetext&state=draft").text
    assert author.get(f"{PAGE}add/?kind=nothing").status_code == 200


def test_a_store_manager_only_looks(world: World) -> None:
    materials.material(world, "pictures")
    material = Material.objects.get()
    manager = desk(world, Post.Role.STORE_MANAGER)
    page = manager.get(f"{PAGE}{material.pk}/change/")
    assert page.status_code == 200 and 'type="file"' not in page.text
    assert manager.post(f"{PAGE}preview/").status_code == 403 and manager.get(f"{UPLOAD}add/").status_code == 403
    press(manager, f"{PAGE}{material.pk}/retire/")
    material.refresh_from_db()
    assert material.is_active

    # What is not in force yet is headquarters' own matter.
    drafted = materials.material(world, "text", state="waiting", name="秋冬新品")
    soon = materials.material(world, "text", name="下周一", version={"live_from": timezone.now() + timedelta(days=3)})
    assert not any(one.name in manager.get(PAGE).text for one in (drafted, soon))
    for one in (drafted.versions.get(), soon.versions.get()):
        assert manager.get(f"/admin/materials/materialversion/{one.pk}/change/").status_code == 404
    assert drafted.name in desk(world, Post.Role.AUDITOR).get(PAGE).text


def test_headquarters_see_the_pictures_and_so_does_who_has_no_post(world: World, author: Client) -> None:
    material = materials.material(world, "pictures")
    boss = signing_in.signed_in(factories.user(is_staff=True, is_superuser=True))
    for row in material.versions.get().files.all():
        for client in (author, boss):
            assert client.get(f"/m/materials/files/{row.pk}/")["Content-Type"] == "image/jpeg"
