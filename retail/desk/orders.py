"""Orders in the admin: what the channel said, what was posted for it, and for each line 为什么是这个数."""

from collections.abc import Collection
from typing import Any

from django.contrib import admin
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from commissions import explain
from commissions.admin.journal import drafts_for, known, person_of, state_of, told
from commissions.models import ClaimRow, Entry
from members import quality
from members.models import Purchase
from retail import scope
from retail.admin import refund_amount
from retail.desk import unattributed
from retail.exports import ExportingAdmin
from retail.masked import UnmaskingAdmin
from retail.models import BuyerKey, Order, OrderLine, OrderVersion, Refund, Staff
from retail.scoped_admin import (
    Badge,
    EstimatedPaginator,
    ScopedAdmin,
    ScopedTabularInline,
    as_yuan,
    moment,
    money,
)
from retail.sheets import Column


def _link(page: str, pk: int, text: object) -> SafeString:
    return format_html('<a class="text-link" href="{}">{}</a>', reverse(f"admin:{page}", args=[pk]), text)


# ── The order ────────────────────────────────────────────────────────────────────────────────────────────────────────
class LineInline(ScopedTabularInline):
    model = OrderLine
    fields = ("outer_line_id", "goods", "qty", "tag", "paid", "serving_clerk", "why")
    is_read_only = True
    verbose_name_plural = _("商品行")

    tag = money("tag_fen", _("吊牌额"))
    paid = money("paid_fen", _("实付"))

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return super().get_queryset(request).select_related("product").order_by("pk")

    @display(description=_("商品"))
    def goods(self, line: OrderLine) -> SafeString:
        gift = format_html(" <small>{}</small>", _("赠品")) if line.is_gift else ""
        return format_html("{} <small>{}</small>{}", line.product.name, line.product.sku, gift)

    @display(description=_("解释"))
    def why(self, line: OrderLine) -> SafeString:
        return _link("retail_orderline_why", line.pk, _("为什么是这个数"))


class BuyerFilter(admin.SimpleListFilter):
    """Of the last days, as the page of data quality counts them."""

    title = _("谁买的")
    parameter_name = "buyer"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, object]]:
        return [("unknown", _("不知道是谁买的（近 %(days)s 天）") % {"days": quality.DAYS})]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        if self.value() != "unknown":
            return queryset
        settled = queryset.filter(paid_at__gte=quality.since(timezone.now()), settled_at__isnull=False)
        return settled.filter(purchase=None)


class RefundInline(ScopedTabularInline):
    model = Refund
    fields = ("number", "outer_line_id", "amount", "refunded_at", "settled_at")
    is_read_only = True

    @display(description=_("退款单号"))
    def number(self, refund: Refund) -> SafeString:
        return _link("retail_refund_change", refund.pk, refund.outer_refund_id)

    @display(description=_("金额"))
    def amount(self, refund: Refund) -> SafeString | str:
        return refund_amount(refund)


class EntryInline(ScopedTabularInline):
    model = Entry
    fields = ("kind_link", "goods", "rule_name", "role", "person", "amount", "earned_on", "state_label", "posted")
    is_read_only = True
    verbose_name_plural = _("佣金流水")

    amount = money("fen", _("金额"))
    posted = moment("posted_at", _("记账"))

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        rows = told(super().get_queryset(request), request)
        return rows.select_related("line__product", "rule", "staff", "period_booked").order_by("pk")

    @display(description=_("类型"))
    def kind_link(self, entry: Entry) -> SafeString:
        return _link("commissions_entry_change", entry.pk, entry.get_kind_display())

    @display(description=_("规则"))
    def rule_name(self, entry: Entry) -> str:
        return entry.rule.name if entry.rule else "–"

    @display(description=_("商品"))
    def goods(self, entry: Entry) -> str:
        return entry.line.product.name if entry.line else "–"

    @display(description=_("谁"))
    def person(self, entry: Entry) -> str:
        return person_of(entry)

    @display(description=_("状态"))
    def state_label(self, entry: Entry) -> str:
        return str(state_of(entry)[1])


class OrderVersionInline(ScopedTabularInline):
    model = OrderVersion
    fields = ("version", "paid", "lines", "superseded_at")
    is_read_only = True
    verbose_name_plural = _("更正前的版本")

    @display(description=_("实付"))
    def paid(self, row: OrderVersion) -> SafeString | str:
        return as_yuan(row.document.get("paid_fen"))

    @display(description=_("商品行"))
    def lines(self, row: OrderVersion) -> SafeString:
        lines = row.document.get("lines", [])
        said = ((line["outer_line_id"], line["qty"], as_yuan(line["paid_fen"])) for line in lines)
        return format_html_join(_("；"), _("第 {} 行 {} 件 {}"), said)


def _with_clerk(orders: QuerySet) -> QuerySet:
    named = Staff._base_manager.filter(code=OuterRef("serving_clerk")).values("name")
    return orders.annotate(clerk_name=Subquery(named[:1]))


@admin.register(Order)
class OrderAdmin(ExportingAdmin, UnmaskingAdmin):
    is_read_only = True
    paginator = EstimatedPaginator
    list_display = ("outer_order_id", "channel", "store", "paid", "paid_on", "clerk", "settled")
    list_select_related = ("channel", "store")
    list_filter = ("channel", "brand", "store", "paid_at", "settled_at", BuyerFilter)
    search_fields = ("outer_order_id__startswith",)
    search_help_text = _("单号的开头")
    ordering = ("-paid_at", "-id")
    fieldsets = (
        (None, {"fields": ("outer_order_id", "channel", "brand", "store", "paid", "tag", "settled", "version")}),
        (_("谁买的、谁卖的"), {
            "fields": ("member", "buyer", "clerk", "fulfilling_clerk", "fulfil_store", "share_code"),
        }),
        (_("时间和其他"), {
            "fields": ("paid_at", "delivered_at", "received_at", "coupon_codes", "points_used", "live_event"),
        }),
    )  # fmt: skip
    inlines = (LineInline, EntryInline, RefundInline, OrderVersionInline)

    paid = money("paid_fen", _("实付"))
    tag = money("tag_fen", _("吊牌额"))
    paid_on = moment("paid_at", _("付款时间"))

    sheet = (
        Column(_("单号"), "text", lambda order: order.outer_order_id),
        Column(_("渠道"), "text", lambda order: order.channel.name),
        Column(_("品牌"), "text", lambda order: order.brand.name),
        Column(_("门店编码"), "text", lambda order: order.store.code if order.store else ""),
        Column(_("门店"), "text", lambda order: order.store.name if order.store else ""),
        Column(_("付款时间"), "moment", lambda order: order.paid_at),
        Column(_("吊牌额（元）"), "money", lambda order: order.tag_fen),
        Column(_("实付（元）"), "money", lambda order: order.paid_fen),
        Column(_("开单工号"), "text", lambda order: order.serving_clerk),
        Column(_("开单导购"), "text", lambda order: order.clerk_name),
    )

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.unattributed_view)
        return [path("unattributed/", view, name="retail_order_unattributed"), *super().get_urls()]

    def unattributed_view(self, request: HttpRequest) -> HttpResponse:
        """Sales behind which no clerk stands, as far as the reader's scope goes."""
        if not self.has_view_permission(request):
            raise Http404
        shown = unattributed.context(request, timezone.now())
        context = {**self.admin_site.each_context(request), **shown}
        return TemplateResponse(request, "admin/retail/order/unattributed.html", context)

    def sheet_rows(self, rows: QuerySet) -> QuerySet:
        return _with_clerk(rows).select_related("channel", "brand", "store")

    def rows_about(self, *, member_ids: Collection[int], key_ids: Collection[int]) -> set[int]:
        theirs = Q(buyer_keys__overlap=list(key_ids)) | Q(purchase__membership__member__in=member_ids)
        return set(Order._base_manager.filter(theirs).values_list("pk", flat=True))

    def keys_of(self, obj: Order) -> QuerySet[BuyerKey]:
        return BuyerKey.objects.filter(pk__in=obj.buyer_keys)

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return _with_clerk(super().get_queryset(request))

    def get_inlines(self, request: HttpRequest, obj: Any) -> tuple[type, ...]:
        """Refunds and earlier versions only where there are any."""
        empty = {RefundInline: not obj.refunds.exists(), OrderVersionInline: obj.version == 1} if obj else {}
        return tuple(inline for inline in self.inlines if not empty.get(inline))

    @display(description=_("开单导购"), ordering="serving_clerk")
    def clerk(self, order: Order) -> str:
        name = order.clerk_name or _("不认识的工号")
        return f"{name} {order.serving_clerk}" if order.serving_clerk else "–"

    @display(description=_("结算"), label={"done": "success", "stale": "warning", "open": "info"})
    def settled(self, order: Order) -> Badge:
        if order.settled_at is None:
            return Badge("open", _("等结算"))
        is_done = order.settled_version == order.version
        return Badge("done", _("已结算")) if is_done else Badge("stale", _("有更正，等重算"))

    @display(description=_("会员"))
    def member(self, order: Order) -> SafeString | str:
        purchase = Purchase.objects.filter(order=order).select_related("membership__member").first()
        if purchase is None:
            return "–"
        member = purchase.membership.member
        text = str(member)
        return _link("members_membership_change", purchase.membership_id, text)

    @display(description=_("买家标识（已打码）"))
    def buyer(self, order: Order) -> str:
        keys = BuyerKey.objects.filter(pk__in=order.buyer_keys).order_by("pk")
        return _("、").join(f"{key.get_type_display()} {key.masked}" for key in keys)

    @display(description=_("优惠券"))
    def coupon_codes(self, order: Order) -> str:
        return _("、").join(order.coupons)


# ── 为什么是这个数 ───────────────────────────────────────────────────────────────────────────────────────────────────
@admin.register(OrderLine)
class OrderLineAdmin(ScopedAdmin):
    """One line has one page: why it is this number."""

    is_read_only = True
    paginator = EstimatedPaginator
    list_display = ("outer_line_id", "order", "product", "qty", "paid")
    list_select_related = ("order", "product")
    search_fields = ("order__outer_order_id__exact", "product__sku__exact")
    search_help_text = _("完整单号或 SKU")
    ordering = ("-pk",)

    paid = money("paid_fen", _("实付"))

    def get_urls(self) -> list[URLPattern]:
        why = path("<int:line_id>/why/", self.admin_site.admin_view(self.why_view), name="retail_orderline_why")
        return [why, *super().get_urls()]

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        line = self.get_object(request, object_id)
        if line is None:
            raise Http404
        return HttpResponseRedirect(reverse("admin:retail_orderline_why", args=[line.pk]))

    def why_view(self, request: HttpRequest, line_id: int) -> HttpResponse:
        """Winners, losers and entries of one line: of an order in this scope, or one that paid somebody in it."""
        is_ours = self.get_queryset(request).filter(pk=line_id).exists()
        if not self.has_view_permission(request) or not (is_ours or Entry.objects.filter(line=line_id).exists()):
            raise Http404
        line = OrderLine._base_manager.select_related(*_AROUND).get(pk=line_id)
        context = {**self.admin_site.each_context(request), **_why(request, line), "is_ours": is_ours}
        return TemplateResponse(request, "admin/retail/orderline/why.html", context)


_AROUND = ("product", "order__channel", "order__brand", "order__store")


def _why(request: HttpRequest, line: OrderLine) -> dict[str, Any]:
    # The plan and colleagues of other stores are part of the answer, though not of this reader's lists.
    with scope.within(scope.EVERYTHING):
        story = explain.of_line(order=line.order, line=line)
        claims = ClaimRow.objects.filter(pk__in=[part.claim.pk for win in story.winners for part in win.parts])
    named = {claim.pk: person_of(claim) for claim in known(claims.select_related("staff"), request)}
    entries = told(Entry.objects.filter(line=line), request).select_related("staff", "rule").order_by("pk")
    names = [(entry, person_of(entry)) for entry in entries]
    by_entry = {entry.pk: name for entry, name in names}
    refunds = Refund._base_manager.filter(order=line.order, outer_line_id=line.outer_line_id).order_by("refunded_at")
    return {
        "title": _("为什么是这个数"),
        "line": line,
        "order": line.order,
        "story": story,
        "winners": [(win, [(part, named[part.claim.pk]) for part in win.parts]) for win in story.winners],
        "entries": [(entry, name, as_yuan(entry.fen)) for entry, name in names],
        "taken_back": [(gone, by_entry.get(gone.entry.pk, "–")) for gone in story.taken_back],
        "refunds": [(refund, refund_amount(refund)) for refund in refunds],
        "drafts": drafts_for(request, line.order),
    }
