"""One request, one post, one scope.

A signed-in user acts in one chosen post (the session remembers which); its scope holds for the whole request. Every
request asks again whether the person still works here. Without a post nothing scoped can be read: `OutsideScope`.
"""

from collections.abc import Callable
from datetime import datetime

from django.contrib.auth import login
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from retail import org, scope
from retail.models import Post, Staff, User

SESSION_KEY = "post"


class PostMiddleware:
    """Sets `request.post` (a Post or None) and enters its scope. A superuser without posts sees everything."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        # Only a session can hold a sign-in; the feed has none and is spared the look-up.
        user = request.user if request.COOKIES else None
        request.post = None
        if user is None or not user.is_authenticated:
            return self.get_response(request)
        request.post = chosen_post(user=user, wanted=request.session.get(SESSION_KEY), now=timezone.now())
        if request.post is not None:
            visible = org.scope_of(request.post)
        else:
            visible = scope.EVERYTHING if user.is_superuser else scope.NOTHING
        with scope.within(visible):
            response = self.get_response(request)
            # Lazy templates read rows while they render: inside the scope, not after it.
            if hasattr(response, "render") and callable(response.render) and not response.is_rendered:
                response.render()
            return response


def chosen_post(*, user: User, wanted: int | None, now: datetime) -> Post | None:
    """The post the user acts in: the wanted one while they hold it, else their highest; None for an ex-clerk."""
    staff = Staff._base_manager.filter(user=user).first()
    posts = org.posts_of(staff=staff, now=now) if staff else []
    return next((post for post in posts if post.pk == wanted), posts[0] if posts else None)


def enter(*, request: HttpRequest, post: Post) -> None:
    """Sign the holder of a post in, to act in that post. Who has no account yet gets one without a password.

    The caller has made sure that it is them (or that this is the demo).
    """
    with transaction.atomic():
        staff = Staff._base_manager.select_for_update(of=("self",)).select_related("user").get(pk=post.staff_id)
        if staff.user is None:
            staff.user = User.objects.create_user(username=staff.code)
            staff.save(update_fields=["user"])
    login(request, staff.user, backend="django.contrib.auth.backends.ModelBackend")
    request.session[SESSION_KEY] = post.pk
