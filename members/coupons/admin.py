"""Admin pages of coupons: types with their funnel, quotas, issuing to a segment, coupons, and codes orders named."""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from django.contrib import admin, messages
from django.db.models import Exists, OuterRef, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.dataclasses import ActionDialog
from unfold.decorators import action, display

from members import coupons
from members.coupons import funnel, giving, issuing, words
from members.coupons.forms import (
    CodesForm,
    MakeCodesForm,
    QuotaForm,
    QuotasForm,
    SegmentForm,
    TenthsField,
    TypeForm,
    VoidForm,
)
from members.models import Coupon, CouponIssue, CouponMove, CouponQuota, CouponType, CouponUse
from members.models.coupons import TROUBLES
from retail import scope
from retail.exports import ExportingAdmin
from retail.models import Category, Channel, Order, Staff, Store
from retail.scoped_admin import (
    Badge,
    DecidingAdmin,
    EstimatedPaginator,
    ScopedAdmin,
    ScopedTabularInline,
    as_percent,
    as_yuan,
    link,
    moment,
)
from retail.sheets import Column

SHOWN = 20  # clerks on the page of a type
EVER = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
COLOURS = {"open": "info", "issued": "info", "redeemed": "success", "expired": "warning", "void": "danger"}
PROMISED = ("brand", "code", "worth", "places", "goods", "comes_back", "usable", "starts_at")
PROMISE = (
    (None, {"fields": ("brand", "name", "code", "worth", "places", "goods", "usable", "comes_back")}),
    (gettext_lazy("怎么发"), {"fields": ("starts_at", "ends_at", "limit", "per_member")}),
)

QUOTAS = ActionDialog(
    title=gettext_lazy("给导购发券额度？"),
    description=gettext_lazy("现在在岗的导购每人这么多张；已有额度的改成这个数，但不会少于已经发出的。"),
    form_class=QuotasForm,
    form_submit_text=gettext_lazy("设好额度"),
)
MAKE_CODES = ActionDialog(
    title=gettext_lazy("生成券码？"),
    description=gettext_lazy("每个码只能一位会员领，猜不出来。做好后在“批量发券”里下载。"),
    form_class=MakeCodesForm,
    form_submit_text=gettext_lazy("生成"),
)
VOID = ActionDialog(
    title=gettext_lazy("作废这张券？"),
    description=gettext_lazy("作废后不能再用，也不能恢复。"),
    form_class=VoidForm,
    form_submit_text=gettext_lazy("作废"),
)


# ── Types ────────────────────────────────────────────────────────────────────────────────────────────────────────────
@admin.register(CouponType)
class CouponTypeAdmin(DecidingAdmin):
    """Headquarters makes and issues; who sees some stores sees what became of what was given there."""

    form = TypeForm
    refusals = (coupons.Refused,)
    list_display = ("name", "worth", "state_label", "made", "used", "sales", "handed_out", "brand")
    list_select_related = ("brand",)
    list_filter = ("brand", "kind", "starts_at")
    search_fields = ("name", "code__exact")
    search_help_text = gettext_lazy("名称或编码")
    ordering = ("-starts_at", "-pk")
    actions_detail = ("issue", "quotas", "make_codes", "codes")
    change_form_outer_after_template = "admin/members/coupontype/funnel.html"
    fieldsets = (
        (None, {"fields": ("brand", "name", "code", "kind", "off_fen", "off_ppm", "gift")}),
        (gettext_lazy("在哪里能用"), {"fields": ("floor_fen", "channel_codes", "category_codes", "comes_back")}),
        (gettext_lazy("什么时候能用"), {"fields": ("lives_days", "usable_from", "usable_until")}),
        (gettext_lazy("怎么发"), {"fields": ("starts_at", "ends_at", "limit", "per_member")}),
    )
    starts = moment("starts_at", gettext_lazy("发放从"))

    # What a row says
    @display(description=gettext_lazy("优惠"))
    def worth(self, row: CouponType) -> str:
        return words.worth(row)

    @display(description=gettext_lazy("发放期"), ordering="starts_at")
    def handed_out(self, row: CouponType) -> str:
        start, end = timezone.localtime(row.starts_at), row.ends_at and timezone.localtime(row.ends_at)
        return f"{start:%Y-%m-%d} – {end:%Y-%m-%d}" if end else _("%(day)s 起") % {"day": f"{start:%Y-%m-%d}"}

    @display(description=gettext_lazy("已发"))
    def made(self, row: CouponType) -> str:
        count = self._figures(row).issued if hasattr(row, "figures") else row.issued
        return f"{count:,} / {row.limit:,}" if row.limit else f"{count:,}"

    @display(description=gettext_lazy("使用率"))
    def used(self, row: CouponType) -> SafeString | str:
        figures = self._figures(row)
        return as_percent(figures.used_ppm) if figures.issued else "–"

    @display(description=gettext_lazy("带来销售"))
    def sales(self, row: CouponType) -> SafeString | str:
        return as_yuan(self._figures(row).net_fen)

    @display(description=gettext_lazy("状态"), label={"on": "success", "soon": "info", "over": "warning"})
    def state_label(self, row: CouponType) -> Badge:
        now = timezone.now()
        if giving.is_given_now(row, now):
            return Badge("on", _("发放中"))
        return Badge("soon", _("未开始")) if row.starts_at > now else Badge("over", _("已结束"))

    def _figures(self, row: CouponType) -> funnel.Row:
        return getattr(row, "figures", None) or funnel.Row(row.pk, None, None, *[0] * 6)

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """One statement tells the figures of all types of the page."""
        page = super().get_changelist_instance(request)
        found = {row.type_id: row for row in _funnel(funnel.of_types, [one.pk for one in page.result_list])}
        for one in page.result_list:
            one.figures = found.get(one.pk, self._figures(one))
        return page

    # The form
    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "off_ppm":
            return TenthsField(label=_("打几折"), help_text=_("八五折写 8.5。"))
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.name in ("off_fen", "floor_fen"):
            field.required, field.min_value = False, 0
        return field

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        kwargs["help_texts"] = {
            "gift": _("礼品券送什么，例如：真丝围巾一条。"),
            "lives_days": _("领取当天算第一天。不填就看最晚使用日。"),
            "limit": _("不填就是不限。"),
            "ends_at": _("不填就一直发放。"),
        }
        return super().get_form(request, obj, change, **kwargs)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """What was promised with the first coupon stays."""
        return PROMISED if obj and (obj.issued or not self.has_change_permission(request, obj)) else ()

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        return PROMISE if self.get_readonly_fields(request, obj) else self.fieldsets

    @display(description=gettext_lazy("可用渠道"))
    def places(self, row: CouponType) -> str:
        return _("、").join(_names(Channel, row.channel_codes)) or _("全部渠道")

    @display(description=gettext_lazy("可用品类"))
    def goods(self, row: CouponType) -> str:
        return _("、").join(_names(Category, row.category_codes)) or _("全部商品")

    @display(description=gettext_lazy("有效期"))
    def usable(self, row: CouponType) -> str:
        return words.usable(row)

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        row = self.row(request, object_id) if request.method == "GET" else None
        return super().change_view(
            request, object_id, form_url, {**(extra_context or {}), **(_page_of(row) if row else {})}
        )

    # What can be done with one
    def has_give_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        row = self.row(request, object_id)
        return row is not None and self.has_change_permission(request, row)

    @action(description=gettext_lazy("发给人群"), icon="send", permissions=["give"])
    def issue(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Which segment; then how many that are, and whether it is meant."""
        type = self._row(request, object_id)
        form = SegmentForm(request.POST if request.method == "POST" else None, type=type)
        seen, wrong = None, ""
        if form.is_valid():
            segment = form.cleaned_data["segment"]
            seen = issuing.preview(type=type, segment=segment)
            if form.cleaned_data["shown"] == seen.gets:
                try:
                    issue = issuing.ask(type=type, segment=segment, by=request.user, now=timezone.now())
                    messages.success(request, _("开始发了，发了多少就在这一页。"))
                    return redirect("admin:members_couponissue_change", issue.pk)
                except coupons.Refused as refused:
                    wrong = str(refused)
        shown = {"title": _("发给人群"), "form": form, "seen": seen, "wrong": wrong, "worth": words.worth(type)}
        return self._page(request, type, "issue", shown)

    @action(description=gettext_lazy("设导购额度"), icon="badge", permissions=["give"], dialog=QUOTAS)
    def quotas(self, request: HttpRequest, form: QuotasForm, object_id: str) -> HttpResponse:
        def verb(row: CouponType) -> str:
            group, limit = form.cleaned_data["group"], form.cleaned_data["limit"]
            count = giving.set_quotas(type=row, group=group, limit=limit, by=request.user, now=timezone.now())
            return _("%(count)s 位导购有了额度。") % {"count": f"{count:,}"}

        return self.attempt(request, object_id, verb)

    @action(description=gettext_lazy("生成券码"), icon="qr_code_2_add", permissions=["give"], dialog=MAKE_CODES)
    def make_codes(self, request: HttpRequest, form: MakeCodesForm, object_id: str) -> HttpResponse:
        def verb(row: CouponType) -> str | tuple[str, CouponIssue]:
            count = form.cleaned_data["count"]
            return _("开始做了，做了多少就在这一页。"), issuing.ask_codes(
                type=row, count=count, by=request.user, now=timezone.now()
            )

        return self.attempt(request, object_id, verb)

    @action(description=gettext_lazy("导入券码"), icon="qr_code", permissions=["give"])
    def codes(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Codes that were printed or handed out elsewhere; whoever uses or claims one has it."""
        type = self._row(request, object_id)
        form = CodesForm(request.POST, request.FILES) if request.method == "POST" else CodesForm()
        shown: dict[str, Any] = {"title": _("导入券码"), "form": form}
        if form.is_valid():
            codes = form.cleaned_data["codes"]
            try:
                refused = giving.take_codes(type=type, codes=codes, by=request.user, now=timezone.now())
                shown |= {"done": len({*codes}) - len(refused), "refused": list(refused.items())}
            except coupons.Refused as why:
                shown["wrong"] = str(why)
        return self._page(request, type, "codes", shown)

    def _row(self, request: HttpRequest, object_id: str) -> CouponType:
        row = self.row(request, object_id)
        if row is None:
            raise Http404
        return row

    def _page(self, request: HttpRequest, type: CouponType, name: str, shown: dict[str, Any]) -> HttpResponse:
        back = reverse("admin:members_coupontype_change", args=[type.pk])
        whole = {**self.admin_site.each_context(request), "media": self.media, "type": type, "back": back, **shown}
        return TemplateResponse(request, f"admin/members/coupontype/{name}.html", whole)


def _names(model: type[Channel] | type[Category], codes: list[str]) -> list[str]:
    """What these codes are called; one that is gone by its code."""
    named = dict(model._base_manager.filter(code__in=codes).values_list("code", "name"))
    return [named.get(code, code) for code in codes]


def _funnel(ask: Any, type_ids: list[int]) -> list[funnel.Row]:
    """Of everything, or of what was given in the stores that are seen."""
    stores = None if scope.current().is_everything else list(Store.objects.values_list("pk", flat=True))
    return ask(type_ids=type_ids, since=EVER[0], until=EVER[1], stores=stores) if type_ids else []


def _page_of(type: CouponType) -> dict[str, Any]:
    """What became of the coupons of a type: all together, and by who gave them."""
    rows = _funnel(funnel.of_clerks, [type.pk])
    staff = Staff.objects.in_bulk({row.staff_id for row in rows if row.staff_id})
    stores = Store.objects.in_bulk({row.store_id for row in rows if row.store_id})
    by_clerk = [(staff.get(row.staff_id), stores.get(row.store_id), row) for row in rows if row.staff_id]
    whole = next(iter(_funnel(funnel.of_types, [type.pk])), None)
    return {
        "type": type,
        "whole": whole,
        "by_clerk": by_clerk[:SHOWN],
        "others": max(0, len(by_clerk) - SHOWN),
        "is_whole_house": scope.current().is_everything,
    }


# ── Quotas ───────────────────────────────────────────────────────────────────────────────────────────────────────────
@admin.register(CouponQuota)
class CouponQuotaAdmin(ScopedAdmin):
    form = QuotaForm
    list_display = ("staff", "store", "type", "left")
    list_select_related = ("staff", "store", "type")
    list_filter = ("type", "store")
    search_fields = ("staff__code__exact", "staff__name")
    search_help_text = gettext_lazy("导购姓名或工号")
    autocomplete_fields = ("staff",)
    ordering = ("-pk",)
    fields = ("type", "staff", "store", "limit")

    @display(description=gettext_lazy("已发 / 额度"), ordering="given")
    def left(self, row: CouponQuota) -> str:
        return f"{row.given:,} / {row.limit:,}"

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("type", "staff", "left") if obj else ()


# ── Coupons ──────────────────────────────────────────────────────────────────────────────────────────────────────────
class MoveInline(ScopedTabularInline):
    model = CouponMove
    fields = ("state", "at", "reason")
    ordering = ("pk",)
    is_read_only = True
    verbose_name_plural = gettext_lazy("经过")


@admin.register(Coupon)
class CouponAdmin(ExportingAdmin, DecidingAdmin):
    """Made by issuing and moved by orders; by hand one can only be taken away.

    Whole codes leave the house only from the page of what was made (CouponIssueAdmin), as long as nobody has them.
    """

    is_read_only = True
    actions = ()
    sheet = (
        Column(gettext_lazy("券码"), "text", lambda row: row.code),
        Column(gettext_lazy("券种"), "text", lambda row: row.type),
        Column(gettext_lazy("有效期到"), "moment", lambda row: row.last_day),
    )
    refusals = (coupons.Refused,)
    paginator = EstimatedPaginator
    list_display = ("tail", "type", "holder", "state_label", "giver", "issued", "until", "used")
    list_select_related = ("type", "membership__member", "issued_by", "order")
    list_filter = ("type", "state", "issued_at", "redeemed_at")
    search_fields = ("code__exact", "issued_by__code__exact")
    search_help_text = gettext_lazy("完整券码，或发券导购的工号")
    ordering = ("-pk",)
    fields = (
        *("code", "type", "holder", "state_label", "giver", "issued", "since", "until"),
        *("claimed_at", "used", "used_by", "voided_at"),
    )
    inlines = (MoveInline,)
    actions_detail = ("void",)
    issued = moment("issued_at", gettext_lazy("发放"))
    used = moment("redeemed_at", gettext_lazy("使用"))

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        """Who gave it and which order used it are told to those who see them in their lists."""
        rows = super().get_queryset(request)
        return rows.annotate(
            is_giver_known=Exists(Staff.objects.filter(pk=OuterRef("issued_by"))),
            is_order_known=Exists(Order.objects.filter(pk=OuterRef("order"))),
        )

    def sheet_rows(self, rows: QuerySet) -> QuerySet:
        return rows.filter(state=Coupon.State.OPEN).select_related("type")

    def rows_about(self, *, member_ids: Collection[int], key_ids: Collection[int]) -> set[int]:
        return set(Coupon._base_manager.filter(membership__member__in=member_ids).values_list("pk", flat=True))

    @display(description=gettext_lazy("券码"))
    def tail(self, row: Coupon) -> str:
        return words.masked(row.code)

    @display(description=gettext_lazy("有效期从"))
    def since(self, row: Coupon) -> str:
        return f"{timezone.localtime(row.valid_from):%Y-%m-%d}"

    @display(description=gettext_lazy("有效期到"), ordering="valid_until")
    def until(self, row: Coupon) -> str:
        return f"{timezone.localtime(row.last_day):%Y-%m-%d}"

    @display(description=gettext_lazy("会员"))
    def holder(self, row: Coupon) -> str:
        return str(row.membership.member) if row.membership else "–"

    @display(description=gettext_lazy("状态"), ordering="state", label=COLOURS)
    def state_label(self, row: Coupon) -> Badge:
        return Badge(row.state, row.get_state_display())

    @display(description=gettext_lazy("谁发的"))
    def giver(self, row: Coupon) -> str:
        if row.issued_by is None:
            return _("总部")
        return str(row.issued_by) if row.is_giver_known else _("其他门店的同事")

    @display(description=gettext_lazy("订单"))
    def used_by(self, row: Coupon) -> SafeString | str:
        if row.order is None:
            return "–"
        return link("retail_order_change", row.order.pk, row.order) if row.is_order_known else _("其他门店的订单")

    def has_void_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        row = self.row(request, object_id)
        is_open = row is not None and row.state in (Coupon.State.OPEN, Coupon.State.ISSUED)
        return is_open and request.user.has_perm("members.change_coupontype")

    @action(description=gettext_lazy("作废"), icon="block", permissions=["void"], dialog=VOID)
    def void(self, request: HttpRequest, form: VoidForm, object_id: str) -> HttpResponse:
        def verb(row: Coupon) -> str:
            coupons.void(coupon=row, reason=form.cleaned_data["reason"], by=request.user, now=timezone.now())
            return _("已作废。")

        return self.attempt(request, object_id, verb)


class TroubleFilter(admin.SimpleListFilter):
    title = gettext_lazy("有没有问题")
    parameter_name = "trouble"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, object]]:
        return [("yes", _("没核销成")), ("no", _("没有问题"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        if self.value() == "yes":
            return queryset.filter(outcome__in=TROUBLES)
        return queryset.exclude(outcome__in=TROUBLES) if self.value() == "no" else queryset


@admin.register(CouponUse)
class CouponUseAdmin(ScopedAdmin):
    """Every code an order named, and why those that did not count did not."""

    is_read_only = True
    paginator = EstimatedPaginator
    list_display = ("tail", "order", "paid", "outcome_label", "type_name", "judged")
    list_select_related = ("order", "coupon__type")
    list_filter = (TroubleFilter, "outcome", "judged_at")
    search_fields = ("code__exact", "order__outer_order_id__exact")
    search_help_text = gettext_lazy("完整券码或订单号")
    ordering = ("-order", "-pk")
    fields = ("code", "order", "type_name", "outcome_label", "judged")
    judged = moment("judged_at", gettext_lazy("判定时间"))

    @display(description=gettext_lazy("券码"))
    def tail(self, row: CouponUse) -> str:
        return words.masked(row.code)

    @display(description=gettext_lazy("付款时间"))
    def paid(self, row: CouponUse) -> str:
        return f"{timezone.localtime(row.order.paid_at):%Y-%m-%d %H:%M}"

    @display(description=gettext_lazy("券种"))
    def type_name(self, row: CouponUse) -> str:
        return str(row.coupon.type) if row.coupon else "–"

    @display(description=gettext_lazy("结果"), ordering="outcome", label={"ok": "success", "trouble": "warning"})
    def outcome_label(self, row: CouponUse) -> Badge:
        return Badge("trouble" if row.outcome in TROUBLES else "ok", row.get_outcome_display())
