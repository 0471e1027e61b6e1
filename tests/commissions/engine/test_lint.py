"""What the linter says of a plan, against the naive evaluator on many sales."""

import random
from collections import Counter
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commissions import engine
from commissions.engine import lint
from tests.commissions.engine import naive
from tests.commissions.engine.worlds import EDGES, MOMENTS, ORDERS, plans

NOW = datetime.fromisoformat("2026-10-15T12:00:00+08:00")


def compiled(plan):
    rules = engine.parse_rules(plan["rules"])
    return engine.compile_plan(rules, tz=plan["tz"], group_modes=plan.get("group_modes"))


def plan(*rules, **modes):
    usual = {"calc": {"type": "rate", "ppm": 10000}}
    return {"tz": "Asia/Shanghai", "rules": [{**usual, **rule} for rule in rules], "group_modes": modes}


def found(made):
    return {(one.kind, one.rule_id or one.group, *one.by) for one in lint.findings(compiled(made), now=NOW)}


CONDITIONS = [
    *({}, {}, {}, {"member": "new"}, {"member": "existing"}, {"channel": ["pos"]}, {"channel": ["pos", "douyin"]}),
    *({"store_group": ["east"]}, {"store_group": ["west"]}, {"min_line_fen": 100}, {"min_line_fen": 5000}),
]
SPANS = [{}, {}, {"from": EDGES[0]}, {"to": EDGES[1]}, {"from": EDGES[0], "to": EDGES[1]}]


def crowded(dice):
    """A plan whose rules get in each other's way: few conditions, few groups, many that stop."""
    modes = ["list_order", "list_order", "highest", "sum"]
    return {
        "tz": "Asia/Shanghai",
        "rules": [
            {
                "id": name,
                "group": dice.choice(["base", "base", "bonus", "extra"]),
                "priority": dice.choice([0, 0, 1, 2]),
                "stop": dice.random() < 0.3,
                "base": dice.choice(["paid", "paid", "margin"]),
                "when": {**dice.choice(CONDITIONS), **dice.choice(CONDITIONS)},
                "valid": dice.choice(SPANS),
                "calc": {"type": "rate", "ppm": dice.choice([10000, 20000])},
            }
            for name in "abcdefg"
        ],
        "group_modes": {group: dice.choice(modes) for group in ("base", "bonus", "extra")},
    }


def sale(dice):
    line = {"id": "L", "paid_fen": dice.choice([99, 100, 5000]), "tag_fen": 5000, "qty": 1}
    costed = {"cost_fen": 1} if dice.random() < 0.5 else {}
    return {
        "id": "O",
        "paid_at": dice.choice(MOMENTS),
        "channel": dice.choice(["pos", "douyin", "jd"]),
        "store_groups": dice.choice([[], ["east"], ["west"], ["east", "west"]]),
        "member_is_new": dice.random() < 0.5,
        "roles": {},
        "lines": [{**line, **costed}],
    }


def test_what_is_called_unreachable_never_wins_a_line():
    dice, seen = random.Random(20261122), Counter()
    for _plan in range(200):
        made = crowded(dice)
        unreachable = {one.rule_id: one for one in lint.findings(compiled(made)) if one.kind in lint.UNREACHABLE}
        seen.update(one.kind for one in unreachable.values())
        for order in (sale(dice) for _sale in range(60 if unreachable else 0)):
            winners, _reasons = naive.walk(made, order, order["lines"][0])
            assert not [unreachable[rule["id"]] for rule in winners if rule["id"] in unreachable], made
    assert seen["beaten"] > 50 and seen["stopped"] > 20, "else this would prove little"


@settings(max_examples=30, deadline=None)
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
        # Where the amount decides, the group is dealt with at its first rule: before the one that stops.
        (
            [{"id": "r1", "priority": 9}, {"id": "end", "priority": 8, "stop": True, "group": "b"}, {"id": "r2"}],
            {"base": "highest"},
            None,
        ),
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
