"""Mutants: the engine with one mistake in it, each a mistake a product of this kind was found to make.

Every mutant is a copy of the engine with one place changed, imported under a name of its own. A case of the public
files (tests/data/commission_cases) must tell it from the engine; one that no case tells apart would have come through.
"""

import importlib
import json
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from commissions import engine

DATA = Path(__file__).parents[2] / "data" / "commission_cases"
CASES = {
    case["id"]: case
    for name in ("examples.json", "corners.json")
    for case in json.loads((DATA / name).read_text(encoding="utf-8"))["cases"]
}


class Mutant(NamedTuple):
    """In `module` the text `right`, which stands there once, becomes `wrong`; the case `killer` shows it."""

    name: str
    module: str
    right: str
    wrong: str
    killer: str


MUTANTS = [
    # Rounding and splitting
    Mutant("floor a pool", "calcs", "base_fen * ppm + _HALF) // PPM", "base_fen * ppm) // PPM", "round-half"),
    Mutant("half towards zero", "calcs", "_HALF = PPM // 2", "_HALF = PPM // 2 - 1", "round-half"),
    Mutant(
        "half up below zero",
        "money",
        "else -rounded\n",
        "else -((2 * magnitude + divisor - 1) // (2 * divisor))\n",
        "refund-half-of-negative",
    ),
    Mutant(
        "floor a refund or tier",
        "money",
        "(2 * magnitude + divisor) // (2 * divisor)",
        "magnitude // divisor",
        "tier-one-rounding",
    ),
    Mutant(
        "tie to the later share",
        "money",
        "remainders.index(max(remainders))",
        "len(remainders) - 1 - remainders[::-1].index(max(remainders))",
        "allocate-ties",
    ),
    Mutant("round every part by itself", "money", "    while spare:\n", "    while False:\n", "ex-allocate-1"),
    # Steps and bounds: ≥ and >
    Mutant(
        "a discount step is passed only beyond it",
        "calcs",
        "line.paid_fen * 10_000 >= line.tag_fen * bp",
        "line.paid_fen * 10_000 > line.tag_fen * bp",
        "ex-plan-steps",
    ),
    Mutant(
        "a least is passed only beyond it",
        "index",
        "self._masks[bisect_right(self._bounds, self._measure(fact))]",
        "self._masks[bisect_left(self._bounds, self._measure(fact))]",
        "discount-equal",
    ),
    Mutant(
        "a tier is reached only beyond it",
        "attainment",
        "(fen == self.from_fen and not self.is_beyond)",
        "False",
        "tier-whole-fixed",
    ),
    Mutant("a tier with gt is reached on it", "attainment", "and not self.is_beyond)", ")", "ex-tier-gt"),
    Mutant(
        "a step enters the next tier",
        "attainment",
        "if fen > tier.from_fen\n",
        "if fen >= tier.from_fen\n",
        "ex-tier-fixed",
    ),
    Mutant("the lowest tier reached", "attainment", "is_reached(fen)]\n", "is_reached(fen)][:1]\n", "ex-tier-whole"),
    # Time
    Mutant(
        "UTC instead of the plan's zone",
        "facts",
        "return moment.astimezone(zone)",
        "return moment.astimezone(UTC).replace(tzinfo=zone)",
        "validity-edges",
    ),
    Mutant(
        "the end of a validity belongs to it",
        "index",
        "self._masks[bisect_right(self._edges, wall)]",
        "self._masks[bisect_left(self._edges, wall)]",
        "validity-edges",
    ),
    # Which rule
    Mutant("low priority first", "plan", "(-rule.priority,", "(rule.priority,", "priority-direction"),
    Mutant("the general rule first", "plan", "-rule.specificity,", "rule.specificity,", "ex-plan-group"),
    Mutant(
        "the later id first",
        "plan",
        "rule.id))\n    modes",
        "tuple(-ord(letter) for letter in rule.id)))\n    modes",
        "priority-direction",
    ),
    Mutant("stop does not end the walk", "plan", "0 if rule.stop else", "0 if False else", "ex-plan-priority"),
    Mutant(
        "stop ends what others began", "plan", "0 if rule.stop else ~", "0 if not rule.stop else ~", "stop-of-loser"
    ),
    Mutant("groups do not exclude", "plan", '~(self.bit if mode == "sum" else rivals)', "~self.bit", "ex-plan-group"),
    # Who, and how much at least and most
    Mutant("the clerk is paid for buying", "facts", " and holder != self.buyer_clerk", "", "self-purchase-two-roles"),
    Mutant(
        "a floor lifts nothing to something",
        "plan",
        "if 0 < pool < self._floor_fen",
        "if 0 <= pool < self._floor_fen",
        "floor-then-cap",
    ),
    Mutant("a cap is forgotten", "plan", "else self._cap_fen\n\n", "else pool\n\n", "cap-of-zero"),
    Mutant(
        "absent roles are given to the others",
        "splits",
        'self._reallocates = missing == "reallocate"',
        "self._reallocates = True",
        "missing-policies",
    ),
    Mutant("the heir does not inherit", "splits", "kept[self._heir] +=", "kept[self._heir] += 0 *", "ex-plan-to-role"),
    # What comes back
    Mutant(
        "each refund rounded by itself",
        "refunds",
        "round_div(fen * before_fen, size) - round_div(fen * after_fen, size)",
        "-round_div(fen * (after_fen - before_fen), size)",
        "ex-plan-refund",
    ),
    Mutant(
        "a refund beyond the line is taken whole",
        "refunds",
        "max(self.back, min(self.size, wanted))",
        "max(self.back, wanted)",
        "refund-beyond",
    ),
    Mutant("a refund counts each time it is told", "batch", "refund.id not in counted", "True", "refund-unknown"),
    Mutant(
        "a refund gives",
        "refunds",
        "return round_div(fen * before_fen, size) - round_div(fen * after_fen, size)",
        "return round_div(fen * after_fen, size) - round_div(fen * before_fen, size)",
        "refund-cumulative",
    ),
    # Payout, draws, actions
    Mutant("the carry is lost", "payout", "due = net_fen + carry_fen", "due = net_fen", "ex-payout"),
    Mutant(
        "a debt is lost",
        "payout",
        "return Payment(paid, due - paid)",
        "return Payment(paid, max(0, due - paid))",
        "payout-edges",
    ),
    Mutant(
        "too little is paid all the same",
        "payout",
        "if paid < min_payout_fen",
        "if paid > min_payout_fen",
        "payout-edges",
    ),
    Mutant("a draw is given, not lent", "payout", "balance_fen + change)", "balance_fen)", "ex-draw"),
    Mutant(
        "a void gives the once-key back",
        "actions",
        "del self._paid[void.of]",
        "del self._paid[void.of]; self._once.clear()",
        "actions-void",
    ),
    Mutant(
        "once per person is once per clerk",
        "actions",
        'values = {"customer": event.customer,',
        'values = {"customer": (event.clerk, event.customer),',
        "actions-once-customer-content-day",
    ),
    Mutant(
        "the cap is one more",
        "actions",
        "paid_today >= rate.daily_cap",
        "paid_today > rate.daily_cap",
        "actions-cap-per-clerk-and-type",
    ),
    Mutant(
        "the window to take back is a day longer",
        "actions",
        "> rate.void_days",
        "> rate.void_days + 1",
        "actions-void-window",
    ),
    Mutant(
        "the window to take back is a day shorter",
        "actions",
        "> rate.void_days",
        ">= rate.void_days",
        "actions-void-window",
    ),
    Mutant(
        "the sleeper must sleep a day longer",
        "actions",
        "event.active_days < (rate",
        "event.active_days <= (rate",
        "ex-actions-dormant",
    ),
    Mutant(
        "the late refund changes the open period",
        "attainment",
        'refund.posted if refund.policy == "current_period" else refund.sale_period',
        "refund.posted",
        "restate-two",
    ),
]


# What a mistake may need that the module does not import.
_IMPORTS = "from bisect import bisect_left  # noqa\nfrom datetime import UTC  # noqa\n"


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Puts a copy of the engine, changed or not, beside the others and imports its cases."""
    monkeypatch.syspath_prepend(tmp_path)
    names = []

    def made(mutant: Mutant | None = None):
        name = f"engine_{len(names)}_of_{tmp_path.name}"
        names.append(name)
        package = tmp_path / name
        shutil.copytree(Path(engine.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
        if mutant:
            path = package / f"{mutant.module}.py"
            code = path.read_text(encoding="utf-8")
            assert code.count(mutant.right) == 1, "the engine has changed: say the mistake anew"
            changed = code.replace(mutant.right, mutant.wrong)
            path.write_text(changed.replace("\nfrom ", f"\n{_IMPORTS}from ", 1), encoding="utf-8")
        return importlib.import_module(f"{name}.cases")

    yield made
    for module in [module for module in sys.modules if module.split(".")[0] in names]:
        del sys.modules[module]


def is_right(cases, case) -> bool:
    try:
        return cases.evaluate(case).ok
    except Exception:  # a mutant may do anything
        return False


def test_a_copy_without_a_mistake_passes_every_case(make):
    copied = make()
    assert copied.__file__ != engine.cases.__file__
    assert [case_id for case_id, case in CASES.items() if not is_right(copied, case)] == []


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "-"))
def test_the_mistake_is_seen(make, mutant):
    assert not is_right(make(mutant), CASES[mutant.killer])
