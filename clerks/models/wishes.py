"""A tag that is to be on a friend in WeCom, or off it, and is on its way there."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from clerks.models.friends import Friend
from members.models import Tag
from retail.scope import Paths, Scoped
from retail.wecom.models import Call


class TagWish(Scoped):
    """Waits (no call), is being sent, or was done at `done_at`: a reading asked before then knows nothing of it."""

    friend = models.ForeignKey(Friend, verbose_name=_("好友"), on_delete=models.PROTECT, related_name="tag_wishes")
    tag = models.ForeignKey(Tag, verbose_name=_("标签"), on_delete=models.PROTECT, related_name="+")
    is_on = models.BooleanField(_("打上"))
    call = models.ForeignKey(
        Call, verbose_name=_("发送"), null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(_("创建"))
    done_at = models.DateTimeField(_("完成"), null=True, blank=True)

    scope_paths = Paths(brand="friend__store__brand", store="friend__store", staff="friend__staff")

    class Meta:
        verbose_name = _("待同步的标签")
        verbose_name_plural = _("待同步的标签")
        constraints = [models.UniqueConstraint(fields=["friend", "tag"], name="tag_wish_once", condition=Q(call=None))]
