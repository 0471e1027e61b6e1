"""What a material may say: the variables there are, and how long WeCom lets it be once they are filled.

WeCom counts bytes of UTF-8. What fits with a short name need not with a long one, so a text is measured with the
longest names of the brand that it can come to hold.
"""

import re
from collections.abc import Iterable, Mapping

from members.models import CouponType
from retail.models import Brand, Product, Staff, Store

MOST_BYTES = 4000
LONGEST_CUSTOMER = chr(0x5BA2) * 20  # 客: three bytes, as nearly every character of a Chinese name
KNOWN = ("customer", "clerk", "store", "product", "coupon")
# Kind → field → most bytes, of what becomes a card in the chat; the page below a link is WeCom's `desc`.
CARD_BYTES: dict[str, dict[str, int]] = {
    **{kind: {"title": 128, "text": 512} for kind in ("link", "product", "live")},
    "miniprogram": {"title": 64},
}
_VARIABLE = re.compile(r"\{([^{}]*)\}")


def fill(text: str, names: Mapping[str, str]) -> str:
    """The text with names in the places of its variables, each looked at once: a name may hold braces."""
    return _VARIABLE.sub(lambda found: names.get(found[1], found[0]), text)


def used(text: str) -> list[str]:
    """The variables in a text, each once, as they come."""
    return list(dict.fromkeys(_VARIABLE.findall(text)))


def unknown(text: str) -> list[str]:
    """Variables that nothing would be put in the place of."""
    return [name for name in used(text) if name not in KNOWN]


def size(text: str, *, brand: Brand, products: Iterable[str] = ()) -> int:
    """Bytes of the text with the longest names of the brand. `products`: the names it is about, if of some."""
    return len(fill(text, _longest(text, brand, list(products))).encode())


def _longest(text: str, brand: Brand, products: list[str]) -> dict[str, str]:
    wanted, of_brand = used(text), {"brand": brand.pk}
    posted = Staff._base_manager.filter(posts__store__brand=brand.pk)
    found = {
        "clerk": lambda: posted.values_list("name", flat=True).distinct(),
        "store": lambda: Store._base_manager.filter(**of_brand).values_list("name", flat=True),
        "coupon": lambda: CouponType._base_manager.filter(**of_brand).values_list("name", flat=True),
        "product": lambda: products or Product._base_manager.filter(**of_brand).values_list("name", flat=True),
    }
    names = {name: _most_bytes(rows()) for name, rows in found.items() if name in wanted}
    return {"customer": LONGEST_CUSTOMER, **names}


def _most_bytes(names: Iterable[str]) -> str:
    return max(names, key=lambda name: len(name.encode()), default="")
