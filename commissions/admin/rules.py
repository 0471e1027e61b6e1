"""Admin pages of what a version is made of: rules, attainments, cases. Open while the version is a draft."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from unfold.dataclasses import ActionDialog
from unfold.decorators import action, display

from commissions import case_words, cases, plans, review, rule_words, values
from commissions.admin.plans import is_sealed
from commissions.forms import CaseForm, ShareFormSet, StepFormSet
from commissions.models import Attainment, AttainmentStep, PlanCase, PlanVersion, Rule, Share
from commissions.models.plans import Role
from commissions.rule_form import RuleForm
from retail import gate
from retail.scoped_admin import Confirm, DecidingAdmin, PercentField, ScopedTabularInline, money, rate

REMOVE = ActionDialog(
    title=_("从草稿里删掉？"),
    description=_("只从这个草稿里删掉，别的版本不变。"),
    form_class=Confirm,
    form_submit_text=_("删掉"),
)
_MOST_SHARES = 40  # rows of a split that the preview reads


class _PartOfVersion(DecidingAdmin):
    """A page whose row belongs to a version: open while that is a draft, shut for ever once it is approved."""

    refusals = (plans.PlanRefused,)
    actions_detail = ("remove",)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and not is_sealed(obj.version if obj else None)

    def has_remove_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        row = self.row(request, object_id)
        may = request.user.has_perm(f"commissions.delete_{self.opts.model_name}")
        return may and row is not None and self.has_change_permission(request, row)

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "version":
            kwargs["queryset"] = PlanVersion.objects.exclude(status__in=PlanVersion.SEALED).select_related("plan")
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return (*self.readonly_fields, "version") if obj else self.readonly_fields

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        try:  # the lock keeps an approval from slipping in between this look and our commit
            plans.open_for_editing(version=obj.version)
        except plans.PlanRefused:
            raise PermissionDenied from None
        super().save_model(request, obj, form, change)

    def response_post_save_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        return redirect("admin:commissions_planversion_change", obj.version_id)

    response_post_save_add = response_post_save_change

    @action(description=pgettext_lazy("button", "删掉"), icon="delete", permissions=["remove"], dialog=REMOVE)
    def remove(self, request: HttpRequest, form: Confirm, object_id: str) -> HttpResponse:
        def verb(row: Any) -> tuple[str, PlanVersion]:
            plans.remove(row=row, by=request.user, now=timezone.now())
            return _("「%(row)s」已从草稿里删掉。") % {"row": row}, row.version

        return self.attempt(request, object_id, verb)


class _PartInline(ScopedTabularInline):
    """The parts of a rule or attainment: they may be taken out again while the version is a draft."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_add_permission(request, obj) and not is_sealed(obj.version if obj else None)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and not is_sealed(obj.version if obj else None)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_change_permission(request, obj)


# ── Rules ────────────────────────────────────────────────────────────────────────────────────────────────────────────
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
        (None, {"fields": ("meaning",), "classes": ("rule-meaning",)}),
        (_("名字和次序"), {"fields": ("version", ("name", "code"), ("group", "priority"), "stop")}),
        (_("什么时候用：在哪里卖的（不填 = 不限）"), {
            "fields": ("channel", "ownership", "store", "store_group", "live_event", "material"),
        }),
        (_("什么时候用：卖了什么、给谁（不填 = 不限）"), {
            "fields": (
                *("brand", "category", "product", "member", "tier"),
                *(("min_discount_bp", "min_dormant_days"), ("min_line_fen", "min_order_fen")),
                *("valid_from", "valid_to"),
            ),
        }),
        (_("给多少"), {
            "fields": (
                *(("base", "calc_type"), ("calc_ppm", "calc_fen"), "calc_steps"),
                *(("floor_fen", "cap_fen"), "is_commissionable"),
            ),
        }),
        (_("给谁"), {"fields": ("absent", "counts_for_attainment")}),
    )  # fmt: skip
    seen_fieldsets = (
        (None, {"fields": ("meaning",)}),
        (_("名字和次序"), {"fields": ("version", "name", "code", "group", "priority", "stop")}),
        (_("什么时候用"), {"fields": ("conditions", "valid_from", "valid_to")}),
        (_("给多少"), {"fields": ("calculation", "is_commissionable")}),
        (_("给谁"), {"fields": ("absence", "counts_for_attainment")}),
    )

    class Media:
        js = ("js/preview.js", "js/plans.js")

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

    @display(description=_("缺人时"))
    def absence(self, rule: Rule) -> str:
        return rule_words.missing(rule.missing)

    # What the rule says, written anew by preview.js while somebody types
    @display(description=_("这条规则的意思"))
    def meaning(self, rule: Rule) -> SafeString:
        address = reverse("admin:commissions_rule_preview")
        if rule.pk is None:
            hint = _("填到一半时，这里就会用一句话说出这条规则。")
            return format_html('<div data-address="{}"><p class="desk-note">{}</p></div>', address, hint)
        shares = list(rule.shares.all())
        read = review.of_rule(rule, shares=shares, version=rule.version, now=timezone.now())
        shown = _meaning(read, review.of_split(shares), [])
        return format_html('<div data-address="{}?rule={}">{}</div>', address, rule.pk, shown)

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("preview/", wrap(self.preview_view), name="commissions_rule_preview"),
            path("values/", wrap(self.values_view), name="commissions_rule_values"),
            *super().get_urls(),
        ]

    @gate.everyday
    def preview_view(self, request: HttpRequest) -> HttpResponse:
        """What the form as it stands would say, beside the other rules of its version; nothing of it is kept."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        rule = self.row(request, _number(request.GET.get("rule")))
        form = self.get_form(request, rule, change=rule is not None)(request.POST, instance=rule)
        shares = _shares(request.POST)
        version = None
        if form.is_valid():
            version = form.instance.version
        read = review.of_rule(form.instance, shares=shares, version=version, now=timezone.now()) if version else None
        wrong = [
            _("%(name)s：%(what)s") % {"name": form[name].label, "what": said}
            for name, all_said in form.errors.items()
            if name in form.fields
            for said in all_said
        ]
        return HttpResponse(_meaning(read, review.of_split(shares), [*wrong, *form.non_field_errors()]))

    def values_view(self, request: HttpRequest) -> HttpResponse:
        """What a searched condition may name, for the boxes of the form."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        page = _number(request.GET.get("page")) or 1
        found, has_more = values.search(request.GET.get("condition", ""), request.GET.get("term", "")[:64], page=page)
        results = [{"id": one.code, "text": one.label} for one in found]
        return JsonResponse({"results": results, "pagination": {"more": has_more}})


def _meaning(read: review.RuleReview | None, split: review.SplitReview, wrong: list[str]) -> SafeString:
    context = {"read": read, "split": split, "wrong": wrong}
    return render_to_string("admin/commissions/rule/meaning.html", context)


def _number(text: str | None) -> int | None:
    is_number = text is not None and text.isascii() and text.isdecimal() and len(text) < 10
    return int(text) if is_number and text else None


def _shares(sent: Any) -> list[Share]:
    """The rows of the split as far as they can be read yet."""
    shares = []
    for place in range(min(_number(sent.get("shares-TOTAL_FORMS")) or 0, _MOST_SHARES)):
        role, typed = sent.get(f"shares-{place}-role"), sent.get(f"shares-{place}-ppm", "")
        if role not in Role.values or sent.get(f"shares-{place}-DELETE"):
            continue
        try:
            ppm = PercentField(min_value=0).clean(typed) or 0
        except ValidationError:
            continue
        shares.append(Share(role=role, ppm=ppm, place=place))
    return shares


# ── Attainments ──────────────────────────────────────────────────────────────────────────────────────────────────────
class StepInline(_PartInline):
    model = AttainmentStep
    formset = StepFormSet

    start = money("from_fen", _("起点"))
    share = rate("ppm", _("比例"))
    bonus = money("fixed_fen", _("达档奖"))
    part_of_target = rate("of_target_ppm", _("起点占目标"))
    readonly_fields = ("start", "part_of_target", "share", "bonus")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        can_edit = self.has_change_permission(request, obj)
        seen = ("start", "part_of_target", "share", "bonus", "is_beyond")
        return ("from_fen", "of_target_ppm", "ppm", "fixed_fen", "is_beyond") if can_edit else seen


@admin.register(Attainment)
class AttainmentAdmin(_PartOfVersion):
    list_display = ("name", "code", "version", "level", "role", "mode")
    list_select_related = ("version__plan",)
    list_filter = ("version",)
    fieldsets = (
        (None, {"fields": ("version", "code", "name")}),
        (_("怎么累计"), {"fields": ("level", "role", "store_group", "mode", "late_refund")}),
        (_("奖励给谁"), {"fields": ("pay_role", "divide")}),
    )
    inlines = (StepInline,)


# ── Cases ────────────────────────────────────────────────────────────────────────────────────────────────────────────
@admin.register(PlanCase)
class PlanCaseAdmin(_PartOfVersion):
    form = CaseForm
    list_display = ("__str__", "code", "kind", "version")
    list_select_related = ("version__plan",)
    list_filter = ("version", "kind")
    search_fields = ("code", "title")
    readonly_fields = ("verdict",)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        head = ("version", "verdict") if obj else ("version",)
        return (
            (None, {"fields": (*head, ("code", "kind"), "title")}),
            (_("进去什么、出来什么"), {"fields": ("input", "expect")}),
        )

    @display(description=_("现在的结果"))
    def verdict(self, case: PlanCase) -> SafeString:
        (verdict,) = cases.judge_documents(case.version, [cases.as_document(case)])
        (told,) = case_words.told([(case, verdict)])
        return render_to_string("admin/commissions/planversion/verdict.html", {"told": told})
