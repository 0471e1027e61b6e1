from commissions.models.actions import ActionEvent, ActionRate, ActionType
from commissions.models.ledger import BuyerSnapshot, ClaimRow, Entry, Period
from commissions.models.plans import Attainment, AttainmentStep, Plan, PlanVersion, Rule, Share
from commissions.models.settlement import PayoutBatch, PayTerms, Statement

__all__ = [
    "ActionEvent",
    "ActionRate",
    "ActionType",
    "Attainment",
    "AttainmentStep",
    "BuyerSnapshot",
    "ClaimRow",
    "Entry",
    "PayTerms",
    "PayoutBatch",
    "Period",
    "Plan",
    "PlanVersion",
    "Rule",
    "Share",
    "Statement",
]
