"""Admin pages of commissions: plans, the journal, and what is settled and paid."""

from commissions.admin import journal, plans, settlement

__all__ = ["journal", "plans", "settlement"]
