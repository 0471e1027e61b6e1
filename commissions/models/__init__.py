from commissions.models.attained import Attained, CountMark, Target
from commissions.models.ledger import BuyerSnapshot, ClaimRow, Entry, Period
from commissions.models.plans import Attainment, AttainmentStep, Plan, PlanCase, PlanVersion, Rule, Share
from commissions.models.runs import Run, RunFigure
from commissions.models.settlement import Guarantee, PayoutBatch, PayTerms, Statement

__all__ = [
    "Attained",
    "Attainment",
    "AttainmentStep",
    "BuyerSnapshot",
    "ClaimRow",
    "CountMark",
    "Entry",
    "Guarantee",
    "PayTerms",
    "PayoutBatch",
    "Period",
    "Plan",
    "PlanCase",
    "PlanVersion",
    "Rule",
    "Run",
    "RunFigure",
    "Share",
    "Statement",
    "Target",
]
