"""What a corp holds in WeCom, mirrored: group chats, tags, departments; and how the last full look went."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from retail.models import BuyerKey, Staff, Store
from retail.scope import Paths, Scoped


class GroupChat(Scoped):
    """客户群. `dismissed_at` is for good: WeCom never gives an id to another chat.

    Unless no event told it and it was only not listed any more; it is then the moment of that reading, `read_at`.
    """

    corp = models.CharField(_("企业微信"), max_length=64)
    chat_id = models.CharField(_("群 ID"), max_length=64)
    name = models.CharField(_("群名"), max_length=128, blank=True, default="")
    owner = models.CharField(_("群主账号"), max_length=64, blank=True, default="")
    staff = models.ForeignKey(
        Staff, verbose_name=_("群主"), null=True, blank=True, on_delete=models.PROTECT, related_name="group_chats"
    )
    store = models.ForeignKey(
        Store, verbose_name=_("门店"), null=True, blank=True, on_delete=models.PROTECT, related_name="group_chats"
    )
    has_notice = models.BooleanField(_("有群公告"), default=False)
    member_version = models.CharField(max_length=64, blank=True, default="")
    started_at = models.DateTimeField(_("建群"), null=True, blank=True)
    dismissed_at = models.DateTimeField(_("解散"), null=True, blank=True)
    read_at = models.DateTimeField(_("上次核对"), null=True, blank=True)

    scope_paths = Paths(brand="store__brand", store="store", staff="staff")

    class Meta:
        verbose_name = _("客户群")
        verbose_name_plural = _("客户群")
        constraints = [models.UniqueConstraint(fields=["corp", "chat_id"], name="group_chat_once")]

    def __str__(self) -> str:
        return self.name or str(_("未命名的群"))

    @property
    def is_unlisted(self) -> bool:
        """Over only because a reading did not list it: another one may bring it back."""
        return self.dismissed_at is not None and self.dismissed_at == self.read_at


class GroupChatMember(Scoped):
    """Somebody in a group chat: a customer (key) or somebody of the corp (userid). Their names are not kept."""

    chat = models.ForeignKey(
        GroupChat, verbose_name=_("客户群"), on_delete=models.CASCADE, related_name="members", db_index=False
    )
    userid = models.CharField(_("企业微信账号"), max_length=64, blank=True, default="")
    key = models.ForeignKey(
        BuyerKey, verbose_name=_("顾客标识"), null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    joined_at = models.DateTimeField(_("入群"), null=True, blank=True)
    join_scene = models.PositiveSmallIntegerField(_("入群方式"), null=True, blank=True)

    scope_paths = Paths(brand="chat__store__brand", store="chat__store", staff="chat__staff")

    class Meta:
        verbose_name = _("群成员")
        verbose_name_plural = _("群成员")
        constraints = [
            models.UniqueConstraint(fields=["chat", "userid", "key"], name="chat_member_once", nulls_distinct=False)
        ]

    def __str__(self) -> str:
        return self.userid or f"#{self.key_id}"


class CorpTag(models.Model):
    """企业标签. Deleted for good once `deleted_at` is set: its id does not come back.

    Unless no event told it and it was only not listed any more; it is then the moment of that reading, `read_at`.
    """

    corp = models.CharField(_("企业微信"), max_length=64)
    tag_id = models.CharField(_("标签 ID"), max_length=64)
    name = models.CharField(_("标签"), max_length=64, blank=True, default="")
    group_id = models.CharField(_("标签组 ID"), max_length=64, blank=True, default="")
    group_name = models.CharField(_("标签组"), max_length=64, blank=True, default="")
    place = models.BigIntegerField(_("次序"), default=0)
    deleted_at = models.DateTimeField(_("删除"), null=True, blank=True)
    read_at = models.DateTimeField(_("上次核对"), null=True, blank=True)

    class Meta:
        verbose_name = _("企业标签")
        verbose_name_plural = _("企业标签")
        constraints = [models.UniqueConstraint(fields=["corp", "tag_id"], name="corp_tag_once")]

    def __str__(self) -> str:
        return self.name

    @property
    def is_unlisted(self) -> bool:
        """Gone only because a reading did not list it: another one may bring it back."""
        return self.deleted_at is not None and self.deleted_at == self.read_at


class Department(models.Model):
    """A department of a corp's address book."""

    corp = models.CharField(_("企业微信"), max_length=64)
    number = models.BigIntegerField(_("部门 ID"))
    name = models.CharField(_("部门"), max_length=128, blank=True, default="")
    parent = models.BigIntegerField(_("上级部门 ID"), null=True, blank=True)
    read_at = models.DateTimeField(_("上次核对"), null=True, blank=True)

    class Meta:
        verbose_name = _("企业微信部门")
        verbose_name_plural = _("企业微信部门")
        constraints = [models.UniqueConstraint(fields=["corp", "number"], name="corp_department_once")]

    def __str__(self) -> str:
        return self.name or str(self.number)


class SyncRun(models.Model):
    """One full look at a corp: how far what we held was from what WeCom holds."""

    class State(models.TextChoices):
        RUNNING = "running", _("进行中")
        DONE = "done", _("完成")
        STOPPED = "stopped", _("已刹车")

    corp = models.CharField(_("企业微信"), max_length=64)
    state = models.CharField(_("状态"), max_length=8, choices=State.choices, default=State.RUNNING)
    started_at = models.DateTimeField(_("开始"))
    ended_at = models.DateTimeField(_("结束"), null=True, blank=True)
    seen = models.PositiveIntegerField(_("核对了"), default=0)
    found = models.PositiveIntegerField(_("漏掉的新好友"), default=0)
    gone = models.PositiveIntegerField(_("漏掉的流失"), default=0)
    changed = models.PositiveIntegerField(_("有出入的"), default=0)
    # Staff and relations we hold that the application does not get to see: left as they are.
    unseen = models.PositiveIntegerField(_("看不到的"), default=0, db_default=0)
    is_forced = models.BooleanField(_("不刹车"), default=False)
    is_first = models.BooleanField(
        _("首次"), default=False, db_default=False
    )  # nothing was held: no drift to speak of

    class Meta:
        verbose_name = _("全量核对")
        verbose_name_plural = _("全量核对")
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"{self.corp} {self.started_at:%Y-%m-%d}"

    @property
    def drift_ppm(self) -> int:
        """Which part of what was looked at was not as we held it."""
        wrong = self.found + self.gone + self.changed + self.unseen
        return wrong * 1_000_000 // max(1, self.seen + self.gone + self.unseen)
