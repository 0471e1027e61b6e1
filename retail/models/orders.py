"""Orders, lines and refunds as the channels said them.

The row of a fact shows its latest version; every earlier version is kept whole in OrderVersion / RefundVersion, which
refuse UPDATE and DELETE in the database. Nothing here says who the buyer was or what anybody earned: those are
interpretations, in the rooms above.
"""

from collections import defaultdict
from collections.abc import Collection
from typing import NamedTuple

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from retail.models import lookups as _lookups  # noqa: F401  `among`
from retail.models.catalog import Product
from retail.models.channels import Channel
from retail.models.org import Brand, Store
from retail.scope import Paths, Scoped


class Order(Scoped):
    """One order. `buyer_keys` are ids of BuyerKey; clerk codes stand as received, known to us or not."""

    channel = models.ForeignKey(
        Channel, verbose_name=_("渠道"), on_delete=models.PROTECT, related_name="orders", db_index=False
    )
    outer_order_id = models.CharField(_("单号"), max_length=64)
    version = models.PositiveSmallIntegerField(_("版本"), default=1)
    fingerprint = models.BinaryField(max_length=16)
    brand = models.ForeignKey(
        Brand, verbose_name=_("品牌"), on_delete=models.PROTECT, related_name="orders", db_index=False
    )
    store = models.ForeignKey(
        Store,
        verbose_name=_("门店"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="orders",
        db_index=False,
    )
    paid_at = models.DateTimeField(_("付款时间"))
    delivered_at = models.DateTimeField(_("签收时间"), null=True, blank=True)
    buyer_keys = ArrayField(models.BigIntegerField(), default=list)
    serving_clerk = models.CharField(_("开单导购"), max_length=32, blank=True, default="")
    fulfil_store = models.ForeignKey(
        Store, verbose_name=_("发货门店"), null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    fulfilling_clerk = models.CharField(_("发货导购"), max_length=32, blank=True, default="")
    share_code = models.CharField(_("分享码"), max_length=64, blank=True, default="")
    chat_id = models.CharField(_("群"), max_length=64, blank=True, default="")
    live_event = models.CharField(_("直播"), max_length=64, blank=True, default="")
    coupons = ArrayField(models.CharField(max_length=64), verbose_name=_("优惠券"), default=list, blank=True)
    points_used = models.PositiveIntegerField(_("用积分"), default=0)
    tag_fen = models.BigIntegerField(_("吊牌额"))
    paid_fen = models.BigIntegerField(_("实付"))
    received_at = models.DateTimeField(_("收到"))
    settled_at = models.DateTimeField(_("结算"), null=True, blank=True)
    settled_version = models.PositiveSmallIntegerField(_("已结算版本"), default=0)

    scope_paths = Paths(brand="brand", store="store", staff=None)

    class Meta:
        verbose_name = _("订单")
        verbose_name_plural = _("订单")
        constraints = [models.UniqueConstraint(fields=["channel", "outer_order_id"], name="order_once")]
        indexes = [
            models.Index(fields=["-paid_at", "-id"], name="order_newest"),
            models.Index(fields=["store", "-paid_at"], name="order_of_store"),
            models.Index(fields=["brand", "-paid_at"], name="order_of_brand"),
            models.Index(fields=["id"], name="order_unsettled", condition=~Q(settled_version=models.F("version"))),
        ]

    def __str__(self) -> str:
        return self.outer_order_id

    # Filled beforehand where thousands of orders are read: a manager for each takes longer than all its rows.
    @cached_property
    def all_lines(self) -> list["SoldLine"]:
        return lines_of([self.pk]).get(self.pk, [])

    @cached_property
    def all_refunds(self) -> list["Refund"]:
        return list(self.refunds.all())


class SoldLine(NamedTuple):
    """A line of an order as settling reads it: by the hundred thousand, where a model instance each is too much."""

    pk: int
    outer_line_id: str
    sku: str
    brand_label: str
    category_label: str
    qty: int
    tag_fen: int
    paid_fen: int
    cost_fen: int | None
    serving_clerk: str


def lines_of(order_ids: Collection[int]) -> dict[int, list[SoldLine]]:
    """The lines of orders by the order's id, as they came in."""
    columns = ("product__sku" if name == "sku" else name for name in SoldLine._fields)
    lines: dict[int, list[SoldLine]] = defaultdict(list)
    rows = OrderLine.objects.filter(order__pk__among=order_ids).order_by("pk")
    for row in rows.values_list("order_id", *columns):
        lines[row[0]].append(tuple.__new__(SoldLine, row[1:]))  # half the time of its constructor
    return lines


class OrderLine(Scoped):
    """One line. All amounts are of the whole line: `tag_fen` = tag price × qty, `paid_fen` after every discount."""

    order = models.ForeignKey(
        Order, verbose_name=_("订单"), on_delete=models.PROTECT, related_name="lines", db_index=False
    )
    outer_line_id = models.CharField(_("行号"), max_length=64)
    product = models.ForeignKey(Product, verbose_name=_("商品"), on_delete=models.PROTECT, related_name="lines")
    brand_label = models.CharField(_("品牌标记"), max_length=64)
    category_label = models.CharField(_("品类标记"), max_length=64)
    qty = models.IntegerField(_("件数"))
    tag_fen = models.BigIntegerField(_("吊牌额"))
    paid_fen = models.BigIntegerField(_("实付"))
    cost_fen = models.BigIntegerField(_("单件成本"), null=True, blank=True)
    is_gift = models.BooleanField(_("赠品"), default=False)
    serving_clerk = models.CharField(_("开单导购"), max_length=32, blank=True, default="")

    scope_paths = Paths(brand="order__brand", store="order__store", staff=None)

    class Meta:
        verbose_name = _("订单行")
        verbose_name_plural = _("订单行")
        constraints = [models.UniqueConstraint(fields=["order", "outer_line_id"], name="order_line_once")]

    def __str__(self) -> str:
        return self.outer_line_id


class Refund(Scoped):
    """Money given back on one line. `order` is null while the order has not arrived yet (parked).

    The feed says `fen` (this refund), or `cumulative_fen` (all of the line so far), or `qty` (then proportional).
    """

    class Trouble(models.TextChoices):
        EXCESS = "excess", _("超出这行实付")
        NO_LINE = "no_line", _("订单没有这一行")

    channel = models.ForeignKey(
        Channel, verbose_name=_("渠道"), on_delete=models.PROTECT, related_name="refunds", db_index=False
    )
    outer_refund_id = models.CharField(_("退款单号"), max_length=64)
    version = models.PositiveSmallIntegerField(_("版本"), default=1)
    outer_order_id = models.CharField(_("原单号"), max_length=64)
    outer_line_id = models.CharField(_("原行号"), max_length=64)
    order = models.ForeignKey(
        Order, verbose_name=_("订单"), null=True, blank=True, on_delete=models.PROTECT, related_name="refunds"
    )
    refunded_at = models.DateTimeField(_("退款时间"))
    fen = models.BigIntegerField(_("金额"), null=True, blank=True)
    cumulative_fen = models.BigIntegerField(_("累计金额"), null=True, blank=True)
    qty = models.IntegerField(_("件数"), null=True, blank=True)
    received_at = models.DateTimeField(_("收到"))
    settled_at = models.DateTimeField(_("结算"), null=True, blank=True)
    # Set when it is settled: what of it no line could take. Nothing is taken back for that part.
    trouble = models.CharField(_("问题"), max_length=8, choices=Trouble.choices, blank=True, default="")
    excess = models.BigIntegerField(_("超出（分）"), default=0)

    scope_paths = Paths(brand="order__brand", store="order__store", staff=None)

    class Meta:
        verbose_name = _("退款")
        verbose_name_plural = _("退款")
        constraints = [
            models.UniqueConstraint(fields=["channel", "outer_refund_id"], name="refund_once"),
            models.CheckConstraint(
                name="refund_says_one_amount",
                condition=(
                    Q(fen__isnull=False, cumulative_fen=None, qty=None)
                    | Q(fen=None, cumulative_fen__isnull=False, qty=None)
                    | Q(fen=None, cumulative_fen=None, qty__isnull=False)
                ),
            ),
        ]
        indexes = [
            models.Index(fields=["channel", "outer_order_id"], name="refund_parked", condition=Q(order=None)),
            models.Index(fields=["-refunded_at"], name="refund_newest"),
        ]

    def __str__(self) -> str:
        return self.outer_refund_id


class OrderVersion(Scoped):
    """An earlier version of an order with its lines, whole, as it stood until `superseded_at`."""

    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="versions", db_index=False)
    version = models.PositiveSmallIntegerField(_("版本"))
    document = models.JSONField(_("内容"))
    superseded_at = models.DateTimeField(_("被更正"))

    scope_paths = Paths(brand="order__brand", store="order__store", staff=None)

    class Meta:
        verbose_name = _("订单旧版本")
        verbose_name_plural = _("订单旧版本")
        constraints = [models.UniqueConstraint(fields=["order", "version"], name="order_version_once")]


class RefundVersion(Scoped):
    """An earlier version of a refund, as it stood until `superseded_at`."""

    refund = models.ForeignKey(Refund, on_delete=models.PROTECT, related_name="versions", db_index=False)
    version = models.PositiveSmallIntegerField(_("版本"))
    document = models.JSONField(_("内容"))
    superseded_at = models.DateTimeField(_("被更正"))

    scope_paths = Paths(brand="refund__order__brand", store="refund__order__store", staff=None)

    class Meta:
        verbose_name = _("退款旧版本")
        verbose_name_plural = _("退款旧版本")
        constraints = [models.UniqueConstraint(fields=["refund", "version"], name="refund_version_once")]
