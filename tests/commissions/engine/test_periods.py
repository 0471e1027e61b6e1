"""What is decided over periods: attainment, actions, payout and draw. The arithmetic is in the case files."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commissions.engine import actions, attainment, payout
from commissions.engine.attainment import LateRefund, Scale, Tier

STEPS = (
    Tier(from_fen=0, ppm=10_000),
    Tier(from_fen=1_000, ppm=20_000, fixed_fen=7),
    Tier(from_fen=5_000, ppm=33_333),
)
SCALES = st.sampled_from([Scale(mode=mode, tiers=STEPS) for mode in ("marginal", "whole")])
FENS = st.integers(-10_000, 10_000)
AT = datetime(2026, 10, 12, tzinfo=UTC)


@given(SCALES, FENS)
def test_nothing_is_nothing_and_a_loss_mirrors_a_gain(scale, fen):
    assert scale.commission(0) == 0
    assert scale.commission(-fen) == -scale.commission(fen)


@given(SCALES, st.lists(FENS, max_size=8), FENS)
def test_bookings_sum_to_the_commission_on_the_total_in_any_order(scale, amounts, prior):
    expected = scale.commission(prior + sum(amounts)) - scale.commission(prior)
    assert sum(attainment.bookings(scale, amounts=amounts, prior_fen=prior)) == expected
    assert sum(attainment.bookings(scale, amounts=amounts[::-1], prior_fen=prior)) == expected


@given(SCALES, FENS, FENS)
def test_a_booking_closes_the_gap(scale, booked, total):
    assert booked + scale.booking(total_fen=total, booked_fen=booked) == scale.commission(total)


@given(
    SCALES,
    st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("ab"), st.integers(0, 6_000)), max_size=5),
)
def test_restating_forward_books_every_period_as_if_it_had_been_known(scale, drawn):
    refunds = [LateRefund(posted=posted, sale_period=sold, fen=fen) for posted, sold, fen in drawn]
    booked = attainment.restate(scale, sales={"a": 6_000, "b": 900}, refunds=refunds)
    net = {"a": 6_000, "b": 900}
    for _, sold, fen in drawn:
        net[sold] -= fen
    assert sum(booked.values()) == sum(scale.commission(fen) for fen in net.values())


def test_outcomes_say_why_nothing_is_paid():
    rates = {
        "wake": actions.ActionRate(fen=5, once_per=frozenset(["customer"]), min_inactive_days=60),
        "open": actions.ActionRate(fen=10, daily_cap=1, budget_fen=20),
    }

    def event(event_id, kind, clerk, **more):
        return actions.Event(id=event_id, type=kind, clerk=clerk, at=AT, **more)

    events = [
        event(1, "wake", 7, customer="c", active_days=3),
        event(2, "wake", 7, customer="c"),
        event(2, "wake", 7, customer="c"),
        event(3, "wake", 8, customer="c"),
        event(4, "sing", 7),
        event(5, "open", 7),
        event(6, "open", 7),
        event(7, "open", 8),
        event(8, "open", 9),
        event(9, "open", 9, void=True, of=5),
        event(10, "open", 9, void=True, of=5),
    ]
    assert [(it.clerk, it.fen, it.reason) for it in actions.judge(events, rates=rates, zone=UTC)] == [
        (7, 0, "too_active"),
        (7, 5, ""),
        (7, 0, "duplicate"),
        (8, 0, "already_paid"),
        (7, 0, "unknown_type"),
        (7, 10, ""),
        (7, 0, "daily_cap"),
        (8, 10, ""),
        (9, 0, "budget_spent"),
        (7, -10, ""),
        (9, 0, "nothing_to_void"),
    ]


def test_every_reason_of_an_action_is_in_the_vocabulary():
    assert set(actions.REASONS) >= {"duplicate", "budget_spent", "nothing_to_void"}


@given(st.lists(FENS, max_size=12), st.none() | st.integers(0, 9_000), st.integers(0, 5_000))
def test_no_fen_is_lost_between_periods(nets, max_fen, min_fen):
    rows = payout.payments(nets, max_fen=max_fen, min_payout_fen=min_fen)
    carry = 0
    for net, row in zip(nets, rows, strict=True):
        assert row.paid_fen + row.carry_fen == net + carry
        assert row.paid_fen == 0 or row.paid_fen >= min_fen
        assert 0 <= row.paid_fen <= (row.paid_fen if max_fen is None else max_fen)
        carry = row.carry_fen


@given(st.lists(st.integers(0, 9_000), max_size=12), st.integers(0, 5_000), st.integers(0, 8), st.integers(0, 12))
def test_a_draw_is_an_advance_on_what_is_earned(earnings, min_fen, until, recover_from):
    rows = payout.draws(earnings, min_fen=min_fen, draw_until=until, recover_from=recover_from)
    assert sum(row.paid_fen for row in rows) == sum(earnings) + (rows[-1].balance_fen if rows else 0)
    for period, (earned, row) in enumerate(zip(earnings, rows, strict=True), start=1):
        assert row.balance_fen >= 0
        assert row.paid_fen >= (min_fen if period <= until else min(earned, min_fen))


def test_negative_earnings_are_refused():
    with pytest.raises(ValueError, match="earnings"):
        payout.draw(earned_fen=-1, min_fen=0)
