"""标签: words for members, put on by hand, by WeCom or by a computation, and who knows it from where."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from members.models.people import Member
from retail.models import Brand, Staff
from retail.scope import ANY, Paths, Scoped


class Tag(Scoped):
    """A word. No brand: the whole group's. `corp_tag_id`: the same tag in WeCom, where it is mirrored.

    A clerk's own word (`staff`) is seen by that clerk alone. One that is switched off stays where it is, but is in
    force for nobody.
    """

    class Kind(models.TextChoices):
        COMPANY = "company", _("企业标签")
        CLERK = "clerk", _("导购标签")
        MODEL = "model", _("模型标签")

    brand = models.ForeignKey(
        Brand, verbose_name=_("品牌"), null=True, blank=True, on_delete=models.PROTECT, related_name="tags"
    )
    kind = models.CharField(_("类型"), max_length=8, choices=Kind.choices)
    code = models.CharField(_("编码"), max_length=64)
    group_name = models.CharField(_("标签组"), max_length=64, blank=True, default="")
    name = models.CharField(_("标签"), max_length=64)
    staff = models.ForeignKey(
        Staff, verbose_name=_("导购"), null=True, blank=True, on_delete=models.PROTECT, related_name="tags"
    )
    corp = models.CharField(_("企业微信"), max_length=64, blank=True, default="")
    corp_tag_id = models.CharField(_("企业微信标签"), max_length=64, blank=True, default="")
    is_active = models.BooleanField(_("在用"), default=True)

    scope_paths = Paths(brand="brand", store=ANY, staff=ANY, is_shared_without_brand=True)

    class Meta:
        verbose_name = _("标签")
        verbose_name_plural = _("标签")
        ordering = ["kind", "group_name", "name"]
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "brand", "staff", "code"],
                name="tag_once",
                nulls_distinct=False,
                violation_error_message=_("已经有这个标签了。"),
            ),
            models.UniqueConstraint(
                fields=["corp", "corp_tag_id"], name="tag_of_corp_once", condition=~Q(corp_tag_id="")
            ),
            models.CheckConstraint(
                name="tag_of_a_clerk_has_one",
                condition=Q(kind="clerk", staff__isnull=False) | (~Q(kind="clerk") & Q(staff=None)),
            ),
        ]

    def __str__(self) -> str:
        return self.name


class MemberTag(Scoped):
    """A tag on a member, from when to when, put on and taken off by whom. Ids in force lie in Profile.

    `why`: the numbers a computed one rests on, and `as_of` the day they are of (`members.tag_words` says them).
    `in_wecom`: WeCom holds it, too; when it does no more, the tag is off (`clerks.tagging`).
    """

    class Source(models.TextChoices):
        MANUAL = "manual", _("人工")
        WECOM = "wecom", _("企业微信")
        MODEL = "model", _("模型")
        IMPORT = "import", _("导入")

    member = models.ForeignKey(Member, verbose_name=_("会员"), on_delete=models.PROTECT, related_name="tags")
    brand = models.ForeignKey(
        Brand, verbose_name=_("品牌"), null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    tag = models.ForeignKey(Tag, verbose_name=_("标签"), on_delete=models.PROTECT, related_name="members")
    source = models.CharField(_("来源"), max_length=8, choices=Source.choices)
    staff = models.ForeignKey(
        Staff, verbose_name=_("谁打的"), null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    why = models.JSONField(_("依据"), default=dict, blank=True)
    in_wecom = models.BooleanField(_("企业微信也有"), default=False, db_default=False)
    as_of = models.DateField(_("算于"), null=True, blank=True)
    since = models.DateTimeField(_("从"))
    until = models.DateTimeField(_("到"), null=True, blank=True)
    ended_by = models.ForeignKey(
        Staff, verbose_name=_("谁摘的"), null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )

    scope_paths = Paths(brand="member__memberships__brand", store="member__memberships__purchases__store", staff=None)
    scope_is_to_many = True

    class Meta:
        verbose_name = _("会员标签")
        verbose_name_plural = _("会员标签")
        constraints = [
            models.UniqueConstraint(
                fields=["member", "brand", "tag", "source"],
                name="member_tag_once",
                condition=Q(until=None),
                nulls_distinct=False,
            )
        ]
        indexes = [models.Index(fields=["tag", "member"], name="member_tag_held", condition=Q(until=None))]
