"""公告: one text to many of our people at once; what each of them gets is a `Notice`."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from retail.models import Post, Store, User
from retail.scope import Paths, Scoped


class Broadcast(Scoped):
    """公告. A draft until somebody has seen whom it reaches; then it goes out, at once or at its time.

    `asked`: what was chosen on the form, as {"brands": ids, "regions": ids, "stores": ids}. `stores`: what that came
    to when it was saved, in the scope of whoever saved it; who works there is looked up when it goes out.
    """

    class State(models.TextChoices):
        DRAFT = "draft", _("草稿")
        WAITING = "waiting", _("等发送")
        SENT = "sent", _("已发送")

    class Link(models.TextChoices):
        """Pages of the phone that a button below the text can lead to: names of addresses."""

        CUSTOMERS = "clerks:customers", _("我的顾客")
        EARNINGS = "clerks:month", _("我的收入")
        STATEMENTS = "clerks:statements", _("结算单")
        VOUCHERS = "clerks:vouchers", _("我的券")
        HELP = "clerks:help", _("求助")

    title = models.CharField(_("标题"), max_length=40)
    text = models.TextField(_("内容"), max_length=2000)
    link = models.CharField(_("下面的按钮打开"), max_length=32, choices=Link.choices, blank=True, default="")
    roles = ArrayField(models.CharField(max_length=16, choices=Post.Role.choices), verbose_name=_("发给谁"))
    asked = models.JSONField(_("选了什么"), default=dict, blank=True)
    stores = models.ManyToManyField(Store, verbose_name=_("门店"), related_name="+")
    send_at = models.DateTimeField(_("什么时候发"), null=True, blank=True)
    state = models.CharField(_("状态"), max_length=8, choices=State.choices, default=State.DRAFT)
    by = models.ForeignKey(User, verbose_name=_("谁写的"), null=True, on_delete=models.PROTECT, related_name="+")
    made_at = models.DateTimeField(_("写于"))
    sent_at = models.DateTimeField(_("发出"), null=True, blank=True)
    told = models.PositiveIntegerField(_("发给了多少人"), default=0)

    scope_paths = Paths(brand="stores__brand", store="stores", staff="notices__staff")
    scope_is_to_many = True

    class Meta:
        verbose_name = _("公告")
        verbose_name_plural = _("公告")
        constraints = [
            models.CheckConstraint(
                name="broadcast_sent_once", condition=Q(state="sent", sent_at__isnull=False) | ~Q(state="sent")
            )
        ]

    def __str__(self) -> str:
        return self.title
