"""The library of the demo: some forty materials of each brand with pictures of their goods, two templates of posters.

Operations wrote them, finance approved most of them; some wait, came back, are over or come next week.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from clerks.materials import pictures
from clerks.materials.models import Material, MaterialCategory, MaterialFile, MaterialVersion, PosterTemplate
from retail.demo import drawings, logins, sayings, seasons
from retail.demo.sayings import Saying
from retail.models import Brand, Product, User
from retail.wecom.models import Media, MediaContent

STATE = MaterialVersion.State
FILM = Path(__file__).with_name("film.mp4")  # two pieces of goods, three seconds each
_SLOGANS = {"XL": "每一天，都好好穿", "LY": "走出去，动起来"}
_PICTURED = ("product", "pictures", "link", "miniprogram", "live", "poster")
_PAGES = {"link": "https://example.com/{brand}/{place}", "live": "https://example.com/{brand}/live/{place}"}
_OLD, _REASON = "请把价格改成会员价，再发一次。", "returned"


class Library(NamedTuple):
    """What can be sent of a brand: versions in force, by the number of the brand."""

    sendable: dict[int, list[MaterialVersion]]


class _People(NamedTuple):
    author: User
    approver: User


def write(*, brands: Iterable[Brand], now: datetime) -> Library:
    people = _People(*(User.objects.get(username=one.username) for one in (logins.HQ_OPS, logins.HQ_FINANCE)))
    return Library({brand.pk: _of_brand(brand, people, seasons.midnight(now)) for brand in brands})


def _of_brand(brand: Brand, people: _People, today: datetime) -> list[MaterialVersion]:
    shelves = _shelves(brand, today)
    templates = _templates(brand)
    goods = _goods(brand)
    told = list(enumerate(sayings.of(brand.code)))
    materials = [_material(brand, one, place, shelves, templates, today) for place, one in told]
    Material.objects.bulk_create(materials)
    through: Any = Material.products.through
    through.objects.bulk_create(
        through(material=row, product=goods[code])
        for row, (_, one) in zip(materials, told, strict=True)
        for code in one.goods
    )
    return _versions(brand, list(zip(materials, (one for _, one in told), strict=True)), goods, people, today)


def _shelves(brand: Brand, today: datetime) -> dict[str, MaterialCategory]:
    names = sayings.CATEGORIES[brand.code]
    rows = [MaterialCategory(brand=brand, name=name, place=place) for place, name in enumerate(names)]
    return {row.name: row for row in MaterialCategory.objects.bulk_create(rows)}


def _goods(brand: Brand) -> dict[str, Product]:
    """The first style of each category."""
    rows = Product.objects.filter(brand=brand).order_by("category", "-pk").select_related("category")
    return {row.category.code: row for row in rows}


def _material(
    brand: Brand,
    one: Saying,
    place: int,
    shelves: dict[str, MaterialCategory],
    templates: list[PosterTemplate],
    today: datetime,
) -> Material:
    return Material(
        brand=brand,
        kind=one.kind,
        name=one.name,
        category=shelves[one.category],
        scene=one.scene,
        labels=["本周主推"] if one.about == "pinned" else [],
        template=templates[place % len(templates)] if one.kind == "poster" else None,
        is_pinned=one.about == "pinned",
        valid_until=today - timedelta(days=3) if one.about == "expired" else None,
        made_at=today - timedelta(days=45 + place % 20, hours=-10),
    )


# ── Versions ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def _versions(
    brand: Brand, told: list[tuple[Material, Saying]], goods: dict[str, Product], people: _People, today: datetime
) -> list[MaterialVersion]:
    """First drafts with their files, for what is approved takes none; then approved, sent back or left."""
    rows = [_draft(brand, row, one, goods, people, today) for row, one in told]
    MaterialVersion.objects.bulk_create(rows)
    _files(brand, list(zip(rows, (one for _, one in told), strict=True)), goods, today)
    for row, (_, one) in zip(rows, told, strict=True):
        _decide(row, one, people, today)
    MaterialVersion.objects.bulk_update(rows, ["state", "decided_by", "decided_at", "reason", "live_from"])
    second = [_second(row, people, today) for row in rows[:3]]
    MaterialVersion.objects.bulk_create(second)
    usable = zip(rows, told, strict=True)
    return [
        row for row, (_, one) in usable if row.state == STATE.APPROVED and one.about not in ("expired", "scheduled")
    ]


def _draft(
    brand: Brand, row: Material, one: Saying, goods: dict[str, Product], people: _People, today: datetime
) -> MaterialVersion:
    first = goods[one.goods[0]] if one.goods else None
    page = _PAGES.get(one.kind, "").format(brand=brand.code.lower(), place=row.pk)
    return MaterialVersion(
        material=row,
        number=1,
        title="" if one.kind == "text" else _style(first) if first and one.kind in ("product", "poster") else one.name,
        text=one.text,
        url=page,
        appid="wx5d2e8c0a7f914b63" if one.kind == "miniprogram" else "",
        page="pages/list/index" if one.kind == "miniprogram" else "",
        price_fen=_price(first) if first and one.kind in ("product", "poster") else None,
        live_at=_live(one, today),
        made_by=people.author,
        made_at=row.made_at,
    )


def _style(product: Product) -> str:
    """收腰连衣裙 米白, without the size."""
    return " ".join(product.name.split()[:2])


def _price(product: Product) -> int | None:
    """A fifth below the tag, in whole yuan that end with 9."""
    return (product.tag_fen * 8 // 10 // 1000 * 10 - 1) * 100 if product.tag_fen else None


def _live(one: Saying, today: datetime) -> datetime | None:
    if one.kind != "live":
        return None
    return today + timedelta(days=-5 if one.about == "expired" else (4 - today.weekday()) % 7 or 7, hours=20)


def _decide(row: MaterialVersion, one: Saying, people: _People, today: datetime) -> None:
    if one.about in ("draft", "waiting"):
        row.state = one.about
        return
    row.state = STATE.RETURNED if one.about == "returned" else STATE.APPROVED
    row.reason = _OLD if one.about == _REASON else ""
    row.decided_by, row.decided_at = people.approver, row.made_at + timedelta(hours=5)
    row.live_from = today + timedelta(days=5, hours=9) if one.about == "scheduled" else None


def _second(row: MaterialVersion, people: _People, today: datetime) -> MaterialVersion:
    """A change of what is approved that waits for somebody."""
    at = today - timedelta(hours=7)
    return MaterialVersion(
        material=row.material,
        number=2,
        state=STATE.WAITING,
        text=f"{row.text}期待您来。",
        made_by=people.author,
        made_at=at,
    )


# ── Files ────────────────────────────────────────────────────────────────────────────────────────────────────────────
_KINDS = {"pdf": Media.Kind.FILE, "mp4": Media.Kind.VIDEO}


class _File(NamedTuple):
    version: MaterialVersion
    place: int
    name: str
    data: bytes
    drawn: pictures.Picture | None


def _files(brand: Brand, told: list[tuple[MaterialVersion, Saying]], goods: dict[str, Product], at: datetime) -> None:
    files = [file for version, one in told for file in _of_version(brand, version, one, goods)]
    media = Media.objects.bulk_create(
        Media(
            corp_id=brand.corp,
            kind=Media.Kind.IMAGE if file.drawn else _KINDS[file.name.rpartition(".")[2]],
            name=file.name,
            size=len(file.data),
            made_at=at - timedelta(days=40),
        )
        for file in files
    )
    MediaContent.objects.bulk_create(
        MediaContent(media=row, data=file.data) for row, file in zip(media, files, strict=True)
    )
    MaterialFile.objects.bulk_create(
        MaterialFile(
            version=file.version,
            place=file.place,
            media=row,
            width=file.drawn.width if file.drawn else None,
            height=file.drawn.height if file.drawn else None,
            small=file.drawn.small if file.drawn else b"",
        )
        for row, file in zip(media, files, strict=True)
    )


def _of_version(brand: Brand, version: MaterialVersion, one: Saying, goods: dict[str, Product]) -> list[_File]:
    if one.kind == "file":
        (code,) = one.goods
        return [_File(version, 0, f"{one.name}.pdf", drawings.chart(one.name, sayings.SIZES[code]), None)]
    if one.kind == "video":
        return [_File(version, 0, f"{brand.code}-{version.pk}.mp4", FILM.read_bytes(), None)]
    if one.kind not in _PICTURED:
        return []
    found = []
    for place, code in enumerate(one.goods if one.kind == "pictures" else one.goods[:1]):
        named = ("", "") if one.kind == "poster" else (_style(goods[code]), brand.name)  # a poster says it itself
        drawn = _picture(sayings.SHAPES[code], list(sayings.SHAPES).index(code), *named)
        found.append(_File(version, place, f"{brand.code}-{version.pk}-{place}.jpg", drawn.data, drawn))
    return found


@cache
def _picture(shape: str, palette: int, name: str, brand: str) -> pictures.Picture:
    whole = drawings.picture(shape, palette, name, brand)  # our own: it need not be drawn anew
    return pictures.Picture(whole, drawings.smaller(whole), drawings.WIDTH, drawings.HEIGHT)


# ── Posters ──────────────────────────────────────────────────────────────────────────────────────────────────────────
_TALL: list[dict[str, Any]] = [
    {"kind": "picture", "x": 75, "y": 165, "w": 600, "h": 700},
    {"kind": "title", "x": 75, "y": 885, "w": 600, "h": 70, "size": 46, "bold": True},
    {"kind": "body", "x": 75, "y": 958, "w": 600, "h": 70, "size": 26, "color": "#6b6b6b"},
    {"kind": "price", "x": 75, "y": 1036, "w": 370, "h": 80, "size": 60, "color": "#b5452f", "bold": True},
    {"kind": "clerk", "x": 75, "y": 1136, "w": 370, "h": 50, "size": 32, "bold": True},
    {"kind": "store", "x": 75, "y": 1186, "w": 370, "h": 44, "size": 26, "color": "#6b6b6b"},
    {
        "kind": "text",
        "x": 470,
        "y": 1238,
        "w": 210,
        "h": 36,
        "size": 20,
        "align": "center",
        "text": "长按识别，找我看货",
    },
    {"kind": "code", "x": 475, "y": 1036, "w": 200, "h": 200},
]
_WIDE: list[dict[str, Any]] = [
    {"kind": "picture", "x": 40, "y": 150, "w": 670, "h": 760},
    {"kind": "title", "x": 70, "y": 980, "w": 380, "h": 110, "size": 42, "bold": True},
    {"kind": "price", "x": 70, "y": 1094, "w": 380, "h": 76, "size": 54, "color": "#b5452f", "bold": True},
    {"kind": "text", "x": 70, "y": 1178, "w": 380, "h": 36, "size": 22, "color": "#8a8a8a", "text": "您的专属导购"},
    {"kind": "clerk", "x": 70, "y": 1210, "w": 150, "h": 46, "size": 30, "bold": True},
    {"kind": "store", "x": 226, "y": 1210, "w": 240, "h": 46, "size": 24, "color": "#6b6b6b"},
    {"kind": "code", "x": 475, "y": 1000, "w": 205, "h": 205},
    {"kind": "text", "x": 475, "y": 1215, "w": 205, "h": 36, "size": 20, "align": "center", "text": "扫一扫，看详情"},
]


def _templates(brand: Brand) -> list[PosterTemplate]:
    first = {"XL": 0, "LY": 1}[brand.code]
    made = [("新品竖版", _TALL, first, False), ("简约大图", _WIDE, first + 2, True)]
    return PosterTemplate.objects.bulk_create(
        PosterTemplate(
            brand=brand,
            name=name,
            background=drawings.background(palette, _SLOGANS[brand.code], brand.name, is_wide=is_wide),
            width=750,
            height=1334,
            areas=areas,
        )
        for name, areas, palette, is_wide in made
    )
