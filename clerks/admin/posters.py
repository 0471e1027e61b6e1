"""海报模板: a background, and areas drawn on it with the mouse or by keys; how it looks, as the server draws it."""

import base64
import io
import json
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Count
from django.forms import ModelForm
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy
from PIL import Image
from unfold.decorators import display
from unfold.widgets import UnfoldAdminFileFieldWidget

from clerks.materials import areas, lettering, pictures, posters
from clerks.materials.models import PosterTemplate
from retail.scoped_admin import ScopedAdmin, StrictJSON

LONGEST_TEXT = 40_000  # letters of the areas as JSON
THUMBNAIL = 320
_WORDS = {
    "remove": pgettext_lazy("button", "去掉"),
    "broken": gettext_lazy("下面的文字不是能读的 JSON，改好后编辑器会再出现。"),
    "no_background": gettext_lazy("先选一张底图。"),
    "offline": gettext_lazy("没有连上，改一下再试。"),
    "x": gettext_lazy("左"),
    "y": gettext_lazy("上"),
    "w": gettext_lazy("宽"),
    "h": gettext_lazy("高"),
    "size": gettext_lazy("字号"),
    "color": gettext_lazy("颜色"),
    "align": gettext_lazy("对齐"),
    "bold": gettext_lazy("加粗"),
    "text": gettext_lazy("文字"),
    "resize": gettext_lazy("拖动改大小"),
}


class Editor(forms.Textarea):
    """The areas as boxes on the background, by posters.js; without it, as the JSON they are kept in."""

    template: PosterTemplate | None = None

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        row = self.template
        background = reverse("admin:materials_postertemplate_background", args=[row.pk]) if row and row.pk else ""
        context = {
            "name": name,
            "value": _indented(value),
            "preview": reverse("admin:materials_postertemplate_preview"),
            "background": f"{background}?{row.number}" if row and background else "",
            "template": row,
            "kinds": areas.Kind.choices,
            "grammar": _grammar(),
        }
        return render_to_string("admin/materials/postertemplate/editor.html", context)


def _indented(value: Any) -> str:
    """One area to a line, as somebody would write it; what is no list of areas as it was sent."""
    try:
        document = json.loads(value, cls=StrictJSON) if isinstance(value, str) else value
    except ValueError:
        return str(value)
    if document is None:
        return "[]"
    if not isinstance(document, list):
        return str(value)
    lines = (json.dumps(area, ensure_ascii=False) for area in document)
    return "[\n  {}\n]".format(",\n  ".join(lines)) if document else "[]"


def _grammar() -> dict[str, Any]:
    return {
        "kinds": dict(areas.Kind.choices),
        "wordless": list(areas.WORDLESS),
        "aligns": areas.Align.choices,
        "size": areas.SIZE,
        "sizes": areas.SIZES,
        "color": areas.COLOUR,
        "smallest": areas.SMALLEST,
        "smallest_code": areas.SMALLEST_CODE,
        "longest": posters.LONGEST,
        "words": {name: str(words) for name, words in _WORDS.items()},
    }


class AreasField(forms.JSONField):
    widget = Editor

    def __init__(self, **options: Any) -> None:
        super().__init__(decoder=StrictJSON, **options)

    def to_python(self, value: Any) -> Any:
        if isinstance(value, str) and len(value) > LONGEST_TEXT:
            raise forms.ValidationError(_("区域太多了。"))
        return super().to_python(value)


class TemplateForm(ModelForm):
    """Areas are checked against the background: the new one, or the one there is."""

    file = forms.FileField(
        label=gettext_lazy("底图"),
        required=False,
        widget=UnfoldAdminFileFieldWidget(attrs={"accept": "image/jpeg,image/png,image/webp"}),
        help_text=gettext_lazy("JPG、PNG 或 WebP，建议 750 × 1334 像素；长边超过 2000 像素会缩小。"),
    )
    areas = AreasField(label=gettext_lazy("区域"), required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "areas" in self.fields:
            self.fields["areas"].widget.template = self.instance

    def clean_areas(self) -> Any:
        given = self.cleaned_data.get("areas")
        return [] if given is None else given

    def clean_file(self) -> Any:
        file = self.cleaned_data.get("file")
        if file:
            try:
                self.drawn = pictures.redraw(file.read(pictures.MOST_BYTES + 1), longest=posters.LONGEST)
            except pictures.Unfit as error:
                raise forms.ValidationError(str(error)) from error
        elif not self.instance.pk:
            raise forms.ValidationError(_("请选一张底图。"))
        return file

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        self._take(getattr(self, "drawn", None))
        if "areas" in given and self.instance.width:
            for fault in posters.faults(given["areas"], self.instance.width, self.instance.height):
                self.add_error("areas", str(fault))
        return given

    def _take(self, drawn: pictures.Picture | None) -> None:
        if drawn is not None:
            row = self.instance
            row.background, row.width, row.height = drawn.data, drawn.width, drawn.height


@admin.register(PosterTemplate)
class PosterTemplateAdmin(ScopedAdmin):
    is_everyday = True
    form = TemplateForm
    list_display = ("thumbnail", "name", "brand", "pixels", "used", "is_active")
    list_display_links = ("thumbnail", "name")
    list_select_related = ("brand",)
    list_filter = ("brand", "is_active")
    search_fields = ("name",)
    ordering = ("-is_active", "-pk")
    fields = ("name", "brand", "is_active", "file", "areas")

    class Media:
        js = ("js/posters.js",)

    def get_queryset(self, request: HttpRequest) -> Any:
        """Lists read no backgrounds."""
        return super().get_queryset(request).defer("background").annotate(materials_count=Count("materials"))

    def get_fields(self, request: HttpRequest, obj: PosterTemplate | None = None) -> tuple[str, ...]:
        if obj is not None and not self.has_change_permission(request, obj):
            return ("name", "brand", "is_active", "pixels", "shown")
        return self.fields

    def get_readonly_fields(self, request: HttpRequest, obj: PosterTemplate | None = None) -> tuple[str, ...]:
        fields = self.get_fields(request, obj)
        return fields if "shown" in fields else ()

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        kwargs["form"] = TemplateForm if "file" in self.get_fields(request, obj) else ModelForm
        return super().get_form(request, obj, change, **kwargs)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if said := lettering.trouble():
            messages.warning(request, said)
        return super().changeform_view(request, *args, **kwargs)

    def save_model(self, request: HttpRequest, obj: PosterTemplate, form: Any, change: bool) -> None:
        if change and {"file", "areas"} & set(form.changed_data):
            obj.number += 1
        super().save_model(request, obj, form, change)

    # What lists and pages show
    @display(description=gettext_lazy("样子"))
    def thumbnail(self, row: PosterTemplate) -> SafeString:
        return self._image(row, "poster-thumbnail", "&small")

    @display(description=gettext_lazy("样子"))
    def shown(self, row: PosterTemplate) -> SafeString:
        return self._image(row, "poster-shown")

    def _image(self, row: PosterTemplate, name: str, more: str = "") -> SafeString:
        address = reverse("admin:materials_postertemplate_proof", args=[row.pk])
        html = '<img class="{}" loading="lazy" src="{}?{}{}" width="{}" height="{}" alt="{}">'
        return format_html(html, name, address, row.number, more, row.width, row.height, row.name)

    @display(description=gettext_lazy("像素"))
    def pixels(self, row: PosterTemplate) -> SafeString:
        return format_html('<span class="figure">{} × {}</span>', row.width, row.height)

    @display(description=gettext_lazy("用它的素材"))
    def used(self, row: Any) -> int:
        return row.materials_count

    # Pictures
    def get_urls(self) -> list[URLPattern]:
        of, wrap = "<path:object_id>/", self.admin_site.admin_view
        return [
            path("preview/", wrap(self.preview_view), name="materials_postertemplate_preview"),
            path(f"{of}background.jpg", wrap(self.background_view), name="materials_postertemplate_background"),
            path(f"{of}proof.jpg", wrap(self.proof_view), name="materials_postertemplate_proof"),
            *super().get_urls(),
        ]

    def background_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return _jpeg(bytes(self._row(request, object_id).background))

    def proof_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """With made-up words; the background alone where nothing can be drawn."""
        row = self._row(request, object_id)
        try:
            data = posters.proof(template=row, now=timezone.now(), origin=settings.SITE_URL)
        except posters.Undrawable:
            data = bytes(row.background)
        return _jpeg(_small(data) if "small" in request.GET else data)

    def _row(self, request: HttpRequest, object_id: str) -> PosterTemplate:
        row = self.get_object(request, unquote(object_id))
        if row is None or not self.has_view_permission(request, row):
            raise Http404
        return row

    def preview_view(self, request: HttpRequest) -> HttpResponse:
        """How the form as it stands would look, and what is wrong with it; nothing of it is kept."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        found = self.get_object(request, request.POST.get("template", ""))
        row = PosterTemplate(
            background=bytes(found.background) if found else b"",
            width=found.width if found else 0,
            height=found.height if found else 0,
        )
        return JsonResponse(_previewed(row, request))


def _previewed(row: PosterTemplate, request: HttpRequest) -> dict[str, Any]:
    """{"picture": data address or "", "width", "height", "faults": [{"place": number or null, "words"}]}"""
    picture, found = "", []
    try:
        if file := request.FILES.get("file"):
            drawn = pictures.redraw(file.read(pictures.MOST_BYTES + 1), longest=posters.LONGEST)
            row.background, row.width, row.height = drawn.data, drawn.width, drawn.height
        if not row.width:
            raise pictures.Unfit(_("先选一张底图。"))
        row.areas = AreasField(required=False).clean(request.POST.get("areas", "")) or []
        found = posters.faults(row.areas, row.width, row.height)
        if not found:
            data = posters.draw(template=row, sheet=posters.sample(origin=settings.SITE_URL))
            picture = f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"
    except (pictures.Unfit, posters.Undrawable) as error:
        found = [areas.Fault(None, str(error))]
    except forms.ValidationError as error:
        found = [areas.Fault(None, words) for words in error.messages]
    return {"picture": picture, "width": row.width, "height": row.height, "faults": [one._asdict() for one in found]}


def _small(data: bytes) -> bytes:
    out = io.BytesIO()
    with Image.open(io.BytesIO(data), formats=["JPEG"]) as found:
        found.draft("RGB", (THUMBNAIL, THUMBNAIL))
        found.thumbnail((THUMBNAIL, THUMBNAIL))
        found.convert("RGB").save(out, "JPEG", quality=posters.QUALITY)
    return out.getvalue()


def _jpeg(data: bytes) -> HttpResponse:
    """Their addresses name the version of the template."""
    return HttpResponse(data, content_type="image/jpeg", headers={"Cache-Control": "private, max-age=86400"})
