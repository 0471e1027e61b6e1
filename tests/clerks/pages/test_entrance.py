"""Ways in and out of the phone pages, and what they look like when something is wrong."""

import gzip
import re
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.template.loader import render_to_string
from django.test import Client

from retail.models import Employment
from tests.clerks.pages.conftest import sell
from tests.factories import NOW, World

STATIC = Path(__file__).parents[3] / "static"


@pytest.fixture
def demo(settings: LazySettings) -> None:
    settings.DEMO = True


def test_a_stranger_is_sent_to_sign_in(db: None, client: Client):
    assert client.get("/m/earnings/")["Location"] == "/m/sign-in/?next=/m/earnings/"


@pytest.mark.usefixtures("demo")
def test_in_the_demo_a_stranger_is_sent_to_the_doors(db: None, client: Client):
    assert client.get("/m/")["Location"] == "/"
    part = client.get("/m/earnings/2026-10-12/", headers={"HX-Request": "true"})
    assert part["HX-Redirect"] == "/"


# ── The picker ───────────────────────────────────────────────────────────────────────────────────────────────────────
def test_outside_the_demo_nobody_picks_a_clerk(shop: World, client: Client):
    post = shop.staff["A1"].posts.get()

    assert client.get("/m/sign-in/").status_code == 404
    assert client.post("/doors/", {"post": post.pk}).status_code == 404
    assert "_auth_user_id" not in client.session


@pytest.mark.usefixtures("demo")
def test_one_tap_signs_in_as_that_clerk(shop: World, client: Client):
    sell(shop)
    store = client.get("/m/sign-in/", {"store": shop.store.pk}, headers={"HX-Request": "true"}).content.decode()
    (post,) = re.findall(r'value="(\d+)"', store)

    home = client.post("/doors/", {"post": post}, follow=True)

    assert home.redirect_chain == [("/m/", 302)]
    assert shop.staff["A1"].name in home.content.decode()
    assert "2.70" in home.content.decode()


@pytest.mark.usefixtures("demo")
@pytest.mark.parametrize(("words", "found"), [("员工A1", True), ("a1", True), ("Z", False)])
def test_clerks_are_found_by_name_and_number(shop: World, client: Client, words: str, found: bool):
    page = client.get("/m/sign-in/", {"q": words}).content.decode()

    assert ("员工A1" in page or shop.store.name in page) is found


@pytest.mark.usefixtures("demo")
def test_a_long_list_of_clerks_comes_in_parts(shop: World, client: Client):
    for number in range(40):
        shop.hire(f"C{number:02}")

    first = client.get("/m/sign-in/", {"store": shop.store.pk}, headers={"HX-Request": "true"}).content.decode()
    second = client.get(
        "/m/sign-in/", {"store": shop.store.pk, "page": 2}, headers={"HX-Request": "true"}
    ).content.decode()

    assert (first.count('name="post"'), second.count('name="post"')) == (30, 11)


@pytest.mark.usefixtures("demo")
def test_who_left_cannot_be_picked(shop: World, client: Client):
    post = shop.staff["A1"].posts.get()
    Employment.objects.filter(staff=post.staff).update(ends_at=NOW)

    assert client.post("/doors/", {"post": post.pk}).status_code == 404


# ── Size of the type, and out ────────────────────────────────────────────────────────────────────────────────────────
def test_the_large_type_is_remembered_and_can_be_undone(phone: Client):
    assert 'class="is-large"' not in phone.get("/m/").content.decode()
    assert phone.post("/m/me/type/", {"next": "/m/me/"})["Location"] == "/m/me/"
    assert 'class="is-large"' in phone.get("/m/").content.decode()
    phone.post("/m/me/type/")
    assert 'class="is-large"' not in phone.get("/m/").content.decode()


def test_the_type_switch_leads_nowhere_else(phone: Client):
    assert phone.post("/m/me/type/", {"next": "https://elsewhere.example/"})["Location"] == "/m/"


def test_signing_out_ends_it(phone: Client):
    phone.post("/m/me/sign-out/")

    assert phone.get("/m/").status_code == 302


# ── When something is wrong; what it weighs ──────────────────────────────────────────────────────────────────────────
def test_what_is_not_there_says_so_in_the_same_look(phone: Client):
    answer = phone.get("/m/nothing/")

    assert answer.status_code == 404
    assert "没有这一页" in answer.content.decode()


@pytest.mark.parametrize("name", ["403.html", "403_csrf.html", "404.html", "500.html"])
def test_error_pages_need_nothing(name: str):
    page = render_to_string(name)

    assert "回到首页" in page and "pages.css" in page


def test_the_first_load_of_a_page_is_light(shop: World, phone: Client):
    sell(shop, count=10)
    page = phone.get("/m/").content
    files = set(re.findall(r"/static/([^\"#]+)", page.decode()))

    weight = len(gzip.compress(page)) + sum(len(gzip.compress((STATIC / file).read_bytes())) for file in files)

    assert {"vendor/weui.min.css", "vendor/htmx.min.js", "css/pages.css", "img/icons.svg"} <= files
    assert weight <= 150_000
