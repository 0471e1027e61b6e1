"""A few words a clerk can send with one tap, until there is a library of them.

Their titles are for the clerk, in the language of the clerk's browser; the words are for the customer.
"""

from typing import NamedTuple

from django.utils.translation import gettext as _

from clerks.outreach import wording
from retail.models import Post


class Script(NamedTuple):
    title: str
    text: str


def of(*, post: Post, name: str) -> list[Script]:
    """Scripts for a customer called `name` ("" for one who has not said)."""
    titles = (_("打个招呼"), _("买后关心"), _("邀请到店"))
    with wording.for_others():
        said = {"name": _("%(name)s，您好") % {"name": name} if name else _("您好"), "store": post.store.name}
        said["clerk"] = post.staff.name
        texts = (
            _("%(name)s！我是%(store)s的%(clerk)s，以后挑衣服、查尺码都可以直接找我。") % said,
            _("%(name)s！上次带回去的衣服穿着合身吗？有不合适的地方告诉我，我来帮您处理。") % said,
            _("%(name)s！店里到了一批新款，给您留了几件合适的，这周有空来%(store)s试试吗？") % said,
        )
    return [Script(title, text) for title, text in zip(titles, texts, strict=True)]
