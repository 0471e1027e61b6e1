"""素材审核: a version as the customer will see it, what it says otherwise than the one before, and the decision."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Case, QuerySet, When
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from unfold.dataclasses import ActionDialog
from unfold.decorators import action, display
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminTextInputWidget

from clerks.admin import material_rows, material_views
from clerks.admin.material_words import COLOURS
from clerks.materials import checks, differences, library, writing
from clerks.materials.models import MaterialVersion
from retail.models import Brand
from retail.scoped_admin import Badge, Confirm, DecidingAdmin, link, moment

State = MaterialVersion.State


class ReasonForm(BaseDialogForm):
    reason = forms.CharField(label=_("要改什么"), max_length=200, widget=UnfoldAdminTextInputWidget)


APPROVE = ActionDialog(
    title=_("通过这个版本？"),
    description=_("通过以后内容谁也不能再改，导购马上（或到定好的时间）能发给顾客。"),
    form_class=Confirm,
    form_submit_text=pgettext_lazy("button", "通过"),
)
SEND_BACK = ActionDialog(
    title=_("退回这个版本？"),
    description=_("写清楚要改什么，写的人会看到。"),
    form_class=ReasonForm,
    form_submit_text=pgettext_lazy("button", "退回"),
)


@admin.register(MaterialVersion)
class MaterialVersionAdmin(DecidingAdmin):
    is_read_only = True
    refusals = (writing.Refused,)
    list_display = ("title_label", "kind", "state_label", "writer", "decider", "made", "decided")
    list_select_related = ("material__brand", "made_by__staff", "decided_by__staff")
    list_filter = ("state", "made_at")
    search_fields = ("material__name",)
    ordering = (Case(When(state=State.WAITING, then=0), default=1), "-pk")
    fields = ("of_material", "number", "state_label", "writer", "made", "decider", "decided", "reason")
    actions_detail = ("approve", "send_back")
    change_form_outer_before_template = "admin/materials/materialversion/shown.html"
    made = moment("made_at", _("创建"))
    decided = moment("decided_at", _("审核时间"))

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        rows = super().get_queryset(request).filter(material__owner=None)
        if material_rows.knows_drafts(request):
            return rows
        return rows.filter(pk__in=library.released(now=timezone.now()).values("pk"))

    def get_fields(self, request: HttpRequest, obj: MaterialVersion | None = None) -> tuple[str, ...]:
        """Why it came back, where it did."""
        return tuple(name for name in self.fields if name != "reason" or (obj is not None and obj.reason))

    def get_list_display(self, request: HttpRequest) -> tuple[str, ...]:
        return (*self.list_display, "brand") if Brand.objects.count() > 1 else self.list_display

    @display(description=_("品牌"), ordering="material__brand")
    def brand(self, row: MaterialVersion) -> str:
        return str(row.material.brand)

    @display(description=_("素材"))
    def title_label(self, row: MaterialVersion) -> str:
        return str(row)

    @display(description=_("素材"))
    def of_material(self, row: MaterialVersion) -> SafeString:
        return link("materials_material_change", row.material_id, row.material.name)

    @display(description=_("类型"))
    def kind(self, row: MaterialVersion) -> str:
        return row.material.get_kind_display()

    @display(description=_("状态"), ordering="state", label=COLOURS)
    def state_label(self, row: MaterialVersion) -> Badge:
        return Badge(row.state, row.get_state_display())

    @display(description=_("谁写的"))
    def writer(self, row: MaterialVersion) -> str:
        return str(row.made_by or "–")

    @display(description=_("谁审核"))
    def decider(self, row: MaterialVersion) -> str:
        return str(row.decided_by or "–")

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        row = self.row(request, object_id)
        return super().change_view(
            request, object_id, form_url, {**(extra_context or {}), **(_found(row, request) if row else {})}
        )

    def has_decide_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        row = self.row(request, object_id)
        return row is not None and row.state == State.WAITING and request.user.has_perm("materials.approve_material")

    def has_approve_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        row = self.row(request, object_id)
        return self.has_decide_permission(request, object_id) and not writing.is_own(version=row, by=request.user)

    @action(description=pgettext_lazy("button", "通过"), icon="verified", permissions=["approve"], dialog=APPROVE)
    def approve(self, request: HttpRequest, form: Confirm, object_id: str) -> HttpResponse:
        def verb(row: MaterialVersion) -> str:
            writing.approve(version=row, by=request.user, now=timezone.now())
            return str(_("%(version)s 通过了。") % {"version": row})

        return self.attempt(request, object_id, verb)

    def has_return_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        row = self.row(request, object_id)
        return self.has_decide_permission(request, object_id) and row.made_by_id != request.user.pk

    @action(description=pgettext_lazy("button", "退回"), icon="reply", permissions=["return"], dialog=SEND_BACK)
    def send_back(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        def verb(row: MaterialVersion) -> str:
            reason = form.cleaned_data["reason"]
            writing.send_back(version=row, by=request.user, now=timezone.now(), reason=reason)
            return str(_("%(version)s 退回了。") % {"version": row})

        return self.attempt(request, object_id, verb)


def _found(row: MaterialVersion, request: HttpRequest) -> dict[str, Any]:
    earlier = MaterialVersion.objects.filter(material=row.material, number__lt=row.number, state=State.APPROVED)
    before = earlier.order_by("-number").first()
    is_open = row.state not in (State.APPROVED, State.RETURNED)
    return {
        "version": row,
        "preview": material_views.preview(row),
        "files": material_views.held(row),
        "facts": material_views.facts(row),
        "own": row.state == State.WAITING and writing.is_own(version=row, by=request.user),
        "next": _next(row, request),
        "before": before,
        "changes": differences.between(old=before, new=row) if before else [],
        "files_differ": before is not None and differences.files_differ(old=before, new=row),
        "missing": list(checks.problems(row, now=timezone.now()).values()) if is_open else [],
    }


def _next(row: MaterialVersion, request: HttpRequest) -> MaterialVersion | None:
    """What else waits for this person, who is done with this one."""
    if row.state == State.WAITING or not request.user.has_perm("materials.approve_material"):
        return None
    waiting = MaterialVersion.objects.filter(state=State.WAITING, material__owner=None).select_related("material")
    return waiting.exclude(made_by=request.user).order_by("pk").first()
