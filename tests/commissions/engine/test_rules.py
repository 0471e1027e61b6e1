"""What a plan refuses to be saved with, and how it says so."""

from datetime import datetime

import pytest

from commissions.engine import PlanError, Share, compile_plan, parse_rule, parse_rules

GOOD = {"id": "r", "calc": {"type": "rate", "ppm": 1}}


def test_defaults():
    rule = parse_rule({"id": 7, "calc": {"type": "fixed", "fen": 5}, "name": "a remark"})
    assert (rule.id, rule.group, rule.priority, rule.stop, rule.base) == ("7", "base", 0, False, "paid")
    assert rule.split == (Share("bound", 1),)
    assert (rule.missing, rule.floor_fen, rule.cap_fen, rule.specificity) == ("forfeit", None, None, 0)
    assert rule.commissionable and rule.counts_for_attainment


def test_moments_may_be_given_as_such():
    moment = datetime(2026, 10, 1)  # noqa: DTZ001 wall clock of the plan
    assert parse_rule({**GOOD, "valid": {"to": moment}}).valid_to == moment
    assert parse_rule({**GOOD, "valid": {"from": "2026-10-01"}}).valid_from == moment


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"id": None}, "id: is missing"),
        ({"capfen": 5}, "capfen: is not known"),
        ({"cap_fen": -1}, "cap_fen: must be 0 or more"),
        ({"floor_fen": "5"}, "floor_fen: must be a whole number"),
        ({"priority": "high"}, "priority: must be a whole number"),
        ({"stop": 1}, "stop: must be true or false"),
        ({"base": "gross"}, "base: must be one of paid, tag, margin"),
        ({"valid": {"form": "2026-10-01"}}, "valid.form: is not known"),
        ({"valid": {"from": "first of May"}}, "valid.from: must be an ISO 8601 time"),
        ({"when": {"channel": []}}, "when.channel: must not be empty"),
        ({"when": {"channel": "pos"}}, "when.channel: must be a list"),
        ({"when": {"weather": ["sunny"]}}, "when.weather: is not known"),
        ({"when": {"member": "old"}}, "when.member: must be one of new, existing"),
        ({"when": {"min_line_fen": -1}}, "when.min_line_fen: must be 0 or more"),
        ({"calc": None}, "calc.type: is missing"),
        (
            {"calc": {"type": "magic"}},
            "calc.type: must be one of rate, fixed, per_qty, rate_plus, discount_tier",
        ),
        ({"calc": {"type": "rate", "ppm": -1}}, "calc.ppm: must be 0 or more"),
        ({"calc": {"type": "rate", "ppm": 1, "fen": 1}}, "calc.fen: is not known"),
        ({"calc": {"type": "rate", "ppm": 0.5}}, "calc.ppm: must be a whole number"),
        ({"calc": {"type": "discount_tier", "steps": []}}, "calc.steps: must fall"),
        ({"calc": {"type": "discount_tier", "steps": [[7000, 1], [8000, 1]]}}, "calc.steps: must fall"),
        ({"calc": {"type": "discount_tier", "steps": [[7000, 1], [7000, 2]]}}, "calc.steps: must fall"),
        (
            {"calc": {"type": "discount_tier", "steps": [[7000]]}},
            "calc.steps: must be pairs of whole numbers",
        ),
        ({"split": []}, "split: must name at least one role"),
        ({"split": [{"role": "house", "weight": 1}]}, "split: must name at least one role"),
        ({"split": [{"role": "bound", "weight": -1}]}, "split[0].weight: must be 0 or more"),
        ({"split": [{"role": "bound"}]}, "split[0].weight: is missing"),
        (
            {"split": [{"role": "a", "weight": 1}, {"role": "a", "weight": 2}]},
            "split: must not name a role twice",
        ),
        ({"missing": "ignore"}, "missing: must be one of forfeit, reallocate"),
        ({"missing": {"to": "manager"}}, "missing.to_role: is missing"),
    ],
)
def test_a_wrong_field_is_named(change, problem):
    with pytest.raises(PlanError) as error:
        parse_rule({**GOOD, **change})
    rule_id = change.get("id", "r") or "?"
    assert any(message.startswith(f"rule {rule_id}: {problem}") for message in error.value.messages)


def test_every_problem_of_every_rule_is_told_at_once():
    with pytest.raises(PlanError) as error:
        parse_rules([GOOD, {**GOOD, "base": "x", "stop": 1}, 5])
    assert [message.split(":")[0] for message in error.value.messages] == ["rule r", "rule r", "rule ?"]
    assert str(error.value) == "; ".join(error.value.messages)


def test_a_plan_refuses_what_only_shows_between_rules():
    backwards = {"from": "2026-10-01T00:00:00", "to": "2026-09-30T16:00:00+00:00"}
    rules = parse_rules([GOOD, GOOD, {**GOOD, "id": "s", "valid": backwards}])
    with pytest.raises(PlanError) as error:
        compile_plan(rules, group_modes={"base": "best"})
    assert error.value.messages == [
        "rule r: id is used 2 times",
        "rule s: valid.to must be after valid.from",
        "group_modes.base: must be one of list_order, highest, lowest, sum",
    ]


@pytest.mark.parametrize("tz", ["Asia/Nowhere", "", "../etc/passwd"])
def test_an_unknown_time_zone_is_refused(tz):
    with pytest.raises(PlanError, match="not a known time zone"):
        compile_plan([], tz=tz)


def test_ownership_may_be_one_word():
    assert parse_rule({**GOOD, "when": {"ownership": "direct"}}).accepts == {"ownership": frozenset(["direct"])}
    assert parse_rule({**GOOD, "when": {"ownership": ["direct"]}}).specificity == 1
