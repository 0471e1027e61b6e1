"""积分: a ledger per membership. The balance is the sum of its entries, to be seen below zero too."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from members.models.people import Membership
from members.models.tiers import Tier
from retail.models import Brand, Channel, Order, Refund
from retail.scope import ANY, Paths, Scoped


class PointsRule(Scoped):
    """How many points an order gives: per yuan of what was paid, times a multiplier on some days."""

    brand = models.ForeignKey(Brand, verbose_name=_("品牌"), on_delete=models.PROTECT, related_name="points_rules")
    name = models.CharField(_("名称"), max_length=64)
    channel = models.ForeignKey(
        Channel, verbose_name=_("渠道"), null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    tier = models.ForeignKey(
        Tier, verbose_name=_("等级"), null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    points_ppm_per_fen = models.PositiveBigIntegerField(_("每元积分"))  # 1 point a yuan = 10 000
    starts_on = models.DateField(_("从"))
    ends_on = models.DateField(_("到"), null=True, blank=True)
    lives_days = models.PositiveSmallIntegerField(_("有效天数"), null=True, blank=True)
    priority = models.SmallIntegerField(_("优先级"), default=0)

    scope_paths = Paths(brand="brand", store=ANY, staff=ANY)

    class Meta:
        verbose_name = _("积分规则")
        verbose_name_plural = _("积分规则")

    def __str__(self) -> str:
        return self.name


class PointsEntry(Scoped):
    """积分流水: points given or taken. Never changed; what was wrong is set right by another entry."""

    class Kind(models.TextChoices):
        EARN = "earn", _("消费获得")
        BACK = "back", _("退货扣回")
        BURN = "burn", _("使用")
        UNBURN = "unburn", _("退还")
        EXPIRE = "expire", _("到期")
        ADJUST = "adjust", _("人工调整")

    membership = models.ForeignKey(
        Membership, verbose_name=_("会员"), on_delete=models.PROTECT, related_name="points_entries"
    )
    kind = models.CharField(_("类型"), max_length=8, choices=Kind.choices)
    points = models.BigIntegerField(_("积分"))
    rule = models.ForeignKey(
        PointsRule, verbose_name=_("规则"), null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    order = models.ForeignKey(
        Order, verbose_name=_("订单"), null=True, blank=True, on_delete=models.PROTECT, related_name="points_entries"
    )
    refund = models.ForeignKey(
        Refund, verbose_name=_("退款"), null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    expires_on = models.DateField(_("到期日"), null=True, blank=True)
    at = models.DateTimeField(_("发生"))
    created_at = models.DateTimeField(_("记账"))
    reason = models.CharField(_("原因"), max_length=200, blank=True, default="")

    scope_paths = Paths(brand="membership__brand", store="order__store", staff=None)

    class Meta:
        verbose_name = _("积分流水")
        verbose_name_plural = _("积分流水")
        indexes = [
            models.Index(fields=["membership", "-at"], name="points_of_membership"),
            models.Index(fields=["order"], name="points_of_order", condition=models.Q(order__isnull=False)),
        ]
