"""素材: what to send, found in a few taps: today's, by occasion, by a few letters; one, as its customer sees it.

`to`: the customer it is looked at for; `beside`: their chat stands beside the page, so that one tap sends.
"""

from collections import Counter
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from clerks import customers as book
from clerks import portraits
from clerks.leads.models import Lead
from clerks.materials import library, messages, picks, scripts, shares, suggest
from clerks.materials.models import Material, MaterialFile, Scene
from clerks.materials.models import Share as Link
from clerks.pages import wecom
from clerks.pages.access import in_store
from clerks.pages.paging import PER_PAGE, start
from clerks.pages.views import customer as customers
from retail.models import Post, Product
from retail.wecom.models import App

MOST_WANTS = 200
BESIDE = 6  # of a list beside a chat
TEXT = Material.Kind.TEXT


# ── Lists ────────────────────────────────────────────────────────────────────────────────────────────────────────────
@require_safe
@never_cache
@in_store
def every(request: HttpRequest) -> HttpResponse:
    """Today's, or what is looked for, a page at a time."""
    now, post = timezone.now(), request.post
    wanted, since, portrait = _wanted(request.GET), start(request), seen(request, now)
    is_list = wanted.is_narrow or "all" in request.GET
    context: dict[str, Any] = {"tab": "materials", "wanted": wanted, "portrait": portrait, "is_list": is_list}
    if is_list:
        found = picks.page(post=post, wanted=wanted, start=since, limit=PER_PAGE, now=now)
        context |= {"picks": found.picks, "more": since + PER_PAGE if found.has_more else 0}
        context["query"] = _query(request.GET)
        if request.htmx and since:
            return render(request, "clerks/materials/_list.html", context)
    else:
        context["picks"] = today(post, now)
        context["categories"] = picks.categories(post=post)
    context["scenes"] = Scene.choices
    return render(request, "clerks/materials/page.html", context)


@require_safe
@never_cache
@in_store
def beside(request: HttpRequest, *, member_id: int) -> HttpResponse:
    """A part of the page beside a chat: what was chosen for this customer, today's, or what is looked for."""
    now, post, wanted = timezone.now(), request.post, _wanted(request.GET)
    portrait = customers.shown(request, member_id)
    context = {"portrait": portrait, "app": wecom.app_of(request), "wanted": wanted, "beside": True, "prepared": []}
    context["scenes"] = Scene.choices
    if wanted.is_narrow:
        found = picks.page(post=post, wanted=wanted, start=0, limit=BESIDE, now=now)
        context |= {"picks": found.picks, "has_more": found.has_more}
    else:
        context |= {"picks": today(post, now)[:BESIDE], "prepared": _prepared(post, member_id, now)}
    return render(request, "clerks/materials/_beside.html", context)


def today(post: Post, now: datetime) -> list[picks.Pick]:
    """With what fits the leads of today: two statements more."""
    waiting = Lead.objects.filter(staff=post.staff_id, brand=post.store.brand_id).waiting(now)
    wants = [suggest.Want(*row) for row in waiting.values_list("kind", "product")[:MOST_WANTS]]
    found = suggest.for_leads(post=post, wants=set(wants), now=now)
    fitting = Counter(one.id for want in wants if (one := found[want].material) is not None)
    return picks.today(post=post, fitting=fitting, now=now)


def _prepared(post: Post, member_id: int, now: datetime) -> list[Link]:
    rows = shares.unsent(post=post, now=now).filter(member=member_id, via=Link.Via.CHAT)
    return list(rows.select_related("material")[:3])


def _wanted(given: QueryDict) -> picks.Wanted:
    """What the address asks for. Raises Http404 for what the page never writes."""
    scene, category = given.get("scene", ""), given.get("category", "")
    if (scene and scene not in Scene.values) or (category and not _is_number(category)):
        raise Http404
    text = given.get("q", "").replace("\x00", "")[: picks.MOST_SOUGHT].strip()
    return picks.Wanted(text, scene, int(category or 0), given.get("favourites") == "1")


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 19


def _query(given: QueryDict) -> str:
    kept = given.copy()
    kept.pop("from", None)
    return kept.urlencode()


# ── One ──────────────────────────────────────────────────────────────────────────────────────────────────────────────
class Shown(NamedTuple):
    """A material as this clerk sends it to this customer. `product`: what it is about here."""

    pick: picks.Pick
    product: Product | None
    said: messages.Said


@require_safe
@never_cache
@in_store
def one(request: HttpRequest, *, material_id: int) -> HttpResponse:
    """As its customer will see it, and the ways to send it. What cannot be sent any more says why."""
    now, post, portrait = timezone.now(), request.post, seen(request, timezone.now())
    context = {"tab": "materials", "portrait": portrait, "app": wecom.app_of(request)}
    found = shown(request, material_id, portrait, now, request.GET)
    if found is None:
        said = objection(post, material_id, now)
        return render(request, "clerks/materials/over.html", context | {"said": said})
    is_beside = request.GET.get("beside") == "1" and portrait is not None
    context |= {"shown": found, "pick": found.pick, "files": originals(found.pick)[:9], "beside": is_beside}
    context["back"] = _back(portrait, is_beside, context["app"])
    context["is_words"] = found.said.kind == TEXT
    context["may_moments"] = found.said.kind != Material.Kind.MINIPROGRAM
    return render(request, "clerks/materials/one.html", context)


def originals(pick: picks.Pick) -> QuerySet[MaterialFile]:
    """What can be sent as it is; a poster's picture is only drawn on it."""
    files = MaterialFile._base_manager.filter(version=pick.version).select_related("media").order_by("place")
    return files.none() if pick.material.kind == Material.Kind.POSTER else files


def _back(portrait: portraits.Portrait | None, is_beside: bool, app: App | None) -> str:
    """Where one came from: the page beside the chat, or the list, for whom one was choosing."""
    if is_beside:
        return f"{reverse('clerks:sidebar')}?{urlencode({'app': app.slug if app else ''})}"
    return reverse("clerks:materials") + (f"?to={portrait.member_id}" if portrait else "")


def shown(
    request: HttpRequest, material_id: int, portrait: portraits.Portrait | None, now: datetime, given: QueryDict
) -> Shown | None:
    """None for what this clerk cannot send now."""
    post = request.post
    pick = picks.one(post=post, material_id=material_id, now=now)
    if pick is None:
        return None
    product = _product(pick.material, given.get("product", ""))
    names = scripts.names_for(
        post=post,
        customer=portrait.given_name if portrait else "",
        product=product.name if product else "",
        coupon=_coupon(post, portrait, now),
    )
    return Shown(pick, product, messages.said(material=pick.material, version=pick.version, names=names))


def _product(material: Material, given: str) -> Product | None:
    """What a lead is about, else the one the material is about."""
    if given and _is_number(given):
        return Product.objects.filter(pk=int(given), brand=material.brand_id).first()
    found = list(material.products.all()[:2])
    return found[0] if len(found) == 1 else None


def _coupon(post: Post, portrait: portraits.Portrait | None, now: datetime) -> str:
    if portrait is None:
        return ""
    of = {"brand_id": post.store.brand_id, "store_id": post.store_id, "member_ids": [portrait.member_id]}
    return scripts.coupons(**of, now=now).get(portrait.member_id, "")


def objection(post: Post, material_id: int, now: datetime) -> str:
    """Why a material of this clerk's cannot be sent; "" where nobody would say. Raises Http404 for others'."""
    material = get_object_or_404(library.visible(post=post), pk=material_id)
    return library.objection(material=material, now=now)


def seen(request: HttpRequest, now: datetime) -> portraits.Portrait | None:
    """The customer of `to`. Raises Http404 for somebody else's."""
    given = request.GET.get("to", "")
    return customers.shown(request, int(given)) if _is_number(given) else None


@require_safe
@never_cache
@in_store
def choose(request: HttpRequest, *, material_id: int) -> HttpResponse:
    """发给谁: own customers who are friends in WeCom, found by name, or who bought last."""
    now, post = timezone.now(), request.post
    pick = picks.one(post=post, material_id=material_id, now=now)
    if pick is None:
        objection(post, material_id, now)
        return redirect("clerks:material", material_id=material_id)  # which says why
    text = "".join(request.GET.get("q", "").split()).lower()[:64].replace("\x00", "")
    rows = book.named(post=post, text=text).filter(Q(is_friend=True, is_lost=False))
    found = list(book.shown(rows))
    listed = found[: book.MOST_FOUND]
    had = shares.had(post=post, material_id=material_id, member_ids=[one.member_id for one in listed])
    context = {"tab": "materials", "pick": pick, "text": text, "is_cut": len(found) > book.MOST_FOUND}
    context["customers"] = [(one, had.get(one.member_id)) for one in listed]
    return render(request, "clerks/materials/choose.html", context)


@require_POST
@never_cache
@in_store
def favour(request: HttpRequest, *, material_id: int) -> HttpResponse:
    """收藏, or with `off` no longer."""
    now = timezone.now()
    material = get_object_or_404(library.sendable(post=request.post, now=now), pk=material_id)
    picks.favour(post=request.post, material=material, is_on="off" not in request.POST, now=now)
    return redirect(f"{reverse('clerks:material', args=[material_id])}?{request.GET.urlencode()}")
