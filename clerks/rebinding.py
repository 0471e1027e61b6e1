"""What scanning clerks' codes does to 专属导购关系, whatever order we hear of it in.

Everybody who became a customer's friend in WeCom has a claim from that second on. The claims of one customer are
judged again, all of them in the order they happened, each time another becomes known:

    nobody's customer          → the claimant's
    still protected            → stays; the claimant is a friend and no more
    protection over            → by the brand's rule (Brand.rebind)
    protected elsewhere only   → the claimant's, where a brand protects within a store and no further
    the claimant has too many  → stays (or stays nobody's): `TurnedAway`, for good
    taken over (在职/离职继承) → the claimant's, at once

Each claim is judged by the policy that held when it was made (`clerks.policies`). What came about otherwise (a first
sale, an import, a handover, a person's hand) is not judged: claims from before it are past. Nothing here deletes a
row; one that turns out never to have been is ended when it began. WeCom's times are whole seconds and those of other
systems need not be: two times are the same when their seconds are.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from clerks import binding, policies
from clerks.models import Binding, Touch, TurnedAway
from clerks.policies import Rulebook, Rules, Sign
from members.models import Purchase
from retail import audit
from retail.models import Brand, Staff

CODE, TAKEN_OVER = Binding.Source.CONTACT_CODE, Binding.Source.TAKEOVER
REBOUND, HANDED_OVER = Binding.End.REBOUND, Binding.End.HANDED_OVER


class Claim(NamedTuple):
    """Somebody of ours became a friend of the customer's at that moment."""

    at: datetime
    staff_id: int
    store_id: int
    is_takeover: bool = False


def second(at: datetime) -> datetime:
    """A time as far as WeCom tells it."""
    return at.replace(microsecond=0)


Seat = tuple[int, datetime]
"""Clerk and second: what tells a relation from the others of a member."""


def seat(staff_id: int, at: datetime) -> Seat:
    return staff_id, second(at)


class Activity(NamedTuple):
    """The customer gave a sign of life."""

    at: datetime
    sign: Sign


@dataclass(slots=True)
class Bond:
    """A relation as it is judged. `active_at`: the last thing that prolonged its protection."""

    staff_id: int
    store_id: int
    source: str
    started_at: datetime
    active_at: datetime
    ended_at: datetime | None = None
    end_reason: str = ""


Losses = dict[int, list[tuple[datetime, datetime | None]]]
"""Clerk → the times during which the customer had deleted them."""


def judge(
    *, claims: Iterable[Claim], activities: Iterable[Activity], losses: Losses, rules: Rulebook, held: Bond | None
) -> list[Bond]:
    """The relations that follow from the claims, oldest first. `held`: the one in force before them, first if any."""
    bonds = [held] if held else []
    signs = ((one.at, 0, None) for one in activities if one.sign in rules.at(one.at).counts)
    happened = sorted([*((claim.at, 1, claim) for claim in claims), *signs], key=_place)
    for at, _, claim in happened:
        current = bonds[-1] if bonds else None
        if claim is None:
            if current and at >= current.started_at and not _is_lost(losses, current.staff_id, at):
                current.active_at = max(current.active_at, at)
        elif current and current.staff_id == claim.staff_id:
            current.active_at = max(current.active_at, at)
        elif current is None or claim.is_takeover or _is_free(current, claim, rules.at(at)):
            source = TAKEN_OVER if claim.is_takeover and current else CODE
            if current:
                current.ended_at, current.end_reason = at, HANDED_OVER if claim.is_takeover else REBOUND
            bonds.append(Bond(claim.staff_id, claim.store_id, source, at, at))
    return bonds


def _place(one: tuple[datetime, int, Claim | None]) -> tuple[datetime, int, int, bool]:
    at, kind, claim = one
    return at, kind, claim.staff_id if claim else 0, claim is not None and not claim.is_takeover


def _is_lost(losses: Losses, staff_id: int, at: datetime) -> bool:
    return any(since <= at and (until is None or at < until) for since, until in losses.get(staff_id, ()))


def _is_free(bond: Bond, claim: Claim, rules: Rules) -> bool:
    """Whether the claimant may have this customer by now."""
    if rules.is_per_store and claim.store_id != bond.store_id:
        return True
    if claim.at < bond.active_at + rules.protection or rules.rebind == Brand.Rebind.FIRST:
        return False
    return rules.rebind == Brand.Rebind.LAST or claim.at >= bond.active_at + rules.idle


Made = dict[Seat, int]
"""What claims on a member have made so far, and in which store."""


def made(*, brands: Iterable[int], member_id: int) -> dict[int, Made]:
    """By brand; brands where claims never made anything are left out."""
    found: dict[int, Made] = {}
    for row in Binding._base_manager.filter(brand__in=brands, member=member_id, is_judged=True):
        found.setdefault(row.brand_id, {})[seat(row.staff_id, row.started_at)] = row.store_id
    return found


class Facts(NamedTuple):
    """All that is known of one member and one brand. `claims` are those that count: nobody was turned away."""

    rows: Sequence[Binding]
    claims: Sequence[Claim]
    activities: Sequence[Activity]
    losses: Losses


def judged(facts: Facts, rules: Rulebook) -> tuple["Known", list[Bond]]:
    """What follows from the facts by these rules, beside what no claim may change. Pure."""
    known = _sorted_out(facts.rows)
    bonds = judge(
        claims=[claim for claim in facts.claims if known.since is None or second(claim.at) > known.since],
        activities=[one for one in facts.activities if known.since is None or one.at > known.since],
        losses=facts.losses,
        rules=rules,
        held=_held(known.base, facts, rules) if known.base else None,
    )
    return known, bonds


def settle(*, brand: Brand, member_id: int, claims: Sequence[Claim], losses: Losses, now: datetime) -> None:
    """Judge all claims on a member and write what is new. The caller holds `binding.lock`.

    That somebody else's customer they are now is a line of the journal; whose they became first says the row itself.
    """
    rows, rules = list(Binding._base_manager.filter(brand=brand, member=member_id)), policies.rulebook(brand)
    facts = Facts(rows, claims, _activities(brand, member_id), losses)
    if brand.customers_cap is not None:
        facts = facts._replace(claims=_accepted(brand, member_id, facts, rules, now))
    known, bonds = judged(facts, rules)
    was = next((row.staff_id for row in rows if row.ended_at is None), None)
    _write(brand, member_id, known, bonds, losses, rules)
    held = Binding._base_manager.filter(brand=brand, member=member_id, ended_at=None).select_related("staff").first()
    if held is not None and was not in (None, held.staff_id):
        _journal(held, was, now)


def _accepted(brand: Brand, member_id: int, facts: Facts, rules: Rulebook, now: datetime) -> list[Claim]:
    """The claims without those of clerks who had as many customers as the brand allows when we heard of them."""
    away = {seat(row.staff_id, row.at) for row in TurnedAway._base_manager.filter(brand=brand, member=member_id)}
    claims = [claim for claim in facts.claims if seat(claim.staff_id, claim.at) not in away]
    known = {seat(row.staff_id, row.started_at) for row in facts.rows}
    while new := _new(judged(facts._replace(claims=claims), rules)[1], known):
        if binding.room(brand=brand, staff_ids=[new.staff_id], now=now)[new.staff_id] != 0:
            break
        full = next(claim for claim in claims if seat(claim.staff_id, claim.at) == seat(new.staff_id, new.started_at))
        binding.turn_away([TurnedAway(
            brand=brand, member_id=member_id, staff_id=full.staff_id, store_id=full.store_id, source=CODE, at=full.at
        )])  # fmt: skip
        claims.remove(full)
    return claims


def _new(bonds: Sequence[Bond], known: Collection[Seat]) -> Bond | None:
    """The relation in force, if a code is about to make it. Who takes over in WeCom was chosen by a person."""
    last = bonds[-1] if bonds else None
    return last if last and last.source == CODE and seat(last.staff_id, last.started_at) not in known else None


def _journal(held: Binding, was: int, now: datetime) -> None:
    before = {"staff": str(Staff._base_manager.get(pk=was))}
    after = {"staff": str(held.staff), "source": held.source}
    audit.record(by=None, action="binding.change", target=held, now=now, before=before, after=after)


class Known(NamedTuple):
    """`own`: rows that claims made and may unmake. `base`: the one before them, if it still is to be judged.

    `since`: the second from which on claims count, None = all of them.
    """

    own: list[Binding]
    base: Binding | None
    since: datetime | None


def _sorted_out(rows: Sequence[Binding]) -> Known:
    starts = {second(row.started_at) for row in rows if row.is_judged}
    own = [row for row in rows if row.is_judged and _is_open_to_claims(row, starts)]
    merged = {row.pk for row in rows if row.end_reason == Binding.End.MERGED}  # gave way to what stands beside it
    fixed = [row for row in rows if row not in own and row.pk not in merged and row.ended_at != row.started_at]
    if not fixed:
        return Known(own, None, None)
    last = max(fixed, key=lambda row: (row.ended_at is None, row.started_at, row.pk))
    base = last if _is_open_to_claims(last, starts) else None
    since = second(last.started_at if base else last.ended_at or last.started_at)
    return Known([row for row in own if second(row.started_at) > since], base, since)


def _is_open_to_claims(row: Binding, starts: Collection[datetime]) -> bool:
    """Whether the row is in force, never was, or was ended by the claim that came next, or by a merge."""
    if row.ended_at is None or row.ended_at == row.started_at or row.end_reason == Binding.End.MERGED:
        return True
    return row.end_reason in (REBOUND, HANDED_OVER) and second(row.ended_at) in starts


SIGNS = {Touch.Purpose.REPLY: Sign.REPLY, Touch.Purpose.OPENED: Sign.MATERIAL}


def _activities(brand: Brand, member_id: int) -> list[Activity]:
    """When the customer bought, answered, or opened what a clerk had sent."""
    bought = Purchase._base_manager.filter(membership__brand=brand, membership__member=member_id)
    heard = Touch._base_manager.filter(member=member_id, store__brand=brand, purpose__in=SIGNS)
    return [
        *(Activity(at, Sign.PURCHASE) for at in bought.values_list("paid_at", flat=True)),
        *(Activity(at, SIGNS[Touch.Purpose(purpose)]) for at, purpose in heard.values_list("at", "purpose")),
    ]


def _held(row: Binding, facts: Facts, rules: Rulebook) -> Bond:
    """A relation that no claim began.

    One loaded from the history is as old as the last purchase before it. Of others the protection they came with is
    believed (an import may know of purchases that we do not), unless a sign of life or a claim explains it: whether
    that prolonged anything is for the judge to see.
    """
    active_at = row.started_at
    times = [one.at for one in facts.activities]
    if row.source == Binding.Source.HISTORY:
        active_at = max((at for at in times if at <= row.started_at), default=row.started_at)
    else:
        said = row.protected_until - rules.at(row.ended_at).protection
        known = [*times, *(claim.at for claim in facts.claims if claim.staff_id == row.staff_id)]
        if not any(abs(at - said) <= timedelta(days=1) for at in known):
            active_at = max(active_at, said)
    return Bond(row.staff_id, row.store_id, row.source, row.started_at, active_at)


def _write(brand: Brand, member_id: int, known: Known, bonds: Sequence[Bond], losses: Losses, rules: Rulebook) -> None:
    """Endings first: there is never more than one relation in force."""
    rows: Mapping[Seat, Binding] = {
        seat(row.staff_id, row.started_at): row for row in [*known.own, *([known.base] if known.base else [])]
    }
    wanted = {seat(bond.staff_id, bond.started_at) for bond in bonds}
    for place in rows.keys() - wanted:
        _save(rows[place], ended_at=rows[place].started_at, end_reason=Binding.End.UNBOUND)
    for bond in sorted(bonds, key=lambda bond: bond.ended_at is None):
        row = rows.get(seat(bond.staff_id, bond.started_at)) or Binding(
            brand=brand, member_id=member_id, staff_id=bond.staff_id, started_at=bond.started_at, is_judged=True
        )
        if row.pk is None:
            row.source, row.store_id = bond.source, bond.store_id
        _save(
            row,
            protected_until=max(bond.started_at, bond.active_at + rules.at(bond.ended_at).protection),
            ended_at=bond.ended_at,
            end_reason=bond.end_reason,
            lost_at=_lost_since(losses, bond),
        )


def _save(row: Binding, **fields: Any) -> None:
    """Write what differs; a row that is as it should be is left alone."""
    if row.pk is not None and all(getattr(row, name) == value for name, value in fields.items()):
        return
    for name, value in fields.items():
        setattr(row, name, value)
    row.save(force_insert=row.pk is None, update_fields=None if row.pk is None else list(fields))


def _lost_since(losses: Losses, bond: Bond) -> datetime | None:
    """Since when the customer had deleted the clerk as the relation stands, or stood when it ended."""
    for since, until in losses.get(bond.staff_id, ()):
        if bond.ended_at is None and until is None:
            return since
        if bond.ended_at is not None and since < bond.ended_at and (until is None or bond.ended_at <= until):
            return since
    return None
