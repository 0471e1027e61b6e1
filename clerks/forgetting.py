"""What clerks know about a customer who is to be forgotten: notices, notes, what they asked, the tags of a friend."""

from collections.abc import Collection

from django.db.models import Q
from django.utils.translation import gettext as _

from clerks.models import Friend, HelpRequest, Note, Notice, TagWish


def forget(*, member_ids: Collection[int]) -> tuple[int, list[str]]:
    """Empty them; how many notices, and the keys of the messages in the app that said the same."""
    friends = Friend._base_manager.filter(member__in=member_ids)
    friends.update(tags=[])
    Note._base_manager.filter(member__in=member_ids).update(text="")
    TagWish._base_manager.filter(friend__in=friends).delete()
    asked = HelpRequest._base_manager.filter(member__in=member_ids)
    asked.update(text=_("（已抹去）"), word="", answer="")
    numbers = [str(pk) for pk in asked.values_list("pk", flat=True)]
    of_help = Q(about_type=HelpRequest._meta.label_lower, about_id__in=numbers)
    about = Notice._base_manager.filter(Q(friend__in=friends) | of_help)
    ids = list(about.values_list("pk", flat=True))
    about.update(title=_("（已抹去）"), text="")
    return len(ids), [f"notice:{pk}" for pk in ids]
