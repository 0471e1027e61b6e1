"""券: how coupons come to members, are used by orders, given back, end, and what became of them all.

    a segment (issuing) ┐                         ┌ a code an order names (using)
    a clerk's quota     ┼─▶ issued ──▶ redeemed ◀─┘   full refund or corrected order: back to where it was
    codes (claiming) ───┘   (giving)   expired, void (ending)

Issuing is under the lock of the type, so that no limit is passed. Using is under the lock of the coupon and concluded
from all facts each time: whatever order they come in, the same order has redeemed the coupon in the end.
"""

from members.coupons.claiming import claim
from members.coupons.ending import expire, void
from members.coupons.giving import Refused, givable, give, of_member, take_codes
from members.coupons.using import GIVEN_BACK, LOOKED_BACK, Change, look_again, redeem_many, take_back_many

__all__ = [
    "GIVEN_BACK",
    "LOOKED_BACK",
    "Change",
    "Refused",
    "claim",
    "expire",
    "givable",
    "give",
    "look_again",
    "of_member",
    "redeem_many",
    "take_back_many",
    "take_codes",
    "void",
]
