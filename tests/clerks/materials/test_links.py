"""P24, P25: a code leads where its share says and nowhere else, and nobody finds one by trying."""

import random
import re
import string
import time
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
import time_machine
from django.conf import settings
from django.test import Client

from clerks.materials import arrivals, guesses, links, shares
from clerks.materials.models import Material, Opening, Visitor
from tests import factories
from tests.clerks.materials.linking import DESK, PHONE, follow, linked
from tests.factories import NOW
from tests.figures import figure
from tests.signing_in import signed_in

LONG_WAY = 0
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("everything")]


@pytest.fixture(autouse=True)
def _new_process():
    links.forget_all()


@pytest.fixture
def world():
    return linked()


def opened(share=None):
    rows = Opening._base_manager.all()
    return rows.filter(share=share) if share else rows


def browser(agent=PHONE, **cookies):
    client = Client(headers={"user-agent": agent})
    client.cookies.load({arrivals.VISITOR: str(cookies.pop("visitor", ""))} | cookies)
    return client


# ── Followed ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_link_is_an_opening_a_number_for_the_browser_and_the_way_on(world, settings):
    got = follow(world.path)
    assert (got.status, got.head["Location"], got.head["Cache-Control"]) == (302, f"{world.path}/look", "no-store")
    cookie = got.cookie
    assert UUID(cookie.value).version == 4
    assert (cookie["httponly"], cookie["samesite"], cookie["secure"], cookie["max-age"]) == (
        True,
        "Lax",
        "",
        "31536000",
    )
    (one,) = opened(world.share)
    assert str(one.visitor) == cookie.value and one.member is None and not Visitor.objects.exists()
    again = follow(world.path, HTTP_COOKIE=f"daogou_visitor={cookie.value}", **{"wsgi.url_scheme": "https"})
    assert again.cookie.value == cookie.value and again.cookie["secure"]
    for bad in ("x", str(UUID(int=7)), "a" * 5000, "%00"):  # no number of ours: another one
        assert follow(world.path, HTTP_COOKIE=f"daogou_visitor={bad}").cookie.value != bad
    assert opened(world.share).count() == 6
    # The long way does the same, for those the short one leaves to it.
    response = browser(visitor=cookie.value).get(world.path)
    assert (response.status_code, response["Location"]) == (302, f"{world.path}/look")
    assert response.cookies["daogou_visitor"].value == cookie.value and opened(world.share).count() == 7
    settings.SECURE_SSL_REDIRECT = True
    assert follow(world.path).status == LONG_WAY and follow(world.path, method="POST").status == LONG_WAY


PAGES = {
    "https://shop.example/a": "https://shop.example/a?daogou_share={}",
    "https://shop.example/a?b=1&daogou_share=other#top": "https://shop.example/a?b=1&daogou_share={}#top",
    "http://shop.example": "http://shop.example?daogou_share={}",
    "https://shop.example/新款?q=裙": "https://shop.example/%E6%96%B0%E6%AC%BE?q=%E8%A3%99&daogou_share={}",
    "https://shop.example/a?next=https://evil.example/": "https://shop.example/a?next=https://evil.example/&daogou_share={}",
}
NO_PAGES = [
    *(
        "javascript:alert(7)",
        "JAVASCRIPT:alert(7)",
        "data:text/html,<b>",
        "vbscript:x",
        "ftp://shop.example/a",
        "file:///etc",
    ),
    *(
        "//evil.example/",
        "/\\evil.example",
        "\\\\evil.example",
        "https:/\\evil.example",
        "https:evil.example",
        "evil.example",
    ),
    *("https://", "http://[", "https://shop.example\\@evil.example/", "https://shop.example@evil.example/", "", " "),
    *("https://a\r\nSet-Cookie: x=1", "https://a/\nLocation: https://evil.example", "https://a/\x01", "https://a/ b"),
    *(
        "\thttps://shop.example/",
        "https://a\t.example/",
        "about:blank",
        "blob:https://a/b",
        "mailto:a@b.example",
        "tel:1",
    ),
]


def test_it_leads_to_the_page_that_was_approved_and_never_anywhere_else(world):
    for url, wanted in PAGES.items():
        share = world.another(kind="link", url=url)
        got = follow(shares.path(share), QUERY_STRING="next=https://evil.example&url=//evil.example")
        assert (got.status, got.head["Location"]) == (302, wanted.format(share.code))
        assert browser().get(shares.path(share), {"next": "//evil.example"})["Location"] == wanted.format(share.code)
    for url in NO_PAGES:
        share = world.another(kind="link", url=url)
        got = follow(shares.path(share), HTTP_HOST="evil.example", HTTP_X_FORWARDED_HOST="evil.example")
        assert (got.status, got.head["Location"]) == (302, f"{shares.path(share)}/look"), url
        assert set(got.head) <= {
            "Location",
            "Content-Length",
            "Cache-Control",
            "Referrer-Policy",
            "Set-Cookie",
            "X-Content-Type-Options",
        }
    figure("P25", f"links {len(PAGES)} pages and {len(NO_PAGES)} that are none: 0 led elsewhere")


@pytest.mark.parametrize(
    "tail", ["\r\nSet-Cookie: a=b", "%0d%0aLocation:%20https://evil.example", "/../../admin/", "?x", "\x00", "é" * 400]
)
def test_what_stands_behind_a_code_breaks_nothing(world, tail):
    assert follow(world.path + tail).status == LONG_WAY
    client = browser()
    client.raise_request_exception = False
    assert client.get(f"/s/x{tail}").status_code in (400, 404)


def test_what_is_over_is_said_on_the_page_and_counts_for_nobody(world):
    soon = NOW + timedelta(minutes=1)
    share = world.another(kind="link", url="https://shop.example/", valid_until=soon)
    with time_machine.travel(NOW, tick=False):
        assert follow(shares.path(share)).head["Location"].startswith("https://shop.example/")
    with time_machine.travel(soon, tick=False):
        got = follow(shares.path(share))
    assert got.head["Location"] == f"{shares.path(share)}/look" and got.cookie is None and opened(share).count() == 1


def test_a_material_that_is_taken_back_is_gone_within_a_minute(world):
    with time_machine.travel(NOW, tick=False):
        assert follow(world.path).status == 302
    Material._base_manager.update(is_active=False)
    with time_machine.travel(NOW + timedelta(seconds=60), tick=False):
        assert follow(world.path).status == LONG_WAY and browser().get(f"{world.path}/look").status_code == 404


# ── Who leaves none ──────────────────────────────────────────────────────────────────────────────────────────────────
MACHINES = [
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; Baiduspider/2.0; +http://www.baidu.com/search/spider.html)",
    "Mozilla/5.0 (Linux; Android 5.0) AppleWebKit/537.36 (KHTML, like Gecko) Safari/537.36 (compatible; Bytespider)",
    "Sogou web spider/4.0(+http://www.sogou.com/docs/help/webmasters.htm#07)",
    "WeChatShareExtension/8.0.54.30 CFNetwork/1568 Darwin/24.0.0",
    "facebookexternalhit/1.1",
    "TelegramBot (like TwitterBot)",
    "Mozilla/5.0 (Windows NT 6.1) AppleWebKit/537.36 mpcrawler",
    "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/130.0 Safari/537.36",
    *("curl/8.5.0", "python-requests/2.32", "Go-http-client/2.0", "okhttp/4.9", "", "x"),
]


def test_machines_and_looks_ahead_leave_none(world):
    for agent in MACHINES:
        got = follow(world.path, HTTP_USER_AGENT=agent)
        assert got.status == 302 and got.cookie is None, agent
        assert browser(agent).get(f"{world.path}/look").status_code == 200
    for ahead in (
        {"HTTP_PURPOSE": "prefetch"},
        {"HTTP_SEC_PURPOSE": "prefetch;prerender"},
        {"HTTP_X_PURPOSE": "preview"},
    ):
        assert follow(world.path, **ahead).cookie is None
    assert browser().head(world.path).status_code == 302 and not browser().head(world.path).cookies
    assert not opened().exists()
    for agent in (PHONE, DESK):
        follow(world.path, HTTP_USER_AGENT=agent)
    assert opened().count() == 2


def test_our_own_people_leave_none_and_their_browser_is_remembered(world):
    world.clerk.user = factories.user()
    world.clerk.save()
    client = signed_in(world.clerk.user, post=world.post)
    client.defaults["HTTP_USER_AGENT"] = PHONE
    session = client.cookies[settings.SESSION_COOKIE_NAME].value
    # With a session the short way is not taken.
    assert follow(world.path, HTTP_COOKIE=f"{settings.SESSION_COOKIE_NAME}={session}").status == LONG_WAY
    response = client.get(world.path)
    visitor = response.cookies["daogou_visitor"].value
    assert response.status_code == 302 and Visitor.objects.get(key=visitor).staff == world.clerk
    assert client.get(f"{world.path}/look").status_code == 200
    # The same browser, signed out.
    assert follow(world.path, HTTP_COOKIE=f"daogou_visitor={visitor}").status == 302
    assert browser(visitor=visitor).get(f"{world.path}/look").status_code == 200
    assert not opened().exists()


# ── Trying codes ─────────────────────────────────────────────────────────────────────────────────────────────────────
def test_what_is_none_answers_alike_whatever_it_is(world, django_assert_num_queries):
    """The look-up itself is one of `database.planned`, which is not counted as Django's are: the miss is."""
    gone = world.another(is_active=False)
    tried = ["A" * shares.LENGTH, "short", world.share.code.swapcase(), gone.code, "码" * 5, "a" * 999, "' OR 1=1 --"]
    pages = set()
    for code in tried:
        assert follow(f"/s/{code}").status == LONG_WAY
        tails = ("/look", "/code.png", "/cover.jpg", "/1.jpg", "/1.mp4", "/1/file", "/poster.jpg", "/back")
        for tail in ("", *(tails if code == tried[0] else ())):
            links.forget_all()
            with django_assert_num_queries(0):
                response = browser().get(f"/s/{code}{tail}")
            assert response.status_code == 404 and not response.cookies and links._guesses._count == 1
            pages.add(re.sub(rb"\s+", b" ", response.content))
    assert len(pages) == 1
    said = pages.pop().decode()
    assert "这个链接打不开了" in said and 'href="/"' not in said  # a customer has nothing to do at our sign-in
    assert browser().post(f"/s/{gone.code}/forget").status_code == 404 and not opened().exists()


def test_nobody_finds_a_code_by_trying(world, size):
    """P24. An address is looked up some times a minute, then answered unlooked; a real link is answered meanwhile."""
    count, addresses = (1_000_000, 2_000) if size == "full" else (20_000, 40)
    letters, chance = shares.ALPHABET, random.Random(7)
    real = {world.another().code for _share in range(50)}
    asked = {"looked": 0, "hits": 0}
    began = time.monotonic()
    with time_machine.travel(NOW, tick=False) as clock:
        for place in range(count):
            if place % 10_000 == 0:
                clock.shift(60)
            code = _guess(chance, letters, real, place)
            if code in real:
                continue
            got = follow(f"/s/{code}", REMOTE_ADDR=f"10.1.{place % addresses // 256}.{place % addresses % 256}")
            asked["hits"] += got.status != LONG_WAY
        asked["looked"] = sum(links._guesses._misses.values())
        # Somebody else is not kept out, nor is a link that is in use at the same address.
        assert follow(world.path, REMOTE_ADDR="10.9.9.9").status == 302
        assert follow(world.path, REMOTE_ADDR="10.1.0.1").status == 302
    figure(
        "P24",
        f"{count:,} guesses from {addresses:,} addresses: {asked['hits']} hits ({time.monotonic() - began:.0f} s)",
    )
    assert not asked["hits"] and not opened().exclude(share=world.share).exists()


def _guess(chance, letters, real, place):
    """At random; every other one close to a code that there is."""
    if place % 2:
        return "".join(chance.choices(letters, k=shares.LENGTH))
    code = list(chance.choice(sorted(real)))
    code[chance.randrange(len(code))] = chance.choice(letters)
    return "".join(code)


def test_who_tries_too_often_is_not_looked_up(world, django_assert_num_queries):
    fresh = world.another()
    with time_machine.travel(NOW, tick=False) as clock:
        for step in range(guesses.OF_ADDRESS):
            follow(f"/s/{step}", REMOTE_ADDR="2001:db8::1")
        with django_assert_num_queries(0):
            assert follow("/s/nothing", REMOTE_ADDR="2001:db8::1").status == LONG_WAY
            assert follow(shares.path(fresh), REMOTE_ADDR="2001:db8::2").status == LONG_WAY  # the same household
            assert browser().get("/s/nothing", REMOTE_ADDR="2001:db8::3").status_code == 404
        assert follow(shares.path(fresh), REMOTE_ADDR="2001:db8:1::1").status == 302
        clock.shift(60)
        assert follow(shares.path(world.another()), REMOTE_ADDR="2001:db8::1").status == 302
        tried = guesses.Guesses()
        for place in range(guesses.OF_ALL):
            tried.miss(address=f"10.{place // 65536}.{place // 256 % 256}.{place % 256}", now=NOW)
        assert tried.is_spent(address="10.0.0.1", now=NOW) and not tried.is_spent(address="10.200.0.1", now=NOW)


def test_codes_say_nothing_and_have_more_than_64_bits(world):
    codes = {world.another().code for _share in range(20)}
    assert len(codes) == 20 and all(re.fullmatch(r"[A-Za-z0-9]{12}", code) for code in codes)
    assert len(set(shares.ALPHABET)) ** shares.LENGTH > 2**64 and set(shares.ALPHABET) <= {
        *string.ascii_letters,
        *string.digits,
    }
    now_of_chance = random.getstate()
    random.seed(1)
    one = world.another().code
    random.seed(1)
    assert world.another().code != one
    random.setstate(now_of_chance)


# ── P25: nothing of ours goes where a link points ────────────────────────────────────────────────────────────────────
FETCHES = re.compile(r"\b(import requests|urllib\.request|urllib3|httpx|aiohttp|http\.client|import socket|urlopen)\b")


def test_nothing_fetches_what_a_material_points_at():
    """No SSRF: of an address that people typed we only ever say it, to the browser that is sent there."""
    root = Path(settings.BASE_DIR)
    modules = [
        *root.glob("clerks/materials/**/*.py"),
        root / "clerks/pages/lane.py",
        *root.glob("clerks/pages/views/shared*.py"),
    ]
    assert [str(path) for path in modules if FETCHES.search(path.read_text(encoding="utf-8"))] == []
