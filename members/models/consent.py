"""What members allow, and what they do not want any more."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from members.models.people import Member
from retail.models import Franchisee
from retail.scope import Paths, Scoped


class Consent(Scoped):
    """同意流水: somebody agreed to a purpose by a version of a text, or took it back. Never changed.

    `company`: whom it was given to; empty stands for the group itself.
    """

    member = models.ForeignKey(Member, verbose_name=_("会员"), on_delete=models.PROTECT, related_name="consents")
    company = models.ForeignKey(
        Franchisee, verbose_name=_("公司"), null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    purpose = models.CharField(_("目的"), max_length=16)
    is_given = models.BooleanField(_("同意"))
    text_version = models.CharField(_("条款版本"), max_length=32, blank=True, default="")
    source = models.CharField(_("来源"), max_length=32)
    at = models.DateTimeField(_("时间"))

    scope_paths = Paths(brand="member__memberships__brand", store="member__memberships__purchases__store", staff=None)
    scope_is_to_many = True

    class Meta:
        verbose_name = _("同意记录")
        verbose_name_plural = _("同意记录")
        indexes = [models.Index(fields=["member", "-at"], name="consent_of_member")]


class Stop(Scoped):
    """不要联系: a member asked one corp to be left alone, on a channel and for a purpose; "" stands for every one.

    A row is never changed: a later consent lifts it (`lifted_at`), a new wish is a new row.
    """

    member = models.ForeignKey(Member, verbose_name=_("会员"), on_delete=models.PROTECT, related_name="stops")
    corp = models.CharField(_("企业微信"), max_length=64)
    channel = models.CharField(_("渠道"), max_length=16, blank=True, default="")
    purpose = models.CharField(_("目的"), max_length=16, blank=True, default="")
    at = models.DateTimeField(_("时间"))
    lifted_at = models.DateTimeField(_("取消"), null=True, blank=True)

    scope_paths = Paths(brand="member__memberships__brand", store="member__memberships__purchases__store", staff=None)
    scope_is_to_many = True

    class Meta:
        verbose_name = _("不要联系")
        verbose_name_plural = _("不要联系")
        constraints = [
            models.UniqueConstraint(
                fields=["member", "corp", "channel", "purpose"], name="stop_once", condition=Q(lifted_at=None)
            )
        ]

    def __str__(self) -> str:
        return f"{self.member} {self.channel} {self.purpose}".strip()
