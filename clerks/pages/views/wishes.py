"""联系意愿: what a customer asked to be left alone with: written down with one tap, taken back when they say so."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from clerks.pages.access import in_store
from clerks.pages.views.customer import shown
from members import consent
from members.models import Member, Stop


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@in_store
def wishes(request: HttpRequest, *, member_id: int) -> HttpResponse:
    """How it stands, as a page or as a piece of the customer's; `stop` and `lift` change it."""
    shown(request, member_id)  # or there is no such customer
    member, corp = Member._base_manager.get(pk=member_id), request.post.store.brand.corp
    if request.method == "POST":
        _act(request, member, corp)
        if not request.htmx:
            return redirect("clerks:wishes", member_id=member_id)
    state = consent.state(member=member, corp=corp)
    purposes = [(one.value, one.label) for one in Stop.Purpose if one not in {stop.purpose for stop in state.stops}]
    context = {"tab": "customers", "member": member, "state": state, "purposes": purposes}
    template = "clerks/customers/_wishes.html" if request.htmx else "clerks/customers/wishes.html"
    return render(request, template, context)


def _act(request: HttpRequest, member: Member, corp: str) -> None:
    """Raises Http404 for what the page does not offer."""
    now = timezone.now()
    if "lift" in request.POST:
        stops = consent.state(member=member, corp=corp).stops
        stop = next((one for one in stops if str(one.pk) == request.POST["lift"]), None)
        if stop is not None:  # else somebody was quicker
            consent.lift(stop=stop, by=request.user, now=now)
        return
    purpose = request.POST.get("stop")
    if purpose not in Stop.Purpose.values:
        raise Http404
    consent.stop(member=member, corp=corp, purpose=purpose, by=request.user, now=now)
