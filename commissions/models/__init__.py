from commissions.models.companies import CompanyAccount, CompanyLeg
from commissions.models.disputes import Dispute, DisputeStep
from commissions.models.ledger import BuyerSnapshot, ClaimRow, Entry, PayCycle, Period
from commissions.models.plans import Attainment, AttainmentStep, Plan, PlanVersion, Rule, Share
from commissions.models.settlement import Payout, PayoutBatch, PayTerms, Statement

__all__ = [
    "Attainment",
    "AttainmentStep",
    "BuyerSnapshot",
    "ClaimRow",
    "CompanyAccount",
    "CompanyLeg",
    "Dispute",
    "DisputeStep",
    "Entry",
    "PayCycle",
    "PayTerms",
    "Payout",
    "PayoutBatch",
    "Period",
    "Plan",
    "PlanVersion",
    "Rule",
    "Share",
    "Statement",
]
