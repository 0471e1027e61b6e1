"""按号码找会员: somebody writes or rings and gives their number; a person at headquarters finds whose it is.

Numbers are not searched for letter by letter: it takes the whole one and a reason, counts like looking at one, and is
written down whether somebody was found or not.
"""

from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from members import identity
from members.models import Member
from retail import privacy
from retail.models import BuyerKey
from retail.privacy import Known


class Refused(ValueError):
    """Not like this; the words are for the person at the screen."""


@transaction.atomic
def find(*, phone: str, by: Any, reason: str, now: datetime) -> Member | None:
    """Whose number this is by now, among those whom `by` may see. Raises Refused."""
    try:
        known = privacy.normalised(Known(BuyerKey.Type.PHONE, "", phone))
    except privacy.BadValue:
        raise Refused(_("请填完整的手机号。")) from None
    found = Member.objects.filter(pk=identity.member_of(known) or 0).first()
    try:
        privacy.spend_look(
            by=by,
            action=privacy.FIND,
            target=found or Member,
            after={"type": known.type, "found": found is not None},
            reason=reason,
            now=now,
        )
    except (privacy.NoReason, privacy.QuotaUsed) as error:
        raise Refused(str(error)) from None
    return found
