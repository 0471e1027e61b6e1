"""人群: members of a brand who fit a condition now (rule), or did when the list was drawn (frozen)."""

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from members.models.people import Membership
from retail.models import Brand
from retail.scope import ANY, Paths, Scoped


class Segment(Scoped):
    """A condition with a name. `condition`: the grammar of `members.segments`, never SQL.

    Who bought lately can be left out: `is_dormant_only` by the days the house has set (DAOGOU_DORMANT_DAYS),
    `rest_days` by days of the segment's own. `size`: how many there were when it was last refreshed.
    """

    class Kind(models.TextChoices):
        RULE = "rule", _("按条件自动更新")
        FROZEN = "frozen", _("固定名单")

    brand = models.ForeignKey(Brand, verbose_name=_("品牌"), on_delete=models.PROTECT, related_name="segments")
    name = models.CharField(_("名称"), max_length=64)
    kind = models.CharField(_("类型"), max_length=8, choices=Kind.choices, default=Kind.RULE)
    condition = models.JSONField(_("条件"))
    is_dormant_only = models.BooleanField(_("只要沉睡会员"), default=False)
    rest_days = models.PositiveSmallIntegerField(
        _("最近几天内买过的不要"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(3650)],
    )
    size = models.PositiveIntegerField(_("人数"), default=0)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("创建人"), null=True, blank=True, on_delete=models.PROTECT
    )
    created_at = models.DateTimeField(_("创建"))
    refreshed_at = models.DateTimeField(_("更新"), null=True, blank=True)
    ended_at = models.DateTimeField(_("停用"), null=True, blank=True)

    scope_paths = Paths(brand="brand", store=ANY, staff=ANY)

    class Meta:
        verbose_name = _("人群")
        verbose_name_plural = _("人群")
        constraints = [
            models.UniqueConstraint(
                fields=["brand", "name"],
                name="segment_name_once",
                condition=Q(ended_at=None),
                violation_error_message=_("这个品牌已经有一个叫这个名字的人群。"),
            )
        ]

    @property
    def is_frozen(self) -> bool:
        return self.kind == self.Kind.FROZEN

    def __str__(self) -> str:
        return self.name


class SegmentMember(models.Model):
    """Who is in it now. Read through its segment."""

    segment = models.ForeignKey(
        Segment, verbose_name=_("人群"), on_delete=models.CASCADE, related_name="members", db_index=False
    )
    membership = models.ForeignKey(Membership, verbose_name=_("会员"), on_delete=models.PROTECT, related_name="+")
    entered_at = models.DateTimeField(_("进入"))

    class Meta:
        verbose_name = _("人群成员")
        verbose_name_plural = _("人群成员")
        constraints = [models.UniqueConstraint(fields=["segment", "membership"], name="segment_member_once")]


class SegmentMove(models.Model):
    """Who entered or left when; never changed. Read through its segment."""

    segment = models.ForeignKey(
        Segment, verbose_name=_("人群"), on_delete=models.CASCADE, related_name="moves", db_index=False
    )
    membership = models.ForeignKey(Membership, verbose_name=_("会员"), on_delete=models.PROTECT, related_name="+")
    is_entry = models.BooleanField(_("进入"))
    at = models.DateTimeField(_("时间"))

    class Meta:
        verbose_name = _("人群变动")
        verbose_name_plural = _("人群变动")
        indexes = [models.Index(fields=["segment", "-at"], name="segment_move_newest")]


class SegmentSize(models.Model):
    """人群大小: how many there were after a refresh that changed something, and how it came to that.

    `left_out`: fit the condition and had bought too lately. Read through its segment; never changed.
    """

    segment = models.ForeignKey(
        Segment, verbose_name=_("人群"), on_delete=models.CASCADE, related_name="sizes", db_index=False
    )
    at = models.DateTimeField(_("时间"))
    size = models.PositiveIntegerField(_("人数"))
    entered = models.PositiveIntegerField(_("进入"))
    left = models.PositiveIntegerField(_("离开"))
    left_out = models.PositiveIntegerField(_("最近买过，不算在内"))

    class Meta:
        verbose_name = _("人群大小")
        verbose_name_plural = _("人群大小")
        constraints = [models.UniqueConstraint(fields=["segment", "at"], name="segment_size_once")]
