"""The organisation: brands, regions, franchisees, stores, and the people who work in them."""

from django.contrib.auth.hashers import check_password
from django.contrib.auth.models import AbstractUser
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateTimeRangeField, RangeBoundary, RangeOperators
from django.db import models
from django.db.models import F, Func, Q
from django.db.models.functions import Upper
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy as _

from retail.privacy import BuyerKey
from retail.scope import ANY, Paths, Scoped


class User(AbstractUser):
    """Somebody who signs in. What they may see comes from the posts of their `staff`, never from this row."""

    session_epoch = models.PositiveIntegerField(_("登录批次"), default=0, editable=False)

    class Meta:
        verbose_name = _("账号")
        verbose_name_plural = _("账号")

    def __str__(self) -> str:
        """Who that is: the employee; of an account that is nobody's its name."""
        return str(getattr(self, "staff", None) or self.get_username())

    def check_password(self, raw_password: str | None) -> bool:
        """Of a superuser without storing it hashed anew: whoever signs in is nobody yet, and the database refuses."""
        if self.is_superuser:
            return check_password(raw_password, self.password)
        return super().check_password(raw_password)

    def _get_session_auth_hash(self, secret: str | None = None) -> str:
        """What Django compares with the session at every request: a new password or epoch ends every session."""
        said = f"{self.password}:{self.session_epoch}"
        return salted_hmac("retail.User.session", said, secret=secret, algorithm="sha256").hexdigest()


class Brand(Scoped):
    class Rebind(models.TextChoices):
        FIRST = "first", _("从不自动改绑")
        LAST = "last", _("保护期后归最近加好友的导购")
        IDLE = "idle", _("保护期后且闲置满天数才改绑")

    class Exclusive(models.TextChoices):
        BRAND = "brand", _("全品牌只归一位导购")
        STORE = "store", _("只对同店同事有效")

    code = models.CharField(_("编码"), max_length=32, unique=True)
    name = models.CharField(_("名称"), max_length=64)
    corp = models.CharField(_("企业微信"), max_length=64, blank=True, default="")
    share_window_days = models.PositiveSmallIntegerField(_("分享有效天数"), default=7)
    protection_days = models.PositiveSmallIntegerField(_("专属保护天数"), default=90)
    rebind = models.CharField(_("改绑规则"), max_length=8, choices=Rebind.choices, default=Rebind.LAST)
    rebind_idle_days = models.PositiveSmallIntegerField(_("闲置天数"), default=180)
    # What prolongs the protection besides a code scanned again.
    counts_purchases = models.BooleanField(_("购买算往来"), default=True, db_default=True)
    counts_replies = models.BooleanField(_("回复算往来"), default=True, db_default=True)
    counts_materials = models.BooleanField(_("打开素材算往来"), default=True, db_default=True)
    exclusive = models.CharField(
        _("保护范围"), max_length=8, choices=Exclusive.choices, default=Exclusive.BRAND, db_default=Exclusive.BRAND
    )
    customers_cap = models.PositiveIntegerField(_("每位导购最多顾客数"), null=True, blank=True)  # empty: no cap
    # Since when all this is so; what it was before is in `clerks.PastPolicy`.
    policy_since = models.DateTimeField(_("规则生效"), null=True, blank=True, editable=False)

    scope_paths = Paths(brand="pk", store=ANY, staff=ANY)

    class Meta:
        verbose_name = _("品牌")
        verbose_name_plural = _("品牌")
        ordering = ["code"]

    def __str__(self) -> str:
        return self.name


class Region(Scoped):
    code = models.CharField(_("编码"), max_length=32, unique=True)
    name = models.CharField(_("名称"), max_length=64)

    scope_paths = Paths(brand="stores__brand", store="stores", staff=ANY)
    scope_is_to_many = True

    class Meta:
        verbose_name = _("区域")
        verbose_name_plural = _("区域")
        ordering = ["code"]

    def __str__(self) -> str:
        return self.name


class Franchisee(Scoped):
    """A company that owns stores of our brands and pays the commissions of its clerks."""

    code = models.CharField(_("编码"), max_length=32, unique=True)
    name = models.CharField(_("名称"), max_length=64)

    scope_paths = Paths(brand="stores__brand", store="stores", staff=None)
    scope_is_to_many = True

    class Meta:
        verbose_name = _("加盟商")
        verbose_name_plural = _("加盟商")
        ordering = ["code"]

    def __str__(self) -> str:
        return self.name


class Store(Scoped):
    code = models.CharField(_("编码"), max_length=32, unique=True)
    name = models.CharField(_("名称"), max_length=64)
    brand = models.ForeignKey(Brand, verbose_name=_("品牌"), on_delete=models.PROTECT, related_name="stores")
    region = models.ForeignKey(
        Region, verbose_name=_("区域"), null=True, blank=True, on_delete=models.PROTECT, related_name="stores"
    )
    franchisee = models.ForeignKey(
        Franchisee, verbose_name=_("加盟商"), null=True, blank=True, on_delete=models.PROTECT, related_name="stores"
    )
    city = models.CharField(_("城市"), max_length=32, blank=True, default="")
    is_open = models.BooleanField(_("营业中"), default=True)

    scope_paths = Paths(brand="brand", store="pk", staff=ANY)

    class Meta:
        verbose_name = _("门店")
        verbose_name_plural = _("门店")
        ordering = ["code"]

    def __str__(self) -> str:
        return self.name

    @property
    def ownership(self) -> str:
        """ "franchise" or "direct", the words of the rule condition."""
        return "franchise" if self.franchisee_id else "direct"


class StoreGroup(Scoped):
    """A named set of stores that rules and missions can point to."""

    code = models.CharField(_("编码"), max_length=32, unique=True)
    name = models.CharField(_("名称"), max_length=64)
    stores = models.ManyToManyField(Store, verbose_name=_("门店"), related_name="groups", blank=True)

    scope_paths = Paths(brand="stores__brand", store="stores", staff=ANY)
    scope_is_to_many = True

    class Meta:
        verbose_name = _("门店组")
        verbose_name_plural = _("门店组")
        ordering = ["code"]

    def __str__(self) -> str:
        return self.name


class Staff(Scoped):
    """A person employed. Role, place and time are in `posts`; the sign-in, if any, is `user`."""

    code = models.CharField(_("工号"), max_length=32, unique=True)
    name = models.CharField(_("姓名"), max_length=64)
    user = models.OneToOneField(
        User, verbose_name=_("账号"), null=True, blank=True, on_delete=models.SET_NULL, related_name="staff"
    )
    # Tells a purchase of the clerk's own apart: the clerk's phone as a buyer identity.
    phone_key = models.ForeignKey(
        BuyerKey, verbose_name=_("手机号"), null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    share_code = models.CharField(_("分享码"), max_length=32, unique=True, null=True, blank=True)
    # As the brand calls it (初级, 资深 …): materials can be for some grades alone.
    grade = models.CharField(_("职级"), max_length=16, blank=True, default="", db_default="")

    scope_paths = Paths(brand="posts__store__brand", store="posts__store", staff="pk")
    scope_is_to_many = True

    class Meta:
        verbose_name = _("员工")
        verbose_name_plural = _("员工")
        ordering = ["code"]

    def __str__(self) -> str:
        return f"{self.name} {self.code}"


class StaffAccount(Scoped):
    """Who a person is to a WeCom corp. `corp` is its id, as brands and channels hold it; `userid` in its own spelling.

    WeCom takes no notice of the case of a userid, and answers in any: it is looked up without regard to it.
    """

    staff = models.ForeignKey(Staff, verbose_name=_("员工"), on_delete=models.PROTECT, related_name="accounts")
    corp = models.CharField(_("企业微信"), max_length=64)
    userid = models.CharField(_("企业微信账号"), max_length=64)

    scope_paths = Paths(brand="staff__posts__store__brand", store="staff__posts__store", staff="staff")
    scope_is_to_many = True

    class Meta:
        verbose_name = _("企业微信账号")
        verbose_name_plural = _("企业微信账号")
        ordering = ["corp", "userid"]
        constraints = [
            models.UniqueConstraint(
                F("corp"),
                Upper("userid"),
                name="staff_account_once",
                violation_error_message=_("这个企业微信账号已经是另一位员工的了。"),
            ),
            models.UniqueConstraint(
                fields=["corp", "staff"],
                name="staff_account_one_each",
                violation_error_message=_("一位员工在一个企业里只有一个企业微信账号。"),
            ),
        ]

    def __str__(self) -> str:
        return self.userid


def _span() -> Func:
    return Func(F("starts_at"), F("ends_at"), RangeBoundary(), function="TSTZRANGE", output_field=DateTimeRangeField())


class DatedQuerySet(models.QuerySet):
    def at(self, moment: object) -> "DatedQuerySet":
        """Rows in force at that moment; the end is exclusive."""
        return self.filter(Q(starts_at__lte=moment), Q(ends_at__isnull=True) | Q(ends_at__gt=moment))


class Employment(models.Model):
    """From when to when a person works for us; nobody works twice at once."""

    staff = models.ForeignKey(Staff, verbose_name=_("员工"), on_delete=models.PROTECT, related_name="employments")
    starts_at = models.DateTimeField(_("入职"))
    ends_at = models.DateTimeField(_("离职"), null=True, blank=True)

    objects = DatedQuerySet.as_manager()

    class Meta:
        verbose_name = _("雇佣")
        verbose_name_plural = _("雇佣")
        constraints = [
            ExclusionConstraint(
                name="employment_once_at_a_time",
                expressions=[("staff", RangeOperators.EQUAL), (_span(), RangeOperators.OVERLAPS)],
                violation_error_message=_("同一员工的任职时间不能重叠。"),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.staff_id} {self.starts_at:%Y-%m-%d}"


class Post(models.Model):
    """A role in a place for a time. A request acts inside one chosen post; posts never add up."""

    class Role(models.TextChoices):
        CLERK = "clerk", _("导购")
        STORE_MANAGER = "store_manager", _("店长")
        REGION_MANAGER = "region_manager", _("区域经理")
        FRANCHISE_OWNER = "franchise_owner", _("加盟商")
        HQ_OPS = "hq_ops", _("总部运营")
        HQ_FINANCE = "hq_finance", _("总部财务")
        AUDITOR = "auditor", _("审计")

    staff = models.ForeignKey(Staff, verbose_name=_("员工"), on_delete=models.PROTECT, related_name="posts")
    role = models.CharField(_("角色"), max_length=16, choices=Role.choices)
    store = models.ForeignKey(
        Store,
        verbose_name=_("门店"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="posts",
        db_index=False,
    )
    region = models.ForeignKey(
        Region,
        verbose_name=_("区域"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="posts",
        db_index=False,
    )
    franchisee = models.ForeignKey(
        Franchisee, verbose_name=_("加盟商"), null=True, blank=True, on_delete=models.PROTECT, related_name="posts"
    )
    starts_at = models.DateTimeField(_("开始"))
    ends_at = models.DateTimeField(_("结束"), null=True, blank=True)

    objects = DatedQuerySet.as_manager()
    # Not for the manager (a scope is made of posts): where else somebody works is not for the eyes of one store.
    scope_paths = Paths(brand="store__brand", store="store", staff="staff")

    class Meta:
        verbose_name = _("岗位")
        verbose_name_plural = _("岗位")
        indexes = [
            models.Index(fields=["store", "role"], name="post_of_store"),
            models.Index(fields=["region", "role"], name="post_of_region"),
        ]
        constraints = [
            models.CheckConstraint(
                name="post_has_its_place",
                condition=(
                    Q(role__in=["clerk", "store_manager"], store__isnull=False, region=None, franchisee=None)
                    | Q(role="region_manager", store=None, region__isnull=False, franchisee=None)
                    | Q(role="franchise_owner", store=None, region=None, franchisee__isnull=False)
                    | Q(role__in=["hq_ops", "hq_finance", "auditor"], store=None, region=None, franchisee=None)
                ),
                violation_error_message=_("导购和店长要选门店，区域经理要选区域，加盟商要选公司，总部岗位都不选。"),
            ),
        ]

    def __str__(self) -> str:
        place = self.store or self.region or self.franchisee
        return f"{self.get_role_display()} {place or ''}".strip()
