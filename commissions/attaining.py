"""Attainment: what everybody sold in a period by what the plan counts, and the bonus that follows from it.

A period is counted as a whole, by a few statements, however often: the bonus of what was sold by now, less what is
booked of it, is booked. So the sum of what is booked is always the bonus of the total, whatever came in which order,
and a count that finds nothing new books nothing.

What is counted are the lines of the orders paid in the period, net of refunds, of those who held the role the
attainment names; without lines that no rule counts (`counting`), and without what people sold to themselves. The plan
that held when the period began says how: nobody's steps move within a month.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.models import F, Max, Q

from commissions import engine, ladders, periods, turnover
from commissions.booking import Leg, book
from commissions.models import Attained, Attainment, CountMark, Entry, Period, Plan, PlanVersion, Target
from commissions.models.ledger import SHANGHAI, midnight
from commissions.models.plans import Role
from commissions.turnover import Holder, Sold
from retail import jobs
from retail.models import Order, Refund, Region, Staff, Store, StoreGroup

Level = Attainment.Level
NOBODY = Holder(None, None, None)


class Payee(NamedTuple):
    """Who is paid, for work in which store, by which company."""

    staff_id: int
    store_id: int | None
    payer_id: int | None


@dataclass(slots=True)
class Sums:
    """What one subject sold: in all, by store, and by who has a part in its bonus (None: nobody is there to)."""

    sales_fen: int = 0
    stores: dict[int | None, int] = field(default_factory=lambda: defaultdict(int))
    payees: dict[Payee | None, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, fen: int, store_id: int | None, payee: Payee | None) -> None:
        self.sales_fen += fen
        self.stores[store_id] += fen
        self.payees[payee] += fen

    @property
    def main_store_id(self) -> int | None:
        """Where most was sold, the store with the lower id of equals."""
        return min(self.stores, key=lambda store_id: (-self.stores[store_id], store_id or 0))


# ── Counting ─────────────────────────────────────────────────────────────────────────────────────────────────────────
@transaction.atomic
def count(*, period: Period, now: datetime, is_booking: bool) -> int:
    """Bring what was attained in a period up to date, and book what that changes; how many entries that took.

    What belongs to a closed period is booked into the one of today, or the first open one after it.
    """
    with connection.cursor() as cursor:
        # In this order, as a closing does: it holds its period before it counts.
        cursor.execute("SELECT FROM commissions_period WHERE id = %s FOR SHARE", [period.pk])
        # One count at a time: two would book the same difference.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('attained'), %s)", [period.brand_id])
    period = Period.objects.get(pk=period.pk)  # it may have been closed meanwhile
    known = {(row.code, row.level, row.subject): row for row in Attained.objects.filter(period=period)}
    counted = [
        one
        for attainment, sales in _sales(period, definitions(period=period))
        for one in _counted(period, attainment, sales, known, now)
    ]
    gone = known.keys() - {(one.row.code, one.row.level, one.row.subject) for one in counted}
    for key in gone:
        known[key].sales_fen = known[key].bonus_fen = 0
        known[key].counted_at = now
    _keep([*(one.row for one in counted), *(known[key] for key in sorted(gone))])
    return _book(period, counted, now) if is_booking else 0


def definitions(*, period: Period) -> list[Attainment]:
    """The attainments of a period: those of the version that held when it began, or of the first within it."""
    version = _version(period)
    if version is None:
        return []
    return list(Attainment.objects.filter(version=version).order_by("code").prefetch_related("steps"))


def _version(period: Period) -> PlanVersion | None:
    held = PlanVersion.objects.filter(
        Q(ends_at=None) | Q(ends_at__gt=midnight(period.starts_on)) & Q(ends_at__gt=F("starts_at")),
        plan__brand=period.brand_id,
        status__in=[PlanVersion.Status.ACTIVE, PlanVersion.Status.RETIRED],
        starts_at__lt=midnight(period.ends_on),
    )
    return held.order_by("starts_at").first()


@dataclass(frozen=True, slots=True)
class _Counted:
    """A subject of an attainment, and its bonus divided (None: the part that stays with the house)."""

    row: Attained
    parts: dict[Payee | None, int]


_Known = Mapping[tuple[str, str, int], Attained]


def _counted(
    period: Period, attainment: Attainment, sales: Sequence[Sold], known: _Known, now: datetime
) -> list[_Counted]:
    """Everybody who sold something by an attainment. `known`: the rows of the last count."""
    mine = {key[2]: row for key, row in known.items() if key[:2] == (attainment.code, attainment.level)}
    subjects = _subjects(period, attainment, mine)
    sums: dict[int, Sums] = defaultdict(Sums)
    for sale in sales:
        seller = sale.who.get(attainment.role, NOBODY)
        subject = subjects.of(seller)
        if subject is not None:
            sums[subject].add(sale.fen, seller.store_id, _payee(attainment, sale))
    names, targets = _names(attainment, sums), _targets(period, attainment, mine)
    counted = []
    for subject, one in sorted(sums.items()):
        target_fen = targets.get(subject)
        bonus_fen = ladders.scale_of(attainment, target_fen=target_fen).commission(one.sales_fen)
        row = Attained(
            period=period,
            attainment=attainment,
            code=attainment.code,
            level=attainment.level,
            subject=subject,
            name=names.get(subject, ""),
            staff_id=subject if attainment.level == Level.STAFF else None,
            store_id=one.main_store_id if attainment.level in (Level.STAFF, Level.STORE) else None,
            stores=subjects.stores_of(subject),
            sales_fen=one.sales_fen,
            target_fen=target_fen,
            bonus_fen=bonus_fen,
            counted_at=now,
        )
        counted.append(_Counted(row, _divided(attainment, bonus_fen, one)))
    return counted


def _payee(attainment: Attainment, sale: Sold) -> Payee | None:
    payee = sale.who.get(attainment.payee, NOBODY)
    if payee.staff_id is None:
        return None
    # What a region manager earns belongs to no single store.
    store_id = None if attainment.payee == Role.REGION else payee.store_id
    return Payee(payee.staff_id, store_id, payee.payer_id)


def _divided(attainment: Attainment, bonus_fen: int, sums: Sums) -> dict[Payee | None, int]:
    """By what was sold under each, to the fen; what was sold with nobody there stays with the house.

    In equal parts: each person the same, then by what they sold in which store for which company.
    """
    sign = -1 if sums.sales_fen < 0 else 1
    weights = {
        payee: max(0, sign * fen) for payee, fen in sorted(sums.payees.items(), key=lambda item: _rank(item[0]))
    }
    if attainment.level != Level.STAFF and attainment.divide == Attainment.Divide.EQUAL:
        return _equally(bonus_fen, weights)
    if not any(weights.values()):
        return {}
    return dict(zip(weights, engine.allocate(bonus_fen, list(weights.values())), strict=True))


def _equally(bonus_fen: int, weights: Mapping[Payee | None, int]) -> dict[Payee | None, int]:
    people: dict[int, dict[Payee | None, int]] = defaultdict(dict)
    for payee, weight in weights.items():
        if payee and weight:
            people[payee.staff_id][payee] = weight
    parts = engine.allocate(bonus_fen, [1] * len(people)) if people else []
    divided: dict[Payee | None, int] = {}
    for places, part in zip(people.values(), parts, strict=True):
        divided |= dict(zip(places, engine.allocate(part, list(places.values())), strict=True))
    return divided


def _rank(payee: Payee | None) -> tuple[int, ...]:
    return (payee.staff_id, payee.store_id or 0, payee.payer_id or 0) if payee else (0, 0, 0)


def would_give(*, period: Period, sets: Sequence[Sequence[Attainment]], now: datetime) -> list[dict[int, int]]:
    """For each of several sets of attainments: person → what they give for what was sold in a period.

    Nothing is written, and what they ask alike is asked once.
    """
    known = {(row.code, row.level, row.subject): row for row in Attained.objects.filter(period=period)}
    given: list[dict[int, int]] = [defaultdict(int) for _set in sets]
    places = {id(one): place for place, some in enumerate(sets) for one in some}
    for attainment, sales in _sales(period, [one for some in sets for one in some]):
        for counted in _counted(period, attainment, sales, known, now):
            for payee, fen in counted.parts.items():
                if payee is not None:
                    given[places[id(attainment)]][payee.staff_id] += fen
    return given


# ── When ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
JOB = "attain"
LATE_COMMIT = timedelta(hours=1)  # what was settled before a count may be committed after it


def enqueue(*, now: datetime, is_night: bool) -> int:
    """Have the periods counted that something happened to since they last were; how many.

    By day that is for people to look at. At night what it changes is booked, of closed periods too.
    """
    today = now.astimezone(SHANGHAI).date()
    if is_night:
        _make_periods(today)
    begun = Period.objects.filter(starts_on__lte=today, brand__plan__versions__attainments__isnull=False).distinct()
    periods = begun if is_night else begun.exclude(status=Period.Status.CLOSED)
    work = [
        jobs.Work(JOB, {"period_id": period.pk, "is_booking": is_night}, f"attained:{period.brand_id}")
        for period in periods.order_by("brand", "starts_on")
        if is_changed(period=period) or (is_night and period.status != Period.Status.CLOSED)
    ]
    jobs.enqueue(work=work, now=now)
    return len(work)


def _make_periods(today: date) -> None:
    """Entries are booked when they are earned; what was sold counts when it was paid, which may be a month before."""
    for brand_id in (
        Plan.objects.filter(versions__attainments__isnull=False).values_list("brand", flat=True).distinct()
    ):
        first = Order.objects.filter(brand=brand_id).order_by("paid_at").values_list("paid_at", flat=True).first()
        if first is not None:
            periods.places(brand_id=brand_id, days=[first.astimezone(SHANGHAI).date(), today])


def run(*, period_id: int, is_booking: bool, now: datetime) -> int:
    """What the job does."""
    return count(period=Period.objects.get(pk=period_id), now=now, is_booking=is_booking)


def is_changed(*, period: Period) -> bool:
    """Whether anything came that a count of this period would see, or the plan of it was corrected, since the last."""
    rows = Attained.objects.filter(period=period)
    counted_at = rows.aggregate(last=Max("counted_at"))["last"]
    used = set(rows.exclude(sales_fen=0).values_list("attainment", flat=True))
    if counted_at is None or used != {one.pk for one in definitions(period=period)}:
        return True
    since = counted_at - LATE_COMMIT
    orders = Order.objects.filter(
        brand=period.brand_id, paid_at__gte=midnight(period.starts_on), paid_at__lt=midnight(period.ends_on)
    )
    return (
        orders.filter(settled_at__gte=since).exists()
        or Refund.objects.filter(settled_at__gte=since, order__in=orders).exists()
        or CountMark.objects.filter(posted_at__gte=since, order__in=orders).exists()
    )


# ── Whose sales ──────────────────────────────────────────────────────────────────────────────────────────────────────
def _sales(period: Period, attainments: Sequence[Attainment]) -> Iterator[tuple[Attainment, list[Sold]]]:
    """Each attainment with the sales it is about; those that ask the same of the database ask once."""
    alike: dict[tuple[Any, ...], list[Attainment]] = defaultdict(list)
    for one in attainments:
        until_closed = one.late_refund == Attainment.LateRefund.CURRENT
        alike[one.role, one.store_group, until_closed, *_taken(period, one)].append(one)
    for (role, store_group, until_closed, *taken), group in alike.items():
        roles = {role, *(one.payee for one in group)}
        sales = turnover.in_period(
            period=period, roles=roles, store_group=store_group, until_closed=until_closed, taken=taken
        )
        for one in group:
            yield one, sales


def _taken(period: Period, attainment: Attainment) -> list[Period]:
    """The closed periods whose late refunds are taken off this one's sales: so it says in their own plan."""
    current = Attainment.objects.filter(
        version__plan__brand=period.brand_id, code=attainment.code, late_refund=Attainment.LateRefund.CURRENT
    )
    if not current.exists():
        return []
    earlier = Period.objects.filter(
        brand=period.brand_id, starts_on__lt=period.starts_on, status=Period.Status.CLOSED
    ).order_by("starts_on")
    versions = set(current.values_list("version", flat=True))
    return [one for one in earlier if (held := _version(one)) and held.pk in versions]


@dataclass(slots=True)
class _Subjects:
    """Which subject a sale counts for. `region_of`: store → region, as it is, or as it was when the period closed."""

    level: str
    group_id: int | None = None
    region_of: Mapping[int, int | None] = field(default_factory=dict)

    def of(self, seller: Holder) -> int | None:
        if self.level == Level.STAFF:
            return seller.staff_id
        if self.level == Level.STORE:
            return seller.store_id
        if self.level == Level.GROUP:
            return self.group_id if seller != NOBODY else None
        return self.region_of.get(seller.store_id) if seller.store_id else None

    def stores_of(self, subject: int) -> list[int]:
        """Of a region only: the stores it has."""
        return sorted(store_id for store_id, region_id in self.region_of.items() if region_id == subject)


def _subjects(period: Period, attainment: Attainment, known: Mapping[int, Attained]) -> _Subjects:
    if attainment.level == Level.GROUP:
        group = StoreGroup.objects.filter(code=attainment.store_group).values_list("pk", flat=True).first()
        return _Subjects(attainment.level, group_id=group)
    if attainment.level != Level.REGION:
        return _Subjects(attainment.level)
    region_of = dict(Store.objects.filter(brand=period.brand_id).values_list("pk", "region"))
    if period.status == Period.Status.CLOSED:
        region_of |= {store_id: region for region, row in known.items() for store_id in row.stores}
    return _Subjects(attainment.level, region_of=region_of)


def _names(attainment: Attainment, subjects: Iterable[int]) -> dict[int, str]:
    model: Any = {Level.STAFF: Staff, Level.STORE: Store, Level.REGION: Region, Level.GROUP: StoreGroup}
    rows = model[Level(attainment.level)]._base_manager.filter(pk__in=list(subjects))
    return dict(rows.values_list("pk", "name"))


def _targets(period: Period, attainment: Attainment, known: Mapping[int, Attained]) -> dict[int, int | None]:
    """What each is to sell. Of a closed period, what it was when that closed."""
    if period.status == Period.Status.CLOSED and known:
        return {subject: row.target_fen for subject, row in known.items()}
    if attainment.level not in (Level.STAFF, Level.STORE):
        return {}
    rows = Target.objects.filter(period=period, **{f"{attainment.level}__isnull": False})
    return dict(rows.values_list(attainment.level, "goal_fen"))


def _keep(rows: Sequence[Attained]) -> None:
    said = ("attainment", "name", "staff", "store", "stores", "sales_fen", "target_fen", "bonus_fen", "counted_at")
    for row in rows:
        row.pk = None
    Attained.objects.bulk_create(
        rows,
        batch_size=1_000,
        update_conflicts=True,
        unique_fields=["period", "code", "level", "subject"],
        update_fields=said,
    )


# ── Booking ──────────────────────────────────────────────────────────────────────────────────────────────────────────
class _Award(NamedTuple):
    """What is booked is summed by this."""

    code: str
    payee: Payee


def _book(period: Period, counted: Sequence[_Counted], now: datetime) -> int:
    """Book what is due less what is booked: a transaction per company."""
    booked, count = _booked(period)
    due: dict[_Award, int] = defaultdict(int)
    causes: dict[_Award, Attained] = {}
    for one in counted:
        for payee, fen in one.parts.items():
            if payee is not None:
                award = _Award(one.row.code, payee)
                due[award] += fen
                causes[award] = one.row
    legs: dict[int | None, list[Leg]] = defaultdict(list)
    for award in sorted({*due, *booked}, key=lambda award: (award.code, _rank(award.payee))):
        if more := due[award] - booked.get(award, _NOTHING).fen:
            legs[award.payee.payer_id].append(_leg(award, more, causes.get(award), booked.get(award)))
    made = 0
    for payer_id in sorted(legs, key=lambda payer_id: payer_id or 0):
        # Numbered by what is booked: whoever counts on an old state of it collides.
        source = f"bonus {period.pk} {payer_id} {count + made}"
        kind, mine = Entry.Kind.BONUS, legs[payer_id]
        made += len(book(period=period, payer_id=payer_id, kind=kind, legs=mine, source=source, now=now))
    return made


class _Booked(NamedTuple):
    fen: int
    version_id: int | None
    attainment_id: int | None
    role: str


_NOTHING = _Booked(0, None, None, "")


def _leg(award: _Award, fen: int, cause: Attained | None, booked: _Booked | None) -> Leg:
    payee = award.payee
    if cause is None:  # it is due no more; what it was is known from before
        was = booked or _NOTHING
        return Leg(payee.staff_id, payee.store_id, fen, was.role, was.version_id, was.attainment_id)
    attainment = cause.attainment
    return Leg(
        payee.staff_id, payee.store_id, fen, attainment.payee, attainment.version_id, attainment.pk,
        base_fen=cause.sales_fen, pool_fen=cause.bonus_fen,
    )  # fmt: skip


def _booked(period: Period) -> tuple[dict[_Award, _Booked], int]:
    """What is booked of the period, by award, and how many entries that is, the house's included."""
    with connection.cursor() as cursor:
        cursor.execute(_BOOKED, [period.pk])
        rows = cursor.fetchall()
    sums = {
        _Award(code, Payee(staff_id, store_id, payer_id)): _Booked(fen, *cause)
        for code, staff_id, store_id, payer_id, _count, fen, *cause in rows
        if staff_id is not None
    }
    return sums, sum(row[4] for row in rows)


# An award is known by the code of its attainment: it stays itself in a later version.
_BOOKED = """
SELECT a.code, e.staff_id, e.store_id, e.payer_id, count(*), sum(e.fen)::bigint,
    max(e.version_id), max(e.attainment_id), max(e.role)
FROM commissions_entry e LEFT JOIN commissions_attainment a ON a.id = e.attainment_id
WHERE e.order_id IS NULL AND e.kind = 'bonus' AND e.period_origin_id = %s GROUP BY 1, 2, 3, 4
"""
