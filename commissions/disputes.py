"""有疑问: a clerk does not believe a number; until somebody has answered, that money is not paid.

    open_line, open_statement ──▶ explain
                                ╲▶ propose, by one person ──▶ adjust, once a second one agrees
                                 ╲▶ withdraw

A dispute keeps back money, it changes none: statements say what is owed as ever, and a batch leaves out what is
disputed. The answer is words, or an entry of its own, booked today about the period of the sale.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import IntegrityError, connection, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet, Sum
from django.utils.translation import gettext as _

from commissions.booking import Leg, book
from commissions.models import ClaimRow, Dispute, DisputeStep, Entry, PayTerms, Period, Statement
from commissions.models.ledger import SHANGHAI
from commissions.models.plans import Role
from retail import audit, logs
from retail.models import OrderLine, Staff, User

LEAST, MOST = 4, 300  # characters of a reason or an answer
TIMES = 2  # how often the same may be doubted


class Refused(ValueError):
    """This cannot be done; the message is for the person at the screen."""


# ── Opening ──────────────────────────────────────────────────────────────────────────────────────────────────────────
@transaction.atomic
def open_line(*, staff: Staff, order_id: int, line_id: int, reason: str, by: User | None, now: datetime) -> Dispute:
    """Somebody doubts what a line of a sale of theirs brought them. Raises Refused."""
    entries = Entry.objects.filter(staff=staff, order=order_id)
    entry = entries.filter(line=line_id).order_by("pk").last() or entries.order_by("pk").last()
    if entry is None or not OrderLine._base_manager.filter(pk=line_id, order=order_id).exists():
        raise Refused(_("没有这笔成交，或者它不是您的。"))
    terms = PayTerms.of(brand_id=entry.brand_id)
    _in_time(_held_still(entries.values_list("period_booked", flat=True)), terms, now)
    case = {"brand_id": entry.brand_id, "store_id": entry.store_id, "order_id": order_id, "line_id": line_id}
    return _open(staff, case, reason, terms, by, now)


@transaction.atomic
def open_statement(*, statement: Statement, reason: str, by: User | None, now: datetime) -> Dispute:
    """The person of a statement doubts it as a whole. Raises Refused."""
    terms = PayTerms.of(brand_id=statement.period.brand_id)
    _in_time(_held_still([statement.period_id]), terms, now)
    if statement.confirmed_at is not None:
        raise Refused(_("这张结算单您已经确认过了。"))
    case = {"brand_id": statement.period.brand_id, "store_id": statement.store_id, "statement": statement}
    return _open(statement.staff, case, reason, terms, by, now)


def _held_still(period_ids: Iterable[int]) -> list[Period]:
    """The periods, none of which is being closed or put into batches until our commit: both lock their row."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM commissions_period WHERE id = ANY(%s) ORDER BY id FOR SHARE", [sorted(set(period_ids))]
        )
        ids = [pk for (pk,) in cursor.fetchall()]
    return list(Period._base_manager.filter(pk__in=ids))


def _in_time(periods: Sequence[Period], terms: PayTerms, now: datetime) -> None:
    if (last := last_moment(periods=periods, terms=terms)) and now > last:
        raise Refused(_("结算单出来 %(days)s 天以后就不能再提了。") % {"days": terms.dispute_days})


def is_in_time(*, entries: Sequence[Entry], now: datetime) -> bool:
    """Whether these entries of a person may still be doubted; for the page, `open_line` asks again.

    Give them with select_related("period_booked"). One statement once all those periods are closed, none before.
    """
    if not entries:
        return False
    periods = [entry.period_booked for entry in entries]
    if _closed_at(periods) is None:
        return True
    last = last_moment(periods=periods, terms=PayTerms.of(brand_id=entries[0].brand_id))
    return last is not None and now <= last


def last_moment(*, periods: Sequence[Period], terms: PayTerms) -> datetime | None:
    """Until when what was booked in these periods may be doubted; None while one of them is open."""
    closed_at = _closed_at(periods)
    return closed_at + timedelta(days=terms.dispute_days) if closed_at else None


def _closed_at(periods: Sequence[Period]) -> datetime | None:
    """When the last of them was closed; None while one is open."""
    closed = [period.closed_at for period in periods if period.status == Period.Status.CLOSED and period.closed_at]
    return max(closed) if closed and len(closed) == len(periods) else None


def _open(staff: Staff, case: dict[str, Any], reason: str, terms: PayTerms, by: User | None, now: datetime) -> Dispute:
    said = _words(reason)
    about = {name: case[name] for name in ("order_id", "line_id", "statement") if name in case}
    if Dispute._base_manager.filter(staff=staff, **about).count() >= TIMES:
        raise Refused(_("同一笔最多提 %(times)s 次。还有问题，请直接找店长。") % {"times": TIMES})
    row = Dispute(
        staff=staff, reason=said, opened_at=now, answer_by=now + timedelta(days=terms.answer_days), **case
    )  # fmt: skip
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError:
        raise Refused(_("您已经提过了，正在等答复。")) from None
    _step(row, DisputeStep.Kind.OPENED, said, by, now)
    audit.record(by=by, action="dispute.open", target=row, now=now, reason=said)
    return row


def _words(text: str) -> str:
    """What somebody wrote, without telephone numbers. Raises Refused."""
    said = text.strip()
    if not LEAST <= len(said) <= MOST:
        raise Refused(_("请写清楚原因，%(least)s 到 %(most)s 个字。") % {"least": LEAST, "most": MOST})
    return logs.struck(said)[:MOST]


def _step(row: Dispute, kind: str, text: str, by: User | None, now: datetime, fen: int | None = None) -> DisputeStep:
    return DisputeStep.objects.create(dispute=row, kind=kind, text=text, fen=fen, by=by, at=now)


# ── Answering ────────────────────────────────────────────────────────────────────────────────────────────────────────
def parties(*, dispute: Dispute) -> set[int]:
    """Ids of the people with a share in it, or who claimed one: none of them answers it.

    Who led the store or the region is behind every sale of it, and has a share only where the plan pays it.
    """
    found: set[int | None] = {dispute.staff_id}
    if dispute.order_id is not None:
        claims = ClaimRow._base_manager.filter(order=dispute.order_id).exclude(role__in=(Role.MANAGER, Role.REGION))
        found |= set(claims.values_list("staff", flat=True))
        found |= set(Entry._base_manager.filter(order=dispute.order_id).values_list("staff", flat=True))
    return {staff_id for staff_id in found if staff_id is not None}


def objection(*, dispute: Dispute, by: User) -> str:
    """Why `by` may not answer it; "" when they may."""
    if not dispute.is_open:
        return _("这个疑问已经答复过了。")
    staff = Staff._base_manager.filter(user=by).first()
    if staff is not None and staff.pk in parties(dispute=dispute):
        return _("这笔成交您自己也有份，要由别人来答复。")
    return ""


@transaction.atomic
def explain(*, dispute: Dispute, text: str, by: User, now: datetime) -> Dispute:
    """The number is right, and this is why. Raises Refused."""
    row = _answering(dispute, by)
    said = _words(text)
    _step(row, DisputeStep.Kind.EXPLAINED, said, by, now)
    return _close(row, Dispute.Outcome.EXPLAINED, by, now, said)


@transaction.atomic
def propose(*, dispute: Dispute, fen: int, text: str, by: User, now: datetime) -> DisputeStep:
    """The number is wrong by so much; a second person has to agree before anything is booked. Raises Refused."""
    row = _answering(dispute, by)
    if not fen:
        raise Refused(_("调整金额不能是 0；没有要改的，就写说明。"))
    return _step(row, DisputeStep.Kind.PROPOSED, _words(text), by, now, fen)


@transaction.atomic
def adjust(*, proposal: DisputeStep, by: User, now: datetime) -> Dispute:
    """A second person agrees to a proposal: book it today, about the period of the sale. Raises Refused."""
    row, fen = _answering(proposal.dispute, by), proposal.fen or 0
    if proposal.kind != DisputeStep.Kind.PROPOSED or proposal.by_id == by.pk:
        raise Refused(_("提出调整的人不能自己同意，要另一个人。"))
    period, payer_id = _about(row)
    book(
        period=period,
        payer_id=payer_id,
        kind=Entry.Kind.ADJUST,
        legs=[Leg(row.staff_id, row.store_id, fen)],
        source=f"dispute {row.pk}",
        now=now,
        earned_on=now.astimezone(SHANGHAI).date(),
    )
    _step(row, DisputeStep.Kind.ADJUSTED, proposal.text, by, now, fen)
    return _close(row, Dispute.Outcome.ADJUSTED, by, now, proposal.text, fen)


@transaction.atomic
def withdraw(*, dispute: Dispute, by: User | None, now: datetime) -> Dispute:
    """The person who doubted it does so no more. Raises Refused."""
    row = _locked(dispute)
    _step(row, DisputeStep.Kind.WITHDRAWN, "", by, now)
    return _close(row, Dispute.Outcome.WITHDRAWN, by, now)


def _about(row: Dispute) -> tuple[Period, int | None]:
    """The period a dispute is about, and the company that owes."""
    if row.statement is not None:
        return row.statement.period, row.statement.payer_id
    entries = Entry._base_manager.select_related("period_booked").order_by("pk")
    of_order = entries.filter(staff=row.staff_id, order=row.order_id)
    entry = of_order.filter(line=row.line_id).first() or of_order.earliest("pk")
    return entry.period_booked, entry.payer_id


def periods_of(*, dispute: Dispute) -> list[Period]:
    """The periods in which what it is about was booked."""
    if dispute.statement is not None:
        return [dispute.statement.period]
    booked = Entry._base_manager.filter(staff=dispute.staff_id, line=dispute.line_id).values("period_booked")
    return list(Period._base_manager.filter(pk__in=booked))


def _answering(dispute: Dispute, by: User) -> Dispute:
    row = _locked(dispute)
    if said := objection(dispute=row, by=by):
        raise Refused(said)
    return row


def _locked(dispute: Dispute) -> Dispute:
    row = Dispute.objects.select_for_update(of=("self",)).get(pk=dispute.pk)
    if not row.is_open:
        raise Refused(_("这个疑问已经答复过了。"))
    return row


def _close(
    row: Dispute, outcome: str, by: User | None, now: datetime, text: str = "", fen: int | None = None
) -> Dispute:
    row.closed_at, row.outcome = now, outcome
    row.save(update_fields=["closed_at", "outcome"])
    after = {"outcome": str(outcome)} | ({"fen": fen} if fen is not None else {})
    audit.record(by=by, action="dispute.close", target=row, now=now, after=after, reason=text)
    return row


def about(*, period: Period) -> QuerySet[Dispute]:
    """The open ones of what was booked in a period, or of a statement of it."""
    booked = Entry._base_manager.filter(
        staff=OuterRef("staff"), order=OuterRef("order"), line=OuterRef("line"), period_booked=period
    )
    cases = Dispute.objects.open().filter(brand=period.brand_id)
    return cases.filter(Q(statement__period=period) | Exists(booked))


# ── What is kept back ────────────────────────────────────────────────────────────────────────────────────────────────
class Doubted(NamedTuple):
    """Of what a statement pays and open disputes are about: what waits for the answer, and what a batch has already.

    What is in a batch is on its way and is not called back: the answer adds to it or takes off it later.
    """

    held_fen: int
    gone_fen: int


def held(*, period: Period, staff_id: int | None = None) -> dict[int, int]:
    """Statement id → how much of what it pays open disputes keep back, of a closed period. As `doubted`."""
    found = doubted(period=period, staff_id=staff_id)
    return {statement_id: one.held_fen for statement_id, one in found.items() if one.held_fen}


def doubted_of(*, periods: Iterable[Period], staff_id: int) -> Doubted:
    """The same of one person in several periods together; nothing of those that are not closed yet."""
    closed = {period.pk: period for period in periods if period.status == Period.Status.CLOSED}
    found = [one for period in closed.values() for one in doubted(period=period, staff_id=staff_id).values()]
    return Doubted(sum(one.held_fen for one in found), sum(one.gone_fen for one in found))


def doubted(*, period: Period, staff_id: int | None = None) -> dict[int, Doubted]:
    """Statement id → what open disputes are about of what it pays, of a closed period. Three statements at most.

    The disputed money is the last to be paid: what a statement carries over is disputed before what it pays, and is
    then kept back where it arrives.
    """
    cases = Dispute.objects.open().filter(brand=period.brand_id, **({"staff": staff_id} if staff_id else {}))
    doubted = set(cases.values_list("staff", "line", "statement"))
    if not doubted:
        return {}
    whole = {statement_id for _staff, _line, statement_id in doubted if statement_id is not None}
    disputed = _disputed({(staff, line) for staff, line, _statement in doubted if line is not None})
    people = {staff for staff, _line, _statement in doubted}
    found: dict[int, Doubted] = {}
    carried: dict[tuple[int, int | None], int] = defaultdict(int)
    rows = Statement.objects.with_batched()
    rows = rows.filter(period__brand=period.brand_id, period__starts_on__lte=period.starts_on)
    for row in rows.filter(staff__in=people).order_by("period__starts_on"):
        person = row.staff_id, row.payer_id
        fen = disputed[row.period_id, *person] + carried[person]
        carried[person] = min(fen, max(0, row.carry_out_fen))
        here = row.pay_fen if row.pk in whole else min(fen - carried[person], row.pay_fen)
        if here and row.period_id == period.pk:
            free = row.pay_fen - row.batched_fen  # type: ignore[attr-defined]  # with_batched adds it
            found[row.pk] = Doubted(min(here, free), max(0, here - free))
    return found


def _disputed(lines: set[tuple[int, int]]) -> dict[tuple[int, int, int | None], int]:
    """(period, person, company) → what disputed lines brought them there, as far as they brought anything."""
    sums: dict[tuple[int, int, int | None], int] = defaultdict(int)
    people, line_ids = {staff for staff, _ in lines}, {line for _, line in lines}
    rows = Entry.objects.filter(staff__in=people, line__in=line_ids).order_by()
    columns = "staff", "line", "period_booked", "payer"
    for staff, line, booked, payer, fen in rows.values_list(*columns).annotate(fen=Sum("fen")):
        if (staff, line) in lines:
            sums[booked, staff, payer] += max(0, fen)
    return sums
