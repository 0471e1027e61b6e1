"""Admin pages of plans, their versions and rules."""

from collections.abc import Callable
from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Max, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from unfold.dataclasses import ActionDialog
from unfold.decorators import action, display

from commissions import plans, rule_words
from commissions.admin.actions import ActionRateInline
from commissions.forms import ActivateForm, RuleForm, ShareFormSet, StepFormSet
from commissions.models import (
    Attainment,
    AttainmentStep,
    Plan,
    PlanVersion,
    Rule,
    Share,
)
from retail.scoped_admin import Badge, Confirm, ScopedAdmin, ScopedTabularInline, link, money, rate

STATUS_COLOURS = {"draft": "info", "tested": "warning", "approved": "warning", "active": "success", "retired": "info"}


def is_sealed(version: PlanVersion | None) -> bool:
    return version is not None and version.status in PlanVersion.SEALED


# ── Plans and versions ───────────────────────────────────────────────────────────────────────────────────────────────
class VersionInline(ScopedTabularInline):
    model = PlanVersion
    fields = ("title", "status", "starts_at", "ends_at", "written_by", "approved_by")
    is_read_only = True
    verbose_name_plural = _("版本")

    @display(description=_("版本"))
    def title(self, version: PlanVersion) -> SafeString:
        return link("commissions_planversion_change", version.pk, f"v{version.number}")


@admin.register(Plan)
class PlanAdmin(ScopedAdmin):
    list_display = ("name", "brand")
    list_select_related = ("brand",)
    search_fields = ("name",)
    inlines = (VersionInline,)


class _RowOfVersion(ScopedTabularInline):
    """A short line per rule or attainment; they are written on their own pages."""

    is_read_only = True

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return super().get_queryset(request).prefetch_related(self.parts)

    @display(description=_("名称"))
    def title(self, row: Rule | Attainment) -> SafeString:
        return link(f"commissions_{row._meta.model_name}_change", row.pk, row.name)


class RuleInline(_RowOfVersion):
    model = Rule
    parts = "shares"
    fields = ("title", "code", "group", "priority", "conditions", "calculation", "split")

    @display(description=_("条件"))
    def conditions(self, rule: Rule) -> str:
        return rule_words.conditions(rule.when, rule_words.names(rule.when))

    @display(description=_("算法"))
    def calculation(self, rule: Rule) -> str:
        return rule_words.calculation(rule)

    @display(description=_("分给"))
    def split(self, rule: Rule) -> str:
        return rule_words.split(rule.shares.all())


class AttainmentInline(_RowOfVersion):
    model = Attainment
    parts = "steps"
    fields = ("title", "code", "level", "role", "mode", "steps")

    @display(description=_("各档"))
    def steps(self, row: Attainment) -> str:
        return rule_words.steps(row.steps.all())


APPROVE = ActionDialog(
    title=_("批准这个版本？"),
    description=_("批准后内容封存，谁也不能再改。编写的人不能批准自己的版本。"),
    form_class=Confirm,
    form_submit_text=pgettext_lazy("button", "批准"),
)
ACTIVATE = ActionDialog(
    title=_("从什么时候起生效？"),
    description=_("这一刻之后付款的订单按这个版本算，之前的不变。"),
    form_class=ActivateForm,
    form_submit_text=pgettext_lazy("button", "生效"),
)
COPY = ActionDialog(
    title=_("复制为新草稿？"),
    description=_("规则、分成和阶梯照原样抄一份，在新草稿里改。"),
    form_class=Confirm,
    form_submit_text=_("复制"),
)


@admin.register(PlanVersion)
class PlanVersionAdmin(ScopedAdmin):
    """A draft can be edited; what is approved cannot, by anybody. Changing it means copying it to a new draft."""

    list_display = ("title", "status_label", "starts_at", "ends_at", "written_by", "approved_by")
    list_select_related = ("plan", "written_by", "approved_by")
    list_filter = ("plan", "status")
    readonly_fields = ("number", "status_label", "starts_at", "ends_at", "written_by", "approved_by", "approved_at")
    fieldsets = (
        (None, {"fields": ("plan", "number", "status_label", "note")}),
        (_("时间和经手人"), {"fields": ("starts_at", "ends_at", "written_by", "approved_by", "approved_at")}),
    )
    inlines = (RuleInline, AttainmentInline, ActionRateInline)
    actions_detail = ("add_rule", "add_attainment", "approve", "activate", "copy")

    @display(description=_("版本"), ordering="number")
    def title(self, version: PlanVersion) -> str:
        return str(version)

    @display(description=_("状态"), ordering="status", label=STATUS_COLOURS)
    def status_label(self, version: PlanVersion) -> Badge:
        return Badge(version.status, version.get_status_display())

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return (*self.readonly_fields, "plan") if obj else self.readonly_fields

    def get_inlines(self, request: HttpRequest, obj: Any) -> tuple[type, ...]:
        return self.inlines if obj else ()

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and not is_sealed(obj)

    def save_model(self, request: HttpRequest, obj: PlanVersion, form: Any, change: bool) -> None:
        if not change:
            newest = PlanVersion.objects.filter(plan=obj.plan).aggregate(newest=Max("number"))["newest"]
            obj.number, obj.written_by = (newest or 0) + 1, request.user
        super().save_model(request, obj, form, change)

    # What can be done with a version. Each is one call of commissions.plans; a refusal is told in its own words.
    def has_write_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self.has_change_permission(request, self._version(request, object_id))

    def has_approve_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._is_in(request, object_id, "draft", "tested") and self._may_approve(request)

    def has_activate_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._is_in(request, object_id, "approved") and self._may_approve(request)

    def has_copy_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return super().has_change_permission(request) and self._version(request, object_id) is not None

    def _may_approve(self, request: HttpRequest) -> bool:
        return request.user.has_perm("commissions.approve_planversion")

    def _is_in(self, request: HttpRequest, object_id: Any, *states: str) -> bool:
        version = self._version(request, object_id)
        return version is not None and version.status in states

    def _version(self, request: HttpRequest, object_id: Any) -> PlanVersion | None:
        return self.get_object(request, str(object_id)) if object_id else None

    @action(description=_("新增规则"), icon="add", permissions=["write"])
    def add_rule(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return redirect(f"{reverse('admin:commissions_rule_add')}?version={int(object_id)}")

    @action(description=_("新增阶梯"), icon="stairs", permissions=["write"])
    def add_attainment(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return redirect(f"{reverse('admin:commissions_attainment_add')}?version={int(object_id)}")

    @action(description=pgettext_lazy("button", "批准"), icon="verified", permissions=["approve"], dialog=APPROVE)
    def approve(self, request: HttpRequest, form: Confirm, object_id: str) -> HttpResponse:
        return self._attempt(request, object_id, plans.approve, _("%(version)s 已批准，内容已封存。"))

    @action(description=_("从某时生效"), icon="event_available", permissions=["activate"], dialog=ACTIVATE)
    def activate(self, request: HttpRequest, form: ActivateForm, object_id: str) -> HttpResponse:
        given = form.cleaned_data
        verb = partial(plans.activate, starts_at=given["starts_at"], reason=given["reason"])
        return self._attempt(request, object_id, verb, _("%(version)s 已排定生效。"))

    @action(description=_("复制为新草稿"), icon="content_copy", permissions=["copy"], dialog=COPY)
    def copy(self, request: HttpRequest, form: Confirm, object_id: str) -> HttpResponse:
        return self._attempt(request, object_id, plans.copy, _("%(version)s 已复制为新草稿。"))

    def _attempt(
        self, request: HttpRequest, object_id: str, verb: Callable[..., PlanVersion | None], done: object
    ) -> HttpResponse:
        """Call the verb, say how it went, and go to the version it leaves us with. Dialogs need HTMX's redirect."""
        version = self._version(request, object_id)
        if version is None:
            raise Http404
        made = None
        try:
            made = verb(version=version, by=request.user, now=timezone.now())
            messages.success(request, str(done) % {"version": version})
        except plans.PlanRefused as refusal:
            messages.error(request, str(refusal))
        page = reverse("admin:commissions_planversion_change", args=[(made or version).pk])
        return HttpResponse(headers={"HX-Redirect": page})


# ── Rules and attainments: editable while their version is a draft ───────────────────────────────────────────────────
class _PartOfVersion(ScopedAdmin):
    """A page whose row belongs to a version: open while that is a draft, shut for ever once it is approved."""

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and not is_sealed(obj.version if obj else None)

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "version":
            kwargs["queryset"] = PlanVersion.objects.exclude(status__in=PlanVersion.SEALED).select_related("plan")
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return (*self.readonly_fields, "version") if obj else self.readonly_fields

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        # The row lock keeps an approval from slipping in between this look and our commit.
        version = PlanVersion.objects.select_for_update(of=("self",)).get(pk=obj.version_id)
        if is_sealed(version):
            raise PermissionDenied
        if version.status == PlanVersion.Status.TESTED:
            PlanVersion.objects.filter(pk=version.pk).update(status=PlanVersion.Status.DRAFT)
        super().save_model(request, obj, form, change)

    def response_post_save_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        return redirect("admin:commissions_planversion_change", obj.version_id)

    response_post_save_add = response_post_save_change


class _PartInline(ScopedTabularInline):
    """The parts of a rule or attainment: they may be taken out again while the version is a draft."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_add_permission(request, obj) and not is_sealed(obj.version if obj else None)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and not is_sealed(obj.version if obj else None)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_change_permission(request, obj)


class ShareInline(_PartInline):
    model = Share
    formset = ShareFormSet
    verbose_name_plural = _("分给谁（剩下的归公司；一行都没有 = 全给专属导购）")

    share = rate("ppm", _("占比"))
    readonly_fields = ("share",)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("role", "ppm", "place") if self.has_change_permission(request, obj) else ("role", "share")


@admin.register(Rule)
class RuleAdmin(_PartOfVersion):
    form = RuleForm
    list_display = ("name", "code", "version", "group", "priority", "conditions", "calculation")
    list_select_related = ("version__plan",)
    list_filter = ("version",)
    search_fields = ("code", "name")
    inlines = (ShareInline,)
    readonly_fields = ("meaning",)
    fieldsets = (
        (None, {"fields": ("version", "code", "name", "meaning")}),
        (_("什么时候用"), {"fields": ("when", "valid_from", "valid_to", "group", "priority", "stop")}),
        (_("给多少"), {"fields": ("base", "calc", "floor_fen", "cap_fen", "is_commissionable")}),
        (_("给谁"), {"fields": ("missing", "counts_for_attainment")}),
    )
    seen_fieldsets = (
        (None, {"fields": ("version", "code", "name", "meaning")}),
        (_("什么时候用"), {"fields": ("conditions", "valid_from", "valid_to", "group", "priority", "stop")}),
        (_("给多少"), {"fields": ("calculation", "is_commissionable")}),
        (_("给谁"), {"fields": ("absent", "counts_for_attainment")}),
    )

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        can_edit = self.has_change_permission(request, obj) if obj else self.has_add_permission(request)
        return self.fieldsets if can_edit else self.seen_fieldsets

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        kwargs["help_texts"] = {
            "code": _("同一个版本里不能重复；流水和解释页用它来指这条规则。"),
            "group": _("同一组里只有一条规则能拿到，不同组的佣金相加。"),
            "priority": _("数字大的先；一样大的，条件更具体的先。"),
            "stop": _("这条命中以后，后面的规则都不再看。"),
            "floor_fen": _("佣金池不是 0 时，至少给这么多。"),
            "cap_fen": _("佣金池最多给这么多。"),
            "is_commissionable": _("不勾：这条规则占住它的组，但不付钱。"),
            "counts_for_attainment": _("勾上：这样的销售计入阶梯业绩。"),
        }
        return super().get_form(request, obj, change, **kwargs)

    @display(description=_("条件"))
    def conditions(self, rule: Rule) -> str:
        return rule_words.conditions(rule.when, rule_words.names(rule.when))

    @display(description=_("算法"))
    def calculation(self, rule: Rule) -> str:
        return rule_words.calculation(rule)

    @display(description=_("这条规则的意思"))
    def meaning(self, rule: Rule) -> str:
        if rule.pk is None:
            return _("保存后，这里用一句话说明。")
        return f"{self.conditions(rule)} → {self.calculation(rule)} → {rule_words.split(rule.shares.all())}"

    @display(description=_("缺人时"))
    def absent(self, rule: Rule) -> str:
        return rule_words.missing(rule.missing)


class StepInline(_PartInline):
    model = AttainmentStep
    formset = StepFormSet

    start = money("from_fen", _("起点"))
    share = rate("ppm", _("比例"))
    bonus = money("fixed_fen", _("达档奖"))
    readonly_fields = ("start", "share", "bonus")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        can_edit = self.has_change_permission(request, obj)
        return ("from_fen", "ppm", "fixed_fen") if can_edit else ("start", "share", "bonus")


@admin.register(Attainment)
class AttainmentAdmin(_PartOfVersion):
    list_display = ("name", "code", "version", "level", "role", "mode")
    list_select_related = ("version__plan",)
    list_filter = ("version",)
    fields = ("version", "code", "name", "level", "role", "mode")
    inlines = (StepInline,)
