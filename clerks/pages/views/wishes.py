"""联系意愿: what a customer asked to be left alone with: written down with one tap, taken back when they say so."""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from clerks.pages.access import in_store
from clerks.pages.views.customer import shown
from members import consent
from members.models import Member, Stop

# Where the customer said that they may be contacted again.
HOW = {"shop": _("当面说的"), "wecom": _("在企业微信里说的"), "phone": _("在电话里说的")}


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
    context = {"tab": "customers", "member": member, "state": state, "how": HOW, **_offered(state)}
    template = "clerks/customers/_wishes.html" if request.htmx else "clerks/customers/wishes.html"
    return render(request, template, context)


def _offered(state: consent.State) -> dict[str, Any]:
    """What is not wished yet: the usual wishes, a button each, and for one way of contact alone a choice of both."""
    said = {(stop.channel, stop.purpose) for stop in state.stops}
    left = [(purpose, Stop(purpose=purpose).words) for purpose in Stop.Purpose.values if ("", purpose) not in said]
    ways = [(one.value, one.label) for one in Stop.Channel if one.value] if ("", "") not in said else []
    return {"usual": left, "ways": ways}


def _act(request: HttpRequest, member: Member, corp: str) -> None:
    """Raises Http404 for what the page does not offer."""
    now = timezone.now()
    if "lift" in request.POST:
        stops = consent.state(member=member, corp=corp).stops
        stop = next((one for one in stops if str(one.pk) == request.POST["lift"]), None)
        how = request.POST.get("how", "")
        if how not in HOW:
            raise Http404
        if stop is not None:  # else somebody was quicker
            consent.lift(stop=stop, by=request.user, now=now, said=str(HOW[how]))
        return
    channel, purpose = request.POST.get("channel", ""), request.POST.get("stop")
    if purpose not in Stop.Purpose.values or channel not in Stop.Channel.values:
        raise Http404
    consent.stop(member=member, corp=corp, channel=channel, purpose=purpose, by=request.user, now=now)
