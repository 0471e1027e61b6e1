from commissions.models.ledger import BuyerSnapshot, ClaimRow, Entry, Period
from commissions.models.plans import Attainment, AttainmentStep, Plan, PlanCase, PlanVersion, Rule, Share
from commissions.models.runs import Run, RunFigure
from commissions.models.settlement import PayoutBatch, PayTerms, Statement

__all__ = [
    "Attainment",
    "AttainmentStep",
    "BuyerSnapshot",
    "ClaimRow",
    "Entry",
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
]
