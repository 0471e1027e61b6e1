"""结算单: what each closed period owed the person, what it is made of, and their word that it is right, or is not."""

from typing import NamedTuple

from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from clerks.outreach import disputes as doubts
from clerks.pages import cards
from clerks.pages.access import in_store
from clerks.pages.paging import PER_PAGE, start
from commissions import closing, disputes, limits
from commissions import statements as behind
from commissions.models import Dispute, Entry, PayTerms, Statement

KINDS = dict(Entry.Kind.choices)


class Row(NamedTuple):
    """One thing a statement adds up, and who bought; `buyer` is empty where it comes of no sale."""

    booked: behind.Booked
    buyer: str


class Part(NamedTuple):
    label: str
    fen: int


@require_safe
@in_store
def every(request: HttpRequest) -> HttpResponse:
    """All of them, newest first: one or two a month, so they fit on a page for years."""
    owed = behind.debt(staff_id=request.post.staff_id, today=timezone.localdate())
    context = {"tab": "earnings", "statements": _own(request)[:120], "owed_fen": owed}
    return render(request, "clerks/statements.html", context)


@require_safe
@in_store
def one(request: HttpRequest, *, statement_id: int) -> HttpResponse:
    """One statement with what it is made of; more of its sales for htmx. 404 where it is somebody else's."""
    statement = _found(request, statement_id)
    if request.htmx:
        return render(request, "clerks/_booked.html", {"statement": statement, **_booked(request, statement)})
    return _page(request, statement)


@require_POST
@in_store
def confirm(request: HttpRequest, *, statement_id: int) -> HttpResponse:
    statement = _found(request, statement_id)
    if not _cases(statement).open().exists():
        closing.confirm(statement=statement, now=timezone.now())
    return redirect("clerks:statement", statement_id=statement.pk)


@require_POST
@in_store
def dispute(request: HttpRequest, *, statement_id: int) -> HttpResponse:
    """有疑问 about all of it: nothing of it is paid until somebody has answered."""
    statement = _found(request, statement_id)
    reason = request.POST.get("reason", "")
    try:
        doubts.open_statement(statement=statement, reason=reason, by=request.user, now=timezone.now())
    except disputes.Refused as refusal:
        return _page(request, statement, error=str(refusal), reason=reason)
    return redirect("clerks:statement", statement_id=statement.pk)


@require_POST
@in_store
def withdraw(request: HttpRequest, *, dispute_id: int) -> HttpResponse:
    """To somebody else's there is nothing here."""
    row = Dispute.objects.filter(pk=dispute_id, staff=request.post.staff_id).first()
    if row is None:
        raise Http404
    if row.is_open and not doubts.waiting(row):
        disputes.withdraw(dispute=row, by=request.user, now=timezone.now())
    if row.order_id is None:
        return redirect("clerks:statement", statement_id=row.statement_id)
    return redirect("clerks:sale", order_id=row.order_id)


def _booked(request: HttpRequest, statement: Statement) -> dict[str, object]:
    """The sales and rewards behind it, a page of them."""
    offset = start(request)
    found = behind.booked(statement=statement, limit=PER_PAGE + 1, offset=offset)
    names = cards.buyers({one.order_id for one in found if one.order_id})
    rows = [Row(one, names.get(one.order_id, _("顾客")) if one.order_id else "") for one in found[:PER_PAGE]]
    return {"rows": rows, "more": offset + PER_PAGE if len(found) > PER_PAGE else None}


def _page(request: HttpRequest, statement: Statement, error: str = "", reason: str = "") -> HttpResponse:
    cases = list(doubts.as_told(_cases(statement)))
    last = disputes.last_moment(
        periods=[statement.period], terms=PayTerms.of(brand_id=statement.period.brand_id)
    )  # fmt: skip
    owed = limits.balances(staff_ids=[statement.staff_id], brand_id=statement.period.brand_id)
    is_doubted, is_done = any(case.is_open for case in cases), statement.confirmed_at or statement.paid_fen
    context = {
        "tab": "earnings",
        "statement": statement,
        "parts": [Part(str(KINDS[kind]), statement.kinds[kind]) for kind in KINDS if statement.kinds.get(kind)],
        "advanced_fen": owed.get((statement.staff_id, statement.payer_id), 0),
        "is_capped": Entry.Kind.CAP_HOLD in statement.kinds,
        "corrections": behind.corrections(statement=statement),
        "doubted": disputes.doubted(period=statement.period, staff_id=statement.staff_id).get(statement.pk),
        **_booked(request, statement),
        "cases": cases,
        "may_confirm": not is_doubted and not is_done,
        "may_dispute": not is_doubted and not is_done and len(cases) < disputes.TIMES
        and (last is None or timezone.now() <= last),
        "until": last,
        "error": error,
        "reason": reason,
    }  # fmt: skip
    return render(request, "clerks/statement.html", context, status=409 if error else 200)


def _own(request: HttpRequest) -> QuerySet[Statement]:
    rows = Statement.objects.filter(staff=request.post.staff_id).with_batched().prefetch_related("payouts__batch")
    return rows.select_related("period__brand", "payer", "staff").order_by("-period__starts_on", "pk")


def _cases(statement: Statement) -> QuerySet[Dispute]:
    return Dispute.objects.filter(statement=statement, staff=statement.staff_id).order_by("pk")


def _found(request: HttpRequest, statement_id: int) -> Statement:
    statement = _own(request).filter(pk=statement_id).first()
    if statement is None:
        raise Http404(_("没有这张结算单，或者它不是您的。"))
    return statement
