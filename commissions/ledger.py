"""The journal: what everybody is owed for an order, as append-only signed entries.

Both verbs work the same way: they state what the entries of an order *should* add up to, per award (line, rule, role,
person), and post the difference to what is booked. So a repeat posts nothing, the order in which refunds arrive does
not matter, and a correction is a difference, never an overwrite. The caller holds the row lock of the order.
"""

import hashlib
import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from operator import attrgetter
from typing import Any, NamedTuple

from django.db import connection

from commissions import claims as inputs
from commissions import engine, periods, plans
from commissions.claims import BuyerFacts, Claim, Kept
from commissions.models import ClaimRow, Entry
from commissions.models.ledger import SHANGHAI
from retail import orders
from retail.models import Order, OrderLine


class Award(NamedTuple):
    """What the entries of an order are summed by."""

    line_id: int
    rule_id: int
    role: str
    staff_id: int
    store_id: int | None
    payer_id: int | None


@dataclass(slots=True)
class Sum:
    """One award with its figures: what it earns (earn + delta) and what of that came back (reverse, ≤ 0 for > 0)."""

    version_id: int
    claim_id: int | None
    base_fen: int
    pool_fen: int
    earned_fen: int = 0
    reversed_fen: int = 0
    earned_on: date | None = None
    first_entry_id: int | None = None


# ── The verbs ────────────────────────────────────────────────────────────────────────────────────────────────────────
def accrue(
    *, order: Order, claims: Sequence[Claim], buyer: BuyerFacts, resolver: int, now: datetime, reason: str = ""
) -> list[Entry]:
    """Keep the inputs of an order and post what follows from them; returns the entries posted.

    claims: who was behind the order, per role. buyer: what was true of the buyer. Called again for a corrected order
    it keeps a new revision (with its reason) and posts differences; refunds already known are taken along.
    """
    before = inputs.kept(order=order) if order.settled_version else None
    kept = inputs.keep(
        order=order,
        claims=claims,
        buyer=buyer,
        resolver=resolver,
        now=now,
        revision=before.buyer.revision + 1 if before else 1,
        reason=reason,
    )
    return _post(order, _Book.of(order) if before else _Book(), now, kept)


def revise(*, order: Order, now: datetime) -> list[Entry]:
    """Post the differences of an order whose content was corrected, judged on the inputs kept before."""
    kept = inputs.kept(order=order)
    if kept is None:
        raise LookupError(f"Order {order.pk} was never settled.")
    return _post(order, _Book.of(order), now, kept)


def claw_back(*, order: Order, now: datetime) -> list[Entry]:
    """Take back what the refunds of an order take with them; the frozen entries decide, no rule is asked again."""
    return _post(order, _Book.of(order), now, None)


# ── What it should add up to ─────────────────────────────────────────────────────────────────────────────────────────
@dataclass(slots=True)
class _Book:
    """What is booked for one order so far, per award; `count` of entries, the house's included."""

    sums: dict[Award, Sum] = field(default_factory=dict)
    count: int = 0

    @classmethod
    def of(cls, order: Order) -> "_Book":
        book = cls()
        for entry in Entry.objects.filter(order=order).order_by("pk"):
            book.count += 1
            if entry.staff_id is not None:
                book._add(entry)
        return book

    def _add(self, entry: Any) -> None:
        """A staff leg of an order: its line, rule, role and person are never null."""
        award = Award(entry.line_id, entry.rule_id, entry.role, entry.staff_id, entry.store_id, entry.payer_id)
        known = self.sums.setdefault(
            award,
            Sum(
                version_id=entry.version_id,
                claim_id=entry.claim_id,
                base_fen=entry.base_fen,
                pool_fen=entry.pool_fen,
                earned_on=entry.earned_on,
                first_entry_id=entry.pk,
            ),
        )
        if entry.kind == Entry.Kind.REVERSE:
            known.reversed_fen += entry.fen
        else:
            known.earned_fen += entry.fen


def _post(order: Order, book: _Book, now: datetime, kept: Kept | None) -> list[Entry]:
    """Post the differences; `kept` None leaves what was earned as it stands and looks at refunds only."""
    lines = {line.pk: line for line in order.lines.all()}
    earned = _evaluate(order, lines, kept) if kept else book.sums
    returned = orders.returned(lines=lines.values(), refunds=order.refunds.all())
    legs = []
    for award in {**earned, **book.sums}:
        wanted, booked = earned.get(award), book.sums.get(award)
        target = wanted.earned_fen if wanted else 0
        figures = wanted or booked
        assert figures is not None
        kind = Entry.Kind.DELTA if booked else Entry.Kind.EARN
        legs.append(_Leg(award, kind, target - (booked.earned_fen if booked else 0), figures, booked))
        taken = _reversal(target, lines[award.line_id], returned.get(award.line_id))
        legs.append(_Leg(award, Entry.Kind.REVERSE, taken - (booked.reversed_fen if booked else 0), figures, booked))
    return _write(order, [leg for leg in legs if leg.fen], book.count, now)


def _evaluate(order: Order, lines: dict[int, OrderLine], kept: Kept) -> dict[Award, Sum]:
    """What the plan of the moment of payment gives to whom."""
    compiled = plans.at(brand_id=order.brand_id, moment=order.paid_at)
    if compiled is None:
        return {}
    facts = order_facts(order=order, lines=lines.values(), kept=kept)
    # Line, role and holder come back from the engine as they went in: ids.
    claims: dict[Any, ClaimRow] = {(claim.line_id, claim.role, claim.staff_id): claim for claim in kept.claims}
    sums: dict[Award, Sum] = {}
    award: Any
    part: Any
    for award in engine.price(compiled.plan, facts):
        for part in award.parts:
            claim = claims.get((award.line_id, part.role, part.holder)) or claims[None, part.role, part.holder]
            rule_id = compiled.rule_ids[award.rule_id]
            key = Award(award.line_id, rule_id, part.role, part.holder, claim.store_id, claim.payer_id)
            sums[key] = Sum(compiled.version_id, claim.pk, award.base_fen, award.pool_fen, earned_fen=part.fen)
    return sums


def order_facts(*, order: Order, lines: Iterable[OrderLine], kept: Kept) -> engine.facts.Order:
    """An order with its kept inputs, in the shape the engine prices. Channels are known by their kind."""
    roles: dict[int | None, dict[str, int]] = defaultdict(dict)
    for claim in kept.claims:
        if claim.staff_id is not None:
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
        lines=tuple(
            engine.facts.Line(
                id=line.pk,
                paid_fen=line.paid_fen,
                tag_fen=line.tag_fen,
                qty=line.qty,
                brand=line.brand_label,
                category=line.category_label,
                product=line.product.sku,
                cost_fen=line.cost_fen,
                roles=roles.get(line.pk),
            )
            for line in lines
        ),
    )


def _reversal(earned_fen: int, line: OrderLine, back: orders.Returned | None) -> int:
    """What the refunds so far take of an award of this line: the opposite sign, all of it at a full refund."""
    if back is None:
        return 0
    if line.paid_fen:
        return engine.reversal(earned_fen, abs(line.paid_fen), 0, back.fen)
    if back.pieces is not None and line.qty:
        return engine.reversal(earned_fen, abs(line.qty), 0, back.pieces)
    return -earned_fen


# ── Writing ──────────────────────────────────────────────────────────────────────────────────────────────────────────
class _Leg(NamedTuple):
    award: Award
    kind: str
    fen: int
    figures: Sum
    booked: Sum | None


def _write(order: Order, legs: list[_Leg], seq: int, now: datetime) -> list[Entry]:
    """Append one transaction per payer: its legs, and one house leg that brings it to zero."""
    if not legs:
        return []
    due_on = earned_on(order)
    today = now.astimezone(SHANGHAI).date()
    days = {leg.award: _day(leg, due_on, today) for leg in legs}
    places = periods.places(brand_id=order.brand_id, days=days.values())
    by_payer: dict[int | None, list[_Leg]] = defaultdict(list)
    for leg in legs:
        by_payer[leg.award.payer_id].append(leg)
    ids = iter(_ids(len(legs) + len(by_payer)))
    entries: list[Entry] = []
    for payer_id, group in by_payer.items():
        txn = next(ids)
        common = {
            "txn": txn,
            "order": order,
            "brand_id": order.brand_id,
            "payer_id": payer_id,
            "paid_at": order.paid_at,
            "posted_at": now,
        }
        for leg in group:
            day = days[leg.award]
            entries.append(Entry(pk=next(ids), **common, **_when(day, places[day]), **_content(order, leg, seq)))
        if house_fen := -sum(leg.fen for leg in group):
            day = max(days[leg.award] for leg in group)
            key = _key(order.pk, seq, "house", payer_id)
            entries.append(
                Entry(pk=txn, **common, **_when(day, places[day]), key=key, kind=group[0].kind, fen=house_fen)
            )
    _append(entries)
    return entries


def _when(day: date, place: periods.Place) -> dict[str, Any]:
    return {"earned_on": day, "period_booked_id": place.booked_id, "period_origin_id": place.origin_id}


_COLUMNS = [str(field.column) for field in Entry._meta.concrete_fields]
_values = attrgetter(*(field.attname for field in Entry._meta.concrete_fields))


def _append(entries: list[Entry]) -> None:
    """Entries are most of what an order writes; COPY costs a fifth of an INSERT that lists their values."""
    statement = f"COPY commissions_entry ({', '.join(_COLUMNS)}) FROM STDIN"
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for entry in entries:
            copy.write_row(_values(entry))


def _content(order: Order, leg: _Leg, seq: int) -> dict[str, Any]:
    """What a staff leg says beside its time and transaction."""
    is_reverse = leg.kind == Entry.Kind.REVERSE
    return {
        "key": _key(order.pk, seq, leg.kind, *leg.award),
        "kind": leg.kind,
        "line_id": leg.award.line_id,
        "role": leg.award.role,
        "rule_id": leg.award.rule_id,
        "version_id": leg.figures.version_id,
        "claim_id": leg.figures.claim_id,
        "staff_id": leg.award.staff_id,
        "store_id": leg.award.store_id,
        "fen": leg.fen,
        "base_fen": leg.figures.base_fen,
        "pool_fen": leg.figures.pool_fen,
        "reverses_id": leg.booked.first_entry_id if leg.booked and is_reverse else None,
    }


def earned_on(order: Order) -> date:
    """The Shanghai day on which the return window of an order ends and its commission is earned."""
    from_at = order.delivered_at or order.paid_at
    return from_at.astimezone(SHANGHAI).date() + timedelta(days=order.channel.return_days)


def _day(leg: _Leg, due_on: date, today: date) -> date:
    """Earnings count on the due day; a difference to something already earned counts today."""
    return due_on if leg.booked is None or leg.booked.earned_on is None else max(leg.booked.earned_on, today)


def _ids(count: int) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT nextval(pg_get_serial_sequence('commissions_entry', 'id')) FROM generate_series(1, %s)", [count]
        )
        return [row[0] for row in cursor.fetchall()]


def _key(*parts: object) -> uuid.UUID:
    """A deterministic key: the same posting on the same state of the book can be written only once."""
    text = "\x1f".join(map(str, parts))
    return uuid.UUID(bytes=hashlib.blake2b(text.encode(), digest_size=16).digest())
