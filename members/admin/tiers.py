"""Admin pages of tiers: the ladder of a brand, its rule, trying another one, and tiers given by hand."""

from datetime import datetime, time
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Prefetch, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.dataclasses import ActionDialog
from unfold.decorators import action, display
from unfold.forms import BaseDialogForm
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from members import tiers
from members.models import Membership, Tier, TierMove, TierRule
from retail import approvals, privacy
from retail.scoped_admin import Badge, DecidingAdmin, ScopedAdmin, ScopedTabularInline, as_yuan, moment

_Metric = TierRule.Metric
UNITS = {_Metric.SPEND: _("元"), _Metric.ORDERS: _("次"), _Metric.POINTS: _("分")}
COLOURS = {"earned": "success", "lapsed": "warning", "rule": "info", "manual": "info", "merged": "info"}


def as_worth(metric: str, number: int) -> SafeString | str:
    """What a threshold or a member has, in its unit."""
    if metric == _Metric.SPEND:
        return as_yuan(number)
    return f"{number:,} {UNITS[_Metric(metric)]}" if metric else f"{number:,}"


def _metric_of(brand_id: int | None) -> str:
    rule = TierRule.objects.filter(brand=brand_id).first() if brand_id else None
    return rule.metric if rule else _Metric.SPEND


class ReachedField(forms.DecimalField):
    """A threshold: typed in yuan where the brand counts what was spent, else a whole number. See `typed`, `kept`."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            **{"min_value": 0, "max_digits": 12, "decimal_places": 2, "widget": UnfoldAdminTextInputWidget, **kwargs}
        )

    def has_changed(self, initial: Any, data: Any) -> bool:
        return str(initial or "") != str(data or "")


def typed(metric: str, threshold: int) -> str:
    return (
        f"{Decimal(threshold) / 100:g}"
        if metric == _Metric.SPEND and threshold % 100
        else str(threshold // 100 if metric == _Metric.SPEND else threshold)
    )


def kept(metric: str, said: Decimal) -> int:
    if metric == _Metric.SPEND:
        return int(said * 100)
    if said != int(said):
        raise forms.ValidationError(_("要填整数。"))
    return int(said)


# ── The ladder ───────────────────────────────────────────────────────────────────────────────────────────────────────
class TierForm(forms.ModelForm):
    reached = ReachedField(
        label=_("达到"), help_text=_("按消费评级填元，按次数填次，按积分填分；最低的等级填 0，人人都有。")
    )

    class Meta:
        model = Tier
        fields = ("brand", "code", "name", "rank", "is_protected")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk and "reached" in self.fields:
            self.initial["reached"] = typed(_metric_of(self.instance.brand_id), self.instance.threshold)

    def clean(self) -> dict[str, Any]:
        said = super().clean()
        brand, rank, reached = said.get("brand"), said.get("rank"), said.get("reached")
        if brand is None or rank is None or reached is None:
            return said
        try:
            threshold = kept(_metric_of(brand.pk), reached)
        except forms.ValidationError as error:
            self.add_error("reached", error)
            return said
        others = Tier.objects.filter(brand=brand).exclude(pk=self.instance.pk)
        if others.filter(rank=rank).exists():
            self.add_error("rank", _("已经有这个级别的等级了。"))
        if not said.get("is_protected"):
            below = others.filter(is_protected=False, rank__lt=rank, threshold__gte=threshold)
            above = others.filter(is_protected=False, rank__gt=rank, threshold__lte=threshold)
            if below.exists() or above.exists():
                self.add_error("reached", _("级别越高，要达到的也要越多。"))
        self.instance.threshold = threshold
        return said


@admin.register(Tier)
class TierAdmin(ScopedAdmin):
    form = TierForm
    list_display = ("name", "code", "brand", "rank", "reached", "is_protected")
    list_select_related = ("brand__tier_rule",)
    list_filter = ("brand",)
    ordering = ("brand", "rank")
    fields = ("brand", "code", "name", "rank", "reached", "is_protected")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("reached",) if not self.has_change_permission(request, obj) else ()

    @display(description=_("达到"), ordering="threshold")
    def reached(self, row: Tier) -> SafeString | str:
        if row.is_protected:
            return "–"
        rule = getattr(row.brand, "tier_rule", None)
        return as_worth(rule.metric if rule else _Metric.SPEND, row.threshold)


# ── The rule, and trying another ─────────────────────────────────────────────────────────────────────────────────────
class TrialForm(forms.Form):
    """A rule with its thresholds: one field for each tier, `reached_<id>`."""

    metric = forms.ChoiceField(label=_("按什么评级"), choices=_Metric.choices, widget=UnfoldAdminSelectWidget)
    window_days = forms.IntegerField(
        label=_("统计最近几天"), min_value=1, max_value=3_650, widget=UnfoldAdminIntegerFieldWidget
    )
    keep_days = forms.IntegerField(
        label=_("等级保留几天"), min_value=1, max_value=3_650, widget=UnfoldAdminIntegerFieldWidget
    )

    def __init__(self, data: Any, *, rule: TierRule) -> None:
        super().__init__(data, initial={name: getattr(rule, name) for name in ("metric", "window_days", "keep_days")})
        self.brand_id = rule.brand_id
        self.ladder = list(Tier.objects.filter(brand=rule.brand_id, is_protected=False).order_by("rank"))
        for tier in self.ladder:
            initial = typed(rule.metric, tier.threshold)
            self.fields[f"reached_{tier.pk}"] = ReachedField(label=tier.name, initial=initial)

    @property
    def thresholds(self) -> list[forms.BoundField]:
        return [self[f"reached_{tier.pk}"] for tier in self.ladder]

    def clean(self) -> dict[str, Any]:
        said = super().clean()
        self.reached: dict[int, int] = {}
        before = -1
        for tier in self.ladder:
            name = f"reached_{tier.pk}"
            if name not in said or "metric" not in said:
                continue
            try:
                reached = kept(said["metric"], said[name])
            except forms.ValidationError as error:
                self.add_error(name, error)
                continue
            if reached <= before:
                self.add_error(name, _("级别越高，要达到的也要越多。"))
            before = self.reached[tier.pk] = reached
        return said

    @property
    def scheme(self) -> tiers.Scheme:
        said = self.cleaned_data
        return tiers.Scheme(self.brand_id, said["metric"], said["window_days"], said["keep_days"], self.reached)


@admin.register(TierRule)
class TierRuleAdmin(DecidingAdmin):
    """One for each brand. It is changed on the page that tries it: there one sees whom it moves before it holds."""

    list_display = ("brand", "metric", "window_days", "keep_days", "ladder")
    list_select_related = ("brand",)
    fields = ("brand", "metric", "window_days", "keep_days")
    actions_detail = ("try_out",)

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        steps = Tier.objects.filter(is_protected=False).order_by("rank")
        return (
            super().get_queryset(request).prefetch_related(Prefetch("brand__tiers", queryset=steps, to_attr="ladder"))
        )

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return (*self.fields, "ladder") if obj else self.fields

    @display(description=_("各等级要达到"))
    def ladder(self, rule: TierRule) -> SafeString | str:
        steps = ((tier.name, as_worth(rule.metric, tier.threshold)) for tier in rule.brand.ladder)
        return format_html_join(" · ", "{} {}", steps) or "–"

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return obj is None and super().has_change_permission(request, obj)

    def has_try_out_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("members.view_tierrule")

    @action(description=_("试算并修改"), icon="science", permissions=["try_out"], url_path="trial")
    def try_out(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """What another rule would make of everybody; saved only when asked for."""
        rule = self.row(request, object_id)
        if rule is None:
            raise Http404
        may_save = request.user.has_perms(["members.change_tierrule", "members.change_tier"])
        if request.method == "POST" and not may_save:
            raise PermissionDenied
        given = request.POST if request.method == "POST" else request.GET
        form = TrialForm(given if "metric" in given else None, rule=rule)
        trial = None
        if form.is_valid():
            if request.method == "POST":
                tiers.change(scheme=form.scheme, by=request.user, now=timezone.now())
                messages.success(request, _("已经保存。今晚按新规则：够标准的升级，不够的到期后降级。"))
                return redirect("admin:members_tierrule_try_out", object_id)
            trial = tiers.try_out(scheme=form.scheme, now=timezone.now())
        context = {
            "title": _("%(brand)s · 等级规则试算") % {"brand": rule.brand},
            "form": form,
            "trial": trial,
            "metric": form.cleaned_data["metric"] if trial else "",
            "may_save": may_save,
            "media": self.media,
            "back": reverse("admin:members_tierrule_changelist"),
            "unit": UNITS.get(form["metric"].value(), ""),
            "cases": [_case(case, form.cleaned_data["metric"]) for case in trial.sample] if trial else [],
        }
        return TemplateResponse(
            request, "admin/members/tierrule/trial.html", {**self.admin_site.each_context(request), **context}
        )


def _case(case: tiers.Case, metric: str) -> dict[str, Any]:
    member = case.membership.member
    return {
        "title": str(member),
        "url": reverse("admin:members_membership_change", args=[case.membership.pk]),
        "before": case.before,
        "anyway": case.anyway,
        "after": case.after,
        "worth": as_worth(metric, case.value),
    }


# ── By hand ──────────────────────────────────────────────────────────────────────────────────────────────────────────
class GiveForm(BaseDialogForm):
    tier = forms.ModelChoiceField(
        label=_("等级"), queryset=Tier.objects.none(), empty_label=_("请选择"), widget=UnfoldAdminSelectWidget
    )
    until = forms.DateField(
        label=_("保留到哪天（含），空着一直保留"),
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs={"type": "date"}),
    )
    is_held = forms.BooleanField(label=_("到期前也不自动升级"), required=False, widget=UnfoldBooleanSwitchWidget)
    reason = forms.CharField(
        label=_("原因"),
        min_length=2,
        max_length=200,
        widget=UnfoldAdminTextInputWidget(),
        help_text=_("不要写姓名和号码。"),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["tier"]
        theirs = Membership.objects.filter(pk=self.object_id).values("brand")
        field.queryset = Tier.objects.filter(brand__in=theirs).order_by("rank")


GIVE = ActionDialog(
    title=_("人工定级"),
    description=_("马上生效，会员的等级变动里写着是谁、为什么。"),
    form_class=GiveForm,
    form_submit_text=_("定级"),
)


class TierByHand(DecidingAdmin):
    """For the page of a membership. The names of its buttons go into `actions_detail`."""

    refusals = (approvals.Refused,)

    def has_give_tier_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        row = self.row(request, object_id)
        is_somebody = row is not None and row.member.merged_into_id is None
        return is_somebody and request.user.has_perm("members.add_tiermove")

    @action(description=_("人工定级"), icon="military_tech", permissions=["give_tier"], dialog=GIVE)
    def give_tier(self, request: HttpRequest, form: GiveForm, object_id: str) -> HttpResponse:
        def give(membership: Membership) -> str:
            said, day = form.cleaned_data, form.cleaned_data["until"]
            until = timezone.make_aware(datetime.combine(day, time.max)) if day else None
            given = {"tier": said["tier"], "is_held": said["is_held"], "reason": said["reason"], "until": until}
            tiers.give(membership=membership, **given, by=request.user, now=timezone.now())
            return str(_("已经定级。"))

        return self.attempt(request, object_id, give)

    @display(description=_("等级"))
    def standing(self, row: Membership) -> str:
        said = tiers.standing(membership=row, now=timezone.now())
        words = [str(said.tier or _("没有等级"))]
        if said.until:
            words.append(_("保留到 %(day)s") % {"day": timezone.localtime(said.until).date()})
            if said.then != said.tier:
                words.append(_("按现在算，到期变为%(tier)s") % {"tier": said.then or _("没有等级")})
        if said.next:
            missing = as_worth(said.metric, said.missing)
            words.append(_("离%(tier)s还差 %(missing)s") % {"tier": said.next, "missing": _plain(missing)})
        return " · ".join(map(str, words))


def _plain(said: Any) -> str:
    """Without the mark-up of a figure."""
    return str(said).replace('<span class="figure">', "").replace("</span>", "")


class TierMoveInline(ScopedTabularInline):
    model = TierMove
    fields = ("before", "after", "cause_label", "order", "by", "told", "happened")
    ordering = ("-at", "-pk")
    is_read_only = True
    per_page = 20
    verbose_name_plural = _("等级变动")
    happened = moment("at", _("时间"))

    @display(description=_("原因"), label=COLOURS)
    def cause_label(self, row: TierMove) -> Badge:
        return Badge(row.cause, row.get_cause_display())

    @display(description=_("说明"))
    def told(self, row: TierMove) -> str:
        return privacy.without_numbers(row.reason) or "–"
