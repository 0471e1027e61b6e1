from commissions.models.actions import ActionEvent, ActionRate, ActionType
from commissions.models.attained import Attained, CountMark, Target
from commissions.models.companies import CompanyAccount, CompanyLeg
from commissions.models.disputes import Dispute, DisputeStep
from commissions.models.ledger import BuyerSnapshot, ClaimRow, Entry, PayCycle, Period
from commissions.models.plans import Attainment, AttainmentStep, Plan, PlanCase, PlanVersion, Rule, Share
from commissions.models.runs import Run, RunFigure
from commissions.models.settlement import Guarantee, Payout, PayoutBatch, PayTerms, Statement

__all__ = [
    "ActionEvent",
    "ActionRate",
    "ActionType",
    "Attained",
    "Attainment",
    "AttainmentStep",
    "BuyerSnapshot",
    "ClaimRow",
    "CompanyAccount",
    "CompanyLeg",
    "CountMark",
    "Dispute",
    "DisputeStep",
    "Entry",
    "Guarantee",
    "PayCycle",
    "PayTerms",
    "Payout",
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
