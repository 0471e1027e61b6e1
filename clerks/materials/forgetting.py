"""What openings tell of a customer who is to be forgotten: it was nobody who opened, at nobody's browser."""

from collections.abc import Collection

from clerks.materials.models import Opening, Share, Visitor


def forget(*, member_ids: Collection[int]) -> int:
    """How many openings are nobody's from now on. To whom a link was sent is not said any more either."""
    Share._base_manager.filter(member__in=member_ids).update(member=None)
    Visitor._base_manager.filter(member__in=member_ids).update(member=None, known_at=None)
    return Opening._base_manager.filter(member__in=member_ids).update(member=None, visitor=None)
