"""Two persons for one act: one asks, another decides, and only then it happens.

A kind of act is a function, registered under a name with the permission its decision takes:

    @approvals.kind("post.grant", name=_("授予总部岗位"), permission="retail.decide_post")
    def grant(*, target_id: str, payload: dict, by: User, now: datetime) -> None: ...

`ask` keeps what is wanted, `decide` runs the function in its own transaction with the decision and the journal. A
function that leaves the work to a job returns its number, so that the page can say what became of it. Where not
everybody with the permission may agree to everything, `objection=` says why somebody may not.

What waits ends by itself after a week, when its asker may no longer ask for it, or when it was done another way.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Protocol

from django.apps import apps
from django.conf import settings
from django.contrib.auth.models import Permission
from django.db import IntegrityError, models, transaction
from django.db.models import Q
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from retail import audit, logs
from retail.scope import Paths, Scoped

LIFE = timedelta(days=7)


class Refused(ValueError):
    """This cannot be asked for, or not be decided by this person; the message is for the person at the screen."""


class Act(Protocol):
    """What happens once a second person agrees; the number of the job that does it, if one does.

    Raises Refused when it no longer can.
    """

    def __call__(self, *, target_id: str, payload: dict[str, Any], by: Any, now: datetime) -> int | None: ...


class Objection(Protocol):
    """Why somebody must not agree to this, in words for them; "" when they may."""

    def __call__(self, *, payload: dict[str, Any], by: Any) -> str: ...


def _no_objection(*, payload: dict[str, Any], by: Any) -> str:
    return ""


class Kind(NamedTuple):
    name: str | Promise
    permission: str
    act: Act
    objection: Objection


KINDS: dict[str, Kind] = {}


def kind(
    code: str, *, name: str | Promise, permission: str, objection: Objection = _no_objection
) -> Callable[[Act], Act]:
    """Register the function that carries out approvals of this kind."""

    def register(act: Act) -> Act:
        KINDS[code] = Kind(name, permission, act, objection)
        return act

    return register


class Approval(Scoped):
    """Something one person wants and another must agree to. `before` / `after` say it in words, for the decider.

    `store` and `brand` are those it touches; without them only people without a limit see and decide it.
    """

    class State(models.TextChoices):
        WAITING = "waiting", gettext_lazy("等待")
        APPROVED = "approved", pgettext_lazy("approval", "已同意")
        REFUSED = "refused", gettext_lazy("未同意")
        EXPIRED = "expired", gettext_lazy("已过期")
        LAPSED = "lapsed", pgettext_lazy("approval", "已作废")

    kind = models.CharField(gettext_lazy("事项"), max_length=64)
    target_type = models.CharField(gettext_lazy("对象"), max_length=64)
    target_id = models.CharField(gettext_lazy("编号"), max_length=64)
    payload = models.JSONField(default=dict, editable=False)
    before = models.JSONField(gettext_lazy("之前"), default=dict)
    after = models.JSONField(gettext_lazy("之后"), default=dict)
    reason = models.TextField(gettext_lazy("原因"), blank=True, default="")
    brand = models.ForeignKey(
        "retail.Brand", verbose_name=gettext_lazy("品牌"), null=True, on_delete=models.PROTECT, related_name="+"
    )
    store = models.ForeignKey(
        "retail.Store", verbose_name=gettext_lazy("门店"), null=True, on_delete=models.PROTECT, related_name="+"
    )
    state = models.CharField(gettext_lazy("状态"), max_length=8, choices=State.choices, default=State.WAITING)
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=gettext_lazy("谁提出"), on_delete=models.PROTECT, related_name="+"
    )
    asked_at = models.DateTimeField(gettext_lazy("提出时间"))
    expires_at = models.DateTimeField(gettext_lazy("有效到"))
    # The permission that it took to ask; who loses it meanwhile asks no more. "": a post is enough.
    needs = models.CharField(gettext_lazy("提出要有的权限"), max_length=100, blank=True, default="", editable=False)
    # Whom it is about, if anybody: they do not decide it either.
    concerns = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+", editable=False
    )
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=gettext_lazy("谁决定"),
        null=True,
        on_delete=models.PROTECT,
        related_name="+",
    )
    decided_at = models.DateTimeField(gettext_lazy("决定时间"), null=True)
    answer = models.TextField(gettext_lazy("答复"), blank=True, default="")
    # What carries it out; done jobs are deleted after a week, so that there may be none.
    job_id = models.BigIntegerField(gettext_lazy("任务"), null=True, editable=False)

    scope_paths = Paths(brand="brand", store="store")

    class Meta:
        verbose_name = gettext_lazy("双人审批")
        verbose_name_plural = gettext_lazy("双人审批")
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "target_type", "target_id"], condition=Q(state="waiting"), name="approval_waits_once"
            ),
            models.CheckConstraint(
                name="approval_decided_by_another",
                condition=Q(state__in=["waiting", "expired", "lapsed"], decided_by=None, decided_at=None)
                | Q(state__in=["approved", "refused"], decided_by__isnull=False, decided_at__isnull=False)
                & ~Q(decided_by=models.F("asked_by")),
                violation_error_message=gettext_lazy("提出的人不能自己决定。"),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.title} #{self.pk}"

    @property
    def title(self) -> str:
        return str(KINDS[self.kind].name) if self.kind in KINDS else self.kind

    def objection(self, *, by: Any, now: datetime, is_approved: bool) -> str:
        """Why `by` may not say yes (or no) now; "" when they may. Whether they see it is the scope's business."""
        if self.state == self.State.LAPSED:
            return self.answer
        if self.state != self.State.WAITING or self.expires_at <= now:
            state = self.State.EXPIRED if self.state == self.State.WAITING else self.State(self.state)
            return _("这件事已经不在等待：%(state)s。") % {"state": state.label}
        return _objection(self, by, is_approved)


def ask(
    *,
    kind: str,
    target: models.Model,
    payload: dict[str, Any],
    by: Any,
    reason: str,
    now: datetime,
    needs: str = "",
    before: dict[str, str] | None = None,
    after: dict[str, str] | None = None,
    concerns: Any = None,
    brand_id: int | None = None,
    store_id: int | None = None,
) -> Approval:
    """Put an act before a second person. Raises Refused while the same is already waiting, KeyError for no such kind.

    `payload` is plain JSON for the act; `before` and `after` are words for people: {name: what it says}. `needs` is
    the permission that the asker must still have when it is decided ("retail.export_order").
    """
    KINDS[kind]
    expire(now=now)
    try:
        with transaction.atomic():
            row = Approval._base_manager.create(
                kind=kind,
                target_type=target._meta.label_lower,
                target_id=str(target.pk),
                payload=payload,
                before=before or {},
                after=after or {},
                reason=logs.struck(reason),
                needs=needs,
                brand_id=brand_id,
                store_id=store_id,
                asked_by=by,
                asked_at=now,
                expires_at=now + LIFE,
                concerns=concerns,
            )
            audit.record(by=by, action="approval.ask", target=row, now=now, before=before, after=after, reason=reason)
    except IntegrityError:
        raise Refused(_("同样的事项已经在等人审批。")) from None
    return row


def decide(*, approval: Approval, by: Any, is_approved: bool, now: datetime, answer: str = "") -> Approval:
    """Say yes or no, and on yes do it: one transaction, with the journal. Raises Refused; then nothing happened.

    A no says why (`answer`). Call it inside the scope of the decider: an approval outside it is not there
    (Approval.DoesNotExist).
    """
    expire(now=now)
    with transaction.atomic():
        row = Approval.objects.select_for_update(of=("self",)).get(pk=approval.pk)
        if objection := row.objection(by=by, now=now, is_approved=is_approved):
            raise Refused(objection)
        if not is_approved and not answer.strip():
            raise Refused(_("请写明为什么不同意。"))
        row.state = Approval.State.APPROVED if is_approved else Approval.State.REFUSED
        row.decided_by, row.decided_at, row.answer = by, now, logs.struck(answer.strip())
        row.save(update_fields=["state", "decided_by", "decided_at", "answer"])
        action = "approval.approve" if is_approved else "approval.refuse"
        reason = row.answer or row.reason
        audit.record(by=by, action=action, target=row, now=now, before=row.before, after=row.after, reason=reason)
        if is_approved:
            row.job_id = KINDS[row.kind].act(target_id=row.target_id, payload=row.payload, by=by, now=now)
            row.save(update_fields=["job_id"])
    return row


@transaction.atomic
def expire(*, now: datetime) -> int:
    """Close what nobody decided in time, and what its asker may no longer ask for; how many."""
    rows = _waiting().select_related("asked_by")
    late = [row for row in rows if row.expires_at <= now]
    left = [row for row in rows if row not in late and not _may_still_ask(row, now)]
    for row in late:
        _close(row, state=Approval.State.EXPIRED, action="approval.expire", answer="", by=None, now=now)
    for row in left:
        why = _("提出的人已经停用，或不再有提出这件事的权限，请由在职的人重新提出。")
        _close(row, state=Approval.State.LAPSED, action="approval.lapse", answer=why, by=None, now=now)
    return len(late) + len(left)


@transaction.atomic
def lapse(*, kind: str, target: models.Model, why: str, by: Any, now: datetime) -> int:
    """Close what waits for a decision that nobody has to take any more: it was done another way; how many."""
    rows = _waiting().filter(kind=kind, target_type=target._meta.label_lower, target_id=str(target.pk))
    for row in rows:
        _close(row, state=Approval.State.LAPSED, action="approval.lapse", answer=why, by=by, now=now)
    return len(rows)


def _waiting() -> models.QuerySet[Approval]:
    """What waits and is not just being decided by somebody."""
    rows = Approval._base_manager.filter(state=Approval.State.WAITING).order_by("pk")
    return rows.select_for_update(of=("self",), skip_locked=True)


def _close(row: Approval, *, state: str, action: str, answer: str, by: Any, now: datetime) -> None:
    row.state, row.answer = state, answer
    row.save(update_fields=["state", "answer"])
    audit.record(by=by, action=action, target=row, now=now, before=row.before, after=row.after, reason=answer)


def _may_still_ask(row: Approval, now: datetime) -> bool:
    """Whether who asked could ask now: an account in use, and a post whose role allows it unless it is the owner's."""
    asker = row.asked_by
    if not asker.is_active or asker.is_superuser:
        return asker.is_active
    posts = apps.get_model("retail.Post")._base_manager.filter(staff__user=asker, starts_at__lte=now)
    held = set(posts.filter(Q(ends_at=None) | Q(ends_at__gt=now)).values_list("role", flat=True))
    if not row.needs:
        return bool(held)
    app, codename = row.needs.split(".")
    # The groups of an account may lag behind the posts that end by the clock; those of the roles held now do not.
    allowed = Permission.objects.filter(content_type__app_label=app, codename=codename)
    return allowed.filter(group__user=asker, group__name__in=held).exists()


def _objection(row: Approval, by: Any, is_approved: bool) -> str:
    """Why `by` must not decide this so; "" when they may."""
    if row.kind not in KINDS:
        return _("这个版本不认识这种事项。")
    if by.pk == row.asked_by_id:
        return _("提出的人不能自己决定，要另一个人。")
    if by.pk == row.concerns_id:
        return _("这件事关系到您自己，要由别人决定。")
    if not by.has_perm(KINDS[row.kind].permission):
        return _("您的岗位不能决定这种事项。")
    return KINDS[row.kind].objection(payload=row.payload, by=by) if is_approved else ""
