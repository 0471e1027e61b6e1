"""人群: members of a brand who fit a condition now (rule), or did when the list was drawn (frozen)."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from members.models.people import Membership
from retail.models import Brand
from retail.scope import ANY, Paths, Scoped


class Segment(Scoped):
    """A condition with a name. `condition`: the grammar of `members.segments`, never SQL."""

    class Kind(models.TextChoices):
        RULE = "rule", _("按条件自动更新")
        FROZEN = "frozen", _("固定名单")

    brand = models.ForeignKey(Brand, verbose_name=_("品牌"), on_delete=models.PROTECT, related_name="segments")
    name = models.CharField(_("名称"), max_length=64)
    kind = models.CharField(_("类型"), max_length=8, choices=Kind.choices, default=Kind.RULE)
    condition = models.JSONField(_("条件"))
    is_dormant_only = models.BooleanField(_("只要沉睡会员"), default=False)
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

    def __str__(self) -> str:
        return self.name


class SegmentMember(models.Model):
    """Who is in it now. Read through its segment."""

    segment = models.ForeignKey(Segment, verbose_name=_("人群"), on_delete=models.CASCADE, related_name="members")
    membership = models.ForeignKey(Membership, verbose_name=_("会员"), on_delete=models.PROTECT, related_name="+")
    entered_at = models.DateTimeField(_("进入"))

    class Meta:
        verbose_name = _("人群成员")
        verbose_name_plural = _("人群成员")
        constraints = [models.UniqueConstraint(fields=["segment", "membership"], name="segment_member_once")]


class SegmentMove(models.Model):
    """Who entered or left when. Read through its segment."""

    segment = models.ForeignKey(Segment, verbose_name=_("人群"), on_delete=models.CASCADE, related_name="moves")
    membership = models.ForeignKey(Membership, verbose_name=_("会员"), on_delete=models.PROTECT, related_name="+")
    is_entry = models.BooleanField(_("进入"))
    at = models.DateTimeField(_("时间"))

    class Meta:
        verbose_name = _("人群变动")
        verbose_name_plural = _("人群变动")
        indexes = [models.Index(fields=["segment", "-at"], name="segment_move_newest")]
