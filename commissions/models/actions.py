"""Pay per action (CPA) and per response (CPR): what a version pays for what, and every event that was judged by it."""

from django.contrib.postgres.indexes import BrinIndex
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from commissions.models.ledger import Entry, loose
from commissions.models.plans import PlanVersion
from retail.models import Brand, Franchisee, Order, Staff, Store
from retail.scope import Paths, Scoped
from retail.templatetags.figures import yuan

SHORTEST_SLEEP = 30  # days: who bought more recently than that was not asleep


class ActionType(models.TextChoices):
    """What a clerk did (CPA), or what a customer answered (CPR)."""

    REGISTER = "register", _("招募会员")
    FRIEND = "friend", _("加企业微信好友")
    WAKE = "wake", _("唤醒沉睡客户")
    OPENED = "opened", _("素材被打开")
    COUPON = "coupon", _("发的券被用掉")
    REPLY = "reply", _("客户回复")


KIND_OF = {
    **dict.fromkeys((ActionType.REGISTER, ActionType.FRIEND, ActionType.WAKE), Entry.Kind.CPA),
    **dict.fromkeys((ActionType.OPENED, ActionType.COUPON, ActionType.REPLY), Entry.Kind.CPR),
}
# Those that some room tells `commissions.actions.act` of; a room that begins to adds its own. Forms offer no others.
CONNECTED = (ActionType.REGISTER, ActionType.FRIEND, ActionType.WAKE, ActionType.OPENED, ActionType.COUPON)
WITH_CONTENT = (ActionType.OPENED, ActionType.COUPON, ActionType.REPLY)
"""Those that are about something that was sent. Of the others "once per content" would mean once for ever."""


class ActionRate(Scoped):
    """What one type of event pays in a version. The rules are the engine's (`commissions.engine.actions`)."""

    class Once(models.TextChoices):
        """What may be paid for once only; the values are the engine's."""

        ALWAYS = "", _("每次都给")
        CUSTOMER = "customer", _("每位顾客一次")
        CUSTOMER_DAY = "customer+day", _("每位顾客每天一次")
        CONTENT = "content", _("每个素材一次")
        CUSTOMER_CONTENT = "customer+content", _("每位顾客每个素材一次")
        CUSTOMER_CONTENT_DAY = "customer+content+day", _("每位顾客每个素材每天一次")

    version = models.ForeignKey(
        PlanVersion, verbose_name=_("版本"), on_delete=models.CASCADE, related_name="action_rates", db_index=False
    )
    type = models.CharField(_("什么事"), max_length=16, choices=ActionType.choices)
    fen = models.BigIntegerField(_("每次给（分）"))
    once_per = models.CharField(
        _("怎样算一次"), max_length=24, choices=Once.choices, default=Once.CUSTOMER, blank=True
    )
    daily_cap = models.PositiveIntegerField(_("每人每天最多几次"), null=True, blank=True)
    min_inactive_days = models.PositiveIntegerField(_("至少多少天没买过"), null=True, blank=True)
    budget_fen = models.BigIntegerField(_("预算（分）"), null=True, blank=True)
    budget_from = models.DateField(_("预算从哪天算起"), null=True, blank=True)
    void_days = models.PositiveSmallIntegerField(_("几天内可收回"), null=True, blank=True)

    scope_paths = Paths(brand="version__plan__brand")

    class Meta:
        verbose_name = _("行为奖励")
        verbose_name_plural = _("行为奖励")
        ordering = ["version", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["version", "type"],
                name="action_rate_once",
                violation_error_message=_("这个版本里已经有这件事的奖励。"),
            ),
            models.CheckConstraint(
                name="action_rate_not_negative",
                condition=Q(fen__gte=0) & (Q(budget_fen=None) | Q(budget_fen__gte=0)),
                violation_error_message=_("金额和预算不能是负数。"),
            ),
            models.CheckConstraint(
                name="action_rate_wakes_sleepers",
                condition=~Q(type="wake") | Q(min_inactive_days__isnull=False, min_inactive_days__gte=SHORTEST_SLEEP),
                violation_error_message=_("唤醒沉睡客户，至少要 30 天没买过。"),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_type_display()} ¥{yuan(self.fen)}"

    def clean(self) -> None:
        """What would be asked of an event that never tells it: a rate would pay once, or a condition never bite."""
        if "content" in self.once_per and self.type not in WITH_CONTENT:
            raise ValidationError({"once_per": _("这件事没有素材，不能按素材算一次。")})
        if self.min_inactive_days is not None and self.type != ActionType.WAKE:
            raise ValidationError({"min_inactive_days": _("只有唤醒沉睡客户看多少天没买过，别的事要空着。")})

    @property
    def code(self) -> str:
        """What it is known by among the rates of its version."""
        return self.type


class ActionEvent(Scoped):
    """One event as it was judged, for ever: what it paid, or why nothing. Append-only, like the journal.

    `customer` is the number of the member it was then. An event with `of` takes back what that one paid: its `fen`
    is negative, its `day` that of the other, so that sums by day are net. `entry` is the leg that was booked for it.
    """

    class Cause(models.TextChoices):
        """Why something is taken back."""

        UNFRIENDED = "unfriended", _("好友被删除")
        MERGED = "merged", _("和另一位会员是同一个人")
        RETURNED = "returned", _("货全退了")
        UNUSED = "unused", _("订单不再用这张券")

    number = models.CharField(_("编号"), max_length=96)
    brand = loose(Brand, _("品牌"))
    type = models.CharField(_("什么事"), max_length=16, choices=ActionType.choices)
    staff = loose(Staff, _("员工"))
    store = loose(Store, _("门店"), null=True)
    payer = loose(Franchisee, _("付款公司"), null=True)
    customer = models.BigIntegerField(_("会员"), null=True)
    content = models.CharField(_("素材"), max_length=64, blank=True, default="")
    active_days = models.PositiveIntegerField(_("距上次购买天数"), null=True)
    order = loose(Order, _("订单"), null=True)
    at = models.DateTimeField(_("时间"))
    day = models.DateField(_("日期"))
    rate = loose(ActionRate, _("行为奖励"))
    version = loose(PlanVersion, _("方案版本"))
    fen = models.BigIntegerField(_("金额"))
    reason = models.CharField(_("没有的原因"), max_length=24, blank=True, default="")
    of = loose("self", _("收回哪一笔"), null=True)
    cause = models.CharField(_("为什么收回"), max_length=12, choices=Cause.choices, blank=True, default="")
    entry = loose(Entry, _("佣金流水"), null=True)
    judged_at = models.DateTimeField(_("判定时间"))

    scope_paths = Paths(brand="brand", store="store", staff="staff")

    class Meta:
        verbose_name = _("行为记录")
        verbose_name_plural = _("行为记录")
        constraints = [models.UniqueConstraint(fields=["number"], name="action_event_once")]
        indexes = [
            models.Index(fields=["staff", "-at"], name="action_of_staff"),
            models.Index(fields=["brand", "type", "customer"], name="action_of_customer", condition=Q(reason="")),
            models.Index(fields=["brand", "type", "day"], include=["fen", "staff"], name="action_of_day"),
            models.Index(fields=["of"], name="action_taken_back", condition=Q(of__isnull=False)),
            models.Index(fields=["brand", "type"], name="action_budget_ended", condition=Q(reason="budget_spent")),
            BrinIndex(fields=["at"], name="action_at", autosummarize=True),
        ]

    def __str__(self) -> str:
        return f"{self.get_type_display()} {self.at:%Y-%m-%d}"
