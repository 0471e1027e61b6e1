"""有疑问: what a clerk does not believe, kept with its answer for good."""

from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from commissions.models.settlement import Statement
from retail.models import Brand, Order, OrderLine, Staff, Store
from retail.scope import Paths, Scoped, ScopedManager


class DisputeQuerySet(QuerySet["Dispute"]):
    def open(self) -> "DisputeQuerySet":
        return self.filter(closed_at=None)

    def overdue(self, now: datetime) -> "DisputeQuerySet":
        """Open ones that somebody should have answered by now."""
        return self.filter(closed_at=None, answer_by__lt=now)


class Dispute(Scoped):
    """One person's doubt about a line of a sale, or about a whole statement. While it is open, that money is not paid.

    The case itself never changes but for being closed, once; what was said and done about it are its `steps`.
    """

    class Outcome(models.TextChoices):
        EXPLAINED = "explained", pgettext_lazy("dispute", "已说明")
        ADJUSTED = "adjusted", pgettext_lazy("dispute", "已调整")
        WITHDRAWN = "withdrawn", pgettext_lazy("dispute", "本人撤回")

    brand = models.ForeignKey(Brand, verbose_name=_("品牌"), on_delete=models.PROTECT, related_name="+")
    staff = models.ForeignKey(
        Staff, verbose_name=_("员工"), on_delete=models.PROTECT, related_name="disputes", db_index=False
    )
    # Where they earned it: the manager of that store answers.
    store = models.ForeignKey(
        Store, verbose_name=_("门店"), null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    order = models.ForeignKey(Order, verbose_name=_("订单"), null=True, on_delete=models.PROTECT, related_name="+")
    line = models.ForeignKey(
        OrderLine, verbose_name=_("订单行"), null=True, on_delete=models.PROTECT, related_name="+"
    )
    statement = models.ForeignKey(
        Statement, verbose_name=_("结算单"), null=True, on_delete=models.PROTECT, related_name="disputes"
    )
    reason = models.CharField(_("疑问"), max_length=300)
    opened_at = models.DateTimeField(_("提出时间"))
    answer_by = models.DateTimeField(_("最晚答复"))
    closed_at = models.DateTimeField(_("答复时间"), null=True)
    outcome = models.CharField(_("结果"), max_length=12, choices=Outcome.choices, blank=True, default="")

    scope_paths = Paths(brand="brand", store="store", staff="staff")
    objects = ScopedManager.from_queryset(DisputeQuerySet)()  # type: ignore[misc]  # replaces the base's manager

    class Meta:
        verbose_name = _("异议")
        verbose_name_plural = _("异议")
        indexes = [models.Index(fields=["staff", "line"], name="dispute_of_line")]
        constraints = [
            models.CheckConstraint(
                name="dispute_about_one_thing",
                condition=Q(statement=None, order__isnull=False, line__isnull=False)
                | Q(statement__isnull=False, order=None, line=None),
            ),
            models.CheckConstraint(
                name="dispute_closed_with_outcome",
                condition=Q(closed_at=None, outcome="") | (Q(closed_at__isnull=False) & ~Q(outcome="")),
            ),
            models.UniqueConstraint(
                name="dispute_open_once",
                fields=["staff", "line", "statement"],
                condition=Q(closed_at=None),
                nulls_distinct=False,
            ),
        ]

    def __str__(self) -> str:
        return f"{self.staff} {self.order or self.statement}"

    @property
    def is_open(self) -> bool:
        return self.closed_at is None


class DisputeStep(Scoped):
    """What somebody said or did about a dispute, in their words. Append-only."""

    class Kind(models.TextChoices):
        OPENED = "opened", pgettext_lazy("dispute", "提出疑问")
        PROPOSED = "proposed", pgettext_lazy("dispute", "提出调整")
        ADJUSTED = "adjusted", pgettext_lazy("dispute", "复核同意，已调整")
        EXPLAINED = "explained", pgettext_lazy("dispute", "说明")
        WITHDRAWN = "withdrawn", pgettext_lazy("dispute", "撤回")

    dispute = models.ForeignKey(Dispute, verbose_name=_("异议"), on_delete=models.PROTECT, related_name="steps")
    kind = models.CharField(_("步骤"), max_length=12, choices=Kind.choices)
    text = models.CharField(_("内容"), max_length=300, blank=True, default="")
    fen = models.BigIntegerField(_("金额"), null=True)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("谁"), null=True, on_delete=models.PROTECT, related_name="+"
    )
    at = models.DateTimeField(_("什么时候"))

    scope_paths = Paths(brand="dispute__brand", store="dispute__store", staff="dispute__staff")

    class Meta:
        verbose_name = _("异议经过")
        verbose_name_plural = _("异议经过")
        ordering = ["pk"]

    def __str__(self) -> str:
        return self.get_kind_display()
