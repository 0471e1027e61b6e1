from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commissions.engine import allocate
from commissions.engine.money import round_div
from tests.commissions.engine import naive

WEIGHTS = st.lists(st.integers(0, 50), min_size=1, max_size=6)


@pytest.mark.parametrize(
    ("numerator", "denominator", "rounded"),
    [(5, 2, 3), (-5, 2, -3), (5, -2, -3), (-5, -2, 3), (4, 3, 1), (-4, 3, -1), (0, 7, 0), (0, -7, 0)],
)
def test_half_is_rounded_away_from_zero(numerator, denominator, rounded):
    assert round_div(numerator, denominator) == rounded


@given(st.integers(), st.integers().filter(bool))
def test_rounding_agrees_with_fractions(numerator, denominator):
    assert round_div(numerator, denominator) == naive.rounded(Fraction(numerator, denominator))


@given(st.integers(), WEIGHTS)
def test_parts_sum_to_the_amount_and_agree_with_the_naive_split(amount, weights):
    parts = allocate(amount, weights)
    assert sum(parts) == amount
    assert parts == naive.split_amount(amount, weights)
    assert allocate(-amount, weights) == [-part for part in parts]


@given(st.integers(-1000, 1000), WEIGHTS.filter(any))
def test_a_zero_weight_beside_a_positive_one_gets_nothing(amount, weights):
    assert all(part == 0 for part, weight in zip(allocate(amount, weights), weights, strict=True) if not weight)


def test_what_cannot_be_split_is_refused():
    with pytest.raises(ValueError, match="must not be negative"):
        allocate(1, [2, -1])
    with pytest.raises(ValueError, match="at least one weight"):
        allocate(1, [])
    assert allocate(0, []) == []
