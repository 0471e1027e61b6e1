"""不要联系: the wishes to be left alone as a list, and the page on which one is taken back on the customer's word."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.dataclasses import ActionDialog
from unfold.decorators import action, display
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminTextInputWidget

from members import consent
from members.models import Member, Stop
from retail.audit import AuditRow
from retail.models import Brand, Staff
from retail.scoped_admin import Badge, DecidingAdmin, moment


class LiftForm(BaseDialogForm):
    said = forms.CharField(
        label=_("顾客是怎么说可以的"),
        min_length=2,
        max_length=200,
        help_text=_("例如：到店当面说的，店长在场。不要写姓名和号码。"),
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
    )


LIFT = ActionDialog(
    title=_("可以重新联系？"),
    description=_("要顾客亲口说可以，才能取消。会记下是您取消的，和凭什么取消。"),
    form_class=LiftForm,
    form_submit_text=_("顾客说可以了"),
)


class _OneOf(admin.SimpleListFilter):
    """Kept as plain text, so that other rooms may add to it; on the list it is chosen in words."""

    choices_of: dict[str, Any]

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(value or "all", words) for value, words in self.choices_of.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        value = self.value()
        return queryset.filter(Q((str(self.parameter_name), "" if value == "all" else value))) if value else queryset


class WayFilter(_OneOf):
    title = _("方式")
    parameter_name = "channel"
    choices_of = dict(Stop.Channel.choices)


class WhatFilter(_OneOf):
    title = _("内容")
    parameter_name = "purpose"
    choices_of = dict(Stop.Purpose.choices)


def _who_said(row: AuditRow) -> str:
    """Who did it, by name to those who see them in their lists, and on which word of the customer's."""
    staff = getattr(row.by, "staff", None)
    is_known = staff is not None and Staff.objects.filter(pk=staff.pk).exists()
    name = str(staff) if is_known else str(_("其他同事") if row.by else _("系统"))
    return " · ".join(filter(None, (name, row.reason)))


@admin.register(Stop)
class StopAdmin(DecidingAdmin):
    is_read_only = True
    list_display = ("who", "wish", "brands", "since", "state_label")
    list_select_related = ("member",)
    list_filter = (WayFilter, WhatFilter, "at")
    ordering = ("-pk",)
    fields = ("who", "wish", "brands", "since", "noted_by", "state_label", "lifted", "lifted_by")
    actions_detail = ("lift",)

    since = moment("at", _("从"))
    lifted = moment("lifted_at", _("取消"))

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        names = Brand.objects.filter(corp=OuterRef("corp")).order_by("pk").values("name")
        return super().get_queryset(request).annotate(brand_names=ArraySubquery(names))

    @display(description=_("会员"))
    def who(self, row: Stop) -> str:
        return str(row.member)

    @display(description=_("顾客说"))
    def wish(self, row: Stop) -> str:
        return row.words

    @display(description=_("对哪些品牌"))
    def brands(self, row: Any) -> str:
        """Of the reader's brands those whose WeCom it holds for."""
        return _("、").join(row.brand_names) if row.corp else str(_("全部品牌"))

    @display(description=_("谁记下"))
    def noted_by(self, row: Stop) -> str:
        said = consent.noted(stop=row).get("stop")
        return _who_said(said) if said else str(_("顾客收回了同意，系统记下"))

    @display(description=_("谁取消"))
    def lifted_by(self, row: Stop) -> str:
        said = consent.noted(stop=row).get("stop.lift") if row.lifted_at else None
        return _who_said(said) if said else "–"

    @display(description=_("状态"), label={"open": "danger", "lifted": "info"})
    def state_label(self, row: Stop) -> Badge:
        return Badge("lifted", _("已取消")) if row.lifted_at else Badge("open", _("有效"))

    def has_lift_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        row = self.row(request, object_id)
        return row is not None and row.lifted_at is None and request.user.has_perm("members.stop_member")

    @action(description=_("取消不要联系"), icon="undo", permissions=["lift"], dialog=LIFT)
    def lift(self, request: HttpRequest, form: LiftForm, object_id: str) -> HttpResponse:
        def verb(stop: Stop) -> tuple[str, Member]:
            consent.lift(stop=stop, by=request.user, now=timezone.now(), said=form.cleaned_data["said"])
            return str(_("已取消。")), stop.member

        return self.attempt(request, object_id, verb)
