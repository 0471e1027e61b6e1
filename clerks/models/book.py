"""The clerk's list of customers, and what clerks note about them."""

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from clerks.models.binding import Binding
from members.models import Member, Tier
from retail import privacy
from retail.models import Brand, Staff, Store
from retail.scope import Paths, Scoped

# `Customer.tails` as an index and the search by it have them.
TAILS = models.Func(
    "tails",
    function="string_to_array",
    template="%(function)s(%(expressions)s, ' ')",
    output_field=ArrayField(models.TextField()),
)


class Customer(Scoped):
    """A bound customer as their clerk's list shows them: one row per active binding, written by `clerks.book` alone.

    Sums and dates are of what the store's company may see (`clerks.portraits`): online, and in stores of its own.
    `intent`: how likely they are to buy, in ppm; 0 until leads are scored.
    """

    binding = models.OneToOneField(
        Binding, verbose_name=_("专属关系"), primary_key=True, on_delete=models.CASCADE, related_name="customer"
    )
    brand = models.ForeignKey(Brand, verbose_name=_("品牌"), on_delete=models.PROTECT, related_name="+")
    member = models.ForeignKey(Member, verbose_name=_("会员"), on_delete=models.PROTECT, related_name="+")
    staff = models.ForeignKey(
        Staff, verbose_name=_("导购"), on_delete=models.PROTECT, related_name="+", db_index=False
    )
    store = models.ForeignKey(
        Store, verbose_name=_("门店"), on_delete=models.PROTECT, related_name="+", db_index=False
    )
    tier = models.ForeignKey(
        Tier, verbose_name=_("等级"), null=True, blank=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    bound_at = models.DateTimeField(_("绑定"))
    is_friend = models.BooleanField(_("企业微信好友"), default=False)
    is_lost = models.BooleanField(_("已删除导购"), default=False)
    intent = models.PositiveIntegerField(_("购买意向（ppm）"), default=0)
    contacted_at = models.DateTimeField(_("最近联系"), null=True, blank=True)
    quiet_since = models.DateTimeField(_("多久没联系"))  # the last contact, before the first one the binding
    bought_at = models.DateTimeField(_("最近购买"), null=True, blank=True)
    orders = models.PositiveIntegerField(_("购买次数"), default=0)
    paid_fen = models.BigIntegerField(_("消费净额"), default=0)
    tag_ids = ArrayField(models.IntegerField(), verbose_name=_("标签"), default=list, blank=True)
    sought = models.TextField(_("称呼和拼音"), blank=True, default="")  # Member.sought
    tails = models.TextField(_("手机尾号（盲索引）"), blank=True, default="")  # with spaces between them
    refreshed_at = models.DateTimeField(_("更新"))

    scope_paths = Paths(brand="brand", store="store", staff="staff")

    class Meta:
        verbose_name = _("导购的顾客")
        verbose_name_plural = _("导购的顾客")
        indexes = [
            models.Index(fields=["staff", "-intent", "-binding"], name="customer_by_intent"),
            models.Index(
                "staff",
                models.F("bought_at").desc(nulls_last=True),
                models.F("binding").desc(),
                include=["brand", "sought"],  # a search by name reads the index alone
                name="customer_by_purchase",
            ),
            GinIndex(TAILS, name="customer_by_tail"),
        ]

    @property
    def name(self) -> str:
        """What they are called on a page."""
        return privacy.without_numbers(self.member.name) or gettext("顾客 %(number)s") % {"number": self.member_id}


class Note(Scoped):
    """备注: what a clerk wrote about a customer; it moves with the customer, and is erased with them."""

    brand = models.ForeignKey(Brand, verbose_name=_("品牌"), on_delete=models.PROTECT, related_name="+")
    member = models.ForeignKey(
        Member, verbose_name=_("会员"), on_delete=models.PROTECT, related_name="notes", db_index=False
    )
    staff = models.ForeignKey(Staff, verbose_name=_("谁写的"), on_delete=models.PROTECT, related_name="notes")
    store = models.ForeignKey(Store, verbose_name=_("门店"), on_delete=models.PROTECT, related_name="+")
    text = models.CharField(_("备注"), max_length=500)
    created_at = models.DateTimeField(_("写于"))
    deleted_at = models.DateTimeField(_("删除"), null=True, blank=True)

    scope_paths = Paths(brand="brand", store="store", staff="staff")

    class Meta:
        verbose_name = _("顾客备注")
        verbose_name_plural = _("顾客备注")
        indexes = [models.Index(fields=["member", "-created_at"], name="note_of_member")]
