"""What companies owe each other for a period: a clerk of one earned on a sale another took the money of."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from commissions.models.ledger import Period
from commissions.models.settlement import PayTerms
from retail.models import Franchisee, Order
from retail.scope import Paths, Scoped


class CompanyAccount(Scoped):
    """One company in one closed period: what it pays its people, and what is between it and the other companies."""

    period = models.ForeignKey(
        Period, verbose_name=_("结算期"), on_delete=models.PROTECT, related_name="accounts", db_index=False
    )
    # null = the brand's own company.
    company = models.ForeignKey(
        Franchisee, verbose_name=_("公司"), null=True, blank=True, on_delete=models.PROTECT, related_name="accounts"
    )
    people = models.PositiveIntegerField(_("人数"), default=0)
    net_fen = models.BigIntegerField(_("本期佣金"), default=0)
    pay_fen = models.BigIntegerField(_("应发合计"), default=0)
    # Its legs added up: > 0 the others owe it, < 0 it owes them. All companies of a period together: 0.
    between_fen = models.BigIntegerField(_("公司往来"), default=0)
    # What was agreed then: orders first booked in this period keep it.
    terms = models.CharField(
        _("别家公司收款的成交"), max_length=12, choices=PayTerms.Between.choices, default=PayTerms.Between.NOTHING
    )
    ppm = models.PositiveIntegerField(_("分成比例"), default=0)
    made_at = models.DateTimeField(_("出单时间"))

    scope_paths = Paths(brand="period__brand", store="company__stores", staff=None)
    scope_is_to_many = True

    class Meta:
        verbose_name = _("公司结算")
        verbose_name_plural = _("公司结算")
        ordering = ["-period", "company"]
        constraints = [
            models.UniqueConstraint(fields=["period", "company"], name="company_account_once", nulls_distinct=False)
        ]

    def __str__(self) -> str:
        return f"{self.period} {self.company or self.period.brand}"


class CompanyLeg(Scoped):
    """One side of what two companies owe each other for an order. Append-only; the two sides add up to 0."""

    class Kind(models.TextChoices):
        RECHARGE = "recharge", _("佣金由收款方承担")
        SHARE = "share", _("按销售额分成")

    account = models.ForeignKey(
        CompanyAccount, verbose_name=_("公司结算"), on_delete=models.PROTECT, related_name="legs", db_index=False
    )
    other = models.ForeignKey(
        Franchisee, verbose_name=_("对方公司"), null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    order = models.ForeignKey(Order, verbose_name=_("订单"), on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(_("类型"), max_length=12, choices=Kind.choices)
    fen = models.BigIntegerField(_("金额"))  # > 0: the other company owes it to this one
    made_at = models.DateTimeField(_("记账"))

    scope_paths = Paths(brand="account__period__brand", store="account__company__stores", staff=None)
    scope_is_to_many = True

    class Meta:
        verbose_name = _("公司往来")
        verbose_name_plural = _("公司往来")
        constraints = [
            models.UniqueConstraint(
                fields=["account", "order", "other", "kind"], name="company_leg_once", nulls_distinct=False
            ),
            models.CheckConstraint(name="company_leg_not_zero", condition=~Q(fen=0)),
        ]

    def __str__(self) -> str:
        return f"{self.account} {self.order}"
