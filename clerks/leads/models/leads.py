"""线索: whom a clerk should talk to and why; the rules of a brand for it; who is held out to see what it helps."""

from datetime import datetime

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from clerks.leads.models.intent import IntentModel
from members.models import Member
from retail.models import Brand, Order, Product, Staff, Store
from retail.scope import Paths, Scoped, ScopedManager


class LeadPolicy(Scoped):
    """线索规则 of a brand: how often a customer may be contacted, how much a clerk gets, what is switched off.

    A brand without a row goes by the defaults. Hours are of Shanghai; `holdout_ppm` holds from the next quarter on.
    """

    brand = models.OneToOneField(Brand, verbose_name=_("品牌"), on_delete=models.PROTECT, related_name="lead_policy")
    is_on = models.BooleanField(_("启用线索"), default=True)
    off_kinds = ArrayField(models.CharField(max_length=12), verbose_name=_("停用的类型"), default=list, blank=True)
    per_day = models.PositiveSmallIntegerField(_("每位顾客一天最多主动联系（次）"), default=1)
    per_week = models.PositiveSmallIntegerField(_("7 天最多（次）"), default=2)
    per_month = models.PositiveSmallIntegerField(_("30 天最多（次）"), default=6)
    rest_days = models.PositiveSmallIntegerField(_("联系后歇几天"), default=3)
    score_rest_days = models.PositiveSmallIntegerField(_("可能要买和沉睡类歇几天"), default=14)
    quiet_from = models.PositiveSmallIntegerField(_("几点起不打扰"), default=21)
    quiet_until = models.PositiveSmallIntegerField(_("到几点"), default=9)
    dormant_days = models.PositiveSmallIntegerField(_("几天没买才算沉睡"), default=60)
    fresh_days = models.PositiveSmallIntegerField(_("刚买过几天内不推“可能要买”"), default=14)
    clerk_most = models.PositiveSmallIntegerField(_("导购一天最多几位"), default=10)
    clerk_least = models.PositiveSmallIntegerField(_("导购一天至少几位"), default=3)
    book_ppm = models.PositiveIntegerField(_("一天联系可联系顾客的"), default=10_000)
    act_hours = models.PositiveSmallIntegerField(_("几小时没跟进转给门店"), default=24)
    service_act_hours = models.PositiveSmallIntegerField(_("咨询和未付款几小时"), default=2)
    claims_per_day = models.PositiveSmallIntegerField(_("导购一天最多认领"), default=5)
    barred_days = models.PositiveSmallIntegerField(_("原导购几天内不能认领"), default=7)
    holdout_ppm = models.PositiveIntegerField(_("对照组比例"), default=100_000)

    scope_paths = Paths(brand="brand", store=None, staff=None)

    class Meta:
        verbose_name = _("线索规则")
        verbose_name_plural = _("线索规则")
        constraints = [
            models.CheckConstraint(
                name="lead_policy_holdout",
                condition=Q(holdout_ppm__lte=500_000),
                violation_error_message=_("对照组最多占一半。"),
            ),
            models.CheckConstraint(
                name="lead_policy_hours",
                condition=Q(quiet_from__lte=24, quiet_until__lte=24, quiet_until__lt=F("quiet_from")),
                violation_error_message=_("休息时间要从晚上到早上，比如 21 点到 9 点。"),
            ),
            models.CheckConstraint(
                name="lead_policy_caps",
                condition=Q(per_day__lte=F("per_week"), per_week__lte=F("per_month")),
                violation_error_message=_("一天的次数不能比 7 天多，7 天的不能比 30 天多。"),
            ),
            models.CheckConstraint(
                name="lead_policy_clerk",
                condition=Q(clerk_least__lte=F("clerk_most"), clerk_most__lte=100, book_ppm__lte=1_000_000),
                violation_error_message=_("导购一天至少的人数不能比最多的多。"),
            ),
        ]

    def __str__(self) -> str:
        return str(self.brand)


class Holdout(Scoped):
    """对照组 of a quarter: the secret by which it is drawn and its size, fixed before anything of it is scored."""

    brand = models.ForeignKey(
        Brand, verbose_name=_("品牌"), on_delete=models.PROTECT, related_name="holdouts", db_index=False
    )
    since = models.DateField(_("季度从"))
    salt = models.CharField(max_length=32, editable=False)
    ppm = models.PositiveIntegerField(_("比例"))

    scope_paths = Paths(brand="brand", store=None, staff=None)

    class Meta:
        verbose_name = _("对照组")
        verbose_name_plural = _("对照组")
        constraints = [models.UniqueConstraint(fields=["brand", "since"], name="holdout_once")]

    def __str__(self) -> str:
        return f"{self.brand} {self.since}"


class LeadRun(Scoped):
    """一天里一类线索的产生: how many were made, and how many were left out for which reason at the last look."""

    brand = models.ForeignKey(
        Brand, verbose_name=_("品牌"), on_delete=models.PROTECT, related_name="lead_runs", db_index=False
    )
    kind = models.CharField(_("类型"), max_length=12)
    day = models.DateField(_("日期"))
    made = models.PositiveIntegerField(_("产生"), default=0)
    withheld = models.PositiveIntegerField(_("留作对照"), default=0)
    left_out = models.JSONField(_("没有产生"), default=dict)
    looked_at = models.DateTimeField(_("最近一次"))

    scope_paths = Paths(brand="brand", store=None, staff=None)

    class Meta:
        verbose_name = _("线索产生情况")
        verbose_name_plural = _("线索产生情况")
        constraints = [models.UniqueConstraint(fields=["brand", "kind", "day"], name="lead_run_once")]


class LeadQuerySet(models.QuerySet["Lead"]):
    def open(self) -> "LeadQuerySet":
        """Neither won nor lost, nor over."""
        return self.filter(closed_at=None)

    def waiting(self, now: datetime) -> "LeadQuerySet":
        """Still to be worked by somebody."""
        return self.open().filter(state__in=Lead.WAITING, expires_at__gt=now)


class ShownManager(ScopedManager):
    """`Lead.objects`: the rows of the scope that may be shown. Of those held out no page knows, whoever asks."""

    def get_queryset(self) -> models.QuerySet:
        return super().get_queryset().filter(arm=Lead.Arm.TREATED)


class Lead(Scoped):
    """线索: why to talk to this customer now. The same `source` again is the same lead.

    Without `staff` it lies in the pool of its store. `left_staff` had it last and let it lie; `let_lie` says of all
    who did. Somebody held out has the same row, `withheld`: counted in the report, shown to nobody (`ShownManager`).
    `is_natural`: the order came before anybody had contacted them. What was bought since is read from the purchases,
    net of refunds.
    """

    class Kind(models.TextChoices):
        """In the order of their rank: what they are stands in `clerks.leads.kinds`."""

        ASKED = "asked", _("咨询或回复")
        UNPAID = "unpaid", _("下单未付款")
        CART = "cart", _("加购或收藏")
        STOCK = "stock", _("到货或降价")
        VIEWED = "viewed", _("反复浏览")
        EXPIRING = "expiring", _("券或积分快到期")
        DATE = "date", _("生日或纪念日")
        AFTER_SALE = "after_sale", _("买后关心")
        LIKELY = "likely", _("可能要买")
        DORMANT = "dormant", _("沉睡可唤醒")
        LIVE = "live", _("看了直播")

    class Arm(models.TextChoices):
        TREATED = "treated", _("推送")
        WITHHELD = "withheld", _("对照")

    class State(models.TextChoices):
        NEW = "new", _("未看")
        VIEWED = "viewed", _("已看")
        CONTACTED = "contacted", _("已联系")
        WON = "won", _("已成交")
        LOST = "lost", _("没有成交")
        EXPIRED = "expired", _("已过期")
        WITHDRAWN = "withdrawn", _("已撤回")
        WITHHELD = "withheld", _("对照")

    class Refusal(models.TextChoices):
        BOUGHT = "bought", _("刚买过了")
        SPOKEN = "spoken", _("刚联系过")
        UNWILLING = "unwilling", _("顾客暂时不需要")
        WRONG = "wrong", _("理由不对")
        OTHER = "other", _("别的原因")

    WAITING = (State.NEW, State.VIEWED)

    brand = models.ForeignKey(
        Brand, verbose_name=_("品牌"), on_delete=models.PROTECT, related_name="leads", db_index=False
    )
    member = models.ForeignKey(
        Member, verbose_name=_("会员"), on_delete=models.PROTECT, related_name="leads", db_index=False
    )
    kind = models.CharField(_("类型"), max_length=12, choices=Kind.choices)
    rank = models.PositiveSmallIntegerField(_("优先"))
    source = models.CharField(_("来源"), max_length=96)
    arm = models.CharField(_("组"), max_length=8, choices=Arm.choices)
    staff = models.ForeignKey(
        Staff, verbose_name=_("导购"), null=True, blank=True, on_delete=models.PROTECT, related_name="leads"
    )
    store = models.ForeignKey(Store, verbose_name=_("门店"), on_delete=models.PROTECT, related_name="leads")
    state = models.CharField(_("状态"), max_length=9, choices=State.choices, default=State.NEW)
    score = models.FloatField(_("评分"), null=True, blank=True)
    expected_fen = models.BigIntegerField(_("预计消费"), null=True, blank=True)
    version = models.ForeignKey(
        IntentModel, verbose_name=_("意向模型"), null=True, blank=True, on_delete=models.PROTECT, related_name="+",
        db_index=False,
    )  # fmt: skip
    reasons = models.JSONField(_("理由"), default=list)  # [{"code": …, numbers}], the sentence is made when shown
    product = models.ForeignKey(
        Product, verbose_name=_("商品"), null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(_("产生"))
    owned_at = models.DateTimeField(_("分到"), null=True, blank=True)
    expires_at = models.DateTimeField(_("有效到"))
    viewed_at = models.DateTimeField(_("看过"), null=True, blank=True)
    later_until = models.DateTimeField(_("稍后到"), null=True, blank=True)
    contacted_at = models.DateTimeField(_("联系"), null=True, blank=True)
    sent_at = models.DateTimeField(_("发出"), null=True, blank=True)
    replied_at = models.DateTimeField(_("回复"), null=True, blank=True)
    claimed_at = models.DateTimeField(_("认领"), null=True, blank=True)
    left_staff = models.ForeignKey(
        Staff, verbose_name=_("原来分给"), null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    left_at = models.DateTimeField(_("转出"), null=True, blank=True)
    let_lie = models.JSONField(default=dict, editable=False)  # number of a clerk → when it left them last
    closed_at = models.DateTimeField(_("结束"), null=True, blank=True)
    refusal = models.CharField(_("不合适的原因"), max_length=10, choices=Refusal.choices, blank=True, default="")
    withdrawn_for = models.CharField(_("撤回原因"), max_length=12, blank=True, default="")
    order = models.ForeignKey(
        Order, verbose_name=_("成交订单"), null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    is_natural = models.BooleanField(_("联系前就买了"), default=False)

    scope_paths = Paths(brand="brand", store="store", staff="staff")
    objects = ShownManager.from_queryset(LeadQuerySet)()  # type: ignore[misc]  # replaces the base's manager

    class Meta:
        verbose_name = _("线索")
        verbose_name_plural = _("线索")
        constraints = [
            models.UniqueConstraint(fields=["brand", "source"], name="lead_once"),
            models.UniqueConstraint(
                fields=["brand", "member", "kind"], name="lead_one_open", condition=Q(closed_at=None)
            ),
            models.CheckConstraint(
                name="lead_withheld_is_shown_to_nobody",
                condition=Q(arm="withheld", state="withheld", contacted_at=None)
                | (Q(arm="treated") & ~Q(state="withheld")),
            ),
            models.CheckConstraint(
                name="lead_closed_has_its_time",
                condition=Q(state="withheld")
                | Q(state__in=["new", "viewed", "contacted"], closed_at=None)
                | Q(state__in=["won", "lost", "expired", "withdrawn"], closed_at__isnull=False),
            ),
        ]
        indexes = [
            models.Index(fields=["staff", "rank", "-score"], name="lead_of_clerk", condition=Q(closed_at=None)),
            models.Index(fields=["store", "rank"], name="lead_of_pool", condition=Q(closed_at=None, staff=None)),
            models.Index(fields=["member", "-created_at"], name="lead_of_member"),
            models.Index(fields=["brand", "created_at"], name="lead_of_brand"),
            models.Index(fields=["expires_at"], name="lead_to_end", condition=Q(closed_at=None)),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} #{self.pk}"
