"""Pricing through the Python API: awards, traces, attainment. The arithmetic is in the case files."""

from datetime import UTC, datetime

import pytest

from commissions import engine
from commissions.engine import Line, Order, Part, Share, compile_plan, explain, judge, parse_rules, price


def plan(*rules, **options):
    return compile_plan(parse_rules(rules), **options)


def line(**facts):
    plain = {
        "id": 1,
        "paid_fen": 10000,
        "tag_fen": 10000,
        "qty": 1,
        "brand": "A",
        "category": "c",
        "product": "p",
    }
    return Line(**{**plain, **facts})


def order(*lines, **facts):
    plain = {
        "id": 1,
        "paid_at": datetime(2026, 10, 1, tzinfo=UTC),
        "channel": "pos",
        "store": 12,
        "roles": {"bound": 7},
    }
    return Order(**{**plain, **facts}, lines=lines or [line()])


RATE = {"id": "r", "calc": {"type": "rate", "ppm": 10000}}
SPLIT = [{"role": "bound", "weight": 2}, {"role": "share", "weight": 1}]


def test_an_award_holds_the_parts_and_what_stays_in_the_house():
    (award,) = price(plan({**RATE, "split": SPLIT}), order())
    assert award == engine.Award(1, "r", 10000, 100, (Part("bound", 7, 67),), 33)
    assert sum(part.fen for part in award.parts) + award.house_fen == award.pool_fen


def test_a_pool_that_nobody_takes_is_an_award_without_parts_and_a_zero_pool_is_none():
    (award,) = price(plan(RATE), order(roles={}))
    assert (award.parts, award.house_fen) == ((), 100)
    assert price(plan(RATE), order(line(paid_fen=0))) == []


def test_holders_are_opaque_and_ids_are_text():
    somebody = (1, "li")
    rule = {**RATE, "when": {"store": ["12"]}}
    (award,) = price(plan(rule), order(roles={"bound": somebody}))
    assert award.parts == (Part("bound", somebody, 100),)


def test_a_value_that_is_not_known_is_on_no_list():
    rule = {**RATE, "when": {"brand": ["None"]}}
    assert price(plan(rule), order(line(brand=None))) == []


def test_the_wall_clock_of_the_plan_decides_not_the_zone_of_the_order():
    # 2026-10-01 00:30 in Shanghai is still September in UTC.
    moment = datetime(2026, 9, 30, 16, 30, tzinfo=UTC)
    october = {**RATE, "valid": {"from": "2026-10-01T00:00:00"}}
    assert price(plan(october), order(paid_at=moment))
    assert not price(plan(october, tz="UTC"), order(paid_at=moment))


def test_a_moment_without_a_zone_is_refused():
    naive = datetime(2026, 10, 1)  # noqa: DTZ001
    with pytest.raises(ValueError, match="time zone"):
        price(plan(RATE), order(paid_at=naive))


def test_a_line_sent_twice_counts_once():
    assert [award.pool_fen for award in price(plan(RATE), order(line(), line(paid_fen=500)))] == [100]


def test_the_signs_of_a_line_follow_what_was_paid():
    per_piece = {"id": "r", "calc": {"type": "per_qty", "fen": 5}}
    assert [award.pool_fen for award in price(plan(per_piece), order(line(paid_fen=-1, qty=2)))] == [-10]
    assert [award.pool_fen for award in price(plan(per_piece), order(line(paid_fen=1, qty=-2)))] == [10]


def test_a_trace_shows_every_number_of_the_winner():
    rule = {**RATE, "calc": {"type": "rate_plus", "ppm": 10000, "fen": 3}, "floor_fen": 500, "cap_fen": 400}
    rule |= {"split": SPLIT, "missing": {"to_role": "bound"}}
    trace = explain(plan(rule), order(line(paid_fen=-10000, qty=-2)), 1)
    (win,) = trace.winners
    assert (win.base, win.base_fen, win.calc, win.ppm, win.fixed_fen) == (
        "paid",
        -10000,
        "rate_plus",
        10000,
        -6,
    )
    assert (win.raw_fen, win.is_floored, win.is_capped, win.pool_fen) == (-106, True, True, -400)
    assert (win.parts, win.house_fen, win.reasons) == ((Part("bound", 7, -400),), 0, ())
    assert (win.missing, win.missing_roles) == ("to_role", ("share",))
    assert (trace.line_id, trace.losers, trace.skipped()) == (1, (), [])


def test_a_trace_without_limits_says_so():
    (win,) = explain(plan(RATE), order(), 1).winners
    assert (win.is_floored, win.is_capped, win.floor_fen, win.cap_fen) == (False, False, None, None)
    (win,) = explain(plan({**RATE, "floor_fen": 100, "cap_fen": 100}), order(), 1).winners
    assert (win.is_floored, win.is_capped) == (False, False)


def test_every_rule_of_the_plan_is_in_the_trace_once():
    rules = [{**RATE, "id": name, "group": name[0]} for name in ("a1", "a2", "b1")]
    trace = explain(plan(*rules, {**RATE, "id": "x", "when": {"channel": ["jd"]}}), order(), 1)
    assert [win.rule_id for win in trace.winners] == ["a1", "b1"]
    # The more specific rule stands before the others in the walk, matching or not.
    assert [(loss.rule_id, loss.reasons) for loss in trace.losers] == [
        ("x", ("channel",)),
        ("a2", ("lost_in_group",)),
    ]


def test_a_line_that_is_not_in_the_order_has_no_trace():
    with pytest.raises(LookupError, match="order 1 has no line 2"):
        explain(plan(RATE), order(), 2)


def test_what_counts_for_attainment_does_not_depend_on_what_is_paid():
    deep = {**RATE, "id": "deep", "priority": 1, "commissionable": False, "when": {"product": ["sale"]}}
    gift = {
        **RATE,
        "id": "gift",
        "priority": 1,
        "counts_for_attainment": False,
        "when": {"product": ["gift"]},
    }
    only_dresses = plan(deep, gift, {**RATE, "when": {"category": ["dress"]}})
    sold = order(
        line(id=1, category="dress"),
        line(id=2, category="dress", product="sale", paid_fen=3000),
        line(id=3, category="dress", product="gift"),
        line(id=4, category="coat"),
    )
    awards, uncounted = judge(only_dresses, sold)
    assert uncounted == [3, 4]
    assert [award.line_id for award in awards] == [1, 3]
    (win,) = explain(only_dresses, sold, 2).winners
    assert (win.rule_id, win.raw_fen, win.reasons) == ("deep", 0, ("not_commissionable",))


def test_every_reason_is_in_the_vocabulary():
    assert {"before_valid_from", "channel", "no_cost", "lost_in_group", "zero_pool"} <= set(engine.REASONS)
    assert len(set(engine.REASONS)) == len(engine.REASONS)


def test_memos_forget_when_they_are_full(monkeypatch):
    monkeypatch.setattr("commissions.engine.index._REMEMBERED", 2)
    compiled = plan({**RATE, "when": {"product": ["p3"]}})
    sold = order(*(line(id=number, product=f"p{number}") for number in range(6)))
    for _ in range(2):
        assert [award.line_id for award in price(compiled, sold)] == [3]


@pytest.mark.parametrize(
    ("missing", "staff", "parts", "house"),
    [
        ("forfeit", {"bound": 1, "share": 2}, [600, 200], 200),
        ("forfeit", {"share": 2}, [200], 800),
        ("reallocate", {"share": 2}, [800], 200),
        ("reallocate", {}, [], 1000),
        ("to_role", {"bound": 1}, [800], 200),
        ("to_role", {"share": 2}, [200], 800),
    ],
)
def test_the_house_keeps_its_part_of_a_stored_split(missing, staff, parts, house):
    shares = [Share("bound", 600_000), Share("share", 200_000), Share(engine.HOUSE, 200_000)]
    heir = "bound" if missing == "to_role" else None
    split = engine.splits.Split(shares=shares, missing=missing, to_role=heir)
    divided, house_fen = split.divide(1000, {**staff, engine.HOUSE: "nobody is the house"})
    assert ([part.fen for part in divided], house_fen) == (parts, house)


def test_reallocating_to_somebody_without_weight_leaves_the_house_its_part():
    shares = [Share("bound", 800_000), Share("manager", 0), Share(engine.HOUSE, 200_000)]
    split = engine.splits.Split(shares=shares, missing="reallocate")
    assert split.divide(1000, {"manager": 9}) == ((Part("manager", 9, 800),), 200)
    assert split.missing_roles({"manager": 9}) == ["bound"]
