"""One request, one post, one scope.

A signed-in user acts in one chosen post (the session remembers which); its scope holds for the whole request. Every
request asks again whether the person still works here. Without a post nothing scoped can be read: `OutsideScope`.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.contrib.auth import login
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import Permission
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from retail import database, org, scope
from retail.models import Post, Staff, User

SESSION_KEY = "post"
BACKEND = "retail.gate.PostBackend"


class PostBackend(ModelBackend):
    """Permissions follow the chosen post, as rows do: those of the one role acted in, of the groups a user is in.

    Outside a request nobody acts in a post, and the groups add up.
    """

    def _get_group_permissions(self, user_obj: Any) -> Any:
        rows = super()._get_group_permissions(user_obj)
        if not hasattr(user_obj, "acts_as"):
            return rows
        # One filter(): the group of the role, and the user in that very group.
        return Permission.objects.filter(group__user=user_obj, group__name=user_obj.acts_as)


class PostMiddleware:
    """Sets `request.post` (a Post or None), `request.posts` (all one may choose from), and enters the post's scope.

    A superuser without posts sees everything.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        # Only a session can hold a sign-in; the feed has none and is spared the look-up.
        user = request.user if request.COOKIES else None
        request.post, request.posts = None, []
        if user is None or not user.is_authenticated:
            return self.get_response(request)
        request.posts = posts_of(user=user, now=timezone.now())
        request.post = _chosen(request.posts, request.session.get(SESSION_KEY))
        user.acts_as = request.post.role if request.post else ""
        if request.post is not None:
            visible = org.scope_of(request.post)
        else:
            visible = scope.EVERYTHING if user.is_superuser else scope.NOTHING
        with scope.within(visible), database.published(visible):
            response = self.get_response(request)
            # Lazy templates read rows while they render: inside the scope, not after it.
            if hasattr(response, "render") and callable(response.render) and not response.is_rendered:
                response.render()
            return response


def posts_of(*, user: User, now: datetime) -> list[Post]:
    """The posts the user may choose from, highest first; none for an ex-clerk."""
    staff = Staff._base_manager.filter(user=user).first()
    return org.posts_of(staff=staff, now=now) if staff else []


def _chosen(posts: list[Post], wanted: int | None) -> Post | None:
    """The wanted post while it is held, else the highest."""
    return next((post for post in posts if post.pk == wanted), posts[0] if posts else None)


def choose(*, request: HttpRequest, wanted: str) -> Post | None:
    """From the next request on act in this post (the text of its id). None, and nothing changes, unless it is held."""
    post = next((post for post in request.posts if str(post.pk) == wanted), None)
    if post is not None:
        request.session[SESSION_KEY] = post.pk
    return post


def enter(*, request: HttpRequest, post: Post) -> None:
    """Sign the holder of a post in, to act in that post. Who has no account yet gets one without a password.

    The caller has made sure that it is them (or that this is the demo).
    """
    with transaction.atomic():
        staff = Staff._base_manager.select_for_update(of=("self",)).select_related("user").get(pk=post.staff_id)
        if staff.user is None:
            staff.user = User.objects.create_user(username=staff.code)
            staff.save(update_fields=["user"])
    login(request, staff.user, backend=BACKEND)
    request.session[SESSION_KEY] = post.pk
