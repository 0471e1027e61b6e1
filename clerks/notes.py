"""备注: what people of a store write about a customer for each other. It moves with them and goes with them."""

from collections.abc import Collection
from datetime import datetime

from django.utils.translation import gettext_lazy as _

from clerks.models import Note
from retail import privacy
from retail.models import Post
from retail.org import Held

LONGEST = 500


class BadNote(ValueError):
    """This cannot be kept; the words are for who wrote it."""


def write(*, post: Post, member_id: int, text: str, now: datetime) -> Note:
    """The caller has made sure that the writer may see this customer. Raises BadNote.

    A whole number is kept masked: what everybody may read must not undo the masks of the house.
    """
    said = privacy.without_numbers(" ".join(text.replace("\x00", "").split()))
    if not said:
        raise BadNote(_("请先写几个字。"))
    if len(said) > LONGEST:
        raise BadNote(_("备注最多 %(count)s 个字。") % {"count": LONGEST})
    assert post.store is not None
    given = {"brand_id": post.store.brand_id, "staff_id": post.staff_id, "store_id": post.store_id}
    return Note._base_manager.create(**given, member_id=member_id, text=said, created_at=now)


def delete(*, post: Post, member_id: int, note_id: int, now: datetime) -> bool:
    """Take one's own note away, words and all; whether it was there."""
    own = Note._base_manager.filter(pk=note_id, member=member_id, staff=post.staff_id, deleted_at=None)
    return bool(own.update(text="", deleted_at=now))


def hand_over(*, brand_id: int, member_ids: Collection[int], to: Held, now: datetime) -> int:
    """These customers are somebody else's: what was noted about them is read in the store of theirs. How many."""
    assert to.store_id is not None
    kept = Note._base_manager.filter(brand=brand_id, member__in=member_ids, deleted_at=None)
    return kept.exclude(store=to.store_id).update(store=to.store_id)
