"""My earnings: what one person has coming, summed up, by day and by sale. Reads only; the ledger writes.

Every read takes the number of statements its docstring says, however many rows there are, and sees only entries of
the scope in force.
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple, Self

from django.db.models import Count, Prefetch, Q, QuerySet, Sum
from django.db.models.functions import TruncDate

from commissions import action_words, ladders
from commissions.action_words import ActionStory
from commissions.engine.attainment import Scale
from commissions.ladders import Standing
from commissions.models import ActionEvent, Attained, Attainment, AttainmentStep, Entry, Period
from commissions.models.ledger import SHANGHAI, EntryQuerySet, midnight
from retail.models import Order


class Summary(NamedTuple):
    """Three nets in fen: of sales paid today; confirmed this month so far; handed out ever."""

    today_fen: int
    month_fen: int
    paid_fen: int


class Day(NamedTuple):
    """The sales paid on one Shanghai day: how many, their net commission, and what of it may still be returned."""

    day: date
    sales: int
    fen: int
    pending_fen: int


@dataclass(frozen=True, slots=True)
class Month:
    """A calendar month by day, newest first; days without a sale are left out."""

    days: list[Day]

    @property
    def sales(self) -> int:
        return sum(day.sales for day in self.days)

    @property
    def fen(self) -> int:
        return sum(day.fen for day in self.days)

    @property
    def pending_fen(self) -> int:
        return sum(day.pending_fen for day in self.days)


@dataclass(frozen=True, slots=True)
class Sale:
    """One order with the person's entries of it, in order of line and posting; each entry has its `state`."""

    order: Order
    entries: list[Entry]

    @property
    def paid_on(self) -> date:
        """The Shanghai day of the payment."""
        return self.order.paid_at.astimezone(SHANGHAI).date()

    @property
    def fen(self) -> int:
        """What is left of it after refunds."""
        return sum(entry.fen for entry in self.entries)

    @property
    def taken_back_fen(self) -> int:
        """What refunds took, ≤ 0."""
        return sum(entry.fen for entry in self.entries if entry.kind == Entry.Kind.REVERSE)

    @property
    def state(self) -> str:
        """ "returned" when nothing is left, else the first of frozen, pending, earned, settled, paid."""
        if not self.fen:
            return "returned"
        states = {entry.state for entry in self.entries}  # type: ignore[attr-defined]  # with_state adds it
        return next(state for state in ("frozen", "pending", "earned", "settled", "paid") if state in states)

    @property
    def earned_on(self) -> date:
        """The day from which all of it is confirmed: the end of the return window, whatever was corrected later."""
        earned = [entry.earned_on for entry in self.entries if entry.kind == Entry.Kind.EARN]
        return min(earned or (entry.earned_on for entry in self.entries))

    @property
    def products(self) -> list[str]:
        """Names of what was sold, each once."""
        return list(dict.fromkeys(entry.line.product.name for entry in self.entries if entry.line))


class Mark(NamedTuple):
    """Where a page of sales ended: the next one goes on below it. As text it fits in an address."""

    paid_at: datetime
    order_id: int

    def __str__(self) -> str:
        return f"{self.paid_at.timestamp():.6f}-{self.order_id}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The mark that was written so. Raises ValueError."""
        seconds, _, order_id = text.partition("-")
        try:
            return cls(datetime.fromtimestamp(float(seconds), SHANGHAI), int(order_id))
        except (OverflowError, OSError) as error:
            raise ValueError(text) from error


class Page(NamedTuple):
    """Sales, newest first; `mark` is where to go on, None at the end."""

    sales: list[Sale]
    mark: Mark | None


def summary(*, staff_id: int, today: date) -> Summary:
    """The three figures of the home page. One statement."""
    is_payout = Q(kind=Entry.Kind.PAYOUT)
    is_ours = Q(order__isnull=False) | Q(kind__in=ACTIONS)
    is_today = is_ours & Q(paid_at__gte=midnight(today), paid_at__lt=midnight(_after(today)))
    is_confirmed = Q(earned_on__gte=today.replace(day=1), earned_on__lte=today)
    sums = Entry.objects.filter(staff=staff_id).aggregate(
        today=Sum("fen", filter=is_today),
        month=Sum("fen", filter=is_confirmed & ~is_payout),
        paid=Sum("fen", filter=is_payout),
    )
    return Summary(sums["today"] or 0, sums["month"] or 0, -(sums["paid"] or 0))


def month(*, staff_id: int, first: date, today: date) -> Month:
    """The days of the month that starts on `first`. One statement."""
    rows = (
        _of_sales(staff_id)
        .filter(paid_at__gte=midnight(first), paid_at__lt=midnight(next_month(first)))
        .values(day=TruncDate("paid_at", tzinfo=SHANGHAI))
        .annotate(
            sales=Count("order", distinct=True),
            total_fen=Sum("fen"),
            pending_fen=Sum("fen", filter=Q(earned_on__gt=today), default=0),
        )
        .order_by("-day")
    )
    return Month([Day(row["day"], row["sales"], row["total_fen"], row["pending_fen"]) for row in rows])


def first_month(*, staff_id: int) -> date | None:
    """The month of the person's first sale, as its first day; None before it. One statement."""
    paid_at = _of_sales(staff_id).order_by("paid_at").values_list("paid_at", flat=True).first()
    return paid_at.astimezone(SHANGHAI).date().replace(day=1) if paid_at else None


def sales(*, staff_id: int, today: date, limit: int, day: date | None = None, below: Mark | None = None) -> Page:
    """The latest sales, of all time or of one day, from the top or below a mark. Two statements."""
    rows = _of_sales(staff_id)
    if day is not None:
        rows = rows.paid_on(day)
    if below is not None:
        rows = rows.filter(paid_at__lte=below.paid_at).exclude(paid_at=below.paid_at, order__gte=below.order_id)
    # DISTINCT ON walks the index of (staff, paid_at) and stops at the limit; GROUP BY would read every entry first.
    newest = rows.order_by("-paid_at", "-order").distinct("paid_at", "order").values_list("order", "paid_at")
    marks = [Mark(paid_at, order_id) for order_id, paid_at in newest[: limit + 1]]
    # Apart from the first statement: as its subquery the planner reads all entries of the person.
    entries = _of_sales(staff_id).filter(order__in=[mark.order_id for mark in marks[:limit]])
    found = _grouped(entries.order_by("-paid_at", "-order", "line", "pk"), today)
    return Page(found, marks[limit - 1] if len(marks) > limit else None)


def sale(*, staff_id: int, order_id: int, today: date) -> Sale | None:
    """One sale with all that its explanation reads; None where the person has no entry. One statement."""
    rows = (
        _of_sales(staff_id).filter(order=order_id).select_related("rule", "reverses", "order__store", "period_booked")
    )
    return next(iter(_grouped(rows.order_by("line", "pk"), today)), None)


# ── What was attained ────────────────────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True, slots=True)
class Performance:
    """What somebody (or their store) attained in a period, as last counted. `standing`: none once that is closed."""

    row: Attained
    scale: Scale
    standing: Standing | None

    @property
    def reached_fen(self) -> int:
        """How far they are on the way to the next tier, for a bar that ends there."""
        return max(0, min(self.row.sales_fen, self.end_fen))

    @property
    def end_fen(self) -> int:
        return self.standing.next_fen if self.standing and self.standing.next_fen else max(1, self.row.sales_fen)


def performances(*, staff_id: int, store_id: int | None, first: date) -> list[Performance]:
    """Of the periods of a month: one's own, and those of the store for who manages it. Two statements."""
    rows = (
        _attained(staff_id, store_id)
        .filter(period__starts_on__lt=next_month(first), period__ends_on__gt=first)
        .exclude(sales_fen=0, bonus_fen=0)
    )
    return [_performance(row) for row in rows.order_by("-level", "code", "period__starts_on")]


def performance(*, attained_id: int, staff_id: int, store_id: int | None) -> Performance | None:
    """One of them; None where it is somebody else's."""
    row = _attained(staff_id, store_id).filter(pk=attained_id).first()
    return _performance(row) if row else None


def bonuses(*, row: Attained, staff_id: int) -> list[Entry]:
    """What a person was booked of it, newest first. One statement."""
    booked = Entry.objects.filter(
        order=None, kind=Entry.Kind.BONUS, period_origin=row.period_id, staff=staff_id, attainment__code=row.code
    )
    return list(booked.select_related("period_booked").order_by("-pk"))


def _attained(staff_id: int, store_id: int | None) -> QuerySet[Attained]:
    mine = Q(staff=staff_id)
    if store_id is not None:
        mine |= Q(level=Attainment.Level.STORE, store=store_id)
    # The plan belongs to nobody; whoever may see what they attained may see the steps to it.
    steps = Prefetch("attainment__steps", queryset=AttainmentStep._base_manager.order_by("from_fen"))
    return Attained.objects.filter(mine).select_related("attainment", "period").prefetch_related(steps)


def _performance(row: Attained) -> Performance:
    scale = ladders.scale_of(row.attainment, target_fen=row.target_fen)
    is_open = row.period.status == Period.Status.OPEN
    return Performance(row, scale, ladders.standing(scale, sales_fen=row.sales_fen) if is_open else None)


# ── What comes of no sale: pay per action and per response ───────────────────────────────────────────────────────────
ACTIONS = (Entry.Kind.CPA, Entry.Kind.CPR)


class Rewards(NamedTuple):
    """The rewarded things of one month: how many paid, what they brought net, and what of it may still be taken."""

    times: int
    fen: int
    pending_fen: int


def rewards(*, staff_id: int, first: date, today: date) -> Rewards:
    """Those of the month that starts on `first`. One statement."""
    rows = Entry.objects.filter(staff=staff_id, kind__in=ACTIONS)
    sums = rows.filter(paid_at__gte=midnight(first), paid_at__lt=midnight(next_month(first))).aggregate(
        count=Count("pk", filter=Q(fen__gt=0)),
        total_fen=Sum("fen", default=0),
        pending_fen=Sum("fen", filter=Q(earned_on__gt=today), default=0),
    )
    return Rewards(sums["count"], sums["total_fen"], sums["pending_fen"])


def actions(*, staff_id: int, first: date, today: date, limit: int, offset: int = 0) -> list[ActionStory]:
    """What the person did in that month and what it brought or why nothing, newest first. Two statements."""
    rows = ActionEvent.objects.filter(staff=staff_id, at__gte=midnight(first), at__lt=midnight(next_month(first)))
    events = list(rows.select_related("rate").order_by("-at", "-pk")[offset : offset + limit])
    booked = Entry.objects.filter(pk__in=[event.entry_id for event in events if event.entry_id])
    states = {entry.pk: entry.state for entry in booked.with_state(today)}  # type: ignore[attr-defined]  # it adds it
    return action_words.stories(events, states)


def next_month(first: date) -> date:
    return date(first.year + first.month // 12, first.month % 12 + 1, 1)


def previous_month(first: date) -> date:
    return date(first.year - (first.month == 1), (first.month - 2) % 12 + 1, 1)


def _after(day: date) -> date:
    return date.fromordinal(day.toordinal() + 1)


def _of_sales(staff_id: int) -> EntryQuerySet:
    """Entries that came from an order."""
    return Entry.objects.filter(staff=staff_id, order__isnull=False)


def _grouped(entries: EntryQuerySet, today: date) -> list[Sale]:
    """One Sale per order, in the order given."""
    by_order: dict[int, Sale] = {}
    for entry in entries.with_state(today).select_related("order__channel", "line__product"):
        assert entry.order is not None  # _of_sales asks for no others
        by_order.setdefault(entry.order.pk, Sale(entry.order, [])).entries.append(entry)
    return list(by_order.values())
