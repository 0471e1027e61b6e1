"""素材库: what clerks may send, in which wording, where and until when."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from clerks.materials.models.posters import PosterTemplate
from retail.models import Brand, Product, Region, Staff, Store
from retail.scope import ANY, Paths, Scoped
from retail.wecom.models import Media


class Scene(models.TextChoices):
    """On what occasion one sends it: how a clerk looks for it, and how it is suggested for a lead."""

    NEW = "new", _("新款")
    STOCK = "stock", _("到货")
    BIRTHDAY = "birthday", _("生日")
    LIVE = "live", _("直播")
    OFFER = "offer", _("优惠")
    AFTER_SALE = "after_sale", _("买后关心")
    WAKE = "wake", _("好久没来")
    GREETING = "greeting", _("打招呼")
    DAILY = "daily", _("日常")


class MaterialCategory(Scoped):
    """素材分类 of a brand, in the order the phone shows them."""

    brand = models.ForeignKey(
        Brand, verbose_name=_("品牌"), on_delete=models.PROTECT, related_name="+", db_index=False
    )
    name = models.CharField(_("名称"), max_length=32)
    place = models.PositiveSmallIntegerField(_("顺序"), default=0)

    scope_paths = Paths(brand="brand", store=ANY, staff=ANY)

    class Meta:
        verbose_name = _("素材分类")
        verbose_name_plural = _("素材分类")
        ordering = ["brand", "place", "pk"]
        constraints = [models.UniqueConstraint(fields=["brand", "name"], name="material_category_once")]

    def __str__(self) -> str:
        return self.name


class Material(Scoped):
    """素材: one thing to send. What it says is in its versions; who may send it, when and for what, is here.

    Without stores, regions and grades it is for everybody of the brand; with several of these kinds a clerk has to fit
    each. `owner`: a quick reply of one clerk, seen by nobody else. A text is a script (话术).
    """

    class Kind(models.TextChoices):
        TEXT = "text", _("话术")
        PICTURES = "pictures", _("图片")
        LINK = "link", _("网页")
        VIDEO = "video", _("视频")
        FILE = "file", _("文件")
        MINIPROGRAM = "miniprogram", _("小程序")
        PRODUCT = "product", _("商品")
        LIVE = "live", _("直播预告")
        POSTER = "poster", _("海报")

    brand = models.ForeignKey(
        Brand, verbose_name=_("品牌"), on_delete=models.PROTECT, related_name="materials", db_index=False
    )
    kind = models.CharField(_("类型"), max_length=12, choices=Kind.choices)
    name = models.CharField(_("名称"), max_length=64)
    category = models.ForeignKey(
        MaterialCategory,
        verbose_name=_("分类"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="materials",
    )
    scene = models.CharField(_("场景"), max_length=12, choices=Scene.choices, default=Scene.DAILY)
    labels = ArrayField(models.CharField(max_length=20), verbose_name=_("标签"), default=list, blank=True)
    products = models.ManyToManyField(Product, verbose_name=_("商品"), related_name="materials", blank=True)
    template = models.ForeignKey(
        PosterTemplate,
        verbose_name=_("海报模板"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="materials",
    )
    stores = models.ManyToManyField(Store, verbose_name=_("只给这些门店"), related_name="+", blank=True)
    regions = models.ManyToManyField(Region, verbose_name=_("只给这些区域"), related_name="+", blank=True)
    grades = ArrayField(models.CharField(max_length=16), verbose_name=_("只给这些职级"), default=list, blank=True)
    valid_from = models.DateTimeField(_("从什么时候起能发"), null=True, blank=True)
    valid_until = models.DateTimeField(_("到什么时候为止"), null=True, blank=True)
    is_pinned = models.BooleanField(_("今日推荐"), default=False)
    is_active = models.BooleanField(_("启用"), default=True)
    owner = models.ForeignKey(
        Staff,
        verbose_name=_("谁的快捷回复"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="own_materials",
        editable=False,
    )
    made_at = models.DateTimeField(_("创建"))

    scope_paths = Paths(brand="brand", store=ANY, staff=ANY)

    class Meta:
        verbose_name = _("素材")
        verbose_name_plural = _("素材")
        constraints = [
            models.CheckConstraint(
                name="material_ends_after_it_begins",
                condition=Q(valid_from=None) | Q(valid_until=None) | Q(valid_from__lt=F("valid_until")),
                violation_error_message=_("结束时间要晚于开始时间。"),
            ),
            models.CheckConstraint(
                name="material_poster_has_a_template",
                condition=~Q(kind="poster") | Q(template__isnull=False),
                violation_error_message=_("海报要选一个模板。"),
            ),
            models.CheckConstraint(
                name="material_quick_reply_is_words",
                condition=Q(owner=None) | Q(kind="text"),
                violation_error_message=_("快捷回复只能是文字。"),
            ),
        ]
        indexes = [
            models.Index(fields=["brand", "scene"], name="material_of_scene"),
            models.Index(fields=["owner"], name="material_of_owner", condition=Q(owner__isnull=False)),
            GinIndex(fields=["labels"], name="material_of_label"),
        ]

    def __str__(self) -> str:
        return self.name


class MaterialVersion(Scoped):
    """What a material says. Once somebody else has approved it, it is never changed: a change is another version.

    What clerks send is the highest approved version whose `live_from` is past.
    """

    class State(models.TextChoices):
        DRAFT = "draft", _("草稿")
        WAITING = "waiting", _("待审核")
        APPROVED = "approved", _("已通过")
        RETURNED = "returned", _("已退回")

    material = models.ForeignKey(
        Material, verbose_name=_("素材"), on_delete=models.PROTECT, related_name="versions", db_index=False
    )
    number = models.PositiveSmallIntegerField(_("版本"))
    state = models.CharField(_("状态"), max_length=8, choices=State.choices, default=State.DRAFT)
    title = models.CharField(_("标题"), max_length=64, blank=True, default="")
    text = models.TextField(_("文字"), blank=True, default="")
    url = models.URLField(_("网址"), max_length=500, blank=True, default="")
    appid = models.CharField(_("小程序 AppID"), max_length=32, blank=True, default="")
    page = models.CharField(_("小程序页面"), max_length=255, blank=True, default="")
    price_fen = models.BigIntegerField(_("价格（分）"), null=True, blank=True)
    live_at = models.DateTimeField(_("开播时间"), null=True, blank=True)
    live_from = models.DateTimeField(_("定时上线"), null=True, blank=True)  # none: at once
    made_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("谁写的"), null=True, on_delete=models.PROTECT, related_name="+"
    )
    made_at = models.DateTimeField(_("创建"))
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("谁审核"), null=True, on_delete=models.PROTECT, related_name="+"
    )
    decided_at = models.DateTimeField(_("审核"), null=True)
    reason = models.CharField(_("退回原因"), max_length=200, blank=True, default="")

    scope_paths = Paths(brand="material__brand", store=ANY, staff=ANY)

    class Meta:
        verbose_name = _("素材版本")
        verbose_name_plural = _("素材版本")
        ordering = ["material", "-number"]
        constraints = [
            models.UniqueConstraint(fields=["material", "number"], name="material_version_once"),
            models.UniqueConstraint(
                fields=["material"], condition=Q(state__in=["draft", "waiting"]), name="material_one_open_version"
            ),
            models.CheckConstraint(
                name="material_version_by_two",
                condition=Q(decided_by=None) | Q(made_by=None) | ~Q(decided_by=F("made_by")),
                violation_error_message=_("自己写的要请别人审核。"),
            ),
            models.CheckConstraint(
                name="material_version_price",
                condition=Q(price_fen=None) | Q(price_fen__gte=0),
                violation_error_message=_("价格不能为负。"),
            ),
        ]

    def __str__(self) -> str:
        return _("%(name)s · 第 %(number)s 版") % {"name": self.material, "number": self.number}


class MaterialFile(Scoped):
    """A picture, video or file of a version, in its order. What was uploaded is never served: pictures are drawn anew.

    `small`: a picture of at most 480 pixels for lists, JPEG; of a video or file there is none.
    """

    version = models.ForeignKey(
        MaterialVersion, verbose_name=_("版本"), on_delete=models.CASCADE, related_name="files", db_index=False
    )
    place = models.PositiveSmallIntegerField(_("顺序"))
    media = models.ForeignKey(Media, verbose_name=_("文件"), on_delete=models.PROTECT, related_name="+")
    width = models.PositiveIntegerField(_("宽"), null=True)
    height = models.PositiveIntegerField(_("高"), null=True)
    small = models.BinaryField(_("缩略图"), default=b"", editable=False)

    scope_paths = Paths(brand="version__material__brand", store=ANY, staff=ANY)

    class Meta:
        verbose_name = _("素材文件")
        verbose_name_plural = _("素材文件")
        ordering = ["version", "place"]
        constraints = [models.UniqueConstraint(fields=["version", "place"], name="material_file_once")]

    def __str__(self) -> str:
        return f"{self.version} {self.place}"


class MaterialUpload(Scoped):
    """批量上传: files given at once, each of which becomes a draft; what came of each stands in `outcomes`.

    `outcomes`: [{"name": …, "material": id} | {"name": …, "error": words}], as the job goes on.
    """

    brand = models.ForeignKey(Brand, verbose_name=_("品牌"), on_delete=models.PROTECT, related_name="+")
    category = models.ForeignKey(
        MaterialCategory, verbose_name=_("分类"), null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    scene = models.CharField(_("场景"), max_length=12, choices=Scene.choices, default=Scene.DAILY)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("谁"), null=True, on_delete=models.PROTECT, related_name="+"
    )
    at = models.DateTimeField(_("时间"))
    count = models.PositiveIntegerField(_("文件数"), default=0)
    outcomes = models.JSONField(_("结果"), default=list)
    ended_at = models.DateTimeField(_("结束"), null=True)

    scope_paths = Paths(brand="brand", store=None, staff=None)

    class Meta:
        verbose_name = _("素材批量上传")
        verbose_name_plural = _("素材批量上传")

    def __str__(self) -> str:
        return f"{self.brand} {timezone.localtime(self.at):%Y-%m-%d %H:%M}"


class UploadedFile(models.Model):
    """One file of a batch until the job has looked at it."""

    upload = models.ForeignKey(
        MaterialUpload, verbose_name=_("批量上传"), on_delete=models.CASCADE, related_name="waiting"
    )
    name = models.CharField(_("文件名"), max_length=128)
    data = models.BinaryField(_("内容"))

    class Meta:
        verbose_name = _("待处理文件")
        verbose_name_plural = _("待处理文件")

    def __str__(self) -> str:
        return self.name


class Favourite(Scoped):
    """收藏: what a clerk keeps at hand."""

    staff = models.ForeignKey(
        Staff, verbose_name=_("导购"), on_delete=models.PROTECT, related_name="favourites", db_index=False
    )
    material = models.ForeignKey(
        Material, verbose_name=_("素材"), on_delete=models.PROTECT, related_name="favoured", db_index=False
    )
    at = models.DateTimeField(_("时间"))

    scope_paths = Paths(brand="material__brand", store=None, staff="staff")

    class Meta:
        verbose_name = _("收藏")
        verbose_name_plural = _("收藏")
        constraints = [models.UniqueConstraint(fields=["staff", "material"], name="favourite_once")]

    def __str__(self) -> str:
        return str(self.material)
