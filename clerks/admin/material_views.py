"""How a material looks to whom it is sent: drawn for the editor, the page of a version, and while somebody types.

For who decides also what the picture does not tell: addresses, whom it is for, and whether WeCom holds its files.
"""

import base64
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

from django.conf import settings
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from clerks.materials import posters, words
from clerks.materials.models import Material, MaterialFile, MaterialVersion
from members.models import CouponType
from retail.models import Product, Staff, Store
from retail.templatetags.figures import yuan
from retail.wecom import media


class Shown(NamedTuple):
    """A version with names in the places of its variables. `poster`: its address as data, else why there is none."""

    kind: str
    title: str
    text: str
    version: MaterialVersion
    files: list[MaterialFile]
    size: int
    most: int
    poster: str = ""
    trouble: str = ""


def preview(
    version: MaterialVersion, files: list[MaterialFile] | None = None, product: Product | None = None
) -> SafeString:
    """What the customer will see. `files`, `product`: others than those that are kept."""
    return render_to_string("admin/materials/material/preview.html", {"shown": _shown(version, files, product)})


def _shown(version: MaterialVersion, files: list[MaterialFile] | None, product: Product | None) -> Shown:
    material = version.material
    product = product or (material.products.order_by("pk").first() if material.pk else None)
    names = _names(material, product)
    title = words.fill(version.title, names) or names["product"] or material.name
    given = list(version.files.select_related("media").order_by("place")) if files is None else files
    size = words.size(version.text, brand=material.brand) if material.brand_id else 0
    most = words.CARD_BYTES.get(material.kind, {}).get("text", words.MOST_BYTES)
    shown = Shown(material.kind, title, words.fill(version.text, names), version, given, size, most)
    return shown._replace(**_poster(shown, product, names)) if material.kind == Material.Kind.POSTER else shown


def _names(material: Material, product: Product | None) -> dict[str, str]:
    """Of somebody and something of the brand, so that one sees how it reads."""
    of_brand = {"brand": material.brand_id}
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


def _poster(shown: Shown, product: Product | None, names: dict[str, str]) -> dict[str, str]:
    template = shown.version.material.template
    if template is None:
        return {"trouble": _("先选一个海报模板。")}
    photo = next((file.media_id for file in shown.files if file.width), None)
    of = posters.Trial(template, shown.version, product, photo, names["clerk"], names["store"])
    try:
        data = posters.trial(of=of, now=timezone.now(), origin=settings.SITE_URL)
    except posters.Undrawable as error:
        return {"trouble": str(error)}
    return {"poster": f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"}


# ── For who decides ──────────────────────────────────────────────────────────────────────────────────────────────────
class Fact(NamedTuple):
    label: str
    said: str


def facts(version: MaterialVersion) -> list[Fact]:
    """What a version says and whom its material is for, without what is empty."""
    return [Fact(str(label), said) for label, said in (*_of_version(version), *_of_material(version.material)) if said]


def _of_version(version: MaterialVersion) -> Iterator[tuple[Any, str]]:
    for name in ("title", "url", "appid", "page", "price_fen", "live_at", "live_from"):
        label, value = MaterialVersion._meta.get_field(name).verbose_name, getattr(version, name)
        if name == "price_fen":
            yield _("价格"), "" if value is None else f"¥{yuan(value)}"
        else:
            yield label, _minute(value) if isinstance(value, datetime) else value


def _of_material(material: Material) -> Iterator[tuple[Any, str]]:
    label = {field.name: field.verbose_name for field in (*Material._meta.fields, *Material._meta.many_to_many)}
    yield label["template"], str(material.template or "")
    for name in ("products", "stores", "regions"):
        yield label[name], _several(getattr(material, name).all())
    yield label["grades"], _several(material.grades)
    for name in ("valid_from", "valid_until"):
        at = getattr(material, name)
        yield label[name], _minute(at) if at else ""


def _several(rows: Iterable[Any]) -> str:
    """The first ten, and how many there are."""
    names = [str(row) for row in rows]
    said = _("、").join(names[:10])
    return _("%(names)s 等 %(count)s 个") % {"names": said, "count": len(names)} if len(names) > 10 else said


def _minute(at: datetime) -> str:
    return f"{timezone.localtime(at):%Y-%m-%d %H:%M}"


# ── What WeCom holds ─────────────────────────────────────────────────────────────────────────────────────────────────
class Held(NamedTuple):
    """A file, and in words how it stands with WeCom; "" where WeCom is not to have it."""

    file: MaterialFile
    wecom: str = ""
    is_wrong: bool = False


def held(version: MaterialVersion | None) -> list[Held]:
    rows = version.files.select_related("media").order_by("place") if version else ()
    return [_held(row, timezone.now()) for row in rows]


def _held(row: MaterialFile, now: datetime) -> Held:
    one = row.media
    if not one.is_active:
        return Held(row)
    if one.trouble:
        return Held(row, one.trouble, is_wrong=True)
    if one.uploaded_at is not None and media.usable(one, now=now):
        again = _minute(one.uploaded_at + media.LIFE - media.AHEAD)
        return Held(row, _("企业微信已收下，%(again)s 自动续传") % {"again": again})
    return Held(row, _("正在传给企业微信"))
