"""Pay per action: paid once, within caps and budgets, taken back in time; and every event says why."""

from datetime import date, timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext

from commissions import actions, engine, plans
from commissions.actions import Action, Void
from commissions.models import ActionEvent, ActionRate, Entry, Period
from members import identity
from members.models import Member
from retail.jobs import Job
from tests.factories import LONG_AGO, NOW, number, rated, world

pytestmark = pytest.mark.usefixtures("everything")
UNFRIENDED = ActionEvent.Cause.UNFRIENDED


@pytest.fixture
def shop():
    made = world()
    made.hire("A1")
    made.hire("A2")
    return made


def happened(shop, *, clerk="A1", type="friend", customer=1, at=NOW, **fields) -> Action:
    return Action(
        **{"number": f"{type}:{number()}", "type": type, "brand_id": shop.brand.pk, "at": at, "customer": customer}
        | {"staff_id": shop.staff[clerk].pk, "store_id": shop.store.pk}
        | fields
    )


def judged(*happenings: Action) -> list[tuple[int, str]]:
    """What each pays, and why nothing; in the order given."""
    made = {event.number: (event.fen, event.reason) for event in actions.act_many(actions=happenings, now=NOW)}
    return [made[one.number] for one in happenings]


def balance(shop, clerk="A1") -> int:
    return sum(Entry.objects.filter(staff=shop.staff[clerk]).values_list("fen", flat=True))


def test_an_event_pays_the_clerk_from_the_house_once(shop):
    version = rated(shop, friend={"fen": 500, "void_days": 7})
    friend = happened(shop)

    assert judged(friend) == [(500, "")]
    assert actions.act(action=friend, now=NOW) is None

    mine, house = Entry.objects.order_by("-fen")
    assert (mine.kind, mine.fen, mine.staff, mine.version) == ("cpa", 500, shop.staff["A1"], version)
    assert (house.fen, house.staff, house.txn) == (-500, None, mine.txn)
    # Certain when it can no longer be taken back, and booked in the month of that day.
    assert mine.earned_on == date(2026, 10, 19)
    assert Period.objects.get(pk=mine.period_booked_id).starts_on == date(2026, 10, 1)
    assert ActionEvent.objects.get().entry == mine


def test_a_response_is_another_kind(shop):
    rated(shop, reply={"fen": 50, "once_per": "customer+day"})

    assert judged(happened(shop, type="reply"), happened(shop, type="reply")) == [(50, ""), (0, "already_paid")]
    assert set(Entry.objects.values_list("kind", flat=True)) == {"cpr"}


def test_a_person_is_paid_for_once_whoever_befriends_them(shop):
    rated(shop, friend={"fen": 500})

    assert judged(happened(shop)) == [(500, "")]
    assert judged(happened(shop, clerk="A2"), happened(shop, customer=2)) == [(0, "already_paid"), (500, "")]
    assert balance(shop, "A2") == 0


def test_the_day_and_the_cap_are_those_of_the_plan(shop):
    rated(shop, friend={"fen": 500, "daily_cap": 2})
    midnight = NOW.replace(hour=0, minute=0)
    times = [midnight - timedelta(minutes=1), midnight, midnight + timedelta(hours=9), midnight + timedelta(hours=10)]

    paid = judged(*(happened(shop, customer=place, at=at) for place, at in enumerate(times)))

    assert [reason for _, reason in paid] == ["", "", "", "daily_cap"]
    assert judged(happened(shop, customer=9), happened(shop, clerk="A2", customer=9)) == [(0, "daily_cap"), (500, "")]


def test_a_budget_ends_where_everybody_sees_it(shop):
    version = rated(shop, friend={"fen": 400, "budget_fen": 1000})
    judged(*(happened(shop, customer=customer) for customer in range(4)))
    judged(happened(shop, customer=9))

    assert actions.budget(rate=version.action_rates.get()) == (800, 1000, NOW.date())
    job = Job.objects.get(kind=actions.BUDGET_ENDED)  # told once
    assert job.payload == {"rate_id": version.action_rates.get().pk}


def test_another_version_goes_on_with_the_budget_unless_it_counts_from_a_day(shop):
    rated(shop, friend={"fen": 400, "budget_fen": 1000})
    judged(happened(shop, customer=1), happened(shop, customer=2))
    rated(shop, starts_at=NOW, friend={"fen": 300, "budget_fen": 1000})
    assert judged(happened(shop, customer=3)) == [(0, "budget_spent")]

    later = NOW + timedelta(days=1)
    rated(shop, starts_at=later, friend={"fen": 300, "budget_fen": 300, "budget_from": later.date()})
    assert judged(happened(shop, customer=3, at=later)) == [(300, "")]


def test_what_one_version_paid_for_the_next_does_not_pay_again(shop):
    tomorrow = NOW + timedelta(days=1)
    rated(shop, friend={"fen": 500, "once_per": "customer+day"})
    rated(shop, starts_at=tomorrow, friend={"fen": 700, "once_per": "customer"})
    told = [happened(shop), happened(shop, at=tomorrow), happened(shop, customer=2, at=tomorrow)]

    assert judged(*told) == [(500, ""), (0, "already_paid"), (700, "")]


def test_the_sleeper_has_slept_long_enough(shop):
    rated(shop, wake={"fen": 800, "min_inactive_days": 60})

    paid = judged(
        happened(shop, type="wake", active_days=59),
        happened(shop, type="wake", active_days=60),
        happened(shop, type="wake", customer=2),
    )
    assert paid == [(0, "too_active"), (800, ""), (800, "")]


@pytest.mark.parametrize(("days", "left", "reason"), [(7, 0, ""), (8, 500, "too_late")])
def test_what_did_not_last_is_taken_back_within_the_window(shop, days, left, reason):
    rated(shop, friend={"fen": 500, "void_days": 7})
    friend = happened(shop)
    judged(friend)
    ended = NOW + timedelta(days=days)
    void = Void(f"un{friend.number}", friend.number, UNFRIENDED, ended)

    (row,) = actions.void_many(voids=[void], now=ended)
    assert (row.reason, balance(shop)) == (reason, left)
    again = void._replace(number="told again in other words")
    actions.void_many(voids=[void, again], now=ended)
    assert balance(shop) == left
    # What was undone and is done again is not paid twice.
    assert judged(happened(shop, at=ended)) == [(0, "already_paid")]


def test_what_is_taken_back_late_counts_from_today(shop):
    rated(shop, friend={"fen": 500})
    friend = happened(shop)
    judged(friend)
    later = NOW + timedelta(days=40)
    actions.void_many(voids=[Void("x", friend.number, UNFRIENDED, later)], now=later)

    mine, back = Entry.objects.of_staff().order_by("pk")
    assert (mine.earned_on, back.earned_on, back.reverses) == (NOW.date(), later.date(), mine)


def test_two_members_who_turn_out_to_be_one_person_are_paid_for_once(shop):
    rated(shop, friend={"fen": 500, "void_days": 7})
    first, second, third = (Member.objects.create(created_at=NOW) for _ in range(3))
    judged(happened(shop, clerk="A2", customer=second.pk, at=NOW - timedelta(hours=1)))
    judged(happened(shop, customer=first.pk))
    Member.objects.filter(pk=second.pk).update(merged_into=first)
    Member.objects.filter(pk=third.pk).update(merged_into=second)

    (person,) = set(identity.persons([second.pk, third.pk]).values())
    assert person == (first.pk, second.pk, third.pk)
    (void,) = actions.merged(person=person, now=NOW)
    assert (void.cause, balance(shop), balance(shop, "A2")) == ("merged", 0, 500)
    assert actions.merged(person=person, now=NOW) == []
    again = happened(shop, customer=third.pk)
    assert actions.act(action=again, now=NOW, persons=identity.persons).reason == "already_paid"


def test_the_database_agrees_with_the_engine(shop):
    rates = {
        "friend": {"fen": 500, "once_per": "customer", "daily_cap": 2},
        "wake": {"fen": 700, "once_per": "customer+day", "min_inactive_days": 30, "budget_fen": 2000},
        "opened": {"fen": 30, "once_per": "content", "budget_fen": 80},
        "reply": {"fen": 20, "once_per": "", "daily_cap": 1},
    }
    rated(shop, **rates)
    told = [
        happened(
            shop,
            type=type,
            clerk=f"A{place % 2 + 1}",
            customer=place % 3 or None,
            content=f"m{place % 4}",
            at=NOW + timedelta(hours=7 * place),
            active_days=(20, 40, None)[place % 3],
        )
        for place in range(12)
        for type in rates
    ]
    for batch in (told[:5], told[5:6], told[6:30], told[20:]):
        actions.act_many(actions=batch, now=NOW)

    parsed = {name: engine.actions.parse_rate(engine.Document(plans.action_document(rate)))
              for name, rate in {rate.type: rate for rate in ActionRate.objects.all()}.items()}  # fmt: skip
    facts = [
        engine.actions.Event(
            id=one.number, type=one.type, clerk=one.staff_id, at=one.at, customer=one.customer, content=one.content,
            active_days=one.active_days,
        )
        for one in sorted(told, key=lambda one: (one.at, one.number))
    ]  # fmt: skip
    zone = plans.at(brand_id=shop.brand.pk, moment=NOW).plan.zone
    expected = {one.event_id: (one.fen, one.reason) for one in engine.actions.judge(facts, rates=parsed, zone=zone)}
    stored = {row.number: (row.fen, row.reason) for row in ActionEvent.objects.all()}
    assert {reason for _, reason in expected.values()} >= {
        "",
        "too_active",
        "already_paid",
        "daily_cap",
        "budget_spent",
    }
    assert stored == expected


@pytest.mark.parametrize("count", [1, 8])
def test_the_number_of_statements_does_not_grow_with_the_events(shop, count):
    rated(shop, friend={"fen": 500, "daily_cap": 9, "budget_fen": 90_000})
    judged(happened(shop, customer=999))
    with CaptureQueriesContext(connection) as queries:
        judged(*(happened(shop, customer=customer) for customer in range(count)))
    assert len([query for query in queries if "SAVEPOINT" not in query["sql"]]) == 13


def test_where_nothing_is_paid_for_a_call_costs_one_statement(shop, django_assert_num_queries):
    shop.plan({"id": "base", "calc": {"type": "rate", "ppm": 1}})
    judged_before = actions.act_many(actions=[happened(shop)], now=NOW)  # compiles the plan
    assert judged_before == []
    with django_assert_num_queries(1):
        assert actions.act_many(actions=[happened(shop)], now=NOW) == []
    assert not ActionEvent.objects.exists()


def test_rates_are_sealed_with_their_version_and_events_are_history(shop):
    version = rated(shop, friend={"fen": 500})
    judged(happened(shop))
    draft = plans.copy(version=version, by=None, now=NOW)
    assert [(rate.type, rate.fen) for rate in draft.action_rates.all()] == [("friend", 500)]
    draft.action_rates.update(fen=600)
    assert plans.content_hash(draft) != version.content_hash

    for change in (
        lambda: version.action_rates.update(fen=1),
        lambda: version.action_rates.all().delete(),
        lambda: ActionRate.objects.create(version=version, type="wake", fen=1, min_inactive_days=30),
        lambda: ActionEvent.objects.update(fen=1),
    ):
        with pytest.raises(DatabaseError), transaction.atomic():
            change()


def test_a_version_of_rates_alone_can_be_approved_and_a_wrong_rate_not(shop):
    version = rated(shop, friend={"fen": 500})
    draft = plans.copy(version=version, by=None, now=LONG_AGO)
    draft.action_rates.update(once_per="weather")
    with pytest.raises(plans.PlanRefused, match="once_per"):
        plans.approve(version=draft, by=None, now=NOW)


@pytest.mark.parametrize(
    ("type", "fields", "wrong"),
    [
        ("friend", {"once_per": "customer+content"}, "once_per"),
        ("opened", {"min_inactive_days": 30}, "min_inactive_days"),
        ("coupon", {"once_per": "content"}, ""),
    ],
)
def test_a_rate_asks_only_what_its_events_tell(shop, type, fields, wrong):
    rate = ActionRate(type=type, fen=100, **fields)
    try:
        rate.full_clean(exclude=["version"])
        refused = []
    except ValidationError as error:
        refused = list(error.message_dict)

    assert refused == ([wrong] if wrong else [])
