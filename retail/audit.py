"""Who did what, when: one append-only row per act, written in the transaction of the act itself."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connection, models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from retail import logs
from retail.scope import Paths, Scoped


class AuditRow(Scoped):
    """One act. `before` and `after` hold field names and values; of a customer's data only numbers of rows.

    A row can never be changed, so nothing may stand in it that somebody can ask to be erased.
    """

    at = models.DateTimeField(_("时间"))
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("谁"),
        null=True,
        on_delete=models.PROTECT,
        db_constraint=False,
        db_index=False,
    )
    action = models.CharField(_("动作"), max_length=64)
    target_type = models.CharField(_("对象"), max_length=64)
    target_id = models.CharField(_("编号"), max_length=64)
    before = models.JSONField(_("之前"), null=True)
    after = models.JSONField(_("之后"), null=True)
    reason = models.TextField(_("原因"), blank=True, default="")

    # Only people without a limit (headquarters, auditors) read the whole journal.
    scope_paths = Paths()

    class Meta:
        verbose_name = _("操作记录")
        verbose_name_plural = _("操作记录")
        indexes = [
            models.Index(fields=["target_type", "target_id", "-at"], name="audit_by_target"),
            models.Index(fields=["by", "-at"], name="audit_by_person"),
            models.Index(fields=["-at"], name="audit_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.target_type} {self.target_id}"


def record(
    *,
    by: Any,
    action: str,
    target: models.Model | type[models.Model],
    now: Any,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    reason: str = "",
) -> AuditRow:
    """Write one act. `by` is the user, or None for the system itself; `before` / `after` must be plain JSON.

    `target` is the row it was done to, or a model when it was done to many of its rows (an export). Whoever writes
    a telephone number into the reason finds it struck out.
    """
    return AuditRow._base_manager.create(
        at=now,
        by=by,
        action=action,
        target_type=target._meta.label_lower,
        target_id=str(target.pk) if isinstance(target, models.Model) else "",
        before=before,
        after=after,
        reason=logs.struck(reason),
    )


class Act(NamedTuple):
    """What was done to one of many rows; `before` and `after` as in `record`."""

    target: models.Model
    before: dict[str, Any] | None
    after: dict[str, Any] | None


def record_many(*, by: Any, action: str, acts: Iterable[Act], now: Any, reason: str = "") -> None:
    """The same act on many rows: a line for each, all written at once."""
    reason = logs.struck(reason)
    AuditRow._base_manager.bulk_create(
        [
            AuditRow(
                at=now,
                by=by,
                action=action,
                target_type=act.target._meta.label_lower,
                target_id=str(act.target.pk),
                before=act.before,
                after=act.after,
                reason=reason,
            )
            for act in acts
        ],
        batch_size=2000,
    )


def one_by_one(*, by: Any, action: str) -> None:
    """Until commit nobody else counts this person's acts: two windows come one after the other."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, %s))", [action, by.pk])


def count_of_today(*, by: Any, action: str, now: Any) -> int:
    """How often this person has done it since midnight, here."""
    midnight = timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)
    return AuditRow._base_manager.filter(by=by, action=action, at__gte=midnight).count()
