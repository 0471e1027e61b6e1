"""素材效果 row by row: what one clerk did with one material on one day and what came of it; to be taken as a file."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from clerks.materials.models import ShareDay
from retail.exports import ExportingAdmin
from retail.scoped_admin import EstimatedPaginator, money
from retail.sheets import Column


def _whole(title: Any, name: str) -> Column:
    return Column(title, "whole", lambda row: getattr(row, name))


@admin.register(ShareDay)
class ShareDayAdmin(ExportingAdmin):
    is_read_only = True
    paginator = EstimatedPaginator
    list_display = (
        "day",
        "material",
        "staff",
        "store",
        "shares",
        "sent",
        "viewers",
        "known",
        "buyers",
        "orders",
        "sales",
    )
    list_select_related = ("material", "staff", "store")
    list_filter = ("day", "store")
    lookups = ("brand__id__exact", "material__id__exact", "staff__id__exact")
    ordering = ("-day", "-sales_fen", "pk")
    fields = (
        "day", "material", "staff", "store", "shares", "sent", "openings", "viewers", "known", "seconds", "buyers",
        "orders", "sales",
    )  # fmt: skip
    sales = money("sales_fen", _("成交额"))
    sheet = (
        Column(_("日期"), "text", lambda row: row.day.isoformat()),
        Column(_("素材"), "text", lambda row: row.material),
        Column(_("场景"), "text", lambda row: row.material.get_scene_display()),
        Column(_("工号"), "text", lambda row: row.staff.code),
        Column(_("导购"), "text", lambda row: row.staff.name),
        Column(_("门店"), "text", lambda row: row.store),
        _whole(_("分享"), "shares"),
        _whole(_("发出"), "sent"),
        _whole(_("打开"), "openings"),
        _whole(_("打开人数"), "viewers"),
        _whole(_("认出人数"), "known"),
        _whole(_("停留秒数"), "seconds"),
        _whole(_("成交人数"), "buyers"),
        _whole(_("成交单数"), "orders"),
        Column(_("成交额"), "money", lambda row: row.sales_fen),
    )

    def sheet_rows(self, rows: QuerySet) -> QuerySet:
        return rows.select_related(*self.list_select_related)

    def rows_about(self, *, member_ids: Any, key_ids: Any) -> set[int] | None:
        return set()  # names no customer
