"""Pay per action (CPA: somebody recruited, befriended, woken) and per response (CPR: a material opened, a reply).

Any room in which such a thing happens calls `act` or `act_many` from the transaction of its fact, and `void_many` when
it turns out not to have lasted. It gives the thing a number of its own ("friend:7:1760250600"): the same number is
judged once, whoever calls again. What is paid, once and within caps and budgets, the engine's rules say
(`engine.actions.refusal`) on what is stored; each event is kept with what it paid or why nothing (`ActionEvent`).

A new room names its type in `models.actions.ActionType` and `CONNECTED`, gives it a kind in `KIND_OF`, and calls the
verb. Where no version in force at that moment pays for the type, a call costs one statement and leaves nothing.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Count, Q, QuerySet, Sum

from commissions import ledger, periods, plans
from commissions.engine import actions as engine
from commissions.engine.facts import wall_clock
from commissions.models import ActionEvent, ActionRate, Entry, PlanVersion
from commissions.models.actions import KIND_OF, ActionType
from commissions.models.ledger import SHANGHAI
from retail import jobs

BUDGET_ENDED = "budget_ended"  # job: headquarters hear of it; {"rate_id"}
_BATCH = 2_000  # rows in one INSERT
_events = ActionEvent._base_manager


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """Something a clerk did or got an answer to. `number`: what it is known by, never the same for two.

    store_id, payer_id: where and for which franchisee the clerk worked at that moment. customer: the member.
    active_days: since the customer's last purchase; None = never bought. order_id: the order by which it happened.
    """

    number: str
    type: str
    brand_id: int
    staff_id: int
    store_id: int | None
    payer_id: int | None = None
    at: datetime
    customer: int | None = None
    content: str = ""
    active_days: int | None = None
    order_id: int | None = None


class Void(NamedTuple):
    """What was paid for the event numbered `of` is taken back, for that cause (`ActionEvent.Cause`)."""

    number: str
    of: str
    cause: str
    at: datetime


Persons = Callable[[Collection[int]], Mapping[int, tuple[int, ...]]]
"""Member → all numbers of that person, the present one first (`members.identity.persons`)."""


# ── The verbs ────────────────────────────────────────────────────────────────────────────────────────────────────────
def act(*, action: Action, now: datetime, persons: Persons | None = None) -> ActionEvent | None:
    """Judge one event; how it was judged, or None where it was before or nobody pays for it."""
    return next(iter(act_many(actions=[action], now=now, persons=persons)), None)


def act_many(*, actions: Sequence[Action], now: datetime, persons: Persons | None = None) -> list[ActionEvent]:
    """Judge events in the order of their times and pay what is to be paid; those judged now.

    The number of statements does not grow with theirs. `persons` is asked once nobody else judges events of these
    brands any more, so that two who were merged meanwhile are one.
    """
    return _act(actions, now, persons) if _rated(actions) else []


@transaction.atomic
def _act(actions: Sequence[Action], now: datetime, persons: Persons | None) -> list[ActionEvent]:
    brand_ids = {action.brand_id for action in actions}
    plans.hold(brand_ids=brand_ids)
    _alone(brand_ids)
    wanted = _unseen(_rated(actions))
    if not wanted:
        return []
    customers = {one.action.customer for one in wanted if one.action.customer is not None}
    state = _State(wanted, persons(customers) if persons and customers else {})
    made = [_event(one, state.judge(one), now) for one in wanted]
    _tell_of_budgets(made, now)
    _keep(made, {}, now)
    return made


def void_many(*, voids: Sequence[Void], now: datetime) -> list[ActionEvent]:
    """Take back what was paid for events that did not last; those that were paid, and not yet taken back."""
    by_number = {void.of: void for void in voids}
    brand_ids = set(_paid(by_number).values_list("brand_id", flat=True)) if voids else set()
    return _take_back(by_number, brand_ids, now) if brand_ids else []


def _paid(numbers: Iterable[str]) -> QuerySet[ActionEvent]:
    """Those of the events that were paid, taken back by now or not."""
    return _events.filter(number__in=numbers, reason="", of=None)


@transaction.atomic
def _take_back(by_number: Mapping[str, Void], brand_ids: Collection[int], now: datetime) -> list[ActionEvent]:
    _alone(brand_ids)
    found = _paid(by_number)
    taken_back = _events.filter(of__in=found.values("pk"), reason="").values_list("of_id", flat=True)
    paid = list(found.exclude(pk__in=list(taken_back)).order_by("at", "pk"))
    numbers = [void.number for void in by_number.values()]
    said = set(_events.filter(number__in=numbers).values_list("number", flat=True))
    made = [_void(event, by_number[event.number], now) for event in paid if by_number[event.number].number not in said]
    _keep(made, {event.pk: event for event in paid}, now)
    return made


def merged(*, person: tuple[int, ...], now: datetime) -> list[ActionEvent]:
    """Several members are one person by now: what the person was paid for more than once is taken back, the later one.

    To be called in the transaction of the merge, with all numbers of the person.
    """
    found = _events.filter(customer__in=person, reason="", of=None)
    if len(person) < 2 or found.count() < 2:
        return []
    first: set[tuple[Hashable, ...]] = set()
    voids = []
    for event in found.order_by("at", "pk"):
        rate = plans.of_version(event.version_id).actions[event.type].rule
        key = (event.brand_id, *engine.once_key(rate, _as_fact(event, person[0]), day=event.day))
        if rate.once_per and key in first:
            voids.append(Void(f"merged:{event.number}"[:96], event.number, ActionEvent.Cause.MERGED, now))
        first.add(key)
    return void_many(voids=voids, now=now)


def rated(actions: Sequence[Action]) -> list[Action]:
    """Those that a version in force at their moment has a rate for. One statement."""
    return [one.action for one in _rated(actions)]


# ── Which of them a plan pays for ────────────────────────────────────────────────────────────────────────────────────
_Group = tuple[int, str]
"""Brand and type."""


class _Rated(NamedTuple):
    action: Action
    rate: plans.Rate
    version_id: int
    day: date

    @property
    def group(self) -> _Group:
        return self.action.brand_id, self.action.type


def _rated(actions: Sequence[Action]) -> list[_Rated]:
    """Those that the version of their moment has a rate for, in the order they happened. One statement."""
    if not actions:
        return []
    times = [action.at for action in actions]
    brand_ids = {action.brand_id for action in actions}
    versions = plans.timetable(brand_ids=brand_ids, since=min(times), until=max(times))
    found = []
    for action in sorted(actions, key=lambda one: (one.at, one.number)):
        compiled = versions.at(brand_id=action.brand_id, moment=action.at)
        if compiled and (rate := compiled.actions.get(action.type)):
            day = wall_clock(action.at, compiled.plan.zone).date()
            found.append(_Rated(action, rate, compiled.version_id, day))
    return found


def _alone(brand_ids: Collection[int]) -> None:
    """Nobody else judges events of these brands before our commit: caps and budgets are the brand's."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtext('actions'), b::int) FROM unnest(%s::bigint[]) AS b ORDER BY b",
            [sorted(brand_ids)],
        )


def _unseen(rated: Sequence[_Rated]) -> list[_Rated]:
    numbers: dict[str, _Rated] = {}
    for one in rated:
        numbers.setdefault(one.action.number, one)
    seen = set(_events.filter(number__in=numbers).values_list("number", flat=True))
    return [one for one in numbers.values() if one.action.number not in seen]


# ── Judging ──────────────────────────────────────────────────────────────────────────────────────────────────────────
class _State:
    """What was paid so far, as far as the rules ask for it; a statement or two per brand, type and rule."""

    def __init__(self, wanted: Sequence[_Rated], persons: Mapping[int, tuple[int, ...]]) -> None:
        self._numbers = {number: ids[0] for ids in persons.values() for number in ids}
        # Per brand and type what was paid for, as each of the rules in use there would call it the same.
        self._once: dict[_Group, dict[engine.ActionRate, set[tuple[Hashable, ...]]]] = defaultdict(dict)
        self._daily: Counter[tuple[Hashable, ...]] = Counter()
        self._spent: Counter[tuple[int, str, date | None]] = Counter()
        everybody = {ids[0]: ids for ids in persons.values()}
        groups: dict[tuple[_Group, plans.Rate], list[_Rated]] = defaultdict(list)
        for one in wanted:
            groups[one.group, one.rate].append(one)
        for (group, rate), some in groups.items():
            self._read(group, rate, some, everybody)

    def judge(self, one: _Rated) -> str:
        """Why it is not paid, or "" and then it counts."""
        rate, fact = one.rate.rule, self._fact(one)
        paid_for = self._once[one.group]
        daily = (*one.group, one.action.staff_id, one.day)
        budget = (*one.group, one.rate.budget_from)
        reason = engine.refusal(
            rate,
            fact,
            is_repeat=engine.once_key(rate, fact, day=one.day) in paid_for[rate],
            paid_today=self._daily[daily],
            spent_fen=self._spent[budget],
        )
        if not reason:
            for rule, keys in paid_for.items():
                keys.add(engine.once_key(rule, fact, day=one.day))
            self._daily[daily] += 1
            for brand_id, type, since in list(self._spent):
                if (brand_id, type) == one.group and (since is None or since <= one.day):
                    self._spent[brand_id, type, since] += rate.fen
        return reason

    def _fact(self, one: _Rated) -> engine.Event:
        action = one.action
        customer = self._numbers.get(action.customer, action.customer) if action.customer is not None else None
        return engine.Event(
            id=action.number,
            type=action.type,
            clerk=action.staff_id,
            at=action.at,
            customer=customer,
            content=action.content,
            active_days=action.active_days,
        )

    def _read(
        self,
        group: _Group,
        rate: plans.Rate,
        some: Sequence[_Rated],
        everybody: Mapping[int, tuple[int, ...]],
    ) -> None:
        rule = rate.rule
        ours = _events.filter(brand=group[0], type=group[1], reason="")
        keys = self._once[group].setdefault(rule, set())
        if rule.once_per:
            facts = [self._fact(one) for one in some]
            asked = _same(rule.once_per, facts, {one.day for one in some}, everybody)
            for customer, content, day in ours.filter(asked, of=None).values_list("customer", "content", "day"):
                known = engine.Event(
                    id="",
                    type=group[1],
                    at=some[0].action.at,
                    customer=customer if customer is None else self._numbers.get(customer, customer),
                    content=content,
                )
                keys.add(engine.once_key(rule, known, day=day))
        if rule.daily_cap is not None:
            today = ours.filter(of=None, day__in={one.day for one in some})
            today = today.filter(staff__in={one.action.staff_id for one in some})
            for staff_id, day, count in today.values_list("staff", "day").annotate(Count("pk")).order_by():
                self._daily[*group, staff_id, day] = count
        if rule.budget_fen is not None:
            self._spent[*group, rate.budget_from] = _spent(*group, rate.budget_from)


def _same(
    names: Collection[str],
    facts: Iterable[engine.Event],
    days: Collection[date],
    everybody: Mapping[int, tuple[int, ...]],
) -> Q:
    """Events that may have the once-key of one of these."""
    facts = list(facts)
    asked = Q()
    if "customer" in names:
        roots = {fact.customer for fact in facts if isinstance(fact.customer, int)}
        asked &= Q(customer__in={number for root in roots for number in everybody.get(root, (root,))})
        if any(fact.customer is None for fact in facts):
            asked |= Q(customer=None)
    if "content" in names:
        asked &= Q(content__in={fact.content for fact in facts})
    if "day" in names:
        asked &= Q(day__in=days)
    return asked


def _as_fact(event: ActionEvent, customer: int) -> engine.Event:
    return engine.Event(
        id=event.number, type=event.type, clerk=event.staff_id, at=event.at, customer=customer, content=event.content
    )


# ── Writing ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def _event(one: _Rated, reason: str, now: datetime) -> ActionEvent:
    action = one.action
    return ActionEvent(
        number=action.number,
        brand_id=action.brand_id,
        type=action.type,
        staff_id=action.staff_id,
        store_id=action.store_id,
        payer_id=action.payer_id,
        customer=action.customer,
        content=action.content,
        active_days=action.active_days,
        order_id=action.order_id,
        at=action.at,
        day=one.day,
        rate_id=one.rate.id,
        version_id=one.version_id,
        fen=0 if reason else one.rate.rule.fen,
        reason=reason,
        judged_at=now,
    )


def _void(paid: ActionEvent, void: Void, now: datetime) -> ActionEvent:
    compiled = plans.of_version(paid.version_id)
    void_on = wall_clock(void.at, compiled.plan.zone).date()
    is_late = engine.is_too_late(compiled.actions[paid.type].rule, paid_on=paid.day, void_on=void_on)
    row = ActionEvent(of_id=paid.pk, number=void.number, cause=void.cause, at=void.at, judged_at=now)
    for name in ("brand_id", "type", "staff_id", "store_id", "payer_id", "customer", "content", "order_id", "day"):
        setattr(row, name, getattr(paid, name))
    row.rate_id, row.version_id = paid.rate_id, paid.version_id
    row.fen, row.reason = (0, "too_late") if is_late else (-paid.fen, "")
    return row


def _keep(made: Sequence[ActionEvent], paid: Mapping[int, ActionEvent], now: datetime) -> None:
    """Book what was paid or taken back, and keep the events with their entries. `paid`: events that voids name."""
    moved = [event for event in made if event.fen]
    for event, entry in zip(moved, _booked(moved, paid, now), strict=True):
        event.entry_id = entry.pk
    _events.bulk_create(made, batch_size=_BATCH)


def _booked(moved: Sequence[ActionEvent], paid: Mapping[int, ActionEvent], now: datetime) -> list[Entry]:
    """One transaction for each: the leg of the clerk and that of the house. The clerks' legs, in their order."""
    if not moved:
        return []
    today = now.astimezone(SHANGHAI).date()
    versions = {version_id: plans.of_version(version_id) for version_id in {event.version_id for event in moved}}
    days = {event.number: _earned_on(event, versions[event.version_id], today) for event in moved}
    when = {
        brand_id: periods.places(
            brand_id=brand_id, days={days[one.number] for one in moved if one.brand_id == brand_id}
        )
        for brand_id in sorted({event.brand_id for event in moved})
    }
    ids = iter(ledger.entry_ids(2 * len(moved)))
    legs: list[Entry] = []
    for event in moved:
        day, txn = days[event.number], next(ids)
        place = when[event.brand_id][day]
        common = {
            "txn": txn, "kind": KIND_OF[ActionType(event.type)], "version_id": event.version_id,
            "brand_id": event.brand_id, "payer_id": event.payer_id,
            "paid_at": event.at, "posted_at": now, "earned_on": day,
            "period_booked_id": place.booked_id, "period_origin_id": place.origin_id,
        }  # fmt: skip
        reverses = paid[event.of_id].entry_id if event.of_id else None
        legs += [
            Entry(
                pk=next(ids), key=_key(event, 0), staff_id=event.staff_id, store_id=event.store_id, fen=event.fen,
                reverses_id=reverses, **common,
            ),
            Entry(pk=txn, key=_key(event, 1), fen=-event.fen, **common),
        ]  # fmt: skip
    Entry._base_manager.bulk_create(legs, batch_size=_BATCH)
    return legs[::2]


def _key(event: ActionEvent, place: int) -> UUID:
    """The same event is booked once, whoever tells it."""
    return UUID(bytes=hashlib.sha256(f"action {event.number} {place}".encode()).digest()[:16])


def _earned_on(event: ActionEvent, compiled: plans.Compiled, today: date) -> date:
    """An award is certain once it can no longer be taken back; what takes it back counts then, or today."""
    window = compiled.actions[event.type].rule.void_days or 0
    certain = event.day + timedelta(days=window)
    return max(certain, today) if event.of_id else certain


# ── Budgets ──────────────────────────────────────────────────────────────────────────────────────────────────────────
class Budget(NamedTuple):
    """How a rate stands: paid net so far, of how much (None: no limit), and the day the first was refused for it."""

    spent_fen: int
    budget_fen: int | None
    ended_on: date | None


def budget(*, rate: ActionRate) -> Budget:
    """How a rate stands: what the plan's page shows. Three statements."""
    brand_id = PlanVersion._base_manager.values_list("plan__brand", flat=True).get(pk=rate.version_id)
    ended = _events.filter(brand=brand_id, type=rate.type, rate=rate, reason="budget_spent")
    ended_on = ended.order_by("day").values_list("day", flat=True).first()
    return Budget(_spent(brand_id, rate.type, rate.budget_from), rate.budget_fen, ended_on)


def _spent(brand_id: int, type: str, since: date | None) -> int:
    """What a type has cost a brand since that day, in whichever version, voids taken off."""
    ours = _events.filter(brand=brand_id, type=type, reason="")
    return (ours.filter(day__gte=since) if since else ours).aggregate(fen=Sum("fen"))["fen"] or 0


def _tell_of_budgets(made: Sequence[ActionEvent], now: datetime) -> None:
    """Headquarters hear of a budget when the first event finds it spent."""
    ended = {event.rate_id for event in made if event.reason == "budget_spent"}
    if not ended:
        return
    known = set(_events.filter(rate__in=ended, reason="budget_spent").values_list("rate_id", flat=True).distinct())
    work = [jobs.Work(BUDGET_ENDED, {"rate_id": rate_id}) for rate_id in sorted(ended - known)]
    jobs.enqueue(work=work, now=now)
