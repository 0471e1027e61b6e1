"""Admin pages of attainment: what was sold, what is to be sold, and who is paid at least what."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminSelectWidget

from commissions import targets
from commissions.models import Attained, Guarantee, Period, Target
from retail.scoped_admin import ScopedAdmin, moment, money


def open_periods(field: Any) -> Any:
    """A choice of the periods that are not closed, each with its brand."""
    rows = field.queryset.exclude(status=Period.Status.CLOSED)
    field.queryset = rows.select_related("brand").order_by("brand", "starts_on")
    field.label_from_instance = lambda period: f"{period.brand} {period}"
    return field


@admin.register(Attained)
class AttainedAdmin(ScopedAdmin):
    is_read_only = True
    list_display = ("name", "level", "attainment", "period", "sales", "target", "bonus", "counted")
    list_select_related = ("attainment", "period")
    list_filter = ("period", "level", "store")
    search_fields = ("staff__code__exact", "name__startswith")
    search_help_text = _("工号，或名称开头")
    ordering = ("-period__starts_on", "code", "-sales_fen")
    fields = ("name", "level", "attainment", "period", "sales", "target", "bonus", "counted")
    sales = money("sales_fen", _("业绩"))
    target = money("target_fen", _("目标"))
    bonus = money("bonus_fen", _("奖励"))
    counted = moment("counted_at", _("算到"))


class PasteForm(forms.Form):
    """Two columns of a spreadsheet, for one period."""

    period = forms.ModelChoiceField(Period.objects.none(), label=_("结算期"), widget=UnfoldAdminSelectWidget)
    lines = forms.CharField(label=_("工号或门店编码，目标（元）"), strip=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["period"]
        field.queryset = Period.objects.all()
        open_periods(field)


@admin.register(Target)
class TargetAdmin(ScopedAdmin):
    """Written until the period is closed: what was counted then was counted by it."""

    list_display = ("title", "period", "goal")
    list_select_related = ("staff", "store", "period")
    list_filter = ("period", "store")
    search_fields = ("staff__code__exact", "store__code__exact")
    search_help_text = _("工号或门店编码")
    autocomplete_fields = ("staff", "store")
    ordering = ("-period__starts_on", "pk")
    fields = ("period", "staff", "store", "goal_fen")
    actions_list = ("paste",)
    goal = money("goal_fen", _("目标"))

    @display(description=_("谁的"))
    def title(self, target: Target) -> str:
        return str(target.staff or target.store)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.paste_view)
        return [path("paste/", view, name="commissions_target_paste"), *super().get_urls()]

    def has_paste_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perms(["commissions.add_target", "commissions.change_target"])

    @action(description=_("从表格粘贴"), icon="content_paste", permissions=["paste"])
    def paste(self, request: HttpRequest) -> HttpResponse:
        return redirect("admin:commissions_target_paste")

    def paste_view(self, request: HttpRequest) -> HttpResponse:
        """Thousands of targets are made in a spreadsheet; two of its columns are pasted here."""
        if not self.has_paste_permission(request):
            raise PermissionDenied
        form = PasteForm(request.POST if request.method == "POST" else None)
        wrong: list[str] = []
        if form.is_valid():
            period, text = form.cleaned_data["period"], form.cleaned_data["lines"]
            try:
                done = targets.put(period=period, text=text, by=request.user, now=timezone.now())
            except targets.TargetsRefused as refusal:
                wrong = refusal.messages
            else:
                said = _("新增 %(new)s 个目标，改了 %(changed)s 个，%(same)s 个没有变。")
                messages.success(request, said % done._asdict())
                return redirect("admin:commissions_target_changelist")
        context = {"title": _("从表格粘贴目标"), "form": form, "wrong": wrong, "media": self.media}
        context["back"] = reverse("admin:commissions_target_changelist")
        return TemplateResponse(
            request, "admin/commissions/target/paste.html", {**self.admin_site.each_context(request), **context}
        )

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        is_open = obj is None or obj.period.status != Period.Status.CLOSED
        return is_open and super().has_change_permission(request, obj)

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "period":
            return open_periods(super().formfield_for_foreignkey(db_field, request, **kwargs))
        return super().formfield_for_foreignkey(db_field, request, **kwargs)


@admin.register(Guarantee)
class GuaranteeAdmin(ScopedAdmin):
    list_display = ("title", "brand", "first_period", "least", "draw_until", "recover_from")
    list_select_related = ("brand", "staff", "first_period")
    list_filter = ("brand", "position")
    autocomplete_fields = ("staff",)
    fields = ("brand", "staff", "position", "grade", "first_period", "min_fen", "draw_until", "recover_from")
    least = money("min_fen", _("每期至少"))

    @display(description=_("给谁"))
    def title(self, guarantee: Guarantee) -> str:
        return guarantee.whose

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "first_period":
            return open_periods(super().formfield_for_foreignkey(db_field, request, **kwargs))
        return super().formfield_for_foreignkey(db_field, request, **kwargs)
