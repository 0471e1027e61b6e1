"""What a closed period owes to whom: statements, and the batches they are paid in."""

from datetime import datetime
from typing import Self

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, OuterRef, Q, Subquery, Sum
from django.db.models.functions import Coalesce
from django.utils.translation import gettext_lazy as _

from commissions.models.ledger import Period
from retail.models import Brand, Franchisee, Post, Staff, Store
from retail.scope import Paths, Scoped, ScopedManager
from retail.templatetags.figures import yuan

WHOLE_PPM = 1_000_000
POSITIONS = (Post.Role.CLERK, Post.Role.STORE_MANAGER)  # those with a place in a store


class PayTerms(Scoped):
    """How a brand turns what was earned in a period into what is paid. Without a row: all of it, debts carried."""

    class Excess(models.TextChoices):
        CARRY = "carry", _("留到下一期")
        HOUSE = "house", _("归公司")

    class LeaverDebt(models.TextChoices):
        HOUSE = "house", _("公司承担")
        STORE_POOL = "store_pool", _("门店同事平摊")

    class Between(models.TextChoices):
        """What the company that took the money of a sale owes the one whose clerk earned on it."""

        NOTHING = "nothing", _("不补，各发各的")
        RECHARGE = "recharge", _("收款的公司补上这笔佣金")
        SHARE = "share", _("按销售额分成")

    brand = models.OneToOneField(Brand, verbose_name=_("品牌"), on_delete=models.PROTECT, related_name="pay_terms")
    max_fen = models.BigIntegerField(
        _("每人每期最多发（分）"),
        null=True,
        blank=True,
        help_text=_("空着就是不限。一个人有几家公司发，合在一起算，按各家应发的比例分。"),
    )
    excess = models.CharField(_("超出的部分"), max_length=8, choices=Excess.choices, default=Excess.CARRY)
    min_payout_fen = models.BigIntegerField(_("不到多少先不发（分）"), default=0, help_text=_("不足的留到下一期。"))
    leaver_debt = models.CharField(
        _("离职人员的欠款"), max_length=12, choices=LeaverDebt.choices, default=LeaverDebt.HOUSE
    )

    dispute_days = models.PositiveSmallIntegerField(
        _("出单后几天内可以提疑问"), default=15, help_text=_("过了就不能再提；还没出结算单的随时可以。")
    )
    answer_days = models.PositiveSmallIntegerField(
        _("疑问要几天内答复"), default=5, help_text=_("超过的标成超时，总部看得到。")
    )
    between = models.CharField(
        _("别家公司收款的成交"),
        max_length=12,
        choices=Between.choices,
        default=Between.RECHARGE,
        help_text=_("佣金总是由导购所在的公司发；这里定收款的公司怎么补给它。"),
    )
    between_ppm = models.PositiveIntegerField(
        _("分成比例"), default=0, help_text=_("只用于“按销售额分成”：退款后的实付乘以它，给专属导购所在的公司。")
    )

    scope_paths = Paths(brand="brand")

    class Meta:
        verbose_name = _("发放约定")
        verbose_name_plural = _("发放约定")
        constraints = [
            models.CheckConstraint(
                name="pay_terms_make_sense",
                condition=Q(min_payout_fen__gte=0) & (Q(max_fen=None) | Q(max_fen__gte=F("min_payout_fen"))),
                violation_error_message=_("“最多发”不能比“不到多少先不发”还少，两个都不能是负数。"),
            ),
            models.CheckConstraint(
                name="pay_terms_share_at_most_all",
                condition=Q(between_ppm__lte=WHOLE_PPM),
                violation_error_message=_("分成比例在百分之 0 到百分之 100 之间。"),
            ),
        ]

    def __str__(self) -> str:
        return str(self.brand)

    def clean(self) -> None:
        if self.max_fen is None or not self.brand_id:
            return
        rows = Guarantee._base_manager.filter(brand=self.brand_id, min_fen__gt=self.max_fen).order_by("-min_fen")
        if above := next((row for row in rows.select_related("staff", "first_period") if not row.is_over), None):
            said = _("有一份保底是 ¥%(least)s（%(who)s），最多发不能比它少。")
            given = {"least": yuan(above.min_fen), "who": above.whose}
            raise ValidationError({"max_fen": said % given})

    @classmethod
    def of(cls, *, brand_id: int) -> Self:
        """The terms of a brand, whoever asks; those that hold where none were written down."""
        return cls._base_manager.filter(brand=brand_id).first() or cls(brand_id=brand_id)


class Guarantee(Scoped):
    """保底: what a person is paid at least, advanced where less was earned, and taken back out of better periods.

    Of one person (`staff`), or of everybody in a position who joined since (a newcomer's). Periods count from 1: from
    `first_period` of one person, from the one in which somebody joined for a position. Guaranteed up to and including
    `draw_until`; taken back from `recover_from` on, never so much that the pay falls below `min_fen`.
    """

    brand = models.ForeignKey(Brand, verbose_name=_("品牌"), on_delete=models.PROTECT, related_name="guarantees")
    staff = models.ForeignKey(
        Staff, verbose_name=_("员工"), null=True, blank=True, on_delete=models.PROTECT, related_name="guarantees"
    )
    position = models.CharField(
        _("岗位"), max_length=16, blank=True, default="", choices=[(role.value, role.label) for role in POSITIONS],
        help_text=_("给这个岗位的新人：从这一期起入职的，从入职那期算第 1 期。"),
    )  # fmt: skip
    # As the brand calls it, and as it is when a period is closed.
    grade = models.CharField(
        _("职级"), max_length=16, blank=True, default="",
        help_text=_("只给这个职级的新人；空着就是这个岗位的都有。升了级不再保，预支过的照样收回。"),
    )  # fmt: skip
    first_period = models.ForeignKey(Period, verbose_name=_("从哪一期起"), on_delete=models.PROTECT, related_name="+")
    min_fen = models.BigIntegerField(_("每期至少（分）"))
    draw_until = models.PositiveSmallIntegerField(_("保到第几期"))
    recover_from = models.PositiveSmallIntegerField(_("从第几期起收回"))

    scope_paths = Paths(brand="brand", store=None, staff=None)

    class Meta:
        verbose_name = _("保底")
        verbose_name_plural = _("保底")
        ordering = ["brand", "pk"]
        constraints = [
            models.CheckConstraint(
                name="guarantee_of_one",
                condition=Q(staff__isnull=False, position="") | (Q(staff=None) & ~Q(position="")),
                violation_error_message=_("保底是一位员工的，或者一个岗位的：选一个。"),
            ),
            models.CheckConstraint(
                name="guarantee_grade_of_position",
                condition=Q(grade="") | ~Q(position=""),
                violation_error_message=_("职级和岗位一起选；一位员工的保底不用选职级。"),
            ),
            models.CheckConstraint(
                name="guarantee_makes_sense",
                condition=Q(min_fen__gt=0, draw_until__gte=1, recover_from__gte=1),
                violation_error_message=_("金额要大于 0，期数从 1 数起。"),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.whose} ¥{yuan(self.min_fen)}"

    @property
    def whose(self) -> str:
        """ "李梅 A1", "导购", "导购 见习"."""
        return str(self.staff or f"{self.get_position_display()} {self.grade}".strip())

    def clean(self) -> None:
        if self.first_period_id and self.brand_id and self.first_period.brand_id != self.brand_id:
            raise ValidationError({"first_period": _("这一期不是这个品牌的。")})
        if self.brand_id and self.min_fen is not None:
            max_fen = PayTerms.of(brand_id=self.brand_id).max_fen
            if max_fen is not None and self.min_fen > max_fen:
                said = _("这个品牌每人每期最多发 ¥%(most)s，保底不能比它多。") % {"most": yuan(max_fen)}
                raise ValidationError({"min_fen": said})

    @property
    def is_over(self) -> bool:
        """Whether the last period it guarantees anything in is closed. One of a position goes on with newcomers."""
        if not self.staff_id:
            return False
        since = Period._base_manager.filter(brand=self.brand_id, starts_on__gte=self.first_period.starts_on)
        return since.filter(status=Period.Status.CLOSED).count() >= self.draw_until


class PayoutBatch(Scoped):
    """The statements of a period that one company pays together. Made by one person, said to be paid by another.

    Until it is paid it may be taken back (`void`); its rows stay, and what they said is paid by another batch.
    """

    class State(models.TextChoices):
        READY = "ready", _("待发放")
        PAID = "paid", _("已发放")
        VOID = "void", _("已作废")

    period = models.ForeignKey(Period, verbose_name=_("结算期"), on_delete=models.PROTECT, related_name="batches")
    payer = models.ForeignKey(
        Franchisee, verbose_name=_("付款公司"), null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    total_fen = models.BigIntegerField(_("合计"))
    people = models.PositiveIntegerField(_("人数"))
    state = models.CharField(_("状态"), max_length=8, choices=State.choices, default=State.READY)
    made_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("谁做的"), null=True, on_delete=models.PROTECT, related_name="+"
    )
    made_at = models.DateTimeField(_("什么时候做的"))
    paid_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("谁确认发放"), null=True, on_delete=models.PROTECT, related_name="+"
    )
    paid_at = models.DateTimeField(_("发放时间"), null=True)
    reference = models.CharField(_("付款凭证号"), max_length=64, blank=True, default="")
    # Taken back before it was paid: what it would have paid is free for another batch.
    voided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("谁作废"), null=True, on_delete=models.PROTECT, related_name="+"
    )
    voided_at = models.DateTimeField(_("作废时间"), null=True)

    scope_paths = Paths(brand="period__brand")

    class Meta:
        verbose_name = _("发放批次")
        verbose_name_plural = _("发放批次")
        ordering = ["-period", "pk"]
        constraints = [
            models.CheckConstraint(
                name="payout_paid_by_another",
                condition=Q(paid_by=None) | Q(made_by=None) | ~Q(paid_by=F("made_by")),
                violation_error_message=_("做批次的人不能自己确认发放。"),
            ),
            models.CheckConstraint(
                name="payout_paid_has_time",
                condition=Q(state="paid", paid_at__isnull=False) | Q(state__in=["ready", "void"], paid_at=None),
            ),
            models.CheckConstraint(
                name="payout_void_has_time",
                condition=Q(state="void", voided_at__isnull=False) | Q(state__in=["ready", "paid"], voided_at=None),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.period} {self.payer or self.period.brand}"


class StatementQuerySet(models.QuerySet["Statement"]):
    def with_batched(self) -> Self:
        """Adds `batched_fen`: what batches take along of it, paid or about to be."""
        payouts = Payout._base_manager.filter(statement=OuterRef("pk")).values("statement")
        payouts = payouts.exclude(batch__state=PayoutBatch.State.VOID)
        batched = payouts.annotate(sum=Sum("fen")).values("sum")
        return self.annotate(batched_fen=Coalesce(Subquery(batched), 0, output_field=models.BigIntegerField()))

    def unpaid(self) -> Self:
        """Those of which something is in no batch yet."""
        return self.with_batched().filter(pay_fen__gt=F("batched_fen"))


class Statement(Scoped):
    """What one company owes one person for one period. Its figures never change; a late change comes in a later one.

    `net_fen` is the sum of the person's entries booked in the period (`kinds`: kind → fen), `carry_in_fen` what
    earlier periods left over (< 0: a debt): `net_fen + carry_in_fen == pay_fen + carry_out_fen`.
    """

    period = models.ForeignKey(
        Period, verbose_name=_("结算期"), on_delete=models.PROTECT, related_name="statements", db_index=False
    )
    staff = models.ForeignKey(Staff, verbose_name=_("员工"), on_delete=models.PROTECT, related_name="statements")
    payer = models.ForeignKey(
        Franchisee, verbose_name=_("付款公司"), null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    # Where most of it was earned.
    store = models.ForeignKey(
        Store, verbose_name=_("门店"), null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    kinds = models.JSONField(_("构成"), default=dict)
    entries = models.PositiveIntegerField(_("流水笔数"), default=0)
    net_fen = models.BigIntegerField(_("本期"))
    carry_in_fen = models.BigIntegerField(_("上期结转"), default=0)
    pay_fen = models.BigIntegerField(_("应发"))
    carry_out_fen = models.BigIntegerField(_("结转下期"), default=0)
    made_at = models.DateTimeField(_("出单时间"))
    confirmed_at = models.DateTimeField(_("本人确认"), null=True)
    # Grows with each batch that is paid, up to `pay_fen`.
    paid_fen = models.BigIntegerField(_("已发"), default=0)

    scope_paths = Paths(brand="period__brand", store="store", staff="staff")
    objects = ScopedManager.from_queryset(StatementQuerySet)()  # type: ignore[misc]  # replaces the base's manager

    class Meta:
        verbose_name = _("结算单")
        verbose_name_plural = _("结算单")
        ordering = ["-period", "staff"]
        constraints = [
            models.UniqueConstraint(fields=["period", "staff", "payer"], name="statement_once", nulls_distinct=False),
            models.CheckConstraint(
                name="statement_adds_up",
                condition=Q(net_fen=F("pay_fen") + F("carry_out_fen") - F("carry_in_fen")) & Q(pay_fen__gte=0),
            ),
            models.CheckConstraint(
                name="statement_paid_within", condition=Q(paid_fen__gte=0, paid_fen__lte=F("pay_fen"))
            ),
        ]

    def __str__(self) -> str:
        return f"{self.period} {self.staff}"

    @property
    def due_fen(self) -> int:
        return self.net_fen + self.carry_in_fen

    @property
    def paid_at(self) -> datetime | None:
        """When it was last paid of; None while nothing was."""
        return max((one.batch.paid_at for one in self.payouts.all() if one.batch.paid_at), default=None)


class Payout(Scoped):
    """What one batch pays of one statement: all of it, or what no open dispute keeps back, and later the rest."""

    batch = models.ForeignKey(
        PayoutBatch, verbose_name=_("发放批次"), on_delete=models.PROTECT, related_name="payouts", db_index=False
    )
    statement = models.ForeignKey(
        Statement, verbose_name=_("结算单"), on_delete=models.PROTECT, related_name="payouts"
    )
    fen = models.BigIntegerField(_("金额"))

    scope_paths = Paths(brand="batch__period__brand", store="statement__store", staff="statement__staff")

    class Meta:
        verbose_name = _("发放明细")
        verbose_name_plural = _("发放明细")
        constraints = [
            models.UniqueConstraint(fields=["batch", "statement"], name="payout_once"),
            models.CheckConstraint(name="payout_positive", condition=Q(fen__gt=0)),
        ]

    def __str__(self) -> str:
        return f"{self.batch} {self.statement.staff}"
