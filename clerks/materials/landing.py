"""The page behind a link: what was shared, by whom, and how to reach them. It names no customer and shows no number.

A clerk who has left is no more on it; their links go on, with the store's name alone.
"""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet

from clerks.materials import lettering, links, scripts
from clerks.materials.models import Material, MaterialFile, Share
from clerks.models import ContactWay
from retail.models import Employment, Post, Product
from retail.wecom.models import Media

LED_ON = (Material.Kind.PRODUCT, Material.Kind.LIVE)  # whose page may name another one: the shop's, the live room's
MOST_PRODUCTS = 9
_SHARE = ("version", "material__template", "staff", "store__brand", "product")


@dataclass(frozen=True)
class Landing:
    """What the page shows. `clerk`: "" for one who is no longer here; `products`: of a look, which is about several;
    `url`: where it leads on, with the code of the link.
    """

    share: Share
    title: str
    text: str
    product: Product | None
    products: list[Product]
    price_fen: int | None
    tag_fen: int | None
    pictures: list[MaterialFile]
    videos: list[MaterialFile]
    files: list[MaterialFile]
    clerk: str
    has_code: bool
    is_over: bool
    is_begun: bool
    url: str

    @property
    def kind(self) -> str:
        return self.share.material.kind

    @property
    def has_poster(self) -> bool:
        """Without the font none is drawn; then its picture stands there."""
        is_one = self.kind == "poster" and self.share.material.template is not None
        return is_one and not lettering.trouble()

    @property
    def summary(self) -> str:
        """For whoever is shown the link and not the page."""
        return "" if self.is_over else " ".join(self.text.split())[:80]


def share(share_id: int) -> Share:
    return Share._base_manager.select_related(*_SHARE).get(pk=share_id)


def page(*, share_id: int, now: datetime) -> Landing:
    """Six statements, whatever was shared."""
    one = share(share_id)
    version, material = one.version, one.material
    products = [one.product] if one.product else list(material.products.order_by("pk")[:MOST_PRODUCTS])
    product = products[0] if len(products) == 1 else None
    files = list(_files(one).defer("small"))
    is_here = (
        Post.objects.at(now).filter(staff=one.staff_id, staff__employments__in=Employment.objects.at(now)).exists()
    )
    tag_fen = product.tag_fen if product else None
    price_fen = tag_fen if version.price_fen is None else version.price_fen
    clerk = one.staff.name if is_here else ""
    ends_at = material.valid_until
    return Landing(
        share=one,
        title=version.title or material.name,
        text=scripts.for_everybody(
            version.text, clerk=clerk, store=one.store.name, product=product.name if product else ""
        ),
        product=product,
        products=products if len(products) > 1 else [],
        price_fen=price_fen,
        tag_fen=tag_fen if tag_fen is not None and price_fen is not None and tag_fen > price_fen else None,
        pictures=[file for file in files if file.media.kind == Media.Kind.IMAGE],
        videos=[file for file in files if file.media.kind == Media.Kind.VIDEO],
        files=[file for file in files if file.media.kind == Media.Kind.FILE],
        clerk=clerk,
        has_code=is_here and ways(one).exists(),
        is_over=ends_at is not None and ends_at <= now,
        is_begun=version.live_at is not None and version.live_at <= now,
        url=links.elsewhere(version.url, one.code) if material.kind in LED_ON else "",
    )


def _files(one: Share) -> QuerySet[MaterialFile]:
    return MaterialFile._base_manager.filter(version=one.version_id).select_related("media").order_by("place")


def _of(share_id: int, kind: str) -> QuerySet[MaterialFile]:
    version = Share._base_manager.filter(pk=share_id).values("version")
    return MaterialFile._base_manager.filter(version__in=version, media__kind=kind)


def ways(one: Share) -> QuerySet[ContactWay]:
    """The clerk's own code in that brand, if WeCom has drawn it."""
    rows = ContactWay._base_manager.filter(kind=ContactWay.Kind.CLERK, brand=one.brand_id, is_active=True)
    return rows.filter(shifts__staff=one.staff_id).exclude(qr_image=None).order_by("pk")


def code_picture(*, share_id: int, now: datetime) -> bytes | None:
    """The picture of the clerk's code, while they are here."""
    one = share(share_id)
    posts = Post.objects.at(now).filter(staff=one.staff_id, staff__employments__in=Employment.objects.at(now))
    image = ways(one).values_list("qr_image", flat=True).first() if posts.exists() else None
    return bytes(image) if image else None


def file(*, share_id: int, place: int, kind: str) -> tuple[str, bytes] | None:
    """Name and content of one of the files of what was shared, if it is of this kind."""
    rows = _of(share_id, kind).filter(place=place)
    found = rows.values_list("media__name", "media__content__data").first()
    return (found[0], bytes(found[1])) if found else None


def cover(*, share_id: int) -> bytes | None:
    """The first picture, small: what a chat shows beside the link."""
    small = _of(share_id, Media.Kind.IMAGE).order_by("place").values_list("small", flat=True).first()
    return bytes(small) if small else None
