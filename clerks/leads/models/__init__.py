"""How likely each customer is to buy, and the leads that follow from it."""

from clerks.leads.models.intent import IntentModel, Score
from clerks.leads.models.leads import Holdout, Lead, LeadPolicy, LeadRun

__all__ = ["Holdout", "IntentModel", "Lead", "LeadPolicy", "LeadRun", "Score"]
