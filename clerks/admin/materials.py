"""素材库: what clerks may send, written here by headquarters, decided on the pages of versions."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import F, Func, OuterRef, Q, QuerySet, Subquery, TextField
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from unfold.decorators import action, display

from clerks.admin import material_form, material_views, material_words
from clerks.admin.material_form import MaterialForm
from clerks.materials import checks, files, library, writing
from clerks.materials.models import Material, MaterialCategory, MaterialFile, MaterialVersion
from retail.scoped_admin import Badge, Confirm, DecidingAdmin, ScopedAdmin

Kind, State = Material.Kind, MaterialVersion.State


@admin.register(MaterialCategory)
class MaterialCategoryAdmin(ScopedAdmin):
    is_everyday = True
    list_display = ("name", "brand", "place")
    list_select_related = ("brand",)
    list_filter = ("brand",)
    search_fields = ("name",)
    fields = ("brand", "name", "place")


class StateFilter(admin.SimpleListFilter):
    """By what became of the newest version."""

    title = _("状态")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, object]]:
        return list(State.choices)

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        return queryset.filter(newest_state=self.value()) if self.value() else queryset


@admin.register(Material)
class MaterialAdmin(DecidingAdmin):
    """A draft is saved as often as one likes; that takes no fresh proof. Whether clerks send it, another decides."""

    is_everyday = True
    form = MaterialForm
    refusals = (writing.Refused,)
    list_display = ("picture", "name", "kind", "scene", "category", "state_label", "sent_now", "valid")
    list_display_links = ("picture", "name")
    list_select_related = ("category", "brand")
    list_filter = ("brand", "kind", "scene", StateFilter, "category", "is_active", "is_pinned")
    search_fields = ("name",)
    ordering = ("-pk",)
    autocomplete_fields = ("products", "stores")
    readonly_fields = ("now_there", "preview")
    actions_detail = ("submit", "withdraw", "revise", "retire", "revive")
    change_form_outer_before_template = "admin/materials/material/state.html"
    change_form_outer_after_template = "admin/materials/material/history.html"

    class Media:
        js = ("js/preview.js",)

    # ── Rows ──
    def get_queryset(self, request: HttpRequest) -> QuerySet:
        """Without the quick replies of single clerks, which are theirs."""
        versions = MaterialVersion._base_manager.filter(material=OuterRef("pk")).order_by("-number")
        seen = MaterialFile._base_manager.filter(version__material=OuterRef("pk"), width__isnull=False)
        live = library.live(now=timezone.now()).filter(material=OuterRef("pk"))
        return (
            super()
            .get_queryset(request)
            .filter(owner=None)
            .annotate(
                newest_state=Subquery(versions.values("state")[:1]),
                live_number=Subquery(live.values("number")[:1]),
                picture_id=Subquery(seen.order_by("-version__number", "place").values("pk")[:1]),
            )
        )

    def get_search_results(self, request: HttpRequest, queryset: QuerySet, search_term: str) -> tuple[QuerySet, bool]:
        """By name, its pinyin, or the first letters of that."""
        said = "".join(search_term.split()).lower()
        if not said or "\x00" in said:
            return super().get_search_results(request, queryset, search_term)
        sought = Func(F("name"), function="name_sought", output_field=TextField())
        rows = queryset.annotate(sought=sought)
        return rows.filter(Q(name__icontains=search_term.strip()) | Q(sought__contains=said)), False

    @display(description="")
    def picture(self, row: Any) -> SafeString | str:
        return material_views.thumbnail(row.picture_id)

    @display(description=_("状态"), label=material_words.COLOURS)
    def state_label(self, row: Any) -> Badge:
        state = row.newest_state or State.DRAFT
        return Badge(state, State(state).label)

    @display(description=_("导购在发"))
    def sent_now(self, row: Any) -> str:
        if not row.is_active:
            return str(_("已停用"))
        return str(_("第 %(number)s 版") % {"number": row.live_number}) if row.live_number else "–"

    @display(description=_("有效期"))
    def valid(self, row: Material) -> str:
        if row.valid_until is not None and row.valid_until <= timezone.now():
            return str(_("已过期"))
        ends = [f"{timezone.localtime(at):%Y-%m-%d}" if at else "" for at in (row.valid_from, row.valid_until)]
        return "–".join(ends) if any(ends) else str(_("一直"))

    # ── The editor ──
    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """First of all one says which kind it is to be."""
        if material_form.kind_asked(request) or not self.has_add_permission(request):
            return super().add_view(request, form_url, extra_context)
        kinds = [(kind.value, kind.label, material_words.ABOUT[kind]) for kind in Kind]
        context = {**self.admin_site.each_context(request), "title": _("新素材"), "kinds": kinds}
        return TemplateResponse(request, "admin/materials/material/kinds.html", context)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        made = super().get_form(request, obj, change, **kwargs)
        kind = obj.kind if obj else material_form.kind_asked(request)
        return type("MaterialForm", (made,), {"draft": self._draft(obj), "kind": kind})

    def _draft(self, obj: Material | None) -> MaterialVersion | None:
        """The version that is written on; none where nothing is to be changed now."""
        newest = writing.newest(obj) if obj else None
        return newest if newest and newest.state in writing.EDITABLE else None

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        kind = obj.kind if obj else material_form.kind_asked(request)
        may_write = self.has_change_permission(request, obj) if obj else self.has_add_permission(request)
        content: list[Any] = []
        if may_write and kind and (obj is None or self._draft(obj)):
            names = material_form.CONTENT[kind]
            there = ("now_there",) if obj and "files" in names else ()
            content = [(_("内容"), {"fields": (*there, *names, "live_from", "preview")})]
        what = ("brand", "kind", "name", "category", "scene", "labels")
        about = ("template", "products") if kind == Kind.POSTER else ("products",)
        who = ("stores", "regions", "grades", "valid_from", "valid_until", "is_pinned")
        return [(None, {"fields": (*what, *about)}), *content, (_("给谁、什么时候"), {"fields": who})]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """What an approval was given for cannot be turned into something else."""
        if obj is None:
            return self.readonly_fields
        is_fixed = obj.versions.filter(state=State.APPROVED).exists()
        fixed = {Kind.PRODUCT: ("products",), Kind.POSTER: ("template",)}.get(obj.kind, ()) if is_fixed else ()
        return (*self.readonly_fields, "brand", "kind", *fixed)

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.name == "kind" and field is not None:
            field.initial = material_form.kind_asked(request)
        return field

    @display(description=_("现在的文件"))
    def now_there(self, row: Material) -> SafeString:
        draft = self._draft(row)
        rows = list(draft.files.select_related("media").order_by("place")) if draft else []
        return render_to_string("admin/materials/material/files.html", {"files": rows, "may_write": True})

    @display(description=_("顾客会看到"))
    def preview(self, row: Material) -> SafeString:
        address = f"{reverse('admin:materials_material_preview')}?material={row.pk or ''}"
        draft = self._draft(row) if row.pk else None
        shown = material_views.preview(draft) if draft else ""
        return format_html('<div data-address="{}">{}</div>', address, shown)

    def save_model(self, request: HttpRequest, obj: Material, form: Any, change: bool) -> None:
        if not change:
            obj.made_at = timezone.now()
        super().save_model(request, obj, form, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        if "live_from" not in form.cleaned_data:
            files.follow(now=timezone.now(), material=form.instance)
            return
        try:
            material_form.write(form, by=request.user)
        except writing.Refused as refusal:  # somebody else has put it forward meanwhile
            messages.error(request, str(refusal))

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: Any = None) -> HttpResponse:
        """To its page: one sees it, and puts it forward."""
        request.POST = request.POST.copy()  # type: ignore[assignment]
        request.POST["_continue"] = "1"
        return super().response_add(request, obj, post_url_continue)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.preview_view)
        return [path("preview/", view, name="materials_material_preview"), *super().get_urls()]

    def preview_view(self, request: HttpRequest) -> HttpResponse:
        """What the form as it stands would say; nothing of it is kept."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        return HttpResponse(material_views.preview(*material_form.typed(request)))

    # ── What the page shows around it ──
    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        row = self.get_object(request, object_id)
        found = {**(extra_context or {}), **(self._found(request, row) if row else {})}
        return super().change_view(request, object_id, form_url, found)

    def _found(self, request: HttpRequest, row: Material) -> dict[str, Any]:
        newest, now = writing.newest(row), timezone.now()
        versions = row.versions.select_related("made_by__staff", "decided_by__staff").order_by("-number")
        may_write = (
            newest is not None and newest.state in writing.EDITABLE and self.has_change_permission(request, row)
        )
        missing = checks.problems(newest, now=now).values() if newest and may_write else ()
        return {
            "material": row if newest else None,
            "newest": newest,
            "live": library.live(now=now).filter(material=row).first(),
            "versions": versions,
            "missing": list(missing),
            "may_write": may_write,
            "preview": material_views.preview(newest) if newest else "",
        }

    # ── Buttons ──
    def _is(self, request: HttpRequest, object_id: Any, *states: str) -> bool:
        row = self.row(request, object_id)
        newest = writing.newest(row) if row and self.has_change_permission(request, row) else None
        return newest is not None and newest.state in states

    def has_submit_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._is(request, object_id, *writing.EDITABLE)

    def has_withdraw_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._is(request, object_id, State.WAITING)

    def has_revise_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._is(request, object_id, State.APPROVED)

    def has_retire_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        row = self.row(request, object_id)
        return row is not None and row.is_active and self.has_change_permission(request, row)

    def has_revive_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        row = self.row(request, object_id)
        return row is not None and not row.is_active and self.has_change_permission(request, row)

    @action(description=_("送审"), icon="send", permissions=["submit"], dialog=material_words.SUBMIT)
    def submit(self, request: HttpRequest, form: Confirm, object_id: str) -> HttpResponse:
        return self._on_newest(request, object_id, writing.submit, _("送审了，请另一位总部同事看看。"))

    @action(description=_("撤回"), icon="undo", permissions=["withdraw"], dialog=material_words.WITHDRAW)
    def withdraw(self, request: HttpRequest, form: Confirm, object_id: str) -> HttpResponse:
        return self._on_newest(request, object_id, writing.withdraw, _("撤回了，可以接着改。"))

    @action(description=_("改版"), icon="edit", permissions=["revise"], dialog=material_words.REVISE)
    def revise(self, request: HttpRequest, form: Confirm, object_id: str) -> HttpResponse:
        def verb(row: Material) -> str:
            draft = writing.revise(material=row, by=request.user, now=timezone.now())
            return _("第 %(number)s 版的草稿好了，改吧。") % {"number": draft.number}

        return self.attempt(request, object_id, verb)

    @action(
        description=pgettext_lazy("button", "停用"), icon="block", permissions=["retire"], dialog=material_words.RETIRE
    )
    def retire(self, request: HttpRequest, form: Confirm, object_id: str) -> HttpResponse:
        return self._switch(request, object_id, is_active=False, done=_("停用了，导购不能再发。"))

    @action(
        description=pgettext_lazy("button", "启用"), icon="check", permissions=["revive"], dialog=material_words.REVIVE
    )
    def revive(self, request: HttpRequest, form: Confirm, object_id: str) -> HttpResponse:
        return self._switch(request, object_id, is_active=True, done=_("启用了，导购又能发了。"))

    def _on_newest(self, request: HttpRequest, object_id: str, act: Callable[..., None], done: Any) -> HttpResponse:
        def verb(row: Material) -> str:
            act(version=writing.newest(row), by=request.user, now=timezone.now())
            return str(done)

        return self.attempt(request, object_id, verb)

    def _switch(self, request: HttpRequest, object_id: str, *, is_active: bool, done: Any) -> HttpResponse:
        def verb(row: Material) -> str:
            writing.switch(material=row, is_active=is_active, by=request.user, now=timezone.now())
            return str(done)

        return self.attempt(request, object_id, verb)
