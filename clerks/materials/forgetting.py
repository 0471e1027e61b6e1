"""What openings tell of a customer who is to be forgotten: it was nobody who opened, at nobody's browser."""

from collections.abc import Collection

from clerks.materials import viewers
from clerks.materials.models import Opening, Share, Visitor


def forget(*, member_ids: Collection[int], key_ids: Collection[int] = ()) -> int:
    """How many openings are nobody's from now on. To whom a link was sent is not said any more either."""
    Share._base_manager.filter(member__in=member_ids).update(member=None)
    Visitor._base_manager.filter(member__in=member_ids).update(member=None, known_at=None)
    theirs = Opening._base_manager.filter(member__in=member_ids).update(member=None, visitor=None)
    unknown = [viewers.of_buyer(key_id) for key_id in key_ids]  # told of before anybody knew whose the key was
    return theirs + Opening._base_manager.filter(visitor__in=unknown, member=None).update(visitor=None)
