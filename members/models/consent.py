"""What members allow, and what they do not want any more."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from members.models.people import Member
from retail.models import Franchisee
from retail.scope import Paths, Scoped


class Consent(Scoped):
    """同意流水: somebody agreed to a purpose by a version of a text, or took it back. Never changed.

    `company`: whom it was given to; empty stands for the group itself. The latest of a purpose and company holds. A
    merge leaves the rows with the member who said it.
    """

    class Purpose(models.TextChoices):
        MARKETING = "marketing", _("营销联系")
        PROFILING = "profiling", _("个性化推荐")
        PHONE = "phone", _("向公司提供手机号")

    member = models.ForeignKey(
        Member, verbose_name=_("会员"), on_delete=models.PROTECT, related_name="consents", db_index=False
    )
    company = models.ForeignKey(
        Franchisee, verbose_name=_("公司"), null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    purpose = models.CharField(_("目的"), max_length=16, choices=Purpose.choices)
    is_given = models.BooleanField(_("同意"))
    text_version = models.CharField(_("条款版本"), max_length=32, blank=True, default="")
    source = models.CharField(_("来源"), max_length=32)
    at = models.DateTimeField(_("时间"))
    noted_at = models.DateTimeField(_("记下"))

    scope_paths = Paths(brand="member__memberships__brand", store="member__memberships__purchases__store", staff=None)
    scope_is_to_many = True

    class Meta:
        verbose_name = _("同意记录")
        verbose_name_plural = _("同意记录")
        indexes = [models.Index(fields=["member", "-at"], name="consent_of_member")]
        constraints = [
            models.UniqueConstraint(
                fields=["member", "purpose", "company", "at"], name="consent_once", nulls_distinct=False
            )
        ]

    def __str__(self) -> str:
        return f"{self.member} {self.get_purpose_display()}"


class Stop(Scoped):
    """不要联系: a member asked one corp to be left alone, on a channel and for a purpose; "" stands for every one.

    A row is never changed but to be lifted (`lifted_at`); a new wish is a new row. Of the purpose `profiling` the corp
    is "": it holds for the whole group.
    """

    class Channel(models.TextChoices):
        ALL = "", _("任何方式")
        WECOM = "wecom", _("企业微信")
        SMS = "sms", _("短信")
        PHONE = "phone", _("电话")

    class Purpose(models.TextChoices):
        ALL = "", _("一切联系")
        MARKETING = "marketing", _("营销联系")
        PROFILING = "profiling", _("个性化推荐")

    member = models.ForeignKey(Member, verbose_name=_("会员"), on_delete=models.PROTECT, related_name="stops")
    corp = models.CharField(_("企业微信"), max_length=64, blank=True)
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
        return f"{self.member} {self.words}"

    @property
    def words(self) -> str:
        """What the customer asked for, as one says it; also of purposes only other rooms know (`Touch.Purpose`)."""
        said = _WISHES.get((self.channel, self.purpose))
        what = " · ".join(filter(None, (self.channel, self.purpose)))
        return str(said or _("不要联系（%(what)s）") % {"what": what})


_WISHES = {
    ("", ""): _("不要再联系"),
    ("", Stop.Purpose.MARKETING): _("不要发优惠"),
    ("", Stop.Purpose.PROFILING): _("不要个性化推荐"),
    (Stop.Channel.WECOM, ""): _("不要发企业微信消息"),
    (Stop.Channel.WECOM, Stop.Purpose.MARKETING): _("不要在企业微信里发优惠"),
    (Stop.Channel.SMS, ""): _("不要发短信"),
    (Stop.Channel.SMS, Stop.Purpose.MARKETING): _("不要发优惠短信"),
    (Stop.Channel.PHONE, ""): _("不要打电话"),
    (Stop.Channel.PHONE, Stop.Purpose.MARKETING): _("不要打电话推销"),
}
