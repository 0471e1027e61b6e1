"""Sharing customers out: even as far as it can be, and the same for the same."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from clerks.even import Loose, Receiver, spread

PEOPLE = st.lists(
    st.tuples(st.integers(0, 40), st.sampled_from([7, 7, 5, 2]), st.one_of(st.none(), st.integers(0, 15))),
    min_size=1, max_size=6,
).map(lambda rows: [Receiver(number, *row) for number, row in enumerate(rows, start=1)])  # fmt: skip


def ends(receivers, got) -> dict[int, int]:
    return {one.staff_id: one.size + list(got.values()).count(one.staff_id) for one in receivers}


@settings(max_examples=150, deadline=None)
@given(PEOPLE, st.lists(st.one_of(st.none(), st.integers(1, 6)), max_size=60))
def test_nobody_gets_more_than_they_can_or_whom_they_must_not(people, barred):
    customers = [Loose(key, who) for key, who in enumerate(barred)]
    got = spread(customers=customers, receivers=people)

    assert got == spread(customers=customers, receivers=list(reversed(people)))
    assert all(one.room is None or list(got.values()).count(one.staff_id) <= one.room for one in people)
    assert all(got.get(one.key) != one.barred for one in customers if one.barred)
    open_ends = {one.staff_id for one in people if one.room is None}
    for one in customers:
        assert one.key in got or not open_ends - {one.barred}, "somebody could have taken them"


@settings(max_examples=150, deadline=None)
@given(PEOPLE, st.integers(0, 80))
def test_who_works_alike_ends_alike(people, count):
    people = [one._replace(days=5) for one in people]
    got = spread(customers=[Loose(key) for key in range(count)], receivers=people)
    end = ends(people, got)

    taken = {one.staff_id for one in people if end[one.staff_id] > one.size}
    with_room = [one for one in people if one.room is None or end[one.staff_id] - one.size < one.room]
    for one in with_room:
        assert all(end[who] <= end[one.staff_id] + 1 for who in taken)
    assert len(got) == count or not with_room


def test_half_the_days_are_half_the_customers():
    people = [Receiver(1, 0, 6), Receiver(2, 0, 3)]
    customers = [Loose(key) for key in range(90)]
    random.Random(1).shuffle(customers)
    assert ends(people, spread(customers=customers, receivers=people)) == {1: 60, 2: 30}
