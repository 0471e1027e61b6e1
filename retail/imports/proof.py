"""Proof that the journal says what it must: every booked fen is priced again from the kept inputs and compared."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, cast

from django.db import connection
from django.db.models import QuerySet, Sum

from commissions import claims as inputs
from commissions import engine, ledger, plans
from commissions.claims import Kept
from commissions.models import Entry
from retail import garbage
from retail.imports.progress import Meter
from retail.models import Channel, Order
from retail.models.orders import lines_of

_CHUNK = 500


class Part(NamedTuple):
    """What one person got by one rule for one line in one role. A rule keeps its code in a later version."""

    line_id: int
    rule: str
    role: str
    staff_id: int


@dataclass
class Proof:
    """What was looked at, and what is wrong with it, in words; at best `wrong` is empty."""

    orders: int = 0
    lines: int = 0
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
    settled = Order.objects.filter(channel=channel, settled_version__gt=0)
    meter = Meter(total=settled.count(), unit="orders")
    with garbage.collected_by_hand() as collect:
        for ids in _chunks(settled):
            _check_parts(ids, proof)
            collect()
            meter(proof.orders)
    return proof


def unsettled_people(*, channel: Channel) -> dict[int, int]:
    """Who does not come out at zero over all entries of the channel: staff id → fen."""
    people = Entry.objects.of_staff().filter(order__channel=channel).values("staff_id")
    return dict(people.annotate(owed=Sum("fen")).exclude(owed=0).order_by().values_list("staff_id", "owed"))


def _check_legs(channel: Channel, proof: Proof) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), coalesce(array_agg(txn ORDER BY txn) FILTER (WHERE fen <> 0), '{}') FROM ("
            "  SELECT txn, sum(fen) AS fen FROM commissions_entry e JOIN retail_order o ON o.id = e.order_id"
            "  WHERE o.channel_id = %s GROUP BY txn) AS sums",
            [channel.pk],
        )
        proof.transactions, unbalanced = cursor.fetchone()
    proof.wrong += [f"the legs of transaction {txn} do not add up to 0" for txn in unbalanced]


def _chunks(orders: QuerySet[Order]) -> Iterator[list[int]]:
    """The ids, so many at a time."""
    last = 0
    while ids := list(orders.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:_CHUNK]):
        yield ids
        last = ids[-1]


def _check_parts(ids: list[int], proof: Proof) -> None:
    orders, lines = list(Order.objects.filter(pk__in=ids).select_related("channel", "store")), lines_of(ids)
    kept, booked, versions = inputs.kept_many(orders=orders), _booked(ids), _versions(orders)
    for order in orders:
        order.all_lines = lines[order.pk]
        proof.orders, proof.lines = proof.orders + 1, proof.lines + len(order.all_lines)
        wanted = _priced(order, kept[order.pk], versions, proof)
        if wanted != booked[order.pk]:
            odd = {part for part in {**wanted, **booked[order.pk]} if wanted.get(part) != booked[order.pk].get(part)}
            proof.wrong.append(f"order {order.outer_order_id}: booked otherwise than priced: {sorted(odd)[:3]}")


def _versions(orders: list[Order]) -> plans.Timetable:
    times = [order.paid_at for order in orders]
    return plans.timetable(brand_ids={order.brand_id for order in orders}, since=min(times), until=max(times))


def _priced(order: Order, kept: Kept, versions: plans.Timetable, proof: Proof) -> dict[Part, int]:
    compiled = versions.at(brand_id=order.brand_id, moment=order.paid_at)
    if compiled is None:
        return {}
    parts: dict[Part, int] = {}
    facts = ledger.order_facts(order=order, kept=kept)
    for award in engine.price(compiled.plan, facts):
        staff_fen = sum(part.fen for part in award.parts)
        proof.pools, proof.parts = proof.pools + 1, proof.parts + len(award.parts)
        proof.house_fen, proof.staff_fen = proof.house_fen + award.house_fen, proof.staff_fen + staff_fen
        if staff_fen + award.house_fen != award.pool_fen:
            proof.wrong.append(f"line {award.line_id}, rule {award.rule_id}: the parts are not the pool")
        for role, holder, fen in award.parts:
            parts[Part(cast(int, award.line_id), award.rule_id, role, cast(int, holder))] = fen
    return parts


def _booked(ids: list[int]) -> dict[int, dict[Part, int]]:
    """What was earned (refunds apart) per order and part."""
    booked: dict[int, Counter[Part]] = {order_id: Counter() for order_id in ids}
    earned = Entry.objects.of_staff().filter(order__in=ids, kind__in=[Entry.Kind.EARN, Entry.Kind.DELTA])
    for order_id, fen, *part in earned.values_list("order_id", "fen", "line_id", "rule__code", "role", "staff_id"):
        booked[order_id][Part._make(part)] += fen
    return {order_id: {part: fen for part, fen in parts.items() if fen} for order_id, parts in booked.items()}
