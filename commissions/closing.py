"""Closing a period: what it owes to whom is frozen in statements, confirmed, and paid out.

A period is closed in one transaction. It waits for whoever is booking into the period and lets nobody after it do so;
what comes late is booked into the next open one. Periods of a brand are closed in their order, for what one leaves
over goes into the next.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db import connection, transaction
from django.db.models import F, QuerySet
from django.utils.translation import gettext as _

from commissions import attaining, companies, disputes, engine, leavers, limits
from commissions.booking import Leg, book
from commissions.models import Entry, Payout, PayoutBatch, PayTerms, Period, Statement
from commissions.models.ledger import midnight
from retail import audit
from retail.models import Order, Refund, User


class ClosingRefused(ValueError):
    """This step cannot be taken; the message is for the person at the screen."""


# ── Checks ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def obstacles(*, period: Period, now: datetime) -> list[str]:
    """What keeps a period from being closed, a sentence each; empty when nothing does. Four statements."""
    found = []
    if period.status == Period.Status.CLOSED:
        return [_("这一期已经结了。")]
    if now < midnight(period.ends_on):
        found.append(_("这一期到 %(day)s 才结束。") % {"day": period.ends_on})
    earlier = Period.objects.filter(brand=period.brand_id, starts_on__lt=period.starts_on)
    if first := earlier.exclude(status=Period.Status.CLOSED).order_by("starts_on").first():
        found.append(_("请先结 %(period)s。") % {"period": first})
    if waiting := _unsettled_orders(period).count():
        found.append(_("还有 %(count)s 笔订单没有结算佣金。") % {"count": waiting})
    if waiting := _unsettled_refunds(period).count():
        found.append(_("还有 %(count)s 笔退款没有冲回佣金。") % {"count": waiting})
    return found


def _unsettled_orders(period: Period) -> QuerySet[Order]:
    of_brand = Order.objects.filter(brand=period.brand_id, paid_at__lt=midnight(period.ends_on))
    return of_brand.exclude(settled_version=F("version"))


def _unsettled_refunds(period: Period) -> QuerySet[Refund]:
    """Parked ones are not waited for: their order may never come."""
    late = Refund.objects.filter(refunded_at__lt=midnight(period.ends_on), settled_at=None)
    return late.filter(order__brand=period.brand_id)


# ── Closing ──────────────────────────────────────────────────────────────────────────────────────────────────────────
@transaction.atomic
def close(*, period: Period, by: User | None, now: datetime) -> Period:
    """Freeze what the period owes to everybody. Raises ClosingRefused with all that stands in the way."""
    period = Period.objects.select_for_update(of=("self",)).get(pk=period.pk)
    if found := obstacles(period=period, now=now):
        raise ClosingRefused(" ".join(found))
    terms = PayTerms.of(brand_id=period.brand_id)
    attaining.count(period=period, now=now, is_booking=True)
    accounts = _accounts(period)
    settled = limits.settle(period=period, accounts=accounts, terms=terms, now=now)
    if settled.is_booked:
        accounts = _accounts(period)
    if leavers.settle_debts(period=period, accounts=accounts, terms=terms, least=settled.least, now=now):
        accounts = _accounts(period)
    rows = _statements(period, accounts, terms, now)
    Statement.objects.bulk_create(rows, batch_size=1_000)
    companies.reckon(period=period, terms=terms, statements=rows, now=now)
    period.status, period.closed_by, period.closed_at = Period.Status.CLOSED, by, now
    period.digest = digest(rows)
    period.save()
    totals = {"statements": len(rows), "pay_fen": sum(row.pay_fen for row in rows), "digest": period.digest}
    audit.record(by=by, action="period.close", target=period, now=now, after=totals)
    return period


@dataclass(slots=True)
class _Account:
    """One person with one company: what was booked in the period, and what was left over before it."""

    staff_id: int
    payer_id: int | None
    kinds: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    stores: dict[int | None, int] = field(default_factory=lambda: defaultdict(int))
    entries: int = 0
    carry_in_fen: int = 0

    @property
    def net_fen(self) -> int:
        return sum(self.kinds.values())

    @property
    def due_fen(self) -> int:
        return self.net_fen + self.carry_in_fen

    @property
    def store_id(self) -> int | None:
        """Where most was booked, the store with the lower id of equals."""
        return min(self.stores, key=lambda store_id: (-self.stores[store_id], store_id or 0), default=None)


def _accounts(period: Period) -> list[_Account]:
    """Everybody to whom the period owes something, or who brings something along, by person and company."""
    accounts: dict[tuple[int, int | None], _Account] = {}
    before = Statement.objects.filter(period=_before(period)).exclude(carry_out_fen=0)
    for staff_id, payer_id, store_id, fen in before.values_list("staff", "payer", "store", "carry_out_fen"):
        account = accounts[staff_id, payer_id] = _Account(staff_id, payer_id, carry_in_fen=fen)
        account.stores[store_id] = 0
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT staff_id, payer_id, store_id, kind, sum(fen)::bigint, count(*) FROM commissions_entry"
            " WHERE period_booked_id = %s AND staff_id IS NOT NULL AND kind <> %s GROUP BY 1, 2, 3, 4",
            [period.pk, Entry.Kind.PAYOUT],
        )
        for staff_id, payer_id, store_id, kind, fen, count in cursor.fetchall():
            account = accounts.setdefault((staff_id, payer_id), _Account(staff_id, payer_id))
            account.kinds[kind] += fen
            account.stores[store_id] += abs(fen)
            account.entries += count
    return [accounts[key] for key in sorted(accounts, key=lambda key: (key[0], key[1] or 0))]


def _before(period: Period) -> Period | None:
    return Period.objects.filter(brand=period.brand_id, ends_on=period.starts_on).first()


def _statements(period: Period, accounts: Sequence[_Account], terms: PayTerms, now: datetime) -> list[Statement]:
    """What is paid of each account now. Who left is paid whatever little it is: there will be no next time."""
    little = {one.staff_id for one in accounts if 0 < one.due_fen < terms.min_payout_fen}
    left = leavers.gone(period=period, staff_ids=little)
    payable = [one for one in accounts if one.due_fen >= terms.min_payout_fen or one.staff_id in left]
    most = limits.most(accounts=payable, max_fen=terms.max_fen)
    rows = []
    for one in accounts:
        max_fen = most.get((one.staff_id, one.payer_id))
        least_fen = 0 if one.staff_id in left else terms.min_payout_fen
        payment = engine.payout.pay(
            net_fen=one.net_fen,
            carry_fen=one.carry_in_fen,
            max_fen=max_fen,
            # A company's part of the most may be small: that is no reason never to pay it.
            min_payout_fen=least_fen if max_fen is None else min(least_fen, max_fen),
        )
        rows.append(_statement(period, one, payment, now))
    return rows


def _statement(period: Period, account: _Account, payment: engine.payout.Payment, now: datetime) -> Statement:
    return Statement(
        period=period,
        staff_id=account.staff_id,
        payer_id=account.payer_id,
        store_id=account.store_id,
        kinds=dict(account.kinds),
        entries=account.entries,
        net_fen=account.net_fen,
        carry_in_fen=account.carry_in_fen,
        pay_fen=payment.paid_fen,
        carry_out_fen=payment.carry_fen,
        made_at=now,
    )


def digest(statements: Iterable[Statement]) -> str:
    """SHA-256 over the figures of all statements of a period."""
    rows = sorted(
        [row.staff_id, row.payer_id or 0, row.kinds, row.net_fen, row.carry_in_fen, row.pay_fen, row.carry_out_fen]
        for row in statements
    )
    return hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()


# ── Paying ───────────────────────────────────────────────────────────────────────────────────────────────────────────
@transaction.atomic
def make_batches(*, period: Period, by: User | None, now: datetime) -> list[PayoutBatch]:
    """Put all that may be paid of a closed period into a batch per company. Raises ClosingRefused.

    What an open dispute keeps back waits for its answer; then this makes another batch, of what is left.
    """
    period = Period.objects.select_for_update(of=("self",)).get(pk=period.pk)
    if period.status != Period.Status.CLOSED:
        raise ClosingRefused(_("先结了这一期，才能发放。"))
    waiting = list(Statement.objects.unpaid().filter(period=period).order_by("payer", "staff"))
    held = disputes.held(period=period)
    payouts: dict[int | None, list[Payout]] = defaultdict(list)
    for row in waiting:
        if (fen := row.pay_fen - row.batched_fen - held.get(row.pk, 0)) > 0:  # type: ignore[attr-defined]
            payouts[row.payer_id].append(Payout(statement=row, fen=fen))
    if not payouts:
        raise ClosingRefused(_("剩下的都有疑问没答复，先不发。") if waiting else _("这一期没有要发的了。"))
    return [_batch(period, payer_id, rows, by, now) for payer_id, rows in payouts.items()]


def _batch(period: Period, payer_id: int | None, payouts: list[Payout], by: User | None, now: datetime) -> PayoutBatch:
    total_fen = sum(row.fen for row in payouts)
    batch = PayoutBatch(
        period=period, payer_id=payer_id, total_fen=total_fen, people=len(payouts), made_by=by, made_at=now
    )
    batch.save()
    for row in payouts:
        row.batch = batch
    Payout.objects.bulk_create(payouts, batch_size=1_000)
    audit.record(by=by, action="payout.make", target=batch, now=now, after={"total_fen": total_fen})
    return batch


@transaction.atomic
def mark_paid(*, batch: PayoutBatch, reference: str, by: User | None, now: datetime) -> PayoutBatch:
    """Book that the company has paid a batch: the second person says so. Raises ClosingRefused."""
    batch = PayoutBatch.objects.select_for_update(of=("self",)).get(pk=batch.pk)
    _still_ready(batch)
    if by is not None and by.pk == batch.made_by_id:
        raise ClosingRefused(_("做批次的人不能自己确认发放，要另一个人。"))
    rows = batch.payouts.order_by("statement__staff").values_list("statement__staff", "statement__store", "fen")
    book(
        period=batch.period, payer_id=batch.payer_id, kind=Entry.Kind.PAYOUT,
        legs=[Leg(staff_id, store_id, -fen) for staff_id, store_id, fen in rows], source=f"payout {batch.pk}", now=now,
    )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE commissions_statement s SET paid_fen = paid_fen + p.fen FROM commissions_payout p"
            " WHERE p.statement_id = s.id AND p.batch_id = %s",
            [batch.pk],
        )
    batch.state, batch.paid_by, batch.paid_at, batch.reference = PayoutBatch.State.PAID, by, now, reference.strip()
    batch.save()
    said = {"total_fen": batch.total_fen, "reference": batch.reference}
    audit.record(by=by, action="payout.paid", target=batch, now=now, after=said)
    return batch


@transaction.atomic
def discard(*, batch: PayoutBatch, reason: str, by: User | None, now: datetime) -> PayoutBatch:
    """Take back a batch that is not paid; the next one pays what may be paid by then. Raises ClosingRefused."""
    batch = PayoutBatch.objects.select_for_update(of=("self",)).get(pk=batch.pk)
    _still_ready(batch)
    if not (reason := reason.strip()):
        raise ClosingRefused(_("请写明作废的原因。"))
    batch.state, batch.voided_by, batch.voided_at = PayoutBatch.State.VOID, by, now
    batch.save()
    said = {"total_fen": batch.total_fen}
    audit.record(by=by, action="payout.void", target=batch, now=now, after=said, reason=reason)
    return batch


def _still_ready(batch: PayoutBatch) -> None:
    if batch.state == PayoutBatch.State.PAID:
        raise ClosingRefused(_("这一批已经发放了。"))
    if batch.state == PayoutBatch.State.VOID:
        raise ClosingRefused(_("这一批已经作废了。"))


def confirm(*, statement: Statement, now: datetime) -> None:
    """The person says that the statement is right. Said again it changes nothing."""
    Statement.objects.filter(pk=statement.pk, confirmed_at=None).update(confirmed_at=now)
