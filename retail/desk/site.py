"""The admin pages that join several rooms; importing this registers them. A room's own are in its admin.py."""

from retail.desk import consents, journal, orders, people

__all__ = ["consents", "journal", "orders", "people"]
