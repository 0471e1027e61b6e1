"""Admin pages of commissions: plans, runs over history, the journal, and what is settled and paid."""

from commissions.admin import journal, plans, runs, settlement

__all__ = ["journal", "plans", "runs", "settlement"]
