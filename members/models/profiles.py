"""What is known of a membership by now, rolled up: what segments, lists and portraits read instead of all orders."""

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.utils.translation import gettext_lazy as _

from members.models.people import Membership
from retail.models import Brand, Store
from retail.scope import Paths, Scoped


class Profile(Scoped):
    """Sums over the settled orders of a membership, net of refunds, and the ids of its tags in force.

    Written by `members.profiles` alone; made again from the facts at any time. An order that came back whole counts
    as none. The windows begin at a midnight and move on every night. The mean gap between orders is
    (last_at − first_at) ÷ (orders − 1).
    """

    membership = models.OneToOneField(
        Membership, verbose_name=_("会员"), primary_key=True, on_delete=models.PROTECT, related_name="profile"
    )
    orders = models.PositiveIntegerField(_("购买次数"), default=0)
    pieces = models.IntegerField(_("件数"), default=0)
    paid_fen = models.BigIntegerField(_("消费净额"), default=0)
    tag_fen = models.BigIntegerField(_("吊牌额"), default=0)
    returned_fen = models.BigIntegerField(_("退款"), default=0)
    orders_30 = models.PositiveIntegerField(_("30 天内次数"), default=0)
    orders_90 = models.PositiveIntegerField(_("90 天内次数"), default=0)
    orders_180 = models.PositiveIntegerField(_("180 天内次数"), default=0)
    year_orders = models.PositiveIntegerField(_("一年内次数"), default=0)
    year_fen = models.BigIntegerField(_("一年内净额"), default=0)
    first_at = models.DateTimeField(_("首购"), null=True, blank=True)
    last_at = models.DateTimeField(_("最近购买"), null=True, blank=True)
    last_store = models.ForeignKey(
        Store, verbose_name=_("最近门店"), null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    # As the membership has them, for whoever asks for these beside what is rolled up: one row of one table. The brand
    # of a member who was merged into another is null; they are nobody of their own.
    brand = models.ForeignKey(
        Brand,
        verbose_name=_("品牌"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    first_purchase_at = models.DateTimeField(_("首单付款"), null=True, blank=True)
    last_purchase_at = models.DateTimeField(_("末单付款"), null=True, blank=True)
    tag_ids = ArrayField(models.IntegerField(), verbose_name=_("标签"), default=list, blank=True)
    refreshed_at = models.DateTimeField(_("更新"))  # when something of it last changed

    scope_paths = Paths(brand="membership__brand", store="membership__purchases__store", staff=None)
    scope_is_to_many = True

    class Meta:
        verbose_name = _("会员概况")
        verbose_name_plural = _("会员概况")
        indexes = [GinIndex(fields=["tag_ids"], name="profile_tags")]


class Behind(models.Model):
    """A membership whose orders were settled among very many, and of which nothing is rolled up yet.

    In the database, not in the memory of who settles: whoever goes on after a killed run finds them.
    """

    membership = models.OneToOneField(
        Membership, verbose_name=_("会员"), primary_key=True, on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        verbose_name = _("待更新的会员")
        verbose_name_plural = _("待更新的会员")
