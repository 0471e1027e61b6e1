"""The desk's pages of outreach: a code is made, a welcome is written and seen as the customer will see it."""

import re

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from clerks.models import ContactWay, SyncRun, Welcome
from clerks.outreach import codes
from retail.audit import AuditRow
from retail.desk import roles
from retail.models import Post, Staff
from retail.wecom.models import Media
from tests import factories, signing_in
from tests.factories.corp import CUSTOMER, LI, Corp
from tests.wecom_server import CORP

SHIFTS, PARTS = "shifts", "parts"


def forms(name: str, *rows: dict[str, object]) -> dict[str, object]:
    head = {f"{name}-TOTAL_FORMS": len(rows), f"{name}-INITIAL_FORMS": 0}
    return head | {f"{name}-{place}-{field}": value for place, row in enumerate(rows) for field, value in row.items()}


@pytest.fixture
def desk(wecom_corp: Corp) -> Client:
    staff = wecom_corp.shop.hire("ops", role=Post.Role.HQ_OPS)
    staff.user = factories.user()
    staff.save()
    roles.grant(user=staff.user, role=Post.Role.HQ_OPS)
    staff.user.refresh_from_db()
    return signing_in.signed_in(staff.user, post=staff.posts.get())


def test_a_code_made_at_the_desk_is_made_in_wecom(wecom_corp: Corp, desk: Client) -> None:
    shop = wecom_corp.shop
    given = {"name": "门口", "kind": "store", "brand": shop.brand.pk, "store": shop.store.pk, "skip_verify": "on"}
    shift = {"staff": wecom_corp.staff(LI).pk, "weekdays": ["7", *"123456"]}
    answer = desk.post("/admin/clerks/contactway/add/", {**given, "is_active": "on", **forms(SHIFTS, shift)})
    assert answer.status_code == 302, answer.context["errors"]
    wecom_corp.work()
    way = ContactWay.objects.get()
    assert way.applied == [LI]
    wecom_corp.act("scan", state=way.state_code, external_userid=CUSTOMER)
    wecom_corp.happen()
    page = desk.get(f"/admin/clerks/contactway/{way.pk}/change/").text
    assert way.shifts.get().weekdays == "1234567"
    assert f"员工{LI}" in page and page.count("checked") >= 7
    (address,) = set(re.findall(r'src="([^"]+/code\.png)"', page))
    picture = desk.get(address)
    assert picture["Content-Type"] == "image/png" and picture.content.startswith(b"\x89PNG")
    assert f'download="{way.name}.png"' in page
    wecom_corp.server.control.fault("*", kind="cut", times=99)
    assert desk.get(address).content == picture.content  # from here, once it was fetched
    assert "门口" in desk.get("/admin/clerks/contactway/").text


def test_a_welcome_is_shown_as_the_customer_will_see_it(wecom_corp: Corp, desk: Client) -> None:
    shop = wecom_corp.shop
    given = {"name": "通用", "brand": shop.brand.pk, "text": "我是{store}的{clerk}", "is_active": "on"}
    part = {"kind": "link", "title": "上新<b>", "url": "https://example.test/"}
    answer = desk.post("/admin/clerks/welcome/add/", {**given, **forms(PARTS, part)})
    assert answer.status_code == 302, answer.context["errors"]
    page = desk.get(f"/admin/clerks/welcome/{Welcome.objects.get().pk}/change/").text
    assert f"我是{shop.store.name}的员工" in page
    assert "上新&lt;b&gt;" in page and "上新<b>" not in page


def test_a_link_without_an_address_is_refused(wecom_corp: Corp, desk: Client) -> None:
    given = {"name": "通用", "brand": wecom_corp.shop.brand.pk, "text": "您好", "is_active": "on"}
    answer = desk.post("/admin/clerks/welcome/add/", {**given, **forms(PARTS, {"kind": "link", "title": "上新"})})
    assert answer.status_code == 200 and not Welcome.objects.exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("您好，我是{clerk}，{nickname}", "不认识 {nickname}"),
        ("您好 {}", "不认识 {}"),
        ("😀" * 1001, "太长了"),
        ("好" * 1330 + "{store}{clerk}", "太长了"),  # short enough before the names are filled in
        ("好" * 1333, ""),
    ],
)
def test_a_text_is_measured_as_wecom_does(wecom_corp: Corp, desk: Client, text: str, said: str) -> None:
    Staff.objects.filter(pk=wecom_corp.staff(LI).pk).update(name="欧阳" * 8)
    given = {"name": "通用", "brand": wecom_corp.shop.brand.pk, "text": text, "is_active": "on"}
    answer = desk.post("/admin/clerks/welcome/add/", {**given, **forms(PARTS)})
    assert (answer.status_code, Welcome.objects.count()) == ((200, 0) if said else (302, 1))
    assert said in answer.content.decode()


def test_a_card_with_too_long_a_title_or_the_wrong_file_is_refused(wecom_corp: Corp, desk: Client) -> None:
    file = Media.objects.create(corp_id=CORP, kind="file", name="a.pdf", size=9, made_at=timezone.now())
    given = {"name": "通用", "brand": wecom_corp.shop.brand.pk, "text": "您好", "is_active": "on"}
    card = {"kind": "miniprogram", "title": "小" * 22, "appid": "wx1", "page": "p", "media": file.pk}
    answer = desk.post("/admin/clerks/welcome/add/", {**given, **forms(PARTS, card)})
    page = answer.content.decode()
    assert not Welcome.objects.exists()
    assert "最多 64 字节" in page and "不是图片" in page


def test_a_file_is_put_in_at_the_desk_and_given_to_wecom(wecom_corp: Corp, desk: Client) -> None:
    page = "/admin/wecom/media/add/"
    picture = SimpleUploadedFile("海报.png", b"\x89PNG\r\n\x1a\n" + bytes(2 * 1024 * 1024))  # more than other forms
    assert desk.post(page, {"corp_id": CORP, "kind": "image", "file": picture}).status_code == 302
    wecom_corp.work()
    file = Media.objects.get()
    assert file.media_id and (file.name, file.corp_id) == ("海报.png", CORP)
    assert "可以用" in desk.get("/admin/wecom/media/").content.decode()
    wrong = SimpleUploadedFile("海报.png", b"GIF89a....")
    answer = desk.post(page, {"corp_id": CORP, "kind": "image", "file": wrong})
    assert "图片要 JPG 或 PNG" in answer.content.decode() and Media.objects.count() == 1
    assert desk.post(f"/admin/wecom/media/{file.pk}/change/", {}).status_code == 302
    file.refresh_from_db()
    assert not file.is_active


@pytest.mark.parametrize(
    "page", ["friend", "groupchat", "greeting", "touch", "notice", "corptag", "department", "syncrun"]
)
def test_what_wecom_told_is_only_looked_at(wecom_corp: Corp, desk: Client, page: str) -> None:
    wecom_corp.act("add", userid=LI, external_userid=CUSTOMER)
    wecom_corp.happen()
    assert desk.get(f"/admin/clerks/{page}/").status_code == 200
    assert desk.get(f"/admin/clerks/{page}/add/").status_code == 403


@pytest.mark.parametrize("days", [[], ["8"], ["1", "x"]])
def test_a_shift_without_a_day_is_refused(wecom_corp: Corp, desk: Client, days: list[str]) -> None:
    shop = wecom_corp.shop
    given = {"name": "门口", "kind": "store", "brand": shop.brand.pk, "store": shop.store.pk, "is_active": "on"}
    shift = {"staff": wecom_corp.staff(LI).pk, "weekdays": days}
    assert desk.post("/admin/clerks/contactway/add/", {**given, **forms(SHIFTS, shift)}).status_code == 200
    assert not ContactWay.objects.exists()


@pytest.mark.parametrize(
    "address", ["http://elsewhere.example/a.png", "http://127.0.0.1:1/a.png", "file:///etc/passwd", ""]
)
def test_no_picture_is_fetched_from_elsewhere(wecom_corp: Corp, desk: Client, address: str) -> None:
    way = ContactWay(name="门口", kind="store", brand=wecom_corp.shop.brand, store=wecom_corp.shop.store)
    codes.save(way=way, by=None, now=timezone.now())
    ContactWay.objects.update(qr_code=address)
    assert desk.get(f"/admin/clerks/contactway/{way.pk}/code.png").status_code == 404


def test_a_welcome_is_seen_before_it_is_saved(wecom_corp: Corp, desk: Client) -> None:
    shop = wecom_corp.shop
    given = {"brand": shop.brand.pk, "store": shop.store.pk, "text": "欢迎来{store}，我是{clerk}<script>"}
    parts = [{"kind": "link", "title": "上新", "url": "https://example.test/"}, {"kind": "image", "DELETE": "on",
             "picture_url": "https://example.test/gone.png"}]  # fmt: skip
    shown = desk.post("/admin/clerks/welcome/preview/", {**given, **forms(PARTS, *parts)}).text
    assert f"欢迎来{shop.store.name}，我是员工" in shown and "上新" in shown
    assert "gone.png" not in shown and "<script>" not in shown
    assert desk.post("/admin/clerks/welcome/preview/", {"brand": "x", "store": "9" * 30}).status_code == 200
    assert not Welcome.objects.exists()
    page = desk.get("/admin/clerks/welcome/add/").text
    assert 'data-address="/admin/clerks/welcome/preview/"' in page and "js/preview" in page


# ── Compare now ──────────────────────────────────────────────────────────────────────────────────────────────────────
NOW = "/admin/clerks/syncrun/sync_now/"
SENT = {"_form_submitted": "True"}


def test_headquarters_compares_now_and_that_is_written_down(wecom_corp: Corp, desk: Client) -> None:
    wecom_corp.act("add", userid=LI, external_userid=CUSTOMER)
    assert "sync_now" in desk.get("/admin/clerks/syncrun/").text
    assert wecom_corp.app.corp_id in desk.get(NOW).text

    answer = desk.post(NOW, {"corp": wecom_corp.app.corp_id, **SENT})

    assert answer["HX-Refresh"] == "true"
    wecom_corp.work()
    run = SyncRun.objects.get()
    assert (run.state, run.found, run.is_forced) == ("done", 1, False)
    assert AuditRow.objects.get(action="wecom_sync.start").by == run_by(desk)
    page = desk.get("/admin/clerks/syncrun/").text
    assert "首次核对" in page and "100%" not in page
    desk.post(NOW, {"corp": wecom_corp.app.corp_id, **SENT})
    wecom_corp.work()
    assert "0%" in desk.get("/admin/clerks/syncrun/").text


def run_by(desk: Client) -> object:
    return desk.get("/admin/clerks/syncrun/").context["user"]


def test_past_the_brake_takes_a_reason(wecom_corp: Corp, desk: Client) -> None:
    given = {"corp": wecom_corp.app.corp_id, "is_forced": "on", **SENT}
    assert "不刹车要写原因" in desk.post(NOW, given).text
    assert not SyncRun.objects.exists()
    desk.post(NOW, {**given, "reason": "门店真的关了"})
    assert SyncRun.objects.get().is_forced
    assert AuditRow.objects.get(action="wecom_sync.start").reason == "门店真的关了"


def test_only_headquarters_operators_compare(wecom_corp: Corp) -> None:
    staff = wecom_corp.shop.hire("auditor", role=Post.Role.AUDITOR)
    staff.user = factories.user()
    staff.save()
    roles.grant(user=staff.user, role=Post.Role.AUDITOR)
    staff.user.refresh_from_db()
    client = signing_in.signed_in(staff.user, post=staff.posts.get())
    assert client.post(NOW, {"corp": wecom_corp.app.corp_id, **SENT}).status_code == 403
    assert "sync_now" not in client.get("/admin/clerks/syncrun/").text
