"""One request, one post, one scope; and who stands behind the session.

A signed-in user acts in one chosen post (the session remembers which); its scope and its role's permissions hold for
the whole request. Every request asks again whether the person still works here; who does not is signed out. Below
/admin/ nobody gets without a second factor, and what cannot be undone asks for proof again (`fresh`).
"""

from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Any

from django.conf import settings
from django.contrib.auth import login, logout
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import Permission
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import F, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import resolve, reverse
from django.utils import timezone
from django.utils.cache import add_never_cache_headers
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django_otp import DEVICE_ID_SESSION_KEY
from django_otp import login as confirm

from retail import audit, database, org, scope, second_factor
from retail.models import Post, Staff, User

SESSION_KEY = "post"
PROVED_AT = "proved_at"  # seconds: when the person last showed who they are
SEEN_AT = "seen_at"  # seconds: when the session was last prolonged
DESK_SEEN_AT = "desk_seen_at"
BACKEND = "retail.gate.PostBackend"
PHONE_ROLES = (Post.Role.CLERK, Post.Role.STORE_MANAGER)


class PostBackend(ModelBackend):
    """Accounts with passwords. Permissions follow the chosen post, as rows do: those of the one role acted in.

    Outside a request nobody acts in a post, and the groups a user is in add up.
    """

    def _get_group_permissions(self, user_obj: Any) -> QuerySet[Permission]:
        if not hasattr(user_obj, "acts_as"):
            return super()._get_group_permissions(user_obj)
        # One filter(): the group of the role, and the user in that very group.
        return Permission.objects.filter(group__user=user_obj, group__name=user_obj.acts_as)


class PostMiddleware:
    """Sets `request.post` (a Post or None), `request.posts` (all one may choose from), and enters the post's scope.

    A superuser without posts sees everything. Somebody else without a post has left: the session ends here, and the
    answer says why.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        # Only a session can hold a sign-in; the feed has none and is spared the look-up.
        user = request.user if request.COOKIES else None
        request.post, request.posts = None, []
        if user is None or not user.is_authenticated:
            return self.get_response(request)
        now = timezone.now()
        request.posts = posts_of(user=user, now=now)
        request.post = _chosen(request.posts, request.session.get(SESSION_KEY))
        if request.post is None and not user.is_superuser:
            logout(request)
            raise PermissionDenied(_("您的岗位已经结束，看不到这里的内容。如果弄错了，请联系店长。"))
        user.acts_as = request.post.role if request.post else ""
        _prolong(request, now)
        visible = org.scope_of(request.post) if request.post else scope.EVERYTHING
        with scope.within(visible), database.published(visible):
            response = self.get_response(request)
            # Lazy templates read rows while they render: inside the scope, not after it.
            if hasattr(response, "render") and callable(response.render) and not response.is_rendered:
                response.render()
            return response


class SecondFactorMiddleware:
    """Below /admin/ a signed-in session goes nowhere before it was confirmed, save to do just that."""

    OPEN = frozenset({"admin:login", "admin:logout", "entrance:verify", "entrance:enrol", "entrance:wecom_back"})

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        desk = reverse("admin:index")
        if not request.path_info.startswith(desk) or not request.user.is_authenticated:
            return self.get_response(request)
        if is_confirmed(request=request, now=timezone.now()):
            request.session[DESK_SEEN_AT] = _seconds(timezone.now(), of=60)
            return self.get_response(request)
        # The admin itself turns away whoever has no business here at all.
        if not request.user.is_staff or _name_of(request) in self.OPEN:
            return self.get_response(request)
        wanted = request.get_full_path() if request.method == "GET" else desk
        return _to_page(request, f"{reverse('entrance:verify')}?{urlencode({'next': wanted})}")


def _name_of(request: HttpRequest) -> str:
    try:
        return resolve(request.path_info).view_name
    except Exception:
        return ""


def _to_page(request: HttpRequest, page: str) -> HttpResponse:
    """Go there with the whole page, also from within a part of one."""
    return HttpResponse(headers={"HX-Redirect": page}) if request.headers.get("HX-Request") else redirect(page)


# ── The session ──────────────────────────────────────────────────────────────────────────────────────────────────────
def _seconds(now: datetime, *, of: int = 1) -> int:
    """A time as the session keeps it; whole minutes spare a write at every click."""
    return int(now.timestamp()) // of * of


def _prolong(request: HttpRequest, now: datetime) -> None:
    """Sessions end so long after the last click, not after the first: 30 days on phones, 12 hours at desks."""
    on_phone = request.post is not None and request.post.role in PHONE_ROLES
    age = settings.SESSION_COOKIE_AGE if on_phone else settings.DESK_SESSION_SECONDS
    if _seconds(now) - request.session.get(SEEN_AT, 0) > age // 24:
        request.session[SEEN_AT] = _seconds(now)
        request.session.set_expiry(age)


def is_confirmed(*, request: HttpRequest, now: datetime) -> bool:
    """Whether a second factor has confirmed this session, and the admin was used within its time since."""
    idle = _seconds(now) - request.session.get(DESK_SEEN_AT, 0)
    return bool(request.user.is_verified()) and idle <= settings.DESK_SESSION_SECONDS


# ── Posts ────────────────────────────────────────────────────────────────────────────────────────────────────────────
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


def prove(*, request: HttpRequest, device: Any, now: datetime) -> None:
    """The person has just shown who they are, with this device."""
    if request.session.get(DEVICE_ID_SESSION_KEY) != device.persistent_id:
        request.session.cycle_key()
    confirm(request, device)
    request.session[PROVED_AT] = request.session[DESK_SEEN_AT] = _seconds(now)


@transaction.atomic
def end_sessions(*, user: User, by: User | None, now: datetime, reason: str = "") -> None:
    """Sign a user out everywhere, at once: every session carries the epoch it was made in."""
    User.objects.filter(pk=user.pk).update(session_epoch=F("session_epoch") + 1)
    user.refresh_from_db(fields=["session_epoch"])
    audit.record(by=by, action="end_sessions", target=user, now=now, reason=reason)


# ── Proof again ──────────────────────────────────────────────────────────────────────────────────────────────────────
def is_fresh(*, request: HttpRequest, now: datetime) -> bool:
    return _seconds(now) - request.session.get(PROVED_AT, 0) <= settings.FRESH_LOGIN_SECONDS


def fresh(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """For a view or a method of an admin page: a POST is carried out only by somebody who has just shown who they are.

    Others are asked first, on a page that holds what they sent and sends it again with their answer.
    """

    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> HttpResponse:
        request = next(arg for arg in args if isinstance(arg, HttpRequest))
        now = timezone.now()
        if request.method != "POST" or is_fresh(request=request, now=now):
            return view(*args, **kwargs)
        if request.headers.get("HX-Request"):  # a dialog inside a page: the page has to be left
            there = {"next": request.headers.get("HX-Current-URL", "")}
            return _to_page(request, f"{reverse('entrance:again')}?{urlencode(there)}")
        problem = ""
        if "again_code" in request.POST:
            problem = prove_again(request=request, typed=request.POST["again_code"], now=now)
            if not problem:
                return view(*args, **kwargs)
        return ask_again(request, problem=problem, sent=request.POST, now=now)

    return guarded


def ask_again(request: HttpRequest, *, problem: str, sent: Any, now: datetime) -> HttpResponse:
    """The page that asks who it is and then sends `sent` (a QueryDict) where it was going."""
    hidden = [(name, value) for name, values in sent.lists() for value in values]
    context = {
        "title": _("请再确认一次是您"),
        "problem": problem,
        "action": request.get_full_path(),
        "hidden": [pair for pair in hidden if pair[0] not in ("csrfmiddlewaretoken", "again_code")],
        "demo_code": second_factor.shown_now(request.user, now=now),
    }
    answer = render(request, "admin/entrance/again.html", framed(request, context))
    add_never_cache_headers(answer)
    return answer


def framed(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """With what the theme's outer page wants to know."""
    from django.contrib import admin

    return {**admin.site.each_context(request), **context}


def prove_again(*, request: HttpRequest, typed: str, now: datetime) -> str:
    """Check a code or the password; what was wrong in words, "" when it was right."""
    user = request.user
    if second_factor.is_locked(request=request, user=user):
        return _("错得太多，请过 15 分钟再试。")
    if user.has_usable_password() and user.check_password(typed):
        request.session[PROVED_AT] = _seconds(now)
        return ""
    device = second_factor.check(request=request, user=user, typed=typed)
    if device is None:
        return _("不对。验证码每 30 秒换一个，用过的不能再用。")
    prove(request=request, device=device, now=now)
    return ""


def attempted_name(request: HttpRequest, credentials: dict[str, Any] | None = None) -> str:
    """What somebody typed as their name to sign in, as long as a name can be: what is longer fits into no table."""
    typed = (credentials or {}).get("username") or request.POST.get("username", "")
    return str(typed)[: User._meta.get_field("username").max_length]


def client_ip(request: HttpRequest) -> str | None:
    """Where a request comes from. Behind our proxy it is the last address the proxy wrote; others may be lies."""
    if settings.BEHIND_PROXY and (chain := request.headers.get("X-Forwarded-For")):
        return chain.rpartition(",")[2].strip() or None
    return request.META.get("REMOTE_ADDR")
