"""有疑问, with the people around it: who is told, who agrees to an adjustment, and what the answer can be based on.

`commissions.disputes` keeps the money; here both sides hear of each step, and the evidence is gathered for the page.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import CharField, Exists, OuterRef, Prefetch, Q, QuerySet
from django.db.models.functions import Cast
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from clerks.models import Binding, Notice
from clerks.outreach import notices, wording
from commissions import disputes, explain
from commissions.explain import LineStory
from commissions.models import ClaimRow, Dispute, DisputeStep, Entry, Statement
from members.models import Purchase
from retail import approvals, scope
from retail.models import Staff, User
from retail.templatetags.figures import yuan

KIND = "dispute.adjust"


# ── The clerk's side ─────────────────────────────────────────────────────────────────────────────────────────────────
@transaction.atomic
def open_line(*, staff: Staff, order_id: int, line_id: int, reason: str, by: User, now: datetime) -> Dispute:
    """Raises disputes.Refused."""
    row = disputes.open_line(staff=staff, order_id=order_id, line_id=line_id, reason=reason, by=by, now=now)
    _ask_for_an_answer(row, now)
    return row


@transaction.atomic
def open_statement(*, statement: Statement, reason: str, by: User, now: datetime) -> Dispute:
    """Raises disputes.Refused."""
    row = disputes.open_statement(statement=statement, reason=reason, by=by, now=now)
    _ask_for_an_answer(row, now)
    return row


def _ask_for_an_answer(row: Dispute, now: datetime) -> None:
    """Tell whoever leads the store and has no part in the sale; without anybody headquarters' operators."""
    with scope.within(scope.EVERYTHING), wording.for_others():
        parties = disputes.parties(dispute=row)
        free = [one for one in notices.managers_of(store_id=row.store_id, now=now) if one.pk not in parties]
        title = _("%(who)s 对佣金有疑问") % {"who": row.staff.name}
        by = _("请在 %(day)s 前答复。") % {"day": f"{row.answer_by:%m-%d}"}
        notices.tell_all(
            staff=free or notices.operators(now=now), kind=Notice.Kind.TOLD, title=title, text=f"{row.reason}\n{by}",
            effect=f"dispute:{row.pk}:asked", about=row, is_todo=True, now=now,
        )  # fmt: skip


# ── The answer ───────────────────────────────────────────────────────────────────────────────────────────────────────
@transaction.atomic
def explain_it(*, dispute: Dispute, text: str, by: User, now: datetime) -> Dispute:
    """Raises disputes.Refused."""
    if waiting(dispute) is not None:
        raise disputes.Refused(_("已经提了调整，正在等另一个人同意。"))
    row = disputes.explain(dispute=dispute, text=text, by=by, now=now)
    with wording.for_others():
        _tell_clerk(row, _("您的疑问有说明了"), text, now)
    return row


@transaction.atomic
def propose(*, dispute: Dispute, fen: int, text: str, by: User, now: datetime) -> approvals.Approval:
    """Put an adjustment before a second person. Raises disputes.Refused."""
    step = disputes.propose(dispute=dispute, fen=fen, text=text, by=by, now=now)
    about = str(dispute.order or dispute.statement)
    try:
        return approvals.ask(
            kind=KIND,
            target=dispute,
            payload={"step": step.pk},
            by=by,
            reason=text,
            now=now,
            after={
                str(_("对什么")): about,
                str(_("谁")): str(dispute.staff),
                str(_("疑问")): dispute.reason,
                str(_("调整")): _signed(fen),
            },
            concerns=dispute.staff.user,
            brand_id=dispute.brand_id,
            store_id=dispute.store_id,
        )
    except approvals.Refused as refusal:
        raise disputes.Refused(str(refusal)) from None


def _objection(*, payload: dict[str, Any], by: User) -> str:
    step = DisputeStep._base_manager.select_related("dispute").get(pk=payload["step"])
    return disputes.objection(dispute=step.dispute, by=by)


@approvals.kind(
    KIND, name=gettext_lazy("按疑问调整佣金"), permission="commissions.decide_dispute", objection=_objection
)
def _approved(*, target_id: str, payload: dict[str, Any], by: User, now: datetime) -> None:
    proposal = DisputeStep.objects.select_related("dispute").get(pk=payload["step"])
    try:
        row = disputes.adjust(proposal=proposal, by=by, now=now)
    except disputes.Refused as refusal:
        raise approvals.Refused(str(refusal)) from None
    with wording.for_others():
        said = _("调整 %(fen)s：%(why)s") % {"fen": _signed(proposal.fen or 0), "why": proposal.text}
        _tell_clerk(row, _("您的疑问有结果了"), said, now)
        if proposal.by is not None and (asker := Staff._base_manager.filter(user=proposal.by).first()):
            notices.tell(
                staff=asker, kind=Notice.Kind.TOLD, title=_("您提的调整已同意"), text=said,
                effect=f"dispute:{row.pk}:agreed", about=row, now=now,
            )  # fmt: skip


def _tell_clerk(row: Dispute, title: str, text: str, now: datetime) -> None:
    effect = f"dispute:{row.pk}:answered"
    notices.tell(staff=row.staff, kind=Notice.Kind.TOLD, title=title, text=text, effect=effect, about=row, now=now)
    asked = Notice._base_manager.filter(about_type=row._meta.label_lower, about_id=str(row.pk))
    for notice in asked.filter(is_todo=True, done_at=None):
        notices.done(notice=notice, now=now)


def _signed(fen: int) -> str:
    return "{}¥{}".format("-" if fen < 0 else "+", yuan(abs(fen)))


def waiting(dispute: Dispute) -> approvals.Approval | None:
    """The adjustment that waits for a second person; until then the clerk cannot withdraw the question."""
    return _waiting().filter(target_id=str(dispute.pk)).first()


def as_told(cases: QuerySet[Dispute]) -> QuerySet[Dispute]:
    """As the clerk's page shows them, the oldest first: with what was said, and `is_waiting` as `waiting` has it."""
    steps = Prefetch("steps", DisputeStep._base_manager.order_by("pk"))
    adjustments = _waiting().filter(target_id=Cast(OuterRef("pk"), CharField()))
    return cases.annotate(is_waiting=Exists(adjustments)).prefetch_related(steps).order_by("pk")


def _waiting() -> QuerySet[approvals.Approval]:
    rows = approvals.Approval._base_manager.filter(kind=KIND, target_type=Dispute._meta.label_lower)
    return rows.filter(state=approvals.Approval.State.WAITING)


# ── What an answer can be based on ───────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True, slots=True)
class Evidence:
    """Whose customer it was when, who claimed which part on what grounds, and what the rules made of it."""

    story: LineStory | None = None
    bindings: list[Binding] = field(default_factory=list)
    bound_then: Binding | None = None
    claims: list[ClaimRow] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)


def evidence(*, dispute: Dispute) -> Evidence:
    """Of a line, all of it; of a whole statement nothing: its entries are a list of their own.

    Whoever may answer may know what the number hangs on, though plan and colleagues are not of their lists.
    """
    order, line = dispute.order, dispute.line
    if order is None or line is None:
        return Evidence()
    with scope.within(scope.EVERYTHING):
        bindings = _bindings(dispute)
        paid_at = order.paid_at
        then = (
            row for row in bindings if row.started_at <= paid_at and not (row.ended_at and row.ended_at <= paid_at)
        )
        claims = ClaimRow.objects.filter(Q(line=line) | Q(line=None), order=order).select_related("staff", "store")
        entries = Entry.objects.filter(line=line, staff__isnull=False).select_related("staff", "rule")
        return Evidence(
            story=explain.of_line(order=order, line=line),
            bindings=bindings,
            bound_then=next(then, None),
            claims=list(claims.order_by("-revision", "pk")),
            entries=list(entries.order_by("pk")),
        )


def _bindings(dispute: Dispute) -> list[Binding]:
    purchase = Purchase._base_manager.filter(order=dispute.order).select_related("membership").first()
    if purchase is None:
        return []
    rows = Binding.objects.filter(member=purchase.membership.member_id, brand=dispute.brand_id)
    return list(rows.select_related("staff", "store").order_by("started_at", "pk"))
