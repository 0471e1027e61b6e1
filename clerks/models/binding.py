"""Who is whose."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from members.models import Member
from retail.models import Brand, Order, Staff, Store
from retail.scope import Paths, Scoped, ScopedManager


class BindingQuerySet(models.QuerySet["Binding"]):
    def active(self) -> "BindingQuerySet":
        return self.filter(ended_at=None)

    def at(self, moment: object) -> "BindingQuerySet":
        """Bindings in force at that moment; the end is exclusive."""
        return self.filter(Q(started_at__lte=moment), Q(ended_at=None) | Q(ended_at__gt=moment))


class Binding(Scoped):
    """专属导购关系: this member is this clerk's customer, for one brand. At most one is active."""

    class Source(models.TextChoices):
        FIRST_SALE = "first_sale", _("门店首单")
        HISTORY = "history", _("历史消费最高")
        REGISTRATION = "registration", _("注册")
        CONTACT_CODE = "contact_code", _("扫码加好友")
        MANUAL = "manual", _("人工指定")
        HANDOVER = "handover", _("客户继承")
        TAKEOVER = "takeover", _("企业微信里接替")
        POOL = "pool", _("从公海分配")
        CLAIM = "claim", _("从公海认领")
        MATERIAL = "material", _("素材链接")

    class End(models.TextChoices):
        REBOUND = "rebound", _("改绑")
        HANDED_OVER = "handed_over", _("已继承")
        LEFT = "left", _("离职")
        MERGED = "merged", _("会员合并")
        MANUAL = "manual", _("人工")
        UNBOUND = "unbound", _("解绑")

    brand = models.ForeignKey(Brand, verbose_name=_("品牌"), on_delete=models.PROTECT, related_name="bindings")
    member = models.ForeignKey(Member, verbose_name=_("会员"), on_delete=models.PROTECT, related_name="bindings")
    staff = models.ForeignKey(
        Staff, verbose_name=_("导购"), on_delete=models.PROTECT, related_name="bindings", db_index=False
    )
    store = models.ForeignKey(Store, verbose_name=_("门店"), on_delete=models.PROTECT, related_name="bindings")
    source = models.CharField(_("来源"), max_length=16, choices=Source.choices)
    order = models.ForeignKey(
        Order, verbose_name=_("订单"), null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    # What the customer came by: the share code of a registration, the number of a material's link.
    came_by = models.CharField(_("凭据"), max_length=64, blank=True, default="", db_default="")
    # A person's hand made it: who, and why. Of what the system does by rule both are empty.
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("操作人"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
    )
    reason = models.CharField(_("原因"), max_length=200, blank=True, default="", db_default="")
    started_at = models.DateTimeField(_("开始"))
    protected_until = models.DateTimeField(_("保护期到"))
    ended_at = models.DateTimeField(_("结束"), null=True, blank=True)
    end_reason = models.CharField(_("结束原因"), max_length=16, choices=End.choices, blank=True, default="")
    # By whose hand it ended, and why, as `by` and `reason` say it of the beginning.
    ended_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("谁结束的"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
    )
    ended_why = models.CharField(_("为什么结束"), max_length=200, blank=True, default="", db_default="")
    # Claims made it (clerks.rebinding) and may unmake it; what was imported or came from a person's hand they may not.
    is_judged = models.BooleanField(default=False, db_default=False, editable=False)
    # The customer deleted the clerk: the relation stays, its protection is no longer prolonged.
    lost_at = models.DateTimeField(_("顾客删除好友"), null=True, blank=True)

    scope_paths = Paths(brand="brand", store="store", staff="staff")
    objects = ScopedManager.from_queryset(BindingQuerySet)()  # type: ignore[misc]  # replaces the base's manager

    class Meta:
        verbose_name = _("专属导购关系")
        verbose_name_plural = _("专属导购关系")
        constraints = [
            models.UniqueConstraint(
                fields=["brand", "member"],
                name="binding_one_active",
                condition=Q(ended_at=None),
                violation_error_message=_("这位会员已有专属导购。"),
            ),
            models.CheckConstraint(
                name="binding_end_has_reason",
                condition=Q(ended_at=None, end_reason="") | (Q(ended_at__isnull=False) & ~Q(end_reason="")),
            ),
        ]
        indexes = [models.Index(fields=["staff", "-started_at"], name="binding_of_staff")]

    def __str__(self) -> str:
        return f"{self.member} → {self.staff}"


class TurnedAway(Scoped):
    """满额未接: somebody would have become this clerk's customer, who has as many as the brand allows.

    It stays so however often the same is told again; another code scanned another day is another matter.
    """

    brand = models.ForeignKey(
        Brand, verbose_name=_("品牌"), on_delete=models.PROTECT, related_name="+", db_index=False
    )
    member = models.ForeignKey(Member, verbose_name=_("会员"), on_delete=models.PROTECT, related_name="turned_away")
    staff = models.ForeignKey(Staff, verbose_name=_("导购"), on_delete=models.PROTECT, related_name="turned_away")
    store = models.ForeignKey(Store, verbose_name=_("门店"), on_delete=models.PROTECT, related_name="turned_away")
    source = models.CharField(_("来源"), max_length=16, choices=Binding.Source.choices)
    at = models.DateTimeField(_("时间"))
    told_at = models.DateTimeField(_("告知导购"), null=True, blank=True)

    scope_paths = Paths(brand="brand", store="store", staff="staff")

    class Meta:
        verbose_name = _("满额未接")
        verbose_name_plural = _("满额未接")
        constraints = [models.UniqueConstraint(fields=["brand", "member", "staff", "at"], name="turned_away_once")]
        indexes = [models.Index(fields=["staff"], name="turned_away_untold", condition=Q(told_at=None))]

    def __str__(self) -> str:
        return f"{self.member} → {self.staff}"
