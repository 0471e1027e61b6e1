"""Admin pages of members: who they are and what is kept of them, points, tiers; coupons and segments have their own."""

from members.admin import people, points, tiers
from members.coupons import admin as coupons
from members.segments import admin as segments

__all__ = ["coupons", "people", "points", "segments", "tiers"]
