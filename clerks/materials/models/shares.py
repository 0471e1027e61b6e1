"""分享: a link of one clerk to one material, who opened it, and what that came to."""

from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from clerks.materials.models.library import Material, MaterialVersion
from members.models import Member
from retail.models import Brand, Order, Product, Staff, Store
from retail.scope import Paths, Scoped


class Share(Scoped):
    """One clerk's link to one material, at `/s/<code>`. Whoever opens it, and whoever forwards it, it stays theirs.

    `member`: to whom it was sent, if to one. `sent_at`: when WeCom said that it was; none for what is only prepared,
    or where nobody tells (a poster saved, words copied).
    """

    class Via(models.TextChoices):
        CHAT = "chat", _("聊天")
        MOMENTS = "moments", _("朋友圈")
        POSTER = "poster", _("海报")
        COPY = "copy", _("复制链接")

    code = models.CharField(_("分享码"), max_length=16, unique=True, editable=False)
    brand = models.ForeignKey(Brand, verbose_name=_("品牌"), on_delete=models.PROTECT, related_name="+")
    material = models.ForeignKey(
        Material, verbose_name=_("素材"), on_delete=models.PROTECT, related_name="shares", db_index=False
    )
    version = models.ForeignKey(MaterialVersion, verbose_name=_("版本"), on_delete=models.PROTECT, related_name="+")
    staff = models.ForeignKey(
        Staff, verbose_name=_("导购"), on_delete=models.PROTECT, related_name="shares", db_index=False
    )
    store = models.ForeignKey(Store, verbose_name=_("门店"), on_delete=models.PROTECT, related_name="+")
    member = models.ForeignKey(
        Member, verbose_name=_("发给"), null=True, blank=True, on_delete=models.PROTECT, related_name="shares"
    )
    product = models.ForeignKey(
        Product, verbose_name=_("商品"), null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    via = models.CharField(_("方式"), max_length=8, choices=Via.choices)
    made_at = models.DateTimeField(_("创建"))
    sent_at = models.DateTimeField(_("发出"), null=True, blank=True)

    scope_paths = Paths(brand="brand", store="store", staff="staff")

    class Meta:
        verbose_name = _("分享")
        verbose_name_plural = _("分享")
        indexes = [
            models.Index(fields=["staff", "-made_at"], name="share_of_staff"),
            models.Index(fields=["material", "-made_at"], name="share_of_material"),
            BrinIndex(fields=["made_at"], name="share_made", autosummarize=True),
            models.Index(fields=["sent_at"], name="share_sent", condition=Q(sent_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.material} {self.made_at:%Y-%m-%d}"


class Visitor(models.Model):
    """A browser that opened a link, by a random number in its cookie; whose it is, once that is known.

    `staff`: somebody of ours, whose openings are left out.
    """

    key = models.UUIDField(_("访客"), unique=True)
    member = models.ForeignKey(
        Member, verbose_name=_("会员"), null=True, on_delete=models.PROTECT, related_name="visitors"
    )
    staff = models.ForeignKey(Staff, verbose_name=_("员工"), null=True, on_delete=models.PROTECT, related_name="+")
    known_at = models.DateTimeField(_("认出"), null=True)

    class Meta:
        verbose_name = _("访客")
        verbose_name_plural = _("访客")
        constraints = [
            models.CheckConstraint(name="visitor_is_one", condition=Q(member=None) | Q(staff=None)),
        ]
        indexes = [models.Index(fields=["known_at"], name="visitor_known", condition=Q(known_at__isnull=False))]

    def __str__(self) -> str:
        return str(self.key)


class Opening(Scoped):
    """打开: somebody looked at what a link leads to. Our own people and machines leave none.

    The table is divided by month of `at`, like that of behaviour: no key of it is checked by the database.
    `seconds`: how long the page was in sight, as far as it told.
    """

    at = models.DateTimeField(_("时间"))
    share = models.ForeignKey(
        Share, verbose_name=_("分享"), on_delete=models.PROTECT, related_name="openings", db_constraint=False
    )
    visitor = models.UUIDField(_("访客"), null=True)
    member = models.ForeignKey(
        Member, verbose_name=_("会员"), null=True, on_delete=models.PROTECT, related_name="+", db_constraint=False
    )
    seconds = models.PositiveIntegerField(_("秒数"), default=0)

    scope_paths = Paths(brand="share__brand", store="share__store", staff="share__staff")

    class Meta:
        verbose_name = _("打开")
        verbose_name_plural = _("打开")
        managed = False  # a divided table, made by hand in the migration
        db_table = "materials_opening"

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M}"


class ShareSale(Scoped):
    """An order that a link brought, as it was attributed: by the code the order named, or by the last opening."""

    class Way(models.TextChoices):
        CODE = "code", _("订单带分享码")
        OPENING = "opening", _("打开后购买")

    order = models.OneToOneField(
        Order, verbose_name=_("订单"), primary_key=True, on_delete=models.PROTECT, related_name="share_sale"
    )
    share = models.ForeignKey(Share, verbose_name=_("分享"), on_delete=models.PROTECT, related_name="sales")
    way = models.CharField(_("凭什么"), max_length=8, choices=Way.choices)
    opened_at = models.DateTimeField(_("打开"), null=True)
    paid_at = models.DateTimeField(_("付款"))

    scope_paths = Paths(brand="share__brand", store="share__store", staff="share__staff")

    class Meta:
        verbose_name = _("分享成交")
        verbose_name_plural = _("分享成交")
        indexes = [models.Index(fields=["paid_at"], name="share_sale_time")]

    def __str__(self) -> str:
        return f"{self.share} {self.order_id}"


class ShareDay(Scoped):
    """素材效果 of a day: what one clerk did with one material and what came of it, rolled up from the rows above.

    Each figure is of things that happened on that day. `viewers`: openings of one browser or member on a day count
    once; `known`: those of them whose member we know. `sales_fen`: net of refunds, of orders paid on that day.
    """

    day = models.DateField(_("日期"))
    brand = models.ForeignKey(
        Brand, verbose_name=_("品牌"), on_delete=models.PROTECT, related_name="+", db_index=False
    )
    material = models.ForeignKey(Material, verbose_name=_("素材"), on_delete=models.PROTECT, related_name="days")
    staff = models.ForeignKey(
        Staff, verbose_name=_("导购"), on_delete=models.PROTECT, related_name="+", db_index=False
    )
    store = models.ForeignKey(Store, verbose_name=_("门店"), on_delete=models.PROTECT, related_name="+")
    shares = models.PositiveIntegerField(_("分享"), default=0)
    sent = models.PositiveIntegerField(_("发出"), default=0)
    openings = models.PositiveIntegerField(_("打开"), default=0)
    viewers = models.PositiveIntegerField(_("打开人数"), default=0)
    known = models.PositiveIntegerField(_("认出人数"), default=0)
    seconds = models.PositiveBigIntegerField(_("停留秒数"), default=0)
    buyers = models.PositiveIntegerField(_("成交人数"), default=0)
    orders = models.PositiveIntegerField(_("成交单数"), default=0)
    sales_fen = models.BigIntegerField(_("成交额（分）"), default=0)

    scope_paths = Paths(brand="brand", store="store", staff="staff")

    class Meta:
        verbose_name = _("素材效果")
        verbose_name_plural = _("素材效果")
        constraints = [
            models.UniqueConstraint(fields=["day", "material", "staff", "store"], name="share_day_once"),
        ]
        indexes = [
            models.Index(fields=["brand", "day"], name="share_day_of_brand"),
            models.Index(fields=["staff", "day"], name="share_day_of_staff"),
        ]

    def __str__(self) -> str:
        return f"{self.material} {self.day}"
