"""Where orders come from, and the tokens with which other systems speak to us."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from retail.models.org import Brand, Franchisee, Region, Staff, Store
from retail.scope import ANY, Paths, Scoped


class Channel(Scoped):
    """A source of orders. It belongs to one brand, or to the group (brand null: the store's brand counts)."""

    class Kind(models.TextChoices):
        POS = "pos", _("门店 POS")
        MINI_PROGRAM = "mini_program", _("小程序")
        TMALL = "tmall", _("天猫")
        JD = "jd", _("京东")
        DOUYIN = "douyin", _("抖音")
        VIDEO_LIVE = "video_live", _("视频号直播")
        WECOM_GROUP = "wecom_group", _("社群")
        OTHER = "other", _("其他")

    code = models.CharField(_("编码"), max_length=32, unique=True)
    name = models.CharField(_("名称"), max_length=64)
    kind = models.CharField(_("类型"), max_length=16, choices=Kind.choices)
    brand = models.ForeignKey(
        Brand, verbose_name=_("品牌"), null=True, blank=True, on_delete=models.PROTECT, related_name="channels"
    )
    corp = models.CharField(_("企业微信"), max_length=64, blank=True, default="")
    return_days = models.PositiveSmallIntegerField(_("退货天数"), default=15)

    scope_paths = Paths(brand="brand", store=ANY, staff=ANY, is_shared_without_brand=True)

    class Meta:
        verbose_name = _("渠道")
        verbose_name_plural = _("渠道")
        ordering = ["code"]

    def __str__(self) -> str:
        return self.name


class ApiToken(models.Model):
    """A secret with which one system calls the API. Only its SHA-256 is kept; it is shown once, when made.

    With a channel it may post that channel's facts; a place narrows what it may read (none = the whole group). With a
    person it works only as long as that person holds a post.
    """

    name = models.CharField(_("用途"), max_length=64)
    digest = models.CharField(_("摘要"), max_length=64, unique=True, editable=False)
    channel = models.ForeignKey(
        Channel, verbose_name=_("渠道"), null=True, blank=True, on_delete=models.PROTECT, related_name="tokens"
    )
    brand = models.ForeignKey(Brand, verbose_name=_("品牌"), null=True, blank=True, on_delete=models.PROTECT)
    region = models.ForeignKey(Region, verbose_name=_("区域"), null=True, blank=True, on_delete=models.PROTECT)
    store = models.ForeignKey(Store, verbose_name=_("门店"), null=True, blank=True, on_delete=models.PROTECT)
    franchisee = models.ForeignKey(
        Franchisee, verbose_name=_("加盟商"), null=True, blank=True, on_delete=models.PROTECT
    )
    staff = models.ForeignKey(
        Staff, verbose_name=_("持有人"), null=True, blank=True, on_delete=models.PROTECT, related_name="api_tokens"
    )
    can_read = models.BooleanField(_("可读"), default=False)
    created_at = models.DateTimeField(_("创建"), auto_now_add=True)
    revoked_at = models.DateTimeField(_("停用"), null=True, blank=True, editable=False)  # the database lets it stand
    made_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("谁建的"), null=True, blank=True, editable=False,
        on_delete=models.PROTECT, related_name="+",
    )  # fmt: skip
    agreed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("谁同意的"), null=True, blank=True, editable=False,
        on_delete=models.PROTECT, related_name="+",
    )  # fmt: skip

    class Meta:
        verbose_name = _("接口令牌")
        verbose_name_plural = _("接口令牌")

    def __str__(self) -> str:
        return self.name


class ApiCall(models.Model):
    """The stored answer of one call with an Idempotency-Key; the same key again gets the same answer (7 days)."""

    token = models.ForeignKey(ApiToken, verbose_name=_("接口令牌"), on_delete=models.CASCADE, db_index=False)
    key = models.CharField(_("唯一键"), max_length=128)
    request_hash = models.BinaryField(_("请求摘要"), max_length=32)
    status = models.PositiveSmallIntegerField(_("状态"))
    answer = models.BinaryField(_("应答"))
    created_at = models.DateTimeField(_("时间"))

    class Meta:
        verbose_name = _("接口应答")
        verbose_name_plural = _("接口应答")
        constraints = [models.UniqueConstraint(fields=["token", "key"], name="api_call_once")]
        indexes = [models.Index(fields=["created_at"], name="api_call_age")]
