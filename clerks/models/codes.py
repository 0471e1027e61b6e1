"""渠道活码: codes that customers scan, and who stands behind them when."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from retail.models import Brand, Staff, Store
from retail.scope import Paths, Scoped


class ContactWay(Scoped):
    """One code. Its picture stays the same for ever; who is added by it changes with the shifts.

    `state_code` comes back with everybody who scans it. `wanted` are the userids WeCom was last to be told of,
    `applied` those it knows of. Where the two differ it is tried again, `tries` times so far, at `next_try_at`.
    """

    class Kind(models.TextChoices):
        CLERK = "clerk", _("导购")
        STORE = "store", _("门店")
        CAMPAIGN = "campaign", _("活动")

    name = models.CharField(_("名称"), max_length=30)
    kind = models.CharField(_("类型"), max_length=8, choices=Kind.choices)
    brand = models.ForeignKey(Brand, verbose_name=_("品牌"), on_delete=models.PROTECT, related_name="contact_ways")
    store = models.ForeignKey(
        Store, verbose_name=_("门店"), null=True, blank=True, on_delete=models.PROTECT, related_name="contact_ways"
    )
    spare = models.ForeignKey(
        Staff, verbose_name=_("备用导购"), null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    daily_cap = models.PositiveSmallIntegerField(_("每人每天上限"), null=True, blank=True)
    skip_verify = models.BooleanField(_("免验证"), default=True)
    is_active = models.BooleanField(_("启用"), default=True)
    state_code = models.CharField(_("来源代号"), max_length=30, unique=True, editable=False)
    config_id = models.CharField(max_length=64, blank=True, default="", editable=False)
    qr_code = models.URLField(_("二维码"), max_length=500, blank=True, default="", editable=False)
    qr_image = models.BinaryField(null=True, editable=False)  # what lies at `qr_code`
    wanted = models.JSONField(default=list, blank=True, editable=False)
    applied = models.JSONField(default=list, blank=True, editable=False)
    applied_at = models.DateTimeField(_("上次更新"), null=True, blank=True, editable=False)
    began_at = models.DateTimeField(null=True, blank=True, editable=False)  # asked WeCom to make it, not yet answered
    trouble = models.CharField(_("问题"), max_length=200, blank=True, default="", editable=False)
    tries = models.PositiveSmallIntegerField(default=0, db_default=0, editable=False)
    next_try_at = models.DateTimeField(_("下次再试"), null=True, blank=True, editable=False)

    scope_paths = Paths(brand="brand", store="store", staff="shifts__staff")
    scope_is_to_many = True

    class Meta:
        verbose_name = _("渠道活码")
        verbose_name_plural = _("渠道活码")
        constraints = [
            models.CheckConstraint(
                name="contact_way_has_its_store",
                condition=Q(kind="campaign") | Q(store__isnull=False),
                violation_error_message=_("导购码和门店码要选门店。"),
            )
        ]

    def __str__(self) -> str:
        return self.name


class Shift(Scoped):
    """When somebody stands behind a code: on which weekdays, between which times of Shanghai (none: all day)."""

    way = models.ForeignKey(ContactWay, verbose_name=_("渠道活码"), on_delete=models.CASCADE, related_name="shifts")
    staff = models.ForeignKey(Staff, verbose_name=_("导购"), on_delete=models.PROTECT, related_name="shifts")
    weekdays = models.CharField(_("星期"), max_length=7, default="1234567")
    starts = models.TimeField(_("上班"), null=True, blank=True)
    ends = models.TimeField(_("下班"), null=True, blank=True)

    scope_paths = Paths(brand="way__brand", store="way__store", staff="staff")

    class Meta:
        verbose_name = _("班次")
        verbose_name_plural = _("班次")
        constraints = [
            models.CheckConstraint(
                name="shift_has_both_times",
                condition=Q(starts=None, ends=None) | Q(starts__isnull=False, ends__isnull=False),
                violation_error_message=_("上下班时间要么都填，要么都空。"),
            ),
            models.CheckConstraint(
                name="shift_on_weekdays",
                condition=Q(weekdays__regex=r"^[1-7]{1,7}$"),
                violation_error_message=_("星期用 1 到 7 的数字写。"),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.staff} {self.weekdays}"
