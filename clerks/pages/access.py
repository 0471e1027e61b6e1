"""Who may open the clerk's pages: a signed-in person whose chosen post is in a store, for their own figures.

Notices and requests for help are for everybody who holds a post: regions and headquarters are told and asked, too.
"""

from collections.abc import Callable, Collection
from functools import wraps
from typing import Any

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django_htmx.http import HttpResponseClientRedirect

from retail import gate, sso
from retail.models import Post

ROLES = (Post.Role.CLERK, Post.Role.STORE_MANAGER)

View = Callable[..., HttpResponse]


def in_store(view: View) -> View:
    """Only for people of a store. Others are told why not; who is not signed in is shown where to."""
    return _guarded(view, ROLES)


def in_post(view: View) -> View:
    """For everybody who works here."""
    return _guarded(view, tuple(Post.Role))


def in_post_or_desk(view: View) -> View:
    """For everybody who works here, and for who runs the system: without a post, past the second factor."""
    posted = in_post(view)

    @wraps(view)
    def guarded(request: HttpRequest, **kwargs: Any) -> HttpResponse:
        user = request.user
        is_desk = (
            user.is_authenticated and user.is_superuser and gate.is_confirmed(request=request, now=timezone.now())
        )
        return view(request, **kwargs) if is_desk and request.post is None else posted(request, **kwargs)

    return guarded


def may_open(*, post: Post, path: str) -> bool:
    """Whether there is anything for the holder of a post at this address of the phone."""
    return post.role in ROLES or path.startswith((reverse("clerks:notices"), reverse("clerks:help")))


def _guarded(view: View, roles: Collection[str]) -> View:
    @wraps(view)
    def guarded(request: HttpRequest, **kwargs: Any) -> HttpResponse:
        if not request.user.is_authenticated:
            return _to_sign_in(request)
        if request.post is None:
            raise PermissionDenied(_("您的岗位已经结束，看不到这里的内容。如果弄错了，请联系店长。"))
        if request.post.role not in roles:
            raise PermissionDenied(_("这里是导购和店长看自己收入的地方，您的岗位请从后台进入。"))
        return view(request, **kwargs)

    return guarded


def _to_sign_in(request: HttpRequest) -> HttpResponse:
    is_visit = settings.DEMO and not sso.is_in_wecom(request)
    sign_in = reverse("clerks:sign_in")
    there = redirect("doors") if is_visit else redirect_to_login(request.get_full_path(), login_url=sign_in)
    # A part of a page would show the sign-in inside itself: the whole page has to go there.
    return HttpResponseClientRedirect(there["Location"]) if request.htmx else there
