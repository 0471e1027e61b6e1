"""Admin pages of commissions: plans, the journal, and what is settled and paid."""

from commissions.admin import attained, journal, plans, settlement

__all__ = ["attained", "journal", "plans", "settlement"]
