"""The journal of commissions: kept inputs (ClaimRow, BuyerSnapshot) and signed entries. All append-only.

Foreign keys of these three tables have no database constraint: four of them cost five times the insert itself
(docs/adr/0005); `manage.py doctor` and the tests watch over them instead.
"""

from datetime import date, datetime, time, timedelta
from typing import Any, Self
from zoneinfo import ZoneInfo

from django.apps import apps
from django.conf import settings
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import ArrayField, DateRangeField, RangeOperators
from django.contrib.postgres.indexes import BrinIndex
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Case, Exists, F, Func, OuterRef, Q, QuerySet, Value, When
from django.db.models.lookups import IsNull
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from commissions.models.plans import Attainment, PlanVersion, Role, Rule
from retail.models import Brand, Franchisee, Order, OrderLine, Staff, Store
from retail.scope import Paths, Scoped, ScopedManager
from retail.templatetags.figures import yuan

SHANGHAI = ZoneInfo("Asia/Shanghai")


def loose(to: type[models.Model] | str, verbose_name: Any, **options: Any) -> Any:
    """A foreign key without a database constraint and without an index of its own (docs/adr/0005)."""
    return models.ForeignKey(
        to,
        verbose_name=verbose_name,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        **{"related_name": "+", **options},
    )


def _days() -> Func:
    return Func(F("starts_on"), F("ends_on"), function="DATERANGE", output_field=DateRangeField())


class PayCycle(Scoped):
    """On which days of the month the periods of a brand begin, from a day on. Without a row: on the first.

    A change is a new row for days of which no period is made yet; periods that are there stay as they are.
    """

    brand = models.ForeignKey(
        Brand, verbose_name=_("品牌"), on_delete=models.PROTECT, related_name="pay_cycles", db_index=False
    )
    since = models.DateField(_("从哪天起"), help_text=_("已经有的结算期不变，只能从它们之后开始。"))
    days = ArrayField(
        models.PositiveSmallIntegerField(validators=[MinValueValidator(1), MaxValueValidator(28)]),
        verbose_name=_("每月几日开始新一期"),
        size=4,
        help_text=_("写 1 是自然月；26 是 26 日到次月 25 日；1,16 是半月一期。最多四个，1 到 28。"),
    )

    scope_paths = Paths(brand="brand")

    class Meta:
        verbose_name = _("结算周期")
        verbose_name_plural = _("结算周期")
        ordering = ["brand", "since"]
        constraints = [
            models.UniqueConstraint(fields=["brand", "since"], name="pay_cycle_once"),
            models.CheckConstraint(
                name="pay_cycle_days",
                condition=Q(days__len__gte=1) & Q(days__contained_by=list(range(1, 29))),
                violation_error_message=_("写 1 到 28 之间的日子，用逗号隔开。"),
            ),
        ]

    def __str__(self) -> str:
        return gettext("每月 %(days)s 日起") % {"days": gettext("、").join(map(str, self.days))}


class Period(Scoped):
    """A span of days of one brand, closed and paid. Entries book into that of `earned_on`, or the next open one."""

    class Status(models.TextChoices):
        OPEN = "open", _("进行中")
        CLOSING = "closing", _("结算中")
        CLOSED = "closed", _("已结")

    brand = models.ForeignKey(
        Brand, verbose_name=_("品牌"), on_delete=models.PROTECT, related_name="periods", db_index=False
    )
    starts_on = models.DateField(_("从"))
    ends_on = models.DateField(_("到（不含）"))
    status = models.CharField(_("状态"), max_length=8, choices=Status.choices, default=Status.OPEN)
    closed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("谁结的"), null=True, on_delete=models.PROTECT, related_name="+"
    )
    closed_at = models.DateTimeField(_("结算时间"), null=True)
    # SHA-256 over its statements, see closing.digest.
    digest = models.CharField(_("结算摘要"), max_length=64, blank=True, default="")

    scope_paths = Paths(brand="brand")

    class Meta:
        verbose_name = _("结算期")
        verbose_name_plural = _("结算期")
        ordering = ["brand", "starts_on"]
        constraints = [
            models.UniqueConstraint(fields=["brand", "starts_on"], name="period_once"),
            models.CheckConstraint(name="period_has_days", condition=Q(starts_on__lt=F("ends_on"))),
            ExclusionConstraint(
                name="period_no_overlap",
                expressions=[("brand", RangeOperators.EQUAL), (_days(), RangeOperators.OVERLAPS)],
                violation_error_message=_("结算期不能重叠。"),
            ),
        ]

    def __str__(self) -> str:
        if self.is_month:
            return f"{self.starts_on:%Y-%m}"
        return f"{self.starts_on:%Y-%m-%d}~{self.last_day:%m-%d}"

    @property
    def is_month(self) -> bool:
        """Whether it is a month of the calendar."""
        return self.starts_on.day == self.ends_on.day == 1 and (self.ends_on - self.starts_on).days <= 31

    @property
    def last_day(self) -> date:
        return self.ends_on - timedelta(days=1)


class ClaimRow(Scoped):
    """Who was behind an order in which role, as resolved once. A correction is a new revision with a reason."""

    order = loose(Order, _("订单"))
    line = loose(OrderLine, _("订单行"), null=True)
    revision = models.PositiveSmallIntegerField(_("修订"), default=1)
    role = models.CharField(_("角色"), max_length=16, choices=Role.choices)
    staff = loose(Staff, _("员工"), null=True)
    store = loose(Store, _("门店"), null=True)
    # The company of that store at that moment; null = the brand's own.
    payer = loose(Franchisee, _("付款公司"), null=True)
    position = models.CharField(_("岗位"), max_length=16, blank=True, default="")
    evidence = models.JSONField(_("依据"), default=dict)
    resolver = models.PositiveSmallIntegerField(_("判定版本"))
    resolved_at = models.DateTimeField(_("判定时间"))
    reason = models.CharField(_("更正原因"), max_length=200, blank=True, default="")

    scope_paths = Paths(brand="order__brand", store="store", staff="staff")

    class Meta:
        verbose_name = _("业绩归因")
        verbose_name_plural = _("业绩归因")
        indexes = [models.Index(fields=["order", "revision"], name="claim_of_order")]

    def __str__(self) -> str:
        return f"{self.get_role_display()} {self.order}"


class BuyerSnapshot(Scoped):
    """What was true of the buyer, and of the order's store, when it was settled; rules are judged on this for ever."""

    order = loose(Order, _("订单"))
    revision = models.PositiveSmallIntegerField(_("修订"), default=1)
    is_new = models.BooleanField(_("新客"))
    tier = models.CharField(_("等级"), max_length=32, blank=True, default="")
    dormant_days = models.PositiveIntegerField(_("沉睡天数"), null=True)
    staff = loose(Staff, _("本人是员工"), null=True)
    ownership = models.CharField(_("直营/加盟"), max_length=12, blank=True, default="")
    store_groups = ArrayField(models.CharField(max_length=32), verbose_name=_("门店组"), default=list)

    scope_paths = Paths(brand="order__brand", store="order__store", staff=None)

    class Meta:
        verbose_name = _("购买人快照")
        verbose_name_plural = _("购买人快照")
        constraints = [models.UniqueConstraint(fields=["order", "revision"], name="buyer_snapshot_once")]

    def __str__(self) -> str:
        return str(self.order)


class EntryQuerySet(models.QuerySet["Entry"]):
    def of_staff(self) -> Self:
        """Legs of people; without the house's."""
        return self.filter(staff__isnull=False)

    def of_house(self) -> Self:
        return self.filter(staff=None)

    def pending(self, today: date) -> Self:
        """Still inside the return window."""
        return self.filter(earned_on__gt=today)

    def earned(self, today: date) -> Self:
        return self.filter(earned_on__lte=today)

    def paid_on(self, day: date) -> Self:
        """Of sales paid on that day in Shanghai."""
        return self.filter(paid_at__gte=midnight(day), paid_at__lt=midnight(date.fromordinal(day.toordinal() + 1)))

    def with_state(self, today: date) -> Self:
        """Adds `state`: the one place that knows it. Never stored: it changes by itself as days go by.

        What is disputed is paid last, and once answered only with the rest of its statement.
        """
        statement = _statement_of_entry()
        disputes = _disputes_of_entry()
        return self.annotate(
            state=Case(
                When(Exists(statement.filter(paid_fen__gt=0, paid_fen=F("pay_fen"))), then=Value("paid")),
                When(Exists(disputes.filter(closed_at=None)), then=Value("frozen")),
                When(earned_on__gt=today, then=Value("pending")),
                When(Exists(statement.filter(paid_fen__gt=0)) & ~Exists(disputes), then=Value("paid")),
                When(period_booked__status=Period.Status.CLOSED, then=Value("settled")),
                default=Value("earned"),
                output_field=models.CharField(),
            )
        )


def _statement_of_entry() -> QuerySet:
    statements = apps.get_model("commissions.Statement")._base_manager
    return statements.filter(_same_payer("payer"), period=OuterRef("period_booked"), staff=OuterRef("staff"))


def _disputes_of_entry() -> QuerySet:
    """About its line, or about the statement it is in."""
    disputes = apps.get_model("commissions.Dispute")._base_manager.filter(staff=OuterRef("staff"))
    whole = Q(_same_payer("statement__payer"), statement__period=OuterRef("period_booked"))
    return disputes.filter(Q(line=OuterRef("line")) | whole)


def _same_payer(path: str) -> Q:
    return Q(**{path: OuterRef("payer")}) | Q(IsNull(OuterRef("payer"), True), **{path: None})


def midnight(day: date) -> datetime:
    """The first moment of a day in Shanghai."""
    return datetime.combine(day, time.min, SHANGHAI)


class Entry(Scoped):
    """One signed leg. A transaction (`txn`) is one source event for one payer: staff legs and one house leg, sum 0.

    `fen` > 0 is owed to the person; the house leg (staff null) carries the opposite of all of them.
    `reverses`: the first entry of what it takes back or corrects.
    `base_fen` is what the line paid, on which refunds are measured; `pool_fen` what the rule gave to be shared.
    """

    class Kind(models.TextChoices):
        EARN = "earn", _("佣金")
        REVERSE = "reverse", _("退款冲回")
        DELTA = "delta", _("更正")
        BONUS = "bonus", _("阶梯奖励")
        CPA = "cpa", _("行为奖励")
        CPR = "cpr", _("响应奖励")
        DRAW = "draw", _("保底")
        RECOVER = "recover", _("保底收回")
        CAP_HOLD = "cap_hold", _("封顶暂留")
        CAP_RELEASE = "cap_release", _("封顶释放")
        ADJUST = "adjust", _("调整")
        PAYOUT = "payout", _("发放")

    key = models.UUIDField()
    txn = models.BigIntegerField()
    kind = models.CharField(_("类型"), max_length=12, choices=Kind.choices)
    brand = loose(Brand, _("品牌"))
    payer = loose(Franchisee, _("付款公司"), null=True)  # null = the brand's own company
    order = loose(Order, _("订单"), null=True)
    line = loose(OrderLine, _("订单行"), null=True)
    role = models.CharField(_("角色"), max_length=16, choices=Role.choices, blank=True, default="")
    rule = loose(Rule, _("规则"), null=True)
    version = loose(PlanVersion, _("方案版本"), null=True)
    attainment = loose(Attainment, _("阶梯"), null=True)  # of a bonus; `base_fen` is then what was sold, in all
    claim = loose(ClaimRow, _("归因"), null=True)
    staff = loose(Staff, _("员工"), null=True)
    store = loose(Store, _("门店"), null=True)
    fen = models.BigIntegerField(_("金额"))
    base_fen = models.BigIntegerField(_("实付"), default=0)
    pool_fen = models.BigIntegerField(_("佣金池"), default=0)
    paid_at = models.DateTimeField(_("付款时间"))
    posted_at = models.DateTimeField(_("记账"))
    earned_on = models.DateField(_("确认日"))
    period_booked = loose(Period, _("入账期"), null=True)
    period_origin = loose(Period, _("所属期"), null=True)
    reverses = loose("self", _("冲回"), null=True)
    run = models.BigIntegerField(null=True)

    STATES = ("pending", "earned", "frozen", "settled", "paid")  # derived: EntryQuerySet.with_state

    scope_paths = Paths(brand="brand", store="store", staff="staff")
    objects = ScopedManager.from_queryset(EntryQuerySet)()  # type: ignore[misc]  # replaces the base's manager

    class Meta:
        verbose_name = _("佣金流水")
        verbose_name_plural = _("佣金流水")
        constraints = [
            models.UniqueConstraint(fields=["key"], name="entry_once"),
            models.CheckConstraint(name="entry_not_zero", condition=~Q(fen=0)),
        ]
        indexes = [
            models.Index(fields=["order"], name="entry_of_order"),
            models.Index(fields=["staff", "-paid_at"], name="entry_of_staff", condition=Q(staff__isnull=False)),
            # For closing. Entries of a period are posted about the same time; a B-tree would cost every insert.
            BrinIndex(fields=["period_booked"], name="entry_of_period", autosummarize=True, pages_per_range=64),
            # What comes of no order is little; what of it belongs to a period is asked for whenever that is counted.
            models.Index(fields=["period_origin", "kind"], name="entry_of_no_order", condition=Q(order=None)),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} ¥{yuan(self.fen)}"
