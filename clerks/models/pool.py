"""公海: the customers who are nobody's, and a brand's rules for them."""

from django.core.validators import MinValueValidator
from django.db import models
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from members.models import Member, Membership
from retail import privacy
from retail.models import Brand, Staff, Store
from retail.scope import ANY, Paths, Scoped


class Pooled(Scoped):
    """公海顾客: a member who is no clerk's customer, in the pool of the store that had to do with them last.

    One row per membership without a relation in force, written by `clerks.pooled` alone. Sums and dates are of what
    the store's company may see, as in `Customer`. `left_at`: when the last relation ended, if there ever was one;
    `last_staff`: whose customer they were, if that was in a store of the same company.
    """

    membership = models.OneToOneField(
        Membership, verbose_name=_("品牌会员"), primary_key=True, on_delete=models.CASCADE, related_name="pooled"
    )
    brand = models.ForeignKey(Brand, verbose_name=_("品牌"), on_delete=models.PROTECT, related_name="+")
    member = models.ForeignKey(Member, verbose_name=_("会员"), on_delete=models.PROTECT, related_name="+")
    store = models.ForeignKey(
        Store, verbose_name=_("门店"), on_delete=models.PROTECT, related_name="+", db_index=False
    )
    since = models.DateTimeField(_("进公海"))
    last_staff = models.ForeignKey(
        Staff, verbose_name=_("上一任导购"), null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    left_at = models.DateTimeField(_("上一任结束"), null=True)
    bought_at = models.DateTimeField(_("最近购买"), null=True)
    orders = models.PositiveIntegerField(_("购买次数"), default=0)
    paid_fen = models.BigIntegerField(_("消费净额"), default=0)
    refreshed_at = models.DateTimeField(_("更新"))

    scope_paths = Paths(brand="brand", store="store", staff=None)

    class Meta:
        verbose_name = _("公海顾客")
        verbose_name_plural = pgettext_lazy("plural", "公海")
        indexes = [
            models.Index(
                "store",
                models.F("bought_at").desc(nulls_last=True),
                models.F("membership").desc(),
                name="pooled_by_purchase",
            ),
        ]

    def __str__(self) -> str:
        return str(self.member)

    @property
    def hint(self) -> str:
        """Enough of the name to tell two rows apart, for who has not claimed them."""
        name = privacy.without_numbers(self.member.name).strip()
        return f"{name[0]}**" if name else gettext("顾客")


class PoolPolicy(Scoped):
    """公海规则 of a brand; a brand without a row has the defaults."""

    class Auto(models.TextChoices):
        OFF = "off", _("不自动分")
        DAILY = "daily", _("每天早上平均分给本店导购")

    brand = models.OneToOneField(Brand, verbose_name=_("品牌"), on_delete=models.PROTECT, related_name="pool_policy")
    auto = models.CharField(_("自动分配"), max_length=8, choices=Auto.choices, default=Auto.OFF)
    auto_after_days = models.PositiveSmallIntegerField(_("进公海几天后自动分"), default=3)
    is_claimable = models.BooleanField(_("导购可以认领"), default=True)
    claims_per_day = models.PositiveSmallIntegerField(
        _("每人每天最多认领"), default=5, validators=[MinValueValidator(1)]
    )
    # Claimed, and neither contacted nor sold to since: nobody hoards what they do not look after.
    claims_open = models.PositiveSmallIntegerField(
        _("认领后没联系的最多"), default=20, validators=[MinValueValidator(1)]
    )
    barred_days = models.PositiveSmallIntegerField(_("上一任几天内不能再要回"), default=30)

    scope_paths = Paths(brand="brand", store=ANY, staff=ANY)

    class Meta:
        verbose_name = _("公海规则")
        verbose_name_plural = pgettext_lazy("plural", "公海规则")

    def __str__(self) -> str:
        return str(self.brand)
