"""Actions: pay per action (CPA: a member recruited) and per response (CPR: a material opened)."""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, tzinfo

from .document import Document
from .facts import wall_clock

REASONS = (
    *("duplicate", "unknown_type", "too_active", "already_paid", "daily_cap", "budget_spent"),
    *("nothing_to_void", "too_late"),
)
"""Why an event is not paid, and why a void takes nothing back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionRate:
    """What one type of event pays.

    `once_per` names what may be paid once only, out of `customer`, `content` and `day`; `daily_cap` is the
    number of paid events per clerk and day; `min_inactive_days` how long the customer must not have bought;
    `budget_fen` what may be paid in all; `void_days` for how many days after it a void still takes it back (None: for
    ever).
    """

    fen: int
    once_per: frozenset[str] = frozenset()
    daily_cap: int | None = None
    min_inactive_days: int | None = None
    budget_fen: int | None = None
    void_days: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something a clerk did or got an answer to. `at` is aware; `active_days` None means never bought.

    A `void` event takes back what was paid for the event `of`.
    """

    id: Hashable
    type: str = ""
    clerk: Hashable = None
    at: datetime
    customer: Hashable = None
    content: Hashable = None
    active_days: int | None = None
    void: bool = False
    of: Hashable = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an event pays (negative: takes back) to whom, or the reason why nothing."""

    event_id: Hashable
    clerk: Hashable
    fen: int
    reason: str = ""


def once_key(rate: ActionRate, event: Event, *, day: date) -> tuple[Hashable, ...]:
    """Return the values that may be paid for once: an absent one is a value like any other."""
    values = {"customer": event.customer, "content": event.content, "day": day}
    return (event.type, *(value for name, value in values.items() if name in rate.once_per))


def refusal(rate: ActionRate, event: Event, *, is_repeat: bool, paid_today: int, spent_fen: int) -> str:
    """Return why the event is not paid, or "".

    `is_repeat`: its once-key has been paid for; `paid_today`: events of this clerk and type paid that day;
    `spent_fen`: what the type has cost so far, voids taken off.
    """
    if event.active_days is not None and event.active_days < (rate.min_inactive_days or 0):
        return "too_active"
    if rate.once_per and is_repeat:
        return "already_paid"
    if rate.daily_cap is not None and paid_today >= rate.daily_cap:
        return "daily_cap"
    if rate.budget_fen is not None and spent_fen + rate.fen > rate.budget_fen:
        return "budget_spent"
    return ""


def is_too_late(rate: ActionRate, *, paid_on: date, void_on: date) -> bool:
    """Whether a void comes after the window in which it takes back what was paid; the last day counts."""
    return rate.void_days is not None and (void_on - paid_on).days > rate.void_days


class Journal:
    """What has been paid so far. Events are judged in the order they are given, in the time zone `zone`.

    An event that is not paid uses up neither cap nor once-key, and a void gives neither back: what is undone
    and done again must not pay twice.
    """

    def __init__(self, *, rates: Mapping[str, ActionRate], zone: tzinfo) -> None:
        self._rates = rates
        self._zone = zone
        self._seen: set[Hashable] = set()
        self._paid: dict[Hashable, tuple[Event, int]] = {}
        self._once: set[tuple[Hashable, ...]] = set()
        self._daily: Counter[tuple[Hashable, ...]] = Counter()
        self._spent: Counter[str] = Counter()

    def judge(self, event: Event) -> Outcome:
        """Decide one event and remember it. Raises ValueError when `at` has no time zone."""
        if event.id in self._seen:
            return Outcome(event.id, event.clerk, 0, "duplicate")
        self._seen.add(event.id)
        return self._take_back(event) if event.void else self._pay(event)

    def _pay(self, event: Event) -> Outcome:
        rate = self._rates.get(event.type)
        if rate is None:
            return Outcome(event.id, event.clerk, 0, "unknown_type")
        day = self._day(event)
        once, daily = once_key(rate, event, day=day), (event.clerk, event.type, day)
        reason = refusal(
            rate,
            event,
            is_repeat=once in self._once,
            paid_today=self._daily[daily],
            spent_fen=self._spent[event.type],
        )
        if reason:
            return Outcome(event.id, event.clerk, 0, reason)
        self._once.add(once)
        self._daily[daily] += 1
        self._spent[event.type] += rate.fen
        self._paid[event.id] = event, rate.fen
        return Outcome(event.id, event.clerk, rate.fen)

    def _take_back(self, void: Event) -> Outcome:
        # A second void of the same event finds nothing left; the money goes back from whoever was paid.
        paid, fen = self._paid.get(void.of, (void, 0))
        if paid is void:
            return Outcome(void.id, void.clerk, 0, "nothing_to_void")
        if is_too_late(self._rates[paid.type], paid_on=self._day(paid), void_on=self._day(void)):
            return Outcome(void.id, paid.clerk, 0, "too_late")
        del self._paid[void.of]
        self._spent[paid.type] -= fen
        return Outcome(void.id, paid.clerk, -fen)

    def _day(self, event: Event) -> date:
        return wall_clock(event.at, self._zone).date()


def judge(events: Iterable[Event], *, rates: Mapping[str, ActionRate], zone: tzinfo) -> list[Outcome]:
    """Return the outcome of every event, judged in the order given from an empty journal."""
    journal = Journal(rates=rates, zone=zone)
    return [journal.judge(event) for event in events]


def parse_rate(document: Document) -> ActionRate:
    """Read `{fen, once_per?, daily_cap?, min_inactive_days?, budget_fen?, void_days?}`; `once_per`: "customer+day"."""
    document.allow_only("fen", "once_per", "daily_cap", "min_inactive_days", "budget_fen", "void_days")
    names = document.text("once_per").split("+") if "once_per" in document else []
    if len(set(names)) < len(names) or not set(names) <= {"customer", "content", "day"}:
        document.note("once_per", 'must join "customer", "content" and "day" with "+"')
    return ActionRate(
        fen=document.integer("fen", least=0),
        once_per=frozenset(names),
        daily_cap=document.optional_integer("daily_cap", least=0),
        min_inactive_days=document.optional_integer("min_inactive_days", least=0),
        budget_fen=document.optional_integer("budget_fen", least=0),
        void_days=document.optional_integer("void_days", least=0),
    )
