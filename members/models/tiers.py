"""等级: the standing of a member with a brand, by what they bought or collected in a rolling window."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from retail.models import Brand, Order
from retail.scope import ANY, Paths, Scoped


class Tier(Scoped):
    brand = models.ForeignKey(
        Brand, verbose_name=_("品牌"), on_delete=models.PROTECT, related_name="tiers", db_index=False
    )
    code = models.CharField(_("编码"), max_length=32)
    name = models.CharField(_("名称"), max_length=32)
    rank = models.PositiveSmallIntegerField(_("级别"))
    # What TierRule.metric must reach: fen, orders or points. A protected tier is given by hand alone and never lapses.
    threshold = models.PositiveBigIntegerField(_("达到"), default=0, db_default=0)
    is_protected = models.BooleanField(_("不自动降级"), default=False, db_default=False)

    scope_paths = Paths(brand="brand", store=ANY, staff=ANY)

    class Meta:
        verbose_name = _("等级")
        verbose_name_plural = _("等级")
        ordering = ["brand", "rank"]
        constraints = [models.UniqueConstraint(fields=["brand", "code"], name="tier_once")]

    def __str__(self) -> str:
        return self.name


class TierRule(Scoped):
    """How a brand gives its tiers: what is counted in the last `window_days`, and how long a tier stays."""

    class Metric(models.TextChoices):
        SPEND = "spend", _("消费净额")
        ORDERS = "orders", _("购买次数")
        POINTS = "points", _("获得积分")

    brand = models.OneToOneField(Brand, verbose_name=_("品牌"), on_delete=models.PROTECT, related_name="tier_rule")
    metric = models.CharField(_("按什么评级"), max_length=8, choices=Metric.choices, default=Metric.SPEND)
    window_days = models.PositiveSmallIntegerField(_("统计最近几天"), default=365)
    keep_days = models.PositiveSmallIntegerField(_("等级保留几天"), default=365)

    scope_paths = Paths(brand="brand", store=ANY, staff=ANY)

    class Meta:
        verbose_name = _("等级规则")
        verbose_name_plural = _("等级规则")

    def __str__(self) -> str:
        return str(self.brand)


class TierMove(Scoped):
    """等级变动: from one tier to another, and what caused it: an order, the date, a rule, or a person and why."""

    class Cause(models.TextChoices):
        EARNED = "earned", _("达到标准")
        LAPSED = "lapsed", _("到期未达标准")
        RULE = "rule", _("规则变更")
        MANUAL = "manual", _("人工调整")
        MERGED = "merged", _("会员合并")

    membership = models.ForeignKey(
        "members.Membership",
        verbose_name=_("会员"),
        on_delete=models.PROTECT,
        related_name="tier_moves",
        db_index=False,
    )
    before = models.ForeignKey(
        Tier, verbose_name=_("原等级"), null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    after = models.ForeignKey(
        Tier, verbose_name=_("新等级"), null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    cause = models.CharField(_("原因"), max_length=8, choices=Cause.choices)
    order = models.ForeignKey(
        Order, verbose_name=_("订单"), null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("操作人"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
    )
    reason = models.CharField(_("说明"), max_length=200, blank=True, default="", db_default="")
    at = models.DateTimeField(_("时间"))

    scope_paths = Paths(brand="membership__brand", store="membership__purchases__store", staff=None)
    scope_is_to_many = True

    class Meta:
        verbose_name = _("等级变动")
        verbose_name_plural = _("等级变动")
        indexes = [models.Index(fields=["membership", "-at"], name="tier_move_of_membership")]

    def __str__(self) -> str:
        return f"{self.before or '–'} → {self.after or '–'}"
