"""What clerks know about a customer who is to be forgotten: notices, notes, and the tags of a friend."""

from collections.abc import Collection

from django.utils.translation import gettext as _

from clerks.models import Friend, Note, Notice, TagWish


def forget(*, member_ids: Collection[int]) -> tuple[int, list[str]]:
    """Empty them; how many notices, and the keys of the messages in the app that said the same."""
    friends = Friend._base_manager.filter(member__in=member_ids)
    friends.update(tags=[])
    Note._base_manager.filter(member__in=member_ids).update(text="")
    TagWish._base_manager.filter(friend__in=friends).delete()
    about = Notice._base_manager.filter(friend__in=friends)
    ids = list(about.values_list("pk", flat=True))
    about.update(title=_("（已抹去）"), text="")
    return len(ids), [f"notice:{pk}" for pk in ids]
