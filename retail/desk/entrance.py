"""The pages between the password and the admin: second factor, its setting up, proof again, one's own safety."""

from base64 import b32encode
from collections.abc import Callable
from functools import wraps
from typing import Any

import segno
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.cache import add_never_cache_headers
from django.utils.http import url_has_allowed_host_and_scheme, urlencode
from django.utils.safestring import mark_safe
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from retail import gate, lockout, second_factor

ENROL_KEY = "enrol_key"

form_page = require_http_methods(["GET", "HEAD", "POST"])


def of_the_desk(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """For whoever is signed in and may use the admin at all; that they are confirmed is the gate's business."""

    @wraps(view)
    def guarded(request: HttpRequest) -> HttpResponse:
        if not (request.user.is_authenticated and request.user.is_staff):
            return redirect("admin:login")
        return view(request)

    return guarded


@form_page
@sensitive_post_parameters("code")
def verify(request: HttpRequest) -> HttpResponse:
    """The second step of signing in: a code of the authenticator, or a recovery code."""
    if refused := _not_half_in(request):
        return refused
    user, now = request.user, timezone.now()
    if second_factor.device_of(user) is None:
        return redirect(f"{reverse('entrance:enrol')}?{urlencode({'next': _next(request)})}")
    problem = ""
    if request.method == "POST":
        device = second_factor.check(request=request, user=user, typed=request.POST.get("code", ""))
        if device is not None:
            return _let_in(request, device, redirect(_next(request)))
        problem = _("不对。验证码每 30 秒换一个，用过的不能再用；连错几次要等几秒。")
    context = {"title": _("两步验证"), "problem": problem, "demo_code": second_factor.shown_now(user, now=now)}
    return _page(request, "verify", context)


@form_page
@sensitive_post_parameters("code")
def enrol(request: HttpRequest) -> HttpResponse:
    """Set up an authenticator: at the first sign-in, or another one later, which takes a fresh proof."""
    user, now = request.user, timezone.now()
    has_one = user.is_authenticated and second_factor.device_of(user) is not None
    if has_one and not gate.is_confirmed(request=request, now=now):
        return redirect("entrance:verify")  # who knows the password only must not replace the authenticator
    if has_one and not gate.is_fresh(request=request, now=now):
        return redirect(f"{reverse('entrance:again')}?{urlencode({'next': reverse('entrance:enrol')})}")
    if not has_one and (refused := _not_half_in(request)):
        return refused
    key = request.session.setdefault(ENROL_KEY, second_factor.new_key())
    problem = ""
    if request.method == "POST":
        code = "".join(request.POST.get("code", "").split())
        locked = second_factor.is_locked(request=request, user=user)
        made = None if locked else second_factor.enrol(user=user, key=key, code=code, by=user, now=now)
        if made is not None:
            device, recovery = made
            answer = _page(request, "codes", {"title": _("请收好恢复码"), "codes": recovery})
            request.session.pop(ENROL_KEY, None)
            return _let_in(request, device, answer)
        second_factor.failed(request=request, user=user)
        problem = _("和这个密钥对不上。请看一下手机的时间准不准，再输入现在显示的 6 位数字。")
    return _page(request, "enrol", {"title": _("绑定验证器"), "problem": problem, **_key_shown(request, key)})


@form_page
@sensitive_post_parameters("again_code")
@of_the_desk
def again(request: HttpRequest) -> HttpResponse:
    """Proof again before going back to where it was asked for."""
    now, problem = timezone.now(), ""
    if request.method == "POST":
        problem = gate.prove_again(request=request, typed=request.POST.get("again_code", ""), now=now)
        if not problem:
            messages.success(request, _("已确认。10 分钟内不再问，请再点一次刚才的按钮。"))
            return redirect(_next(request))
    return gate.ask_again(request, problem=problem, now=now)


@require_safe
@of_the_desk
def safety(request: HttpRequest) -> HttpResponse:
    """What guards one's own account, and the way to make it safe again."""
    context = {
        "title": _("登录与安全"),
        "device": second_factor.device_of(request.user),
        "codes_left": second_factor.codes_left(request.user),
    }
    return render(request, "admin/entrance/safety.html", gate.framed(request, context))


@require_POST
@of_the_desk
@gate.fresh
def codes(request: HttpRequest) -> HttpResponse:
    made = second_factor.new_recovery_codes(user=request.user, by=request.user, now=timezone.now())
    return _page(request, "codes", {"title": _("请收好恢复码"), "codes": made})


@require_POST
@of_the_desk
@gate.fresh
def end_others(request: HttpRequest) -> HttpResponse:
    """Sign oneself out everywhere but here."""
    user = request.user
    gate.end_sessions(user=user, by=user, now=timezone.now())
    update_session_auth_hash(request, user)
    messages.success(request, _("其他设备都已退出，只剩这一台。"))
    return redirect("entrance:safety")


def locked(request: HttpRequest, response: HttpResponse, credentials: Any) -> HttpResponse:
    """What django-axes answers with once there were too many failures."""
    context = gate.framed(request, {"title": _("暂时不能登录")})
    return render(request, "admin/entrance/locked.html", context, status=429)


# ── Shared ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def _not_half_in(request: HttpRequest) -> HttpResponse | None:
    """Where to send somebody who is not between the password and the second factor."""
    if not request.user.is_authenticated or not request.user.is_staff:
        return redirect("admin:login")
    if gate.is_confirmed(request=request, now=timezone.now()):
        return redirect(_next(request))
    return None


def _let_in(request: HttpRequest, device: Any, answer: HttpResponse) -> HttpResponse:
    user, now = request.user, timezone.now()
    gate.prove(request=request, device=device, now=now)
    gate.note_sign_in(request=request, user=user, way="two_steps", now=now)
    second_factor.forget_failures(request=request, user=user)
    lockout.know(answer=answer, request=request, user=user)
    if not settings.DEMO and second_factor.codes_left(user) == 0:
        messages.warning(request, _("恢复码已经用完：验证器一丢就登录不了。请到“登录与安全”换一组新的恢复码。"))
    return answer


def _next(request: HttpRequest) -> str:
    wanted = request.GET.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return wanted if is_ours else reverse("admin:index")


def _key_shown(request: HttpRequest, key: str) -> dict[str, Any]:
    """The key as a picture for the camera and as groups of four for the fingers."""
    device = second_factor.unsaved(user=request.user, key=key)
    picture = segno.make(device.config_url, error="m").svg_inline(scale=4, border=4, omitsize=True)
    written = b32encode(device.bin_key).decode()
    groups = [written[place : place + 4] for place in range(0, len(written), 4)]
    return {"picture": mark_safe(picture), "groups": groups}


def _page(request: HttpRequest, name: str, context: dict[str, Any]) -> HttpResponse:
    page = {"is_popup": True, "next": _next(request), **context}
    answer = render(request, f"admin/entrance/{name}.html", gate.framed(request, page))
    add_never_cache_headers(answer)
    return answer
