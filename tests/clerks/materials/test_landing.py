"""The page behind a link: what it shows, to whom it says what, and how little it weighs."""

import io
import re
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from django.conf import settings
from django.test import Client
from django.utils.html import escape
from PIL import Image

from clerks.materials import links, shares
from clerks.materials.models import Material, MaterialVersion, Opening, Visitor
from clerks.models import ContactWay, Shift
from members.models import Member
from retail import scope
from retail.models import Post, Product, StaffAccount
from tests.clerks.materials.linking import PHONE, linked
from tests.factories import LONG_AGO, NOW, corp, number
from tests.figures import figure
from tests.retail.test_hostile_pages import XSS
from tests.wecom_server import ANOTHER, CLERK, CUSTOMER

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("everything")]
MOST_QUERIES, MOST_BYTES = 7, 60_000  # and the look-up of the code, which is counted by nobody


@pytest.fixture(autouse=True)
def _new_process():
    links.forget_all()


def jpeg(width=600, height=800, color="teal"):
    out = io.BytesIO()
    Image.new("RGB", (width, height), color).save(out, "JPEG")
    return out.getvalue()


def browser():
    return Client(headers={"user-agent": PHONE})


def code_of(world):
    """The clerk's own code, as WeCom drew it."""
    way = ContactWay.objects.create(
        name="导购码",
        kind="clerk",
        brand=world.shop.brand,
        store=world.shop.store,
        state_code=f"way{number()}",
        qr_image=b"\x89PNG\r\n\x1a\n" + b"x" * 100,
    )
    Shift.objects.create(way=way, staff=world.clerk)
    return way


def opened():
    return Opening._base_manager.all()


def test_it_shows_what_was_shared_by_whom_and_weighs_little(django_assert_max_num_queries):
    said = {"title": "羊毛大衣", "text": "{customer}，柔软不扎，找{clerk}试穿。", "price_fen": 89900}
    world = linked(files=[{"data": jpeg(), "width": 600, "height": 800}] * 3, **said)
    world.version.material.products.add(world.shop.product)
    world.shop.product.tag_fen = 129900
    world.shop.product.save()
    code_of(world)
    client = browser()
    client.get(world.path)
    links.forget_all()
    with django_assert_max_num_queries(MOST_QUERIES), scope.within(scope.NOTHING):
        page = client.get(f"{world.path}/look")
    html = page.content.decode()
    for words in (
        "羊毛大衣",
        "¥899",
        "¥1,299",
        f"柔软不扎，找{world.clerk.name}试穿。",
        world.shop.store.name,
        "不要记录我",
    ):
        assert words in html, words
    assert "{customer}" not in html and 'og:title" content="羊毛大衣"' in html
    assert f'og:url" content="http://testserver{world.path}"' in html
    assert html.count('loading="lazy"') == 3  # but the first picture
    weight = len(page.content) + sum(
        Path(settings.BASE_DIR, "static", name).stat().st_size
        for name in ("css/look.css", "js/look.js", "img/logo.svg")
    )
    figure("E2", f"landing {weight:,} bytes without pictures, of {MOST_BYTES:,}")
    assert weight <= MOST_BYTES
    assert page["Cache-Control"].startswith("max-age=0") and "'unsafe-inline'" not in page["Content-Security-Policy"]
    for tail in ("1.jpg", "2.jpg", "cover.jpg"):
        picture = client.get(f"{world.path}/{tail}")
        assert (picture.status_code, picture["Content-Type"]) == (200, "image/jpeg") and "public" in picture[
            "Cache-Control"
        ]
    assert client.get(f"{world.path}/code.png")["Content-Type"] == "image/png"
    for tail in ("4.jpg", "1.mp4", "1/file", "99999999999999999999.jpg", "poster.jpg"):
        assert client.get(f"{world.path}/{tail}").status_code == 404, tail


def test_a_card_leads_on_to_its_shop_and_a_look_names_what_is_in_it():
    """A product or a live event may name a page: it is the only way from here to buy. Its code goes along."""
    page = "https://shop.example.com/coat?size=M"
    world = linked(kind="product", url=page)
    to = f"{page}&amp;daogou_share="
    assert f'href="{to}{world.share.code}"' in browser().get(f"{world.path}/look").content.decode()
    live = world.another(kind="live", url=page, live_at=NOW + timedelta(days=1))
    html = browser().get(f"{shares.path(live)}/look").content.decode()
    assert (
        f'href="{to}{live.code}"' in html and "进直播间" in html and "加导购的企业微信" not in html
    )  # who has no code
    look = world.another(kind="pictures", url=page)
    category = world.shop.product.category
    goods = [
        Product.objects.create(brand=world.shop.brand, sku=f"S{place}", name=f"大衣{place}", category=category)
        for place in (1, 2)
    ]
    look.material.products.set(goods)
    html = browser().get(f"{shares.path(look)}/look").content.decode()
    assert to not in html and all(escape(one.name) in html for one in goods)


def test_every_kind_has_its_words():
    world = linked()
    video = b"\x00\x00\x00\x18ftypmp42" + bytes(range(200))
    kinds = {
        "text": ({"text": "早上好\n第二行"}, "早上好<br>第二行"),
        "video": ({}, "<video controls"),
        "file": ({}, "下载"),
        "live": ({"live_at": NOW}, "2026-10-12 14:30"),
        "miniprogram": ({}, "小程序里的内容"),
        "pictures": ({}, "左右滑动看"),
    }
    for kind, (fields, words) in kinds.items():
        files = [{"data": jpeg()}] * 2 if kind == "pictures" else []
        if kind in ("video", "file"):
            files = [{"data": video, "kind": kind, "name": 'a"b\r\nSet-Cookie: x=1;价目表.pdf'}]
        share = world.another(kind=kind, files=files, **fields)
        assert words in browser().get(f"{shares.path(share)}/look").content.decode(), kind
    shown = {share.material.kind: shares.path(share) for share in world.version.material.brand.materials.none()} or {
        share.material.kind: shares.path(share) for share in type(world.share)._base_manager.select_related("material")
    }
    whole = browser().get(f"{shown['video']}/1.mp4")
    part = browser().get(f"{shown['video']}/1.mp4", headers={"range": "bytes=4-9"})
    assert (whole.status_code, whole.content, whole["Accept-Ranges"]) == (200, video, "bytes")
    assert (part.status_code, part.content, part["Content-Range"]) == (206, video[4:10], f"bytes 4-9/{len(video)}")
    for odd in (
        "bytes=-5",
        "bytes=5-",
        "bytes=9-4",
        "bytes=٣-",
        "bytes=",
        "x",
        "bytes=1-2,4-5",
        "bytes=" + "9" * 50 + "-",
    ):
        answer = browser().get(f"{shown['video']}/1.mp4", headers={"range": odd})
        assert answer.status_code in (200, 206) and answer.content in video
    kept = browser().get(f"{shown['file']}/1/file")
    assert kept["Content-Type"] == "application/octet-stream" and kept["Content-Disposition"].startswith("attachment")
    assert "Set-Cookie" not in kept.headers and kept["X-Content-Type-Options"] == "nosniff"


def test_who_comes_by_the_page_itself_has_opened_it_once_in_a_visit():
    world, client = linked(), browser()
    page = client.get(f"{world.path}/look")  # forwarded by its own address
    token = re.search(r'data-token="([^"]+)"', page.content.decode())[1]
    client.get(f"{world.path}/look")
    assert opened().count() == 1
    Opening._base_manager.update(at=opened().get().at - timedelta(minutes=1))
    assert client.post(f"{world.path}/stay", {"token": token, "seconds": "1"}).status_code == 204
    assert client.post(f"{world.path}/stay", {"token": "x", "seconds": "1"}).status_code == 400
    assert client.get(f"{world.path}/stay").status_code == 405


def test_who_objects_is_recorded_no_more():
    world, client = linked(), Client(headers={"user-agent": PHONE}, enforce_csrf_checks=True)
    html = client.get(f"{world.path}/look").content.decode()
    assert client.post(f"{world.path}/forget").status_code == 403
    given = {"csrfmiddlewaretoken": re.search(r'csrfmiddlewaretoken" value="([^"]+)"', html)[1]}
    assert client.post(f"{world.path}/forget", given)["Location"] == f"{world.path}/look"
    assert not client.cookies["daogou_visitor"].value and opened().get().visitor is None
    client.get(world.path)
    html = client.get(f"{world.path}/look").content.decode()
    assert "这个浏览器不会被记录" in html and "data-token" not in html and opened().count() == 1


def test_what_is_over_keeps_the_clerk_and_shows_nothing_else():
    world = linked(valid_until=NOW, text="五折")
    code_of(world)
    html = browser().get(f"{world.path}/look").content.decode()
    assert "已经结束了" in html and world.clerk.name in html and "code.png" in html
    assert "五折" not in html and "data-token" not in html and not opened().exists()


def test_a_clerk_who_left_is_not_on_it():
    world = linked()
    code_of(world)
    Post.objects.filter(staff=world.clerk).update(ends_at=NOW)
    page = browser().get(f"{world.path}/look")
    assert world.clerk.name not in page.content.decode() and world.shop.store.name in page.content.decode()
    assert browser().get(f"{world.path}/code.png").status_code == 404


# ── P25 ──────────────────────────────────────────────────────────────────────────────────────────────────────────────
class _Active(HTMLParser):
    """What of a page runs, or leads somewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.active: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            leads = name in ("href", "src", "action", "formaction", "data", "srcdoc", "http-equiv")
            is_ours = (value or "").startswith(("/s/", "/static/"))
            if name.startswith("on") or name == "style" or (leads and not is_ours):
                self.active.append(f"{tag} {name}={value}")


def test_no_name_or_text_becomes_part_of_the_page():
    # A draft, so that its words can be others each time.
    world = linked(kind="live", state="draft", files=[{"data": jpeg()}, {"data": b"x", "kind": "file"}])
    media = world.version.files.get(place=2).media
    world.version.material.products.add(world.shop.product)
    code_of(world)
    fields = [
        *((row, name) for row, name in ((world.version, "title"), (world.version, "text"), (world.version, "url"))),
        *((row, "name") for row in (world.version.material, world.clerk, world.shop.store, world.shop.brand)),
        *((row, "name") for row in (world.shop.product, media)),
    ]
    plain = _read(browser().get(f"{world.path}/look"))
    for payload in XSS:
        for row, name in fields:
            setattr(row, name, payload)
            row.save()
        page = browser().get(f"{world.path}/look")
        read = _read(page)
        assert (set(read.tags) - {"br"}, read.active) == (set(plain.tags) - {"br"}, []), payload
        assert page.content.decode().count(escape(payload)) >= len(fields) - 1, (
            "each of them is on the page; the address is not"
        )
        policy = page["Content-Security-Policy"]
        assert "script-src 'self';" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
    figure("P25", f"landing {len(fields)} fields × {len(XSS)} payloads: 0 run")


def _read(page):
    read = _Active()
    read.feed(page.content.decode())
    return read


# ── WeCom says who ───────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def wecom(settings):
    with corp.running(settings) as running:
        settings.WECOM_OAUTH_URL = running.server.url
        yield running


def at_wecom(page, who):
    """Where WeCom's page sends the browser that `page` has sent there: as this person."""
    there = page["Location"]
    assert urlsplit(there).path == "/connect/oauth2/authorize" and "snsapi_base" in there
    answer = requests.get(there.partition("#")[0], params={"as": who}, allow_redirects=False, timeout=5)
    back = urlsplit(answer.headers["Location"])
    return back.path, {name: value for name, (value,) in parse_qs(back.query).items()}


def shared_in(wecom):
    staff = wecom.staff(CLERK)
    world = linked()
    version, shop = world.version, wecom.shop
    Material.objects.filter(pk=version.material_id).update(brand=shop.brand)
    version = MaterialVersion.objects.select_related("material").get(pk=version.pk)
    return shares.make(post=staff.posts.get(store=shop.store), version=version, via="chat", now=LONG_AGO)


def test_a_friend_is_known_by_one_detour_and_what_they_opened_is_theirs(wecom):
    wecom.act("add", userid=CLERK, external_userid=CUSTOMER)
    wecom.happen()
    share, client = shared_in(wecom), browser()
    path = shares.path(share)
    assert client.get(path).status_code == 302
    back = at_wecom(client.get(f"{path}/look"), CUSTOMER)
    assert CUSTOMER not in str(back)
    response = client.get(*back)
    assert response["Location"] == f"{path}/look" and "sessionid" not in {
        n for n, c in client.cookies.items() if c.value
    }
    member = Visitor.objects.get().member
    assert member is not None and opened().get().member == member
    assert client.get(f"{path}/look").status_code == 200 and opened().count() == 1
    wecom.work()
    assert client.get(path).status_code == 302 and set(opened().values_list("member", flat=True)) == {member.pk}
    # The way back is good once, and leads nowhere else.
    assert client.get(back[0], {**back[1], "next": "//evil.example"})["Location"] == f"{path}/look"
    assert client.get("/s/AAAAAAAAAAAA/back", back[1]).status_code == 404


def test_whoever_is_not_known_by_it_sees_the_page(wecom, settings):
    share = shared_in(wecom)
    path = shares.path(share)
    for ways in ({"who": ANOTHER}, {"code": "x"}, {"state": "x"}, {"code": ""}, {"down": True}):
        client = browser()
        client.get(path)
        back, query = at_wecom(client.get(f"{path}/look"), ways.get("who", ANOTHER))
        query |= {name: value for name, value in ways.items() if name in query}
        if "down" in ways:
            settings.WECOM_API_URL = "http://127.0.0.1:9"
        assert client.get(back, query)["Location"] == f"{path}/look", ways
        assert client.get(f"{path}/look").status_code == 200, ways  # and is not sent away again that day
    assert opened().count() == 5 and not Visitor.objects.exists()


def test_a_colleague_is_known_by_it_and_counts_for_nobody(wecom):
    share, client = shared_in(wecom), browser()
    client.get(shares.path(share))
    client.get(*at_wecom(client.get(f"{shares.path(share)}/look"), CLERK))
    assert Visitor.objects.get().staff == StaffAccount.objects.get(userid=CLERK).staff and not opened().exists()


def test_only_a_browser_that_keeps_cookies_in_wechat_is_sent_there(wecom):
    share = shared_in(wecom)
    desk = Client(headers={"user-agent": "Mozilla/5.0 (Windows NT 10.0) Chrome/130.0 Safari/537.36"})
    desk.get(shares.path(share))
    for client in (desk, browser()):
        assert client.get(f"{shares.path(share)}/look").status_code == 200
    known = browser()
    known.get(shares.path(share))
    visitor = known.cookies["daogou_visitor"].value
    Visitor.objects.create(key=visitor, member=Member.objects.create(name="王", created_at=NOW), known_at=NOW)
    assert known.get(f"{shares.path(share)}/look").status_code == 200
