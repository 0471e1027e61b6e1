"""The admin pages that join several rooms; importing this registers them. A room's own are in its admin.py."""

from retail import erasure  # noqa: F401  carries out what two persons agree to on the page of a member
from retail.desk import consents, files, journal, orders, people

__all__ = ["consents", "files", "journal", "orders", "people"]
