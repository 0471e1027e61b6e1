"""The commission engine: pure calculation on plain values, exact to the fen.

It imports nothing of Django, the database or the clock; whoever calls it brings the facts. Amounts are int
fen, rates int ppm. A sale goes through it in this order: `parse_rule` and `compile_plan` once per plan
version, `price` for each order, `reversal` for each refund, `explain` for whoever asks why.
"""

from . import actions, attainment, cases, facts, lint, money, payout, pricing, refunds, rules, splits
from .document import Document, DocumentError
from .facts import Line, Order
from .money import allocate
from .plan import CompiledPlan, compile_plan
from .pricing import REASONS, Award, LineTrace, Loss, Win, explain, judge, price
from .refunds import Returned, reversal
from .rules import PlanError, Rule, parse_rule, parse_rules
from .splits import HOUSE, Part, Share

__all__ = [
    "HOUSE",
    "REASONS",
    "Award",
    "CompiledPlan",
    "Document",
    "DocumentError",
    "Line",
    "LineTrace",
    "Loss",
    "Order",
    "Part",
    "PlanError",
    "Returned",
    "Rule",
    "Share",
    "Win",
    "actions",
    "allocate",
    "attainment",
    "cases",
    "compile_plan",
    "explain",
    "facts",
    "judge",
    "lint",
    "money",
    "parse_rule",
    "parse_rules",
    "payout",
    "price",
    "pricing",
    "refunds",
    "reversal",
    "rules",
    "splits",
]
