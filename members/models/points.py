"""积分: a ledger per membership. The balance is the sum of its entries, to be seen below zero too."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from members.models.people import Membership
from members.models.tiers import Tier
from retail.models import Brand, Channel, Order
from retail.scope import ANY, Paths, Scoped


class PointsRule(Scoped):
    """What an order gives. Of the basic rules that match the first by priority holds: `points` for every `spend_fen`.
    Of those that multiply, the highest: `times_percent` of it.

    A rule may be changed at any time: what it gave stands in the entries with its rate.
    """

    class Kind(models.TextChoices):
        BASIC = "basic", _("基础：每消费多少元得多少分")
        TIMES = "times", _("加倍：在基础上乘几倍")

    class Life(models.TextChoices):
        FOREVER = "forever", _("一直有效")
        DAYS = "days", _("得到后多少天")
        YEAR = "year", _("到当年年底")
        NEXT_YEAR = "next_year", _("到次年年底")

    brand = models.ForeignKey(Brand, verbose_name=_("品牌"), on_delete=models.PROTECT, related_name="points_rules")
    name = models.CharField(_("名称"), max_length=64)
    kind = models.CharField(_("做什么"), max_length=8, choices=Kind.choices, default=Kind.BASIC)
    spend_fen = models.PositiveIntegerField(_("每消费"), default=100)
    points = models.PositiveIntegerField(_("得积分"), default=1)
    times_percent = models.PositiveIntegerField(_("倍数"), default=200)  # 200 = twice
    channel = models.ForeignKey(
        Channel, verbose_name=_("渠道"), null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    tier = models.ForeignKey(
        Tier, verbose_name=_("等级"), null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    month_days = ArrayField(models.PositiveSmallIntegerField(), verbose_name=_("每月几号"), default=list, blank=True)
    weekdays = ArrayField(models.PositiveSmallIntegerField(), verbose_name=_("每周几"), default=list, blank=True)
    starts_on = models.DateField(_("从"))
    ends_on = models.DateField(_("到"), null=True, blank=True)
    life = models.CharField(_("积分有效期"), max_length=10, choices=Life.choices, default=Life.NEXT_YEAR)
    lives_days = models.PositiveSmallIntegerField(_("有效天数"), null=True, blank=True)
    priority = models.SmallIntegerField(_("优先级"), default=0)

    scope_paths = Paths(brand="brand", store=ANY, staff=ANY)

    class Meta:
        verbose_name = _("积分规则")
        verbose_name_plural = _("积分规则")
        ordering = ["brand", "kind", "-priority", "pk"]
        constraints = [
            models.CheckConstraint(name="points_rule_gives", condition=Q(spend_fen__gt=0)),
            models.CheckConstraint(
                name="points_rule_lives", condition=~Q(life="days") | Q(lives_days__isnull=False, lives_days__gt=0)
            ),
            models.CheckConstraint(
                name="points_rule_in_order", condition=Q(ends_on=None) | Q(ends_on__gte=F("starts_on"))
            ),
        ]

    def __str__(self) -> str:
        return self.name


class PointsAdjustment(Scoped):
    """人工调整: points given or taken by hand, and why. Its entries stand where it stands."""

    membership = models.ForeignKey(
        Membership, verbose_name=_("会员"), on_delete=models.PROTECT, related_name="points_adjustments"
    )
    points = models.BigIntegerField(_("积分"))
    expires_on = models.DateField(_("有效到"), null=True, blank=True)
    reason = models.CharField(_("原因"), max_length=200)
    is_opening = models.BooleanField(_("期初"), default=False, db_default=False)  # brought along by an import
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("操作人"), null=True, on_delete=models.PROTECT, related_name="+"
    )
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("同意人"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
    )
    at = models.DateTimeField(_("时间"))

    scope_paths = Paths(brand="membership__brand", store=None, staff=None)

    class Meta:
        verbose_name = _("积分人工调整")
        verbose_name_plural = _("积分人工调整")
        constraints = [
            models.CheckConstraint(name="points_adjusted_by_something", condition=~Q(points=0)),
            models.CheckConstraint(name="points_taken_do_not_expire", condition=Q(points__gt=0) | Q(expires_on=None)),
        ]

    def __str__(self) -> str:
        return f"{self.points:+,}"


class PointsEntry(Scoped):
    """积分流水: points given or taken. Never changed; what was wrong is set right by another entry.

    Each belongs to an order or an adjustment, but for what expires. `rate_points` for every `rate_fen` of a line is
    what the order earned by. `is_moved`: the order or adjustment now belongs to another membership.
    """

    class Kind(models.TextChoices):
        EARN = "earn", _("消费获得")
        BACK = "back", _("退货扣回")
        BURN = "burn", _("使用")
        UNBURN = "unburn", _("退还")
        EXPIRE = "expire", _("到期")
        ADJUST = "adjust", _("人工补发")
        DEDUCT = "deduct", _("人工扣减")

    # What uses points up, and what undoes that. All others, but EXPIRE, are lots, which expire.
    USES = (Kind.BURN, Kind.UNBURN, Kind.DEDUCT)

    membership = models.ForeignKey(
        Membership, verbose_name=_("会员"), on_delete=models.PROTECT, related_name="points_entries", db_index=False
    )
    kind = models.CharField(_("类型"), max_length=8, choices=Kind.choices)
    points = models.BigIntegerField(_("积分"))
    rule = models.ForeignKey(
        PointsRule,
        verbose_name=_("规则"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
    )
    times = models.ForeignKey(
        PointsRule,
        verbose_name=_("加倍规则"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
    )
    rate_points = models.BigIntegerField(_("得积分"), null=True, blank=True)
    rate_fen = models.BigIntegerField(_("每消费"), null=True, blank=True)
    order = models.ForeignKey(
        Order,
        verbose_name=_("订单"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="points_entries",
        db_index=False,
    )
    adjustment = models.ForeignKey(
        PointsAdjustment,
        verbose_name=_("人工调整"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="entries",
        db_index=False,
    )
    expires_on = models.DateField(_("有效到"), null=True, blank=True)  # the last day it is good for
    is_moved = models.BooleanField(_("因会员合并"), default=False, db_default=False)
    at = models.DateTimeField(_("发生"))
    created_at = models.DateTimeField(_("记账"))

    scope_paths = Paths(brand="membership__brand", store="order__store", staff=None)

    class Meta:
        verbose_name = _("积分流水")
        verbose_name_plural = _("积分流水")
        indexes = [
            models.Index(fields=["membership", "-at"], name="points_of_membership"),
            models.Index(fields=["order"], name="points_of_order", condition=Q(order__isnull=False)),
            models.Index(fields=["adjustment"], name="points_of_adjust", condition=Q(adjustment__isnull=False)),
            models.Index(fields=["expires_on"], name="points_expiring", condition=Q(expires_on__isnull=False)),
        ]
        constraints = [
            models.CheckConstraint(name="points_say_something", condition=~Q(points=0)),
            models.CheckConstraint(
                name="points_of_one_source",
                condition=Q(kind__in=["earn", "back", "burn", "unburn"], order__isnull=False, adjustment=None)
                | Q(kind__in=["adjust", "deduct"], order=None, adjustment__isnull=False)
                | Q(kind="expire", order=None, adjustment=None),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.points:+,}"
