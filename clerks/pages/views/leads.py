"""线索: whom to talk to today, best first; one of them, and the three things one does about it; the store's pool."""

from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from clerks import portraits
from clerks.leads import cards, dealing, kinds, rules, sieve, watching
from clerks.leads.models import Lead
from clerks.pages import scripts, wecom
from clerks.pages.access import in_store
from members.models import Member
from retail import audit, database, privacy, scope
from retail.models import Post

LATER = timedelta(hours=3)
POOL_SHOWN = 30


# ── Pages ────────────────────────────────────────────────────────────────────────────────────────────────────────────
@require_safe
@never_cache
@in_store
def every(request: HttpRequest) -> HttpResponse:
    """The list of today."""
    now, post = timezone.now(), request.post
    board = cards.board(post=post, now=now)
    policy = rules.of(post.store.brand)
    context = {
        "tab": "home",
        "board": board,
        "rows": scripts.advise(post=post, cards=board.cards, now=now),
        "pooled": dealing.pool(post=post, now=now).count(),
        "is_on": policy.is_on,
        "is_quiet": not policy.quiet_until <= timezone.localtime(now).hour < policy.quiet_from,
        "policy": policy,
        "app": wecom.app_of(request),
        "refusals": Lead.Refusal.choices,
        "now": now,
    }
    return render(request, "clerks/leads/list.html", context)


@require_safe
@never_cache
@in_store
def one(request: HttpRequest, *, lead_id: int) -> HttpResponse:
    """One lead of mine. To open it is to have seen it."""
    lead, now = _mine(request, lead_id), timezone.now()
    if request.method == "GET":
        dealing.view(lead=lead, now=now)
    card = cards.of_lead(post=request.post, lead=lead, now=now)
    seen = portraits.of_post(post=request.post, member_id=lead.member_id, now=now)
    (advice,) = scripts.advise(post=request.post, cards=[card], now=now)
    context = {
        "tab": "home",
        "card": card,
        "script": advice.script,
        "material": advice.material,
        "app": wecom.app_of(request),
        "refusals": Lead.Refusal.choices,
        "is_waiting": lead.state in Lead.WAITING and lead.expires_at > now,
        "is_seen": seen.portrait is not None,
        "withdrawn_for": sieve.WORDS.get(lead.withdrawn_for, ""),
        "now": now,
    }
    return render(request, "clerks/leads/one.html", context)


@require_safe
@never_cache
@in_store
def pool(request: HttpRequest) -> HttpResponse:
    """What colleagues of my store did not get to, to be claimed. Names are told to who claims."""
    return _pool(request)


def _pool(request: HttpRequest, said: str = "") -> HttpResponse:
    now = timezone.now()
    leads = list(dealing.pool(post=request.post, now=now).select_related("product")[:POOL_SHOWN])
    asked: dict[str, Any] = {
        "staff_id": request.post.staff_id,
        "policy": rules.of(request.post.store.brand),
        "now": now,
    }
    rows = [(lead, kinds.sentences(lead, now=now), dealing.is_barred(lead=lead, **asked)) for lead in leads]
    context = {"tab": "home", "rows": rows, "said": said}
    return render(request, "clerks/leads/pool.html", context, status=409 if said else 200)


@require_safe
@never_cache
@in_store
def team(request: HttpRequest) -> HttpResponse:
    """Who of the store works the leads; for its manager."""
    if request.post.role != Post.Role.STORE_MANAGER:
        raise PermissionDenied(_("这里是店长看全店跟进情况的地方。"))
    context = {"tab": "home", "days": watching.TEAM_DAYS}
    context |= {"rows": watching.team(store_id=request.post.store_id, now=timezone.now())}
    return render(request, "clerks/leads/team.html", context)


def beside(request: HttpRequest, *, portrait: portraits.Portrait, now: datetime) -> dict[str, Any]:
    """Beside a customer: what there is to do about them today, else why there is nothing."""
    post = request.post
    card = cards.of_customer(post=post, member_id=portrait.member_id, now=now)
    if card is None:
        why = sieve.why(brand=post.store.brand, member_id=portrait.member_id, now=now)
        return {"lead_why": sieve.WORDS.get(why, ""), "lead_scripts": []}
    (advice,) = scripts.advise(post=post, cards=[card], now=now)
    return {"lead_card": card, "lead_scripts": [advice.script], "lead_material": advice.material}


# ── What is done ─────────────────────────────────────────────────────────────────────────────────────────────────────
@require_POST
@never_cache
@in_store
def contact(request: HttpRequest, *, lead_id: int) -> HttpResponse:
    """联系: what WeCom's client calls the customer, to open the chat with; that they were sought is written down."""
    lead, now, app = _mine(request, lead_id), timezone.now(), wecom.app_of(request)
    if app is None:
        return JsonResponse({"said": _("还没有接入企业微信。")}, status=409)
    try:
        # The second net shows clerks no identities; that this one is theirs for now has just been found.
        with database.published(scope.EVERYTHING):
            friend = dealing.touch(lead=lead, by=request.post.staff, now=now)
            named = privacy.reveal(friend.key)
    except dealing.Refused as refusal:
        return JsonResponse({"said": str(refusal)}, status=409)
    audit.record(by=request.user, action="open_chat", target=Member(pk=lead.member_id), now=now)
    return JsonResponse({"externalUserId": named})


@require_POST
@in_store
def later(request: HttpRequest, *, lead_id: int) -> HttpResponse:
    dealing.put_off(lead=_mine(request, lead_id), until=timezone.now() + LATER)
    return redirect("clerks:leads")


@require_POST
@in_store
def refuse(request: HttpRequest, *, lead_id: int) -> HttpResponse:
    try:
        dealing.turn_down(lead=_mine(request, lead_id), refusal=request.POST.get("refusal", ""), now=timezone.now())
    except dealing.Refused:
        return redirect("clerks:lead", lead_id=lead_id)
    return redirect("clerks:leads")


@require_POST
@in_store
def replied(request: HttpRequest, *, lead_id: int) -> HttpResponse:
    """客户回复了: the clerk's own word."""
    dealing.replied(lead=_mine(request, lead_id), now=timezone.now())
    return redirect("clerks:lead", lead_id=lead_id)


@require_POST
@in_store
def claim(request: HttpRequest, *, lead_id: int) -> HttpResponse:
    now = timezone.now()
    if not dealing.pool(post=request.post, now=now).filter(pk=lead_id).exists():
        raise Http404
    try:
        dealing.claim(lead_id=lead_id, post=request.post, now=now)
    except dealing.Refused as refusal:
        return _pool(request, str(refusal))
    return redirect("clerks:lead", lead_id=lead_id)


def _mine(request: HttpRequest, lead_id: int) -> Lead:
    """Nobody opens a colleague's lead, and nobody at all one that is held out. Raises Http404."""
    rows = Lead.objects.filter(staff=request.post.staff_id).select_related("brand", "product")
    lead = rows.filter(pk=lead_id).first()
    if lead is None:
        raise Http404(_("没有这条线索，或者不是您的。"))
    return lead
