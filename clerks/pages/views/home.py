"""The first page: what waits for me, three figures and the latest sales."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from clerks.leads import cards as leads
from clerks.models import Notice
from clerks.outreach import help
from clerks.pages import cards
from clerks.pages.access import in_store
from commissions import earnings

LATEST = 10


@require_safe
@in_store
def home(request: HttpRequest) -> HttpResponse:
    today, staff_id = timezone.localdate(), request.post.staff_id
    page = earnings.sales(staff_id=staff_id, today=today, limit=LATEST)
    context = {
        "tab": "home",
        "unread": Notice._base_manager.filter(staff=staff_id, read_at=None).count(),
        "asked_of_me": help.waiting_for(post=request.post),
        "today": today,
        "summary": earnings.summary(staff_id=staff_id, today=today),
        "cards": cards.of(page.sales),
        "has_more": page.mark is not None,
        "board": leads.board(post=request.post, now=timezone.now()),
    }
    return render(request, "clerks/home.html", context)
