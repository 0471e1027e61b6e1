"""The members' tables: who they are, what they own, what is known of them, and what they allow."""

from members.models.behaviour import Event
from members.models.consent import Consent, Stop
from members.models.coupons import (
    Coupon,
    CouponIssue,
    CouponMove,
    CouponQuota,
    CouponSkip,
    CouponType,
    CouponUse,
)
from members.models.doubts import Doubt
from members.models.imports import MemberImport
from members.models.people import Identity, Member, Membership, Purchase
from members.models.points import PointsAdjustment, PointsEntry, PointsRule
from members.models.profiles import Behind, Profile
from members.models.segments import Segment, SegmentMember, SegmentMove, SegmentSize
from members.models.tags import MemberTag, Tag
from members.models.tiers import Tier, TierMove, TierRule

__all__ = [
    "Behind",
    "Consent",
    "Coupon",
    "CouponIssue",
    "CouponMove",
    "CouponQuota",
    "CouponSkip",
    "CouponType",
    "CouponUse",
    "Doubt",
    "Event",
    "Identity",
    "Member",
    "MemberImport",
    "MemberTag",
    "Membership",
    "PointsAdjustment",
    "PointsEntry",
    "PointsRule",
    "Profile",
    "Purchase",
    "Segment",
    "SegmentMember",
    "SegmentMove",
    "SegmentSize",
    "Stop",
    "Tag",
    "Tier",
    "TierMove",
    "TierRule",
]
