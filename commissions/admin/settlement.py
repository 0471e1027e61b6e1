"""Admin pages of what is settled and paid: periods, statements, payout batches, terms."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, QuerySet, Sum
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from unfold.dataclasses import ActionDialog
from unfold.decorators import action, display
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminTextInputWidget

from commissions import closing
from commissions.models import Entry, PayoutBatch, PayTerms, Period, Statement
from retail.scoped_admin import Badge, Confirm, DecidingAdmin, EstimatedPaginator, ScopedAdmin, moment, money
from retail.templatetags.figures import yuan


class PaidForm(BaseDialogForm):
    reference = forms.CharField(
        label=_("付款凭证号"), max_length=64, required=False, widget=UnfoldAdminTextInputWidget,
        help_text=_("银行流水号或代发批号，方便以后对账。"),
    )  # fmt: skip


CLOSE = ActionDialog(
    title=_("结算这一期？"),
    description=_("结算后这一期不再入账，之后的退款和更正都进下一期。结算单会马上给到每个人。"),
    form_class=Confirm,
    form_submit_text=_("结算"),
)
BATCH = ActionDialog(
    title=_("生成发放批次？"),
    description=_("还没发的结算单按付款公司各成一批，由另一个人确认发放。"),
    form_class=Confirm,
    form_submit_text=pgettext_lazy("button", "生成"),
)
PAID = ActionDialog(
    title=_("确认已经发放？"),
    description=_("钱已经付出去了才点。每个人手机上会变成“已发”，不能撤回。"),
    form_class=PaidForm,
    form_submit_text=_("已经发放"),
)
KINDS = dict(Entry.Kind.choices)


class _Deciding(DecidingAdmin):
    """What `closing` decides; nothing here is typed in."""

    is_read_only = True
    refusals = (closing.ClosingRefused,)

    def has_close_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("commissions.close_period") and self.row(request, object_id) is not None


@admin.register(Period)
class PeriodAdmin(_Deciding):
    list_display = ("title", "brand", "starts_on", "ends_on", "status_label", "people", "to_pay")
    list_select_related = ("brand",)
    list_filter = ("brand", "status")
    ordering = ("-starts_on", "brand")
    fieldsets = (
        (None, {"fields": ("brand", "starts_on", "ends_on", "status_label")}),
        (_("结算"), {"fields": ("standing", "people", "to_pay", "carried", "closed_at_said", "closed_by", "digest")}),
    )
    actions_detail = ("close", "make_batches")
    closed_at_said = moment("closed_at", _("结算时间"))

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return super().get_queryset(request).annotate(
            statement_count=Count("statements"),
            pay_fen=Sum("statements__pay_fen", default=0),
            carry_fen=Sum("statements__carry_out_fen", default=0),
        )  # fmt: skip

    @display(description=_("结算期"), ordering="starts_on")
    def title(self, period: Period) -> str:
        return str(period)

    @display(description=_("状态"), label={"open": "success", "closing": "warning", "closed": "info"})
    def status_label(self, period: Period) -> Badge:
        return Badge(period.status, period.get_status_display())

    @display(description=_("结算单"))
    def people(self, period: Period) -> SafeString | str:
        if not period.statement_count:
            return "–"
        page = f"{reverse('admin:commissions_statement_changelist')}?period__id__exact={period.pk}"
        said = _("%(count)s 张") % {"count": period.statement_count}
        return format_html('<a class="text-link" href="{}">{}</a>', page, said)

    to_pay = money("pay_fen", _("应发合计"))
    carried = money("carry_fen", _("结转下期"))

    @display(description=_("能不能结"))
    def standing(self, period: Period) -> str | SafeString:
        if period.status == Period.Status.CLOSED:
            return _("已经结算。")
        found = closing.obstacles(period=period, now=timezone.now())
        if not found:
            return _("都齐了，可以结算。")
        return format_html("<ul>{}</ul>", format_html_join("", "<li>{}</li>", ((said,) for said in found)))

    @action(description=_("结算这一期"), icon="lock", permissions=["close"], dialog=CLOSE)
    def close(self, request: HttpRequest, form: Confirm, object_id: str) -> HttpResponse:
        def verb(period: Period) -> str:
            closing.close(period=period, by=request.user, now=timezone.now())
            return _("%(period)s 已结算。") % {"period": period}

        return self.attempt(request, object_id, verb)

    @action(description=_("生成发放批次"), icon="payments", permissions=["close"], dialog=BATCH)
    def make_batches(self, request: HttpRequest, form: Confirm, object_id: str) -> HttpResponse:
        def verb(period: Period) -> str:
            made = closing.make_batches(period=period, by=request.user, now=timezone.now())
            return _("已生成 %(count)s 个发放批次。") % {"count": len(made)}

        return self.attempt(request, object_id, verb)


@admin.register(Statement)
class StatementAdmin(ScopedAdmin):
    is_read_only = True
    paginator = EstimatedPaginator
    list_display = ("person", "period", "company", "store", "net", "carry_in", "pay", "carry_out", "state_label")
    list_select_related = ("staff", "period__brand", "payer", "store", "batch")
    list_filter = ("period", "payer", "store")
    search_fields = ("staff__code__exact", "staff__name__startswith")
    search_help_text = _("工号，或姓名开头")
    ordering = ("-period", "staff")
    fieldsets = (
        (None, {"fields": ("person", "period", "company", "store", "state_label")}),
        (_("怎么算的"), {"fields": ("parts", "net", "carry_in", "pay", "carry_out")}),
        (_("时间"), {"fields": ("made", "confirmed", "paid")}),
    )
    net = money("net_fen", _("本期"))
    carry_in = money("carry_in_fen", _("上期结转"))
    pay = money("pay_fen", _("应发"))
    carry_out = money("carry_out_fen", _("结转下期"))
    made = moment("made_at", _("出单时间"))
    confirmed = moment("confirmed_at", _("本人确认"))
    paid = moment("paid_at", _("发放时间"))

    @display(description=_("员工"), ordering="staff")
    def person(self, statement: Statement) -> str:
        return str(statement.staff)

    @display(description=_("付款公司"), ordering="payer")
    def company(self, statement: Statement) -> str:
        return str(statement.payer or statement.period.brand)

    @display(description=_("状态"), label={"paid": "info", "confirmed": "success", "made": "warning"})
    def state_label(self, statement: Statement) -> Badge:
        if statement.paid_at:
            return Badge("paid", _("已发放"))
        return Badge("confirmed", _("本人已确认")) if statement.confirmed_at else Badge("made", _("待确认"))

    @display(description=_("构成"))
    def parts(self, statement: Statement) -> SafeString | str:
        rows = [(KINDS.get(kind, kind), yuan(fen)) for kind, fen in sorted(statement.kinds.items())]
        return format_html_join("", '<div>{} <span class="figure">{}</span></div>', rows) or "–"


@admin.register(PayoutBatch)
class PayoutBatchAdmin(_Deciding):
    list_display = ("title", "company", "total", "people", "state_label", "made_by", "paid_by", "paid", "reference")
    list_select_related = ("period__brand", "payer", "made_by", "paid_by")
    list_filter = ("period", "payer", "state")
    ordering = ("-pk",)
    fields = (
        *("title", "company", "total", "people", "state_label"),
        *("made_by", "made", "paid_by", "paid", "reference"),
    )
    actions_detail = ("mark_paid",)
    total = money("total_fen", _("合计"))
    made = moment("made_at", _("什么时候做的"))
    paid = moment("paid_at", _("发放时间"))

    @display(description=_("结算期"), ordering="period")
    def title(self, batch: PayoutBatch) -> str:
        return str(batch.period)

    @display(description=_("付款公司"), ordering="payer")
    def company(self, batch: PayoutBatch) -> str:
        return str(batch.payer or batch.period.brand)

    @display(description=_("状态"), ordering="state", label={"ready": "warning", "paid": "success"})
    def state_label(self, batch: PayoutBatch) -> Badge:
        return Badge(batch.state, batch.get_state_display())

    @action(description=_("确认已发放"), icon="task_alt", permissions=["close"], dialog=PAID)
    def mark_paid(self, request: HttpRequest, form: PaidForm, object_id: str) -> HttpResponse:
        def verb(batch: PayoutBatch) -> str:
            given = form.cleaned_data["reference"]
            closing.mark_paid(batch=batch, reference=given, by=request.user, now=timezone.now())
            return _("已记为发放，共 %(people)s 人。") % {"people": batch.people}

        return self.attempt(request, object_id, verb)


@admin.register(PayTerms)
class PayTermsAdmin(ScopedAdmin):
    list_display = ("brand", "most", "excess", "least", "leaver_debt")
    list_select_related = ("brand",)
    fields = ("brand", "max_fen", "excess", "min_payout_fen", "leaver_debt")
    most = money("max_fen", _("每人每期最多发"))
    least = money("min_payout_fen", _("不到多少先不发"))
