"""What is kept of WeCom: who we are to it, what it said, what we asked of it, and how often."""

from datetime import datetime

from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from retail import privacy
from retail.privacy import SealedField
from retail.wecom import words


class AppQuerySet(models.QuerySet["App"]):
    def active(self) -> "AppQuerySet":
        return self.filter(is_active=True)


_AGENT = ("corp_id", "agent_id")


class App(models.Model):
    """One application of one corp (自建应用). Its three secrets are sealed; while they rotate, two pairs hold."""

    slug = models.SlugField(_("代号"), max_length=32, unique=True)
    name = models.CharField(_("名称"), max_length=64)
    corp_id = models.CharField(_("企业 ID"), max_length=64)
    agent_id = models.PositiveIntegerField("AgentId")
    sealed_secret = SealedField("Secret", of=_AGENT)
    sealed_token = SealedField("Token", of=_AGENT)
    sealed_aes_key = SealedField("EncodingAESKey", of=_AGENT)
    sealed_previous_token = SealedField(null=True, of=_AGENT)
    sealed_previous_aes_key = SealedField(null=True, of=_AGENT)
    previous_until = models.DateTimeField(_("旧密钥有效到"), null=True, blank=True)
    is_active = models.BooleanField(_("启用"), default=True)

    objects = AppQuerySet.as_manager()

    class Meta:
        verbose_name = _("企业微信应用")
        verbose_name_plural = _("企业微信应用")
        constraints = [models.UniqueConstraint(fields=["corp_id", "agent_id"], name="wecom_app_once")]

    def __str__(self) -> str:
        return self.name

    @property
    def secret(self) -> str:
        return self.opened("sealed_secret")

    @property
    def token(self) -> str:
        return self.opened("sealed_token")

    @property
    def aes_key(self) -> str:
        return self.opened("sealed_aes_key")

    def keys(self, *, now: datetime) -> list[tuple[str, str]]:
        """The (token, aes_key) that hold now, newest first."""
        pairs = [(self.token, self.aes_key)]
        if self.sealed_previous_token and self.previous_until is not None and now < self.previous_until:
            pairs.append((self.opened("sealed_previous_token"), self.opened("sealed_previous_aes_key")))
        return pairs

    def opened(self, name: str) -> str:
        return privacy.opened(self, name).decode()


def apps_of(*, corp: str) -> AppQuerySet:
    """The applications in use of a corp, by its id as brands and channels hold it."""
    return App.objects.active().filter(corp_id=corp).order_by("pk")


class Credential(models.Model):
    """A token or ticket of one application, until it expires. Written by `retail.wecom.credentials` only."""

    class Kind(models.TextChoices):
        ACCESS_TOKEN = "access_token", _("接口凭证")
        CORP_TICKET = "corp_ticket", _("企业网页凭证")
        AGENT_TICKET = "agent_ticket", _("应用网页凭证")

    app = models.ForeignKey(App, verbose_name=_("应用"), on_delete=models.CASCADE, related_name="credentials")
    kind = models.CharField(_("种类"), max_length=16, choices=Kind.choices)
    value = SealedField(null=True, of=["app", "kind"])
    expires_at = models.DateTimeField(_("失效"))
    refreshed_at = models.DateTimeField(_("取得"))

    class Meta:
        verbose_name = _("凭证")
        verbose_name_plural = _("凭证")
        constraints = [models.UniqueConstraint(fields=["app", "kind"], name="wecom_credential_once")]

    def __str__(self) -> str:
        return self.get_kind_display()


class MessageQuerySet(models.QuerySet["Message"]):
    def failed(self) -> "MessageQuerySet":
        return self.filter(state=Message.State.FAILED)


class Message(models.Model):
    """One callback, stored before it is answered. What is to be done about it is a job of kind `wecom_event`."""

    class State(models.TextChoices):
        NEW = "new", _("待处理")
        DONE = "done", _("已处理")
        IGNORED = "ignored", _("不需处理")
        FAILED = "failed", _("失败")

    # The constraint below begins with it: an index of its own would only be one more to write.
    app = models.ForeignKey(
        App, verbose_name=_("应用"), on_delete=models.PROTECT, related_name="messages", db_index=False
    )
    digest = models.BinaryField(max_length=32)
    event = models.CharField(_("事件"), max_length=64)
    change_type = models.CharField(_("变更"), max_length=64, blank=True, default="")
    shard = models.CharField(max_length=64, blank=True, default="")
    sealed = SealedField(null=True, of=["app", "digest"])  # null once its time is over
    received_at = models.DateTimeField(_("收到"))
    state = models.CharField(_("状态"), max_length=8, choices=State.choices, default=State.NEW)
    ended_at = models.DateTimeField(_("结束"), null=True)
    error = models.TextField(_("原因"), blank=True, default="")

    objects = MessageQuerySet.as_manager()

    class Meta:
        verbose_name = _("企业微信回调")
        verbose_name_plural = _("企业微信回调")
        constraints = [models.UniqueConstraint(fields=["app", "digest"], name="wecom_message_once")]
        indexes = [
            models.Index(fields=["-id"], name="wecom_message_failed", condition=Q(state="failed")),
            BrinIndex(fields=["received_at"], name="wecom_message_time"),
        ]

    def __str__(self) -> str:
        return words.of_event(event=self.event, change=self.change_type)


class Call(models.Model):
    """One thing we ask of WeCom that must not be asked twice: written down first, asked, then its outcome."""

    class State(models.TextChoices):
        WAITING = "waiting", _("待发送")
        SENDING = "sending", _("发送中")
        SENT = "sent", _("已发送")
        UNKNOWN = "unknown", _("结果不明")
        FAILED = "failed", _("失败")

    app = models.ForeignKey(App, verbose_name=_("应用"), on_delete=models.PROTECT, related_name="calls")
    path = models.CharField(_("接口"), max_length=64)
    key = models.CharField(_("唯一键"), max_length=128, unique=True)
    sealed = SealedField(null=True, of=["key"])  # null once its time is over
    state = models.CharField(_("状态"), max_length=8, choices=State.choices, default=State.WAITING)
    errcode = models.IntegerField(_("错误码"), null=True)
    answer = models.JSONField(_("应答"), default=dict, blank=True)
    created_at = models.DateTimeField(_("创建"))
    sent_at = models.DateTimeField(_("发送"), null=True)
    attempts = models.PositiveSmallIntegerField(_("次数"), default=0)

    class Meta:
        verbose_name = _("企业微信发送")
        verbose_name_plural = _("企业微信发送")
        indexes = [
            models.Index(fields=["-id"], name="wecom_call_open", condition=~Q(state="sent")),
            BrinIndex(fields=["created_at"], name="wecom_call_time"),
        ]

    def __str__(self) -> str:
        return f"{self.path} #{self.pk}"


class Use(models.Model):
    """How often an interface answered with a code, by the hour: the health page, the metrics."""

    app = models.ForeignKey(App, verbose_name=_("应用"), on_delete=models.CASCADE, related_name="uses")
    path = models.CharField(_("接口"), max_length=64)
    errcode = models.IntegerField(_("错误码"))
    hour = models.DateTimeField(_("小时"))
    count = models.PositiveIntegerField(_("次数"), default=0)

    class Meta:
        verbose_name = _("接口用量")
        verbose_name_plural = _("接口用量")
        constraints = [models.UniqueConstraint(fields=["app", "path", "errcode", "hour"], name="wecom_use_once")]

    def __str__(self) -> str:
        return f"{self.path} {self.errcode}"


class Valve(models.Model):
    """How fast one interface of a corp may be called, and whether at all now. Written by `retail.wecom.limits` only.

    `next_at` moves on by one step with every call: how far it stands ahead of the clock is how much of the quota is
    used. The row without a path is the breaker of the whole corp; `failures` are those in a row.
    """

    corp_id = models.CharField(max_length=64)
    path = models.CharField(max_length=96, blank=True, default="")
    next_at = models.DateTimeField()
    blocked_until = models.DateTimeField(null=True)
    failures = models.PositiveIntegerField(default=0)

    class Meta:
        verbose_name = _("接口限速")
        verbose_name_plural = _("接口限速")
        constraints = [models.UniqueConstraint(fields=["corp_id", "path"], name="wecom_valve_once")]

    def __str__(self) -> str:
        return f"{self.corp_id} {self.path}"
