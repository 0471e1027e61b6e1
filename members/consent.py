"""同意: whether a member may be contacted. Do-not-contact is per corp, channel and purpose."""

from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import Q

from members import identity
from members.models import Member, Stop
from retail import audit


def allows(*, member_id: int, corp: str, channel: str, purpose: str) -> bool:
    """Whether nothing forbids it at this moment. To be asked right before anything is sent."""
    fits = Q(channel__in=["", channel]) & Q(purpose__in=["", purpose])
    person = identity.persons([member_id]).get(member_id, (member_id,))
    return not Stop._base_manager.filter(fits, member__in=person, corp=corp, lifted_at=None).exists()


@transaction.atomic
def stop(*, member: Member, corp: str, channel: str = "", purpose: str = "", by: Any, now: datetime) -> Stop:
    """The member does not want this any more ("" = any channel, any purpose). Idempotent."""
    _alone(member.pk)
    wish = {"member": member, "corp": corp, "channel": channel, "purpose": purpose}
    row = Stop._base_manager.filter(**wish, lifted_at=None).first()
    if row is None:
        row = Stop._base_manager.create(**wish, at=now)
        audit.record(by=by, action="stop", target=member, now=now, after={"channel": channel, "purpose": purpose})
    return row


@transaction.atomic
def lift(*, stop: Stop, by: Any, now: datetime) -> None:
    """The member has said that it may be done again."""
    _alone(stop.member_id)
    if Stop._base_manager.filter(pk=stop.pk, lifted_at=None).update(lifted_at=now):
        audit.record(by=by, action="stop.lift", target=stop.member, now=now)


def _alone(member_id: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('consent', %s))", [member_id])
