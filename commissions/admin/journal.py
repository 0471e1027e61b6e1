"""Admin pages of the journal and the inputs kept of each settlement: to read."""

from typing import Any

from django.contrib import admin
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from commissions import action_words, earnings, explain, rule_words
from commissions.models import (
    ActionEvent,
    BuyerSnapshot,
    ClaimRow,
    Entry,
    PlanVersion,
)
from commissions.models.ledger import SHANGHAI
from retail import scope
from retail.models import Order, Staff
from retail.scoped_admin import Badge, EstimatedPaginator, ScopedAdmin, link, moment, money

# ── The journal ──────────────────────────────────────────────────────────────────────────────────────────────────────
ENTRY_STATES = {
    "pending": _("预计"),
    "frozen": _("有疑问"),
    "earned": _("已确认"),
    "settled": _("已结算"),
    "paid": _("已发放"),
}
STATE_COLOURS = {"pending": "warning", "frozen": "danger", "earned": "success", "settled": "info", "paid": "info"}


def told(entries: QuerySet, request: HttpRequest) -> QuerySet:
    """With what `state_of` and `person_of` want to know."""
    return known(entries.with_state(timezone.now().astimezone(SHANGHAI).date()), request)


def known(rows: QuerySet, request: HttpRequest) -> QuerySet:
    """Rows of somebody's, with whether the reader may know who it is: people of the scope, and oneself."""
    post = getattr(request, "post", None)
    people = Exists(Staff.objects.filter(pk=OuterRef("staff")))
    return rows.annotate(is_known=people | Q(staff=post.staff_id) if post else people)


def state_of(entry: Entry) -> Badge:
    """The derived state (of entries `told`) with its word."""
    return Badge(entry.state, ENTRY_STATES[entry.state])


def drafts_for(request: HttpRequest, order: Order) -> list[PlanVersion]:
    """The versions this reader writes that could take the order as a case of theirs."""
    if order.settled_at is None or not request.user.has_perm("commissions.change_planversion"):
        return []
    drafts = PlanVersion.objects.filter(plan__brand=order.brand_id).exclude(status__in=PlanVersion.SEALED)
    return list(drafts.select_related("plan").order_by("-number"))


def person_of(row: Any) -> str:
    """Whose it is (of rows `known`). Somebody of a company or store outside the scope is not named."""
    if row.staff is None:
        return _("公司") if isinstance(row, Entry) else "–"
    return str(row.staff) if row.is_known else _("其他门店的同事")


class StateFilter(admin.SimpleListFilter):
    title = _("状态")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, object]]:
        return list(ENTRY_STATES.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        return queryset.filter(state=self.value()) if self.value() in ENTRY_STATES else queryset


class WhoseFilter(admin.SimpleListFilter):
    title = _("谁的")
    parameter_name = "whose"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, object]]:
        return [("staff", _("员工")), ("house", _("公司"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        return queryset.filter(staff__isnull=self.value() == "house") if self.value() else queryset


@admin.register(Entry)
class EntryAdmin(ScopedAdmin):
    is_read_only = True
    paginator = EstimatedPaginator
    list_display = (
        "amount", "kind", "person", "role", "channel", "order_number", "rule_name", "paid", "earned", "state_label",
        "why",
    )  # fmt: skip
    list_select_related = (
        "staff", "store", "payer", "order__channel", "rule", "attainment", "version__plan",
        "period_booked", "period_origin",
    )  # fmt: skip
    list_filter = (StateFilter, WhoseFilter, "kind", "role", "order__channel", "store", "period_booked", "paid_at")
    lookups = ("staff__id__exact", "payer__id__exact", "payer__isnull")  # of a statement
    search_fields = ("staff__code__exact", "staff__name__startswith", "order__outer_order_id__exact")
    search_help_text = _("工号、姓名开头，或完整单号")
    ordering = ("-pk",)
    fieldsets = (
        (None, {"fields": ("amount", "kind", "state_label", "person", "role", "store", "payer")}),
        (
            _("怎么来的"),
            {"fields": ("order_number", "why", "bonus", "rule_name", "version_name", "base", "pool", "reverses")},
        ),
        (_("时间"), {"fields": ("paid_at", "posted_at", "earned_on", "booked_in", "origin")}),
    )

    deed_fields = (_("怎么来的"), {"fields": ("deed", "version_name", "reverses")})

    amount = money("fen", _("金额"))
    paid = moment("paid_at", _("付款时间"))
    base = money("base_fen", _("实付"))
    pool = money("pool_fen", _("佣金池"))

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return told(super().get_queryset(request), request)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """What came of no sale has no order, rule or pool to show."""
        if obj is None or obj.kind not in earnings.ACTIONS:
            return self.fieldsets
        return (self.fieldsets[0], self.deed_fields, self.fieldsets[2])

    def _lookups_of(self, name: str) -> set[str]:
        # Django has no field of that name to look up; it is the channel of the order.
        return {"order__channel__id__exact"} if name == "order__channel" else super()._lookups_of(name)

    @display(description=_("谁"), ordering="staff")
    def person(self, entry: Entry) -> str:
        return person_of(entry)

    @display(description=_("确认日"), ordering="earned_on")
    def earned(self, entry: Entry) -> SafeString:
        return format_html('<span class="figure">{}</span>', entry.earned_on)

    # As words: not everybody who sees an entry may open the plan it comes from.
    @display(description=_("规则"), ordering="rule")
    def rule_name(self, entry: Entry) -> str:
        by = entry.rule or entry.attainment
        return by.name if by else "–"

    @display(description=_("方案版本"))
    def version_name(self, entry: Entry) -> str:
        return str(entry.version) if entry.version else "–"

    @display(description=_("入账期"))
    def booked_in(self, entry: Entry) -> str:
        return str(entry.period_booked or "–")

    @display(description=_("所属期"))
    def origin(self, entry: Entry) -> str:
        return str(entry.period_origin or "–")

    @display(description=_("渠道"))
    def channel(self, entry: Entry) -> str:
        return entry.order.channel.name if entry.order else "–"

    @display(description=_("单号"))
    def order_number(self, entry: Entry) -> SafeString | str:
        if entry.order is None:
            return "–"
        # A clerk's entry may come from an order of another store, or of none; that page is not this reader's.
        stores = scope.current().store_ids
        is_ours = stores is None or entry.order.store_id in stores
        return link("retail_order_change", entry.order_id, entry.order) if is_ours else str(entry.order)

    @display(description=_("状态"), label=STATE_COLOURS)
    def state_label(self, entry: Entry) -> Badge:
        return state_of(entry)

    @display(description=_("阶梯怎么算的"))
    def bonus(self, entry: Entry) -> SafeString | str:
        if entry.attainment_id is None:
            return "–"
        story = explain.of_bonus(entry=entry)
        rows = ((" · ".join(step),) for step in story.steps)
        return format_html("<p>{}</p><ul>{}</ul>", story.sentence, format_html_join("", "<li>{}</li>", rows))

    @display(description=_("解释"))
    def deed(self, entry: Entry) -> SafeString | str:
        """What was rewarded or taken back. By the person and the moment: events have no index on their entries."""
        events = ActionEvent.objects.filter(staff=entry.staff_id, at=entry.paid_at, entry=entry.pk)
        event = events.select_related("rate").first() if entry.staff_id else None
        if event is None:
            return "–"
        (story,) = action_words.stories([event], {})
        return link("commissions_actionevent_change", event.pk, story.sentence)

    @display(description=_("解释"))
    def why(self, entry: Entry) -> SafeString | str:
        return link("retail_orderline_why", entry.line_id, _("为什么")) if entry.line_id else "–"


# ── The inputs kept of each settlement ───────────────────────────────────────────────────────────────────────────────
@admin.register(ClaimRow)
class ClaimRowAdmin(ScopedAdmin):
    is_read_only = True
    paginator = EstimatedPaginator
    list_display = ("order", "role", "person", "store", "because", "revision", "resolved_at")
    list_select_related = ("order", "staff", "store")
    list_filter = ("role", "store", "resolved_at")
    search_fields = ("order__outer_order_id__exact", "staff__code__exact")
    search_help_text = _("完整单号或工号")
    ordering = ("-pk",)
    fields = ("order", "line", "role", "person", "store", "payer", "because", "revision", "reason", "resolved_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return known(super().get_queryset(request), request)

    @display(description=_("谁"), ordering="staff")
    def person(self, row: ClaimRow) -> str:
        return person_of(row)

    @display(description=_("依据"))
    def because(self, claim: ClaimRow) -> str:
        return explain.why(claim)


@admin.register(BuyerSnapshot)
class BuyerSnapshotAdmin(ScopedAdmin):
    is_read_only = True
    paginator = EstimatedPaginator
    list_display = ("order", "is_new", "tier", "dormant_days", "staff", "revision")
    list_select_related = ("order", "staff")
    list_filter = ("is_new",)
    search_fields = ("order__outer_order_id__exact",)
    search_help_text = _("完整单号")
    ordering = ("-pk",)
    fields = ("order", "is_new", "tier", "dormant_days", "staff", "ownership_label", "groups", "revision")

    @display(description=_("经营方式"))
    def ownership_label(self, row: BuyerSnapshot) -> str:
        return rule_words.conditions({"ownership": row.ownership}) if row.ownership else "–"

    @display(description=_("门店组"))
    def groups(self, row: BuyerSnapshot) -> str:
        return _("、").join(row.store_groups) or "–"
