"""客户继承: somebody leaves or changes place, and each of their customers gets somebody else; nobody is lost."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from clerks.models.corp import GroupChat
from clerks.models.friends import Friend
from members.models import Member
from retail.models import Brand, BuyerKey, Staff, Store
from retail.scope import Paths, Scoped, ScopedManager
from retail.wecom.models import Call


class Handover(Scoped):
    """The customers that one clerk has in one store, and who gets them.

    `total`: the customers that were found, one row each; it only ever grows. `is_resigned`: WeCom, too, has let the
    clerk go, so their friends there are handed over without asking the customers.
    """

    class Kind(models.TextChoices):
        LEFT = "left", _("离职")
        ON_JOB = "on_job", _("在职转移")

    class State(models.TextChoices):
        OPEN = "open", _("待安排")
        RUNNING = "running", _("进行中")
        DONE = "done", _("已办完")
        CANCELLED = "cancelled", _("已取消")

    kind = models.CharField(_("类型"), max_length=8, choices=Kind.choices)
    brand = models.ForeignKey(Brand, verbose_name=_("品牌"), on_delete=models.PROTECT, related_name="handovers")
    store = models.ForeignKey(Store, verbose_name=_("门店"), on_delete=models.PROTECT, related_name="handovers")
    staff = models.ForeignKey(Staff, verbose_name=_("原导购"), on_delete=models.PROTECT, related_name="handovers")
    state = models.CharField(_("状态"), max_length=10, choices=State.choices, default=State.OPEN)
    is_resigned = models.BooleanField(_("已退出企业微信"), default=False, db_default=False)
    opened_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("谁开的"), null=True, on_delete=models.PROTECT, related_name="+"
    )
    opened_at = models.DateTimeField(_("开单"))
    reason = models.CharField(_("原因"), max_length=200, blank=True, default="")
    started_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("谁安排的"), null=True, on_delete=models.PROTECT, related_name="+"
    )
    started_at = models.DateTimeField(_("开始"), null=True, blank=True)
    message = models.CharField(_("给顾客的话"), max_length=200, blank=True, default="")
    plan = models.JSONField(_("怎么分"), default=dict, blank=True)
    total = models.PositiveIntegerField(_("顾客数"), default=0)
    ended_at = models.DateTimeField(_("办完"), null=True, blank=True)

    scope_paths = Paths(brand="brand", store="store", staff="staff")

    class Meta:
        verbose_name = _("客户继承")
        verbose_name_plural = _("客户继承")
        constraints = [
            models.UniqueConstraint(
                fields=["staff", "store"],
                name="handover_one_unfinished",
                condition=Q(state__in=["open", "running"]),
                violation_error_message=_("这位导购在这家店还有没办完的客户继承。"),
            ),
            models.CheckConstraint(
                name="handover_ends_once",
                condition=Q(state__in=["open", "running"], ended_at=None)
                | Q(state__in=["done", "cancelled"], ended_at__isnull=False),
            ),
            models.CheckConstraint(
                name="handover_is_started",
                condition=Q(state__in=["open", "cancelled"]) | Q(started_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.staff.name} · {self.store}"


class HandoverRowQuerySet(models.QuerySet["HandoverRow"]):
    def under_way(self) -> "HandoverRowQuerySet":
        """Something will still become of these by itself."""
        return self.filter(state__in=HandoverRow.UNDER_WAY)

    def stuck(self) -> "HandoverRowQuerySet":
        """A person has to say what is to become of these."""
        return self.filter(state__in=HandoverRow.STUCK)


class HandoverRow(Scoped):
    """One customer of a handover, and how far they are. `holder`: whose they are in our books, None = nobody's.

    `friend`: who they are to the leaver in WeCom; whoever is no friend there is moved in our books alone.
    """

    class State(models.TextChoices):
        OPEN = "open", _("还没安排")
        PLANNED = "planned", _("正在转")
        ASKED = "asked", _("正在告诉企业微信")
        WAITING = "waiting", _("等顾客 24 小时")
        DONE = "done", _("已接替")
        LOCAL = "local", _("已转，不是企业微信好友")
        REFUSED = "refused", _("顾客拒绝")
        FULL = "full", _("接手人客户已满")
        INELIGIBLE = "ineligible", _("企业微信转不了")
        GONE = "gone", _("已归别人")

    class Why(models.TextChoices):
        """Of what is stuck: why."""

        NO_ROOM = "no_room", _("接手的人都满了")
        RECEIVER_GONE = "receiver_gone", _("接手人不在岗了")
        LIMIT = "limit", _("90 天内已经转过两次")
        NOT_FRIEND = "not_friend", _("在企业微信里已经不是原导购的好友")
        NO_ACCOUNT = "no_account", _("接手人没有企业微信账号")
        RECEIVER = "receiver", _("接手人在企业微信里不能接客户")
        TOO_LATE = "too_late", _("离职超过一年，企业微信不给转")
        NO_RECORD = "no_record", _("企业微信没有这次转接的记录")
        OTHER = "other", _("企业微信没有同意")

    UNDER_WAY = ("planned", "asked", "waiting")
    STUCK = ("open", "refused", "full", "ineligible")
    OVER = ("done", "local", "gone")

    handover = models.ForeignKey(
        Handover, verbose_name=_("客户继承"), on_delete=models.PROTECT, related_name="rows", db_index=False
    )
    member = models.ForeignKey(Member, verbose_name=_("顾客"), on_delete=models.PROTECT, related_name="handovers")
    friend = models.ForeignKey(
        Friend, verbose_name=_("企业微信好友"), null=True, on_delete=models.PROTECT, related_name="+"
    )
    holder = models.ForeignKey(
        Staff, verbose_name=_("现在归谁"), null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    receiver = models.ForeignKey(
        Staff, verbose_name=_("接手人"), null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    spend_fen = models.BigIntegerField(_("一年内消费"), default=0)
    state = models.CharField(_("状态"), max_length=12, choices=State.choices, default=State.OPEN)
    why = models.CharField(_("原因"), max_length=16, choices=Why.choices, blank=True, default="")
    errcode = models.IntegerField(_("企业微信错误码"), null=True, blank=True)
    tries = models.PositiveSmallIntegerField(_("转接次数"), default=0)
    moved_at = models.DateTimeField(_("归接手人"), null=True, blank=True)
    asked_at = models.DateTimeField(_("告诉企业微信"), null=True, blank=True)
    ended_at = models.DateTimeField(_("有结果"), null=True, blank=True)

    scope_paths = Paths(brand="handover__brand", store="handover__store", staff="handover__staff")
    objects = ScopedManager.from_queryset(HandoverRowQuerySet)()  # type: ignore[misc]  # replaces the base's manager

    class Meta:
        verbose_name = _("继承明细")
        verbose_name_plural = _("继承明细")
        constraints = [
            models.UniqueConstraint(fields=["handover", "member"], name="handover_row_once"),
            models.CheckConstraint(
                name="handover_row_has_receiver",
                condition=Q(state__in=["open", "gone"]) | Q(receiver__isnull=False),
            ),
            models.CheckConstraint(
                name="handover_row_moved_first",
                condition=Q(state__in=["open", "planned", "gone"]) | Q(holder=F("receiver"), moved_at__isnull=False),
            ),
        ]
        indexes = [models.Index(fields=["handover", "state", "id"], name="handover_row_by_state")]

    def __str__(self) -> str:
        return str(self.member)


class FriendTransfer(Scoped):
    """好友转接: one asking of WeCom to give a friend of one member to another; the ledger behind the rows.

    WeCom lets a customer go from a member at work to another twice in 90 natural days. `place`: which one of its call.
    """

    class State(models.TextChoices):
        ASKED = "asked", _("已提交")
        WAITING = "waiting", _("等顾客")
        DONE = "done", _("已接替")
        REFUSED = "refused", _("顾客拒绝")
        FULL = "full", _("接手人客户已满")
        NOT_BEGUN = "not_begun", _("没有开始")

    row = models.ForeignKey(
        HandoverRow, verbose_name=_("继承明细"), on_delete=models.PROTECT, related_name="transfers"
    )
    corp = models.CharField(_("企业微信"), max_length=64)
    key = models.ForeignKey(
        BuyerKey, verbose_name=_("顾客标识"), on_delete=models.PROTECT, related_name="+", db_index=False
    )
    giver = models.CharField(_("原账号"), max_length=64)
    taker = models.CharField(_("接手账号"), max_length=64)
    is_resigned = models.BooleanField(_("离职继承"))
    call = models.ForeignKey(Call, verbose_name=_("发送"), on_delete=models.PROTECT, related_name="+", db_index=False)
    place = models.PositiveSmallIntegerField(_("批内次序"))
    state = models.CharField(_("结果"), max_length=12, choices=State.choices, default=State.ASKED)
    errcode = models.IntegerField(_("企业微信错误码"), null=True, blank=True)
    asked_at = models.DateTimeField(_("提交"))
    ended_at = models.DateTimeField(_("有结果"), null=True, blank=True)
    is_polled = models.BooleanField(_("核对时发现"), default=False)

    scope_paths = Paths(brand="row__handover__brand", store="row__handover__store", staff="row__handover__staff")

    class Meta:
        verbose_name = _("好友转接")
        verbose_name_plural = _("好友转接")
        constraints = [models.UniqueConstraint(fields=["call", "place"], name="friend_transfer_place")]
        indexes = [
            models.Index(fields=["key", "-asked_at"], name="friend_transfer_ledger"),
            models.Index(
                fields=["asked_at"], name="friend_transfer_open", condition=Q(state__in=["asked", "waiting"])
            ),
        ]

    def __str__(self) -> str:
        return f"{self.giver} → {self.taker}"


class ChatTransfer(Scoped):
    """群转接: a group chat of the leaver that gets another owner."""

    class State(models.TextChoices):
        PLANNED = "planned", _("等着转")
        ASKED = "asked", _("正在告诉企业微信")
        DONE = "done", _("已换群主")
        FAILED = "failed", _("没转成")

    handover = models.ForeignKey(
        Handover, verbose_name=_("客户继承"), on_delete=models.PROTECT, related_name="chats", db_index=False
    )
    chat = models.ForeignKey(GroupChat, verbose_name=_("客户群"), on_delete=models.PROTECT, related_name="transfers")
    receiver = models.ForeignKey(Staff, verbose_name=_("新群主"), on_delete=models.PROTECT, related_name="+")
    is_resigned = models.BooleanField(_("离职继承"), default=False)
    state = models.CharField(_("状态"), max_length=8, choices=State.choices, default=State.PLANNED)
    call = models.ForeignKey(Call, verbose_name=_("发送"), null=True, on_delete=models.PROTECT, related_name="+")
    errcode = models.IntegerField(_("企业微信错误码"), null=True, blank=True)
    asked_at = models.DateTimeField(_("提交"), null=True, blank=True)
    ended_at = models.DateTimeField(_("有结果"), null=True, blank=True)

    scope_paths = Paths(brand="handover__brand", store="handover__store", staff="handover__staff")

    class Meta:
        verbose_name = _("群转接")
        verbose_name_plural = _("群转接")
        constraints = [models.UniqueConstraint(fields=["handover", "chat"], name="chat_transfer_once")]

    def __str__(self) -> str:
        return str(self.chat)
