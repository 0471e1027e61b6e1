"""Lists that were too long to be taken away alone: what was asked for, and the file once somebody else agreed."""

from datetime import datetime

from django.apps import apps
from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

from retail.approvals import Approval
from retail.privacy import SealedField
from retail.scope import Paths, Scoped


class ExportFile(Scoped):
    """The rows somebody wants, by number, and for a day the file made of them. It is the asker's and nobody else's.

    The database itself shows a request only the files of its person (docs/adr/0010).
    """

    class Format(models.TextChoices):
        XLSX = "xlsx", "Excel"
        CSV = "csv", "CSV"
        ZIP = "zip", "ZIP"

    class State(models.TextChoices):
        WAITING = "waiting", _("等人同意")
        REFUSED = "refused", _("未同意")
        MAKING = "making", _("正在生成")
        READY = "ready", _("可以下载")
        GONE = "gone", _("已过期")
        EMPTIED = "emptied", _("已清空")

    class Because(models.TextChoices):
        """Why there is no file where one was to be."""

        FORGOTTEN = "forgotten", _("有会员要求删除资料，这份文件已清空，请重新导出。")
        LEFT = "left", _("提出的人已经停用，或不再有导出的权限，没有生成。")

    model = models.CharField(_("内容"), max_length=64)
    format = models.CharField(_("格式"), max_length=4, choices=Format.choices)
    ids = ArrayField(models.BigIntegerField(), verbose_name=_("选中的行"), editable=False)
    count = models.PositiveIntegerField(_("行数"))
    filter = models.CharField(_("筛选"), max_length=500, blank=True, default="")
    reason = models.CharField(_("用途"), max_length=200)
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("谁提出"), on_delete=models.PROTECT, related_name="+", db_index=False
    )
    # In which post it was asked for: the file holds what that post may see when it is made.
    post = models.ForeignKey(
        "retail.Post", verbose_name=_("岗位"), null=True, on_delete=models.PROTECT, related_name="+", editable=False
    )
    asked_at = models.DateTimeField(_("提出时间"))
    approval = models.OneToOneField(
        Approval, verbose_name=_("双人审批"), null=True, on_delete=models.PROTECT, related_name="+"
    )
    sealed = SealedField(_("文件"), null=True)
    made_at = models.DateTimeField(_("生成时间"), null=True)
    expires_at = models.DateTimeField(_("有效到"), null=True)
    empty_because = models.CharField(
        _("为什么没有文件"), max_length=16, choices=Because.choices, blank=True, default=""
    )

    scope_paths = Paths()

    class Meta:
        verbose_name = _("导出文件")
        verbose_name_plural = _("导出文件")
        indexes = [models.Index(fields=["asked_by", "-id"], name="export_of_person")]

    def __str__(self) -> str:
        return f"{self.content} #{self.pk}"

    @property
    def content(self) -> str:
        """What is in it, in words."""
        return str(apps.get_model(self.model)._meta.verbose_name)

    def state_at(self, now: datetime) -> str:
        if self.empty_because == self.Because.FORGOTTEN:
            return self.State.EMPTIED
        if self.made_at is not None:
            is_there = self.sealed is not None and self.expires_at is not None and now < self.expires_at
            return self.State.READY if is_there else self.State.GONE
        match self.approval.state if self.approval else "":
            case Approval.State.APPROVED:
                return self.State.MAKING
            case Approval.State.REFUSED:
                return self.State.REFUSED
            case Approval.State.EXPIRED | Approval.State.LAPSED:
                return self.State.GONE
        return self.State.WAITING
