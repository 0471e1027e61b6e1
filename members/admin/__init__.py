"""Admin pages of members: who they are, points, tiers; coupons and segments have rooms of their own."""

from members.admin import people, points, tiers
from members.coupons import admin as coupons
from members.coupons import issue_pages
from members.rights import stop_pages
from members.segments import admin as segments

__all__ = ["coupons", "issue_pages", "people", "points", "segments", "stop_pages", "tiers"]
