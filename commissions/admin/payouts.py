"""Admin pages of what is paid: the batches, and whom each of them pays how much."""

from operator import attrgetter
from typing import Any, NamedTuple

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet, Sum
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.dataclasses import ActionDialog
from unfold.decorators import action, display
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminTextInputWidget

from commissions import closing
from commissions.admin.settlement import Deciding, own_company
from commissions.models import Payout, PayoutBatch
from retail.exports import TYPES, ExportingAdmin
from retail.scoped_admin import Badge, EstimatedPaginator, link, moment, money
from retail.sheets import Column, of_rows

SHOWN = 20  # people on the page of a batch; all of them are a list of their own


class PaidForm(BaseDialogForm):
    reference = forms.CharField(
        label=_("付款凭证号"), max_length=64, required=False, widget=UnfoldAdminTextInputWidget,
        help_text=_("银行流水号或代发批号，方便以后对账。"),
    )  # fmt: skip


PAID = ActionDialog(
    title=_("确认已经发放？"),
    description=_("钱已经付出去了才点。每个人手机上会变成“已发”，不能撤回。"),
    form_class=PaidForm,
    form_submit_text=_("已经发放"),
)


class VoidForm(BaseDialogForm):
    reason = forms.CharField(label=_("原因"), max_length=200, widget=UnfoldAdminTextInputWidget)


VOID = ActionDialog(
    title=_("作废这一批？"),
    description=_("只有还没付款的批次能作废；这份名单不能再用来付款。作废后在结算期里重新生成，有疑问的会先不发。"),
    form_class=VoidForm,
    form_submit_text=_("作废"),
)
COLOURS = {"ready": "warning", "paid": "success", "void": "danger"}


@admin.register(PayoutBatch)
class PayoutBatchAdmin(Deciding):
    list_display = (
        "title",
        "company",
        "total",
        "people_link",
        "state_label",
        "made_by",
        "paid_by",
        "paid",
        "reference",
    )
    list_select_related = ("period__brand", "payer", "made_by__staff", "paid_by__staff", "voided_by__staff")
    list_filter = ("period", "payer", "state")
    ordering = ("-pk",)
    actions_detail = ("mark_paid", "discard")
    change_form_outer_after_template = "admin/commissions/payoutbatch/people.html"
    total = money("total_fen", _("合计"))
    made = moment("made_at", _("什么时候做的"))
    paid = moment("paid_at", _("发放时间"))
    voided = moment("voided_at", _("作废时间"))

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        what = ("title", "company", "total", "people_link", "state_label", "made_by", "made")
        if obj is not None and obj.state == PayoutBatch.State.VOID:
            return (*what, "voided_by", "voided")
        return (*what, "paid_by", "paid", "reference")

    @display(description=_("结算期"), ordering="period")
    def title(self, batch: PayoutBatch) -> str:
        return str(batch.period)

    @display(description=_("付款公司"), ordering="payer")
    def company(self, batch: PayoutBatch) -> str:
        return str(batch.payer or batch.period.brand)

    @display(description=_("人数"), ordering="people")
    def people_link(self, batch: PayoutBatch) -> SafeString:
        return format_html('<a class="text-link" href="{}">{}</a>', _list_of(batch), batch.people)

    @display(description=_("状态"), ordering="state", label=COLOURS)
    def state_label(self, batch: PayoutBatch) -> Badge:
        return Badge(batch.state, batch.get_state_display())

    def has_decide_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """What is paid or taken back has no buttons any more."""
        if not self.has_close_permission(request, object_id):
            return False
        batch = self.row(request, object_id)
        return batch is not None and batch.state == PayoutBatch.State.READY

    @action(description=_("确认已发放"), icon="task_alt", permissions=["decide"], dialog=PAID)
    def mark_paid(self, request: HttpRequest, form: PaidForm, object_id: str) -> HttpResponse:
        def verb(batch: PayoutBatch) -> str:
            given = form.cleaned_data["reference"]
            closing.mark_paid(batch=batch, reference=given, by=request.user, now=timezone.now())
            return _("已记为发放，共 %(people)s 人。") % {"people": batch.people}

        return self.attempt(request, object_id, verb)

    @action(description=_("作废批次"), icon="delete_forever", permissions=["decide"], dialog=VOID)
    def discard(self, request: HttpRequest, form: VoidForm, object_id: str) -> HttpResponse:
        def verb(batch: PayoutBatch) -> str:
            reason = form.cleaned_data["reason"]
            closing.discard(batch=batch, reason=reason, by=request.user, now=timezone.now())
            return _("已作废。可以在结算期里重新生成。")

        return self.attempt(request, object_id, verb)

    # Whom it pays
    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.file)
        return [path("<path:object_id>/file/", view, name="commissions_payoutbatch_file"), *super().get_urls()]

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        batch = self.get_object(request, object_id)
        context = {} if batch is None else self._people(request, batch)
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **context})

    def _people(self, request: HttpRequest, batch: PayoutBatch) -> dict[str, Any]:
        page = self._payouts()
        rows = page.sheet_rows(page.get_queryset(request).filter(batch=batch)).order_by("-fen", "pk")
        return {
            "batch": batch,
            "payouts": rows[:SHOWN],
            "has_more": batch.people > SHOWN,
            "all_of_them": _list_of(batch),
            "may_export": page.has_export_permission(request) and batch.state != PayoutBatch.State.VOID,
            "file": reverse("admin:commissions_payoutbatch_file", args=[batch.pk]),
        }

    def file(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Exactly what the batch pays; its last line is the batch's total."""
        page = self._payouts()
        if not (self.has_view_permission(request) and page.has_export_permission(request)):
            raise PermissionDenied
        batch = self.get_object(request, object_id)
        if batch is None or batch.state == PayoutBatch.State.VOID or request.POST.get("format") not in TYPES:
            raise Http404
        rows = page.get_queryset(request).filter(batch=batch).order_by("statement__staff__code", "pk")
        return page.export(request, rows, request.POST["format"])

    def _payouts(self) -> "PayoutAdmin":
        return self.admin_site.get_model_admin(Payout)


def _list_of(batch: PayoutBatch) -> str:
    return f"{reverse('admin:commissions_payout_changelist')}?batch__id__exact={batch.pk}"


class Total(NamedTuple):
    fen: int
    is_total = True


@admin.register(Payout)
class PayoutAdmin(ExportingAdmin):
    """Who gets how much by which batch: what is handed to the bank."""

    is_read_only = True
    paginator = EstimatedPaginator
    list_display = ("person", "amount", "statement_link", "store", "company", "batch_link", "state_label")
    list_select_related = (
        "statement__staff",
        "statement__store",
        "statement__period",
        "batch__payer",
        "batch__period__brand",
    )
    lookups = ("batch__id__exact",)
    list_filter = ("batch__state",)
    search_fields = ("statement__staff__code__exact", "statement__staff__name__startswith")
    search_help_text = _("工号，或姓名开头")
    ordering = ("-pk",)
    fields = ("statement_link", "amount", "store", "company", "period", "batch_link", "state_label")
    amount = money("fen", _("本次发放"))
    sheet = (
        Column(_("工号"), "text", of_rows(attrgetter("statement.staff.code"), total=_("合计"))),
        Column(_("姓名"), "text", of_rows(lambda row: row.statement.staff.name)),
        Column(_("门店编码"), "text", of_rows(lambda row: row.statement.store.code if row.statement.store else "")),
        Column(_("门店"), "text", of_rows(lambda row: row.statement.store.name if row.statement.store else "")),
        Column(_("付款公司"), "text", of_rows(lambda row: row.batch.payer or row.batch.period.brand)),
        Column(_("结算期"), "text", of_rows(lambda row: row.batch.period)),
        Column(_("发放批次"), "text", of_rows(lambda row: row.batch_id)),
        Column(_("批次状态"), "text", of_rows(lambda row: row.batch.get_state_display())),
        Column(_("本次发放"), "money", attrgetter("fen")),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return super().get_queryset(request).filter(**own_company(request, "batch__payer"))

    def sheet_rows(self, rows: QuerySet) -> QuerySet:
        return rows.select_related(*self.list_select_related)

    def sheet_total(self, rows: QuerySet) -> Total:
        return Total(**rows.aggregate(fen=Sum("fen", default=0)))

    def _lookups_of(self, name: str) -> set[str]:
        return {"batch__state__exact"} if name == "batch__state" else super()._lookups_of(name)

    @display(description=_("员工"), ordering="statement__staff")
    def person(self, payout: Payout) -> str:
        return str(payout.statement.staff)

    @display(description=_("结算单"))
    def statement_link(self, payout: Payout) -> SafeString:
        return link("commissions_statement_change", payout.statement_id, payout.statement)

    @display(description=_("门店"))
    def store(self, payout: Payout) -> str:
        return str(payout.statement.store or "–")

    @display(description=_("付款公司"))
    def company(self, payout: Payout) -> str:
        return str(payout.batch.payer or payout.batch.period.brand)

    @display(description=_("结算期"))
    def period(self, payout: Payout) -> str:
        return str(payout.batch.period)

    @display(description=_("发放批次"))
    def batch_link(self, payout: Payout) -> SafeString:
        return link("commissions_payoutbatch_change", payout.batch_id, payout.batch_id)

    @display(description=_("状态"), label=COLOURS)
    def state_label(self, payout: Payout) -> Badge:
        return Badge(payout.batch.state, payout.batch.get_state_display())
