"""What a customer sees who follows a link. Nobody signs in; every page asks for the code anew (`links.find`).

/s/<code> ──(clerks.pages.lane)──▶ a page elsewhere, or look ──once a day, inside WeChat──▶ WeCom ──back──▶ look
                                                         └─▶ stay, by the page itself · forget, by a tap
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import wraps
from typing import Any
from uuid import UUID

from csp.decorators import csp_update
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST, require_safe

from clerks import friends
from clerks.materials import arrivals, dwell, landing, links, viewers
from clerks.materials.arrivals import Asked
from clerks.materials.links import Found
from clerks.pages import lane
from members import identity
from retail import database, gate, org, scope, sso, together
from retail.models import Brand, Staff
from retail.wecom.models import App, apps_of

TRIED = "daogou_asked"  # the cookie of those whom WeCom was asked about lately
DAY = 86_400
IN_WECHAT = ("MicroMessenger/", "wxwork/")
WITHIN = timedelta(seconds=3)  # nobody waits longer for WeCom to say who they are
OBJECTED_SECONDS = 10 * 365 * DAY
View = Callable[..., HttpResponse]


def of_link(view: View) -> View:
    """For the page of a link that there is; all others are the same page that says no.

    Whoever has the code may see what is behind it, in whichever scope they are, or in none.
    """

    @wraps(view)
    def shown(request: HttpRequest, code: str, **kwargs: Any) -> HttpResponse:
        if lane.NOTHING in request.META:
            raise Http404
        found = links.find(code=code, address=gate.client_ip(request) or "", now=timezone.now())
        if found is None:
            raise Http404
        with scope.within(scope.EVERYTHING):
            return view(request, found, **kwargs)

    return shown


# ── Followed ─────────────────────────────────────────────────────────────────────────────────────────────────────────
@require_safe
@never_cache
@of_link
def link(request: HttpRequest, found: Found) -> HttpResponse:
    """The long way of `clerks.pages.lane`."""
    now = timezone.now()
    try:
        visitor = arrivals.note(_asked(request, found), found=found, now=now)
    except together.Away:
        return HttpResponse(
            _("现在打不开，请过一会儿再点一次。"), status=503, content_type="text/plain; charset=utf-8"
        )
    response = HttpResponse(status=302, headers={"Location": links.target(found, now=now)})
    return _keeping(response, request, visitor)


@require_safe
@never_cache
@csp_update({"media-src": ["'self'"]})
@of_link
def look(request: HttpRequest, found: Found) -> HttpResponse:
    """The page itself. Who comes to it by another way than its link (forwarded, kept) has opened it, too."""
    now = timezone.now()
    asked = _asked(request, found)
    visitor, begun = _begun(asked, found, now)
    if visitor is not None and (detour := _detour(request, found, visitor, now)):
        return detour
    page = landing.page(share_id=found.share_id, now=now)
    context = {
        "page": page,
        "code": found.code,
        "token": begun.token if begun else "",
        "address": request.build_absolute_uri(reverse("shared:link", args=[found.code])),
        "cover": request.build_absolute_uri(reverse("shared:cover", args=[found.code])) if page.pictures else "",
        "is_unseen": arrivals.OBJECTED in request.COOKIES,
    }
    return _keeping(render(request, "shared/look.html", context), request, visitor)


def _asked(request: HttpRequest, found: Found) -> Asked:
    return lane.asked(found.code, request.META, request.COOKIES, _staff_id(request))


def _staff_id(request: HttpRequest) -> int | None:
    if not request.user.is_authenticated:
        return None
    return Staff._base_manager.filter(user=request.user).values_list("pk", flat=True).first() or 0


def _begun(asked: Asked, found: Found, now: datetime) -> tuple[UUID | None, dwell.Begun | None]:
    """The browser, and the opening this page belongs to: that of a moment ago, else another one."""
    visitor = arrivals.visitor_of(asked.cookies)
    is_seen = asked.staff_id is None and visitor is not None and not arrivals.is_unseen(asked)
    begun = dwell.begun(share_id=found.share_id, visitor=visitor, now=now) if visitor and is_seen else None
    if begun is not None:
        return visitor, begun
    try:
        visitor = arrivals.note(asked, found=found, now=now)
    except together.Away:
        return None, None
    if visitor is None or asked.staff_id is not None:
        return visitor, None
    return visitor, dwell.begun(share_id=found.share_id, visitor=visitor, now=now)


def _keeping(response: HttpResponse, request: HttpRequest, visitor: UUID | None) -> HttpResponse:
    if visitor is not None:
        _keep(response, request, arrivals.VISITOR, str(visitor), arrivals.VISITOR_SECONDS)
    return response


def _keep(response: HttpResponse, request: HttpRequest, name: str, value: str, seconds: int) -> None:
    said: dict[str, Any] = {"max_age": seconds, "path": "/s/", "httponly": True, "samesite": "Lax"}
    response.set_cookie(name, value, secure=request.is_secure(), **said)


# ── Who it is ────────────────────────────────────────────────────────────────────────────────────────────────────────
def _detour(request: HttpRequest, found: Found, visitor: UUID, now: datetime) -> HttpResponse | None:
    """Once a day, where WeChat or WeCom can say who looks: there and back. Not for a browser that keeps no cookies."""
    agent = request.headers.get("User-Agent", "")
    is_new = arrivals.VISITOR not in request.COOKIES or TRIED in request.COOKIES
    if is_new or request.user.is_authenticated or not any(word in agent for word in IN_WECHAT):
        return None
    app = _app(found)
    if app is None or viewers.is_known(visitor):
        return None
    there = reverse("shared:look", args=[found.code])
    back = request.build_absolute_uri(reverse("shared:back", args=[found.code]))
    response = redirect(sso.begin(request=request, app=app, back=back, wanted=there, now=now, is_customer=True))
    _keep(response, request, TRIED, "1", DAY)
    return response


def _app(found: Found) -> App | None:
    corp = Brand.objects.filter(pk=found.brand_id).values_list("corp", flat=True).first()
    return apps_of(corp=corp).first() if corp else None


@require_safe
@never_cache
@of_link
def back(request: HttpRequest, found: Found) -> HttpResponse:
    """Here WeCom sends the browser. Whatever it says, and if it says nothing, the customer sees the page."""
    now, visitor = timezone.now(), arrivals.visitor_of(request.COOKIES)
    response = redirect("shared:look", code=found.code)
    _keep(response, request, TRIED, "1", DAY)  # also where they came here by another way
    if visitor is None or sso.BEGUN not in request.session or arrivals.OBJECTED in request.COOKIES:
        return response
    try:
        _recognise(visitor, sso.finish_for_customer(request=request, within=WITHIN, now=now), now)
    except sso.Refused:
        pass
    finally:
        if not request.user.is_authenticated:
            request.session.flush()  # it was for the way there and back only
    return response


def _recognise(visitor: UUID, customer: sso.Customer, now: datetime) -> None:
    if customer.userid:
        staff = org.staff_of_account(corp=customer.app.corp_id, userid=customer.userid)
        if staff is not None:
            viewers.remember_staff(visitor=visitor, staff_id=staff.pk, now=now)
    elif customer.external_userid:
        known = friends.key_of(corp=customer.app.corp_id, external_userid=customer.external_userid)
        with database.published(scope.EVERYTHING):
            member_id = identity.member_of(known)
        if member_id is not None:
            viewers.recognise(visitor=visitor, member_id=member_id, now=now)


# ── What the page tells, and who does not want it ────────────────────────────────────────────────────────────────────
@csrf_exempt  # the signed token in it is of this very page: no other site has one, and no cookie is looked at
@require_POST
def stay(request: HttpRequest, code: str) -> HttpResponse:
    """How long the page was in sight so far."""
    told = dwell.tell(token=request.POST.get("token", ""), seconds=request.POST.get("seconds", ""), now=timezone.now())
    return HttpResponse(status=204 if told else 400)


@require_POST
@never_cache
@of_link
def forget(request: HttpRequest, found: Found) -> HttpResponse:
    """「不要记录我」: what this browser opened is nobody's, and nothing is recorded of it any more."""
    if visitor := arrivals.visitor_of(request.COOKIES):
        viewers.forget(visitor=visitor)
    response = redirect("shared:look", code=found.code)
    response.delete_cookie(arrivals.VISITOR, path="/s/", samesite="Lax")
    _keep(response, request, arrivals.OBJECTED, "1", OBJECTED_SECONDS)
    return response
