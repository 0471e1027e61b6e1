"""What is said: welcomes to customers, touches of any kind, notices to our own people."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from clerks.models.broadcasts import Broadcast
from clerks.models.codes import ContactWay
from clerks.models.friends import Friend
from members.models import Member
from retail.models import Brand, BuyerKey, Staff, Store
from retail.scope import Paths, Scoped, ScopedManager
from retail.wecom.models import Call, Media, Message


class Welcome(Scoped):
    """欢迎语: what a new friend reads first. The narrowest that fits is sent: of the code, clerk, store, brand.

    The text may hold {clerk}, {store} and {brand}. Between `starts` and `ends` (times of Shanghai; may span midnight).
    """

    name = models.CharField(_("名称"), max_length=64)
    brand = models.ForeignKey(Brand, verbose_name=_("品牌"), on_delete=models.PROTECT, related_name="welcomes")
    way = models.ForeignKey(
        ContactWay,
        verbose_name=_("渠道活码"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="welcomes",
    )
    staff = models.ForeignKey(
        Staff, verbose_name=_("导购"), null=True, blank=True, on_delete=models.PROTECT, related_name="welcomes"
    )
    store = models.ForeignKey(
        Store, verbose_name=_("门店"), null=True, blank=True, on_delete=models.PROTECT, related_name="welcomes"
    )
    starts = models.TimeField(_("每天从"), null=True, blank=True)
    ends = models.TimeField(_("到"), null=True, blank=True)
    text = models.TextField(_("文字"), max_length=4000)  # WeCom counts bytes: `clerks.outreach.wording`
    is_active = models.BooleanField(_("启用"), default=True)

    scope_paths = Paths(brand="brand", store="store", staff="staff")

    class Meta:
        verbose_name = _("欢迎语")
        verbose_name_plural = _("欢迎语")
        constraints = [
            models.CheckConstraint(
                name="welcome_has_both_times",
                condition=Q(starts=None, ends=None) | Q(starts__isnull=False, ends__isnull=False),
                violation_error_message=_("时间要么都填，要么都空。"),
            )
        ]

    def __str__(self) -> str:
        return self.name


class WelcomePart(Scoped):
    """附件 of a welcome, at most nine: a picture, a link, a mini-program card, a video or a file.

    What is no link lies in `media`, or, of pictures, at an address of ours.
    """

    class Kind(models.TextChoices):
        IMAGE = "image", _("图片")
        LINK = "link", _("网页")
        MINIPROGRAM = "miniprogram", _("小程序")
        VIDEO = "video", _("视频")
        FILE = "file", _("文件")

    welcome = models.ForeignKey(Welcome, verbose_name=_("欢迎语"), on_delete=models.CASCADE, related_name="parts")
    kind = models.CharField(_("类型"), max_length=12, choices=Kind.choices)
    title = models.CharField(_("标题"), max_length=40, blank=True, default="")
    about = models.CharField(_("说明"), max_length=170, blank=True, default="")
    url = models.URLField(_("网址"), max_length=500, blank=True, default="")
    picture_url = models.URLField(_("图片网址"), max_length=500, blank=True, default="")
    media = models.ForeignKey(
        Media, verbose_name=_("素材"), null=True, blank=True, on_delete=models.PROTECT, related_name="parts"
    )
    appid = models.CharField("AppID", max_length=64, blank=True, default="")
    page = models.CharField(_("小程序页面"), max_length=200, blank=True, default="")

    scope_paths = Paths(brand="welcome__brand", store="welcome__store", staff="welcome__staff")

    class Meta:
        verbose_name = _("附件")
        verbose_name_plural = _("附件")
        constraints = [
            models.CheckConstraint(
                name="welcome_part_is_whole",
                condition=(
                    (Q(kind="image") & (~Q(picture_url="") | Q(media__isnull=False)))
                    | (Q(kind="link") & ~Q(title="") & ~Q(url=""))
                    | (Q(kind="miniprogram") & ~Q(title="") & Q(media__isnull=False) & ~Q(appid="") & ~Q(page=""))
                    | (Q(kind__in=["video", "file"]) & Q(media__isnull=False))
                ),
                violation_error_message=_(
                    "图片要网址或素材；网页要标题和网址；小程序要标题、封面素材、AppID 和页面；视频和文件要素材。"
                ),
            )
        ]

    def __str__(self) -> str:
        return self.title or (self.media.name if self.media else "") or self.get_kind_display()


class Greeting(Scoped):
    """What became of one WelcomeCode. `took_ms`: from the callback to WeCom's answer; `left_out`: attachments that
    could not be had in time, without which it was sent.
    """

    class State(models.TextChoices):
        WAITING = "waiting", _("发送中")
        SENT = "sent", _("已发送")
        TAKEN = "taken", _("别的应用已发")
        MISSED = "missed", _("错过了")
        REFUSED = "refused", _("按顾客要求没发")
        NOTHING = "nothing", _("没有可用的欢迎语")

    message = models.OneToOneField(Message, on_delete=models.PROTECT, related_name="greeting")
    key = models.ForeignKey(BuyerKey, verbose_name=_("顾客标识"), on_delete=models.PROTECT, related_name="+")
    staff = models.ForeignKey(
        Staff, verbose_name=_("导购"), null=True, blank=True, on_delete=models.PROTECT, related_name="greetings"
    )
    store = models.ForeignKey(
        Store, verbose_name=_("门店"), null=True, blank=True, on_delete=models.PROTECT, related_name="greetings"
    )
    welcome = models.ForeignKey(
        Welcome, verbose_name=_("欢迎语"), null=True, blank=True, on_delete=models.PROTECT, related_name="greetings"
    )
    state = models.CharField(_("结果"), max_length=8, choices=State.choices, default=State.WAITING)
    attempts = models.PositiveSmallIntegerField(_("次数"), default=0)
    errcode = models.IntegerField(_("错误码"), null=True, blank=True)
    received_at = models.DateTimeField(_("收到"))
    took_ms = models.PositiveIntegerField(_("用时（毫秒）"), null=True, blank=True)
    left_out = models.PositiveSmallIntegerField(_("没带上的附件"), default=0, db_default=0)

    scope_paths = Paths(brand="store__brand", store="store", staff="staff")

    class Meta:
        verbose_name = _("欢迎语发送")
        verbose_name_plural = _("欢迎语发送")

    def __str__(self) -> str:
        return self.get_state_display()


class Touch(Scoped):
    """One contact with a customer, or one answer of theirs. What counts for caps and rest is looked up here."""

    class Purpose(models.TextChoices):
        WELCOME = "welcome", _("欢迎语")
        SERVICE = "service", _("服务")
        MARKETING = "marketing", _("营销")
        REPLY = "reply", _("顾客回复")
        OPENED = "opened", _("顾客打开素材")

    corp = models.CharField(_("企业微信"), max_length=64)
    member = models.ForeignKey(
        Member, verbose_name=_("会员"), on_delete=models.PROTECT, related_name="touches", db_index=False
    )
    staff = models.ForeignKey(
        Staff, verbose_name=_("导购"), null=True, blank=True, on_delete=models.PROTECT, related_name="touches"
    )
    store = models.ForeignKey(
        Store, verbose_name=_("门店"), null=True, blank=True, on_delete=models.PROTECT, related_name="touches"
    )
    purpose = models.CharField(_("目的"), max_length=12, choices=Purpose.choices)
    at = models.DateTimeField(_("时间"))
    effect = models.CharField(max_length=64, unique=True)  # what caused it: the same again is the same row

    scope_paths = Paths(brand="store__brand", store="store", staff="staff")

    class Meta:
        verbose_name = _("触达")
        verbose_name_plural = _("触达")
        indexes = [models.Index(fields=["member", "-at"], name="touch_of_member")]

    def __str__(self) -> str:
        return f"{self.get_purpose_display()} {self.at:%Y-%m-%d}"


class NoticeQuerySet(models.QuerySet["Notice"]):
    def unread(self) -> "NoticeQuerySet":
        return self.filter(read_at=None)

    def open(self) -> "NoticeQuerySet":
        """To-dos that nobody has done."""
        return self.filter(is_todo=True, done_at=None)


class Notice(Scoped):
    """通知 to one of our people: on their phone page, read or unread, and in the WeCom app; it opens its record.

    Those of one `broadcast` have its words, and share the messages in the app. `reminded`: how often on the day of
    `reminded_at`.
    """

    class Kind(models.TextChoices):
        WELCOME_MISSED = "welcome_missed", _("欢迎语没发出去")
        CODE_TROUBLE = "code_trouble", _("活码有问题")
        MEDIA_TROUBLE = "media_trouble", _("素材有问题")
        STAFF_LEFT = "staff_left", _("员工离职")
        SYNC_STOPPED = "sync_stopped", _("核对已刹车")
        ACQUISITION = "acquisition", _("获客助手")
        BROADCAST = "broadcast", _("公告")
        HELP = "help", _("求助")
        LEADS = "leads", _("线索")
        TOLD = "told", _("通知")

    staff = models.ForeignKey(
        Staff, verbose_name=_("收件人"), on_delete=models.PROTECT, related_name="notices", db_index=False
    )
    store = models.ForeignKey(
        Store, verbose_name=_("门店"), null=True, blank=True, on_delete=models.PROTECT, related_name="notices"
    )
    kind = models.CharField(_("类型"), max_length=16, choices=Kind.choices)
    title = models.CharField(_("标题"), max_length=64)
    text = models.CharField(_("内容"), max_length=500, blank=True, default="")
    about_type = models.CharField(max_length=64, blank=True, default="")
    about_id = models.CharField(max_length=32, blank=True, default="")
    friend = models.ForeignKey(
        Friend, verbose_name=_("顾客"), null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    broadcast = models.ForeignKey(
        Broadcast,
        verbose_name=_("公告"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="notices",
        db_index=False,
    )
    is_todo = models.BooleanField(_("要处理"), default=False)
    effect = models.CharField(max_length=96, unique=True)  # the same again is the same row
    call = models.ForeignKey(Call, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(_("发出"))
    read_at = models.DateTimeField(_("已读"), null=True, blank=True)
    done_at = models.DateTimeField(_("处理"), null=True, blank=True)
    reminded_at = models.DateTimeField(_("上次提醒"), null=True, blank=True)
    reminded = models.PositiveSmallIntegerField(_("当天提醒了几次"), default=0, db_default=0)

    scope_paths = Paths(brand="store__brand", store="store", staff="staff")
    objects = ScopedManager.from_queryset(NoticeQuerySet)()  # type: ignore[misc]  # replaces the base's manager

    class Meta:
        verbose_name = _("通知")
        verbose_name_plural = _("通知")
        indexes = [
            models.Index(fields=["staff", "-id"], name="notice_of_staff"),
            models.Index(fields=["staff"], name="notice_unread", condition=Q(read_at=None)),
            models.Index(
                fields=["broadcast", "store"], name="notice_of_broadcast", condition=Q(broadcast__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return self.title
