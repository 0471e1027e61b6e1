"""What scanning clerks' codes does to 专属导购关系, whatever order we hear of it in.

Everybody who became a customer's friend in WeCom has a claim from that second on. The claims of one customer are
judged again, all of them in the order they happened, each time another becomes known:

    nobody's customer          → the claimant's
    still protected            → stays; the claimant is a friend and no more
    protection over            → by the brand's rule (Brand.rebind)
    taken over (在职/离职继承) → the claimant's, at once

What came about otherwise (a first sale, a history, a handover, a person's hand) is not judged: claims from before it
are past. Nothing here deletes a row; one that turns out never to have been is ended when it began.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from clerks import binding
from clerks.models import Binding, Touch
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


class Rules(NamedTuple):
    protection: timedelta
    rebind: str
    idle: timedelta

    @classmethod
    def of(cls, brand: Brand) -> "Rules":
        return cls(timedelta(days=brand.protection_days), brand.rebind, timedelta(days=brand.rebind_idle_days))


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
    *, claims: Iterable[Claim], activities: Iterable[datetime], losses: Losses, rules: Rules, held: Bond | None
) -> list[Bond]:
    """The relations that follow from the claims, oldest first. `held`: the one in force before them, first if any."""
    bonds = [held] if held else []
    happened = sorted([*((claim.at, 1, claim) for claim in claims), *((at, 0, None) for at in activities)], key=_place)
    for at, _, claim in happened:
        current = bonds[-1] if bonds else None
        if claim is None:
            if current and at >= current.started_at and not _is_lost(losses, current.staff_id, at):
                current.active_at = max(current.active_at, at)
        elif current and current.staff_id == claim.staff_id:
            current.active_at = max(current.active_at, at)
        elif current is None or claim.is_takeover or _is_free(current, at, rules):
            source = TAKEN_OVER if claim.is_takeover and current else CODE
            if current:
                current.ended_at, current.end_reason = at, HANDED_OVER if claim.is_takeover else REBOUND
            bonds.append(Bond(claim.staff_id, claim.store_id, source, at, at))
    return bonds


def _place(one: tuple[datetime, int, Claim | None]) -> tuple[datetime, int, int]:
    at, kind, claim = one
    return at, kind, claim.staff_id if claim else 0


def _is_lost(losses: Losses, staff_id: int, at: datetime) -> bool:
    return any(since <= at and (until is None or at < until) for since, until in losses.get(staff_id, ()))


def _is_free(bond: Bond, at: datetime, rules: Rules) -> bool:
    """Whether somebody else may have this customer by now."""
    if at < bond.active_at + rules.protection or rules.rebind == Brand.Rebind.FIRST:
        return False
    return rules.rebind == Brand.Rebind.LAST or at >= bond.active_at + rules.idle


def settle(*, brand: Brand, member_id: int, claims: Sequence[Claim], losses: Losses, now: datetime) -> None:
    """Judge all claims on a member and write what is new. To be called within a transaction.

    That somebody else's customer they are now is a line of the journal; whose they became first says the row itself.
    """
    binding.lock([(brand.pk, member_id)])
    rows, rules = list(Binding._base_manager.filter(brand=brand, member=member_id)), Rules.of(brand)
    known = _sorted_out(rows)
    activities = _activities(brand, member_id)
    bonds = judge(
        claims=[claim for claim in claims if known.since is None or claim.at > known.since],
        activities=[at for at in activities if known.since is None or at > known.since],
        losses=losses,
        rules=rules,
        held=_held(known.base, activities) if known.base else None,
    )
    was = next((row.staff_id for row in rows if row.ended_at is None), None)
    _write(brand, member_id, known, bonds, losses, rules)
    held = Binding._base_manager.filter(brand=brand, member=member_id, ended_at=None).select_related("staff").first()
    if held is not None and was not in (None, held.staff_id):
        _journal(held, was, now)


def _journal(held: Binding, was: int, now: datetime) -> None:
    before = {"staff": str(Staff._base_manager.get(pk=was))}
    after = {"staff": str(held.staff), "source": held.source}
    audit.record(by=None, action="binding.change", target=held, now=now, before=before, after=after)


class _Known(NamedTuple):
    """`own`: rows that claims made and may unmake. `base`: the one before them, if it still is to be judged."""

    own: list[Binding]
    base: Binding | None
    since: datetime | None


def _sorted_out(rows: Sequence[Binding]) -> _Known:
    claimed = [row for row in rows if row.source in (CODE, TAKEN_OVER)]
    starts = {row.started_at for row in claimed}
    own = [row for row in claimed if _is_open_to_claims(row, starts)]
    fixed = [row for row in rows if row not in own]
    if not fixed:
        return _Known(own, None, None)
    last = max(fixed, key=lambda row: (row.started_at, row.pk))
    if _is_open_to_claims(last, starts):
        return _Known(own, last, last.started_at)
    until = last.ended_at or last.started_at
    return _Known([row for row in own if row.started_at >= until], None, until)


def _is_open_to_claims(row: Binding, starts: set[datetime]) -> bool:
    """Whether the row is in force, never was, or was ended by the claim that came next."""
    return row.ended_at is None or row.ended_at == row.started_at or row.ended_at in starts


def _activities(brand: Brand, member_id: int) -> list[datetime]:
    """When the customer bought, or answered."""
    bought = Purchase._base_manager.filter(membership__brand=brand, membership__member=member_id)
    answered = Touch._base_manager.filter(member=member_id, store__brand=brand, purpose=Touch.Purpose.REPLY)
    return [*bought.values_list("paid_at", flat=True), *answered.values_list("at", flat=True)]


def _held(row: Binding, activities: Iterable[datetime]) -> Bond:
    """A relation that no claim began. One loaded from the history is as old as the last purchase before it."""
    active_at = row.started_at
    if row.source == Binding.Source.HISTORY:
        active_at = max((at for at in activities if at <= row.started_at), default=row.started_at)
    return Bond(row.staff_id, row.store_id, row.source, row.started_at, active_at)


def _write(brand: Brand, member_id: int, known: _Known, bonds: Sequence[Bond], losses: Losses, rules: Rules) -> None:
    """Endings first: there is never more than one relation in force."""
    rows = {(row.staff_id, row.started_at): row for row in [*known.own, *([known.base] if known.base else [])]}
    wanted = {(bond.staff_id, bond.started_at): bond for bond in bonds}
    for place in rows.keys() - wanted.keys():
        _save(rows[place], ended_at=rows[place].started_at, end_reason=Binding.End.UNBOUND)
    for bond in sorted(bonds, key=lambda bond: bond.ended_at is None):
        row = rows.get((bond.staff_id, bond.started_at)) or Binding(
            brand=brand, member_id=member_id, staff_id=bond.staff_id, started_at=bond.started_at
        )
        if row.pk is None:
            row.source, row.store_id = bond.source, bond.store_id
        _save(
            row,
            protected_until=max(bond.started_at, bond.active_at + rules.protection),
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
