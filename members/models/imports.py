"""Files of members that somebody gave in."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from retail.models import Brand
from retail.privacy import SealedField
from retail.scope import Paths, Scoped


class MemberImport(Scoped):
    """会员导入: one file and what became of its rows. Headquarters' alone: the file may hold everybody.

    mapping ──check──▶ checking ──▶ checked ──start──▶ running ──▶ done
       ▲                              │ other columns
       └──────────────────────────────┘            any of them ──▶ failed, with the trouble

    `done` rows are through; whoever takes the work over goes on behind them. File and refused rows lie sealed, and go
    after a week.
    """

    class State(models.TextChoices):
        MAPPING = "mapping", _("核对列")
        CHECKING = "checking", _("正在试运行")
        CHECKED = "checked", _("试运行完成")
        RUNNING = "running", _("正在导入")
        DONE = "done", _("已完成")
        FAILED = "failed", _("中断")

    brand = models.ForeignKey(Brand, verbose_name=_("品牌"), on_delete=models.PROTECT, related_name="+")
    name = models.CharField(_("文件名"), max_length=128)
    digest = models.CharField(_("内容指纹"), max_length=32)
    content = SealedField(_("文件"), null=True, of=["digest"])  # as CSV, whatever it came as
    columns = models.JSONField(_("对应的列"), default=list)  # of each column of the file ours, or ""
    state = models.CharField(_("状态"), max_length=8, choices=State.choices, default=State.MAPPING)
    total = models.PositiveIntegerField(_("总行数"), default=0)
    done = models.PositiveIntegerField(_("已处理"), default=0)
    counts = models.JSONField(_("结果"), default=dict)
    refused = SealedField(_("未导入的行"), null=True, of=["digest"])
    is_cut = models.BooleanField(_("文件不完整"), default=False)
    trouble = models.CharField(_("问题"), max_length=300, blank=True, default="")
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("谁上传"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
    )
    made_at = models.DateTimeField(_("上传"))
    started_at = models.DateTimeField(_("开始"), null=True, blank=True)
    noted_at = models.DateTimeField(_("更新"), null=True, blank=True)
    ended_at = models.DateTimeField(_("结束"), null=True, blank=True)

    scope_paths = Paths(brand="brand")

    class Meta:
        verbose_name = _("会员导入")
        verbose_name_plural = _("会员导入")

    def __str__(self) -> str:
        return self.name

    @property
    def is_at_work(self) -> bool:
        return self.state in (self.State.CHECKING, self.State.RUNNING)
