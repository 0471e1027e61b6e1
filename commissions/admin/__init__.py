"""Admin pages of commissions: plans and their parts, runs over history, the journal, and what is settled and paid."""

from commissions.admin import actions, attained, journal, payouts, plans, rules, runs, settlement

__all__ = ["actions", "attained", "journal", "payouts", "plans", "rules", "runs", "settlement"]
