"""会员资料: a person wants to have all that is held about them. Who may ask for it; what it is: retail.dossier."""

from datetime import datetime

from django.utils.translation import gettext as _

from members import erasure
from members.models import Member
from retail import exports
from retail.models import ExportFile, Post, User

FORMAT = ExportFile.Format.ZIP


def ask(*, member: Member, by: User, post: Post | None, reason: str, now: datetime) -> ExportFile:
    """Put the file of one person before a second one. Raises exports.Refused."""
    if objection := erasure.tells_who(erasure.person(member), reason):
        raise exports.Refused(objection)
    name = _("会员 %(number)s") % {"number": member.pk}
    words = {name: str(_("本人要求的全部资料：称呼、完整号码、订单、同意、行为、标签、备注"))}
    return exports.ask(
        model=Member,
        ids=[member.pk],
        format=FORMAT,
        filter=name,
        words=words,
        by=by,
        post=post,
        reason=reason,
        now=now,
    )
