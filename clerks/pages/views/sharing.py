"""发素材: to one customer, to moments, as a link, as a file; and what came of it.

The page asks, and gets what WeCom's client takes; once the client has sent it, the page says so (`sent`).
"""

from datetime import datetime
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import cache_control, never_cache
from django.views.decorators.http import require_POST, require_safe

from clerks import portraits
from clerks.materials import echoes, messages, picks, posters, shares
from clerks.materials.models import Material, Share
from clerks.pages.access import in_store
from clerks.pages.paging import PER_PAGE, start
from clerks.pages.views import customer as customers
from clerks.pages.views import materials
from retail.wecom import media

Via = Share.Via


@require_POST
@never_cache
@in_store
def share(request: HttpRequest, *, material_id: int) -> HttpResponse:
    """`via`: chat (with `to`, and with `open` from elsewhere than beside it), moments or copy."""
    now, via = timezone.now(), request.POST.get("via", "")
    if via not in (Via.CHAT, Via.MOMENTS, Via.COPY):
        raise Http404
    try:
        asked = customers.allowed(request, _number(request, "to"), now) if via == Via.CHAT else None
        made, answer = _made(request, material_id, asked and asked.portrait, now)
        if asked is not None and "open" in request.POST:
            answer = {"copy": answer["copy"], "externalUserId": customers.opened(request, asked, now)}
    except customers.Refused as refusal:
        return customers.no(refusal)
    return JsonResponse(answer | {"sent": reverse("clerks:share_sent", args=[made.pk])})


def _made(
    request: HttpRequest, material_id: int, portrait: portraits.Portrait | None, now: datetime
) -> tuple[Share, dict[str, Any]]:
    """The link, and what there is to do with it. Raises customers.Refused."""
    post, via = request.post, request.POST["via"]
    found = materials.shown(request, material_id, portrait, now, request.POST)
    if found is None:
        why = materials.objection(post, material_id, now)
        raise customers.Refused(why or _("这份素材现在不能发，请换一份。"))
    if via == Via.MOMENTS and found.said.kind == Material.Kind.MINIPROGRAM:
        raise customers.Refused(_("小程序不能发到朋友圈，请发给顾客，或者换一份。"))
    about = {"member_id": portrait and portrait.member_id, "product_id": found.product and found.product.pk}
    give = shares.make if via == Via.COPY else shares.ready
    made = give(post=post, version=found.pick.version, via=via, **about, now=now)
    url, has_cover = request.build_absolute_uri(shares.path(made)), found.pick.picture is not None
    if via == Via.MOMENTS:
        return made, {"moments": messages.moments(said=found.said, url=url, has_cover=has_cover)}
    answer = {"copy": messages.words(said=found.said, url=url)}
    if via == Via.CHAT:
        answer["message"] = messages.chat(said=found.said, version=found.pick.version, url=url, has_cover=has_cover)
    return made, answer


@require_POST
@never_cache
@in_store
def sent(request: HttpRequest, *, share_id: int) -> HttpResponse:
    """WeCom's client has sent it: to one customer that was a contact, too."""
    now, made = timezone.now(), get_object_or_404(Share.objects.filter(staff=request.post.staff_id), pk=share_id)
    try:
        if made.via == Via.CHAT and made.member_id is not None:
            customers.told(request, customers.asked_for(request, made.member_id), now)
    except customers.Refused as refusal:
        return customers.no(refusal)
    shares.sent(share=made, now=now)
    return JsonResponse({})


@require_POST
@never_cache
@in_store
def original(request: HttpRequest, *, material_id: int) -> HttpResponse:
    """发原图: one file of it as it is, into the chat with `to`. With `sent`, after: that it was."""
    now, member_id = timezone.now(), _number(request, "to")
    try:
        if "sent" in request.POST:
            customers.told(request, customers.asked_for(request, member_id), now)
            return JsonResponse({})
        customers.allowed(request, member_id, now)
        return JsonResponse({"message": _file(request, material_id, now), "sent": request.get_full_path()})
    except customers.Refused as refusal:
        return customers.no(refusal)


def _file(request: HttpRequest, material_id: int, now: datetime) -> dict[str, Any]:
    """Raises customers.Refused while WeCom does not hold the file, and for what cannot be sent any more."""
    pick = picks.one(post=request.post, material_id=material_id, now=now)
    if pick is None:
        why = materials.objection(request.post, material_id, now)
        raise customers.Refused(why or _("这份素材现在不能发，请换一份。"))
    found = get_object_or_404(materials.originals(pick), pk=_number(request, "file"))
    media_id = media.usable(found.media, now=now)
    if not media_id:
        media.is_coming(found.media, now=now)
        raise customers.Refused(_("企业微信还没有收好这个文件，请过一两分钟再点。"))
    return messages.original(media=found.media, media_id=media_id)


# ── Posters ──────────────────────────────────────────────────────────────────────────────────────────────────────────
@require_POST
@never_cache
@in_store
def make_poster(request: HttpRequest, *, material_id: int) -> HttpResponse:
    """存海报: a poster with a code of its own, to be saved and sent anywhere."""
    now, post = timezone.now(), request.post
    pick = picks.one(post=post, material_id=material_id, now=now)
    if pick is None:
        materials.objection(post, material_id, now)
        return redirect("clerks:material", material_id=material_id)  # which says why
    if pick.material.template_id is None:
        raise Http404
    given = {"member_id": None, "product_id": None}
    made = shares.ready(post=post, version=pick.version, via=Via.POSTER, **given, now=now)
    return redirect("clerks:poster", share_id=made.pk)


@require_safe
@never_cache
@in_store
def poster(request: HttpRequest, *, share_id: int) -> HttpResponse:
    """The picture, to be pressed and held; where it cannot be drawn, why."""
    made, said = _poster(request, share_id), ""
    try:
        _drawn(request, made)  # and kept: the picture of the page comes at once
    except posters.Undrawable as error:
        said = str(error)
    context = {"tab": "materials", "share": made, "said": said}
    return render(request, "clerks/materials/poster.html", context)


@require_safe
@cache_control(private=True, max_age=300)
@in_store
def poster_picture(request: HttpRequest, *, share_id: int) -> HttpResponse:
    try:
        return HttpResponse(_drawn(request, _poster(request, share_id)), content_type="image/jpeg")
    except posters.Undrawable:  # the page around it says why
        raise Http404 from None


def _drawn(request: HttpRequest, made: Share) -> bytes:
    """Raises posters.Undrawable."""
    origin = request.build_absolute_uri("/").rstrip("/")
    return posters.picture(share=made, template=made.material.template, now=timezone.now(), origin=origin)


def _poster(request: HttpRequest, share_id: int) -> Share:
    """One's own. Raises Http404."""
    rows = Share.objects.filter(staff=request.post.staff_id, via=Via.POSTER, material__template__isnull=False)
    return get_object_or_404(rows.select_related("material__template"), pk=share_id)


def _number(request: HttpRequest, name: str) -> int:
    text = request.POST.get(name, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else 0


# ── What came of it ──────────────────────────────────────────────────────────────────────────────────────────────────
@require_safe
@never_cache
@in_store
def mine(request: HttpRequest) -> HttpResponse:
    """我的分享, newest first, a page at a time."""
    since = start(request)
    found = echoes.page(post=request.post, start=since, limit=PER_PAGE)
    context = {"tab": "materials", "page": found, "more": since + PER_PAGE if found.has_more else 0}
    template = "clerks/materials/_shares.html" if request.htmx and since else "clerks/materials/shares.html"
    return render(request, template, context)
