"""What holds for everything that people of ours do by hand to the standing of a member."""

from typing import Any

from django.utils.translation import gettext as _

from members import erasure
from members.models import Membership
from retail.models import Staff


def objection(*, membership: Membership, reason: str, by: Any) -> str:
    """Why this must not be done so, in words; "" when it may.

    Not to oneself, nor to who was merged into somebody else, and for a reason that names nobody.
    """
    if into := membership.member.merged_into_id:
        return _("会员 %(number)s 已经并入会员 %(into)s。") % {"number": membership.member_id, "into": into}
    own = Staff._base_manager.filter(user=by, phone_key__identity__member=membership.member)
    if by is not None and own.exists():
        return _("这是您自己的会员，要由别人来做。")
    return erasure.tells_who(erasure.person(membership.member), reason)
