from commissions.models.ledger import BuyerSnapshot, ClaimRow, Entry, Period
from commissions.models.plans import Attainment, AttainmentStep, Plan, PlanVersion, Rule, Share

__all__ = [
    "Attainment",
    "AttainmentStep",
    "BuyerSnapshot",
    "ClaimRow",
    "Entry",
    "Period",
    "Plan",
    "PlanVersion",
    "Rule",
    "Share",
]
