"""The page beside a chat in WeCom: who this customer is, and words to send them with one tap.

WeCom's client tells the page which customer it stands beside, and the page asks us; the client's answer travels in the
body of a POST, since addresses end up in logs.
"""

from datetime import datetime

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from clerks import portraits
from clerks.materials import scripts as library
from clerks.pages import scripts, wecom
from clerks.pages.access import in_store
from clerks.pages.views import leads
from members import identity
from retail import database, privacy, scope
from retail.wecom import js_sdk
from retail.wecom.errors import WeComError

MOST_REPLIES = 10


@require_safe
@never_cache
@in_store
def sidebar(request: HttpRequest) -> HttpResponse:
    """The frame; the customer is filled in once the client has said who it is."""
    return render(request, "clerks/sidebar/page.html", {"app": wecom.app_of(request)})


@require_POST
@never_cache
@in_store
def customer(request: HttpRequest) -> HttpResponse:
    """The portrait of `external_userid`: whole, or that they are a colleague's, or that we do not know them yet."""
    app, given = wecom.app_of(request), request.POST.get("external_userid", "")
    member_id = _member_id(app.corp_id, given) if app else None
    if member_id is None:
        return render(request, "clerks/sidebar/_stranger.html", {"app": app})
    now = timezone.now()
    relation, portrait = portraits.of_post(post=request.post, member_id=member_id, now=now)
    if portrait is None:
        return render(request, "clerks/sidebar/_colleague.html", {"relation": relation, "now": now})
    coupon = portrait.coupons[0].name if portrait.coupons else ""
    said = scripts.of(post=request.post, name=portrait.given_name, coupon=coupon, now=now)
    context = {"portrait": portrait, "scripts": said, "replies": _replies(request, portrait, coupon, now), "app": app}
    context |= portraits.standing(portrait, now=now)._asdict()
    context |= leads.beside(request, portrait=portrait, now=now)
    return render(request, "clerks/sidebar/_customer.html", context)


def _replies(request: HttpRequest, portrait: portraits.Portrait, coupon: str, now: datetime) -> list[scripts.Script]:
    """The clerk's own, newest first, with this customer's names in them."""
    names = library.names_for(post=request.post, customer=portrait.given_name, coupon=coupon)
    rows = library.own(post=request.post, now=now)[:MOST_REPLIES]
    return [scripts.Script(row.name, library.fill(text, names), row.pk) for row, text in rows]


def _member_id(corp: str, external_userid: str) -> int | None:
    try:
        known = privacy.normalised(privacy.Known("external_userid", corp, external_userid))
    except privacy.BadValue:
        return None
    # The second net shows clerks no identities at all; what of this member they may see is asked next.
    with database.published(scope.EVERYTHING):
        return identity.member_of(known)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@in_store
def signatures(request: HttpRequest) -> HttpResponse:
    """The two signatures of the page `url`, which must be one of the phone's.

    A POST says that WeCom's client took neither (`config`, `agentConfig`: nonce, timestamp and signature of each), and
    is answered with 200 where it is worth while to ask for others.
    """
    app, given = wecom.app_of(request), request.POST if request.method == "POST" else request.GET
    url, phone = given.get("url", ""), f"://{request.get_host()}{reverse('clerks:home')}"
    if app is None or not url.startswith((f"https{phone}", f"http{phone}")):
        return JsonResponse({"said": _("这一页不能用企业微信的功能。")}, status=404)
    now = timezone.now()
    try:
        if request.method != "POST":
            return JsonResponse(js_sdk.signed(app=app, url=url, now=now))
        is_renewed = js_sdk.renew(app=app, url=url, refused=_refused(request), now=now)
    except WeComError:
        return JsonResponse({"said": _("企业微信没有回应，请过一会儿再试。")}, status=503)
    return JsonResponse({}, status=200 if is_renewed else 409)


def _refused(request: HttpRequest) -> dict[str, js_sdk.Signature]:
    """What of a report is a signature, in shape."""
    found = {}
    for kind in ("config", "agentConfig"):
        match request.POST.get(kind, "").split(" "):
            case [nonce, timestamp, signature]:
                found[kind] = nonce, timestamp, signature
    return found
