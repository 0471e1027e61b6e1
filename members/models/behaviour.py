"""What members did other than buying: they looked, put in a cart, came in, watched."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

from members.models.people import Member
from retail.models import Brand, Channel, Product, Store
from retail.scope import Paths, Scoped


class Event(Scoped):
    """行为: as a channel told it. Somebody unknown has no member until one of their keys is somebody's.

    What happened to a product (到货, 售罄, 降价) is told in the same way and is nobody's.

    The table is divided by month of `at` (migrations/0002_events.py): no key of it is checked by the database, and
    what is searched by `at` reads a month or two. `former`: what it said before it was corrected, the oldest first.
    """

    class Kind(models.TextChoices):
        VIEW = "view", _("浏览")
        CART = "cart", _("加购")
        FAVOURITE = "favourite", _("收藏")
        VISIT = "visit", _("到店")
        LIVE_WATCH = "live_watch", _("看直播")
        ORDER_PLACED = "order_placed", _("下单")
        ORDER_CLOSED = "order_closed", _("订单关闭")
        ASKED = "asked", _("咨询")
        REPLIED = "replied", _("回复")
        COMPLAINED = "complained", _("投诉")
        RESTOCKED = "restocked", _("到货")
        SOLD_OUT = "sold_out", _("售罄")
        PRICE_CUT = "price_cut", _("降价")

    at = models.DateTimeField(_("时间"))
    channel = models.ForeignKey(
        Channel, verbose_name=_("渠道"), on_delete=models.PROTECT, related_name="+", db_constraint=False
    )
    outer_event_id = models.CharField(_("事件号"), max_length=64)
    kind = models.CharField(_("类型"), max_length=16, choices=Kind.choices)
    brand = models.ForeignKey(
        Brand, verbose_name=_("品牌"), on_delete=models.PROTECT, related_name="+", db_constraint=False
    )
    member = models.ForeignKey(
        Member, verbose_name=_("会员"), null=True, on_delete=models.PROTECT, related_name="events", db_constraint=False
    )
    buyer_keys = ArrayField(models.BigIntegerField(), verbose_name=_("买家标识"), default=list, editable=False)
    product = models.ForeignKey(
        Product,
        verbose_name=_("商品"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        db_constraint=False,
    )
    store = models.ForeignKey(
        Store,
        verbose_name=_("门店"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        db_constraint=False,
    )
    share_code = models.CharField(_("分享码"), max_length=64, blank=True, default="")
    live_event = models.CharField(_("直播"), max_length=64, blank=True, default="")
    seconds = models.PositiveIntegerField(_("秒数"), null=True, blank=True)
    outer_order_id = models.CharField(_("单号"), max_length=64, blank=True, default="")
    fen = models.BigIntegerField(_("金额（分）"), null=True, blank=True)  # of an order placed; the price after a cut
    received_at = models.DateTimeField(_("收到"))
    former = models.JSONField(_("更正前"), default=list, editable=False)

    scope_paths = Paths(brand="brand", store="store", staff=None)

    class Meta:
        verbose_name = _("会员行为")
        verbose_name_plural = _("会员行为")
        managed = False  # a divided table, made by hand in the migration
        db_table = "members_event"

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.outer_event_id}"
