"""快捷回复: a clerk's own words, to be sent with one tap; nobody else sees them."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from clerks.materials import scripts
from clerks.materials.models import Material
from clerks.pages.access import in_store
from retail.models import Post


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@in_store
def every(request: HttpRequest) -> HttpResponse:
    """All of them, and one more."""
    if request.method == "POST":
        return _kept(request, None)
    return _page(request)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@in_store
def one(request: HttpRequest, *, material_id: int) -> HttpResponse:
    """One of them, to be written anew."""
    material = _mine(request, material_id)
    if request.method == "POST":
        return _kept(request, material)
    return _page(request, material)


@require_POST
@never_cache
@in_store
def delete(request: HttpRequest, *, material_id: int) -> HttpResponse:
    scripts.drop(post=request.post, material=_mine(request, material_id))
    return redirect("clerks:replies")


def _mine(request: HttpRequest, material_id: int) -> Material:
    """Raises Http404 for anybody else's, and what is no quick reply."""
    rows = Material.objects.filter(owner=request.post.staff_id, brand=request.post.store.brand_id, is_active=True)
    return get_object_or_404(rows, pk=material_id)


def _kept(request: HttpRequest, material: Material | None) -> HttpResponse:
    """What cannot be kept stays in the fields, with why."""
    name, text = request.POST.get("name", ""), request.POST.get("text", "")
    try:
        scripts.keep(post=request.post, name=name, text=text, now=timezone.now(), material=material)
    except scripts.Refused as refusal:
        given = {"name": name[: 2 * scripts.MOST_NAME], "text": text[: 2 * scripts.MOST_TEXT]}
        return _page(request, material, given | {"fault": str(refusal)})
    return redirect("clerks:replies")


def _page(request: HttpRequest, material: Material | None = None, given: dict[str, str] | None = None) -> HttpResponse:
    own = scripts.own(post=request.post, now=timezone.now())
    rows = [(row, scripts.as_written(words)) for row, words in own]
    if given is None:
        text = next((words for row, words in rows if material and row.pk == material.pk), "")
        given = {"name": material.name if material else "", "text": text}
    context = {"tab": "materials", "rows": rows, "material": material, "given": given, "most": scripts.MOST_OWN}
    context["places"] = _places(request.post)
    return render(request, "clerks/materials/replies.html", context, status=400 if "fault" in given else 200)


def _places(post: Post) -> list[tuple[str, str]]:
    """What can stand in a text, as a clerk writes it, with an example of what a customer reads there."""
    said = scripts.Names(_("王女士"), post.staff.name, post.store.name, _("羊毛大衣"), _("满 300 减 50 券"))
    return [(f"{{{word}}}", getattr(said, name)) for name, word in scripts.WORDS.items()]
