"""Proof that the journal says what it must: every booked fen is priced again from the kept inputs and compared."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, cast

from django.db import connection

from commissions import engine, ledger, plans
from commissions.claims import Kept
from commissions.models import BuyerSnapshot, ClaimRow, Entry
from retail.models import Channel, Order

_CHUNK = 500


class Part(NamedTuple):
    """What one person got by one rule for one line in one role."""

    line_id: int
    rule_id: int
    role: str
    staff_id: int


@dataclass
class Proof:
    """What was looked at, and what is wrong with it, in words; at best `wrong` is empty."""

    transactions: int = 0
    pools: int = 0
    parts: int = 0
    house_fen: int = 0
    staff_fen: int = 0
    wrong: list[str] = field(default_factory=list)


def of(*, channel: Channel) -> Proof:
    """Check every settled order of a channel:

    the legs of each transaction add up to zero; for each (line, rule) priced again from the kept inputs the parts of
    the staff and of the house are the pool; and the entries booked as earned are exactly those parts.
    """
    proof = Proof()
    _check_legs(channel, proof)
    for orders in _chunks(channel):
        _check_parts(orders, proof)
    return proof


def unsettled_people(*, channel: Channel) -> dict[int, int]:
    """Who does not come out at zero over all entries of the channel: staff id → fen."""
    totals: Counter[int] = Counter()
    for staff_id, fen in Entry.objects.of_staff().filter(order__channel=channel).values_list("staff_id", "fen"):
        totals[staff_id] += fen
    return {staff_id: fen for staff_id, fen in totals.items() if fen}


def _check_legs(channel: Channel, proof: Proof) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT txn, sum(fen) FROM commissions_entry e JOIN retail_order o ON o.id = e.order_id"
            " WHERE o.channel_id = %s GROUP BY txn",
            [channel.pk],
        )
        for txn, fen in cursor.fetchall():
            proof.transactions += 1
            if fen:
                proof.wrong.append(f"the legs of transaction {txn} add up to {fen} fen")


def _chunks(channel: Channel) -> Iterator[list[Order]]:
    orders = Order.objects.filter(channel=channel, settled_version__gt=0).order_by("pk")
    orders = orders.select_related("channel", "store").prefetch_related("lines__product")
    last = 0
    while chunk := list(orders.filter(pk__gt=last)[:_CHUNK]):
        yield chunk
        last = chunk[-1].pk


def _check_parts(orders: list[Order], proof: Proof) -> None:
    ids = [order.pk for order in orders]
    kept, booked = _kept(ids), _booked(ids)
    for order in orders:
        wanted = _priced(order, kept[order.pk], proof)
        if wanted != booked[order.pk]:
            odd = {part for part in {**wanted, **booked[order.pk]} if wanted.get(part) != booked[order.pk].get(part)}
            proof.wrong.append(f"order {order.outer_order_id}: booked otherwise than priced: {sorted(odd)[:3]}")


def _priced(order: Order, kept: Kept, proof: Proof) -> dict[Part, int]:
    compiled = plans.at(brand_id=order.brand_id, moment=order.paid_at)
    if compiled is None:
        return {}
    parts: dict[Part, int] = {}
    facts = ledger.order_facts(order=order, lines=order.lines.all(), kept=kept)
    for award in engine.price(compiled.plan, facts):
        staff_fen = sum(part.fen for part in award.parts)
        proof.pools, proof.parts = proof.pools + 1, proof.parts + len(award.parts)
        proof.house_fen, proof.staff_fen = proof.house_fen + award.house_fen, proof.staff_fen + staff_fen
        if staff_fen + award.house_fen != award.pool_fen:
            proof.wrong.append(f"line {award.line_id}, rule {award.rule_id}: the parts are not the pool")
        rule_id = compiled.rule_ids[award.rule_id]
        for role, holder, fen in award.parts:
            parts[Part(cast(int, award.line_id), rule_id, role, cast(int, holder))] = fen
    return parts


def _kept(ids: list[int]) -> dict[int, Kept]:
    """The latest revision of the inputs of each order."""
    buyers = {row.order_id: row for row in BuyerSnapshot.objects.filter(order__in=ids).order_by("revision")}
    claims: dict[int, list[ClaimRow]] = defaultdict(list)
    for row in ClaimRow.objects.filter(order__in=ids).order_by("pk"):
        if row.revision == buyers[row.order_id].revision:
            claims[row.order_id].append(row)
    return {order_id: Kept(claims[order_id], buyer) for order_id, buyer in buyers.items()}


def _booked(ids: list[int]) -> dict[int, dict[Part, int]]:
    """What was earned (refunds apart) per order and part."""
    booked: dict[int, Counter[Part]] = {order_id: Counter() for order_id in ids}
    earned = Entry.objects.of_staff().filter(order__in=ids, kind__in=[Entry.Kind.EARN, Entry.Kind.DELTA])
    for order_id, fen, *part in earned.values_list("order_id", "fen", *Part._fields):
        booked[order_id][Part._make(part)] += fen
    return {order_id: {part: fen for part, fen in parts.items() if fen} for order_id, parts in booked.items()}
