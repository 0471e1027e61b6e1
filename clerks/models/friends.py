"""Friends in WeCom: one member of a corp and one customer, and what happened between the two."""

from datetime import datetime

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Coalesce, Upper
from django.utils.translation import gettext_lazy as _

from members.models import Member
from retail.models import BuyerKey, Staff, Store
from retail.scope import Paths, Scoped


class Friend(Scoped):
    """企业微信好友: where one member of a corp and one customer stand with each other.

    `state` follows from the moves; tags and `add_way` are as WeCom last told them (`read_at`). The member may be
    somebody we do not know (no staff); whoever the customer is, the key says.
    """

    class State(models.TextChoices):
        NONE = "none", _("不是好友")
        HALF = "half", _("待通过")
        FRIEND = "friend", _("好友")
        LOST = "lost", _("被顾客删除")
        DELETED = "deleted", _("被导购删除")
        TRANSFERRED = "transferred", _("已转给同事")

    corp = models.CharField(_("企业微信"), max_length=64)
    userid = models.CharField(_("企业微信账号"), max_length=64)
    key = models.ForeignKey(BuyerKey, verbose_name=_("顾客标识"), on_delete=models.PROTECT, related_name="friends")
    member = models.ForeignKey(
        Member, verbose_name=_("会员"), null=True, blank=True, on_delete=models.PROTECT, related_name="friends"
    )
    staff = models.ForeignKey(
        Staff,
        verbose_name=_("导购"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="friends",
        db_index=False,
    )
    store = models.ForeignKey(
        Store, verbose_name=_("门店"), null=True, blank=True, on_delete=models.PROTECT, related_name="friends"
    )
    state = models.CharField(_("状态"), max_length=12, choices=State.choices, default=State.NONE)
    since = models.DateTimeField(_("从何时起"), null=True, blank=True)
    state_code = models.CharField(_("来源活码"), max_length=64, blank=True, default="")
    add_way = models.PositiveSmallIntegerField(_("添加方式"), null=True, blank=True)
    tags = ArrayField(models.CharField(max_length=64), verbose_name=_("标签"), default=list, blank=True)
    read_at = models.DateTimeField(_("上次核对"), null=True, blank=True)

    scope_paths = Paths(brand="store__brand", store="store", staff="staff")

    class Meta:
        verbose_name = _("企业微信好友")
        verbose_name_plural = _("企业微信好友")
        constraints = [models.UniqueConstraint(F("corp"), Upper("userid"), F("key"), name="friend_once")]
        indexes = [
            models.Index(fields=["staff", "state"], name="friend_of_staff"),
            models.Index(fields=["state_code"], name="friend_of_code", condition=~Q(state_code="")),
        ]

    def __str__(self) -> str:
        return f"{self.userid} · {self.member or self.key_id}"


class FriendMove(Scoped):
    """One thing that happened between the two. `is_read`: nobody told us, a reading did.

    `said_at`: the second WeCom says where that is not `at`, since its clock is ahead of ours. In what order things
    happened only WeCom's clock tells; in our books nothing happens in the future.
    """

    class Kind(models.TextChoices):
        HALF = "half", _("顾客待通过")
        ADDED = "added", _("成为好友")
        LOST = "lost", _("顾客删除了导购")
        DELETED = "deleted", _("导购删除了顾客")
        TRANSFERRED = "transferred", _("转给了同事")
        REFUSED = "refused", _("顾客拒绝继承")
        FULL = "full", _("接替的导购客户已满")

    friend = models.ForeignKey(Friend, verbose_name=_("好友"), on_delete=models.CASCADE, related_name="moves")
    kind = models.CharField(_("变动"), max_length=12, choices=Kind.choices)
    at = models.DateTimeField(_("时间"))
    state_code = models.CharField(_("来源活码"), max_length=64, blank=True, default="")
    is_read = models.BooleanField(_("核对时发现"), default=False)
    said_at = models.DateTimeField(null=True, blank=True)

    scope_paths = Paths(brand="friend__store__brand", store="friend__store", staff="friend__staff")

    class Meta:
        verbose_name = _("好友变动")
        verbose_name_plural = _("好友变动")
        constraints = [
            models.UniqueConstraint(F("friend"), F("kind"), Coalesce("said_at", "at"), name="friend_move_once")
        ]
        indexes = [models.Index(fields=["state_code", "at"], name="friend_move_of_code", condition=~Q(state_code=""))]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.at:%Y-%m-%d}"

    @property
    def told_at(self) -> datetime:
        """The second by WeCom's clock."""
        return self.said_at or self.at
