"""Runs over history: a version tried on past orders, or past orders judged again. What they found is kept."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from commissions.models.plans import PlanVersion
from retail.models import Brand, Staff
from retail.scope import Paths, Scoped


class Run(Scoped):
    """One look at a range of days of a brand. A what-if never posts; a recompute may, after somebody saw what.

    waiting ─▶ running ─▶ ready ─▶ posting ─▶ posted; whatever is at work may end as cancelled or failed instead.
    """

    class Kind(models.TextChoices):
        WHAT_IF = "what_if", _("试算")
        RECOMPUTE = "recompute", _("重算")

    class State(models.TextChoices):
        WAITING = "waiting", _("排队")
        RUNNING = "running", _("计算中")
        READY = "ready", _("已算好")
        POSTING = "posting", _("过账中")
        POSTED = "posted", _("已过账")
        CANCELLED = "cancelled", pgettext_lazy("run", "已取消")
        FAILED = "failed", _("没有算成")

    AT_WORK = (State.WAITING, State.RUNNING, State.POSTING)

    kind = models.CharField(_("类型"), max_length=12, choices=Kind.choices)
    brand = models.ForeignKey(Brand, verbose_name=_("品牌"), on_delete=models.PROTECT, related_name="+")
    # Which version was tried; a recompute asks those that hold.
    version = models.ForeignKey(
        PlanVersion, verbose_name=_("方案版本"), null=True, on_delete=models.PROTECT, related_name="runs"
    )
    first_on = models.DateField(_("从"))
    last_on = models.DateField(_("到"))
    state = models.CharField(_("状态"), max_length=12, choices=State.choices, default=State.WAITING)
    done = models.PositiveIntegerField(_("已算的行"), default=0)
    total = models.PositiveIntegerField(_("一共的行"), default=0)
    began_at = models.DateTimeField(_("这一步开始"), null=True)
    noted_at = models.DateTimeField(_("进度时间"), null=True)
    # SHA-256 over the rules, the days and the facts it was worked out from; `facts` are those, to say what changed.
    input_hash = models.CharField(_("依据摘要"), max_length=64, blank=True, default="")
    facts = models.JSONField(_("依据"), default=dict)
    result = models.JSONField(_("结果"), default=dict)
    # Of a recompute: the orders whose entries would change.
    changed = ArrayField(models.BigIntegerField(), verbose_name=_("有变动的订单"), default=list)
    started_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("谁开始的"), null=True, on_delete=models.PROTECT, related_name="+"
    )
    started_at = models.DateTimeField(_("提出时间"))
    posted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("谁过的账"), null=True, on_delete=models.PROTECT, related_name="+"
    )
    ended_at = models.DateTimeField(_("结束时间"), null=True)
    trouble = models.CharField(_("问题"), max_length=300, blank=True, default="")

    scope_paths = Paths(brand="brand")

    class Meta:
        verbose_name = _("试算与重算")
        verbose_name_plural = _("试算与重算")
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(name="run_in_order", condition=Q(last_on__gte=F("first_on"))),
            models.CheckConstraint(
                name="run_tries_a_version",
                condition=Q(kind="what_if", version__isnull=False) | Q(kind="recompute", version=None),
            ),
        ]

    def __str__(self) -> str:
        what = self.version if self.version_id else self.brand
        return f"{self.get_kind_display()} {what} {self.first_on:%Y-%m-%d} – {self.last_on:%Y-%m-%d}"

    @property
    def is_at_work(self) -> bool:
        return self.state in self.AT_WORK

    @property
    def speed(self) -> int:
        """Lines a second since this step began."""
        if self.began_at is None or self.noted_at is None:
            return 0
        return int(self.done / max((self.noted_at - self.began_at).total_seconds(), 0.1))

    def seconds_left(self, now: datetime) -> int | None:
        """None while nobody can know."""
        if not self.speed or self.noted_at is None:
            return None
        return max(0, (self.total - self.done) // self.speed - int((now - self.noted_at).total_seconds()))


class RunFigure(Scoped):
    """What a run found for one person, role, store …: what is booked, and what would be."""

    class By(models.TextChoices):
        PERSON = "person", _("员工")
        ROLE = "role", _("角色")
        LABEL = "label", _("品牌标记")
        CHANNEL = "channel", _("渠道")
        STORE = "store", _("门店")
        RULE = "rule", _("规则")
        BONUS = "bonus", _("阶梯奖金")

    run = models.ForeignKey(
        Run, verbose_name=_("哪一次"), on_delete=models.PROTECT, related_name="figures", db_index=False
    )
    by = models.CharField(_("按什么"), max_length=8, choices=By.choices)
    staff = models.ForeignKey(
        Staff, verbose_name=_("员工"), null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    name = models.CharField(_("名称"), max_length=128, blank=True, default="")
    old_fen = models.BigIntegerField(_("原来（分）"))
    new_fen = models.BigIntegerField(_("现在（分）"))
    diff_fen: Any = models.GeneratedField(
        expression=F("new_fen") - F("old_fen"),
        output_field=models.BigIntegerField(),
        db_persist=True,
        verbose_name=_("差额（分）"),
    )
    old_lines = models.PositiveIntegerField(_("原来的行数"), default=0)  # of rules
    new_lines = models.PositiveIntegerField(_("现在的行数"), default=0)

    scope_paths = Paths(brand="run__brand")

    class Meta:
        verbose_name = _("试算明细")
        verbose_name_plural = _("试算明细")
        indexes = [models.Index(fields=["run", "by", "diff_fen"], name="run_figure_by_diff")]

    def __str__(self) -> str:
        return self.name or str(self.staff)
