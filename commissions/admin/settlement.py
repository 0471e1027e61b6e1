"""Admin pages of what is settled: periods, statements, terms; and what is between companies."""

from collections import Counter
from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any, NamedTuple

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Exists, Model, OuterRef, QuerySet, Sum
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from unfold.dataclasses import ActionDialog
from unfold.decorators import action, display

from commissions import closing, disputes, periods
from commissions.models import (
    CompanyAccount,
    CompanyLeg,
    Dispute,
    Entry,
    PayCycle,
    PayTerms,
    Period,
    Statement,
)
from retail.exports import TYPES, ExportingAdmin
from retail.models import Post
from retail.scoped_admin import Badge, Confirm, DecidingAdmin, EstimatedPaginator, ScopedAdmin, moment, money
from retail.sheets import Column, of_rows
from retail.templatetags.figures import yuan

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
KINDS = dict(Entry.Kind.choices)


def own_company(request: HttpRequest, field: str) -> dict[str, Any]:
    """Whom the reader's post ties to one company: only its rows, whatever its stores show besides."""
    post = getattr(request, "post", None)
    return {field: post.franchisee_id} if post and post.role == Post.Role.FRANCHISE_OWNER else {}


class Deciding(DecidingAdmin):
    """What `closing` decides; nothing here is typed in."""

    is_read_only = True
    refusals = (closing.ClosingRefused,)

    def has_close_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("commissions.close_period") and self.row(request, object_id) is not None


def _fate(period: Period) -> str:
    """What becomes of the money that open doubts about a period are about."""
    if period.status != Period.Status.CLOSED:
        return str(_("这些钱先不发"))
    found = disputes.doubted(period=period).values()
    held, gone = sum(one.held_fen for one in found), sum(one.gone_fen for one in found)
    said = [_("¥%(fen)s 先不发") % {"fen": yuan(held)}] if held or not gone else []
    if gone:
        said.append(_("¥%(fen)s 已在发放途中，答复后有差额再补或扣") % {"fen": yuan(gone)})
    return str(_("，")).join(said)


@admin.register(Period)
class PeriodAdmin(Deciding):
    list_display = ("title", "brand", "starts_on", "last", "status_label", "people", "to_pay")
    list_select_related = ("brand",)
    list_filter = ("brand", "status")
    ordering = ("-starts_on", "brand")
    fieldsets = (
        (None, {"fields": ("brand", "starts_on", "last", "status_label")}),
        (
            _("结算"),
            {
                "fields": (
                    "standing",
                    "doubts",
                    "people",
                    "accounts",
                    "to_pay",
                    "carried",
                    "closed_at_said",
                    "closed_by",
                    "seal",
                )
            },
        ),
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

    @display(description=_("到"), ordering="ends_on")
    def last(self, period: Period) -> str:
        return date_format(period.last_day)

    @display(description=_("结算摘要"))
    def seal(self, period: Period) -> SafeString | str:
        return format_html("<code>{}</code>", period.digest) if period.digest else "–"

    @display(description=_("结算单"))
    def people(self, period: Period) -> SafeString | str:
        if not period.statement_count:
            return "–"
        page = f"{reverse('admin:commissions_statement_changelist')}?period__id__exact={period.pk}"
        said = _("%(count)s 张") % {"count": period.statement_count}
        return format_html('<a class="text-link" href="{}">{}</a>', page, said)

    @display(description=_("没答复的疑问"))
    def doubts(self, period: Period) -> SafeString | str:
        """They keep nothing from being closed; their money waits when the batches are made."""
        waiting = disputes.about(period=period)
        if not (count := waiting.count()):
            return "–"
        page = f"{reverse('admin:commissions_dispute_changelist')}?state=open"
        late = waiting.overdue(timezone.now()).count()
        said = _("%(count)s 个，其中 %(late)s 个超时；%(fate)s") % {
            "count": count,
            "late": late,
            "fate": _fate(period),
        }
        return format_html('<a class="text-link" href="{}">{}</a>', page, said)

    @display(description=_("公司结算"))
    def accounts(self, period: Period) -> SafeString | str:
        page = f"{reverse('admin:commissions_companyaccount_changelist')}?period__id__exact={period.pk}"
        count = CompanyAccount.objects.filter(period=period).count()
        said = _("%(count)s 家公司，工资表和往来在这里") % {"count": count}
        return format_html('<a class="text-link" href="{}">{}</a>', page, said) if count else "–"

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

    def has_settle_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """What is closed is not closed again, and has no button for it."""
        if not self.has_close_permission(request, object_id):
            return False
        period = self.row(request, object_id)
        return period is not None and period.status != Period.Status.CLOSED

    @action(description=_("结算这一期"), icon="lock", permissions=["settle"], dialog=CLOSE)
    def close(self, request: HttpRequest, form: Confirm, object_id: str) -> HttpResponse:
        def verb(period: Period) -> str:
            closing.close(period=period, by=request.user, now=timezone.now())
            return _("%(period)s 已结算。") % {"period": period}

        return self.attempt(request, object_id, verb)

    def has_pay_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Only what is closed is paid, as long as something of it is in no batch."""
        if not self.has_close_permission(request, object_id):
            return False
        period = self.row(request, object_id)
        is_closed = period is not None and period.status == Period.Status.CLOSED
        return is_closed and Statement.objects.unpaid().filter(period=period).exists()

    @action(description=_("生成发放批次"), icon="payments", permissions=["pay"], dialog=BATCH)
    def make_batches(self, request: HttpRequest, form: Confirm, object_id: str) -> HttpResponse:
        def verb(period: Period) -> str:
            made = closing.make_batches(period=period, by=request.user, now=timezone.now())
            return _("已生成 %(count)s 个发放批次。") % {"count": len(made)}

        return self.attempt(request, object_id, verb)


class Total(NamedTuple):
    """The last line of a payroll: all the others together."""

    kinds: dict[str, int]
    net_fen: int
    carry_in_fen: int
    pay_fen: int
    carry_out_fen: int
    batched_fen: int
    held_fen: int
    paid_fen: int
    is_total = True


def _of_kind(kind: str) -> Callable[[Any], object]:
    return lambda row: row.kinds.get(kind, 0)


_FIGURES = {
    "net_fen": _("本期"), "carry_in_fen": _("上期结转"), "pay_fen": _("应发"), "carry_out_fen": _("结转下期"),
    "batched_fen": _("已进批次"), "held_fen": _("先不发"), "paid_fen": _("已发"),
}  # fmt: skip
_STORED = [name for name in _FIGURES if name not in ("batched_fen", "held_fen")]
PAYROLL = (
    Column(_("工号"), "text", of_rows(attrgetter("staff.code"), total=_("合计"))),
    Column(_("姓名"), "text", of_rows(lambda row: row.staff.name)),
    Column(_("门店编码"), "text", of_rows(lambda row: row.store.code if row.store else "")),
    Column(_("门店"), "text", of_rows(lambda row: row.store.name if row.store else "")),
    Column(_("付款公司"), "text", of_rows(lambda row: row.payer or row.period.brand)),
    Column(_("结算期"), "text", of_rows(lambda row: row.period)),
    *(Column(label, "money", _of_kind(kind)) for kind, label in Entry.Kind.choices if kind != Entry.Kind.PAYOUT),
    *(Column(label, "money", attrgetter(name)) for name, label in _FIGURES.items()),
)


def _held(statements: Iterable[tuple[int, int]]) -> dict[int, int]:
    """Statement id → what open disputes keep back of it, of pairs of statement and period. A few queries a period."""
    wanted = dict(statements)
    found: dict[int, int] = {}
    for period in Period.objects.filter(pk__in={*wanted.values()}):
        found |= disputes.held(period=period)
    return {pk: fen for pk, fen in found.items() if pk in wanted}


@admin.register(Statement)
class StatementAdmin(ExportingAdmin):
    """The payroll is this list as a file: one row per person and company, and what they add up to."""

    is_read_only = True
    paginator = EstimatedPaginator
    sheet = PAYROLL
    list_display = ("person", "period", "company", "store", "net", "carry_in", "pay", "carry_out", "state_label")
    list_select_related = ("staff", "period__brand", "payer", "store")
    list_filter = ("period", "payer", "store")
    search_fields = ("staff__code__exact", "staff__name__startswith")
    search_help_text = _("工号，或姓名开头")
    ordering = ("-period", "staff")
    fieldsets = (
        (None, {"fields": ("person", "period", "company", "store", "state_label")}),
        (_("怎么算的"), {"fields": ("parts", "behind", "net", "carry_in", "pay", "carry_out")}),
        (_("时间"), {"fields": ("made", "confirmed", "paid")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        """A company sees what it pays itself, also where a store was somebody else's before."""
        doubts = Dispute._base_manager.filter(statement=OuterRef("pk"), closed_at=None)
        rows = super().get_queryset(request).annotate(is_doubted=Exists(doubts)).prefetch_related("payouts__batch")
        return rows.filter(**own_company(request, "payer"))

    def sheet_rows(self, rows: QuerySet) -> Iterable[Statement]:
        """With what explains why a batch pays less than the statements say: what is in one, and what waits."""
        found = list(rows.with_batched().select_related("staff", "store", "payer", "period__brand"))
        held = _held((row.pk, row.period_id) for row in found)
        for row in found:
            row.held_fen = held.get(row.pk, 0)  # type: ignore[attr-defined]  # beside what with_batched adds
        return found

    def sheet_total(self, rows: QuerySet) -> Total:
        kinds: Counter[str] = Counter()
        for of_one in rows.values_list("kinds", flat=True):
            kinds.update(of_one)
        sums = rows.aggregate(**{name: Sum(name, default=0) for name in _STORED})
        batched = rows.order_by().with_batched().values_list("batched_fen", flat=True)
        held = _held(rows.order_by().values_list("pk", "period"))
        return Total(kinds=kinds, batched_fen=sum(batched), held_fen=sum(held.values()), **sums)

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

    @display(
        description=_("状态"),
        label={"paid": "info", "part": "info", "confirmed": "success", "made": "warning", "doubted": "danger"},
    )
    def state_label(self, statement: Statement) -> Badge:
        if statement.paid_fen:
            is_all = statement.paid_fen == statement.pay_fen
            return Badge("paid", _("已发放")) if is_all else Badge("part", _("部分已发"))
        if statement.is_doubted:
            return Badge("doubted", _("有疑问"))
        return Badge("confirmed", _("本人已确认")) if statement.confirmed_at else Badge("made", _("待确认"))

    @display(description=_("佣金流水"))
    def behind(self, statement: Statement) -> SafeString:
        """The entries it adds up."""
        whose = {"payer__id__exact": statement.payer_id} if statement.payer_id else {"payer__isnull": 1}
        asked = {"staff__id__exact": statement.staff_id, "period_booked__id__exact": statement.period_id, **whose}
        page = f"{reverse('admin:commissions_entry_changelist')}?{urlencode(asked)}"
        said = _("%(count)s 笔，逐笔看") % {"count": statement.entries}
        return format_html('<a class="text-link" href="{}">{}</a>', page, said)

    @display(description=_("构成"))
    def parts(self, statement: Statement) -> SafeString | str:
        rows = [(KINDS.get(kind, kind), yuan(fen)) for kind, fen in sorted(statement.kinds.items())]
        return format_html_join("", '<div>{} <span class="figure">{}</span></div>', rows) or "–"


class TermsForm(forms.ModelForm):
    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or self.cleaned_data
        if "between_ppm" in given:
            given["between_ppm"] = given["between_ppm"] or 0
            if given.get("between") == PayTerms.Between.SHARE and not given["between_ppm"]:
                self.add_error("between_ppm", _("按销售额分成时，要写明比例。"))
        return given

    class Meta:
        model = PayTerms
        exclude = ()


@admin.register(PayTerms)
class PayTermsAdmin(ScopedAdmin):
    form = TermsForm
    list_display = ("brand", "most", "excess", "least", "leaver_debt")
    list_select_related = ("brand",)
    fields = (
        *("brand", "max_fen", "excess", "min_payout_fen", "leaver_debt"),
        *("dispute_days", "answer_days", "between", "between_ppm"),
    )
    most = money("max_fen", _("每人每期最多发"))

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.name == "between_ppm":
            field.required = False  # TermsForm asks for it where it counts
        return field

    least = money("min_payout_fen", _("不到多少先不发"))


class CycleForm(forms.ModelForm):
    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or self.cleaned_data
        brand, since = given.get("brand"), given.get("since")
        if brand and since and (free := periods.free_from(brand_id=brand.pk)) and since < free:
            self.add_error("since", _("%(day)s 以前的结算期已经有了，不能改；最早从这一天起。") % {"day": free})
        given["days"] = sorted({*(given.get("days") or ())})
        return given

    class Meta:
        model = PayCycle
        fields = ("brand", "since", "days")


@admin.register(PayCycle)
class PayCycleAdmin(ScopedAdmin):
    """What held stays: another cycle is another row."""

    form = CycleForm
    list_display = ("brand", "since", "said")
    list_select_related = ("brand",)
    list_filter = ("brand",)
    fields = ("brand", "since", "days")

    @display(description=_("结算周期"))
    def said(self, cycle: PayCycle) -> str:
        return str(cycle)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


# ── Between companies ────────────────────────────────────────────────────────────────────────────────────────────────
class Between(NamedTuple):
    """What is between a company and another of one kind; `fen` > 0: the other owes."""

    other: object
    kind: str
    orders: int
    fen: int

    @property
    def owes(self) -> int:
        return -self.fen


@admin.register(CompanyAccount)
class CompanyAccountAdmin(ScopedAdmin):
    """One company, one period: its own payroll, and who owes whom for which orders. Each sees only its own."""

    is_read_only = True
    list_display = ("title", "name", "people", "net", "pay", "between")
    list_select_related = ("period__brand", "company")
    list_filter = ("period", "company")
    ordering = ("-period", "company")
    fields = ("title", "name", "people", "net", "pay", "between", "made")
    change_form_outer_after_template = "admin/commissions/companyaccount/between.html"
    net = money("net_fen", _("本期佣金"))
    pay = money("pay_fen", _("应发合计"))
    between = money("between_fen", _("公司往来"))
    made = moment("made_at", _("出单时间"))

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return super().get_queryset(request).filter(**own_company(request, "company"))

    @display(description=_("结算期"), ordering="period")
    def title(self, account: CompanyAccount) -> str:
        return str(account.period)

    @display(description=_("公司"), ordering="company")
    def name(self, account: CompanyAccount) -> str:
        return str(account.company or account.period.brand)

    def get_urls(self) -> list[URLPattern]:
        own = [
            path("<path:object_id>/payroll/", self.admin_site.admin_view(self.payroll), name=f"{_ACCOUNT}_payroll"),
            path("<path:object_id>/orders/", self.admin_site.admin_view(self.orders), name=f"{_ACCOUNT}_orders"),
        ]
        return [*own, *super().get_urls()]

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        account = self.get_object(request, object_id)
        context = {} if account is None else self._around(request, account)
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **context})

    def _around(self, request: HttpRequest, account: CompanyAccount) -> dict[str, Any]:
        sums = account.legs.values_list("other__name", "kind").annotate(Count("order", distinct=True), Sum("fen"))
        files = {_("工资表"): "payroll", _("公司往来的订单"): "orders"}
        return {
            "between": [
                Between(other or account.period.brand, CompanyLeg.Kind(kind).label, orders, fen)
                for other, kind, orders, fen in sums.order_by("other", "kind")
            ],
            "may_export": self._page(Statement).has_export_permission(request),
            "files": [(name, reverse(f"admin:{_ACCOUNT}_{page}", args=[account.pk])) for name, page in files.items()],
        }

    def payroll(self, request: HttpRequest, object_id: str) -> HttpResponse:
        account = self._wanted(request, object_id, Statement)
        rows = self._page(Statement).get_queryset(request).filter(period=account.period, payer=account.company)
        return self._page(Statement).export(request, rows.order_by("staff__code"), request.POST["format"])

    def orders(self, request: HttpRequest, object_id: str) -> HttpResponse:
        account = self._wanted(request, object_id, CompanyLeg)
        rows = self._page(CompanyLeg).get_queryset(request).filter(account=account)
        return self._page(CompanyLeg).export(request, rows.order_by("other", "order"), request.POST["format"])

    def _wanted(self, request: HttpRequest, object_id: str, model: type[Model]) -> CompanyAccount:
        if not (self.has_view_permission(request) and self._page(model).has_export_permission(request)):
            raise PermissionDenied
        account = self.get_object(request, object_id)
        if account is None or request.POST.get("format") not in TYPES:
            raise Http404
        return account

    def _page(self, model: type[Model]) -> ExportingAdmin:
        return self.admin_site.get_model_admin(model)


_ACCOUNT = "commissions_companyaccount"


class LegTotal(NamedTuple):
    fen: int
    is_total = True


@admin.register(CompanyLeg)
class CompanyLegAdmin(ExportingAdmin):
    is_read_only = True
    paginator = EstimatedPaginator
    list_display = ("title", "name", "counterpart", "number", "kind", "amount")
    list_select_related = ("account__period__brand", "account__company", "other", "order__channel")
    list_filter = ("kind", "other")
    search_fields = ("order__outer_order_id__exact",)
    search_help_text = _("完整单号")
    ordering = ("-pk",)
    fields = ("title", "name", "counterpart", "number", "kind", "amount")
    amount = money("fen", _("应收（负数是应付）"))
    sheet = (
        Column(_("结算期"), "text", of_rows(attrgetter("account.period"), total=_("合计"))),
        Column(_("公司"), "text", of_rows(lambda row: row.account.company or row.account.period.brand)),
        Column(_("对方公司"), "text", of_rows(lambda row: row.other or row.account.period.brand)),
        Column(_("渠道"), "text", of_rows(lambda row: row.order.channel.name)),
        Column(_("单号"), "text", of_rows(lambda row: row.order.outer_order_id)),
        Column(_("付款时间"), "moment", of_rows(attrgetter("order.paid_at"), total=None)),
        Column(_("类型"), "text", of_rows(lambda row: row.get_kind_display())),
        Column(_("应收（负数是应付）"), "money", attrgetter("fen")),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return super().get_queryset(request).filter(**own_company(request, "account__company"))

    def sheet_rows(self, rows: QuerySet) -> QuerySet:
        return rows.select_related(*self.list_select_related)

    def sheet_total(self, rows: QuerySet) -> LegTotal:
        return LegTotal(**rows.aggregate(fen=Sum("fen", default=0)))

    @display(description=_("结算期"))
    def title(self, leg: CompanyLeg) -> str:
        return str(leg.account.period)

    @display(description=_("公司"))
    def name(self, leg: CompanyLeg) -> str:
        return str(leg.account.company or leg.account.period.brand)

    @display(description=_("对方公司"), ordering="other")
    def counterpart(self, leg: CompanyLeg) -> str:
        return str(leg.other or leg.account.period.brand)

    @display(description=_("单号"))
    def number(self, leg: CompanyLeg) -> str:
        return str(leg.order)
