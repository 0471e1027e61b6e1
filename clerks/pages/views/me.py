"""我的:  who I am here, the size of the type, and the way out."""

from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe

from clerks.pages.access import in_store

TYPE_SIZE = "type_size"  # the cookie that base.html reads
_A_YEAR = 365 * 24 * 3600


@require_safe
@in_store
def me(request: HttpRequest) -> HttpResponse:
    return render(request, "clerks/me.html", {"tab": "me"})


@require_POST
def type_size(request: HttpRequest) -> HttpResponse:
    """Switch between the two sizes of type and remember it on this device."""
    wanted = request.POST.get("next", "")
    answer = redirect(wanted if url_has_allowed_host_and_scheme(wanted, allowed_hosts=None) else "clerks:home")
    size = "normal" if request.COOKIES.get(TYPE_SIZE) == "large" else "large"
    answer.set_cookie(TYPE_SIZE, size, max_age=_A_YEAR, samesite="Lax", secure=request.is_secure(), httponly=True)
    return answer


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return redirect("doors")
