"""How likely each customer is to buy, and the leads that follow from it."""

from clerks.leads.models.intent import IntentModel, Score

__all__ = ["IntentModel", "Score"]
