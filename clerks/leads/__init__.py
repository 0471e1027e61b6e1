"""销售线索: which customers to speak to today, with a reason, and proof that it helps (docs/leads.md)."""
