"""What a closing adds of its own: 保底 advanced and taken back, and what goes beyond the most that is paid.

Both look at what a person is due in all (what was booked and what earlier periods left over), and both are entries, so
that a statement stays the sum of its entries.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple, Protocol

from django.db.models import Q, Sum
from django.db.models.functions import Coalesce

from commissions.booking import Leg, book
from commissions.engine import payout
from commissions.models import Entry, Guarantee, PayTerms, Period
from commissions.models.ledger import midnight
from retail.models import Employment, Post

Kind = Entry.Kind


class Account(Protocol):
    """What one company owes one person in a period, before it is closed."""

    @property
    def staff_id(self) -> int: ...
    @property
    def payer_id(self) -> int | None: ...
    @property
    def store_id(self) -> int | None: ...
    @property
    def due_fen(self) -> int: ...


class _Key(NamedTuple):
    staff_id: int
    payer_id: int | None


@dataclass(frozen=True, slots=True)
class _Due:
    """An account as far as it is looked at here; `fen` follows what was added."""

    key: _Key
    store_id: int | None
    fen: int


def settle(*, period: Period, accounts: Sequence[Account], terms: PayTerms, now: datetime) -> None:
    """Book guarantees and caps of a period that is being closed. The caller holds its row."""
    dues = {
        key: _Due(key, account.store_id, account.due_fen)
        for account in accounts
        for key in [_Key(account.staff_id, account.payer_id)]
    }
    legs = _Legs(period, now)
    _guarantee(period, dues, legs)
    if terms.max_fen is not None and terms.excess == PayTerms.Excess.HOUSE:
        _release(period, dues, legs)
        _hold(period, dues, legs, terms.max_fen)
    legs.book()


class _Legs:
    """Gathers legs, and books a transaction per company, kind and period they belong to."""

    def __init__(self, period: Period, now: datetime) -> None:
        self._period, self._now = period, now
        self._gathered: dict[tuple[Period, int | None, str], list[Leg]] = defaultdict(list)

    def add(self, dues: dict[_Key, _Due], due: _Due, kind: str, fen: int, origin: Period | None = None) -> None:
        """Note a leg and let the account follow it."""
        if fen:
            dues[due.key] = replace(due, fen=due.fen + fen)
            leg = Leg(due.key.staff_id, due.store_id, fen)
            self._gathered[origin or self._period, due.key.payer_id, kind].append(leg)

    def book(self) -> None:
        for (origin, payer_id, kind), legs in self._gathered.items():
            source = f"{kind} {self._period.pk} {origin.pk} {payer_id}"
            book(period=origin, payer_id=payer_id, kind=kind, legs=legs, source=source, now=self._now,
                 into=self._period)  # fmt: skip


# ── 保底 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
def balances(*, staff_ids: Sequence[int], brand_id: int) -> dict[tuple[int, int | None], int]:
    """(person, company) → what was advanced and not taken back yet."""
    rows = Entry.objects.filter(staff__in=staff_ids, brand=brand_id, kind__in=[Kind.DRAW, Kind.RECOVER])
    sums = rows.values_list("staff", "payer").annotate(fen=Sum("fen")).order_by()
    return {(staff_id, payer_id): fen for staff_id, payer_id, fen in sums if fen}


def _guarantee(period: Period, dues: dict[_Key, _Due], legs: _Legs) -> None:
    """Lift those to their guarantee who earned less; take back what was lifted before."""
    held = _guaranteed(period)
    known = balances(staff_ids=list(held), brand_id=period.brand_id)
    for staff_id, (guarantee, number, place) in sorted(held.items()):
        mine = sorted((due for due in dues.values() if due.key.staff_id == staff_id), key=lambda due: -due.fen)
        if not mine:
            if place is None:
                continue  # nobody any more who could be paid
            mine = [_Due(_Key(staff_id, place.payer_id), place.store_id, 0)]
        total_fen = sum(due.fen for due in mine)
        drawn = payout.draw(
            earned_fen=max(0, total_fen),
            min_fen=guarantee.min_fen,
            balance_fen=sum(fen for (staff, _payer), fen in known.items() if staff == staff_id),
            is_guaranteed=number <= guarantee.draw_until and place is not None,
            is_recovering=number >= guarantee.recover_from,
        )
        # A debt is no reason to be paid less than what is guaranteed: it is advanced with the rest.
        more_fen = drawn.draw_fen + max(0, -total_fen) if drawn.draw_fen else 0
        legs.add(dues, mine[0], Kind.DRAW, more_fen)
        left = drawn.recovered_fen
        for due in mine:
            part = max(0, min(left, known.get(due.key, 0), due.fen))
            legs.add(dues, due, Kind.RECOVER, -part)
            left -= part


class _Place(NamedTuple):
    store_id: int
    payer_id: int | None
    role: str


def _guaranteed(period: Period) -> dict[int, tuple[Guarantee, int, _Place | None]]:
    """Person → their guarantee, the number of this period in it, and where they work at its end.

    A guarantee of one's own goes before that of a position. Six statements, whoever has one.
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
    found: dict[int, tuple[Guarantee, int, _Place | None]] = {}
    joined = dict(Employment.objects.filter(staff__in=places).order_by("starts_at").values_list("staff", "starts_at"))
    for row in (row for row in rows if row.position):
        for staff_id, place in places.items():
            joined_at = joined.get(staff_id)
            if place.role == row.position and joined_at and joined_at >= midnight(row.first_period.starts_on):
                number = sum(end > joined_at for _start, end in starts)
                found.setdefault(staff_id, (row, number, place))
    for staff_id, row in own.items():
        since = midnight(row.first_period.starts_on)
        found[staff_id] = (row, sum(start >= since for start, _end in starts), places.get(staff_id))
    return found


def _starts(period: Period) -> list[tuple[datetime, datetime]]:
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
    rows = posts.order_by("-starts_at").values_list("staff", "store", "store__franchisee", "role")
    return {staff_id: _Place(store_id, payer_id, role) for staff_id, store_id, payer_id, role in rows}


# ── The most that is paid ────────────────────────────────────────────────────────────────────────────────────────────
def _hold(period: Period, dues: dict[_Key, _Due], legs: _Legs, max_fen: int) -> None:
    """What goes beyond the most stays with the company."""
    for due in list(dues.values()):
        legs.add(dues, due, Kind.CAP_HOLD, -max(0, due.fen - max_fen))


def _release(period: Period, dues: dict[_Key, _Due], legs: _Legs) -> None:
    """What comes late for a period in which something was held back moves that first.

    Had it come in time, less (or more) had been held back, and the person been paid the same.
    """
    held = _held(period)
    origins = Period.objects.in_bulk({origin_id for _key, origin_id in held})
    # Of what is taken back: the period in which it was paid.
    late = Entry.objects.of_staff().annotate(of=Coalesce("reverses__period_booked", "period_origin"))
    late = late.filter(period_booked=period, of__in=origins).exclude(kind__in=_NOT_EARNED)
    sums = late.values_list("staff", "payer", "of").annotate(fen=Sum("fen")).order_by()
    for staff_id, payer_id, origin_id, fen in sums:
        key = _Key(staff_id, payer_id)
        if key in dues and (kept_fen := held.get((key, origin_id), 0)):
            more_fen = max(0, kept_fen + fen) - kept_fen
            kind = Kind.CAP_HOLD if more_fen > 0 else Kind.CAP_RELEASE
            legs.add(dues, dues[key], kind, -more_fen, origins[origin_id])


_NOT_EARNED = [Kind.CAP_HOLD, Kind.CAP_RELEASE, Kind.PAYOUT, Kind.DRAW, Kind.RECOVER]


def _held(period: Period) -> dict[tuple[_Key, int], int]:
    """(person and company, period) → what of it the company holds."""
    rows = Entry.objects.of_staff().filter(
        order=None, kind__in=[Kind.CAP_HOLD, Kind.CAP_RELEASE], period_origin__brand=period.brand_id
    )
    sums = rows.values_list("staff", "payer", "period_origin").annotate(fen=Sum("fen")).order_by()
    return {(_Key(staff, payer), origin): -fen for staff, payer, origin, fen in sums if fen}
