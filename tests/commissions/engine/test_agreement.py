"""The indexed engine against the naive evaluator, and what must hold for every plan and order."""

import copy
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from commissions.engine import cases
from tests.commissions.engine import naive
from tests.commissions.engine.worlds import WORLDS

BRIEFLY = settings(max_examples=25, deadline=None)


def settled(source):
    verdict = cases.evaluate({"id": "world", "kind": "plan", "input": source})
    assert verdict.problems == ()
    return verdict.result


@settings(max_examples=100, deadline=None)
@given(WORLDS)
def test_engine_and_naive_evaluator_agree_line_by_line(world):
    result, expected = settled(world), naive.evaluate(world)
    assert result["entries"] == expected["entries"]
    assert {tuple(row) for row in result["skipped"]} == expected["skipped"]
    assert result["totals"] == expected["totals"]


@BRIEFLY
@given(WORLDS, st.randoms(use_true_random=False))
def test_a_full_refund_of_every_line_leaves_nobody_anything(world, random):
    sold = {(order["id"], line["id"]): line for order in world["orders"][::-1] for line in order["lines"][::-1]}
    refunds = []
    for (order_id, line_id), line in sold.items():
        size, unit = (abs(line["paid_fen"]), "fen") if line["paid_fen"] else (abs(line["qty"]), "qty")
        cut = random.randint(0, size)
        for number, part in enumerate([cut, size - cut]):
            refunds.append({"id": f"{order_id}{line_id}{number}", "order": order_id, "line": line_id, unit: part})
    random.shuffle(refunds)
    assert settled({**world, "refunds": refunds + refunds})["totals"] == {}


@BRIEFLY
@given(WORLDS)
def test_an_unrelated_rule_changes_nothing(world):
    other = copy.deepcopy(world)
    rule = {
        "id": "0",
        "priority": 9,
        "stop": True,
        "when": {"channel": ["moon"]},
        "calc": {"type": "fixed", "fen": 1},
    }
    other["plan"]["rules"].insert(0, rule)
    assert settled(other)["entries"] == settled(world)["entries"]


@BRIEFLY
@given(WORLDS)
def test_the_order_of_the_rules_in_the_plan_does_not_matter(world):
    other = copy.deepcopy(world)
    other["plan"]["rules"].reverse()
    assert settled(other)["entries"] == settled(world)["entries"]


@BRIEFLY
@given(WORLDS)
def test_a_negative_line_mirrors_its_twin(world):
    for order in world["orders"]:
        for line in order["lines"]:
            line.pop("roles", None)
    for rule in world["plan"]["rules"]:
        rule["when"].pop("min_order_fen", None)  # the one condition that looks at signs
    mirrored = copy.deepcopy(world)
    for order in mirrored["orders"]:
        for line in order["lines"]:
            line |= {key: -line[key] for key in ("paid_fen", "tag_fen", "qty")}
    taken = [[*row[:4], -row[4]] for row in settled(mirrored)["entries"]]
    assert taken == settled(world)["entries"]


@BRIEFLY
@given(WORLDS)
def test_settling_the_same_facts_again_gives_the_same_entries(world):
    once, twice = settled(world), settled({**world, "orders": world["orders"] * 2})
    assert once == twice


@BRIEFLY
@given(WORLDS, st.integers(1, 100_000))
def test_a_higher_rate_never_lowers_a_pool(world, more):
    for rule in world["plan"]["rules"]:
        rule["split"] = [{"role": "bound", "weight": 1}]
    world["plan"]["group_modes"] = {}
    for order in world["orders"]:
        order["roles"] = {"bound": "li"}
        order.pop("buyer_clerk", None)
        for line in order["lines"]:
            line.pop("roles", None)
            line |= {key: abs(line[key]) for key in ("paid_fen", "tag_fen", "qty")}
    raised = copy.deepcopy(world)
    for rule in raised["plan"]["rules"]:
        if "ppm" in rule["calc"]:
            rule["calc"]["ppm"] += more
    assert pools(settled(raised)) >= pools(settled(world))


def pools(result):
    """The pools by line and rule; one Counter is ≥ another when none of its values is lower."""
    found = Counter()
    for line, rule, _, _, fen in result["entries"]:
        found[line, rule] += fen
    return found
