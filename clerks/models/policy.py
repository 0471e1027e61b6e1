"""What a brand lays down about whose customer somebody is, and what it laid down before."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from retail.models import Brand
from retail.scope import ANY, Paths, Scoped


class Policy(Brand):
    """专属规则: the brand, seen as what it lays down (`clerks.policies`)."""

    class Meta:
        proxy = True
        verbose_name = _("专属规则")
        verbose_name_plural = _("专属规则")
        ordering = ["code"]


class PastPolicy(Scoped):
    """What held until that moment, when it was changed: what happened before is judged by it for ever."""

    brand = models.ForeignKey(
        Brand, verbose_name=_("品牌"), on_delete=models.PROTECT, related_name="past_policies", db_index=False
    )
    until = models.DateTimeField(_("到何时"))
    protection_days = models.PositiveSmallIntegerField(_("专属保护天数"))
    rebind = models.CharField(_("改绑规则"), max_length=8, choices=Brand.Rebind.choices)
    rebind_idle_days = models.PositiveSmallIntegerField(_("闲置天数"))
    counts_purchases = models.BooleanField(_("购买算往来"))
    counts_replies = models.BooleanField(_("回复算往来"))
    counts_materials = models.BooleanField(_("打开素材算往来"))
    exclusive = models.CharField(_("保护范围"), max_length=8, choices=Brand.Exclusive.choices)
    customers_cap = models.PositiveIntegerField(_("每位导购最多顾客数"), null=True)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("操作人"), null=True, on_delete=models.PROTECT, related_name="+"
    )

    scope_paths = Paths(brand="brand", store=ANY, staff=ANY)

    class Meta:
        verbose_name = _("以前的专属规则")
        verbose_name_plural = _("以前的专属规则")
        constraints = [models.UniqueConstraint(fields=["brand", "until"], name="past_policy_once")]

    def __str__(self) -> str:
        return f"{self.brand} {self.until:%Y-%m-%d}"
