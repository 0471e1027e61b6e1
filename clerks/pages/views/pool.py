"""公海:  the customers of the store who are nobody's, and taking one over.

Whoever has not claimed them learns what it takes to decide, and not who they are.
"""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from clerks import pool
from clerks.pages.access import in_store
from clerks.pages.paging import PER_PAGE, start


@require_safe
@never_cache
@in_store
def every(request: HttpRequest) -> HttpResponse:
    """The pool of my store, a page at a time."""
    return _page(request, start(request))


@require_POST
@never_cache
@in_store
def claim(request: HttpRequest, *, member_id: int) -> HttpResponse:
    """认领: for htmx the row with what became of it; else to the customer, or back to the list with why not."""
    now, said = timezone.now(), ""
    try:
        pool.claim(post=request.post, member_id=member_id, by=request.user, now=now)
    except pool.Refused as refusal:
        said = str(refusal)
    if request.htmx:
        may = pool.allowance(post=request.post, now=now)
        return render(request, "clerks/pool/_claimed.html", {"member_id": member_id, "said": said, "may": may})
    return _page(request, 0, said=said) if said else redirect("clerks:customer", member_id=member_id)


def _page(request: HttpRequest, since: int, *, said: str = "") -> HttpResponse:
    now = timezone.now()
    found = pool.page(post=request.post, start=since, limit=PER_PAGE, now=now)
    context: dict[str, Any] = {"tab": "customers", "found": found[:PER_PAGE], "said": said}
    context["more"] = since + PER_PAGE if len(found) > PER_PAGE else 0
    context["may"] = pool.allowance(post=request.post, now=now)
    if request.htmx and since:
        return render(request, "clerks/pool/_list.html", context)
    return render(request, "clerks/pool/page.html", context, status=409 if said else 200)
