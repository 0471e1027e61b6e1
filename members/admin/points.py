"""Admin pages of points: the rules, what was booked, and points given or taken by hand."""

import re
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.dataclasses import ActionDialog
from unfold.decorators import action, display
from unfold.forms import BaseDialogForm
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminTextInputWidget,
)

from members import points
from members.models import Membership, PointsEntry, PointsRule
from retail import approvals, privacy
from retail.scoped_admin import (
    Badge,
    DecidingAdmin,
    EstimatedPaginator,
    ScaledField,
    ScopedAdmin,
    ScopedTabularInline,
    as_yuan,
    link,
    moment,
)
from retail.templatetags.figures import yuan

_Kind = PointsEntry.Kind
COLOURS = {
    _Kind.EARN: "success",
    _Kind.ADJUST: "success",
    _Kind.UNBURN: "success",
    _Kind.BACK: "warning",
    _Kind.EXPIRE: "warning",
    _Kind.BURN: "info",
    _Kind.DEDUCT: "danger",
}
WEEKDAYS = list(enumerate((_("周一"), _("周二"), _("周三"), _("周四"), _("周五"), _("周六"), _("周日")), start=1))


def as_points(number: int) -> SafeString:
    """+120 or -120."""
    return format_html('<span class="figure">{}</span>', f"{number:+,}")


# ── Rules ────────────────────────────────────────────────────────────────────────────────────────────────────────────
class TimesField(ScaledField):
    """Percent, typed as a multiple: 2 or 1.5."""

    factor = 100

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"decimal_places": 2, "max_digits": 5, "widget": UnfoldAdminTextInputWidget, **kwargs})


class DaysField(forms.CharField):
    """Days of the month, typed as "8, 18, 28"."""

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(map(str, value)) if isinstance(value, list) else value

    def clean(self, value: Any) -> list[int]:
        text = super().clean(value)
        numbers = re.findall(r"\d+", text)
        days = sorted({int(number) for number in numbers if len(number) <= 2})
        is_other = any(len(number) > 2 for number in numbers) or re.search(r"[^\W\d]|[-.]", text)
        if is_other or not all(1 <= day <= 31 for day in days):
            raise forms.ValidationError(_("请填 1 到 31 的数字，用逗号隔开，例如 8, 18, 28。"))
        return days

    def has_changed(self, initial: Any, data: Any) -> bool:
        return self.prepare_value(initial or []) != (data or "")


class RuleForm(forms.ModelForm):
    times_percent = TimesField(
        label=_("加倍：乘几倍"),
        required=False,
        min_value=1,
        max_value=100,
        help_text=_("例如 2 或 1.5。几条加倍规则同时合适时，用最高的一条。"),
    )
    month_days = DaysField(
        label=_("只在每月几号"),
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("会员日，例如 8, 18, 28；空着就是每天。"),
    )
    weekdays = forms.TypedMultipleChoiceField(
        label=_("只在每周几"),
        required=False,
        coerce=int,
        choices=WEEKDAYS,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )

    class Meta:
        model = PointsRule
        exclude = ()

    def clean(self) -> dict[str, Any]:
        said = super().clean()
        is_times = said.get("kind") == PointsRule.Kind.TIMES
        if is_times and (said.get("times_percent") or 0) <= 100:
            self.add_error("times_percent", _("加倍要大于 1 倍。"))
        if said.get("times_percent") is None:
            said["times_percent"] = 200
        if not is_times and not said.get("spend_fen"):
            self.add_error("spend_fen", _("请填每消费多少元。"))
        if said.get("life") == PointsRule.Life.DAYS and not said.get("lives_days"):
            self.add_error("lives_days", _("请填得到后多少天有效。"))
        for name in ("channel", "tier"):
            one, brand = said.get(name), said.get("brand")
            if one and brand and one.brand_id not in (None, brand.pk):
                self.add_error(name, _("要和规则是同一个品牌的。"))
        starts_on, ends_on = said.get("starts_on"), said.get("ends_on")
        if starts_on and ends_on and ends_on < starts_on:
            self.add_error("ends_on", _("不能早于开始那天。"))
        return said


@admin.register(PointsRule)
class PointsRuleAdmin(ScopedAdmin):
    """Changed at any time: orders that earned keep what they earned by."""

    form = RuleForm
    list_display = ("name", "brand", "gives", "where", "on_days", "starts_on", "ends_on", "good_until", "priority")
    list_select_related = ("brand", "channel", "tier")
    list_filter = ("brand", "kind")
    fieldsets = (
        (None, {"fields": ("brand", "name", "kind")}),
        (_("给多少"), {"fields": (("spend_fen", "points"), "times_percent")}),
        (_("什么时候"), {"fields": (("starts_on", "ends_on"), "month_days", "weekdays")}),
        (_("给谁"), {"fields": ("channel", "tier", "priority")}),
        (_("积分有效期（基础规则）"), {"fields": (("life", "lives_days"),)}),
    )

    @display(description=_("给多少"))
    def gives(self, row: PointsRule) -> str:
        if row.kind == PointsRule.Kind.TIMES:
            return _("%(times)s 倍") % {"times": f"{row.times_percent / 100:g}"}
        return _("每 %(yuan)s 元 %(points)s 分") % {
            "yuan": yuan(row.spend_fen).removesuffix(".00"),
            "points": row.points,
        }

    @display(description=_("给谁"))
    def where(self, row: PointsRule) -> str:
        return " · ".join(str(one) for one in (row.channel, row.tier) if one) or _("所有会员")

    @display(description=_("哪几天"))
    def on_days(self, row: PointsRule) -> str:
        names = dict(WEEKDAYS)
        said = [_("每月 %(days)s 号") % {"days": ", ".join(map(str, row.month_days))}] if row.month_days else []
        said += [str(names[day]) for day in row.weekdays]
        return " ".join(map(str, said)) or _("每天")

    @display(description=_("积分有效期"))
    def good_until(self, row: PointsRule) -> str:
        if row.kind == PointsRule.Kind.TIMES:
            return "–"
        if row.life == PointsRule.Life.DAYS:
            return _("%(days)s 天") % {"days": row.lives_days}
        return row.get_life_display()


# ── Entries ──────────────────────────────────────────────────────────────────────────────────────────────────────────
class _Shown:
    """The columns of an entry, on the list and below a member."""

    @display(description=_("类型"), ordering="kind", label=COLOURS)
    def kind_label(self, row: PointsEntry) -> Badge:
        return Badge(row.kind, row.get_kind_display())

    @display(description=_("积分"), ordering="points")
    def amount(self, row: PointsEntry) -> SafeString:
        return as_points(row.points)

    @display(description=_("凭什么"))
    def because(self, row: PointsEntry) -> str:
        said = []
        if row.kind == _Kind.EARN and row.rule and row.rate_points:
            said = [row.rule.name, *([row.times.name] if row.times else [])]
        elif row.adjustment:
            said = [privacy.without_numbers(row.adjustment.reason)]
        if row.is_moved:
            said.append(str(_("会员合并")))
        return " · ".join(said) or "–"

    happened = moment("at", _("发生"))


@admin.register(PointsEntry)
class PointsEntryAdmin(_Shown, ScopedAdmin):
    is_read_only = True
    paginator = EstimatedPaginator
    list_display = ("title", "kind_label", "amount", "order_link", "because", "expires_on", "happened")
    list_select_related = ("membership__member", "order", "rule", "times", "adjustment")
    list_filter = ("kind",)
    lookups = ("membership__id__exact",)
    search_fields = ("order__outer_order_id__exact",)
    search_help_text = _("订单号")
    ordering = ("-pk",)
    fields = (
        "title",
        "kind_label",
        "amount",
        "order_link",
        "because",
        "rate",
        "expires_on",
        "happened",
        "booked",
        "by_whom",
    )
    booked = moment("created_at", _("记账"))

    @display(description=_("会员"))
    def title(self, row: PointsEntry) -> str:
        member = row.membership.member
        return str(member)

    @display(description=_("订单"))
    def order_link(self, row: PointsEntry) -> SafeString | str:
        return link("retail_order_change", row.order_id, row.order) if row.order else "–"

    @display(description=_("按什么比例"))
    def rate(self, row: PointsEntry) -> SafeString | str:
        if not row.rate_fen:
            return "–"
        return format_html("{} → {}", as_yuan(row.rate_fen), _("%(points)s 分") % {"points": row.rate_points})

    @display(description=_("谁调整的"))
    def by_whom(self, row: PointsEntry) -> str:
        if row.adjustment is None:
            return "–"
        people = (row.adjustment.by, row.adjustment.approved_by)
        return " · ".join(str(person) for person in people if person) or "–"


class PointsEntryInline(_Shown, ScopedTabularInline):
    model = PointsEntry
    fields = ("kind_label", "amount", "because", "expires_on", "happened")
    ordering = ("-at", "-pk")
    is_read_only = True
    per_page = 20
    verbose_name_plural = _("积分流水")

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return super().get_queryset(request).select_related("rule", "times", "adjustment")


# ── By hand ──────────────────────────────────────────────────────────────────────────────────────────────────────────
class AdjustForm(BaseDialogForm):
    points = forms.IntegerField(
        label=_("积分"),
        min_value=-points.MOST,
        max_value=points.MOST,
        widget=UnfoldAdminIntegerFieldWidget(),
        help_text=_("补发填正数，扣减填负数，例如 -200。"),
    )
    expires_on = forms.DateField(
        label=_("有效到（补发时可填，空着一直有效）"),
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs={"type": "date"}),
    )
    reason = forms.CharField(
        label=_("原因"),
        min_length=2,
        max_length=200,
        widget=UnfoldAdminTextInputWidget(),
        help_text=_("例如：补发漏记的订单积分。不要写姓名和号码。"),
    )


ADJUST = ActionDialog(
    title=_("补发或扣减积分"),
    description=_("记一笔新流水，原来的不动。数目大的要另一个人同意后才记。"),
    form_class=AdjustForm,
    form_submit_text=_("提交"),
)


class PointsByHand(DecidingAdmin):
    """For the page of a membership. The names of its buttons go into `actions_detail`."""

    refusals = (approvals.Refused,)

    def has_adjust_points_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        row = self.row(request, object_id)
        is_somebody = row is not None and row.member.merged_into_id is None
        return is_somebody and request.user.has_perm("members.add_pointsadjustment")

    @action(description=_("补发或扣减积分"), icon="toll", permissions=["adjust_points"], dialog=ADJUST)
    def adjust_points(self, request: HttpRequest, form: AdjustForm, object_id: str) -> HttpResponse:
        def adjust(membership: Membership) -> str:
            given = {name: form.cleaned_data[name] for name in ("points", "expires_on", "reason")}
            done = points.adjust(membership=membership, **given, by=request.user, now=timezone.now())
            if isinstance(done, approvals.Approval):
                return str(_("数目较大，已经放进双人审批。另一个人同意后记账。"))
            return str(_("已经记账。"))

        return self.attempt(request, object_id, adjust)

    @display(description=_("积分"))
    def balance(self, row: Membership) -> SafeString:
        said = points.summary(membership=row, now=timezone.now(), moves=0)
        url = f"{reverse('admin:members_pointsentry_changelist')}?{urlencode({'membership__id__exact': row.pk})}"
        after = ""
        if said.next:
            after = _("其中 %(points)s 分 %(day)s 到期") % {"points": f"{said.next.points:,}", "day": said.next.on}
        return format_html('<a class="text-link figure" href="{}">{}</a> {}', url, f"{said.balance:,}", after)
