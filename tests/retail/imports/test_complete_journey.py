"""Real purchases: what is booked is what the rules give, once, and a full refund takes all of it back."""

import re
from itertools import islice

import pytest
from django.core.management import call_command

from commissions.models import Entry
from retail import orders
from retail.imports.journey import SETTING, Journey
from retail.imports.sample_world import World
from retail.models import Job, Order
from tests.factories import NOW


@pytest.fixture
def said(journey_data, everything, capsys):
    def run(**options: object) -> str:
        call_command("import_complete_journey", **{"households": 5, **options})
        return capsys.readouterr().out

    return run


def booked() -> set[tuple[str, int]]:
    return set(Entry.objects.values_list("key", "fen"))


@pytest.mark.slow
def test_five_households_are_paid_to_the_fen_and_once(said):
    first = said()
    assert re.search(r"Proof: [\d,]+ transactions add up to 0", first) and "Nothing was new" not in first
    entries = booked()
    assert len(entries) > Order.objects.count() > 100
    assert not Order.objects.filter(settled_at=None).exists()
    assert Job.objects.count() == 0

    again = said()

    assert " created" not in again and "Nothing was new" in again
    assert booked() == entries

    assert "every clerk nets to 0" in said(refund_all=True)
    refunded = booked()
    assert refunded > entries

    assert "Nothing was new" in said(refund_all=True)
    assert booked() == refunded


@pytest.mark.slow
def test_a_stopped_run_is_taken_up_where_it_was(said):
    taken = list(islice(Journey(households=5).orders(), 40))
    world = World(SETTING, now=NOW)
    world.make_missing(taken)
    orders.record(channel=world.channel, data=taken, now=NOW)

    assert re.search(r"[\d,]+ created, 40 unchanged", said())
    assert not Order.objects.filter(settled_at=None).exists()


@pytest.mark.slow
def test_what_is_there_is_asked_for_once(journey_data, everything, django_assert_num_queries):
    taken = list(islice(Journey(households=5).orders(), 40))
    world = World(SETTING, now=NOW)
    world.make_missing(taken)

    with django_assert_num_queries(0):
        world.make_missing(taken)


@pytest.mark.slow
def test_the_file_is_read_as_it_comes_by_time_and_basket_by_basket(journey_data, size):
    journey = Journey(households=None if size == "full" else 50)
    lines, numbers, last = 0, set(), None
    for order in journey.orders():
        assert last is None or last <= order.paid_at
        last, lines = order.paid_at, lines + len(order.lines)
        numbers.add(order.outer_order_id)
        assert all(line.paid_fen >= 0 and line.qty >= 1 for line in order.lines)

    assert journey.seen == journey.rows == lines + journey.odd["rows of no pieces and no money, left out"]
    if size == "full":
        assert (journey.rows, lines, len(numbers)) == (1_469_307, 1_460_467, 155_520)


@pytest.mark.slow
def test_a_slice_is_the_first_households_with_all_they_bought(journey_data):
    few, more = (list(Journey(households=count).orders()) for count in (2, 3))

    buyers = {order.buyer for order in few}
    assert {buyer.value for (buyer,) in buyers} == {"household-1", "household-2"}
    assert [order for order in more if order.buyer in buyers] == few
    assert len(more) > len(few)


def test_the_clerk_of_a_basket_is_always_the_same():
    baskets = ("31198570044", "31198570047", "31198655051")
    assert [SETTING.clerk(store_code="CJ-330", purchase=number) for number in baskets] == [
        "CJ-330-2",
        "CJ-330-1",
        "CJ-330-3",
    ]
