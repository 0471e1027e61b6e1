"""更正资料: a member says that a name, a birthday or a number of theirs is wrong."""

from datetime import date, datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from members import erasure, profiles
from members.models import Identity, Member, Membership
from retail import audit, privacy, told
from retail.models import BuyerKey
from retail.privacy import Known


class Refused(ValueError):
    """It cannot be put right like this; the words are for the person at the screen."""


@transaction.atomic
def correct(
    *,
    member: Member,
    by: Any,
    reason: str,
    now: datetime,
    name: str | None = None,
    born_on: date | None = None,
    phone: str | None = None,
    tail: str = "",
) -> list[str]:
    """Put right what is given; which of it was wrong. `tail`: how the number ends that `phone` stands in the place of.

    The journal keeps which fields changed and why, of numbers those of their rows, and no value. Raises Refused.
    """
    row = Member._base_manager.select_for_update(of=("self",)).get(pk=member.pk)
    whole = erasure.person(row)
    if row.merged_into_id is not None or whole.is_forgotten:
        raise Refused(_("这位会员已并入别人，或者已经抹去，不能更正。"))
    said = [text for text in (name, phone) if text]
    if objection := erasure.tells_who(whole, reason, also=said):
        raise Refused(objection)
    first, last = told.birthdays(now)
    if born_on and not first <= born_on <= last:
        raise Refused(_("没有这样的生日：要是最近 %(years)s 年里的一天。") % {"years": told.OLDEST})
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    changed = [
        field for field, value in (("name", name), ("born_on", born_on)) if value and value != getattr(row, field)
    ]
    for field in changed:
        setattr(row, field, {"name": (name or "")[:64], "born_on": born_on}[field])
    row.save(update_fields=changed)
    if phone:
        before, after = _replace_number(row, phone, tail, now)
        changed += ["phone"] if after else []
    if changed:
        ids = Membership._base_manager.filter(member=row).values_list("pk", flat=True)
        profiles.follow(membership_ids=list(ids), now=now)
        fields = {"fields": changed}
        audit.record(
            by=by, action="member.correct", target=row, now=now, before=before, after=after | fields, reason=reason
        )
    return changed


def _replace_number(member: Member, phone: str, tail: str, now: datetime) -> tuple[dict[str, Any], dict[str, Any]]:
    """The numbers of the rows of the old and the new one; nothing where it was that already.

    The old number is nobody's from then on: whoever buys with it later is somebody new.
    """
    try:
        known = privacy.normalised(Known(BuyerKey.Type.PHONE, "", phone))
        is_possible = privacy.is_possible(known.value)
    except privacy.BadValue:
        is_possible = False
    if not is_possible:
        raise Refused(_("没有这样的手机号：手机 11 位，固话带区号，境外以 + 开头。"))
    (key_id,) = privacy.keep([known]).values()
    owner = Identity._base_manager.filter(key=key_id).values_list("member_id", flat=True).first()
    if owner == member.pk:
        return {}, {}
    if owner is not None:
        raise Refused(_("这个号码是会员 %(number)s 的，请先看看是不是同一个人。") % {"number": owner})
    if privacy.are_suppressed([key_id]):
        raise Refused(_("用过这个号码的顾客要求过抹去资料，不能登记。"))
    phones = Identity._base_manager.filter(member=member, key__type=BuyerKey.Type.PHONE).select_related("key")
    held = [one for one in phones if one.key.masked.endswith(tail)]
    if len(held) > 1 or (tail and not held):
        raise Refused(_("请写明要换掉的号码的后四位。"))
    new = {"key_id": key_id, "source": "correction", "channel": None, "seen_at": now, "verified_at": None}
    if not held:
        Identity._base_manager.create(member=member, **new)
        return {}, {"key": key_id}
    Identity._base_manager.filter(pk=held[0].pk).update(**new)
    return {"key": held[0].key_id}, {"key": key_id}
