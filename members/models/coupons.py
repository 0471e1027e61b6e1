"""券: what a coupon is worth (type), each one that somebody holds, and what became of it.

Who made a coupon and whose it is stands on the coupon; by which order it was used is concluded from the facts, for
each code an order names (`CouponUse`). How it all goes: `members.coupons`.
"""

from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from members.models.people import Membership
from members.models.segments import Segment
from retail.models import Brand, Order, Staff, Store
from retail.scope import ANY, Paths, Scoped

DAYS = 30  # that a coupon lives unless told otherwise


class CouponType(Scoped):
    """券种: what it gives and where it may be used. Money in fen, what is taken off in ppm.

    A coupon may be used from the day it was got, `lives_days` long (that day counts), within `usable_from` and
    `usable_until`. `issued` counts what was made, against `limit`.
    """

    class Kind(models.TextChoices):
        AMOUNT = "amount", _("满减券")
        PERCENT = "percent", _("折扣券")
        GIFT = "gift", _("礼品券")

    brand = models.ForeignKey(
        Brand, verbose_name=_("品牌"), on_delete=models.PROTECT, related_name="coupon_types", db_index=False
    )
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
    lives_days = models.PositiveSmallIntegerField(_("领取后几天内有效"), null=True, blank=True, default=DAYS)
    usable_from = models.DateField(_("最早使用日"), null=True, blank=True)
    usable_until = models.DateField(_("最晚使用日"), null=True, blank=True)
    limit = models.PositiveIntegerField(_("总张数"), null=True, blank=True)
    per_member = models.PositiveSmallIntegerField(_("每人最多"), default=1)
    comes_back = models.BooleanField(_("全额退货后退回"), default=True)
    issued = models.PositiveIntegerField(_("已发"), default=0, editable=False)

    scope_paths = Paths(brand="brand", store=ANY, staff=ANY)

    class Meta:
        verbose_name = _("券种")
        verbose_name_plural = _("券种")
        ordering = ["-starts_at", "-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["brand", "code"],
                name="coupon_type_once",
                violation_error_message=_("这个编码已经有券种在用。"),
            ),
            models.CheckConstraint(
                name="coupon_type_gives_something",
                condition=Q(kind="amount", off_fen__gt=0, off_ppm=0, gift="")
                | Q(kind="percent", off_fen=0, off_ppm__gt=0, off_ppm__lt=1_000_000, gift="")
                | (Q(kind="gift", off_fen=0, off_ppm=0) & ~Q(gift="")),
                violation_error_message=_("满减券写减多少元，折扣券写打几折，礼品券写送什么：只写其中一样。"),
            ),
            models.CheckConstraint(
                name="coupon_type_amount_below_floor",
                condition=Q(off_fen=0) | Q(floor_fen=0) | Q(floor_fen__gte=F("off_fen")),
                violation_error_message=_("减的不能比满的多。"),
            ),
            models.CheckConstraint(
                name="coupon_type_ends",
                condition=Q(lives_days__gt=0) | Q(lives_days=None, usable_until__isnull=False),
                violation_error_message=_("写领取后几天内有效，或者最晚使用日，至少一样。"),
            ),
            models.CheckConstraint(
                name="coupon_type_days_in_order",
                condition=(Q(ends_at=None) | Q(ends_at__gt=F("starts_at")))
                & (Q(usable_from=None) | Q(usable_until=None) | Q(usable_until__gte=F("usable_from"))),
                violation_error_message=_("结束不能早于开始。"),
            ),
            models.CheckConstraint(
                name="coupon_type_within_limit",
                condition=Q(limit=None) | Q(issued__lte=F("limit")),
                violation_error_message=_("总张数不能少于已发的张数。"),
            ),
        ]

    def __str__(self) -> str:
        return self.name


class CouponQuota(Scoped):
    """发券额度: how many of a type a clerk may give away, and how many they gave."""

    type = models.ForeignKey(
        CouponType, verbose_name=_("券种"), on_delete=models.PROTECT, related_name="quotas", db_index=False
    )
    staff = models.ForeignKey(Staff, verbose_name=_("导购"), on_delete=models.PROTECT, related_name="coupon_quotas")
    store = models.ForeignKey(Store, verbose_name=_("门店"), on_delete=models.PROTECT, related_name="+")
    limit = models.PositiveIntegerField(_("张数"))
    given = models.PositiveIntegerField(_("已发"), default=0, editable=False)

    scope_paths = Paths(brand="type__brand", store="store", staff="staff")

    class Meta:
        verbose_name = _("发券额度")
        verbose_name_plural = _("发券额度")
        constraints = [
            models.UniqueConstraint(
                fields=["type", "staff"],
                name="coupon_quota_once",
                violation_error_message=_("这位导购已有这种券的额度，直接改张数。"),
            ),
            models.CheckConstraint(
                name="coupon_quota_not_exceeded",
                condition=Q(given__lte=F("limit")),
                violation_error_message=_("张数不能少于已发的张数。"),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.staff} · {self.type}"


class CouponIssue(Scoped):
    """发券: a type given to everybody in a segment, some hundred at a time. `reached`: the last one.

    Without a segment: made into `total` codes that members claim.
    """

    class State(models.TextChoices):
        WAITING = "waiting", _("等待")
        RUNNING = "running", _("进行中")
        DONE = "done", _("完成")
        STOPPED = "stopped", _("已停止")

    type = models.ForeignKey(CouponType, verbose_name=_("券种"), on_delete=models.PROTECT, related_name="issues")
    segment = models.ForeignKey(
        Segment, verbose_name=_("人群"), null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    state = models.CharField(_("状态"), max_length=8, choices=State.choices, default=State.WAITING)
    total = models.PositiveIntegerField(_("张数"))
    reached = models.BigIntegerField(default=0, editable=False)
    issued = models.PositiveIntegerField(_("发出"), default=0)
    skipped = models.PositiveIntegerField(_("没发"), default=0)
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("谁发的"), null=True, on_delete=models.PROTECT, related_name="+"
    )
    asked_at = models.DateTimeField(_("时间"))
    ended_at = models.DateTimeField(_("结束"), null=True, blank=True)

    scope_paths = Paths(brand="type__brand", store=None, staff=None)

    class Meta:
        verbose_name = _("批量发券")
        verbose_name_plural = _("批量发券")

    def __str__(self) -> str:
        whom = self.segment or _("券码")
        return f"{self.type} → {whom}"


class CouponSkip(Scoped):
    """Who of a segment got none, and why."""

    class Reason(models.TextChoices):
        ENOUGH = "enough", _("已领满")
        LIMIT = "limit", _("总张数发完了")
        OVER = "over", _("不在发放期")
        STOPPED = "stopped", _("说过不要发优惠")

    issue = models.ForeignKey(
        CouponIssue, verbose_name=_("批量发券"), on_delete=models.PROTECT, related_name="skips", db_index=False
    )
    membership = models.ForeignKey(Membership, verbose_name=_("会员"), on_delete=models.PROTECT, related_name="+")
    reason = models.CharField(_("原因"), max_length=8, choices=Reason.choices)

    scope_paths = Paths(brand="issue__type__brand", store=None, staff=None)

    class Meta:
        verbose_name = _("没发到券的会员")
        verbose_name_plural = _("没发到券的会员")
        constraints = [models.UniqueConstraint(fields=["issue", "membership"], name="coupon_skip_once")]


class Coupon(Scoped):
    """One coupon. `state` is where it stands now; how it came there: its moves.

    Without a membership it is a code nobody has claimed. It may be used from `valid_from` up to, not including,
    `valid_until`. `uses`: how often an order redeemed it, those that gave it back included.
    """

    class State(models.TextChoices):
        OPEN = "open", _("未领取")
        ISSUED = "issued", _("未使用")
        REDEEMED = "redeemed", _("已使用")
        EXPIRED = "expired", _("已过期")
        VOID = "void", _("已作废")

    type = models.ForeignKey(
        CouponType, verbose_name=_("券种"), on_delete=models.PROTECT, related_name="coupons", db_index=False
    )
    membership = models.ForeignKey(
        Membership,
        verbose_name=_("会员"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="coupons",
        db_index=False,
    )
    code = models.CharField(_("券码"), max_length=64, unique=True)
    state = models.CharField(_("状态"), max_length=8, choices=State.choices, default=State.ISSUED)
    issue = models.ForeignKey(
        CouponIssue,
        verbose_name=_("批量发券"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="coupons",
    )
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
    valid_from = models.DateTimeField(_("有效期从"))
    valid_until = models.DateTimeField(_("有效期到"))
    claimed_at = models.DateTimeField(_("领取"), null=True, blank=True)
    voided_at = models.DateTimeField(_("作废"), null=True, blank=True)
    redeemed_at = models.DateTimeField(_("使用"), null=True, blank=True)
    order = models.ForeignKey(
        Order, verbose_name=_("订单"), null=True, blank=True, on_delete=models.PROTECT, related_name="used_coupons"
    )
    uses = models.PositiveSmallIntegerField(default=0, editable=False)

    scope_paths = Paths(brand="type__brand", store="membership__purchases__store", staff="issued_by")
    scope_is_to_many = True

    class Meta:
        verbose_name = _("优惠券")
        verbose_name_plural = _("优惠券")
        indexes = [
            models.Index(fields=["membership", "state"], name="coupon_of_membership"),
            models.Index(fields=["type", "state"], name="coupon_of_type"),
            models.Index(fields=["issued_by", "-issued_at"], name="coupon_of_clerk", condition=~Q(issued_by=None)),
            models.Index(fields=["valid_until"], name="coupon_to_expire", condition=Q(state__in=["open", "issued"])),
        ]
        constraints = [
            models.CheckConstraint(
                name="coupon_redeemed_by_order",
                condition=Q(state="redeemed", order__isnull=False, redeemed_at__isnull=False)
                | (~Q(state="redeemed") & Q(order=None, redeemed_at=None)),
            ),
            models.CheckConstraint(name="coupon_open_is_nobodys", condition=~Q(state="open") | Q(membership=None)),
        ]

    def __str__(self) -> str:
        return self.code

    @property
    def last_day(self) -> datetime:
        """A moment of the last day it may be used on."""
        return self.valid_until - timedelta(seconds=1)


class CouponMove(Scoped):
    """券流水: one thing that happened to a coupon. Never changed. `noted_at`: when we heard of it."""

    coupon = models.ForeignKey(
        Coupon, verbose_name=_("券"), on_delete=models.PROTECT, related_name="moves", db_index=False
    )
    state = models.CharField(_("变为"), max_length=8, choices=Coupon.State.choices)
    at = models.DateTimeField(_("时间"))
    order = models.ForeignKey(
        Order, verbose_name=_("订单"), null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    reason = models.CharField(_("说明"), max_length=200, blank=True, default="")
    noted_at = models.DateTimeField(_("记录时间"))

    scope_paths = Paths(
        brand="coupon__type__brand", store="coupon__membership__purchases__store", staff="coupon__issued_by"
    )
    scope_is_to_many = True

    class Meta:
        verbose_name = _("券流水")
        verbose_name_plural = _("券流水")
        indexes = [models.Index(fields=["coupon", "-id"], name="coupon_move_of_coupon")]


class CouponUse(Scoped):
    """券核销: a code that an order names, and what it came to. Judged anew whenever a fact that bears on it changes.

    A coupon that does not count never stands in the way of its order; it is seen here, with why.
    """

    class Outcome(models.TextChoices):
        COUNTED = "counted", _("已核销")
        RETURNED = "returned", _("货全退了，券已退回")
        DROPPED = "dropped", _("更正后订单不再用它")
        UNKNOWN = "unknown", _("没有这张券")
        OTHER_BRAND = "brand", _("不是这个品牌的券")
        OTHER_MEMBER = "member", _("是别人的券")
        EARLY = "early", _("还没到使用日")
        EXPIRED = "expired", _("已过期")
        VOID = "void", _("已作废")
        CHANNEL = "channel", _("这个渠道不能用")
        CATEGORY = "category", _("没有能用券的商品")
        FLOOR = "floor", _("没到使用门槛")
        USED = "used", _("另一笔订单已经用了")

    order = models.ForeignKey(
        Order, verbose_name=_("订单"), on_delete=models.PROTECT, related_name="coupon_uses", db_index=False
    )
    code = models.CharField(_("券码"), max_length=64)
    coupon = models.ForeignKey(
        Coupon, verbose_name=_("券"), null=True, blank=True, on_delete=models.PROTECT, related_name="named_by"
    )
    outcome = models.CharField(_("结果"), max_length=8, choices=Outcome.choices)
    judged_at = models.DateTimeField(_("判定时间"))

    scope_paths = Paths(brand="order__brand", store="order__store", staff=None)

    class Meta:
        verbose_name = _("券核销")
        verbose_name_plural = _("券核销")
        constraints = [models.UniqueConstraint(fields=["order", "code"], name="coupon_use_once")]
        indexes = [
            models.Index(fields=["code"], name="coupon_use_of_code"),
            models.Index(
                fields=["-order"],
                name="coupon_use_trouble",
                condition=~Q(outcome__in=["counted", "returned", "dropped"]),
            ),
        ]

    def __str__(self) -> str:
        return self.code


TROUBLES = tuple(
    outcome
    for outcome in CouponUse.Outcome
    if outcome not in (CouponUse.Outcome.COUNTED, CouponUse.Outcome.RETURNED, CouponUse.Outcome.DROPPED)
)
