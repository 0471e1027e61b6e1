"""One request, one post, one scope."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.db import SessionStore
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.test import RequestFactory
from django.utils import timezone

from retail import scope
from retail.desk import roles
from retail.gate import SESSION_KEY, PostMiddleware
from retail.models import Post, User
from tests.factories import user, world
from tests.signing_in import signed_in


@pytest.fixture
def shop(everything):
    shop = world()
    shop.hire("A1")
    shop.hire("M1", role="store_manager")
    return shop


def seen_by(account, **session):
    """The post and the scope in which a request of this user runs."""
    request = RequestFactory().get("/", HTTP_COOKIE="sessionid=x")
    request.user, request.session = account, SessionStore()
    request.session.update(session)
    seen = {}

    def view(request):
        seen["post"] = request.post
        try:
            seen["scope"] = scope.current()
        except scope.OutsideScope:
            seen["scope"] = None
        return HttpResponse()

    # The gate must not lean on a scope that happens to be in force around it.
    token = scope._current.set(None)
    try:
        PostMiddleware(view)(request)
    finally:
        scope._current.reset(token)
    return seen["post"], seen["scope"]


def sign_in_of(shop, code):
    shop.staff[code].user = account = user()
    shop.staff[code].save()
    return account


def test_nobody_has_no_scope(shop):
    assert seen_by(AnonymousUser()) == (None, None)


def test_a_person_acts_in_their_post(shop):
    account = sign_in_of(shop, "A1")

    post, seen = seen_by(account)

    assert (post.role, seen.staff_id) == ("clerk", shop.staff["A1"].pk)


def test_a_second_post_can_be_chosen_and_never_adds_up(shop):
    account = sign_in_of(shop, "M1")
    other = shop.another_store()
    second = Post.objects.create(
        staff=shop.staff["M1"], role="store_manager", store=other, starts_at=timezone.now() - timedelta(days=1)
    )

    assert seen_by(account)[1].store_ids == {shop.store.pk}
    assert seen_by(account, **{SESSION_KEY: second.pk})[1].store_ids == {other.pk}


def test_somebody_elses_post_cannot_be_chosen(shop):
    account = sign_in_of(shop, "A1")
    theirs = Post.objects.get(staff=shop.staff["M1"])

    assert seen_by(account, **{SESSION_KEY: theirs.pk})[0].role == "clerk"


def test_who_left_is_out_from_the_next_request_on(shop):
    account = sign_in_of(shop, "A1")
    shop.staff["A1"].employments.update(ends_at=timezone.now())

    with pytest.raises(PermissionDenied, match="岗位已经结束"):
        seen_by(account)


def test_an_account_without_a_person_is_out_unless_it_is_the_owner(shop):
    with pytest.raises(PermissionDenied):
        seen_by(user())
    assert seen_by(user(is_superuser=True)) == (None, scope.EVERYTHING)


# ── The switcher ─────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def of_two_posts(shop):
    """A browser of somebody who manages one store and is a clerk in another."""
    account = sign_in_of(shop, "M1")
    other = shop.another_store()
    began = timezone.now() - timedelta(days=1)
    clerk = Post.objects.create(staff=shop.staff["M1"], role="clerk", store=other, starts_at=began)
    roles.follow_posts(staff=shop.staff["M1"], now=timezone.now())
    return signed_in(account), Post.objects.get(staff=shop.staff["M1"], role="store_manager"), clerk


def test_permissions_follow_the_chosen_post(of_two_posts):
    client, manager, clerk = of_two_posts

    assert client.get("/admin/retail/order/").status_code == 200
    chosen = client.post("/post/", {"post": clerk.pk})
    assert (chosen.status_code, chosen["Location"]) == (302, "/m/")
    assert client.get("/admin/retail/order/").status_code == 403
    client.post("/post/", {"post": manager.pk})
    assert client.get("/admin/retail/order/").status_code == 200


def test_the_switch_stands_on_both_rooms_and_only_for_several_posts(of_two_posts, shop):
    client, manager, _clerk = of_two_posts
    desk, phone = client.get("/admin/").content.decode(), client.get("/m/me/").content.decode()
    assert 'action="/post/"' in desk and 'action="/post/"' in phone
    assert client.post("/post/", {"post": manager.pk, "room": "phone"})["Location"] == "/m/"

    single = signed_in(sign_in_of(shop, "A1"))
    assert 'action="/post/"' not in single.get("/m/me/").content.decode()


@pytest.mark.parametrize("wanted", ["", "x", "-1", "0", "9" * 30])
def test_only_a_post_of_ones_own_can_be_switched_to(of_two_posts, shop, wanted):
    client, _manager, _clerk = of_two_posts
    theirs = Post.objects.get(staff=shop.staff["A1"])

    assert client.post("/post/", {"post": wanted}).status_code == 403
    assert client.post("/post/", {"post": theirs.pk}).status_code == 403
    assert client.get("/post/").status_code == 405
    assert client.get("/admin/retail/order/").status_code == 200


def test_outside_a_request_the_groups_add_up(of_two_posts, shop):
    account = User.objects.get(staff=shop.staff["M1"])
    assert account.has_perm("retail.view_order")
    account = User.objects.get(pk=account.pk)
    account.acts_as = "clerk"
    assert not account.has_perm("retail.view_order")
