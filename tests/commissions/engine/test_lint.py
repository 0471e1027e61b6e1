"""What the linter says of a plan, against the naive evaluator on many sales."""

from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commissions import engine
from commissions.engine import lint
from tests.commissions.engine import naive
from tests.commissions.engine.worlds import ORDERS, plans

NOW = datetime.fromisoformat("2026-10-15T12:00:00+08:00")


def compiled(plan):
    rules = engine.parse_rules(plan["rules"])
    return engine.compile_plan(rules, tz=plan["tz"], group_modes=plan.get("group_modes"))


def plan(*rules, **modes):
    usual = {"calc": {"type": "rate", "ppm": 10000}}
    return {"tz": "Asia/Shanghai", "rules": [{**usual, **rule} for rule in rules], "group_modes": modes}


def found(made):
    return {(one.kind, one.rule_id or one.group, *one.by) for one in lint.findings(compiled(made), now=NOW)}


@settings(max_examples=150, deadline=None)
@given(plans(), st.lists(ORDERS, min_size=15, max_size=25))
def test_what_is_called_unreachable_never_wins_a_line(made, orders):
    unreachable = {one.rule_id for one in lint.findings(compiled(made)) if one.kind in lint.UNREACHABLE}
    for order in orders:
        for line in order["lines"]:
            winners, _ = naive.walk(made, order, line)
            assert not unreachable & {rule["id"] for rule in winners}


@settings(max_examples=100, deadline=None)
@given(plans(), st.lists(ORDERS, min_size=5, max_size=10))
def test_rules_of_a_group_that_match_the_same_line_are_told_as_overlapping(made, orders):
    ready = compiled(made)
    told = {rule["id"]: {one.rule_id for one in lint.overlaps(ready, rule["id"])} for rule in made["rules"]}
    for order in orders:
        for line in order["lines"]:
            matching = [rule for rule in made["rules"] if not naive.why_not(rule, order, line, made["tz"])]
            for rule in matching:
                rivals = {one["id"] for one in matching if one["group"] == rule["group"]} - {rule["id"]}
                assert rivals <= told[rule["id"]]


@pytest.mark.parametrize(
    ("rules", "modes", "expected"),
    [
        # The wide rule goes first, whatever the narrow one asks for.
        (
            [{"id": "wide", "priority": 9}, {"id": "coat", "when": {"category": ["coat"]}}],
            {},
            ("beaten", "coat", "wide"),
        ),
        # Two rules that between them leave nothing.
        (
            [
                {"id": "new", "priority": 9, "when": {"member": "new"}},
                {"id": "old", "priority": 9, "when": {"member": "existing"}},
                {"id": "rest"},
            ],
            {},
            ("beaten", "rest", "new", "old"),
        ),
        (
            [{"id": "end", "priority": 9, "stop": True, "group": "a"}, {"id": "late", "group": "b"}],
            {},
            ("stopped", "late", "end"),
        ),
        # The rule that stops can itself be beaten by one that does not.
        (
            [
                {"id": "coat", "priority": 10, "group": "a", "when": {"category": ["coat"]}},
                {"id": "end", "priority": 9, "stop": True, "group": "a"},
                {"id": "late", "group": "b"},
            ],
            {},
            None,
        ),
        ([{"id": "wide", "priority": 9}, {"id": "more"}], {"base": "highest"}, None),
        ([{"id": "r1"}, {"id": "r2", "when": {"member": "new"}}], {}, ("beaten", "r2", "r1")),
        ([{"id": "a", "when": {"member": "new"}}, {"id": "b"}], {}, ("by_code", "a", "b")),
        ([{"id": "was", "valid": {"to": "2026-10-15T12:00:00"}}], {}, ("expired", "was")),
        ([{"id": "zero", "calc": {"type": "rate", "ppm": 0}}, {"id": "r"}], {}, ("pays_nothing", "zero")),
        ([{"id": "zero", "group": "x", "cap_fen": 0}], {}, ("idle_group", "x")),
        # Two store groups are no contradiction: a store may be in both.
        (
            [{"id": "a", "when": {"store_group": ["east"]}}, {"id": "b", "when": {"store_group": ["west"]}}],
            {},
            ("by_code", "a", "b"),
        ),
    ],
)
def test_what_is_said(rules, modes, expected):
    said = found(plan(*rules, **modes))

    assert expected in said if expected else said == set()


def test_why_one_rule_goes_before_another():
    ready = compiled(
        plan(
            {"id": "high", "priority": 1},
            {"id": "coat", "when": {"category": ["coat"]}},
            {"id": "plain", "when": {"member": "new"}},
            {"id": "pos", "when": {"channel": ["pos"]}},
        )
    )

    assert [(one.rule_id, one.is_earlier, one.why) for one in lint.overlaps(ready, "coat")] == [
        ("high", True, "priority"),
        ("pos", False, "code"),
        ("plain", False, "specificity"),
    ]
