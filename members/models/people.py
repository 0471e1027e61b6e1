"""One person over all brands (Member), how they are known (Identity), their standing per brand (Membership)."""

from typing import Any

from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Func, Q
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from members.models.tiers import Tier
from retail import privacy
from retail.models import Brand, BuyerKey, Channel, Order, Staff, Store
from retail.scope import Paths, Scoped


@models.CharField.register_lookup
class Spelled(models.Lookup):
    """`name__spelled="小丽"`: the same rows as `name__icontains`, by the index over the letters of names.

    One or two letters stand in the index; of longer ones it finds names with all their pairs, which are looked at.
    """

    lookup_name = "spelled"
    prepare_rhs = False

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        column, params = self.process_lhs(compiler, connection)
        said = str(self.rhs).lower()
        if len(said) < 3:
            return f"name_grams({column}) @> %s::text[]", (*params, [said] if said else [])
        pairs = [said[place : place + 2] for place in range(len(said) - 1)]
        found = f"(name_grams({column}) @> %s::text[] AND strpos(lower({column}), %s) > 0)"
        return found, (*params, pairs, *params, said)


class Member(Scoped):
    """One person. After a merge the dropped row points to the kept one and holds no identities."""

    name = models.CharField(_("称呼"), max_length=64, blank=True, default="")
    born_on = models.DateField(_("生日"), null=True, blank=True)
    created_at = models.DateTimeField(_("创建"))
    merged_into = models.ForeignKey(
        "self", verbose_name=_("已并入"), null=True, blank=True, on_delete=models.PROTECT, related_name="absorbed"
    )

    scope_paths = Paths(brand="memberships__brand", store="memberships__purchases__store", staff=None)
    scope_is_to_many = True

    class Meta:
        verbose_name = _("会员")
        verbose_name_plural = _("会员")
        constraints = [
            models.CheckConstraint(name="member_not_merged_into_itself", condition=~Q(merged_into=models.F("pk")))
        ]
        # Of `name_grams` see migration 0000.
        indexes = [GinIndex(Func("name", function="name_grams"), name="member_by_name")]

    def __str__(self) -> str:
        return privacy.without_numbers(self.name) or gettext("会员 %(number)s") % {"number": self.pk}


class Identity(Scoped):
    """One way a member is known. A key belongs to one member at a time.

    `verified_at`: its teller knew it to be theirs. `is_hearsay`: it was typed beside a stronger key and nobody came by
    it yet; who does is somebody of their own (members.matching). `learned_by`: the key they were known by when this
    one was learned; where two members are parted again it goes with that one.
    """

    class Source(models.TextChoices):
        ORDER = "order", _("订单")
        REGISTER = "register", _("注册")
        WECOM = "wecom", _("企业微信")
        IMPORT = "import", _("导入")

    member = models.ForeignKey(Member, verbose_name=_("会员"), on_delete=models.PROTECT, related_name="identities")
    key = models.OneToOneField(BuyerKey, verbose_name=_("标识"), on_delete=models.PROTECT, related_name="identity")
    source = models.CharField(_("来源"), max_length=32, choices=Source.choices)
    channel = models.ForeignKey(
        Channel, verbose_name=_("渠道"), null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    seen_at = models.DateTimeField(_("首次出现"))
    verified_at = models.DateTimeField(_("验证"), null=True, blank=True)
    is_hearsay = models.BooleanField(_("只是顺带提到"), default=False, db_default=False)
    learned_by = models.ForeignKey(
        BuyerKey, verbose_name=_("凭哪个标识"), null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )

    scope_paths = Paths(brand="member__memberships__brand", store="member__memberships__purchases__store", staff=None)
    scope_is_to_many = True

    class Meta:
        verbose_name = _("会员标识")
        verbose_name_plural = _("会员标识")


class Membership(Scoped):
    """The standing of one member with one brand. Purchase dates over all channels; null = never bought."""

    brand = models.ForeignKey(
        Brand, verbose_name=_("品牌"), on_delete=models.PROTECT, related_name="memberships", db_index=False
    )
    member = models.ForeignKey(Member, verbose_name=_("会员"), on_delete=models.PROTECT, related_name="memberships")
    tier = models.ForeignKey(Tier, verbose_name=_("等级"), null=True, blank=True, on_delete=models.PROTECT)
    tier_since = models.DateTimeField(_("等级从"), null=True, blank=True)
    tier_until = models.DateTimeField(_("等级保留到"), null=True, blank=True)  # then it is looked at anew
    # Given by hand, and not to rise before `tier_until` either.
    tier_is_held = models.BooleanField(_("到期前不自动升级"), default=False, db_default=False)
    points = models.BigIntegerField(_("积分"), default=0, db_default=0)  # the sum of the points entries
    registered_at = models.DateTimeField(_("入会"))
    registered_store = models.ForeignKey(
        Store, verbose_name=_("入会门店"), null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    registered_by = models.ForeignKey(
        Staff, verbose_name=_("招募导购"), null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    first_purchase_at = models.DateTimeField(_("首购"), null=True, blank=True)
    last_purchase_at = models.DateTimeField(_("最近购买"), null=True, blank=True)

    scope_paths = Paths(brand="brand", store="purchases__store", staff=None)
    scope_is_to_many = True

    class Meta:
        verbose_name = _("品牌会员")
        verbose_name_plural = _("品牌会员")
        constraints = [
            models.UniqueConstraint(fields=["brand", "member"], name="membership_once"),
            models.CheckConstraint(
                name="membership_purchases_in_order",
                condition=Q(first_purchase_at=None, last_purchase_at=None)
                | Q(first_purchase_at__lte=models.F("last_purchase_at")),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.member} · {self.brand}"


class Purchase(Scoped):
    """Who an order was: the interpretation of its buyer keys, fixed when it was settled.

    `net_fen`: what was paid, less what came back; it follows every refund and correction.
    """

    order = models.OneToOneField(Order, verbose_name=_("订单"), on_delete=models.PROTECT, related_name="purchase")
    membership = models.ForeignKey(
        Membership, verbose_name=_("会员"), on_delete=models.PROTECT, related_name="purchases", db_index=False
    )
    store = models.ForeignKey(
        Store, verbose_name=_("门店"), null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    paid_at = models.DateTimeField(_("付款时间"))
    net_fen = models.BigIntegerField(_("实付减退款"), default=0, db_default=0)
    is_first = models.BooleanField(_("首单"))
    dormant_days = models.PositiveIntegerField(_("距上次购买天数"), null=True, blank=True)

    scope_paths = Paths(brand="membership__brand", store="store", staff=None)

    class Meta:
        verbose_name = _("购买")
        verbose_name_plural = _("购买")
        indexes = [models.Index(fields=["membership", "-paid_at"], name="purchase_of_membership")]
