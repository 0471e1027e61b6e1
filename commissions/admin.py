"""Admin pages of plans, the journal and its inputs."""

from collections.abc import Callable
from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Exists, Max, OuterRef, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from unfold.dataclasses import ActionDialog
from unfold.decorators import action, display
from unfold.forms import BaseDialogForm

from commissions import explain, plans, rule_words
from commissions.forms import ActivateForm, RuleForm, ShareFormSet, StepFormSet
from commissions.models import (
    Attainment,
    AttainmentStep,
    BuyerSnapshot,
    ClaimRow,
    Entry,
    Period,
    Plan,
    PlanVersion,
    Rule,
    Share,
)
from commissions.models.ledger import SHANGHAI
from retail import scope
from retail.models import Staff
from retail.scoped_admin import Badge, EstimatedPaginator, ScopedAdmin, ScopedTabularInline, moment, money, rate

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
        return _link("commissions_planversion_change", version.pk, f"v{version.number}")


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
        return _link(f"commissions_{row._meta.model_name}_change", row.pk, row.name)


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


class Confirm(BaseDialogForm):
    """A dialog with nothing to fill in."""


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
    inlines = (RuleInline, AttainmentInline)
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


# ── The journal ──────────────────────────────────────────────────────────────────────────────────────────────────────
ENTRY_STATES = {"pending": _("预计"), "earned": _("已确认"), "settled": _("已结算")}
STATE_COLOURS = {"pending": "warning", "earned": "success", "settled": "info"}


def told(entries: QuerySet, request: HttpRequest) -> QuerySet:
    """With what `state_of` and `person_of` want to know."""
    return known(entries.with_state(timezone.now().astimezone(SHANGHAI).date()), request)


def known(rows: QuerySet, request: HttpRequest) -> QuerySet:
    """Rows of somebody's, with whether the reader may know who it is: people of the scope, and oneself."""
    post = getattr(request, "post", None)
    people = Exists(Staff.objects.filter(pk=OuterRef("staff")))
    return rows.annotate(is_known=people | Q(staff=post.staff_id) if post else people)


def state_of(entry: Entry) -> Badge:
    """The derived state (of entries `told`) with its word."""
    return Badge(entry.state, ENTRY_STATES[entry.state])


def person_of(row: Entry | ClaimRow) -> str:
    """Whose it is (of rows `known`). Somebody of a company or store outside the scope is not named."""
    if row.staff is None:
        return _("公司") if isinstance(row, Entry) else "–"
    return str(row.staff) if row.is_known else _("其他门店的同事")


class StateFilter(admin.SimpleListFilter):
    title = _("状态")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, object]]:
        return list(ENTRY_STATES.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        return queryset.filter(state=self.value()) if self.value() in ENTRY_STATES else queryset


class WhoseFilter(admin.SimpleListFilter):
    title = _("谁的")
    parameter_name = "whose"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, object]]:
        return [("staff", _("员工")), ("house", _("公司"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        return queryset.filter(staff__isnull=self.value() == "house") if self.value() else queryset


@admin.register(Entry)
class EntryAdmin(ScopedAdmin):
    is_read_only = True
    paginator = EstimatedPaginator
    list_display = (
        "amount", "kind", "person", "role", "channel", "order_number", "rule_name", "paid", "earned", "state_label",
        "why",
    )  # fmt: skip
    list_select_related = ("staff", "store", "payer", "order__channel", "rule", "version__plan", "period_booked")
    list_filter = (StateFilter, WhoseFilter, "kind", "role", "order__channel", "store", "period_booked", "paid_at")
    search_fields = ("staff__code__exact", "staff__name__startswith", "order__outer_order_id__exact")
    search_help_text = _("工号、姓名开头，或完整单号")
    ordering = ("-pk",)
    fieldsets = (
        (None, {"fields": ("amount", "kind", "state_label", "person", "role", "store", "payer")}),
        (_("怎么来的"), {"fields": ("order_number", "why", "rule_name", "version_name", "base", "pool", "reverses")}),
        (_("时间"), {"fields": ("paid_at", "posted_at", "earned_on", "booked_in", "origin")}),
    )

    amount = money("fen", _("金额"))
    paid = moment("paid_at", _("付款时间"))
    base = money("base_fen", _("实付"))
    pool = money("pool_fen", _("佣金池"))

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return told(super().get_queryset(request), request)

    def _lookups_of(self, name: str) -> set[str]:
        # Django has no field of that name to look up; it is the channel of the order.
        return {"order__channel__id__exact"} if name == "order__channel" else super()._lookups_of(name)

    @display(description=_("谁"), ordering="staff")
    def person(self, entry: Entry) -> str:
        return person_of(entry)

    @display(description=_("确认日"), ordering="earned_on")
    def earned(self, entry: Entry) -> SafeString:
        return format_html('<span class="figure">{}</span>', entry.earned_on)

    # As words: not everybody who sees an entry may open the plan it comes from.
    @display(description=_("规则"), ordering="rule")
    def rule_name(self, entry: Entry) -> str:
        return entry.rule.name if entry.rule else "–"

    @display(description=_("方案版本"))
    def version_name(self, entry: Entry) -> str:
        return str(entry.version) if entry.version else "–"

    @display(description=_("入账期"))
    def booked_in(self, entry: Entry) -> str:
        return str(entry.period_booked or "–")

    @display(description=_("所属期"))
    def origin(self, entry: Entry) -> str:
        return str(entry.period_origin or "–")

    @display(description=_("渠道"))
    def channel(self, entry: Entry) -> str:
        return entry.order.channel.name if entry.order else "–"

    @display(description=_("单号"))
    def order_number(self, entry: Entry) -> SafeString | str:
        if entry.order is None:
            return "–"
        # A clerk's entry may come from an order of another store, or of none; that page is not this reader's.
        stores = scope.current().store_ids
        is_ours = stores is None or entry.order.store_id in stores
        return _link("retail_order_change", entry.order_id, entry.order) if is_ours else str(entry.order)

    @display(description=_("状态"), label=STATE_COLOURS)
    def state_label(self, entry: Entry) -> Badge:
        return state_of(entry)

    @display(description=_("解释"))
    def why(self, entry: Entry) -> SafeString | str:
        return _link("retail_orderline_why", entry.line_id, _("为什么")) if entry.line_id else "–"


def _link(page: str, pk: int, text: object) -> SafeString:
    return format_html('<a class="text-link" href="{}">{}</a>', reverse(f"admin:{page}", args=[pk]), text)


@admin.register(Period)
class PeriodAdmin(ScopedAdmin):
    is_read_only = True
    list_display = ("brand", "starts_on", "ends_on", "status_label")
    list_select_related = ("brand",)
    list_filter = ("brand", "status")
    ordering = ("-starts_on",)
    fields = ("brand", "starts_on", "ends_on", "status_label")

    @display(description=_("状态"), label={"open": "success", "closing": "warning", "closed": "info"})
    def status_label(self, period: Period) -> Badge:
        return Badge(period.status, period.get_status_display())


# ── The inputs kept of each settlement ───────────────────────────────────────────────────────────────────────────────
@admin.register(ClaimRow)
class ClaimRowAdmin(ScopedAdmin):
    is_read_only = True
    paginator = EstimatedPaginator
    list_display = ("order", "role", "person", "store", "because", "revision", "resolved_at")
    list_select_related = ("order", "staff", "store")
    list_filter = ("role", "store", "resolved_at")
    search_fields = ("order__outer_order_id__exact", "staff__code__exact")
    search_help_text = _("完整单号或工号")
    ordering = ("-pk",)
    fields = ("order", "line", "role", "person", "store", "payer", "because", "revision", "reason", "resolved_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return known(super().get_queryset(request), request)

    @display(description=_("谁"), ordering="staff")
    def person(self, row: ClaimRow) -> str:
        return person_of(row)

    @display(description=_("依据"))
    def because(self, claim: ClaimRow) -> str:
        return explain.why(claim)


@admin.register(BuyerSnapshot)
class BuyerSnapshotAdmin(ScopedAdmin):
    is_read_only = True
    paginator = EstimatedPaginator
    list_display = ("order", "is_new", "tier", "dormant_days", "staff", "revision")
    list_select_related = ("order", "staff")
    list_filter = ("is_new",)
    search_fields = ("order__outer_order_id__exact",)
    search_help_text = _("完整单号")
    ordering = ("-pk",)
    fields = ("order", "is_new", "tier", "dormant_days", "staff", "ownership_label", "groups", "revision")

    @display(description=_("经营方式"))
    def ownership_label(self, row: BuyerSnapshot) -> str:
        return rule_words.conditions({"ownership": row.ownership}) if row.ownership else "–"

    @display(description=_("门店组"))
    def groups(self, row: BuyerSnapshot) -> str:
        return _("、").join(row.store_groups) or "–"
