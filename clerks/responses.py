"""回应: a customer opened what a clerk had sent; what that brings.

    a page was opened ──job share_opened──▶ `opened` ─┬─▶ 专属导购: who was nobody's is the clerk's, others stay longer
        └─ a row (materials.Opening)                  └─▶ 互动奖励 (CPR): the clerk is paid as the plan says
             └─▶ leads of who opened twice · the share clerk of a later order · 素材效果

Told once or four times, in whichever order, it comes to the same. It leaves no trace of a customer who asked to be
forgotten. Who wants nothing worked out of them still is whose customer they are, and the clerk is paid for what they
did; only no lead is made of it (`leads.sieve`).
"""

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from clerks import binding, book, rewards
from clerks.materials.models import Share
from commissions.actions import Action
from commissions.models.actions import ActionType
from members import identity
from members.models import Identity


@transaction.atomic
def opened(*, share_id: int, member_id: int, at: datetime, now: datetime) -> bool:
    """A member opened a link at that moment. False: it was the clerk themselves, or somebody to be forgotten.

    A member who was merged into another meanwhile is that one. The same link on the same day is one opening.
    """
    share = Share._base_manager.select_related("brand", "staff").get(pk=share_id)
    person = identity.persons([member_id]).get(member_id, (member_id,))
    if _is_sender(share, person) or identity.asked_to_be_forgotten(person[0]):
        return False
    binding.claim_by_link(
        brand=share.brand, member_id=person[0], staff_id=share.staff_id, link=str(share.pk), at=at, now=now
    )
    rewards.of_openings(opened=[_action(share, member_id, person[0], at)], now=now)
    book.refresh(member_ids=[person[0]], now=now)
    return True


def _action(share: Share, told_of: int, member_id: int, at: datetime) -> Action:
    """Known by the number the customer was told by: told once more after a merge it is the same."""
    return Action(
        number=f"opened:{share.pk}:{told_of}:{timezone.localtime(at):%Y%m%d}",
        type=ActionType.OPENED,
        brand_id=share.brand_id,
        staff_id=share.staff_id,
        store_id=share.store_id,
        at=at,
        customer=member_id,
        content=str(share.material_id),
    )


def _is_sender(share: Share, person: tuple[int, ...]) -> bool:
    """Clerks buy here, too, and look at their own links."""
    key_id = share.staff.phone_key_id
    return key_id is not None and Identity._base_manager.filter(key=key_id, member__in=person).exists()
