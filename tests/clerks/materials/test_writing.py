"""How a version comes to be: written, put before somebody else, approved, and never changed again."""

import io
import zipfile
import zlib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from clerks.materials import checks, documents, files, library, uploads, writing
from clerks.materials.models import Material, MaterialFile, MaterialUpload, MaterialVersion, UploadedFile
from clerks.materials.pictures import Unfit
from retail.demo.materials import FILM
from retail.jobs import Job
from retail.models import User
from retail.wecom.models import Media
from tests import factories
from tests.factories import NOW, World
from tests.factories.materials import MP4, PDF, picture, template

DAY = timedelta(days=1)
Kind = Material.Kind


@pytest.fixture
def people(everything: None) -> list[User]:
    """Who writes, who looks at it, and who lends a hand."""
    return [factories.user() for _person in range(3)]


@pytest.fixture
def begun(shop: World, people: list[User]) -> Callable[..., MaterialVersion]:
    def begin(kind: str = "text", *, file: tuple[str, bytes] | None = None, **content: Any) -> MaterialVersion:
        fields = {"template": template(shop)} if kind == "poster" else {}
        made = Material.objects.create(
            brand=shop.brand, kind=kind, name=f"素材{factories.number()}", made_at=NOW, **fields
        )
        draft = writing.begin(material=made, by=people[0], now=NOW, content=content)
        if file is not None:
            put(draft, *file, by=people[0])
        return draft

    return begin


def put(draft: MaterialVersion, name: str, data: bytes, *, by: User | None) -> MaterialFile:
    looked = files.look(kind=draft.material.kind, name=name, data=data)
    return writing.add_file(version=draft, file=looked, by=by, now=NOW)


def state(version: MaterialVersion) -> str:
    return MaterialVersion.objects.get(pk=version.pk).state


def live(material: Material, now: datetime = NOW) -> int | None:
    return library.live(now=now).filter(material=material).values_list("number", flat=True).first()


# ── States ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_from_the_first_word_to_the_next_version(begun, people) -> None:
    writer, other, helper = people
    draft = begun(text="新款到了", live_from=NOW + DAY)
    with pytest.raises(writing.Refused):
        writing.approve(version=draft, by=other, now=NOW)  # nobody has put it before them
    writing.submit(version=draft, by=writer, now=NOW)
    for step in (writing.submit, lambda **given: writing.change(content={"text": "x"}, **given)):
        with pytest.raises(writing.Refused, match="先撤回再改"):
            step(version=draft, by=writer, now=NOW)
    writing.withdraw(version=draft, by=writer, now=NOW)
    writing.submit(version=draft, by=writer, now=NOW)
    with pytest.raises(writing.Refused, match="退回的原因"):
        writing.send_back(version=draft, by=other, now=NOW, reason=" ")
    writing.send_back(version=draft, by=other, now=NOW, reason="错字")
    assert state(draft) == "returned"
    writing.change(version=draft, by=writer, now=NOW, content={"text": "新款到店了"})
    assert state(draft) == "draft" and MaterialVersion.objects.get().reason == "错字"
    writing.submit(version=draft, by=helper, now=NOW)  # who puts it forward has written none of it
    writing.approve(version=draft, by=other, now=NOW)
    assert live(draft.material) is None and live(draft.material, NOW + DAY) == 1
    for again in (writing.approve, writing.withdraw):
        with pytest.raises(writing.Refused, match="不在等审核"):
            again(version=draft, by=other, now=NOW)
    second = writing.revise(material=draft.material, by=other, now=NOW)
    assert (second.number, second.text, second.live_from) == (2, "新款到店了", None)
    with pytest.raises(writing.Refused, match="没审完的版本"):
        writing.revise(material=draft.material, by=writer, now=NOW)
    writing.submit(version=second, by=other, now=NOW)
    assert live(draft.material, NOW + DAY) == 1
    writing.approve(version=second, by=writer, now=NOW)
    assert live(draft.material) == 2 and state(draft) == "approved"


def test_who_had_a_hand_in_it_cannot_approve_it(begun, people) -> None:
    writer, other, helper = people
    draft = begun("pictures", file=("1.png", picture(format="PNG")))
    mine = put(draft, "2.jpg", picture(), by=helper)
    first = draft.files.order_by("place").first()
    writing.keep_files(version=draft, ids=[mine.pk, first.pk], by=helper, now=NOW)
    assert list(draft.files.order_by("place").values_list("pk", flat=True)) == [mine.pk, first.pk]
    writing.submit(version=draft, by=writer, now=NOW)
    for own in (writer, helper):
        with pytest.raises(writing.Refused, match="请别人审核"):
            writing.approve(version=draft, by=own, now=NOW)
    with pytest.raises(writing.Refused, match="撤回"):
        writing.send_back(version=draft, by=writer, now=NOW, reason="x")
    with pytest.raises(IntegrityError), transaction.atomic():  # nor does the database let them
        MaterialVersion.objects.update(decided_by=writer)
    writing.approve(version=draft, by=other, now=NOW)
    # Its files go with the next version; the older one keeps its own.
    second = writing.revise(material=draft.material, by=other, now=NOW)
    writing.keep_files(version=second, ids=[second.files.first().pk], by=other, now=NOW)
    assert (draft.files.count(), second.files.count()) == (2, 1)


def test_what_was_approved_stays_whatever_is_tried(begun, people) -> None:
    draft = begun("pictures", file=("1.jpg", picture()), text="搭配")
    writing.submit(version=draft, by=people[0], now=NOW)
    writing.approve(version=draft, by=people[1], now=NOW)
    with pytest.raises(writing.Refused, match="请改版"):
        writing.change(version=draft, by=people[0], now=NOW, content={"text": "别的"})
    with pytest.raises(writing.Refused, match="请改版"):
        put(draft, "2.jpg", picture(), by=people[0])
    for tried in (
        "UPDATE materials_materialversion SET text = 'x'",
        "UPDATE materials_materialversion SET state = 'draft'",
        "DELETE FROM materials_materialversion",
        "TRUNCATE materials_materialversion CASCADE",
        "UPDATE materials_materialfile SET place = 7",
        "DELETE FROM materials_materialfile",
        "TRUNCATE materials_materialfile",
        "INSERT INTO materials_materialfile (version_id, place, media_id, small)"
        " SELECT version_id, 9, media_id, '' FROM materials_materialfile",
    ):
        with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SET CONSTRAINTS ALL IMMEDIATE; {tried}")
    assert draft.files.count() == 1 and MaterialVersion.objects.get().text == "搭配"


# ── What a version has to have ───────────────────────────────────────────────────────────────────────────────────────
MISSING = {
    "text": {"text"},
    "pictures": {"files"},
    "link": {"title", "url"},
    "video": {"files"},
    "file": {"files"},
    "miniprogram": {"title", "appid", "page", "files"},
    "product": {"products"},
    "live": {"title", "live_at"},
    "poster": {"template"},
}


@pytest.mark.parametrize("kind", MISSING)
def test_all_that_is_missing_is_named_at_once(kind: str, begun, material, people) -> None:
    draft = begun(kind)
    if kind == "poster":
        draft.material.template.is_active = False
        draft.material.template.save()
    found = checks.problems(draft, now=NOW)
    assert set(found) == MISSING[kind]
    with pytest.raises(writing.Refused) as refused:
        writing.submit(version=draft, by=people[0], now=NOW)
    assert all(said in str(refused.value) for said in found.values())
    whole = material(kind, state="draft").versions.get()
    assert checks.problems(whole, now=NOW) == {}


def test_what_is_said_is_judged(begun, shop) -> None:
    def faults(kind: str, **said: Any) -> set[str]:
        draft = begun(kind, title="标题", url="https://shop.example.com/", **said)
        return {field for field in checks.problems(draft, now=NOW) if field not in ("files", "products")}

    assert faults("live", live_at=NOW) == {"live_at"} and faults("live", live_at=NOW + DAY) == set()
    for bad in ("wx1", "WX0123456789abcdef", "wx0123456789abcdeg", "wx0123456789abcdef\n"):
        assert faults("miniprogram", appid=bad, page="pages/index?id=3") == {"appid"}, bad
    for bad in ("", "https://evil.example", "pages/a b", "pages/a#b", "javascript:x", "pages/a?b=<c>"):
        assert faults("miniprogram", appid="wx0123456789abcdef", page=bad) == {"page"}, bad
    # 4 000 bytes of UTF-8, measured with the longest name that may come to stand there.
    assert faults("text", text="衣" * 1333 + "a") == set() and faults("text", text="衣" * 1334) == {"text"}
    assert faults("text", text="😀" * 1000) == set() and faults("text", text="😀" * 1001) == {"text"}
    room = (4000 - len(shop.store.name.encode())) * "a"
    assert faults("text", text="{store}" + room) == set() and faults("text", text="{store}a" + room) == {"text"}
    assert faults("link", text="衣" * 170) == set() and faults("link", text="衣" * 171) == {"text"}
    strange = checks.problems(begun("text", text="{customer}{clerk}{store}{product}{coupon}{客户}{phone}"), now=NOW)
    assert "{客户}、{phone}" in strange["text"] and "{coupon}" in strange["text"]
    assert set(checks.problems(begun("link", title="{x}", url="https://shop.example.com"), now=NOW)) == {"title"}


PAGES = [
    *("https://shop.example.com", "https://shop.example.com:443/a?b=1#c", "https://商店.example.com/新款"),
    "https://a.b-c.example.com.cn/" + "x" * 400,
]
NO_PAGES = [
    *("", " ", "http://shop.example.com/", "//shop.example.com/", "shop.example.com", "ftp://shop.example.com/"),
    *("javascript:alert(7)", "data:text/html,x", "https:shop.example.com", "https:///a", "https://", "https://["),
    *("https://me@shop.example.com/", "https://me:word@shop.example.com/", "https://shop.example.com@evil.example/"),
    *(
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://127.1/",
        "https://0/",
    ),
    *("https://10.0.0.1/", "https://169.254.169.254/latest", "https://[::ffff:10.0.0.1]/", "https://127.0.0.1./"),
    *(
        "https://１２７.0.0.1/",
        "https://127。0。0。1/",
        "https://localhost/",
        "https://localhost./",
        "https://a.localhost/",
    ),
    *("https://metadata.google.internal/", "https://printer.local/", "https://crm/", "https://crm.lan/"),
    *(
        "https://shop.example.com:8443/",
        "https://shop.example.com:x/",
        "https://shop_.example.com/",
        "https://-a.com/",
    ),
    *("https://shop.example.com/a b", "https://shop.example.com/\n", "https://shop.example.com\\@evil.example/"),
    *('https://shop.example.com/"', "https://shop.example.com/<script>", "https://shop.example.com/\x00"),
    "https://shop.example.com/" + "x" * 500,
]


def test_addresses_are_public_pages_by_https() -> None:
    assert [url for url in PAGES if checks.url_fault(url)] == []
    assert [url for url in NO_PAGES if not checks.url_fault(url)] == []


# ── Videos and documents ─────────────────────────────────────────────────────────────────────────────────────────────
MAIN = {"docx": "word/document.xml", "xlsx": "xl/workbook.xml", "pptx": "ppt/presentation.xml"}


def office(ending: str = "docx", *, told: bytes = b"<Types/>", **parts: bytes) -> bytes:
    """A document of Word, Excel or PowerPoint with these parts more; in a name `__` is a slash, `_` a dot."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("[Content_Types].xml", told)
        packed.writestr(MAIN[ending], b"<document/>")
        for name, data in parts.items():
            packed.writestr(name.replace("__", "/").replace("_", "."), data)
    return out.getvalue()


def _size(count: int) -> bytes:
    return count.to_bytes(4, "little")


def pdf(*objects: bytes) -> bytes:
    return PDF.replace(b"trailer", b"".join(objects) + b"trailer")


def stream(head: bytes, data: bytes) -> bytes:
    return b"2 0 obj\n<< " + head + b" >>\nstream\n" + data + b"\nendstream\nendobj\n"


REAL = [
    *(
        ("价目表.pdf", PDF),
        ("a.docx", office()),
        ("a.XLSX", office("xlsx")),
        ("a.pptx", office("pptx", ppt__media__1_png=b"x")),
    ),
    ("a.pdf", pdf(stream(b"/Length 9", b"\x00/JS \xff/A"))),  # three letters in a picture are no script
]
UNFIT = {
    "html": ("a.pdf", b"<html><script>alert(7)</script>%%EOF"),
    "a picture": ("a.pdf", picture()),
    "half": ("a.pdf", PDF[:-20]),
    "html behind": ("a.pdf", PDF + b"<script>alert(7)</script>"),
    "script": ("a.pdf", pdf(b"<< /S /JavaScript >>")),
    "script, otherwise spelt": ("a.pdf", pdf(b"<< /S /Java#53cript >>")),
    "short": ("a.pdf", pdf(b"<< /JS (app.alert(7)) >>")),
    "launch": ("a.pdf", pdf(b"<< /S /Launch /F (cmd.exe) >>")),
    "a file within": ("a.pdf", pdf(b"<< /EmbeddedFiles 3 0 R >>")),
    "script, packed": ("a.pdf", pdf(stream(b"/Type /ObjStm", zlib.compress(b"<< /S /JavaScript >>")))),
    "a bomb, packed": ("a.pdf", pdf(stream(b"/Type /ObjStm", zlib.compress(b" " * 21_000_000)))),
    "locked": ("a.pdf", pdf(b"<< /Encrypt 9 0 R >>")),
    "macro": ("a.docx", office(word__vbaProject_bin=b"x")),
    "macro, by its type": (
        "a.docx",
        office(told=b"<Types>application/vnd.ms-word.document.macroEnabled.main+xml</Types>"),
    ),
    "control": ("a.xlsx", office("xlsx", xl__activeX__activeX1_xml=b"x")),
    "elsewhere": ("a.xlsx", office("xlsx", xl__externalLinks__externalLink1_xml=b"x")),
    "a program": ("a.pptx", office("pptx", ppt__run_exe=b"MZ")),
    "a page": ("a.docx", office(word__a_html=b"<script>")),
    "a bomb": ("a.docx", office(word__a_xml=b"\x00" * 7_777).replace(_size(7_777), _size(210_000_000))),
    "many parts": ("a.docx", office(**{f"p{place}": b"" for place in range(5_001)})),
    "out of its folder": ("a.docx", office(__etc__passwd=b"x")),
    "another kind": ("a.docx", office("xlsx")),
    "a picture before": ("a.docx", picture() + office()),
    "a zip": ("a.docx", b"PK\x05\x06" + b"\x00" * 18),
    "half a zip": ("a.docx", office()[:-30]),
    "macro by name": ("a.docm", office()),
    "old word": ("a.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
    "program": ("a.exe", b"MZ"),
    "no ending": ("pdf", PDF),
    "two endings": ("a.pdf.html", PDF),
}


def test_documents_are_what_their_name_says_and_nothing_in_them_runs() -> None:
    for name, data in REAL:
        documents.check_document(name, data)
    taken = []
    for what, (name, data) in UNFIT.items():
        try:
            documents.check_document(name, data)
        except Unfit:
            continue
        taken.append(what)
    assert taken == []
    with pytest.raises(Unfit, match="20 MB"):
        documents.check_document("a.pdf", b"x" * (20 * 1024 * 1024 + 1))


def test_a_video_is_a_whole_mp4_and_names_are_shown_plainly() -> None:
    documents.check_video(MP4)
    documents.check_video(FILM.read_bytes())
    box = b"\x00\x00\x00\x08free"
    for bad in (
        b"",
        MP4[:-1],
        MP4[4:],
        MP4 + b"<script>",
        MP4.replace(b"moov", b"free"),
        box + MP4,
        picture(),
        b"\x00" * 64,
    ):
        with pytest.raises(Unfit, match="MP4"):
            documents.check_video(bad)
    with pytest.raises(Unfit, match="10 MB"):
        documents.check_video(MP4 + b"\x00" * (10 * 1024 * 1024))
    shown = {
        "../../etc/价目表.PDF": "价目表.pdf",
        "C:\\Temp\\a.docx": "a.docx",
        'a"b\r\n<x>:c?.pdf': "a b x c.pdf",
        "gpj.\u202eexe\u200b.pdf": "gpj.exe.pdf",
        "": "文件",
        "很" * 200 + ".pdf": "很" * 96 + ".pdf",
    }
    assert {name: documents.display_name(name) for name in shown} == shown


# ── Many at once ─────────────────────────────────────────────────────────────────────────────────────────────────────
def given(name: str, data: bytes) -> uploads.Given:
    return uploads.Given(name, len(data), lambda: data)


def test_each_file_of_a_batch_becomes_a_draft_or_says_why_not(shop, people) -> None:
    huge = uploads.Given("太大.pdf", uploads.MOST_EACH + 1, lambda: pytest.fail("it is not read"))
    rows = [given("../秋.png", picture(format="PNG")), given("坏.jpg", b"GIF89a"), given("试穿.mp4", MP4), huge]
    rows += [given("表.pdf", PDF), given("宏.docx", office(word__vbaProject_bin=b"x"))]
    batch = {"brand": shop.brand, "category": None, "scene": "new", "by": people[0], "now": NOW}
    upload = uploads.give_in(given=rows, **batch)
    assert (upload.count, UploadedFile.objects.count(), Job.objects.filter(kind=uploads.JOB).count()) == (6, 5, 1)
    for _time in range(2):  # run again, it has nothing left to do
        uploads.work(upload_id=upload.pk, now=lambda: NOW)
    upload.refresh_from_db()
    said = {row["name"]: row.get("error", "") for row in upload.outcomes}
    assert [name for name in said if not said[name]] == ["秋.png", "试穿.mp4", "表.pdf"] and upload.ended_at == NOW
    assert "20 MB" in said["太大.pdf"] and "图片" in said["坏.jpg"] and "宏" in said["宏.docx"]
    drafts = {row.name: (row.kind, row.scene, state(row.versions.get())) for row in Material.objects.all()}
    assert drafts == {
        name: (kind, "new", "draft") for name, kind in (("秋", "pictures"), ("试穿", "video"), ("表", "file"))
    }
    assert not UploadedFile.objects.exists() and MaterialFile.objects.count() == 3
    (drawn,) = Media.objects.filter(kind="image")
    assert "秋" not in drawn.name and drawn.name.endswith(".jpg")
    for wrong in ([], rows * 11, [uploads.Given("a", 90 * 1024 * 1024, bytes)] * 2):
        with pytest.raises(Unfit):
            uploads.give_in(given=wrong, **batch)
    assert MaterialUpload.objects.count() == 1


# ── What WeCom is to hold ────────────────────────────────────────────────────────────────────────────────────────────
def test_wecom_is_given_what_clerks_send_and_nothing_else(begun, people) -> None:
    """Not before it is approved, from a day before its hour, and until it is over or switched off."""

    def held() -> bool:
        return Media.objects.get().is_active

    uploading = Job.objects.filter(kind="wecom_media")
    draft = begun("pictures", file=("1.jpg", picture()), live_from=NOW + 3 * DAY)
    thing = draft.material
    files.follow(now=NOW)
    assert not held() and not uploading.exists()
    writing.submit(version=draft, by=people[0], now=NOW)
    writing.approve(version=draft, by=people[1], now=NOW)
    assert not held()
    assert files.follow(now=NOW + 2 * DAY) == 1 and held() and uploading.count() == 1
    assert files.follow(now=NOW + 2 * DAY) == 0
    writing.switch(material=thing, is_active=False, by=people[0], now=NOW + 3 * DAY)
    assert not held()
    writing.switch(material=thing, is_active=True, by=people[0], now=NOW + 3 * DAY)
    assert held()
    Material.objects.update(valid_until=NOW + 4 * DAY)
    files.follow(now=NOW + 4 * DAY)
    assert not held()
