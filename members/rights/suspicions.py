"""Somebody of ours thinks that two members are one person, whatever their keys say."""

from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from members import erasure
from members.models import Doubt, Member
from retail import audit

_State = Doubt.State


class Refused(ValueError):
    """These two are no question; the words are for the person at the screen."""


@transaction.atomic
def suspect(*, member: Member, other: int, by: Any, reason: str, now: datetime) -> Doubt:
    """Put two members side by side, to be decided on like any other doubt (`clerks.oneid.decide`).

    What was decided of the two before is open again. Raises Refused.
    """
    rows = Member.objects.in_bulk([member.pk, other])
    if objection := _why_not(rows, member.pk, other, reason):
        raise Refused(objection)
    found = {"evidence": {"keys": [], "source": "hand", "rule": ""}, "found_at": now}
    row, is_new = Doubt._base_manager.get_or_create(one_id=min(rows), other_id=max(rows), defaults=found)
    if is_new or row.state in (_State.APART, _State.MERGED):
        row.state, row.decided_by, row.decided_at = _State.OPEN, None, None
        row.save(update_fields=["state", "decided_by", "decided_at"])
        after = {"one": row.one_id, "other": row.other_id}
        audit.record(by=by, action="doubt.raise", target=row, now=now, after=after, reason=reason)
    return row


def _why_not(rows: dict[int, Member], one: int, other: int, reason: str) -> str:
    if one == other:
        return _("这是同一位会员。")
    for pk in (one, other):
        if pk not in rows:
            return _("没有会员 %(number)s。") % {"number": pk}
        if into := rows[pk].merged_into_id:
            return _("会员 %(number)s 已经并入会员 %(into)s。") % {"number": pk, "into": into}
    said = (erasure.tells_who(erasure.person(row), reason) for row in rows.values())
    return next(filter(None, said), "")
