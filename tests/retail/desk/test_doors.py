"""The page of doors: one click signs in as each of the product's people, in the demo only."""

import re
from typing import Any

import pytest
from django.conf import LazySettings
from django.test import Client

from retail.models import Post
from tests.clerks.pages.conftest import signed_in
from tests.factories import World, franchisee, user, world


@pytest.fixture
def shop(everything: None) -> World:
    """Somebody for every door; all but the clerk may use the admin."""
    shop = world()
    shop.hire("A1")
    places: dict[str, dict[str, Any]] = {
        Post.Role.REGION_MANAGER: {"region": shop.region},
        Post.Role.FRANCHISE_OWNER: {"franchisee": franchisee()},
    }
    for role in set(Post.Role.values) - {Post.Role.CLERK}:
        staff = shop.hire(f"X-{role}", role=role, **places.get(role, {}))
        staff.user = user(is_staff=True)
        staff.save()
    return shop


@pytest.fixture
def demo(settings: LazySettings) -> None:
    settings.DEMO = True


@pytest.mark.usefixtures("demo")
def test_there_is_a_door_for_everybody(shop: World, client: Client):
    page = client.get("/").content.decode()

    posts = [Post.objects.get(pk=pk) for pk in re.findall(r'name="post" value="(\d+)"', page)]
    assert [post.role for post in posts] == Post.Role.values
    assert "disabled" not in page


@pytest.mark.usefixtures("demo")
@pytest.mark.parametrize("role", Post.Role.values)
def test_a_door_leads_to_where_its_person_works(shop: World, client: Client, role: str):
    post = Post.objects.get(role=role)

    answer = client.post("/doors/", {"post": post.pk})

    assert answer["Location"] == ("/m/" if role == Post.Role.CLERK else "/admin/")
    assert client.session["post"] == post.pk
    assert client.get(answer["Location"]).status_code == 200


@pytest.mark.usefixtures("demo")
def test_who_has_a_password_stands_for_the_crowd(shop: World, client: Client):
    named = shop.hire("A2")
    named.user = user()
    named.save()

    assert f'value="{named.posts.get().pk}"' in client.get("/").content.decode()


@pytest.mark.usefixtures("demo")
def test_nobody_to_stand_for_a_role_closes_its_door(db: None, client: Client):
    assert client.get("/").content.decode().count("disabled") == len(Post.Role.values)


@pytest.mark.usefixtures("demo")
@pytest.mark.parametrize("wanted", ["", "x", "0", "99999999999999999999"])
def test_a_door_that_is_not_there_is_not_found(db: None, client: Client, wanted: str):
    assert client.post("/doors/", {"post": wanted}).status_code == 404


@pytest.mark.usefixtures("demo")
def test_a_click_on_another_page_cannot_sign_in(shop: World):
    strict = Client(enforce_csrf_checks=True)

    assert strict.post("/doors/", {"post": Post.objects.get(role=Post.Role.HQ_OPS).pk}).status_code == 403


def test_outside_the_demo_there_is_no_door(shop: World, client: Client):
    assert client.post("/doors/", {"post": Post.objects.get(role=Post.Role.HQ_OPS).pk}).status_code == 404
    assert "_auth_user_id" not in client.session
    assert client.get("/")["Location"] == "/admin/"


def test_outside_the_demo_the_first_page_leads_to_work(shop: World):
    assert signed_in(shop.staff["A1"]).get("/")["Location"] == "/m/"
    assert signed_in(shop.staff["X-store_manager"]).get("/")["Location"] == "/admin/"
