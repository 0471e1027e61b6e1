"""A few words a clerk can send with one tap: those of the library, and where it has none, built-in ones.

Their titles are for the clerk, in the language of the clerk's browser; the words are for the customer.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from clerks.leads.cards import Card
from clerks.leads.models import Lead
from clerks.materials import scripts as library
from clerks.materials import suggest
from clerks.materials.models import Scene
from clerks.outreach import wording
from retail.models import Post


class Script(NamedTuple):
    """`material`: of the library, by id; what is sent of it is counted there."""

    title: str
    text: str
    material: int = 0


OCCASIONS = (Scene.GREETING, Scene.AFTER_SALE, Scene.NEW)


def of(*, post: Post, name: str, coupon: str = "", now: datetime) -> list[Script]:
    """Scripts for a customer called `name` ("" for one who has not said). One statement."""
    names = library.names_for(post=post, customer=name, coupon=coupon)
    found = library.of_scenes(post=post, scenes=OCCASIONS, now=now)
    made = []
    for scene, built_in in zip(OCCASIONS, _built_in(post, name), strict=True):
        material, text = found.get(scene, (None, ""))
        made.append(Script(material.name, library.fill(text, names), material.pk) if material else built_in)
    return made


def _built_in(post: Post, name: str) -> list[Script]:
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


class Advice(NamedTuple):
    """A lead with what to say first, and what to send with it (配一份素材), if the library has something."""

    card: Card
    script: Script
    material: suggest.Found | None


def advise(*, post: Post, cards: Sequence[Card], now: datetime) -> list[Advice]:
    """For a whole board, in two statements."""
    if not cards:
        return []
    wants = [suggest.Want(card.head.kind, card.head.product_id) for card in cards]
    found = suggest.for_leads(post=post, wants=set(wants), now=now)
    of = {"brand_id": post.store.brand_id, "store_id": post.store_id}
    coupons = library.coupons(**of, member_ids=[card.head.member_id for card in cards], now=now)
    made = []
    for card, want in zip(cards, wants, strict=True):
        coupon = coupons.get(card.head.member_id, "")
        made.append(Advice(card, _of_lead(post, card, found[want].script, coupon), found[want].material))
    return made


def _of_lead(post: Post, card: Card, found: suggest.Found | None, coupon: str) -> Script:
    """What to say first to the customer of a lead."""
    lead, title = card.head, str(Lead.Kind(card.head.kind).label)
    if found is not None:
        product = lead.product.name if lead.product else ""
        names = library.names_for(post=post, customer=card.name, product=product, coupon=coupon)
        return Script(title, library.fill(found.text, names), found.id)
    with wording.for_others():
        what = _("“%(what)s”") % {"what": lead.product.name} if lead.product else _("东西")
        name = _("%(name)s，您好") % {"name": card.name} if card.name else _("您好")
        said = {"name": name, "what": what, "store": post.store.name}
        return Script(title, str(_OPENINGS[Lead.Kind(lead.kind)]) % said)
