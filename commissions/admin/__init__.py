"""Admin pages of commissions: plans and what they are made of, the journal, and what is settled and paid."""

from commissions.admin import journal, plans, rules, settlement

__all__ = ["journal", "plans", "rules", "settlement"]
