"""One request, one post, one scope; and who stands behind the session.

A signed-in user acts in one chosen post (the session remembers which); its scope and its role's permissions hold for
the whole request. Every request asks again whether the person still works here; who does not is signed out. Below
/admin/ nobody gets without a second factor, and what is posted there asks for proof again once the last is stale.
"""

import base64
import ipaddress
import secrets
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import wraps
from typing import Any, TypeVar
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.contrib.auth import login, logout
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import Permission
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import F, QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import resolve, reverse
from django.utils import timezone
from django.utils.cache import add_never_cache_headers
from django.utils.http import url_has_allowed_host_and_scheme, urlencode
from django.utils.translation import gettext as _
from django_otp import DEVICE_ID_SESSION_KEY
from django_otp import login as confirm

from retail import audit, database, org, privacy, scope, second_factor
from retail.models import Post, Staff, User

SESSION_KEY = "post"
PROVED_AT = "proved_at"  # seconds: when the person last showed who they are
SEEN_AT = "seen_at"  # seconds: when the session was last prolonged
DESK_SEEN_AT = "desk_seen_at"
HELD = "held"  # what was posted while proof was missing: [id, address, body sealed, page of the dialog]
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
        request.posts = org.posts_of_user(user=user, now=now)
        request.post = _chosen(request.posts, request.session.get(SESSION_KEY))
        if request.post is None and not user.is_superuser:
            logout(request)
            raise PermissionDenied(_("您的岗位已经结束，看不到这里的内容。如果弄错了，请联系店长。"))
        user.acts_as = request.post.role if request.post else ""
        _prolong(request, now)
        visible = org.scope_of(request.post) if request.post else scope.EVERYTHING
        with scope.within(visible), database.published(visible, person=user.pk):
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
        # Not reverse(): that has what the server puts before every address, and `path_info` has not.
        if not request.path_info.startswith("/admin/") or not request.user.is_authenticated:
            return self.get_response(request)
        if is_confirmed(request=request, now=timezone.now()):
            request.session[DESK_SEEN_AT] = _seconds(timezone.now(), of=60)
            return self.get_response(request)
        # The admin itself turns away whoever has no business here at all.
        if not request.user.is_staff or _name_of(request) in self.OPEN:
            return self.get_response(request)
        wanted = request.get_full_path() if request.method == "GET" else reverse("admin:index")
        return _to_page(request, f"{reverse('entrance:verify')}?{urlencode({'next': wanted})}")


View = TypeVar("View", bound=Callable[..., Any])


def everyday(view: View) -> View:
    """A view that changes nothing on a page that may: it asks for no fresh proof."""
    view.is_everyday = True  # type: ignore[attr-defined]
    return view


class FreshLoginMiddleware:
    """What is posted to a page of the admin is carried out only by somebody who has just shown who they are.

    No page has to ask for that, and none can forget it; a page, or one view of it, on which nothing grave can happen
    says `is_everyday`.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        page = getattr(request, "dialog_of", "")
        return _after_dialog(request, response, page) if page else response

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> HttpResponse | None:
        # Whoever has no business in the admin is turned away by its pages.
        page = _page_behind(view) if request.method == "POST" and request.user.is_staff else None
        is_everyday = getattr(view, "is_everyday", False) or getattr(page, "is_everyday", False)
        is_grave = isinstance(page, ModelAdmin) and not is_everyday
        return _proof_wanted(request, timezone.now()) if is_grave else None


def _page_behind(view: Any) -> Any:
    """The object whose method a view is, however often it was wrapped; None for a plain function."""
    while view is not None:
        if (owner := getattr(view, "__self__", None) or getattr(view, "model_admin", None)) is not None:
            return owner
        view = getattr(view, "__wrapped__", None)
    return None


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
def _chosen(posts: list[Post], wanted: int | None) -> Post | None:
    """The wanted post while it is held, else the highest."""
    return next((post for post in posts if post.pk == wanted), posts[0] if posts else None)


def choose(*, request: HttpRequest, wanted: str) -> Post | None:
    """From the next request on act in this post (the text of its id). None, and nothing changes, unless it is held."""
    post = next((post for post in request.posts if str(post.pk) == wanted), None)
    if post is not None:
        request.session[SESSION_KEY] = post.pk
    return post


def enter(*, request: HttpRequest, post: Post, way: str, now: datetime) -> None:
    """Sign the holder of a post in, to act in that post. Who has no account yet gets one without a password.

    The caller has made sure that it is them (or that this is the demo); `way` says how, for the journal.
    """
    with transaction.atomic():
        staff = Staff._base_manager.select_for_update(of=("self",)).select_related("user").get(pk=post.staff_id)
        if staff.user is None:
            staff.user = User.objects.create_user(username=staff.code)
            staff.save(update_fields=["user"])
    login(request, staff.user, backend=BACKEND)
    request.session[SESSION_KEY] = post.pk
    note_sign_in(request=request, user=staff.user, way=way, now=now)


def prove(*, request: HttpRequest, device: Any, now: datetime) -> None:
    """The person has just shown who they are, with this device."""
    if request.session.get(DEVICE_ID_SESSION_KEY) != device.persistent_id:
        request.session.cycle_key()
    confirm(request, device)
    request.session[PROVED_AT] = request.session[DESK_SEEN_AT] = _seconds(now)


def note_sign_in(*, request: HttpRequest, user: User, way: str, now: datetime) -> None:
    after = {"way": way, "address": masked_address(client_ip(request))}
    audit.record(by=user, action="sign_in", target=user, now=now, after=after)


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
    """For a view that is no page of a ModelAdmin (those are seen to by the middleware): a POST needs fresh proof."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        asked = _proof_wanted(request, timezone.now()) if request.method == "POST" else None
        return view(request, *args, **kwargs) if asked is None else asked

    return guarded


def _proof_wanted(request: HttpRequest, now: datetime) -> HttpResponse | None:
    """None when this POST may be carried out. Else the page that asks; its answer comes back to the same address.

    What was posted is held meanwhile, sealed and on this side: it may be a password. So is what stands in a dialog,
    whose page has to be left for the question.
    """
    if "again_for" in request.POST:
        typed = request.POST.get("again_code", "")
        problem = "" if is_fresh(request=request, now=now) else prove_again(request=request, typed=typed, now=now)
        return ask_again(request, problem=problem, now=now) if problem else _resumed(request)
    if is_fresh(request=request, now=now):
        return None
    page, held_for = _page_of_dialog(request), secrets.token_urlsafe(8)
    body = privacy.seal(request.POST.urlencode().encode(), place=_held_place(request, held_for))
    request.session[HELD] = [held_for, request.get_full_path(), base64.b64encode(body).decode(), page]
    if page:
        return _to_page(request, f"{reverse('entrance:again')}?{urlencode({'next': page})}")
    return ask_again(request, problem="", now=now)


def _page_of_dialog(request: HttpRequest) -> str:
    """The address of the page a dialog was posted from; "" for what is no dialog."""
    if not request.headers.get("HX-Request"):
        return ""
    there = request.headers.get("HX-Current-URL", "")
    is_ours = url_has_allowed_host_and_scheme(there, allowed_hosts={request.get_host()})
    parts = urlsplit(there) if is_ours else urlsplit("")
    return f"{parts.path}?{parts.query}" if parts.query else parts.path or reverse("admin:index")


def _after_dialog(request: HttpRequest, response: HttpResponse, page: str) -> HttpResponse:
    """Its answer was meant for the dialog, which is gone: back to its page, or to where it leads."""
    if response.headers.get("HX-Refresh") or response.headers.get("HX-Redirect"):
        return redirect(response.headers.get("HX-Redirect") or page)
    if response.status_code == 200:  # the dialog itself once more: something in it is wrong
        messages.warning(request, _("已确认是您。刚才弹窗里有一处没填对，请再填一次。"))
        return redirect(page)
    return response


def _held(request: HttpRequest) -> tuple[str, str, str, str]:
    held = request.session.get(HELD, ())
    return tuple(held) if len(held) == 4 else ("", "", "", "")  # type: ignore[return-value]


def _resumed(request: HttpRequest) -> HttpResponse | None:
    """Put what was held in the place of the answer, and go on. Another window may have held something else since."""
    held_for, address, body, page = _held(request)
    request.session.pop(HELD, None)
    if held_for != request.POST["again_for"] or address != request.get_full_path():
        messages.warning(request, _("已确认是您。刚才那一步没有保留下来，请再做一次。"))
        return redirect("admin:index")
    plain = privacy.open_sealed(base64.b64decode(body), place=_held_place(request, held_for))
    request.POST = QueryDict(plain)  # type: ignore[assignment]
    request.dialog_of = page
    return None


def _held_place(request: HttpRequest, held_for: str) -> str:
    """What was posted opens for who posted it, and for the address it went to."""
    return "\x1f".join((HELD, str(request.user.pk), held_for, request.get_full_path()))


def ask_again(request: HttpRequest, *, problem: str, now: datetime) -> HttpResponse:
    """The page that asks who it is; the answer goes where what is held came from, else where this request did."""
    held_for, address, _body, page = _held(request)
    is_of_dialog = bool(page) and request.GET.get("next") == page
    action = address if is_of_dialog else request.get_full_path()
    context = {
        "title": _("请再确认一次是您"),
        "problem": problem,
        "action": action,
        "again_for": held_for if address == action else "",
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
    """Where a request comes from."""
    return address_of(request.META)


def address_of(meta: Mapping[str, Any]) -> str | None:
    """The same, of what a server says. Behind our proxy it is the last address the proxy wrote; others may be lies."""
    if settings.BEHIND_PROXY and (chain := meta.get("HTTP_X_FORWARDED_FOR")):
        return str(chain).rpartition(",")[2].strip() or None
    return meta.get("REMOTE_ADDR")


def masked_address(address: str | None) -> str:
    """As the journal keeps it: the network somebody came from, not the machine."""
    try:
        ip = ipaddress.ip_address(address or "")
    except ValueError:
        return ""
    if ip.version == 4:
        return str(ip).rpartition(".")[0] + ".*"
    return str(ipaddress.ip_network((ip, 48), strict=False))
