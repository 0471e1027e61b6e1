"""A few words a clerk can send with one tap, until there is a library of them.

Their titles are for the clerk, in the language of the clerk's browser; the words are for the customer.
"""

from typing import NamedTuple

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from clerks.leads.models import Lead
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


# Type of lead → what to say first.
_OPENINGS = {
    Lead.Kind.ASKED: gettext_lazy("%(name)s！刚看到您的消息，您问的我马上帮您查，请稍等。"),
    Lead.Kind.UNPAID: gettext_lazy("%(name)s！您选的%(what)s还没有付款，货先给您留着，有什么问题可以问我。"),
    Lead.Kind.CART: gettext_lazy("%(name)s！您看的%(what)s我们还有货，尺码拿不准的话告诉我平时穿多大，我帮您看。"),
    Lead.Kind.STOCK: gettext_lazy("%(name)s！您之前看的%(what)s有好消息，要不要我先给您留一件？"),
    Lead.Kind.VIEWED: gettext_lazy("%(name)s！您看的%(what)s店里有样，想看上身效果我拍给您。"),
    Lead.Kind.EXPIRING: gettext_lazy("%(name)s！提醒您一声，您有优惠快到期了，用不用我帮您挑件合适的？"),
    Lead.Kind.DATE: gettext_lazy("%(name)s！日子快到了，先祝您开心。有空来%(store)s坐坐，给您准备了一份小心意。"),
    Lead.Kind.AFTER_SALE: gettext_lazy("%(name)s！%(what)s穿着合适吗？有不合适的地方告诉我，我来帮您处理。"),
    Lead.Kind.LIKELY: gettext_lazy("%(name)s！店里到了一批新款，有几件很像您平时的风格，发给您看看？"),
    Lead.Kind.DORMANT: gettext_lazy("%(name)s！好久没见您了，最近有几件适合您的，要不要我发给您看看？"),
    Lead.Kind.LIVE: gettext_lazy("%(name)s！直播里看的那几件店里都有，想试哪件我先给您留着。"),
}


def of_lead(*, post: Post, name: str, lead: Lead) -> str:
    """What to say first to the customer of a lead."""
    with wording.for_others():
        what = _("“%(what)s”") % {"what": lead.product.name} if lead.product else _("东西")
        said = {"name": _("%(name)s，您好") % {"name": name} if name else _("您好"), "what": what}
        return str(_OPENINGS[Lead.Kind(lead.kind)]) % {**said, "store": post.store.name}
