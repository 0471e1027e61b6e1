"""Two members who may be one person: found by the matching, decided by a rule or by somebody who looks."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from members.models.people import Member
from retail.scope import Paths, Scoped


class Doubt(Scoped):
    """疑似同一人: a key points to both members. `one` has the smaller number.

    `evidence` holds ids alone, so that nothing of it is left when somebody is forgotten: {"keys": ids of the keys that
    point to both, "order": where it was an order that told them, "source": who told ("hand": one of ours), "rule":
    why they are one}. Whom a rule calls one person are merged by a job (`SURE`), unless a person kept them apart.
    """

    class State(models.TextChoices):
        OPEN = "open", _("待处理")
        SURE = "sure", _("自动合并中")
        MERGED = "merged", _("已合并")
        APART = "apart", _("不是同一人")

    one = models.ForeignKey(
        Member, verbose_name=_("会员一"), on_delete=models.PROTECT, related_name="+", db_index=False
    )
    other = models.ForeignKey(Member, verbose_name=_("会员二"), on_delete=models.PROTECT, related_name="+")
    evidence = models.JSONField(_("依据"), default=dict)
    state = models.CharField(_("处理"), max_length=8, choices=State.choices, default=State.OPEN)
    found_at = models.DateTimeField(_("发现"))
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("处理人"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
    )
    decided_at = models.DateTimeField(_("处理时间"), null=True, blank=True)

    scope_paths = Paths(brand="one__memberships__brand", store="one__memberships__purchases__store", staff=None)
    scope_is_to_many = True

    class Meta:
        verbose_name = _("疑似同一人")
        verbose_name_plural = _("疑似同一人")
        constraints = [
            models.UniqueConstraint(fields=["one", "other"], name="doubt_once"),
            models.CheckConstraint(name="doubt_smaller_first", condition=models.Q(one__lt=models.F("other"))),
        ]
        indexes = [models.Index(fields=["-id"], name="doubt_open", condition=models.Q(state__in=["open", "sure"]))]

    def __str__(self) -> str:
        return f"{self.one} · {self.other}"
