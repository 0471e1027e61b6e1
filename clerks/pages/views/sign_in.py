"""The demo's way in: pick a clerk. Outside the demo this page does not exist."""

from datetime import datetime

from django.conf import settings
from django.core.paginator import Paginator
from django.db.models import Count, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from retail.models import Employment, Post

PER_PAGE = 30


@require_safe
def sign_in(request: HttpRequest) -> HttpResponse:
    """The stores, one store's clerks (`store`), or those who fit `q`; a tap on one goes through the demo's door."""
    if not settings.DEMO:
        raise Http404
    clerks, store, wanted = _clerks(timezone.now()), request.GET.get("store", ""), _words(request)
    if store.isdecimal():
        clerks = clerks.filter(store=store)
    elif wanted:
        named = Q(staff__name__icontains=wanted) | Q(staff__code__icontains=wanted)
        clerks = clerks.filter(named | Q(store__name__icontains=wanted))
    else:
        stores = clerks.order_by("store__code").values("store", "store__name").annotate(clerks=Count("pk"))
        return render(request, _template(request, "_stores"), {"stores": stores, "part": "_stores"})
    page = Paginator(clerks, PER_PAGE).get_page(request.GET.get("page"))
    context = {"page": page, "store": store, "wanted": wanted, "part": "_clerks"}
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
