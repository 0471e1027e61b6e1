"""The journal: what everybody is owed for an order, as append-only signed entries.

All verbs work the same way: they state what the entries of an order *should* add up to, per award (line, rule, role,
person), and post the difference to what is booked. So a repeat posts nothing, the order in which refunds arrive does
not matter, and a correction is a difference, never an overwrite. The caller holds the row locks of the orders, one or
many; the number of statements is the same.
"""

import itertools
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from types import MappingProxyType
from typing import Any, NamedTuple

from django.db import connection

from commissions import claims as inputs
from commissions import copied, counting, engine, periods, plans, returns
from commissions.claims import BuyerFacts, Claim, Kept, KeptClaim
from commissions.models import Entry
from commissions.models.ledger import SHANGHAI
from commissions.sold import Sold
from retail.models import Order

_EARN, _DELTA, _REVERSE = (str(kind) for kind in (Entry.Kind.EARN, Entry.Kind.DELTA, Entry.Kind.REVERSE))


class Award(NamedTuple):
    """What the entries of an order are summed by. A rule is known by its code: it stays itself in a later version."""

    line_id: int
    rule: str
    role: str
    staff_id: int
    store_id: int | None
    payer_id: int | None


_new = tuple.__new__  # makes a named tuple without the detour of its constructor; there are hundreds of thousands


class Due(NamedTuple):
    """What an award earns, and the figures it comes from."""

    version_id: int
    rule_id: int
    claim_id: int | None
    base_fen: int
    pool_fen: int
    fen: int


@dataclass(slots=True)
class Sum:
    """What is booked for one award: what it earns by now (earn + delta), and what of that came back (reverse).

    The sign of `reversed_fen` is the opposite of the other's; `reversed_on` is the day the last of it counts on.
    """

    due: Due
    earned_on: date
    first_entry_id: int
    reversed_fen: int = 0
    reversed_on: date | None = None


# ── The verbs ────────────────────────────────────────────────────────────────────────────────────────────────────────
def accrue_many(
    *,
    orders: Sequence[Order],
    claims: Mapping[int, Sequence[Claim]],
    buyers: Mapping[int, BuyerFacts],
    resolver: int,
    now: datetime,
    reasons: Mapping[int, str] = MappingProxyType({}),
) -> int:
    """Keep the inputs of orders and post what follows from them; returns how many entries that took.

    By order id: claims: who was behind it, per role. buyers: what was true of the buyer (none = nobody known). Called
    again for a corrected order it keeps a new revision (with its reason) and posts differences; refunds already known
    are taken along.
    """
    if not orders:
        return 0
    again = [order for order in orders if order.settled_version]
    before = inputs.kept_many(orders=again)
    kept = inputs.keep_many(
        told=[
            inputs.Told(
                order,
                claims[order.pk],
                buyers.get(order.pk, _NOBODY),
                before[order.pk].buyer.revision + 1 if order.pk in before else 1,
                reasons.get(order.pk, ""),
            )
            for order in orders
        ],
        resolver=resolver,
        now=now,
    )
    return _post(orders, _books(again), now, kept)


_NOBODY = BuyerFacts()


def revise_many(*, orders: Sequence[Order], now: datetime, run: int | None = None) -> int:
    """Post the differences of orders whose content or plan was corrected, judged on the inputs kept before.

    `run`: the recompute that asked for it; its entries name it.
    """
    if not orders:
        return 0
    kept = inputs.kept_many(orders=orders)
    if missing := [order.pk for order in orders if order.pk not in kept]:
        raise LookupError(f"Order {missing[0]} was never settled.")
    return _post(orders, _books(orders), now, kept, run)


def claw_back_many(*, orders: Sequence[Order], now: datetime) -> int:
    """Take back what the refunds of orders take with them; the frozen entries decide, no rule is asked again."""
    return _post(orders, _books(orders), now, None)


# ── What it should add up to ─────────────────────────────────────────────────────────────────────────────────────────
@dataclass(slots=True)
class _Book:
    """What is booked for one order so far, per award; `count` of entries, the house's included.

    `earned_on`: the day its first entries count on.
    """

    sums: dict[Award, Sum] = field(default_factory=dict)
    count: int = 0
    earned_on: date | None = None

    def add(self, row: tuple[Any, ...]) -> None:
        """Take in a row of _BOOKED. There are millions of them: an award is a slice of it."""
        _order_id, entry_id, kind, fen, day = row[: _AWARD.start]
        self.count += 1
        self.earned_on = self.earned_on or day
        award, figures = _new(Award, row[_AWARD]), row[_AWARD.stop :]
        if award.staff_id is None:
            return
        known = self.sums.get(award)
        if kind == _REVERSE:
            if known is None:
                self.sums[award] = known = Sum(_new(Due, (*figures, 0)), day, entry_id)
            known.reversed_fen += fen
            known.reversed_on = day
        elif known is None:
            self.sums[award] = Sum(_new(Due, (*figures, fen)), day, entry_id)
        else:  # a later version may have judged it again: the last word holds
            known.due = _new(Due, (*figures, known.due.fen + fen))

    def came_back_on(self, line_id: int) -> date | None:
        """The day the last of what refunds took of a line counts on."""
        days = (sum.reversed_on for award, sum in self.sums.items() if award.line_id == line_id)
        return max((day for day in days if day), default=None)

    def dues(self) -> dict[Award, Due]:
        """Per award, what it earns by what is booked."""
        return {award: sum.due for award, sum in self.sums.items()}


_EMPTY = _Book()
_AWARD = slice(5, 5 + len(Award._fields))  # where in a row of _BOOKED it stands; behind it the figures of a Due


def _books(orders: Collection[Order]) -> dict[int, _Book]:
    """Order id → its book, for orders that may have one."""
    books: dict[int, _Book] = defaultdict(_Book)
    if orders:
        with connection.cursor() as cursor:
            cursor.execute(_BOOKED, [[order.pk for order in orders]])
            for row in cursor.fetchall():
                books[row[0]].add(row)
    return books


# Order by order along its index, whatever the planner thinks: while a first load fills the journal it knows nothing of
# it yet, and would read the whole of it for every batch.
_BOOKED = """
SELECT entry.order_id, entry.id, entry.kind, entry.fen, entry.earned_on,
    entry.line_id, rule.code, entry.role, entry.staff_id, entry.store_id, entry.payer_id,
    entry.version_id, entry.rule_id, entry.claim_id, entry.base_fen, entry.pool_fen
FROM unnest(%s::bigint[]) AS wanted(order_id)
CROSS JOIN LATERAL (
    SELECT * FROM commissions_entry WHERE order_id = wanted.order_id OFFSET 0
) AS entry LEFT JOIN commissions_rule AS rule ON rule.id = entry.rule_id
ORDER BY entry.id
"""


def _post(
    orders: Sequence[Order],
    books: Mapping[int, _Book],
    now: datetime,
    kept: Mapping[int, Kept] | None,
    run: int | None = None,
) -> int:
    """Post the differences; `kept` None leaves what was earned as it stands and looks at refunds only."""
    versions, today = None, now.astimezone(SHANGHAI).date()
    if kept:
        plans.hold(brand_ids={order.brand_id for order in orders})
        versions = versions_of(orders)
    postings, uncounted = [], dict[int, list[Any]]()
    for order in orders:
        book = books.get(order.pk, _EMPTY)
        if kept and versions:
            earned, uncounted[order.pk] = _dues(order, kept[order.pk], versions)
        else:
            earned = book.dues()
        if legs := _legs(order, earned, book, today):
            postings.append(_Posting(order, book.count, legs))
    if kept:
        counting.mark(orders=orders, uncounted=uncounted, now=now)
    return _write(postings, now, run)


def versions_of(orders: Sequence[Order | Sold]) -> plans.Timetable:
    """The versions that hold for these orders."""
    brand_ids, times = {order.brand_id for order in orders}, [order.paid_at for order in orders]
    return plans.timetable(brand_ids=brand_ids, since=min(times), until=max(times))


def _legs(order: Order, earned: Mapping[Award, Due], book: _Book, today: date) -> list["_Leg"]:
    """The differences between what an order should add up to and what is booked for it.

    What a correction adds or takes away counts when what it corrects does, so that a month that is still open is put
    right itself. A refund counts on the day it is booked, or with the award where that is still to be earned.
    """
    due_on = book.earned_on or earned_on(order)
    if not book.sums and not order.all_refunds:  # nearly always; what follows would give the same
        return [_new(_Leg, (award, _EARN, due.fen, due, due_on, None)) for award, due in earned.items()]
    back = returns.tally(lines=order.all_lines, refunds=order.all_refunds).back
    legs = []
    for award in {**earned, **book.sums} if book.sums else earned:
        wanted, booked = earned.get(award), book.sums.get(award)
        is_same = wanted and booked and wanted.fen == booked.due.fen and not booked.reversed_fen
        if is_same and award.line_id not in back:  # so is most of what is judged again
            continue
        target = wanted.fen if wanted else 0
        figures = wanted or booked.due  # type: ignore[union-attr]  # it stands in one of the two
        change = target - (booked.due.fen if booked else 0)
        if change:
            day = booked.earned_on if booked else due_on
            legs.append(_Leg(award, _DELTA if booked else _EARN, change, figures, day, booked))
        if more := taken(target, back.get(award.line_id)) - (booked.reversed_fen if booked else 0):
            if booked:
                day = (booked.reversed_on if change else None) or max(booked.earned_on, today)
            else:
                day = book.came_back_on(award.line_id) or due_on
            legs.append(_Leg(award, _REVERSE, more, figures, day, booked))
    return legs


def taken(fen: int, came: engine.Returned | None) -> int:
    """What the refunds so far take of an amount: the opposite sign, and all of it once the whole line came back."""
    return engine.reversal(fen, came.size, 0, came.back) if came else 0


def _dues(order: Order, kept: Kept, versions: plans.Timetable) -> tuple[dict[Award, Due], list[Any]]:
    """What the plan of the moment of payment gives to whom, and which lines do not count for attainment."""
    compiled = versions.at(brand_id=order.brand_id, moment=order.paid_at)
    if compiled is None:
        return {}, []
    dues: dict[Award, Due] = {}
    awards, uncounted = engine.judge(compiled.plan, order_facts(order=order, kept=kept))
    version_id, rule_ids = compiled.version_id, compiled.rule_ids
    for award, part, claim in parts(awards=awards, kept=kept):
        # Taken apart at once: a name at a time takes twice as long, and this is done for every entry.
        (line_id, rule, base_fen, pool_fen, _, _), (role, holder, fen) = award, part
        claim_id, _, _, _, store_id, payer_id, _ = claim
        key = _new(Award, (line_id, rule, role, holder, store_id, payer_id))
        dues[key] = _new(Due, (version_id, rule_ids[rule], claim_id, base_fen, pool_fen, fen))
    return dues, uncounted


def parts(*, awards: Sequence[engine.Award], kept: Kept) -> Iterator[tuple[Any, Any, KeptClaim]]:
    """The awards, each with its parts and the claim a part answers.

    Lines, roles and holders come back from the engine as they went in: ids.
    """
    of_order: dict[Any, KeptClaim] = {}
    of_lines: dict[Any, dict[Any, KeptClaim]] = {}
    for claim in kept.claims:
        claims = of_order if claim.line_id is None else of_lines.setdefault(claim.line_id, {})
        claims[claim.role, claim.staff_id] = claim
    for award in awards:
        claims = {**of_order, **of_lines[award.line_id]} if award.line_id in of_lines else of_order
        for part in award.parts:
            yield award, part, claims[part[:2]]


def order_facts(*, order: Order | Sold, kept: Kept) -> engine.facts.Order:
    """An order with its kept inputs, in the shape the engine prices. Channels are known by their kind."""
    roles: dict[int | None, dict[str, int | None]] = defaultdict(dict)
    for claim in kept.claims:
        # None on a line: it names somebody we do not know, and nobody stands in for them.
        roles[claim.line_id].setdefault(claim.role, claim.staff_id)
    return engine.facts.Order(
        id=order.pk,
        paid_at=order.paid_at,
        channel=order.channel.kind,
        store=order.store.code if order.store else None,
        roles=roles[None],
        member_is_new=kept.buyer.is_new,
        buyer_clerk=kept.buyer.staff_id,
        store_groups=kept.buyer.store_groups,
        ownership=kept.buyer.ownership or None,
        tier=kept.buyer.tier or None,
        dormant_days=kept.buyer.dormant_days,
        live_event=order.live_event or None,
        material=next((claim.material for claim in kept.claims if claim.material), None),
        lines=tuple(
            engine.facts.Line(
                id=line.pk,
                paid_fen=line.paid_fen,
                tag_fen=line.tag_fen,
                qty=line.qty,
                brand=line.brand_label,
                category=line.category_label,
                product=line.sku,
                cost_fen=line.cost_fen,
                roles=roles.get(line.pk),
            )
            for line in order.all_lines
        ),
    )


# ── Writing ──────────────────────────────────────────────────────────────────────────────────────────────────────────
class _Leg(NamedTuple):
    award: Award
    kind: str
    fen: int
    figures: Due
    day: date  # it counts on
    booked: Sum | None


class _Posting(NamedTuple):
    """What is new of one order; so many entries are booked already."""

    order: Order
    booked: int
    legs: list[_Leg]

    def by_payer(self) -> dict[int | None, list[_Leg]]:
        groups: dict[int | None, list[_Leg]] = defaultdict(list)
        for leg in self.legs:
            groups[leg.award.payer_id].append(leg)
        return groups


def _write(postings: Sequence[_Posting], now: datetime, run: int | None) -> int:
    """Append one transaction per order and payer: its legs, and one house leg that brings it to zero."""
    if not postings:
        return 0
    days: dict[int, set[date]] = defaultdict(set)
    for posting in postings:
        days[posting.order.brand_id].update(leg.day for leg in posting.legs)
    when = {brand_id: _places(brand_id, days[brand_id]) for brand_id in sorted(days)}
    groups = [(posting, posting.by_payer()) for posting in postings]
    ids = iter(entry_ids(sum(len(by_payer) + len(posting.legs) for posting, by_payer in groups)))
    rows: list[bytes] = []
    for posting, by_payer in groups:
        places = itertools.count(posting.booked)
        for payer_id, legs in by_payer.items():
            source = _Source(posting.order, payer_id, run, now)
            rows += _rows(source, places, legs, when[posting.order.brand_id], ids)
    with connection.cursor() as cursor:
        copied.into(cursor, table="commissions_entry", columns=_COLUMNS, rows=rows)
    return len(rows)


def _places(brand_id: int, days: Collection[date]) -> dict[date, bytes]:
    """What an entry of each day says of its time: the day, and the periods it is booked in and comes from."""
    places = periods.places(brand_id=brand_id, days=days)
    return {day: copied.day(day) + copied.numbers(*place) for day, place in places.items()}


# Entries are most of what an order writes, so a row of theirs is put together from ready parts, as COPY reads it. A
# model instance takes longer to make than a row to write.
_COLUMNS = (
    *("key", "id", "txn", "fen", "base_fen", "pool_fen", "line_id", "rule_id", "version_id"),  # _LEG
    *("kind", "role", "staff_id", "claim_id", "store_id", "reverses_id"),  # _who
    *("earned_on", "period_booked_id", "period_origin_id"),  # _places
    *("order_id", "brand_id", "payer_id", "run", "paid_at", "posted_at"),
)
_LEG = copied.start(columns=len(_COLUMNS), numbers=8)
_HOUSE = copied.start(columns=len(_COLUMNS), numbers=5)
_NO_LINE = copied.numbers(*[None] * 3)


class _Source(NamedTuple):
    """What one transaction comes from: an order, as one company pays for it."""

    order: Order
    payer_id: int | None
    run: int | None
    now: datetime


def _rows(
    source: _Source, places: Iterator[int], legs: Sequence[_Leg], when: Mapping[date, bytes], ids: Iterator[int]
) -> Iterator[bytes]:
    """The entries of one transaction, in the order of _COLUMNS; the house's leg has the id of the transaction.

    The key of an entry is its place in the book of its order: who posts on an old state of it collides.
    """
    order, payer_id, run, now = source
    txn, order_id = next(ids), order.pk
    common = copied.numbers(order_id, order.brand_id, payer_id, run) + copied.moment(order.paid_at)
    common += copied.moment(now)
    house_fen, last = 0, date.min
    ends: dict[Any, bytes] = {}  # the lines of an order mostly go to the same few people
    for (award, kind, fen, figures, day, booked), place, id in zip(legs, places, ids, strict=False):
        line_id, _, role, staff_id, store_id, _ = award
        version_id, rule_id, claim_id, base_fen, pool_fen, _ = figures
        who = (kind, role, staff_id, claim_id, store_id, booked.first_entry_id if booked else None)
        end = ends.get((day, who))
        if end is None:
            end = ends[day, who] = _who(*who) + when[day] + common
        # A number comes after its length.
        yield _LEG(
            order_id, place, 8, id, 8, txn, 8, fen, 8, base_fen, 8, pool_fen, 8, line_id, 8, rule_id, 8, version_id
        ) + end  # fmt: skip
        house_fen, last = house_fen - fen, max(last, day)
    if house_fen:
        start = _HOUSE(order_id, next(places), 8, txn, 8, txn, 8, house_fen, 8, 0, 8, 0)
        yield start + _NO_LINE + _who(legs[0].kind) + when[last] + common


def _who(kind: str, role: str = "", *ids: int | None) -> bytes:
    """Who gets it as what: the person, their claim and store, and the entry that is corrected; nobody = the house."""
    return copied.words(kind, role) + copied.numbers(*(ids or [None] * 4))


def earned_on(order: Order) -> date:
    """The Shanghai day on which the return window of an order ends and its commission is earned."""
    from_at = order.delivered_at or order.paid_at
    return from_at.astimezone(SHANGHAI).date() + timedelta(days=order.channel.return_days)


def entry_ids(count: int) -> list[int]:
    """So many ids of entries. As one text: reading ten thousand rows of a number each takes ten times as long."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT string_agg(nextval(name)::text, ' ') FROM generate_series(1, %s),"
            # Looked up once: for each row anew it would cost ten times what the number costs.
            " (SELECT pg_get_serial_sequence('commissions_entry', 'id')::regclass AS name OFFSET 0) AS sequence",
            [count],
        )
        return [int(id) for id in cursor.fetchone()[0].split()]
