"""The public case files, what a malformed case answers, and the command around them."""

import json
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from commissions.engine import cases, compile_plan, parse_rules
from commissions.management.commands.commission_cases import Command

FILES = Path(__file__).parents[2] / "data" / "commission_cases"
CASES = [
    case
    for name in ("examples.json", "corners.json")
    for case in json.loads((FILES / name).read_text(encoding="utf-8"))["cases"]
]


def plan_case(**input_):
    rule = {"id": "r", "calc": {"type": "fixed", "fen": 5}}
    line = {"id": "L", "paid_fen": 1, "tag_fen": 1, "qty": 1}
    order = {"id": "O", "paid_at": "2026-10-12T00:00:00", "roles": {"bound": "li"}, "lines": [line]}
    return {"id": "p", "kind": "plan", "input": {"plan": {"rules": [rule]}, "orders": [order], **input_}}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_case(case):
    assert cases.evaluate(case).as_row().get("diff") is None
    assert cases.evaluate(case).ok


def test_every_case_fails_when_it_expects_something_else():
    for case in CASES:
        wrong = {**case, "expect": {key: ["another"] for key in case["expect"]}}
        verdict = cases.evaluate(wrong)
        assert not verdict.ok
        assert set(verdict.diff) == set(case["expect"])
        assert verdict.as_row()["diff"] == verdict.diff


def test_a_case_without_expectation_shows_its_result():
    verdict = cases.evaluate({"id": 7, "kind": "allocate", "input": {"amount": 3, "weights": [1, 1]}})
    assert verdict.as_row() == {"id": "7", "ok": True, "result": {"parts": [2, 1]}}


def test_sums_of_zero_ids_as_numbers_and_the_order_of_skipped_do_not_differ():
    case = plan_case()
    case["input"]["orders"][0]["roles"] = {"bound": 7}
    case["expect"] = {
        "totals": {"7": 5, "8": 0},
        "entries": [["L", "r", "bound", 7, 5]],
        "skipped": [],
        "excess": [],
    }
    assert cases.evaluate(case).ok


def test_a_given_plan_stands_in_for_the_one_of_the_case():
    plan = compile_plan(parse_rules([{"id": "other", "calc": {"type": "fixed", "fen": 9}}]))
    case = plan_case()
    del case["input"]["plan"]
    assert cases.evaluate(case, plan=plan).result["totals"] == {"li": 9}


@pytest.mark.parametrize(
    ("kind", "input_", "problem"),
    [
        ("allocate", {"weights": [1]}, "amount: is missing"),
        ("allocate", {"amount": 1, "weights": []}, "weights: must not be empty"),
        ("allocate", {"amount": 1, "weights": [1, -1]}, "weights: must be 0 or more"),
        ("allocate", {"amount": 1.5, "weights": [1]}, "amount: must be a whole number"),
        ("allocate", {"amount": True, "weights": 3}, "weights: must be a list"),
        ("allocate", {"amount": 1, "weights": [None]}, "weights: is missing"),
        ("tier", {"mode": "steep", "tiers": [], "amounts": []}, "mode: must be one of marginal, whole"),
        (
            "tier",
            {"mode": "whole", "tiers": [], "amounts": []},
            "tiers: must rise from tier to tier, none twice",
        ),
        ("tier", {"mode": "whole", "tiers": [4], "amounts": []}, "tiers[0]: must be an object"),
        (
            "tier",
            {"mode": "whole", "tiers": [{"from_fen": 0, "ppm": 1, "fix": 1}]},
            "tiers[0].fix: is not known",
        ),
        (
            "actions",
            {"rates": {"a": {"fen": 1, "once_per": "moon"}}, "events": []},
            "rates.a.once_per: must join",
        ),
        (
            "actions",
            {"rates": {"a": {"fen": 1, "once_per": "day+day"}}, "events": []},
            "rates.a.once_per: must join",
        ),
        ("actions", {"rates": {}, "events": [{"id": "e"}]}, "events[0].clerk: is missing"),
        (
            "actions",
            {"rates": {}, "events": [{"id": "e", "at": "soon"}]},
            "events[0].at: must be an ISO 8601 time",
        ),
        ("actions", {"rates": {}, "events": [{"void": "yes"}]}, "events[0].void: must be true or false"),
        ("actions", {"rates": {}, "events": [{"at": 20261012}]}, "events[0].at: must be an ISO 8601 time"),
        ("actions", {"rates": {}, "events": [{"at": "9999-12-31T23:00:00Z"}]}, "events[0].at: is too far away"),
        (
            "actions",
            {"tz": "Mars/Base", "rates": {}, "events": []},
            "tz: 'Mars/Base' is not a known time zone",
        ),
        ("payout", {"net": [1], "max": -1}, "max: must be 0 or more"),
        (
            "draw",
            {"earnings": [-1], "min": 0, "draw_until": 1, "recover_from": 1},
            "earnings: must be 0 or more",
        ),
        ("restate", {"sales": {"2026": 1}, "periods": []}, "sales.2026: is not one of the periods"),
        ("restate", {"periods": ["a"], "refunds": [{"posted": "b"}]}, "refunds[0].posted: must be one of a"),
        ("plan", {"plan": 3, "orders": []}, "plan: must be an object"),
        ("plan", {"plan": {}, "orders": []}, "plan.rules: is missing"),
        ("plan", {"plan": {"rules": [], "rounding": "floor"}}, "plan.rounding: must be one of half_away"),
        ("plan", {"plan": {"rules": [{"id": "r"}]}}, "rule r: calc.type: is missing"),
        (
            "plan",
            {"plan": {"rules": []}, "orders": [{"lines": [{}]}]},
            "orders[0].lines[0].paid_fen: is missing",
        ),
        ("plan", {"plan": {"rules": []}, "orders": [{"id": ["x"]}]}, "orders[0].id: must be a text"),
        ("dice", {}, "kind: must be one of allocate, tier"),
    ],
)
def test_a_malformed_case_names_its_field(kind, input_, problem):
    verdict = cases.evaluate({"id": "bad", "kind": kind, "input": input_, "expect": {}})
    assert not verdict.ok
    assert verdict.result is None
    assert any(problem in found for found in verdict.problems), verdict.problems
    assert problem in verdict.as_row()["error"]


def test_a_refund_of_nothing_in_particular_is_malformed():
    verdict = cases.evaluate(plan_case(refunds=[{"id": "R", "order": "O", "line": "L"}]))
    assert verdict.problems == ("refund R: a refund needs fen, cumulative_fen or qty",)


def test_a_case_that_is_no_object_says_so():
    assert cases.evaluate("case").problems == ("document: must be an object",)


def test_cases_stand_in_a_list_or_under_their_key():
    assert cases.read_cases([1]) == cases.read_cases({"cases": [1]}) == [1]
    with pytest.raises(ValueError, match="cases: is missing"):
        cases.read_cases({})


def run(*files):
    out, err = StringIO(), StringIO()
    try:
        call_command(Command(stdout=out, stderr=err), *map(str, files))
    except CommandError as error:
        return [json.loads(row) for row in out.getvalue().splitlines()], err.getvalue(), error
    return [json.loads(row) for row in out.getvalue().splitlines()], err.getvalue(), None


def test_command_prints_a_line_for_each_case():
    rows, err, error = run(FILES / "examples.json", FILES / "corners.json")
    assert [row["id"] for row in rows] == [case["id"] for case in CASES]
    assert all(row["ok"] for row in rows)
    assert (err, error) == ("", None)


def test_command_goes_on_after_what_it_cannot_read_and_fails(tmp_path):
    broken, mixed = tmp_path / "broken.json", tmp_path / "mixed.json"
    broken.write_text("{", encoding="utf-8")
    good = {"id": "好", "kind": "payout", "input": {"net": [1]}}
    differs = {**good, "id": "b", "expect": {"rows": [[2, 0]]}}
    mixed.write_text(json.dumps([{"kind": "payout"}, good, differs]), encoding="utf-8")
    rows, err, error = run(tmp_path / "absent.json", broken, mixed)
    assert [(row["id"], row["ok"]) for row in rows] == [("", False), ("好", True), ("b", False)]
    assert rows[2]["diff"] == {"rows": {"expected": [[2, 0]], "got": [[1, 0]]}}
    assert "absent.json: " in err
    assert "broken.json: " in err
    assert "mixed.json: case 0: id: is missing" in err
    assert "failed: 4" in str(error)


def test_command_writes_chinese_as_it_is():
    out = StringIO()
    call_command(Command(stdout=out), str(FILES / "examples.json"))
    assert "\\u" not in out.getvalue()
