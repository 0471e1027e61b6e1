from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commissions.engine import Returned, reversal


@given(st.integers(-10_000, 10_000), st.integers(1, 5_000), st.lists(st.integers(0, 2_000), max_size=6))
def test_refunds_in_any_order_reach_zero_with_the_whole_line(fen, base, refunds):
    states = [Returned(paid_fen=base, qty=1)]
    for refund in refunds:
        states.append(states[-1].plus(fen=refund)[0])
    states.append(states[-1].plus(fen=base)[0])
    posted = [reversal(fen, base, before.back, after.back) for before, after in pairwise(states)]
    assert sum(posted) == -fen
    assert all(entry * fen <= 0 for entry in posted)  # never gives where it should take


@given(st.integers(-10_000, 10_000), st.integers(1, 5_000), st.permutations([7, 11, 13, 400]))
def test_the_order_of_refunds_does_not_matter(fen, base, refunds):
    state = Returned(paid_fen=base, qty=1)
    total = 0
    for refund in refunds:
        after, _ = state.plus(fen=refund)
        total += reversal(fen, base, state.back, after.back)
        state = after
    assert total == reversal(fen, base, 0, min(base, 431))


def test_three_thirds_are_rounded_together():
    # Each third alone would be 33: the naive way never returns the last fen.
    assert [reversal(100, 3, done, done + 1) for done in range(3)] == [-33, -34, -33]
    assert [reversal(-100, -3, done, done + 1) for done in range(3)] == [33, 34, 33]
    assert reversal(1, 2, 0, 1) == -1


def test_a_line_of_nothing_cannot_be_a_base():
    with pytest.raises(ValueError, match="pieces"):
        reversal(100, 0, 0, 1)


@pytest.mark.parametrize(
    ("line", "refund", "back", "excess"),
    [
        ({"paid_fen": 100, "qty": 1}, {"fen": 40}, 40, 0),
        ({"paid_fen": -100, "qty": -1}, {"fen": 140}, 100, 40),
        ({"paid_fen": 100, "qty": 1, "back": 60}, {"cumulative_fen": 50}, 60, 0),
        ({"paid_fen": 100, "qty": 1, "back": 60}, {"cumulative_fen": 110}, 100, 10),
        ({"paid_fen": 100, "qty": 3}, {"qty": 2}, 67, 0),
        ({"paid_fen": 100, "qty": 3, "back": 67, "pieces": 2}, {"qty": 1}, 100, 0),
        ({"paid_fen": 100, "qty": 3}, {"qty": 6}, 100, 100),
        ({"paid_fen": 100, "qty": 0}, {"qty": 1}, 100, 0),
        ({"paid_fen": 0, "qty": 3}, {"qty": 2}, 2, 0),
        ({"paid_fen": 0, "qty": 3, "back": 2}, {"fen": 0}, 3, 0),
        ({"paid_fen": 0, "qty": -2}, {"qty": 3}, 2, 1),
        ({"paid_fen": 0, "qty": 0}, {}, 1, 0),
    ],
)
def test_what_comes_back_is_measured_against_the_line(line, refund, back, excess):
    after, beyond = Returned(**line).plus(**refund)
    assert (after.back, beyond) == (back, excess)


def test_pieces_are_counted_beside_the_money():
    state, _ = Returned(paid_fen=100, qty=2).plus(fen=30, qty=1)
    assert (state.back, state.pieces) == (30, 1)
    assert state.plus(qty=1)[0].back == 80


@pytest.mark.parametrize("refund", [{"fen": -1}, {"cumulative_fen": -1}, {"qty": -1}, {}])
def test_what_is_no_refund_is_refused(refund):
    with pytest.raises(ValueError, match="refund"):
        Returned(paid_fen=100, qty=1).plus(**refund)
