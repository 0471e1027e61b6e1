"""The ways in: through WeCom; in the demo also by picking a clerk."""

from collections.abc import Sequence
from datetime import datetime
from urllib.parse import parse_qs, urlsplit

from django.conf import settings
from django.core.paginator import Paginator
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from clerks.pages.access import may_open
from retail import gate, sso
from retail.models import Employment, Post
from retail.wecom.models import App

PER_PAGE = 30
HOME = "/m/"


@require_safe
@never_cache
def sign_in(request: HttpRequest) -> HttpResponse:
    """Through WeCom: right away inside it, else with one tap (`app`). `next` is where to go on.

    In the demo also the stores, one store's clerks (`store`), or those who fit `q`; a tap opens the demo's door.
    """
    apps, wanted = sso.apps(), sso.local_path(request.GET.get("next", ""), below=HOME)
    is_here = request.user.is_authenticated and request.post and may_open(post=request.post, path=wanted)
    if is_here and not settings.DEMO:
        return redirect(wanted)
    if app := _chosen(request, apps, wanted):
        back, now = request.build_absolute_uri(reverse("clerks:sign_in_back")), timezone.now()
        return redirect(sso.begin(request=request, app=app, back=back, wanted=wanted, now=now))
    if settings.DEMO:
        return _picker(request, apps)
    if not apps:
        return _refusal(request, sso.Refused("no_app"))
    return render(request, "clerks/sign_in/wecom.html", {"apps": apps, "wanted": wanted})


def _chosen(request: HttpRequest, apps: Sequence[App], wanted: str) -> App | None:
    """The application to sign in through without asking: the one named, or, inside WeCom, the one there is."""
    by_slug = {app.slug: app for app in apps}
    if named := by_slug.get(request.GET.get("app", "")):
        return named
    if not sso.is_in_wecom(request):
        return None
    (slug,) = parse_qs(urlsplit(wanted).query).get("app", [""])[:1]
    return by_slug.get(slug) or (apps[0] if len(apps) == 1 else None)


@require_safe
@never_cache
def back(request: HttpRequest) -> HttpResponse:
    """Here WeCom sends the browser with `code` and `state`."""
    try:
        arrival = sso.finish(request=request, now=timezone.now())
        post = next((post for post in arrival.posts if may_open(post=post, path=arrival.wanted)), None)
        if post is None:
            raise sso.Refused("elsewhere")
    except sso.Refused as refused:
        return _refusal(request, refused)
    gate.enter(request=request, post=post, way="wecom", now=timezone.now())
    request.session[sso.APP] = arrival.app.slug
    return redirect(arrival.wanted)


def _refusal(request: HttpRequest, refused: sso.Refused) -> HttpResponse:
    status, title, text = sso.REFUSALS[refused.reason]
    context = {"title": title, "text": text, "userid": refused.userid, "can_retry": refused.reason != "no_app"}
    return render(request, "clerks/sign_in/refused.html", context, status=status)


# ── The demo's picker ────────────────────────────────────────────────────────────────────────────────────────────────
def _picker(request: HttpRequest, apps: Sequence[App]) -> HttpResponse:
    clerks, store, wanted = _clerks(timezone.now()), request.GET.get("store", ""), _words(request)
    if store.isdecimal():
        clerks = clerks.filter(store=store)
    elif wanted:
        named = Q(staff__name__icontains=wanted) | Q(staff__code__icontains=wanted)
        clerks = clerks.filter(named | Q(store__name__icontains=wanted))
    else:
        stores = clerks.order_by("store__code").values("store", "store__name").annotate(clerks=Count("pk"))
        return render(request, _template(request, "_stores"), {"stores": stores, "part": "_stores", "apps": apps})
    page = Paginator(clerks, PER_PAGE).get_page(request.GET.get("page"))
    context = {"page": page, "store": store, "wanted": wanted, "part": "_clerks", "apps": apps}
    return render(request, _template(request, "_clerks"), context)


def _words(request: HttpRequest) -> str:
    return request.GET.get("q", "").replace("\x00", "").strip()


def _template(request: HttpRequest, part: str) -> str:
    return f"clerks/sign_in/{part}.html" if request.htmx else "clerks/sign_in/page.html"


def _clerks(now: datetime) -> QuerySet[Post]:
    """The posts of clerks employed now, by store and number."""
    employed = Employment.objects.at(now)
    posts = Post.objects.at(now).filter(role=Post.Role.CLERK, staff__employments__in=employed)
    return posts.select_related("staff", "store").order_by("store__code", "staff__code", "pk")
