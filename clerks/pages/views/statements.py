"""结算单: what each closed month owed the person, and their word that it is right."""

from typing import NamedTuple

from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from clerks.pages.access import in_store
from commissions import closing, limits
from commissions.models import Entry, Statement

KINDS = dict(Entry.Kind.choices)


class Part(NamedTuple):
    label: str
    fen: int


@require_safe
@in_store
def every(request: HttpRequest) -> HttpResponse:
    """All of them, newest first: one a month, so they fit on a page for years."""
    return render(request, "clerks/statements.html", {"tab": "earnings", "statements": _own(request)[:120]})


@require_safe
@in_store
def one(request: HttpRequest, *, statement_id: int) -> HttpResponse:
    """One statement with what it is made of; 404 where it is somebody else's."""
    statement = _found(request, statement_id)
    parts = [Part(str(KINDS[kind]), statement.kinds[kind]) for kind in KINDS if statement.kinds.get(kind)]
    owed = limits.balances(staff_ids=[statement.staff_id], brand_id=statement.period.brand_id)
    context = {
        "tab": "earnings",
        "statement": statement,
        "parts": parts,
        "advanced_fen": owed.get((statement.staff_id, statement.payer_id), 0),
        "is_capped": Entry.Kind.CAP_HOLD in statement.kinds,
    }
    return render(request, "clerks/statement.html", context)


@require_POST
@in_store
def confirm(request: HttpRequest, *, statement_id: int) -> HttpResponse:
    statement = _found(request, statement_id)
    closing.confirm(statement=statement, now=timezone.now())
    return redirect("clerks:statement", statement_id=statement.pk)


def _own(request: HttpRequest) -> QuerySet[Statement]:
    rows = Statement.objects.filter(staff=request.post.staff_id)
    return rows.select_related("period__brand", "payer", "batch").order_by("-period__starts_on", "pk")


def _found(request: HttpRequest, statement_id: int) -> Statement:
    statement = _own(request).filter(pk=statement_id).first()
    if statement is None:
        raise Http404(_("没有这张结算单，或者它不是您的。"))
    return statement
