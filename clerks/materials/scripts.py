"""话术: words with the names of this moment in them, and the quick replies a clerk writes for themselves.

    "{customer}，您的{coupon}快到期了。" ──fill, for one customer──▶ "王女士，您的满300减50券快到期了。"

Where a name is missing the sentence stays one that can be said:

- no {customer}: with the comma behind it, it goes; inside a sentence it is 您
- no {product}: 这款商品, without the quotation marks around it
- no {coupon}: the sentence ends before the part that speaks of it; if nothing else is said, it is 优惠

A quick reply is a material of one clerk's own. Nobody approves it and nobody else sees it.
"""

import re
from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from django.conf import settings
from django.db import connection, transaction
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from clerks.materials import library
from clerks.materials.models import Material, MaterialVersion, Scene
from members.models import Coupon
from retail.models import Post

KNOWN = ("customer", "clerk", "store", "product", "coupon")
# What a clerk reads and writes in their places.
WORDS = {
    "customer": gettext_lazy("顾客称呼"),
    "clerk": gettext_lazy("我的名字"),
    "store": gettext_lazy("门店"),
    "product": gettext_lazy("商品"),
    "coupon": gettext_lazy("优惠券"),
}
MOST_OWN = 50
MOST_NAME, MOST_TEXT = 20, 500  # letters of a quick reply
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_END, _COMMA, _PAUSE = r"\u3002\uff01\uff1f!?\n", r"\uff0c,", r"\u3001\uff1a:\uff01!"  # of a sentence, of a part
_STOP, _COMMA_SIGNS = chr(0x3002), {chr(0xFF0C), ","}
_SENTENCE = re.compile(rf"[^{_END}]*[{_END}]*")
# Somebody is called by their name: at the end of a sentence behind a comma, or at the beginning of one or of a part.
_YOU = r"\u60a8"
_CALLED = (
    re.compile(rf"[{_COMMA}][ \t]*\{{customer\}}(?=[{_END}]|$)"),
    re.compile(
        rf"(?:(?<=[{_END}{_COMMA}])|^)[ \t]*\{{customer\}}(?:[ \t]*[{_COMMA}{_PAUSE}]+[ \t]*|(?=[ \t]*{_YOU}))"
    ),
)
_QUOTED = re.compile(r"[\u201c\"\u300c\u300e]\{product\}[\u201d\"\u300d\u300f]")


class Names(NamedTuple):
    """What stands in the places of the placeholders; "" where it is not known."""

    customer: str = ""
    clerk: str = ""
    store: str = ""
    product: str = ""
    coupon: str = ""


# ── Filled in ────────────────────────────────────────────────────────────────────────────────────────────────────────
def names_for(*, post: Post, customer: str, product: str = "", coupon: str = "") -> Names:
    assert post.store is not None
    return Names(customer, post.staff.name, post.store.name, product, coupon)


def fill(text: str, names: Names) -> str:
    """The text as the customer reads it. A name may hold braces: each place is looked at once."""
    with translation.override(settings.LANGUAGE_CODE):  # for the customer, whatever the clerk's browser asks for
        instead = {"customer": _("您"), "product": _("这款商品"), "coupon": _("优惠")}
    given = names._asdict()
    text = _without_coupon(text) if not names.coupon else text
    for called in _CALLED if not names.customer else ():
        text = called.sub("", text)
    text = _QUOTED.sub("{product}", text) if not names.product else text
    said = {name: given[name] or instead.get(name, "") for name in KNOWN}
    return _PLACEHOLDER.sub(lambda found: said.get(found[1], found[0]), text).strip()


def for_everybody(text: str, *, clerk: str, store: str, product: str) -> str:
    """As pages and posters show it, which may be forwarded: they name the clerk, and never a customer or a coupon."""
    return fill(text, Names(clerk=clerk, store=store, product=product))


def _without_coupon(text: str) -> str:
    """What is said besides; all of it where that is nothing."""
    rest = "".join(_before_coupon(one) for one in _SENTENCE.findall(text))
    return rest if _letters(rest) else text


def _before_coupon(sentence: str) -> str:
    """A sentence up to the part that speaks of a coupon; "" if until then somebody is called by their name at most."""
    head, coupon, rest = sentence.partition("{coupon}")
    if not coupon:
        return sentence
    before = head[: max(head.rfind(comma) for comma in _COMMA_SIGNS)] if _COMMA_SIGNS & set(head) else ""
    end = _STOP if re.search(rf"[{_END}]", rest.replace("\n", "")) else ""  # no question any more
    return before + end + "\n" * rest.count("\n") if _letters(before) else ""


def _letters(text: str) -> str:
    return re.sub(rf"\{{customer\}}|[{_END}{_COMMA}{_PAUSE}\s]", "", text)


def unknown(text: str) -> list[str]:
    """Placeholders that nothing would be put in the place of."""
    return list(dict.fromkeys(name for name in _PLACEHOLDER.findall(text) if name not in KNOWN))


def as_written(text: str) -> str:
    """With the placeholders in the clerk's words: {顾客称呼} for {customer}."""
    return _PLACEHOLDER.sub(lambda found: f"{{{WORDS.get(found[1], found[1])}}}", text)


def as_kept(text: str) -> str:
    """The other way round. What is no word of ours stays as it is."""
    names = {str(word): name for name, word in WORDS.items()}
    return _PLACEHOLDER.sub(lambda found: f"{{{names.get(found[1].strip(), found[1])}}}", text)


def coupons(*, brand_id: int, member_ids: Collection[int], store_id: int | None, now: datetime) -> dict[int, str]:
    """Of each member the coupon that ends first: of this store's giving, or the house's. One statement."""
    rows = Coupon._base_manager.filter(
        membership__brand=brand_id, membership__member__in=member_ids, state=Coupon.State.ISSUED
    )
    rows = rows.filter(Q(store=None) | Q(store=store_id), valid_from__lte=now, valid_until__gt=now)
    rows = rows.order_by("membership__member", "valid_until", "pk").distinct("membership__member")
    return dict(rows.values_list("membership__member", "type__name"))


def of_scenes(*, post: Post, scenes: Collection[str], now: datetime) -> dict[str, tuple[Material, str]]:
    """For each scene the script of the library to offer first, with its words unfilled. One statement."""
    rows = library.sendable(post=post, now=now).filter(kind=Material.Kind.TEXT, scene__in=scenes, owner=None)
    rows = rows.filter(products=None).order_by("scene", "-is_pinned", "-pk").distinct("scene")
    return {row.scene: (row, words) for row, words in _with_words(rows)}


def _with_words(rows: QuerySet[Material]) -> list[tuple[Material, str]]:
    """Each with the text of its version in force."""
    text = MaterialVersion._base_manager.filter(pk=OuterRef("live_id")).values("text")
    return [(row, row.words) for row in rows.annotate(words=Subquery(text))]


# ── Quick replies ────────────────────────────────────────────────────────────────────────────────────────────────────
class Refused(ValueError):
    """It cannot be kept; the words are for the clerk."""


def own(*, post: Post, now: datetime) -> list[tuple[Material, str]]:
    """The clerk's own quick replies with their words, newest first. One statement."""
    rows = library.sendable(post=post, now=now).filter(owner=post.staff_id)
    return _with_words(rows.order_by("-pk"))


@transaction.atomic
def keep(*, post: Post, name: str, text: str, now: datetime, material: Material | None = None) -> Material:
    """Write a quick reply, or (`material`) write it anew; live at once. Raises Refused."""
    assert post.store is not None
    name, text = " ".join(name.split()), as_kept(text.strip())
    _check(name, text)
    _alone(post.staff_id)
    if material is None:
        mine = Material._base_manager.filter(owner=post.staff_id, brand=post.store.brand_id, is_active=True)
        if mine.count() >= MOST_OWN:
            raise Refused(_("快捷回复最多 %(count)s 条，先删掉不用的。") % {"count": MOST_OWN})
        kind, scene = Material.Kind.TEXT, Scene.DAILY
        given = {"brand_id": post.store.brand_id, "kind": kind, "scene": scene, "owner_id": post.staff_id}
        material = Material._base_manager.create(name=name, made_at=now, **given)
    Material._base_manager.filter(pk=material.pk).update(name=name)
    _say(material, text, post, now)
    return material


def _check(name: str, text: str) -> None:
    if not name or not text:
        raise Refused(_("名称和内容都要写。"))
    if "\x00" in name + text:
        raise Refused(_("有不能用的字符，请删掉再存。"))
    if len(name) > MOST_NAME:
        raise Refused(_("名称最多 %(most)s 个字，现在 %(size)s 个。") % {"most": MOST_NAME, "size": len(name)})
    if len(text) > MOST_TEXT:
        raise Refused(_("内容最多 %(most)s 个字，现在 %(size)s 个。") % {"most": MOST_TEXT, "size": len(text)})
    if strange := unknown(text):
        known = _("、").join(f"{{{word}}}" for word in WORDS.values())
        raise Refused(_("不认识 {%(name)s}：只能写 %(known)s。") % {"name": strange[0], "known": known})


def _say(material: Material, text: str, post: Post, now: datetime) -> None:
    """One more version, approved by nobody. What was said before stays with the shares that were made of it."""
    last = material.versions(manager="_base_manager").order_by("-number").first()
    if last is not None and last.text == text:
        return
    said = {"state": MaterialVersion.State.APPROVED, "text": text, "made_by_id": post.staff.user_id, "made_at": now}
    number = last.number + 1 if last else 1
    MaterialVersion._base_manager.create(material=material, number=number, **said)


def drop(*, post: Post, material: Material) -> None:
    """Out of sight for good; shares made of it keep what they said."""
    Material._base_manager.filter(pk=material.pk, owner=post.staff_id).update(is_active=False)


def _alone(staff_id: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('quick replies', %s))", [staff_id])
