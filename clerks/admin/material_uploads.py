"""批量上传: many files at once, how far the job is with them, and what became of each."""

from functools import partial
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from unfold.decorators import display

from clerks.admin import material_rows
from clerks.admin.material_fields import FilesField
from clerks.materials import files, uploads
from clerks.materials.models import Material, MaterialCategory, MaterialUpload, Scene
from retail.models import Brand
from retail.scoped_admin import ScopedAdmin, moment

MEGA = 1024 * 1024


class UploadForm(forms.Form):
    brand = forms.ModelChoiceField(label=_("品牌"), queryset=Brand.objects.none())
    category = forms.ModelChoiceField(label=_("分类"), queryset=MaterialCategory.objects.none(), required=False)
    scene = forms.ChoiceField(label=_("场景"), choices=Scene.choices, initial=Scene.DAILY)
    files = FilesField(label=_("文件"), max_length=255)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        brands: Any = self.fields["brand"]
        categories: Any = self.fields["category"]
        if Brand.objects.count() > 1:
            categories.label_from_instance = lambda row: f"{row.brand} · {row}"
        brands.queryset = Brand.objects.order_by("pk")
        categories.queryset = MaterialCategory.objects.select_related("brand").order_by("brand", "place")
        if brands.queryset.count() == 1:
            brands.initial = brands.queryset.first()
        for field in self.fields.values():
            field.widget.attrs["class"] = "desk-input"
        self.fields["files"].widget.attrs["multiple"] = True

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        category, brand = given.get("category"), given.get("brand")
        if category and brand and category.brand_id != brand.pk:
            self.add_error("category", _("这个分类是别的品牌的。"))
        return given


@admin.register(MaterialUpload)
class MaterialUploadAdmin(ScopedAdmin):
    is_read_only = True
    is_everyday = True
    list_display = ("given", "brand", "scene", "count", "failed", "person", "ended")
    list_select_related = ("brand", "by__staff")
    list_filter = ("brand", "at")
    ordering = ("-pk",)
    fields = ("brand", "category", "scene", "count", "person", "given", "ended")
    change_form_outer_before_template = "admin/materials/materialupload/look.html"
    given = moment("at", _("上传时间"))
    ended = moment("ended_at", _("处理完"))

    @display(description=_("没成"))
    def failed(self, row: MaterialUpload) -> int:
        return sum("error" in one for one in row.outcomes)

    @display(description=_("谁上传"))
    def person(self, row: MaterialUpload) -> str:
        return str(row.by or "–")

    def has_add_permission(self, request: HttpRequest, *args: Any) -> bool:
        return request.user.has_perm("materials.add_materialupload")

    def get_urls(self) -> list[URLPattern]:
        view = never_cache(self.admin_site.admin_view(self.progress_view))
        return [
            path("<path:object_id>/progress/", view, name="materials_materialupload_progress"),
            *super().get_urls(),
        ]

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = UploadForm(request.POST or None, request.FILES or None)
        if request.method == "POST" and form.is_valid():
            try:
                return redirect("admin:materials_materialupload_change", _given_in(form, request).pk)
            except files.Unfit as unfit:
                form.add_error("files", str(unfit))
        context = {
            **self.admin_site.each_context(request),
            "title": _("批量上传"),
            "form": form,
            "most": uploads.MOST_FILES,
            "each": uploads.MOST_EACH // MEGA,
            "all": uploads.MOST_BYTES // MEGA,
        }
        return TemplateResponse(request, "admin/materials/materialupload/upload.html", context)

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        row = self.get_object(request, object_id)
        return super().change_view(
            request, object_id, form_url, {**(extra_context or {}), **(_outcome(row) if row else {})}
        )

    def progress_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """How far it is; once it is done the whole page comes anew."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        row = self.get_object(request, object_id)
        if row is None:
            raise Http404
        if row.ended_at is not None:
            return HttpResponse(headers={"HX-Refresh": "true"})
        return TemplateResponse(request, "admin/materials/materialupload/progress.html", {"upload": row})


def _given_in(form: UploadForm, request: HttpRequest) -> MaterialUpload:
    chosen = form.cleaned_data
    given = [uploads.Given(one.name, one.size, partial(one.read)) for one in chosen["files"]]
    about = {name: chosen[name] for name in ("brand", "category", "scene")}
    return uploads.give_in(given=given, by=request.user, now=timezone.now(), **about)


def _outcome(row: MaterialUpload) -> dict[str, Any]:
    made = [one["material"] for one in row.outcomes if "material" in one]
    rows = material_rows.told(Material.objects.filter(pk__in=made), timezone.now())
    return {
        "upload": row,
        "drafts": [(one, material_rows.named(one), material_rows.state_of(one)) for one in rows.order_by("pk")],
        "failed": [one for one in row.outcomes if "error" in one],
    }
