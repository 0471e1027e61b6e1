"""The admin pages that join several rooms; importing this registers them. A room's own are in its admin.py."""

from retail import dossier, erasure  # noqa: F401  carry out what two persons agree to on the page of a member
from retail.desk import consents, files, journal, member_lists, orders, people

__all__ = ["consents", "files", "journal", "member_lists", "orders", "people"]
