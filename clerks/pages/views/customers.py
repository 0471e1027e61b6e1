"""顾客:  my own customers, as a list and searched for."""

from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from clerks import customers as book
from clerks.pages.access import in_store

PER_PAGE = 20


@require_safe
@in_store
def customers(request: HttpRequest) -> HttpResponse:
    """My customers: the next of them for htmx, else a page."""
    wanted, now = _wanted(request.GET), timezone.now()
    page = book.page(post=request.post, wanted=wanted, below=_mark(request, wanted), limit=PER_PAGE, now=now)
    context = {"tab": "customers", "page": page, "query": _query(request.GET)}
    if request.htmx and "below" in request.GET:
        return render(request, "clerks/customers/_list.html", context)
    context |= _beside(request, wanted)
    return render(request, "clerks/customers/page.html", context)


@require_POST
@never_cache
@in_store
def search(request: HttpRequest) -> HttpResponse:
    """Own customers by name, tag or the end of a number. What is typed travels in the body: addresses are logged."""
    text, said, found = request.POST.get("q", ""), "", None
    try:
        found = book.find(post=request.post, text=text, by=request.user, now=timezone.now())
    except book.Refused as refusal:
        said = str(refusal)
    context = {"tab": "customers", "found": found, "said": said, "text": text[:64]}
    if request.htmx:
        return render(request, "clerks/customers/_found.html", context)
    return render(request, "clerks/customers/page.html", context | _beside(request, book.Wanted()))


def _beside(request: HttpRequest, wanted: book.Wanted) -> dict[str, Any]:
    """What to sort and to filter by."""
    choices = book.choices(post=request.post)
    friends = {code: words for code, (words, _rows) in book.FRIENDS.items()}
    sorts = {code: sort.words for code, sort in book.SORTS.items()}
    return {"wanted": wanted, "choices": choices, "friends": friends, "sorts": sorts, "dormant": settings.DORMANT_DAYS}


def _wanted(given: QueryDict) -> book.Wanted:
    """What the address asks for. Raises Http404 for what the page never writes."""
    sort, friend = given.get("sort") or "bought", given.get("friend", "")
    if sort not in book.SORTS or (friend and friend not in book.FRIENDS):
        raise Http404
    numbers = [_number(given.get(name, "")) for name in ("tier", "tag")]
    return book.Wanted(sort, friend, *numbers, given.get("dormant") == "1")


def _number(text: str) -> int:
    if text and not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise Http404
    return int(text or 0)


def _query(given: QueryDict) -> str:
    """The choices of this address, for that of the next page."""
    kept = given.copy()
    kept.pop("below", None)
    return kept.urlencode()


def _mark(request: HttpRequest, wanted: book.Wanted) -> book.Mark | None:
    text = request.GET.get("below", "")
    try:
        return book.Mark.parse(text, sort=book.SORTS[wanted.sort]) if text else None
    except (ValueError, OverflowError, RecursionError):
        raise Http404
