"""The pages of the admin that join several rooms; importing this registers them. Those of one room are in its admin.py."""

from retail.desk import orders, people

__all__ = ["orders", "people"]
