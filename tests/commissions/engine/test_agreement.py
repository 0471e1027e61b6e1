"""The indexed engine against the naive evaluator, and what must hold for every plan and order."""

from hypothesis import given, settings

from commissions.engine import cases
from tests.commissions.engine import naive
from tests.commissions.engine.worlds import WORLDS


def settled(source):
    verdict = cases.evaluate({"id": "world", "kind": "plan", "input": source})
    assert verdict.problems == ()
    return verdict.result


@settings(max_examples=600, deadline=None)
@given(WORLDS)
def test_engine_and_naive_evaluator_agree_line_by_line(world):
    result, expected = settled(world), naive.evaluate(world)
    assert result["entries"] == expected["entries"]
    assert {tuple(row) for row in result["skipped"]} == expected["skipped"]
    assert result["totals"] == expected["totals"]
