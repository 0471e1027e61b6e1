"""What came back of a line, whatever order its refunds arrived in."""

from datetime import timedelta

import pytest

from commissions import returns
from retail.models import OrderLine, Refund
from tests.factories import NOW


def refunds(said):
    return [
        Refund(
            pk=place,
            outer_refund_id=str(place),
            outer_line_id=amount.get("line", "1"),
            refunded_at=NOW + timedelta(days=amount.get("days", 0)),
            **{name: amount[name] for name in ("fen", "cumulative_fen", "qty") if name in amount},
        )
        for place, amount in enumerate(said, start=1)
    ]


@pytest.mark.parametrize(
    ("said", "back", "excess"),
    [
        ([{"fen": 300}, {"fen": 200}], 500, {}),
        ([{"fen": 800}, {"fen": 800}], 1000, {2: 600}),
        ([{"cumulative_fen": 300}, {"cumulative_fen": 700}], 700, {}),
        ([{"cumulative_fen": 300}, {"fen": 200, "days": 1}], 500, {}),
        ([{"fen": 200}, {"cumulative_fen": 300, "days": 1}], 300, {}),
        ([{"qty": 1}], 333, {}),
        ([{"qty": 1}, {"qty": 1}], 667, {}),
        ([{"qty": 1}, {"qty": 2}], 1000, {}),
        ([{"qty": 1}, {"fen": 100}], 433, {}),
        # All of the line so far: the pieces said before are in it.
        ([{"qty": 1}, {"cumulative_fen": 500, "days": 1}], 500, {}),
    ],
)
def test_amounts_add_up_by_their_own_time(said, back, excess):
    line = OrderLine(pk=7, outer_line_id="1", paid_fen=1000, qty=3)

    for arrived in (refunds(said), refunds(said)[::-1]):
        found = returns.tally(lines=[line], refunds=arrived)
        assert found.back[7].back == back
        assert found.excess == excess


@pytest.mark.parametrize(
    ("said", "back"), [([{"qty": 1}], 1), ([{"qty": 1}, {"qty": 1, "days": 1}], 2), ([{"fen": 0}], 3)]
)
def test_a_line_that_paid_nothing_comes_back_by_pieces(said, back):
    line = OrderLine(pk=7, outer_line_id="1", paid_fen=0, qty=3)

    assert returns.tally(lines=[line], refunds=refunds(said)).back[7].back == back


def test_a_refund_of_no_line_is_told_apart():
    found = returns.tally(lines=[], refunds=refunds([{"fen": 5, "line": "9"}]))

    assert (found.back, found.astray) == ({}, [1])
