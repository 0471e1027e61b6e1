"""How a material looks to whom it is sent: drawn for the editor, the page of a version, and while somebody types."""

from typing import NamedTuple

from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from clerks.materials import words
from clerks.materials.models import Material, MaterialFile, MaterialVersion
from members.models import CouponType
from retail.models import Staff, Store


class Shown(NamedTuple):
    """A version with names in the places of its variables."""

    kind: str
    title: str
    text: str
    version: MaterialVersion
    files: list[MaterialFile]
    size: int
    most: int


def preview(version: MaterialVersion, files: list[MaterialFile] | None = None) -> SafeString:
    """What the customer will see. `files`: others than those the version has."""
    return render_to_string("admin/materials/material/preview.html", {"shown": _shown(version, files)})


def _shown(version: MaterialVersion, files: list[MaterialFile] | None) -> Shown:
    material = version.material
    names = _names(material)
    title = words.fill(version.title, names) or names["product"] or material.name
    given = list(version.files.select_related("media").order_by("place")) if files is None else files
    size = words.size(version.text, brand=material.brand) if material.brand_id else 0
    most = words.CARD_BYTES.get(material.kind, {}).get("text", words.MOST_BYTES)
    return Shown(material.kind, title, words.fill(version.text, names), version, given, size, most)


def _names(material: Material) -> dict[str, str]:
    """Of somebody and something of the brand, so that one sees how it reads."""
    of_brand = {"brand": material.brand_id}
    product = material.products.order_by("pk").first() if material.pk else None
    store = Store._base_manager.filter(**of_brand).order_by("pk").first()
    staff = Staff._base_manager.filter(posts__store=store, posts__role="clerk").order_by("pk").first()
    coupon = CouponType._base_manager.filter(**of_brand).order_by("pk").first()
    return {
        "customer": _("王女士"),
        "clerk": staff.name if staff else _("导购"),
        "store": store.name if store else _("门店"),
        "product": product.name if product else "",
        "coupon": coupon.name if coupon else _("优惠券"),
    }


def thumbnail(file_id: int | None) -> SafeString | str:
    """A small picture for a list."""
    if file_id is None:
        return "–"
    address = f"{reverse('clerks:material_file', args=[file_id])}?small=1"
    return format_html('<img class="material-thumb" src="{}" alt="" loading="lazy">', address)
