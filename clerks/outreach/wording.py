"""What a welcome may say: the placeholders there are, and how long WeCom lets it be once they are filled.

WeCom counts bytes of UTF-8: a Chinese character is three, an emoji four or more. What fits with a short name need not
with a long one, so a text is measured with the longest names it can come to hold.
"""

import re
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager

from django.conf import settings
from django.db.models import QuerySet
from django.utils import translation
from django.utils.translation import gettext as _

from clerks.materials import words as cards
from clerks.models import Welcome, WelcomePart
from retail.models import Staff, Store

MOST_BYTES = cards.MOST_BYTES
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
KNOWN = ("clerk", "store", "brand")
# Kind of attachment → field → most bytes.
_LINK = cards.CARD_BYTES["link"]
PART_BYTES = {
    "link": {"title": _LINK["title"], "about": _LINK["text"]},
    "miniprogram": cards.CARD_BYTES["miniprogram"],
}


def for_others() -> AbstractContextManager[None]:
    """Within it words are in the language of the house, whatever the browser of the one who causes them asks for."""
    return translation.override(settings.LANGUAGE_CODE)


def fill(text: str, names: Mapping[str, str]) -> str:
    """The text with names in the places of its placeholders, each looked at once: a name may hold braces."""
    return _PLACEHOLDER.sub(lambda found: names.get(found[1], found[0]), text)


def cut(text: str) -> str:
    """As much of the text as WeCom takes, no character in two; what was measured before needs no cutting."""
    return text.encode()[:MOST_BYTES].decode(errors="ignore")


def within(text: str, most: int) -> str:
    """The text, or as much of it as fits into so many bytes with dots behind it."""
    if len(text.encode()) <= most:
        return text
    return text.encode()[: most - 3].decode(errors="ignore") + "…"


def problems(welcome: Welcome) -> list[str]:
    """Why WeCom or a customer would not take this text, in sentences; none where they would."""
    found = [
        _("不认识 {%(name)s}：只能写 {clerk}、{store}、{brand}。") % {"name": name} for name in unknown(welcome.text)
    ]
    too_long = size(welcome) - MOST_BYTES
    if too_long > 0:
        words = _("太长了：填上最长的名字后超出 %(bytes)s 字节，大约要删 %(letters)s 个汉字（表情更占地方）。")
        found.append(words % {"bytes": too_long, "letters": -(-too_long // 3)})
    return found


def unknown(text: str) -> list[str]:
    """Placeholders that nothing would be put in the place of."""
    return list(dict.fromkeys(name for name in _PLACEHOLDER.findall(text) if name not in KNOWN))


def size(welcome: Welcome) -> int:
    """Bytes of the text with the longest names of those it may be sent for."""
    return len(fill(welcome.text, _longest(welcome)).encode())


def _longest(welcome: Welcome) -> dict[str, str]:
    stores = Store._base_manager.filter(brand=welcome.brand_id)
    stores = stores.filter(pk=welcome.store_id) if welcome.store_id else stores
    staff = Staff._base_manager.filter(posts__store__in=stores, posts__ends_at=None)
    staff = Staff._base_manager.filter(pk=welcome.staff_id) if welcome.staff_id else staff
    return {"clerk": _of(staff), "store": _of(stores), "brand": welcome.brand.name}


def _of(rows: QuerySet) -> str:
    names: Iterable[str] = rows.values_list("name", flat=True).distinct()
    return max(names, key=lambda name: len(name.encode()), default="")


def part_problems(part: WelcomePart) -> dict[str, str]:
    """Field of an attachment → why WeCom would not take it."""
    words = _("最多 %(bytes)s 字节（约 %(letters)s 个汉字），现在 %(size)s。")
    found = {}
    for field, most in PART_BYTES.get(part.kind, {}).items():
        if (size := len(getattr(part, field).encode())) > most:
            found[field] = words % {"bytes": most, "letters": most // 3, "size": size}
    return found
