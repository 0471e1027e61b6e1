"""Members whose history speaks for two clerks alike: for a manager to decide."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from members.models import Member
from retail.models import Brand, Staff, Store
from retail.scope import Paths, Scoped


class Tie(Scoped):
    """消费并列: several clerks sold this member the same amount. Open until somebody says whose customer they are."""

    brand = models.ForeignKey(Brand, verbose_name=_("品牌"), on_delete=models.PROTECT, related_name="ties")
    member = models.ForeignKey(Member, verbose_name=_("会员"), on_delete=models.PROTECT, related_name="ties")
    made_at = models.DateTimeField(_("列出时间"))
    decided_at = models.DateTimeField(_("决定时间"), null=True, blank=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("谁决定的"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
    )
    staff = models.ForeignKey(
        Staff, verbose_name=_("归了谁"), null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )

    scope_paths = Paths(brand="brand", store="rivals__store", staff=None)
    scope_is_to_many = True

    class Meta:
        verbose_name = _("消费并列")
        verbose_name_plural = _("消费并列")
        constraints = [
            models.UniqueConstraint(fields=["brand", "member"], name="tie_one_open", condition=Q(decided_at=None))
        ]

    def __str__(self) -> str:
        return str(self.member)


class Rival(models.Model):
    """One of the clerks of a tie, in the store they work in, and what the member bought of them."""

    tie = models.ForeignKey(Tie, on_delete=models.CASCADE, related_name="rivals", db_index=False)
    staff = models.ForeignKey(Staff, verbose_name=_("导购"), on_delete=models.PROTECT, related_name="+")
    store = models.ForeignKey(Store, verbose_name=_("门店"), on_delete=models.PROTECT, related_name="+")
    fen = models.BigIntegerField(_("消费（分）"))

    class Meta:
        verbose_name = _("并列的导购")
        verbose_name_plural = _("并列的导购")
        constraints = [models.UniqueConstraint(fields=["tie", "staff"], name="rival_once")]

    def __str__(self) -> str:
        return str(self.staff)
