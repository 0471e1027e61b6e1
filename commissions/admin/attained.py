"""Admin pages of attainment: what was sold, what is to be sold, and who is paid at least what."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

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
    goal = money("goal_fen", _("目标"))

    @display(description=_("谁的"))
    def title(self, target: Target) -> str:
        return str(target.staff or target.store)

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
    fields = ("brand", "staff", "position", "first_period", "min_fen", "draw_until", "recover_from")
    least = money("min_fen", _("每期至少"))

    @display(description=_("给谁"))
    def title(self, guarantee: Guarantee) -> str:
        return str(guarantee.staff or guarantee.get_position_display())

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "first_period":
            return open_periods(super().formfield_for_foreignkey(db_field, request, **kwargs))
        return super().formfield_for_foreignkey(db_field, request, **kwargs)
