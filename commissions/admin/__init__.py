"""Admin pages of commissions: plans, the journal, and what is settled and paid."""

from commissions.admin import actions, journal, plans, settlement

__all__ = ["actions", "journal", "plans", "settlement"]
