"""What is kept of WeCom: who we are to it, what it said, what we asked of it, and how often."""

from django.conf import settings
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


class App(models.Model):
    """One application of one corp (自建应用). Its three secrets are sealed; those it had before are `FormerKey`s.

    `base_url`: where its WeCom answers, where that is not the vendor's (the demo's simulator, an egress proxy).
    """

    slug = models.SlugField(_("代号"), max_length=32, unique=True)
    name = models.CharField(_("名称"), max_length=64)
    corp_id = models.CharField(_("企业 ID"), max_length=64)
    agent_id = models.PositiveIntegerField("AgentId")
    sealed_secret = SealedField("Secret", of=("slug",))
    sealed_token = SealedField("Token", of=("slug",))
    sealed_aes_key = SealedField("EncodingAESKey", of=("slug",))
    base_url = models.CharField(_("接口地址"), max_length=200, blank=True, default="", db_default="")
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

    @property
    def api_url(self) -> str:
        """Where its calls go, without a slash at the end."""
        return (self.base_url or settings.WECOM_API_URL).rstrip("/")

    @property
    def oauth_url(self) -> str:
        return (self.base_url or settings.WECOM_OAUTH_URL).rstrip("/")

    def opened(self, name: str) -> str:
        return privacy.opened(self, name).decode()


def apps_of(*, corp: str) -> AppQuerySet:
    """The applications in use of a corp, by its id as brands and channels hold it."""
    return App.objects.active().filter(corp_id=corp).order_by("pk")


class FormerKey(models.Model):
    """A Token or EncodingAESKey an application had before: callbacks made with it are taken until its own end.

    Nobody knows at which moment somebody types the new ones into WeCom, nor whether both at once: so each part holds
    by itself, in every combination with the others.
    """

    class Part(models.TextChoices):
        TOKEN = "token", "Token"
        AES_KEY = "aes_key", "EncodingAESKey"

    app = models.ForeignKey(App, verbose_name=_("应用"), on_delete=models.CASCADE, related_name="former_keys")
    part = models.CharField(_("种类"), max_length=8, choices=Part.choices)
    sealed = SealedField(of=("app", "part"))
    until = models.DateTimeField(_("有效到"))

    class Meta:
        verbose_name = _("旧密钥")
        verbose_name_plural = _("旧密钥")

    def __str__(self) -> str:
        return self.get_part_display()

    @property
    def value(self) -> str:
        return privacy.opened(self, "sealed").decode()


class Credential(models.Model):
    """A token or ticket of one application, until it expires. Written by `retail.wecom.credentials` only."""

    class Kind(models.TextChoices):
        ACCESS_TOKEN = "access_token", _("接口凭证")
        CORP_TICKET = "corp_ticket", _("企业网页凭证")
        AGENT_TICKET = "agent_ticket", _("应用网页凭证")

    app = models.ForeignKey(
        App, verbose_name=_("应用"), on_delete=models.CASCADE, related_name="credentials", db_index=False
    )
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
    """One thing we ask of WeCom that must not be asked twice: written down first, asked, then its outcome.

    `attempts` are those WeCom may have heard of; `sent_at` is the first of them.
    """

    class State(models.TextChoices):
        WAITING = "waiting", _("待发送")
        SENDING = "sending", _("发送中")
        SENT = "sent", _("已发送")
        UNKNOWN = "unknown", _("结果不明")
        FAILED = "failed", _("失败")
        DROPPED = "dropped", _("过时没发")

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
    good_until = models.DateTimeField(_("最晚发送"), null=True, blank=True)  # later it is of no use to anybody
    reason = models.CharField(_("原因"), max_length=200, blank=True, default="", db_default="")

    class Meta:
        verbose_name = _("企业微信发送")
        verbose_name_plural = _("企业微信发送")
        indexes = [
            models.Index(fields=["-id"], name="wecom_call_open", condition=~Q(state="sent")),
            BrinIndex(fields=["created_at"], name="wecom_call_time"),
        ]

    def __str__(self) -> str:
        return f"{self.path} #{self.pk}"


class Media(models.Model):
    """素材: a file that goes to customers. It lies here; WeCom keeps what it was given for three days only.

    `media_id` is what WeCom calls it since `uploaded_at`; `retail.wecom.media` gives it anew before that is over.
    """

    class Kind(models.TextChoices):
        IMAGE = "image", _("图片")
        VIDEO = "video", _("视频")
        FILE = "file", _("文件")

    corp_id = models.CharField(_("企业 ID"), max_length=64)
    kind = models.CharField(_("类型"), max_length=8, choices=Kind.choices)
    name = models.CharField(_("文件名"), max_length=128)
    size = models.PositiveIntegerField(_("大小"))
    is_active = models.BooleanField(_("启用"), default=True)
    made_at = models.DateTimeField(_("创建"))
    media_id = models.CharField(max_length=128, blank=True, default="")
    uploaded_at = models.DateTimeField(_("上次上传"), null=True, blank=True)
    trouble = models.CharField(_("问题"), max_length=200, blank=True, default="")

    class Meta:
        verbose_name = _("素材")
        verbose_name_plural = _("素材")

    def __str__(self) -> str:
        return self.name


class MediaContent(models.Model):
    """What is in the file; beside its row, so that nobody who only names it reads megabytes."""

    media = models.OneToOneField(
        Media, verbose_name=_("素材"), on_delete=models.CASCADE, primary_key=True, related_name="content"
    )
    data = models.BinaryField(_("内容"))

    class Meta:
        verbose_name = _("素材内容")
        verbose_name_plural = _("素材内容")

    def __str__(self) -> str:
        return str(self.media)


class Use(models.Model):
    """How often an interface answered with a code, by the hour, and when last: the health page, the metrics."""

    app = models.ForeignKey(App, verbose_name=_("应用"), on_delete=models.CASCADE, related_name="uses", db_index=False)
    path = models.CharField(_("接口"), max_length=64)
    errcode = models.IntegerField(_("错误码"))
    hour = models.DateTimeField(_("小时"))
    count = models.PositiveIntegerField(_("次数"), default=0)
    last_at = models.DateTimeField(_("最近一次"), null=True)

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
