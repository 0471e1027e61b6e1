"""素材库: what clerks may send, written here by headquarters, decided on the pages of versions."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.forms import HiddenInput
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext, pgettext_lazy
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminSelect2MultipleWidget

from clerks.admin import material_form, material_rows, material_views, material_words
from clerks.admin.material_form import MaterialForm
from clerks.materials import checks, files, library, writing
from clerks.materials.models import Material, MaterialVersion
from retail.models import Brand
from retail.scoped_admin import Badge, Confirm, DecidingAdmin

Kind, State = Material.Kind, MaterialVersion.State
_SUBMIT = writing.submit, _("送审了，请另一位总部同事看看。")


@admin.register(Material)
class MaterialAdmin(DecidingAdmin):
    """A draft is saved as often as one likes; that takes no fresh proof. Whether clerks send it, another decides."""

    is_everyday = True
    form = MaterialForm
    refusals = (writing.Refused,)
    list_display = ("named", "kind", "scene", "category", "state_label", "sent_now", "valid")
    list_display_links = ("named",)
    list_select_related = ("category", "brand")
    list_filter = ("brand", "kind", "scene", material_rows.StateFilter, "category", "is_active", "is_pinned")
    search_fields = ("name",)
    ordering = ("-pk",)
    autocomplete_fields = ("products", "stores")
    readonly_fields = ("now_there", "preview")
    actions = ("submit_all",)
    actions_submit_line = ("save_and_submit",)
    actions_detail = ("submit", "withdraw", "revise", "retire", "revive")
    change_form_outer_before_template = "admin/materials/material/state.html"
    change_form_outer_after_template = "admin/materials/material/history.html"

    class Media:
        js = ("js/chosen.js", "js/preview.js")

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        rows, now = super().get_queryset(request), timezone.now()
        if not material_rows.knows_drafts(request):
            rows = rows.filter(pk__in=library.released(now=now).values("material"))
        return material_rows.told(rows, now)

    def get_list_display(self, request: HttpRequest) -> tuple[str, ...]:
        """Of several brands one sees whose each is."""
        return (*self.list_display, "brand") if Brand.objects.count() > 1 else self.list_display

    def get_search_results(self, request: HttpRequest, queryset: QuerySet, search_term: str) -> tuple[QuerySet, bool]:
        found = material_rows.sought(queryset, search_term)
        return super().get_search_results(request, queryset, search_term) if found is None else (found, False)

    @display(description=_("名称"), ordering="name")
    def named(self, row: Any) -> SafeString:
        return material_rows.named(row)

    @display(description=_("状态"), label=material_words.COLOURS)
    def state_label(self, row: Any) -> Badge:
        state = row.newest_state or State.DRAFT
        return Badge(state, State(state).label)

    @display(description=_("导购在发"))
    def sent_now(self, row: Any) -> str:
        return material_rows.sent_now(row, timezone.now())

    @display(description=_("有效期"))
    def valid(self, row: Material) -> str:
        return material_rows.valid(row)

    # ── The editor ──
    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """First of all one says which kind it is to be."""
        if kind := material_form.kind_asked(request):
            asked = {"asked": {"label": Kind(kind).label, "about": material_words.ABOUT[kind]}}
            return super().add_view(request, form_url, (extra_context or {}) | asked)
        if not self.has_add_permission(request):
            raise PermissionDenied
        kinds = [(one.value, one.label, material_words.ABOUT[one], material_words.ICONS[one]) for one in Kind]
        context = {**self.admin_site.each_context(request), "title": _("新素材"), "kinds": kinds}
        return TemplateResponse(request, "admin/materials/material/kinds.html", context)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        made = super().get_form(request, obj, change, **kwargs)
        kind = obj.kind if obj else material_form.kind_asked(request)
        return type("MaterialForm", (made,), {"draft": self._draft(obj), "kind": kind})

    def _draft(self, obj: Material | None) -> MaterialVersion | None:
        """The one that is written on."""
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
            field.widget = HiddenInput()  # another kind has other fields: one goes back and chooses it
        if db_field.name == "regions" and field is not None:
            field.widget, field.help_text = UnfoldAdminSelect2MultipleWidget(choices=field.choices), ""
        return field

    @display(description=_("现在的文件"))
    def now_there(self, row: Material) -> SafeString:
        draft = self._draft(row)
        files_of = {"files": material_views.held(draft), "may_write": True}
        return render_to_string("admin/materials/material/files.html", files_of)

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
            for words in form.unfit:
                messages.warning(request, words)
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

    def get_actions_submit_line(self, request: HttpRequest, object_id: Any) -> list[Any]:
        return (
            super().get_actions_submit_line(request, object_id)
            if self.has_submit_permission(request, object_id)
            else []
        )

    @action(description=_("保存并送审"))
    def save_and_submit(self, request: HttpRequest, obj: Material) -> None:
        """A button beside 保存; `response_change` does it once the words and files are kept."""

    def response_change(self, request: HttpRequest, obj: Material) -> HttpResponse:
        if "materials_material_save_and_submit" not in request.POST:
            return super().response_change(request, obj)
        return HttpResponseRedirect(self._on_newest(request, str(obj.pk), *_SUBMIT)["HX-Redirect"])

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        row = self.get_object(request, object_id)
        found = {**(extra_context or {}), **(self._found(request, row) if row else {})}
        return super().change_view(request, object_id, form_url, found)

    def _found(self, request: HttpRequest, row: Material) -> dict[str, Any]:
        newest, now = writing.newest(row), timezone.now()
        live = library.live(now=now).filter(material=row).first()
        versions = row.versions.select_related("made_by__staff", "decided_by__staff").order_by("-number")
        may_write = (
            newest is not None and newest.state in writing.EDITABLE and self.has_change_permission(request, row)
        )
        missing = checks.problems(newest, now=now).values() if newest and may_write else ()
        return {
            "material": row if newest else None,
            "newest": newest,
            "live": live,
            "objection": material_rows.dates(row, now),
            "files": material_views.held(live) if live else [],
            "shared": request.user.has_perm("materials.view_shareday"),
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
        return self._on_newest(request, object_id, *_SUBMIT)

    @action(description=_("送审所选的草稿"), permissions=["change"])
    def submit_all(self, request: HttpRequest, queryset: QuerySet) -> None:
        """Each for itself; what is missing is told of each."""
        sent, refused = material_form.put_forward(queryset.order_by("pk"), by=request.user)
        for words in refused:
            messages.error(request, words)
        if sent:
            said = ngettext("%(count)s 个送审了。", "%(count)s 个送审了。", sent)
            messages.success(request, said % {"count": sent})

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
