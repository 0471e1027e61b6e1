"""Two members that were one person, and everything that moved, so that it can move back."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from members.models import Member
from retail.scope import Paths, Scoped


class Merge(Scoped):
    """合并: `drop` became part of `keep`; undone where `undone_at` is set. `evidence`: what spoke for it, masked."""

    keep = models.ForeignKey(Member, verbose_name=_("保留"), on_delete=models.PROTECT, related_name="merges")
    drop = models.ForeignKey(Member, verbose_name=_("并入"), on_delete=models.PROTECT, related_name="merged_by")
    evidence = models.JSONField(_("依据"), default=dict)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("操作人"), null=True, on_delete=models.PROTECT, related_name="+"
    )
    at = models.DateTimeField(_("时间"))
    undone_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("撤销人"), null=True, on_delete=models.PROTECT, related_name="+"
    )
    undone_at = models.DateTimeField(_("撤销"), null=True, blank=True)

    scope_paths = Paths(brand="keep__memberships__brand", store="keep__memberships__purchases__store", staff=None)
    scope_is_to_many = True

    class Meta:
        verbose_name = _("会员合并")
        verbose_name_plural = _("会员合并")

    def __str__(self) -> str:
        return f"{self.drop} → {self.keep}"


class MergeMove(models.Model):
    """One row that went from `drop` to `keep`, and what it said before. Read through its merge; never changed."""

    merge = models.ForeignKey(Merge, on_delete=models.PROTECT, related_name="moves", db_index=False)
    table = models.CharField(_("表"), max_length=64)
    row_id = models.BigIntegerField(_("行"))
    before = models.JSONField(_("原值"))

    class Meta:
        verbose_name = _("合并移动")
        verbose_name_plural = _("合并移动")
        indexes = [models.Index(fields=["merge"], name="merge_move_of_merge")]
