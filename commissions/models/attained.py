"""What was attained in a period: targets, the lines that do not count, and the sums the bonuses follow from."""

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from commissions.models.ledger import Period, loose
from commissions.models.plans import Attainment
from retail.models import Order, OrderLine, Staff, Store
from retail.scope import Paths, Scoped


class Target(Scoped):
    """What a person or a store is to sell in a period; steps may be parts of it."""

    period = models.ForeignKey(
        Period, verbose_name=_("结算期"), on_delete=models.PROTECT, related_name="targets", db_index=False
    )
    staff = models.ForeignKey(
        Staff, verbose_name=_("员工"), null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    store = models.ForeignKey(
        Store, verbose_name=_("门店"), null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    goal_fen = models.BigIntegerField(_("目标（分）"))

    scope_paths = Paths(brand="period__brand", store="store", staff="staff")

    class Meta:
        verbose_name = _("业绩目标")
        verbose_name_plural = _("业绩目标")
        ordering = ["-period", "pk"]
        constraints = [
            models.CheckConstraint(
                name="target_of_one",
                condition=Q(staff__isnull=False, store=None) | Q(staff=None, store__isnull=False),
                violation_error_message=_("目标是一位员工的，或者一家门店的：选一个。"),
            ),
            models.CheckConstraint(
                name="target_is_something", condition=Q(goal_fen__gt=0), violation_error_message=_("目标要大于 0。")
            ),
            models.UniqueConstraint(
                fields=["period", "staff"], name="target_of_staff_once",
                violation_error_message=_("这位员工这一期已经有目标了。"),
            ),
            models.UniqueConstraint(
                fields=["period", "store"], name="target_of_store_once",
                violation_error_message=_("这家门店这一期已经有目标了。"),
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.period} {self.staff or self.store}"

    def clean(self) -> None:
        if self.period_id and self.store and self.store.brand_id != self.period.brand_id:
            raise ValidationError({"store": _("这家门店不是这个品牌的。")})


class CountMark(Scoped):
    """Whether a line counts for attainment, where it is not as usual: it counts, and nothing is written.

    Decided with the rules when the order is settled. A later judgement that says otherwise is a later row.
    """

    order = loose(Order, _("订单"))
    line = loose(OrderLine, _("订单行"))
    counts = models.BooleanField(_("计入业绩"))
    posted_at = models.DateTimeField(_("记账"))

    scope_paths = Paths(brand="order__brand", store="order__store", staff=None)

    class Meta:
        verbose_name = _("业绩标记")
        verbose_name_plural = _("业绩标记")
        indexes = [models.Index(fields=["order"], name="count_mark_of_order")]

    def __str__(self) -> str:
        return f"{self.line} {self.counts}"


class Attained(Scoped):
    """What a person, store, region or group sold by an attainment in a period, and the bonus of it, as last counted.

    Derived: it may be counted again at any time. What was paid is in the journal. `subject`: the id of whom, by the
    `level`. Of a closed period the target and, of a region, the stores it had then are taken from here for ever.
    """

    period = models.ForeignKey(
        Period, verbose_name=_("结算期"), on_delete=models.PROTECT, related_name="attained", db_index=False
    )
    attainment = models.ForeignKey(Attainment, verbose_name=_("阶梯"), on_delete=models.PROTECT, related_name="+")
    code = models.CharField(_("编码"), max_length=48)
    level = models.CharField(_("按谁累计"), max_length=8, choices=Attainment.Level.choices)
    subject = models.BigIntegerField(_("谁"))
    name = models.CharField(_("名称"), max_length=64)
    staff = models.ForeignKey(
        Staff, verbose_name=_("员工"), null=True, on_delete=models.PROTECT, related_name="attained"
    )
    # Of a person: where most was sold.
    store = models.ForeignKey(Store, verbose_name=_("门店"), null=True, on_delete=models.PROTECT, related_name="+")
    stores = ArrayField(models.BigIntegerField(), verbose_name=_("门店"), default=list)
    sales_fen = models.BigIntegerField(_("业绩"))
    target_fen = models.BigIntegerField(_("目标"), null=True)
    bonus_fen = models.BigIntegerField(_("奖励"))
    counted_at = models.DateTimeField(_("算到"))

    scope_paths = Paths(brand="period__brand", store="store", staff="staff")

    class Meta:
        verbose_name = _("业绩达成")
        verbose_name_plural = _("业绩达成")
        ordering = ["-period", "code", "-sales_fen"]
        constraints = [models.UniqueConstraint(fields=["period", "code", "level", "subject"], name="attained_once")]

    def __str__(self) -> str:
        return f"{self.period} {self.name}"
