"""What stands before every page: nothing too large is read, and the browser is told what it may do."""

import re
from collections.abc import Callable

from csp.constants import HEADER
from csp.utils import build_policy
from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.middleware.common import CommonMiddleware
from django.shortcuts import render
from django.utils.functional import Promise
from django.utils.translation import get_language_from_request, gettext_lazy, override
from django.utils.translation import gettext as _
from django.views import defaults

_NUL = re.compile(r"\x00|%00")  # PostgreSQL has no such character, and no address of ours either


class ExactAddressMiddleware(CommonMiddleware):
    """Leads people to the address they meant. Not programs: many turn a POST that is led elsewhere into a GET."""

    def should_redirect_with_slash(self, request: HttpRequest) -> bool:
        return not _is_api(request) and super().should_redirect_with_slash(request)


class HardeningMiddleware:
    """413 before a large body is read; Permissions-Policy on all pages, a content policy of its own for /admin/."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self.admin_policy = build_policy(replace=settings.ADMIN_CONTENT_SECURITY_POLICY)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        is_api = _is_api(request)
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE if is_api else _form_limit(request)
        if _length(request) > limit:
            response = _too_large(request, limit=limit, is_api=is_api)
        elif "\x00" in request.path_info or (not is_api and _NUL.search(request.META.get("QUERY_STRING", ""))):
            response = _no_such_address(request, is_api=is_api)  # the API names the parameter by itself
        else:
            response = self.get_response(request)
        response.headers.setdefault("Permissions-Policy", settings.PERMISSIONS_POLICY)
        if request.path_info.startswith("/admin/"):
            response.headers.setdefault(HEADER, self.admin_policy)
        return response


def _form_limit(request: HttpRequest) -> int:
    """Pages that take files take larger forms."""
    uploads = settings.UPLOAD_MAX_BYTES.items()
    return next((most for path, most in uploads if request.path_info.startswith(path)), settings.FORM_MAX_BYTES)


def _length(request: HttpRequest) -> int:
    """Django reads no more than this of a body, so it need not be true."""
    said = request.META.get("CONTENT_LENGTH") or "0"
    if not said.isdecimal():
        return 0
    return int(said) if len(said) < 19 else 2**63


def _too_large(request: HttpRequest, *, limit: int, is_api: bool) -> HttpResponse:
    if is_api:
        return _told(request, 413, "too_large", gettext_lazy("正文太大，最多 %(size)s MB"), size=limit // 2**20)
    words = _("一次最多提交 %(size)s MB，请分几次提交。") % {"size": limit // 2**20}
    return render(request, "413.html", {"said": words}, status=413)


def _no_such_address(request: HttpRequest, *, is_api: bool) -> HttpResponse:
    if is_api:
        return _told(request, 400, "bad_address", gettext_lazy("地址里有不能用的字符"))
    return render(request, "400.html", status=400)


# ── Errors outside of any view ───────────────────────────────────────────────────────────────────────────────────────
def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Machines are told in JSON, people on a page; customers, who followed a link, on one that leads to no sign-in."""
    if _is_api(request):
        return _told(request, 404, "not_found", gettext_lazy("没有这个地址"))
    page = "shared/gone.html" if request.path.startswith("/s/") else "404.html"
    return defaults.page_not_found(request, exception, page)


def server_error(request: HttpRequest) -> HttpResponse:
    if _is_api(request):
        return _told(request, 500, "server_error", gettext_lazy("服务器出错了，可以再试一次"))
    return defaults.server_error(request)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if _is_api(request):
        return _told(request, 400, "bad_request", gettext_lazy("读不懂这个请求"))
    return defaults.bad_request(request, exception)


def _told(request: HttpRequest, status: int, code: str, words: Promise, **named: int) -> JsonResponse:
    """As `retail.api.words` says it, also before a language was chosen for the request."""
    with override(get_language_from_request(request)):
        return JsonResponse({"code": code, "detail": str(words) % named}, status=status)


def _is_api(request: HttpRequest) -> bool:
    return request.path_info.startswith("/api/")
