"""Admin pages of plans and their versions: read whole, tried, compared, carried out and in."""

import json
from functools import partial
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from unfold.dataclasses import ActionDialog
from unfold.decorators import action, display

from commissions import case_words, cases, differences, documents, plans, review, rule_words, samples
from commissions.admin.actions import ActionRateInline
from commissions.admin.runs import TriedOn
from commissions.forms import ActivateForm, PasteForm, RetireForm, VersionForm
from commissions.models import Attainment, Plan, PlanVersion
from commissions.runs import RunRefused
from retail.models import Order
from retail.scoped_admin import Badge, Confirm, ScopedAdmin, ScopedTabularInline, link

STATUS_COLOURS = {"draft": "info", "tested": "warning", "approved": "warning", "active": "success", "retired": "info"}


def is_sealed(version: PlanVersion | None) -> bool:
    return version is not None and version.status in PlanVersion.SEALED


# ── Plans ────────────────────────────────────────────────────────────────────────────────────────────────────────────
class VersionInline(ScopedTabularInline):
    model = PlanVersion
    fields = ("title", "status", "starts_at", "ends_at", "written_by", "approved_by")
    is_read_only = True
    verbose_name_plural = _("版本")

    @display(description=_("版本"))
    def title(self, version: PlanVersion) -> SafeString:
        return link("commissions_planversion_change", version.pk, _("第 %(number)s 版") % {"number": version.number})


@admin.register(Plan)
class PlanAdmin(ScopedAdmin):
    list_display = ("name", "brand")
    list_select_related = ("brand",)
    search_fields = ("name",)
    inlines = (VersionInline,)
    actions_detail = ("take_in",)

    class Media:
        js = ("js/plans.js",)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.take_in_view)
        return [path("<path:object_id>/import/", view, name="commissions_plan_import"), *super().get_urls()]

    def has_write_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("commissions.add_planversion")

    @action(description=_("导入为新草稿"), icon="upload_file", permissions=["write"])
    def take_in(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return redirect("admin:commissions_plan_import", int(object_id))

    def take_in_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """A version from a file of the public format."""
        plan = _row_or_404(self, request, object_id)
        if not self.has_write_permission(request):
            raise PermissionDenied
        form = PasteForm(request.POST if request.method == "POST" else None)
        wrong: list[str] = []
        if form.is_valid():
            try:
                data = form.cleaned_data["document"]
                draft = plans.take_in(plan=plan, data=data, by=request.user, now=timezone.now())
                return redirect("admin:commissions_planversion_change", draft.pk)
            except documents.DocumentRefused as refusal:
                wrong = refusal.messages
        page = {
            "title": _("导入为新草稿"),
            "about": _("导出的文件改好后从这里读回来，成为一个新草稿；现有版本都不变。"),
            "back": reverse("admin:commissions_plan_change", args=[plan.pk]),
        }
        return _page(
            self, request, "admin/commissions/paste.html", {**page, "form": form, "wrong": wrong, "row": plan}
        )


def _row_or_404(page: Any, request: HttpRequest, object_id: str) -> Any:
    row = page.get_object(request, object_id)
    if row is None:
        raise Http404
    if not page.has_view_permission(request, row):
        raise PermissionDenied
    return row


def _page(page: Any, request: HttpRequest, template: str, context: dict[str, Any]) -> TemplateResponse:
    return TemplateResponse(
        request, template, {**page.admin_site.each_context(request), "media": page.media, **context}
    )


# ── Versions ─────────────────────────────────────────────────────────────────────────────────────────────────────────
class AttainmentInline(ScopedTabularInline):
    """A short line per attainment; they are written on their own pages."""

    model = Attainment
    is_read_only = True
    fields = ("title", "code", "level", "role", "mode", "steps")

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return super().get_queryset(request).prefetch_related("steps")

    @display(description=_("名称"))
    def title(self, row: Attainment) -> SafeString:
        return link("commissions_attainment_change", row.pk, row.name)

    @display(description=_("各档"))
    def steps(self, row: Attainment) -> str:
        return rule_words.steps(row.steps.all())


TEST = ActionDialog(
    title=_("试算这个版本？"),
    description=_("跑一遍这个版本自带的用例。全部通过才能提交批准；之后再改，要重新试算。"),
    form_class=Confirm,
    form_submit_text=_("试算"),
)
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
RETIRE = ActionDialog(
    title=_("停用这个版本？"),
    description=_("不排下一个版本就停用，之后付款的订单谁也没有佣金。还没开始的版本会被取消。"),
    form_class=RetireForm,
    form_submit_text=pgettext_lazy("button", "停用"),
)
COPY = ActionDialog(
    title=_("复制为新草稿？"),
    description=_("规则、分成、阶梯和用例照原样抄一份，在新草稿里改。"),
    form_class=Confirm,
    form_submit_text=_("复制"),
)


@admin.register(PlanVersion)
class PlanVersionAdmin(TriedOn):
    """A draft can be edited; what is approved cannot, by anybody. Changing it means copying it to a new draft."""

    form = VersionForm
    refusals = (plans.PlanRefused, RunRefused)
    list_display = ("title", "status_label", "starts_at", "ends_at", "written_by", "approved_by")
    list_select_related = ("plan", "written_by__staff", "approved_by__staff")
    list_filter = ("plan", "status")
    readonly_fields = ("number", "status_label", "starts_at", "ends_at", "written_by", "approved_by", "approved_at")
    fieldsets = (
        (None, {"fields": ("plan", "number", "status_label", "note", "group_modes")}),
        (_("时间和经手人"), {"fields": ("starts_at", "ends_at", "written_by", "approved_by", "approved_at")}),
    )
    inlines = (AttainmentInline, ActionRateInline)
    actions_detail = ("test", "try_on", "approve", "activate", "retire", "add_rule", "add_attainment", "copy")
    change_form_outer_before_template = "admin/commissions/planversion/content.html"
    change_form_outer_after_template = "admin/commissions/planversion/cases.html"

    class Media:
        js = ("js/plans.js",)

    @display(description=_("版本"), ordering="number")
    def title(self, version: PlanVersion) -> str:
        return str(version)

    @display(description=_("状态"), ordering="status", label=STATUS_COLOURS)
    def status_label(self, version: PlanVersion) -> Badge:
        return Badge(version.status, version.get_status_display())

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return ((None, {"fields": ("plan", "note")}),)
        if self.has_change_permission(request, obj):
            return self.fieldsets
        (_none, first), rest = self.fieldsets
        return ((None, {"fields": tuple(name for name in first["fields"] if name != "group_modes")}), rest)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return (*self.readonly_fields, "plan") if obj else self.readonly_fields

    def get_inlines(self, request: HttpRequest, obj: Any) -> tuple[type, ...]:
        """A version that has no attainment yet has a button for one, not an empty table."""
        has_attainments = obj is not None and obj.attainments.exists()
        return tuple(one for one in self.inlines if obj and (has_attainments or one is not AttainmentInline))

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and not is_sealed(obj)

    def save_model(self, request: HttpRequest, obj: PlanVersion, form: Any, change: bool) -> None:
        if change:
            try:  # the lock keeps an approval from slipping in between this look and our commit
                obj.status = plans.open_for_editing(version=obj).status
            except plans.PlanRefused:
                raise PermissionDenied from None
            super().save_model(request, obj, form, change)
        else:
            made = plans.new_draft(plan=obj.plan, by=request.user, note=obj.note)
            obj.pk, obj.number, obj.written_by = made.pk, made.number, made.written_by
            obj._state.adding = False
            self._journal(request, "add", obj, form)

    # What the page shows below the form
    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        version = self.row(request, object_id) if request.method == "GET" else None
        content = self._content(request, version) if version else {}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **content})

    def _content(self, request: HttpRequest, version: PlanVersion) -> dict[str, Any]:
        judged = cases.judge(version)
        return {
            "version": version,
            "review": review.of_version(version, now=timezone.now()),
            "cases": case_words.told(judged),
            "failed": sum(not verdict.ok for _case, verdict in judged),
            "stages": _stages(version),
            "may_write": self.has_write_permission(request, version.pk),
        }

    # What can be done with a version. Each is one call of commissions.plans.
    def has_write_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        version = self.row(request, object_id)
        return version is not None and self.has_change_permission(request, version)

    has_test_permission = has_write_permission

    def has_approve_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._is_in(request, object_id, "tested") and self._may_approve(request)

    def has_activate_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._is_in(request, object_id, "approved") and self._may_approve(request)

    def has_retire_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._is_in(request, object_id, "active") and self._may_approve(request)

    def has_copy_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return super().has_change_permission(request) and self.row(request, object_id) is not None

    def _may_approve(self, request: HttpRequest) -> bool:
        return request.user.has_perm("commissions.approve_planversion")

    def _is_in(self, request: HttpRequest, object_id: Any, *states: str) -> bool:
        version = self.row(request, object_id)
        return version is not None and version.status in states

    @action(description=_("新增规则"), icon="add", permissions=["write"])
    def add_rule(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return redirect(f"{reverse('admin:commissions_rule_add')}?version={int(object_id)}")

    @action(description=_("新增阶梯"), icon="stairs", permissions=["write"])
    def add_attainment(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return redirect(f"{reverse('admin:commissions_attainment_add')}?version={int(object_id)}")

    @action(description=_("试算"), icon="science", permissions=["test"], dialog=TEST)
    def test(self, request: HttpRequest, form: Confirm, object_id: str) -> HttpResponse:
        def verb(version: PlanVersion) -> str:
            count = plans.try_out(version=version, by=request.user, now=timezone.now())
            if not count:
                return _("%(version)s 没有自带用例，按规则检查通过。") % {"version": version}
            return _("%(version)s 的 %(count)s 个用例全部通过。") % {"version": version, "count": count}

        return self.attempt(request, object_id, verb)

    @action(description=pgettext_lazy("button", "批准"), icon="verified", permissions=["approve"], dialog=APPROVE)
    def approve(self, request: HttpRequest, form: Confirm, object_id: str) -> HttpResponse:
        return self._decide(request, object_id, plans.approve, _("%(version)s 已批准，内容已封存。"))

    @action(description=_("从某时生效"), icon="event_available", permissions=["activate"], dialog=ACTIVATE)
    def activate(self, request: HttpRequest, form: ActivateForm, object_id: str) -> HttpResponse:
        given = form.cleaned_data
        verb = partial(plans.activate, starts_at=given["starts_at"], reason=given["reason"])
        return self._decide(request, object_id, verb, _("%(version)s 已排定生效。"))

    @action(description=pgettext_lazy("button", "停用"), icon="event_busy", permissions=["retire"], dialog=RETIRE)
    def retire(self, request: HttpRequest, form: RetireForm, object_id: str) -> HttpResponse:
        given = form.cleaned_data
        verb = partial(plans.retire, ends_at=given["ends_at"], reason=given["reason"])
        return self._decide(request, object_id, verb, _("%(version)s 已排定停用。"))

    @action(description=_("复制为新草稿"), icon="content_copy", permissions=["copy"], dialog=COPY)
    def copy(self, request: HttpRequest, form: Confirm, object_id: str) -> HttpResponse:
        return self._decide(request, object_id, plans.copy, _("%(version)s 已复制为新草稿。"))

    def _decide(self, request: HttpRequest, object_id: str, verb: Any, done: object) -> HttpResponse:
        def call(version: PlanVersion) -> tuple[str, PlanVersion]:
            made = verb(version=version, by=request.user, now=timezone.now())
            return str(done) % {"version": version}, made or version

        return self.attempt(request, object_id, call)

    # Pages beside it
    def get_urls(self) -> list[URLPattern]:
        pages = {
            "export": self.export_view,
            "compare": self.compare_view,
            "cases": self.cases_view,
            "case-of-order": self.case_of_order_view,
        }
        return [
            *(
                path(
                    f"<path:object_id>/{name}/",
                    self.admin_site.admin_view(view),
                    name=f"commissions_planversion_{name.replace('-', '_')}",
                )
                for name, view in pages.items()
            ),
            *super().get_urls(),
        ]

    def export_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The whole content as a file, to be kept, edited and read in again."""
        version = _row_or_404(self, request, object_id)
        text = json.dumps(documents.of_version(version), ensure_ascii=False, indent=1)
        name = f"plan-{version.plan_id}-v{version.number}.json"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return HttpResponse(text, content_type="application/json; charset=utf-8", headers=headers)

    def compare_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """What has changed since another version: the one in force unless `with` says otherwise."""
        version = _row_or_404(self, request, object_id)
        others = list(self.get_queryset(request).filter(plan=version.plan).exclude(pk=version.pk).order_by("-number"))
        wanted = request.GET.get("with", "")
        other = next((one for one in others if str(one.pk) == wanted), None) or _usual(version, others)
        page = {"version": version, "others": others, "other": other}
        if other is not None:
            page["found"] = differences.between(other, version)
        return _page(self, request, "admin/commissions/planversion/compare.html", {**page, "title": _("和别的版本比")})

    def _draft_or_404(self, request: HttpRequest, object_id: str) -> PlanVersion:
        version = _row_or_404(self, request, object_id)
        if not self.has_change_permission(request, version):
            raise PermissionDenied
        return version

    def cases_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Cases from a file of the public format."""
        version = self._draft_or_404(request, object_id)
        form = PasteForm(request.POST if request.method == "POST" else None)
        wrong: list[str] = []
        if form.is_valid():
            try:
                data = form.cleaned_data["document"]
                count = samples.take_in(version=version, data=data, by=request.user, now=timezone.now())
                self.message_user(request, _("加入了 %(count)s 个用例。") % {"count": count})
                return redirect("admin:commissions_planversion_change", version.pk)
            except documents.DocumentRefused as refusal:
                wrong = refusal.messages
        page = {
            "title": _("加入用例"),
            "about": _("每个用例写明输入和应得；格式见 docs/commission.md。用例可以省略方案，一律按这个版本算。"),
            "back": reverse("admin:commissions_planversion_change", args=[version.pk]),
        }
        context = {**page, "form": form, "wrong": wrong, "row": version}
        return _page(self, request, "admin/commissions/paste.html", context)

    def case_of_order_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """A case made of an order: first in words, then kept."""
        version = self._draft_or_404(request, object_id)
        number = request.POST.get("order", "") or request.GET.get("order", "").strip()
        order, problem = _order(version, number)
        page: dict[str, Any] = {"title": _("从订单生成用例"), "version": version, "number": number, "order": order}
        try:
            if order and request.method == "POST":
                made = samples.keep_order(version=version, order=order, by=request.user, now=timezone.now())
                self.message_user(request, _("已加入用例「%(case)s」。") % {"case": made})
                return redirect("admin:commissions_planversion_change", version.pk)
            if order:
                document, verdict = samples.of_order(version=version, order=order)
                page |= {"facts": case_words.facts(document["input"]), "told": case_words.result(version, verdict)}
        except plans.PlanRefused as refusal:
            problem = str(refusal)
        recent = Order.objects.filter(brand=version.plan.brand, settled_at__isnull=False).select_related("channel")
        page |= {"problem": problem, "recent": list(recent.order_by("-paid_at", "-pk")[:8])}
        return _page(self, request, "admin/commissions/planversion/case_of_order.html", page)


def _order(version: PlanVersion, number: str) -> tuple[Order | None, str]:
    """The order of the version's brand with that number, and what is wrong when there is none."""
    if not number or "\x00" in number:
        return None, ""
    orders = Order.objects.filter(brand=version.plan.brand).select_related("channel", "store")
    found = list(orders.filter(outer_order_id=number[:64]).order_by("-paid_at")[:1])
    return (found[0], "") if found else (None, str(_("没有找到这个单号的订单。")))


def _usual(version: PlanVersion, others: list[PlanVersion]) -> PlanVersion | None:
    """What a version is compared with unless somebody says otherwise: the one in force, else the one before it."""
    active = [one for one in others if one.status == PlanVersion.Status.ACTIVE]
    earlier = [one for one in others if one.number < version.number]
    return next(iter([*active, *earlier, *others]), None)


def _stages(version: PlanVersion) -> list[tuple[str, bool, bool]]:
    """The life of a version: (words, whether it is past, whether it is here)."""
    order = list(PlanVersion.Status)
    here = order.index(PlanVersion.Status(version.status))
    return [(str(status.label), place < here, place == here) for place, status in enumerate(order)]
