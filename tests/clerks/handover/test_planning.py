"""Who gets whom: everybody gets somebody while there is room, evenly, the same every time."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from clerks.handover import planning
from clerks.handover.planning import Receiver, Someone, Way

STORES, TAGS = st.sampled_from([1, 2, 3]), st.sampled_from([7, 8, 9])
customers = st.lists(
    st.builds(
        Someone,
        member_id=st.integers(1, 10_000),
        spend_fen=st.integers(-100, 10**9),
        tag_ids=st.frozensets(TAGS),
        last_store_id=st.none() | STORES,
    ),
    unique_by=lambda one: one.member_id,
    max_size=60,
)
receivers = st.lists(
    st.builds(
        Receiver,
        staff_id=st.integers(1, 50),
        store_id=STORES,
        room=st.none() | st.integers(0, 30),
        tag_id=st.none() | TAGS,
    ),
    unique_by=lambda one: one.staff_id,
    min_size=1,
    max_size=5,
)


@settings(max_examples=60, deadline=None)
@given(customers, receivers, st.sampled_from(Way))
def test_nobody_is_lost_and_nobody_gets_more_than_fits(customers, receivers, way):
    dealt = planning.deal(customers=customers, receivers=receivers, way=way)

    assert dealt.keys() == {one.member_id for one in customers}
    assert dealt == planning.deal(customers=list(reversed(customers)), receivers=receivers, way=way)
    got = Counter(dealt.values())
    chosen = receivers[:1] if way == Way.ALL else receivers
    assert got.keys() <= {None, *(one.staff_id for one in chosen)}
    assert all(one.room is None or got[one.staff_id] <= one.room for one in chosen)
    if got[None]:  # nobody had room left
        assert all(one.room == got[one.staff_id] for one in chosen)
    shares = planning.shares(customers=customers, dealt=dealt)
    assert sum(share.customers for share in shares.values()) == len(customers)
    assert sum(share.spend_fen for share in shares.values()) == sum(one.spend_fen for one in customers)


@settings(max_examples=40, deadline=None)
@given(customers, receivers)
def test_an_even_split_is_even(customers, receivers):
    dealt = planning.deal(customers=customers, receivers=receivers, way=Way.EVEN)

    got = Counter(dealt.values())
    free = [got[one.staff_id] for one in receivers if one.room is None or got[one.staff_id] < one.room]
    if free:
        assert max(free) - min(free) <= 1
        assert all(got[one.staff_id] <= min(free) + 1 for one in receivers)  # also of who is full by now


@settings(max_examples=40, deadline=None)
@given(customers, receivers)
def test_tags_and_stores_come_first(customers, receivers):
    open_ended = [one._replace(room=None) for one in receivers]
    by_tag = planning.deal(customers=customers, receivers=open_ended, way=Way.TAG)
    by_store = planning.deal(customers=customers, receivers=open_ended, way=Way.LAST_STORE)

    named = {one.staff_id: one for one in open_ended}
    for one in customers:
        if wanted := one.tag_ids & {receiver.tag_id for receiver in open_ended}:
            assert named[by_tag[one.member_id]].tag_id in wanted
        if one.last_store_id in {receiver.store_id for receiver in open_ended}:
            assert named[by_store[one.member_id]].store_id == one.last_store_id


def test_the_dear_ones_are_shared_out():
    some = [Someone(number, spend) for number, spend in enumerate([900, 800, 100, 100], start=1)]

    shares = planning.shares(
        customers=some,
        dealt=planning.deal(customers=some, receivers=[Receiver(1, 1), Receiver(2, 1)], way=Way.EVEN),
    )

    assert {one: share.spend_fen for one, share in shares.items()} == {1: 1000, 2: 900}
