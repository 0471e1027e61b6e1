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
from retail.gate import SESSION_KEY, PostMiddleware
from retail.models import Post
from tests.factories import user, world


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
