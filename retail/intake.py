"""Everything that happens to an order: the facts are taken down, then settled, each in one readable step.

`take_*` write facts and a job, and answer at once; `settle_*` run in a worker and do the rest. Both are idempotent:
the same fact again changes nothing, and a job that runs twice posts nothing the second time.
"""

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction
from django.db.models import Prefetch

from clerks import attribution, binding
from commissions import ledger
from members import identity
from retail import jobs, orders, shapes
from retail.models import Channel, Order, OrderLine, Refund
from retail.orders import Taken


# ── Taking down ──────────────────────────────────────────────────────────────────────────────────────────────────────
@transaction.atomic
def take_orders(*, channel: Channel, data: Sequence[shapes.Order], now: datetime) -> list[Taken]:
    """Record orders of one channel and enqueue their settlement; the outcome of each row, in order."""
    outcomes = orders.record(channel=channel, data=data, now=now)
    news = [
        # Orders of one buyer are settled in the order they came, so that "first order" means the first.
        jobs.Work("settle_order", {"order_id": outcome.id}, f"buyer:{outcome.buyer_key}" if outcome.buyer_key else "")
        for outcome in outcomes
        if outcome.status in ("created", "corrected")
    ]
    jobs.enqueue(work=news, now=now)
    return outcomes


@transaction.atomic
def take_refunds(*, channel: Channel, data: Sequence[shapes.Refund], now: datetime) -> list[Taken]:
    """Record refunds of one channel and enqueue those whose order is known; the others wait for it."""
    outcomes = orders.record_refunds(channel=channel, data=data, now=now)
    news = [
        jobs.Work("settle_refund", {"refund_id": outcome.id})
        for outcome in outcomes
        if outcome.status in ("created", "corrected")
    ]
    jobs.enqueue(work=news, now=now)
    return outcomes


# ── Settling ─────────────────────────────────────────────────────────────────────────────────────────────────────────
@transaction.atomic
def settle_order(*, order_id: int, now: datetime) -> Order:
    """Who bought, whose customer that is, who was behind the sale, and what each of them gets.

    A corrected order keeps its claims, and the difference is posted, unless the correction names other clerks.
    """
    order = _locked(order_id)
    if order.settled_version == order.version:
        return order
    if order.settled_version and not orders.clerks_changed(order=order, since_version=order.settled_version):
        ledger.revise(order=order, now=now)
        _mark_settled(order, now)
        return order
    purchase = identity.match(order=order, now=now).purchase
    bound = binding.on_purchase(purchase=purchase, now=now) if purchase else None
    claims = attribution.resolve(order=order, purchase=purchase, binding=bound)
    buyer = attribution.buyer_facts(purchase=purchase)
    reason = "clerk codes corrected" if order.settled_version else ""
    ledger.accrue(order=order, claims=claims, buyer=buyer, resolver=attribution.RESOLVER, now=now, reason=reason)
    _mark_settled(order, now)
    return order


@transaction.atomic
def settle_refund(*, refund_id: int, now: datetime) -> None:
    """Take back what the refund takes with it. A refund of an order not settled yet is settled together with it."""
    refund = Refund.objects.get(pk=refund_id)
    if refund.order_id is None:
        return
    order = _locked(refund.order_id)
    if order.settled_version != order.version:
        return
    ledger.claw_back(order=order, now=now)
    order.refunds.filter(settled_at=None).update(settled_at=now)


def _locked(order_id: int) -> Order:
    """The order with all that its settlement reads; nobody else settles it or its refunds meanwhile."""
    lines = Prefetch("lines", OrderLine.objects.select_related("product").order_by("pk"))
    return (
        Order.objects.select_for_update(of=("self",))
        .select_related("channel", "brand", "store", "purchase")
        .prefetch_related(lines, "refunds")
        .get(pk=order_id)
    )


def _mark_settled(order: Order, now: datetime) -> None:
    order.settled_at, order.settled_version = now, order.version
    order.save(update_fields=["settled_at", "settled_version"])
    if order.refunds.all():
        order.refunds.filter(settled_at=None).update(settled_at=now)
