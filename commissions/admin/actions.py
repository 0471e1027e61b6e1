"""行为奖励 in the admin: the rates of a version on its page, and every event with what it brought or why nothing."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from commissions import action_words, actions
from commissions.admin.journal import known, person_of
from commissions.models import ActionEvent, ActionRate, PlanVersion
from commissions.models.actions import CONNECTED
from retail.scoped_admin import Badge, EstimatedPaginator, ScopedAdmin, ScopedStackedInline, link, moment, money
from retail.templatetags.figures import yuan


class RateForm(forms.ModelForm):
    """Only what some room tells us of can be promised."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "type" in self.fields:
            now = self.instance.type if self.instance.pk else ""
            offered = [(one.value, one.label) for one in CONNECTED]
            kept = [one for one in self.fields["type"].choices if one[0] == now and one not in offered]
            self.fields["type"].choices = [("", "---------"), *offered, *(kept if now else [])]


class ActionRateInline(ScopedStackedInline):
    """The rates of a version: open while it is a draft, words and how their budgets stand once it is approved."""

    model = ActionRate
    form = RateForm
    verbose_name_plural = _("行为奖励（加好友、招募、唤醒、素材被打开、用券）")
    fields = (
        *("type", "fen", "once_per", "daily_cap", "min_inactive_days", "void_days"),
        *("budget_fen", "budget_from"),
    )
    readonly_fields = ("meaning", "spent", "ended")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.fields if self.has_change_permission(request, obj) else ("meaning", "spent", "ended")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_add_permission(request, obj) and not _is_sealed(obj)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and not _is_sealed(obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_change_permission(request, obj)

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        kwargs["help_texts"] = {
            "daily_cap": _("空着就是不限。"),
            "min_inactive_days": _("唤醒沉睡客户要填，至少 30。"),
            "void_days": _("好友被删、会员合并、货全退，在这几天内收回；空着就是不论过多久都收回。"),
            "budget_from": _("空着就从第一笔算起，换版本不清零。"),
        }
        return super().get_formset(request, obj, **kwargs)

    @display(description=_("规定"))
    def meaning(self, rate: ActionRate) -> str:
        said = {"name": rate.get_type_display(), "what": action_words.terms(rate)}
        return _("%(name)s：%(what)s") % said if rate.pk else "–"

    @display(description=_("预算"))
    def spent(self, rate: ActionRate) -> str:
        stand = actions.budget(rate=rate)
        spent = _("已用 ¥%(fen)s") % {"fen": yuan(stand.spent_fen)}
        if stand.budget_fen is None:
            return str(spent)
        return _("%(spent)s，共 ¥%(budget)s") % {"spent": spent, "budget": yuan(stand.budget_fen)}

    @display(description=_("用完"))
    def ended(self, rate: ActionRate) -> str:
        ended_on = actions.budget(rate=rate).ended_on
        return _("%(day)s 已用完，之后的都没有给") % {"day": ended_on} if ended_on else "–"


def _is_sealed(version: PlanVersion | None) -> bool:
    return version is not None and version.status in PlanVersion.SEALED


# ── Events ───────────────────────────────────────────────────────────────────────────────────────────────────────────
OUTCOMES = {
    "paid": _("有奖励"),
    "back": _("收回"),
    "already_paid": _("已经给过"),
    "daily_cap": _("超过每天次数"),
    "budget_spent": _("预算用完"),
    "too_active": _("不算沉睡"),
    "too_late": _("过期不收回"),
}
_COLOURS = {"paid": "success", "back": "warning", **dict.fromkeys(list(OUTCOMES)[2:], "info")}


class OutcomeFilter(admin.SimpleListFilter):
    title = _("结果")
    parameter_name = "outcome"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, object]]:
        return list(OUTCOMES.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        if self.value() in ("paid", "back"):
            return queryset.filter(reason="", of__isnull=self.value() == "paid")
        return queryset.filter(reason=self.value()) if self.value() in OUTCOMES else queryset


@admin.register(ActionEvent)
class ActionEventAdmin(ScopedAdmin):
    is_read_only = True
    paginator = EstimatedPaginator
    list_display = ("type", "person", "amount", "outcome", "sentence", "happened", "store")
    list_select_related = ("staff", "store", "rate")
    list_filter = (OutcomeFilter, "type", "store", "at")
    search_fields = ("staff__code__exact", "staff__name__startswith")
    search_help_text = _("工号或姓名开头")
    ordering = ("-pk",)
    fieldsets = (
        (None, {"fields": ("type", "person", "store", "amount", "outcome", "sentence")}),
        (_("怎么判的"), {"fields": ("terms", "version_name", "entry_link", "active_days", "about", "number")}),
        (_("时间"), {"fields": ("at", "day", "judged_at")}),
    )

    amount = money("fen", _("金额"))
    happened = moment("at", _("时间"))

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return known(super().get_queryset(request), request)

    @display(description=_("谁"), ordering="staff")
    def person(self, event: ActionEvent) -> str:
        return person_of(event)

    @display(description=_("结果"), label=_COLOURS)
    def outcome(self, event: ActionEvent) -> Badge:
        key = event.reason or ("back" if event.of_id else "paid")
        return Badge(key, OUTCOMES[key])

    @display(description=_("说明"))
    def sentence(self, event: ActionEvent) -> str:
        return action_words.story(event, "").sentence

    @display(description=_("素材"))
    def about(self, event: ActionEvent) -> str:
        return action_words.about(event) or "–"

    @display(description=_("规定"))
    def terms(self, event: ActionEvent) -> str:
        return action_words.terms(event.rate)

    @display(description=_("方案版本"))
    def version_name(self, event: ActionEvent) -> str:
        return str(event.version)

    @display(description=_("佣金流水"))
    def entry_link(self, event: ActionEvent) -> SafeString | str:
        return link("commissions_entry_change", event.entry_id, f"#{event.entry_id}") if event.entry_id else "–"
