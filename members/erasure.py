"""抹去会员: a person asks to be forgotten. Here is who may be, and what the members' room holds of them.

What the other rooms hold, and the order in which it all goes: `retail.erasure`.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from members import behaviour, consent, tags
from members.models import Identity, Member, Membership, PointsAdjustment, Stop, TierMove
from retail import approvals, privacy
from retail.models import BuyerKey, Employment, Staff

KIND = "member.erase"


_SAID = ~Q(name="") | Q(born_on__isnull=False)


class Person(NamedTuple):
    """Everything that is one person by now: a member with those merged into it, and the keys they are known by."""

    member: Member
    member_ids: tuple[int, ...]
    key_ids: tuple[int, ...]

    @property
    def keys(self) -> list[BuyerKey]:
        """Those that still say something."""
        return list(BuyerKey.objects.filter(pk__in=self.key_ids, cipher__isnull=False).order_by("pk"))

    @property
    def is_forgotten(self) -> bool:
        named = Member._base_manager.filter(_SAID, pk__in=self.member_ids)
        return not self.keys and not named.exists()


def person(member: Member) -> Person:
    while member.merged_into is not None:
        member = member.merged_into
    ids, newest = [member.pk], [member.pk]
    while newest:
        newest = list(Member._base_manager.filter(merged_into__in=newest).values_list("pk", flat=True))
        ids += newest
    keys = Identity._base_manager.filter(member__in=ids).values_list("key_id", flat=True)
    return Person(member, tuple(ids), tuple(sorted(keys)))


def ask(*, member: Member, by: Any, reason: str, now: datetime) -> approvals.Approval:
    """Put the erasure of a member before a second person. Raises approvals.Refused."""
    whole = person(member)
    if objection := why_not(whole, now=now) or tells_who(whole, reason):
        raise approvals.Refused(objection)
    name = _("会员 %(number)s") % {"number": whole.member.pk}
    gone = _("称呼、号码和企业微信消息抹去，不能恢复；订单和佣金保留，但看不出是谁的；所有品牌都不再联系")
    said = {"by": by, "needs": "members.erase_member", "reason": reason, "now": now, "after": {name: gone}}
    return approvals.ask(kind=KIND, target=whole.member, payload={}, **said)


def why_not(whole: Person, *, now: datetime) -> str:
    """Why this person cannot be erased, in words; "" when they can."""
    if whole.is_forgotten:
        return _("这位会员已经抹去了。")
    employed = Staff._base_manager.filter(employments__in=Employment.objects.at(now), phone_key__in=whole.key_ids)
    if one := employed.first():
        return _("其中的手机号也是在职员工 %(staff)s 的，请先在员工页换掉。") % {"staff": one}
    return ""


def tells_who(whole: Person, reason: str, *, also: Sequence[str] = ()) -> str:
    """Why a reason cannot be kept, in words; "" when it can: the journal never forgets what stands in it.

    `also`: what else it must not say, besides names and numbers of the person.
    """
    if not reason.strip():
        return _("请写明原因。")
    names = Member._base_manager.filter(pk__in=whole.member_ids).exclude(name="").values_list("name", flat=True)
    told = [*names, *map(privacy.reveal, whole.keys), *also]
    if any(text in reason for text in told):
        return _("原因会一直留在操作记录里，请不要写姓名和号码。")
    return ""


@transaction.atomic
def forget(*, whole: Person, by: Any, reason: str, now: datetime) -> int:
    """Take names, birthdays, every identity and what was written about them; how many identities.

    What they did is nobody's from then on. Memberships, purchases, relations and what they allowed stay, unnamed; what
    is left of them is left alone, by every brand.
    """
    theirs = {"membership__member__in": whole.member_ids}
    PointsAdjustment._base_manager.filter(**theirs).update(reason="")
    TierMove._base_manager.filter(**theirs).exclude(reason="").update(reason="")
    tags.forget(member_ids=whole.member_ids, now=now)
    Member._base_manager.filter(_SAID, pk__in=whole.member_ids).update(name="", born_on=None)
    corps = set(Membership._base_manager.filter(member__in=whole.member_ids).values_list("brand__corp", flat=True))
    for corp in sorted(corps):
        consent.stop(member=whole.member, corp=corp, by=by, now=now, said=reason)
    consent.stop(member=whole.member, corp="", purpose=Stop.Purpose.PROFILING, by=by, now=now, said=reason)
    behaviour.forget_about(member_ids=whole.member_ids, key_ids=whole.key_ids)
    return sum(privacy.erase(key_id=key_id, by=by, reason=reason, now=now) for key_id in whole.key_ids)
