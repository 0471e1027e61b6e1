"""What a closing adds of its own: 保底 advanced and taken back, and what goes beyond the most that is paid.

Both look at what a person is due in all (what was booked and what earlier periods left over), and both are entries, so
that a statement stays the sum of its entries.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from django.db.models import Max, Q, Sum
from django.db.models.functions import Coalesce

from commissions.booking import Leg, book
from commissions.engine import allocate, payout
from commissions.leavers import Account, Key, gone, key_of
from commissions.models import Entry, Guarantee, PayTerms, Period
from commissions.models.ledger import midnight
from retail.models import Employment, Post

Kind = Entry.Kind


@dataclass(frozen=True, slots=True)
class _Due:
    """An account as far as it is looked at here; what is due follows what was added."""

    key: Key
    store_id: int | None
    due_fen: int

    @property
    def staff_id(self) -> int:
        return self.key.staff_id

    @property
    def payer_id(self) -> int | None:
        return self.key.payer_id


class Settled(NamedTuple):
    """`least`: person → what is guaranteed to them in the period. `is_booked`: the accounts are not what they were."""

    least: dict[int, int]
    is_booked: bool


def settle(*, period: Period, accounts: Sequence[Account], terms: PayTerms, now: datetime) -> Settled:
    """Book guarantees and caps of a period that is being closed. The caller holds the row of the period."""
    dues = {key_of(one): _Due(key_of(one), one.store_id, one.due_fen) for one in accounts}
    legs = _Legs(period, now)
    max_fen = terms.max_fen
    is_holding = terms.excess == PayTerms.Excess.HOUSE and max_fen is not None
    _release(period, dues, legs, is_holding=is_holding)  # first: what is made up for need not be advanced
    least = _guarantee(period, dues, legs, max_fen)
    _recover_from_leavers(period, dues, legs)
    if is_holding and max_fen is not None:
        _hold(dues, legs, max_fen)
    return Settled(least, legs.book())


class _Legs:
    """Gathers legs, and books a transaction per company, kind and period they belong to."""

    def __init__(self, period: Period, now: datetime) -> None:
        self._period, self._now = period, now
        self._gathered: dict[tuple[Period, int | None, str], list[Leg]] = defaultdict(list)

    def add(self, dues: dict[Key, _Due], due: _Due, kind: str, fen: int, origin: Period | None = None) -> None:
        """Note a leg and let the account follow it."""
        if fen:
            dues[due.key] = replace(due, due_fen=due.due_fen + fen)
            leg = Leg(due.key.staff_id, due.store_id, fen)
            self._gathered[origin or self._period, due.key.payer_id, kind].append(leg)

    def recovered(self, key: Key) -> int:
        """What of an advance is taken back already."""
        legs = self._gathered.get((self._period, key.payer_id, Kind.RECOVER), ())
        return -sum(leg.fen for leg in legs if leg.staff_id == key.staff_id)

    def book(self) -> bool:
        """Whether there was anything."""
        for (origin, payer_id, kind), legs in self._gathered.items():
            source = f"{kind} {self._period.pk} {origin.pk} {payer_id}"
            book(period=origin, payer_id=payer_id, kind=kind, legs=legs, source=source, now=self._now,
                 into=self._period)  # fmt: skip
        return bool(self._gathered)


# ── 保底 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
def balances(*, staff_ids: Sequence[int], brand_id: int) -> dict[tuple[int, int | None], int]:
    """(person, company) → what was advanced and not taken back yet."""
    rows = Entry.objects.filter(staff__in=staff_ids, brand=brand_id, kind__in=[Kind.DRAW, Kind.RECOVER])
    sums = rows.values_list("staff", "payer").annotate(fen=Sum("fen")).order_by()
    return {(staff_id, payer_id): fen for staff_id, payer_id, fen in sums if fen}


def _guarantee(period: Period, dues: dict[Key, _Due], legs: _Legs, max_fen: int | None) -> dict[int, int]:
    """Lift those to their guarantee who earned less, take back what was lifted before; person → what they have sure.

    Nobody is advanced what goes beyond the most that is paid.
    """
    held = _guaranteed(period)
    least = {}
    known = balances(staff_ids=list(held), brand_id=period.brand_id)
    for staff_id, (guarantee, number, place) in sorted(held.items()):
        mine = sorted((due for due in dues.values() if due.key.staff_id == staff_id), key=lambda due: -due.due_fen)
        if not mine:
            if place is None:
                continue  # nobody any more who could be paid
            mine = [_Due(Key(staff_id, place.payer_id), place.store_id, 0)]
        total_fen = sum(due.due_fen for due in mine)
        min_fen = guarantee.min_fen if max_fen is None else min(guarantee.min_fen, max_fen)
        is_guaranteed = number <= guarantee.draw_until and place is not None
        if is_guaranteed:
            least[staff_id] = min_fen
        drawn = payout.draw(
            earned_fen=max(0, total_fen),
            min_fen=min_fen,
            balance_fen=sum(fen for (staff, _payer), fen in known.items() if staff == staff_id),
            is_guaranteed=is_guaranteed,
            is_recovering=number >= guarantee.recover_from,
        )
        # A debt is no reason to be paid less than what is guaranteed: it is advanced with the rest.
        more_fen = drawn.draw_fen + max(0, -total_fen) if drawn.draw_fen else 0
        legs.add(dues, mine[0], Kind.DRAW, more_fen)
        left = drawn.recovered_fen
        for due in mine:
            part = max(0, min(left, known.get(due.key, 0), due.due_fen))
            legs.add(dues, due, Kind.RECOVER, -part)
            left -= part
    return least


def _recover_from_leavers(period: Period, dues: dict[Key, _Due], legs: _Legs) -> None:
    """Take back all that who left was advanced: what they have to get, and the rest becomes a debt of theirs."""
    rows = Entry.objects.of_staff().filter(
        order=None, kind__in=[Kind.DRAW, Kind.RECOVER], period_origin__brand=period.brand_id
    )
    sums = rows.values_list("staff", "payer").annotate(fen=Sum("fen"), store=Max("store")).order_by("staff", "payer")
    owing = {Key(staff, payer): (store, fen) for staff, payer, fen, store in sums.filter(fen__gt=0)}
    left = gone(period=period, staff_ids={key.staff_id for key in owing})
    for key, (store_id, fen) in owing.items():
        if key.staff_id in left:
            due = dues.get(key, _Due(key, store_id, 0))
            legs.add(dues, due, Kind.RECOVER, -(fen - legs.recovered(key)))


class _Place(NamedTuple):
    store_id: int
    payer_id: int | None
    role: str
    grade: str


_Held = dict[int, tuple[Guarantee, int, _Place | None]]
_Span = tuple[datetime, datetime]


def _guaranteed(period: Period) -> _Held:
    """Person → their guarantee, the number of this period in it, and where they work at its end.

    A guarantee of one's own goes before that of a grade, and that before one of a whole position. Who has another
    grade by now is held to it without a place: advanced nothing, and what was advanced is taken back. Six statements.
    """
    rows = list(
        Guarantee.objects.filter(brand=period.brand_id, first_period__starts_on__lte=period.starts_on)
        .select_related("first_period")
        .order_by("-first_period__starts_on", "-pk")
    )
    if not rows:
        return {}
    own = {row.staff_id: row for row in reversed(rows) if row.staff_id}
    places = _places(period, [*own], {row.position for row in rows if row.position})
    starts = _starts(period)
    found = _of_newcomers([row for row in rows if row.position], places, starts)
    for staff_id, row in own.items():
        since = midnight(row.first_period.starts_on)
        found[staff_id] = (row, sum(start >= since for start, _end in starts), places.get(staff_id))
    return found


def _of_newcomers(rows: Iterable[Guarantee], places: dict[int, _Place], starts: Sequence[_Span]) -> _Held:
    """Of the guarantees of positions: those who joined since, with a place where they have the grade."""
    found: _Held = {}
    outgrown: _Held = {}
    joined = dict(Employment.objects.filter(staff__in=places).order_by("starts_at").values_list("staff", "starts_at"))
    for row in sorted(rows, key=lambda row: not row.grade):
        for staff_id, place in places.items():
            joined_at = joined.get(staff_id)
            if place.role == row.position and joined_at and joined_at >= midnight(row.first_period.starts_on):
                number = sum(end > joined_at for _start, end in starts)
                if row.grade in ("", place.grade):
                    found.setdefault(staff_id, (row, number, place))
                else:
                    outgrown.setdefault(staff_id, (row, number, None))
    return outgrown | found


def _starts(period: Period) -> list[_Span]:
    """Start and end of every period of the brand up to this one."""
    rows = Period.objects.filter(brand=period.brand_id, starts_on__lte=period.starts_on)
    return [(midnight(start), midnight(end)) for start, end in rows.values_list("starts_on", "ends_on")]


def _places(period: Period, staff_ids: Sequence[int], positions: set[str]) -> dict[int, _Place]:
    """Person → the store of the brand they work in when the period ends, for those persons and positions."""
    at_the_end = midnight(period.ends_on)
    posts = Post.objects.filter(
        Q(staff__in=staff_ids) | Q(role__in=positions),
        Q(ends_at=None) | Q(ends_at__gte=at_the_end),
        store__brand=period.brand_id,
        starts_at__lt=at_the_end,
    )
    rows = posts.order_by("-starts_at").values_list("staff", "store", "store__franchisee", "role", "staff__grade")
    return {staff_id: _Place(store_id, payer_id, role, grade) for staff_id, store_id, payer_id, role, grade in rows}


# ── The most that is paid ────────────────────────────────────────────────────────────────────────────────────────────
def most(*, accounts: Iterable[Account], max_fen: int | None) -> dict[tuple[int, int | None], int]:
    """(person, company) → the most that company pays, of those with something to get; none: there is no limit.

    The limit is a person's: companies share it in proportion to what each has to pay, to the fen.
    """
    if max_fen is None:
        return {}
    people: dict[int, list[Account]] = defaultdict(list)
    for account in accounts:
        if account.due_fen > 0:
            people[account.staff_id].append(account)
    found: dict[tuple[int, int | None], int] = {}
    for mine in people.values():
        dues = [account.due_fen for account in mine]
        parts = allocate(min(max_fen, sum(dues)), dues)
        found |= {(one.staff_id, one.payer_id): fen for one, fen in zip(mine, parts, strict=True)}
    return found


def _hold(dues: dict[Key, _Due], legs: _Legs, max_fen: int) -> None:
    """What goes beyond the most stays with the company."""
    for (staff_id, payer_id), fen in most(accounts=dues.values(), max_fen=max_fen).items():
        due = dues[Key(staff_id, payer_id)]
        legs.add(dues, due, Kind.CAP_HOLD, fen - due.due_fen)


def _release(period: Period, dues: dict[Key, _Due], legs: _Legs, *, is_holding: bool) -> None:
    """What comes late for a period in which something was held back moves that first, whatever the terms are by now.

    Had it come in time, less (or, while the company keeps the excess, more) had been held back, and the person been
    paid the same. What one company holds makes up for what another takes back: the limit is the person's.
    """
    held = _held(period)
    if not held:
        return
    origins = Period.objects.in_bulk({origin_id for _key, origin_id in held})
    # Of what is taken back or corrected: the period in which it was booked.
    late = Entry.objects.of_staff().annotate(of=Coalesce("reverses__period_booked", "period_origin"))
    late = late.filter(period_booked=period, of__in=origins).exclude(kind__in=_NOT_EARNED)
    sums = late.values_list("staff", "payer", "of").annotate(fen=Sum("fen")).order_by("-fen", "staff", "payer", "of")
    for staff_id, payer_id, origin_id, fen in sums:
        own = Key(staff_id, payer_id)
        if fen > 0 and is_holding and held.get((own, origin_id)):
            legs.add(dues, dues[own], Kind.CAP_HOLD, -fen, origins[origin_id])
            held[own, origin_id] += fen
        mine = [key for key, origin in held if key.staff_id == staff_id and origin == origin_id]
        for key in sorted(mine, key=lambda key: key != own):
            more_fen = max(0, min(-fen, held[key, origin_id]))
            legs.add(dues, dues.get(key, _Due(key, None, 0)), Kind.CAP_RELEASE, more_fen, origins[origin_id])
            held[key, origin_id] -= more_fen
            fen += more_fen


_NOT_EARNED = [Kind.CAP_HOLD, Kind.CAP_RELEASE, Kind.PAYOUT, Kind.DRAW, Kind.RECOVER]


def _held(period: Period) -> dict[tuple[Key, int], int]:
    """(person and company, period) → what of it the company holds."""
    rows = Entry.objects.of_staff().filter(
        order=None, kind__in=[Kind.CAP_HOLD, Kind.CAP_RELEASE], period_origin__brand=period.brand_id
    )
    sums = rows.values_list("staff", "payer", "period_origin").annotate(fen=Sum("fen")).order_by()
    return {(Key(staff, payer), origin): -fen for staff, payer, origin, fen in sums if fen}
