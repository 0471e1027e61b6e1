"""券: what a coupon is worth (type), each one that somebody holds, and what became of it."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

from members.models.people import Membership
from retail.models import Brand, Order, Staff, Store
from retail.scope import ANY, Paths, Scoped


class CouponType(Scoped):
    """券种: what it gives and where it may be used. Money in fen, percent in ppm."""

    class Kind(models.TextChoices):
        AMOUNT = "amount", _("满减券")
        PERCENT = "percent", _("折扣券")
        GIFT = "gift", _("礼品券")

    brand = models.ForeignKey(Brand, verbose_name=_("品牌"), on_delete=models.PROTECT, related_name="coupon_types")
    code = models.CharField(_("编码"), max_length=32)
    name = models.CharField(_("名称"), max_length=64)
    kind = models.CharField(_("类型"), max_length=8, choices=Kind.choices)
    off_fen = models.PositiveBigIntegerField(_("减（元）"), default=0)
    off_ppm = models.PositiveIntegerField(_("折扣"), default=0)
    gift = models.CharField(_("礼品"), max_length=64, blank=True, default="")
    floor_fen = models.PositiveBigIntegerField(_("满（元）"), default=0)
    channel_codes = ArrayField(models.CharField(max_length=64), verbose_name=_("可用渠道"), default=list, blank=True)
    category_codes = ArrayField(models.CharField(max_length=64), verbose_name=_("可用品类"), default=list, blank=True)
    starts_at = models.DateTimeField(_("发放从"))
    ends_at = models.DateTimeField(_("发放到"), null=True, blank=True)
    lives_days = models.PositiveSmallIntegerField(_("领取后几天内有效"), default=30)
    limit = models.PositiveIntegerField(_("总张数"), null=True, blank=True)
    per_member = models.PositiveSmallIntegerField(_("每人最多"), default=1)

    scope_paths = Paths(brand="brand", store=ANY, staff=ANY)

    class Meta:
        verbose_name = _("券种")
        verbose_name_plural = _("券种")
        constraints = [models.UniqueConstraint(fields=["brand", "code"], name="coupon_type_once")]

    def __str__(self) -> str:
        return self.name


class CouponQuota(Scoped):
    """发券额度: how many of a type a clerk may give away."""

    type = models.ForeignKey(CouponType, verbose_name=_("券种"), on_delete=models.PROTECT, related_name="quotas")
    staff = models.ForeignKey(Staff, verbose_name=_("导购"), on_delete=models.PROTECT, related_name="coupon_quotas")
    store = models.ForeignKey(Store, verbose_name=_("门店"), on_delete=models.PROTECT, related_name="+")
    limit = models.PositiveIntegerField(_("张数"))

    scope_paths = Paths(brand="type__brand", store="store", staff="staff")

    class Meta:
        verbose_name = _("发券额度")
        verbose_name_plural = _("发券额度")
        constraints = [models.UniqueConstraint(fields=["type", "staff"], name="coupon_quota_once")]


class Coupon(Scoped):
    """One coupon of one member. `state` is where it stands now; how it came there: its moves."""

    class State(models.TextChoices):
        ISSUED = "issued", _("未使用")
        REDEEMED = "redeemed", _("已使用")
        EXPIRED = "expired", _("已过期")
        VOID = "void", _("已作废")

    type = models.ForeignKey(CouponType, verbose_name=_("券种"), on_delete=models.PROTECT, related_name="coupons")
    membership = models.ForeignKey(
        Membership, verbose_name=_("会员"), on_delete=models.PROTECT, related_name="coupons"
    )
    code = models.CharField(_("券码"), max_length=64, unique=True)
    state = models.CharField(_("状态"), max_length=8, choices=State.choices, default=State.ISSUED)
    issued_at = models.DateTimeField(_("发放"))
    issued_by = models.ForeignKey(
        Staff,
        verbose_name=_("发券导购"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="coupons_given",
    )
    store = models.ForeignKey(
        Store, verbose_name=_("发券门店"), null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    valid_until = models.DateTimeField(_("有效期到"))
    redeemed_at = models.DateTimeField(_("使用"), null=True, blank=True)
    order = models.ForeignKey(
        Order, verbose_name=_("订单"), null=True, blank=True, on_delete=models.PROTECT, related_name="used_coupons"
    )

    scope_paths = Paths(brand="type__brand", store="membership__purchases__store", staff="issued_by")
    scope_is_to_many = True

    class Meta:
        verbose_name = _("优惠券")
        verbose_name_plural = _("优惠券")
        indexes = [
            models.Index(fields=["membership", "state"], name="coupon_of_membership"),
            models.Index(fields=["valid_until"], name="coupon_to_expire", condition=models.Q(state="issued")),
        ]

    def __str__(self) -> str:
        return self.code


class CouponMove(Scoped):
    """券流水: one thing that happened to a coupon. Never changed."""

    coupon = models.ForeignKey(Coupon, verbose_name=_("券"), on_delete=models.PROTECT, related_name="moves")
    state = models.CharField(_("变为"), max_length=8, choices=Coupon.State.choices)
    at = models.DateTimeField(_("时间"))
    order = models.ForeignKey(
        Order, verbose_name=_("订单"), null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    reason = models.CharField(_("说明"), max_length=200, blank=True, default="")

    scope_paths = Paths(brand="coupon__type__brand", store=None, staff="coupon__issued_by")

    class Meta:
        verbose_name = _("券流水")
        verbose_name_plural = _("券流水")
