"""Commission plans: one per brand, in versions that never change once approved."""

from django.conf import settings
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateTimeRangeField, RangeBoundary, RangeOperators
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Func, Q
from django.utils.translation import gettext_lazy as _

from retail.models import Brand, StoreGroup
from retail.scope import Paths, Scoped
from retail.templatetags.figures import percent


class Role(models.TextChoices):
    """Attribution roles, the vocabulary of splits. `house` keeps its part; nobody is paid it."""

    RECRUIT = "recruit", _("招募")
    BOUND = "bound", _("专属")
    FIRST_ORDER = "first_order", _("首单")
    SHARE = "share", _("分享")
    SERVE = "serve", _("开单")
    FULFIL = "fulfil", _("接单/核销")
    MANAGER = "manager", _("店长")
    REGION = "region", _("区域")
    STORE = "store", _("门店")


class Plan(Scoped):
    brand = models.OneToOneField(Brand, verbose_name=_("品牌"), on_delete=models.PROTECT, related_name="plan")
    name = models.CharField(_("名称"), max_length=64)

    scope_paths = Paths(brand="brand")

    class Meta:
        verbose_name = _("分佣方案")
        verbose_name_plural = _("分佣方案")

    def __str__(self) -> str:
        return self.name


class PlanVersion(Scoped):
    """A set of rules in force from `starts_at` up to, not including, `ends_at`. Immutable once approved."""

    class Status(models.TextChoices):
        DRAFT = "draft", _("草稿")
        TESTED = "tested", _("已试算")
        APPROVED = "approved", _("已批准")
        ACTIVE = "active", _("生效")
        RETIRED = "retired", _("已停用")

    SEALED = (Status.APPROVED, Status.ACTIVE, Status.RETIRED)

    plan = models.ForeignKey(
        Plan, verbose_name=_("方案"), on_delete=models.PROTECT, related_name="versions", db_index=False
    )
    number = models.PositiveIntegerField(_("版本号"))
    status = models.CharField(_("状态"), max_length=8, choices=Status.choices, default=Status.DRAFT)
    starts_at = models.DateTimeField(_("生效"), null=True, blank=True)
    ends_at = models.DateTimeField(_("停用"), null=True, blank=True)
    tz = models.CharField(_("时区"), max_length=32, default="Asia/Shanghai")
    # group → how its rules compete; groups not named use list_order.
    group_modes = models.JSONField(_("规则组方式"), default=dict, blank=True)
    note = models.TextField(_("说明"), blank=True, default="")
    content_hash = models.CharField(_("内容摘要"), max_length=64, blank=True, default="", editable=False)
    written_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("编写"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
    )
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("批准"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
    )
    approved_at = models.DateTimeField(_("批准时间"), null=True, blank=True)

    scope_paths = Paths(brand="plan__brand")

    class Meta:
        verbose_name = _("方案版本")
        verbose_name_plural = _("方案版本")
        ordering = ["plan", "-number"]
        constraints = [
            models.UniqueConstraint(fields=["plan", "number"], name="plan_version_once"),
            ExclusionConstraint(
                name="plan_one_version_at_a_time",
                expressions=[
                    ("plan", RangeOperators.EQUAL),
                    (
                        Func(
                            F("starts_at"),
                            F("ends_at"),
                            RangeBoundary(),
                            function="TSTZRANGE",
                            output_field=DateTimeRangeField(),
                        ),
                        RangeOperators.OVERLAPS,
                    ),
                ],
                condition=Q(status__in=["active", "retired"]),
                violation_error_message=_("同一时间只能有一个生效版本。"),
            ),
            models.CheckConstraint(
                name="plan_version_in_force_has_start",
                condition=~Q(status__in=["active", "retired"]) | Q(starts_at__isnull=False),
                violation_error_message=_("生效的版本要有生效时间。"),
            ),
            models.CheckConstraint(
                name="plan_version_approved_by_another",
                condition=Q(approved_by=None) | Q(written_by=None) | ~Q(approved_by=F("written_by")),
                violation_error_message=_("批准人不能是编写人。"),
            ),
        ]

    def __str__(self) -> str:
        return _("%(name)s · 第 %(number)s 版") % {"name": self.plan, "number": self.number}


def forfeit() -> str:
    return "forfeit"


class Rule(Scoped):
    """One rule, in the public format of the engine (docs/commission.md): `when`, `calc` and `missing` are its JSON."""

    class Base(models.TextChoices):
        PAID = "paid", _("实付")
        TAG = "tag", _("吊牌价")
        MARGIN = "margin", _("毛利")

    version = models.ForeignKey(
        PlanVersion, verbose_name=_("版本"), on_delete=models.CASCADE, related_name="rules", db_index=False
    )
    code = models.CharField(_("规则编码"), max_length=48)
    name = models.CharField(_("名称"), max_length=64)
    group = models.CharField(_("规则组"), max_length=32, default="base")
    priority = models.IntegerField(_("优先级"), default=0)
    stop = models.BooleanField(_("命中后停止"), default=False)
    valid_from = models.DateTimeField(_("开始"), null=True, blank=True)
    valid_to = models.DateTimeField(_("结束（不含）"), null=True, blank=True)
    when = models.JSONField(_("条件"), default=dict, blank=True)
    base = models.CharField(_("基数"), max_length=8, choices=Base.choices, default=Base.PAID)
    calc = models.JSONField(_("算法"))
    cap_fen = models.BigIntegerField(_("上限（分）"), null=True, blank=True)
    floor_fen = models.BigIntegerField(_("下限（分）"), null=True, blank=True)
    missing = models.JSONField(_("缺人时"), default=forfeit, blank=True)
    is_commissionable = models.BooleanField(_("计佣"), default=True)
    counts_for_attainment = models.BooleanField(_("计入业绩"), default=True)

    scope_paths = Paths(brand="version__plan__brand")

    class Meta:
        verbose_name = _("规则")
        verbose_name_plural = _("规则")
        ordering = ["version", "group", "-priority", "code"]
        constraints = [models.UniqueConstraint(fields=["version", "code"], name="rule_code_once")]

    def __str__(self) -> str:
        return self.name


class Share(Scoped):
    """One part of a rule's pool. What the parts leave of 1 000 000 ppm stays with the house."""

    rule = models.ForeignKey(
        Rule, verbose_name=_("规则"), on_delete=models.CASCADE, related_name="shares", db_index=False
    )
    role = models.CharField(_("角色"), max_length=16, choices=Role.choices)
    ppm = models.PositiveIntegerField(_("占比（百万分之）"))
    place = models.PositiveSmallIntegerField(_("次序"), default=0)

    scope_paths = Paths(brand="rule__version__plan__brand")

    class Meta:
        verbose_name = _("分成")
        verbose_name_plural = _("分成")
        ordering = ["rule", "place", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["rule", "role"], name="share_role_once"),
            models.CheckConstraint(
                name="share_at_most_all",
                condition=Q(ppm__lte=1_000_000),
                violation_error_message=_("占比不能超过 100%。"),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_role_display()} {percent(self.ppm)}"


class Attainment(Scoped):
    """Tiers over what one person, store or region sold in a period (阶梯), and who gets what comes of it.

    `role`: whose sales are added up. `pay_role`: who shares the bonus of a store, region or group; nobody named: the
    store manager, the region manager. `store_group`: sales of those stores only, as rules understand it.
    """

    class Mode(models.TextChoices):
        MARGINAL = "marginal", _("分段累进")
        WHOLE = "whole", _("达档全额")

    class Level(models.TextChoices):
        STAFF = "staff", _("个人")
        STORE = "store", _("门店")
        REGION = "region", _("区域")
        GROUP = "group", _("门店组")

    class Divide(models.TextChoices):
        SALES = "sales", _("按各人业绩")
        EQUAL = "equal", _("平均")

    class LateRefund(models.TextChoices):
        ORIGINAL = "original_period_forward", _("重算原来那期，差额记在现在这期")
        CURRENT = "current_period", _("从现在这期的业绩里扣")

    version = models.ForeignKey(
        PlanVersion, verbose_name=_("版本"), on_delete=models.CASCADE, related_name="attainments", db_index=False
    )
    code = models.CharField(_("编码"), max_length=48)
    name = models.CharField(_("名称"), max_length=64)
    level = models.CharField(_("按谁累计"), max_length=8, choices=Level.choices, default=Level.STAFF)
    role = models.CharField(_("按哪个角色计"), max_length=16, choices=Role.choices, default=Role.BOUND)
    mode = models.CharField(_("方式"), max_length=8, choices=Mode.choices, default=Mode.MARGINAL)
    store_group = models.CharField(
        _("只算哪个门店组"), max_length=32, blank=True, default="", help_text=_("门店组的编码；空着就是所有门店。")
    )
    pay_role = models.CharField(
        _("奖励给哪个角色"), max_length=16, choices=Role.choices, blank=True, default="",
        help_text=_("按个人累计的给本人。空着：门店和门店组给店长，区域给区域经理。"),
    )  # fmt: skip
    divide = models.CharField(_("几个人怎么分"), max_length=8, choices=Divide.choices, default=Divide.SALES)
    late_refund = models.CharField(
        _("结算后的退款"), max_length=24, choices=LateRefund.choices, default=LateRefund.ORIGINAL
    )

    scope_paths = Paths(brand="version__plan__brand")

    class Meta:
        verbose_name = _("阶梯")
        verbose_name_plural = _("阶梯")
        constraints = [
            models.UniqueConstraint(fields=["version", "code"], name="attainment_code_once"),
            models.CheckConstraint(
                name="attainment_group_named",
                condition=~Q(level="group") | ~Q(store_group=""),
                violation_error_message=_("按门店组累计的，要写明是哪个门店组。"),
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        if self.store_group and not StoreGroup._base_manager.filter(code=self.store_group).exists():
            raise ValidationError({"store_group": _("没有这个编码的门店组。")})

    @property
    def payee(self) -> str:
        """The role whose holders are paid."""
        if self.level == self.Level.STAFF:
            return self.role
        return self.pay_role or (Role.REGION if self.level == self.Level.REGION else Role.MANAGER)


class AttainmentStep(Scoped):
    """A tier. With `of_target_ppm` it begins at that part of the target, where there is one; else at `from_fen`."""

    attainment = models.ForeignKey(
        Attainment, verbose_name=_("阶梯"), on_delete=models.CASCADE, related_name="steps", db_index=False
    )
    from_fen = models.BigIntegerField(_("起点（分）"))
    of_target_ppm = models.PositiveIntegerField(
        _("起点占目标（百万分之）"),
        null=True,
        blank=True,
        help_text=_("有业绩目标的人从目标的这个比例起，没有目标的看起点金额。"),
    )
    ppm = models.PositiveIntegerField(_("比例（百万分之）"))
    fixed_fen = models.BigIntegerField(_("达档奖（分）"), default=0)
    is_beyond = models.BooleanField(_("超过起点才算"), default=False)

    scope_paths = Paths(brand="attainment__version__plan__brand")

    class Meta:
        verbose_name = _("档")
        verbose_name_plural = _("档")
        ordering = ["attainment", "from_fen"]
        constraints = [models.UniqueConstraint(fields=["attainment", "from_fen"], name="attainment_step_once")]


class PlanCase(Scoped):
    """One case that a version carries, in the public format: what goes in, and what has to come out of it."""

    class Kind(models.TextChoices):
        PLAN = "plan", _("订单算佣")
        TIER = "tier", _("阶梯")
        ALLOCATE = "allocate", _("分账取整")
        ACTIONS = "actions", _("动作计酬")
        PAYOUT = "payout", _("发放")
        DRAW = "draw", _("保底预支")
        RESTATE = "restate", _("跨期更正")

    version = models.ForeignKey(
        PlanVersion, verbose_name=_("版本"), on_delete=models.CASCADE, related_name="cases", db_index=False
    )
    code = models.CharField(_("编码"), max_length=64)
    title = models.CharField(_("说明"), max_length=128, blank=True, default="")
    kind = models.CharField(_("类型"), max_length=16, choices=Kind.choices, default=Kind.PLAN)
    input = models.JSONField(_("输入"))
    expect = models.JSONField(_("应得"), default=dict, blank=True)

    scope_paths = Paths(brand="version__plan__brand")

    class Meta:
        verbose_name = _("用例")
        verbose_name_plural = _("用例")
        ordering = ["version", "code"]
        constraints = [models.UniqueConstraint(fields=["version", "code"], name="plan_case_code_once")]

    def __str__(self) -> str:
        return self.title or self.code
