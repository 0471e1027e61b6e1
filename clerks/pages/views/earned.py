"""收入:  a month by day, a day by sale, and one sale explained."""

from contextlib import suppress
from datetime import date
from typing import Any, NamedTuple

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from clerks.outreach import disputes as doubts
from clerks.pages import cards
from clerks.pages.access import in_store
from clerks.pages.paging import PER_PAGE, start
from commissions import disputes, earnings, explain, statements
from commissions.action_words import ActionStory
from commissions.explain import Story
from commissions.models import Dispute
from retail import scope
from retail.models import OrderLine, Post


@require_safe
@in_store
def month(request: HttpRequest) -> HttpResponse:
    """The days of one month; each opens its sales in place."""
    today, staff_id = timezone.localdate(), request.post.staff_id
    newest = today.replace(day=1)
    first = min(_month(request.GET.get("month", "")) or newest, newest)
    oldest = earnings.first_month(staff_id=staff_id)
    context = {
        "tab": "earnings",
        "first": first,
        "month": earnings.month(staff_id=staff_id, first=first, today=today),
        "performances": earnings.performances(staff_id=staff_id, store_id=_managed(request), first=first),
        "rewards": earnings.rewards(staff_id=staff_id, first=first, today=today),
        "earlier": earnings.previous_month(first) if oldest and oldest < first else None,
        "later": earnings.next_month(first) if first < newest else None,
    }
    return render(request, "clerks/month.html", context)


@require_safe
@in_store
def day(request: HttpRequest, *, day: date) -> HttpResponse:
    """The sales of one day: the next of them for htmx, else a page of their own."""
    page = earnings.sales(
        staff_id=request.post.staff_id, today=timezone.localdate(), day=day, below=_mark(request), limit=PER_PAGE
    )
    context = {"tab": "earnings", "day": day, "cards": cards.of(page.sales), "mark": page.mark}
    return render(request, "clerks/_sales_of_day.html" if request.htmx else "clerks/day.html", context)


@require_safe
@in_store
def attained(request: HttpRequest, *, attained_id: int) -> HttpResponse:
    """How a bonus comes about, step by step, and when what of it was booked; 404 where it is somebody else's."""
    staff_id = request.post.staff_id
    found = earnings.performance(attained_id=attained_id, staff_id=staff_id, store_id=_managed(request))
    if found is None:
        raise Http404(_("没有这份业绩，或者它不是您的。"))
    context = {
        "tab": "earnings",
        "performance": found,
        "steps": explain.steps_of(found.scale, found.row.sales_fen),
        "bonuses": earnings.bonuses(row=found.row, staff_id=staff_id),
    }
    return render(request, "clerks/attained.html", context)


def _managed(request: HttpRequest) -> int | None:
    """The store whose figures are this person's business."""
    post = request.post
    return post.store_id if post.role == Post.Role.STORE_MANAGER else None


class Deed(NamedTuple):
    """One thing the person did, and with whom."""

    story: ActionStory
    customer: str


@require_safe
@in_store
def actions(request: HttpRequest) -> HttpResponse:
    """行为奖励 of one month: every friend, every customer woken, with what it brought or why nothing."""
    today, staff_id = timezone.localdate(), request.post.staff_id
    newest = today.replace(day=1)
    first = min(_month(request.GET.get("month", "")) or newest, newest)
    offset = start(request)
    stories = earnings.actions(staff_id=staff_id, first=first, today=today, offset=offset, limit=PER_PAGE + 1)
    names = cards.names_of({story.event.customer for story in stories if story.event.customer})
    deeds = [Deed(story, names.get(story.event.customer or 0) or _("顾客")) for story in stories[:PER_PAGE]]
    context = {
        "tab": "earnings",
        "first": first,
        "deeds": deeds,
        "rewards": earnings.rewards(staff_id=staff_id, first=first, today=today),
        "more": offset + PER_PAGE if len(stories) > PER_PAGE else None,
    }
    return render(request, "clerks/_deeds.html" if request.htmx else "clerks/actions.html", context)


class LineStory(NamedTuple):
    """One line of the sale with what it brought the person and what refunds took; nothing, for some lines.

    `cases`: what the person doubted about it, with the answers.
    """

    line: OrderLine
    stories: list[Story]
    cases: list[Dispute]
    is_in_time: bool

    @property
    def fen(self) -> int:
        return sum(story.fen for story in self.stories)

    @property
    def may_dispute(self) -> bool:
        return self.is_in_time and not any(case.is_open for case in self.cases) and len(self.cases) < disputes.TIMES


class Doubt(NamedTuple):
    """What the person wrote and why it was not taken."""

    line_id: int
    reason: str
    error: str


@require_safe
@in_store
def sale(request: HttpRequest, *, order_id: int) -> HttpResponse:
    """One sale, each fen of it explained; 404 where the person has no part in it."""
    return _sale(request, order_id)


@require_POST
@in_store
def dispute(request: HttpRequest, *, order_id: int, line_id: int) -> HttpResponse:
    """有疑问: what the line brought is not paid until somebody has answered."""
    reason = request.POST.get("reason", "")
    given = {"order_id": order_id, "line_id": line_id, "reason": reason, "by": request.user, "now": timezone.now()}
    try:
        doubts.open_line(staff=request.post.staff, **given)
    except disputes.Refused as refusal:
        return _sale(request, order_id, Doubt(line_id, reason, str(refusal)))
    return redirect("clerks:sale", order_id=order_id)


def _sale(request: HttpRequest, order_id: int, doubt: Doubt | None = None) -> HttpResponse:
    found = earnings.sale(staff_id=request.post.staff_id, order_id=order_id, today=timezone.localdate())
    if found is None:
        raise Http404(_("没有这笔成交，或者它不是您的。"))
    (card,) = cards.of([found])
    cases = list(doubts.as_told(Dispute.objects.filter(staff=request.post.staff_id, order=found.order)))
    context = {
        "tab": "earnings",
        "card": card,
        "lines": _told(found, cases),
        "doubt": doubt,
        "doubted": _doubted(found, cases, request.post.staff_id),
        "paid_at": statements.paid_at(entries=found.entries) if found.state == "paid" else None,
        "is_on_its_way": statements.is_on_its_way(entries=found.entries),
    }
    return render(request, "clerks/sale.html", context, status=409 if doubt else 200)


def _doubted(sale: earnings.Sale, cases: list[Dispute], staff_id: int) -> disputes.Doubted | None:
    """What becomes of the money of a sale that is doubted, as far as its periods are closed; None if nobody doubts."""
    if sale.state != "frozen" and not any(case.is_open for case in cases):
        return None
    periods = [entry.period_booked for entry in sale.entries if entry.period_booked]
    return disputes.doubted_of(periods=periods, staff_id=staff_id)


def _told(sale: earnings.Sale, cases: list[Dispute]) -> list[LineStory]:
    """Every line of a sale, those that brought something first."""
    is_in_time = disputes.is_in_time(entries=sale.entries, now=timezone.now())
    # The person may see this sale; that it was found says so. Its lines and its rules belong to nobody.
    with scope.within(scope.EVERYTHING):
        stories = explain.of_entries(sale.entries)
        lines = sale.order.lines.select_related("product").order_by("pk")
        told = [
            LineStory(
                line,
                [story for story in stories if story.entry.line_id == line.pk],
                [case for case in cases if case.line_id == line.pk],
                is_in_time,
            )
            for line in lines
        ]
    return sorted(told, key=lambda line: not line.stories)


def _month(text: str) -> date | None:
    """The first day of "2026-11"; None for anything else."""
    with suppress(ValueError):
        return date.fromisoformat(f"{text}-01") if text.startswith("20") else None
    return None


def _mark(request: HttpRequest) -> earnings.Mark | None:
    text: Any = request.GET.get("below")
    if not text:
        return None
    try:
        return earnings.Mark.parse(text)
    except ValueError:
        raise Http404
