"""The admin pages that join several rooms; importing this registers them. A room's own are in its admin.py."""

from retail.desk import consents, orders, people

__all__ = ["consents", "orders", "people"]
