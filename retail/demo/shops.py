"""Brands, regions, franchisees, stores, channels and tokens of the demo. Every name is made up."""

import hashlib
from dataclasses import dataclass
from typing import NamedTuple

from members.models import Tier
from retail.models import ApiToken, Brand, Channel, Franchisee, Region, Store, StoreGroup

KINDS = Channel.Kind
_BRANDS = [("XL", "絮澜女装"), ("LY", "砾野运动生活")]
_REGIONS = ["华东", "华南", "华北", "华中", "西南"]
_FRANCHISEES = ["临渚衡禾商贸有限公司", "岭南拓穗服饰有限公司", "蓉溪云栈商业有限公司"]
# Code, name, and the fen of a year that give it.
_TIERS = [("basic", "普卡", 0), ("silver", "银卡", 80_000), ("gold", "金卡", 300_000), ("diamond", "黑钻", 800_000)]


class _Place(NamedTuple):
    brand: int
    region: int
    city: str
    spot: str
    franchisee: int | None = None
    groups: tuple[str, ...] = ()


_PLACES = [
    _Place(0, 0, "杭州", "望潮里", None, ("flagship",)),
    _Place(0, 0, "上海", "栖梧汇", None, ("flagship",)),
    _Place(0, 0, "南京", "云锦坊"),
    _Place(0, 0, "苏州", "荷塘天地"),
    _Place(0, 0, "宁波", "甬帆广场", 0),
    _Place(0, 0, "绍兴", "镜水街", 0),
    _Place(0, 1, "广州", "木棉汇", None, ("flagship",)),
    _Place(0, 1, "深圳", "海纹天地"),
    _Place(0, 1, "佛山", "陶里街", 1),
    _Place(0, 2, "北京", "青槐汇", None, ("flagship",)),
    _Place(0, 2, "天津", "海棠荟"),
    _Place(0, 2, "石家庄", "北辰里", None, ("outlet",)),
    _Place(0, 3, "武汉", "江晴汇"),
    _Place(0, 3, "长沙", "橘洲里"),
    _Place(0, 3, "郑州", "中岳天地", None, ("outlet",)),
    _Place(0, 4, "成都", "锦簇里", None, ("flagship",)),
    _Place(0, 4, "重庆", "叠云坊", 2),
    _Place(0, 4, "昆明", "花朝街", 2),
    _Place(1, 0, "上海", "栖梧汇", None, ("flagship",)),
    _Place(1, 0, "杭州", "望潮里"),
    _Place(1, 0, "温州", "瓯越汇", 0),
    _Place(1, 1, "深圳", "海纹天地", None, ("flagship",)),
    _Place(1, 1, "厦门", "鹭屿里"),
    _Place(1, 1, "东莞", "莞香街", 1),
    _Place(1, 2, "北京", "青槐汇", None, ("flagship",)),
    _Place(1, 2, "青岛", "听潮坊"),
    _Place(1, 2, "济南", "泉语里", None, ("outlet",)),
    _Place(1, 3, "武汉", "江晴汇"),
    _Place(1, 3, "西安", "雁南里"),
    _Place(1, 4, "成都", "锦簇里", 2),
]
_GROUPS = {"flagship": "旗舰店", "outlet": "奥莱店"}


class _Source(NamedTuple):
    """A channel of each brand. `share`: of the brand's orders."""

    kind: str
    code: str
    name: str
    return_days: int
    share: int


SOURCES = [
    _Source(KINDS.POS, "pos", "门店收银", 7, 46),
    _Source(KINDS.MINI_PROGRAM, "mini", "小程序商城", 15, 22),
    _Source(KINDS.TMALL, "tmall", "天猫旗舰店", 15, 14),
    _Source(KINDS.VIDEO_LIVE, "live", "视频号直播", 15, 8),
    _Source(KINDS.DOUYIN, "douyin", "抖音旗舰店", 15, 6),
    _Source(KINDS.JD, "jd", "京东旗舰店", 15, 4),
]
SHARE_OF = {source.kind: source.share for source in SOURCES}


@dataclass(frozen=True, slots=True)
class Shops:
    brands: list[Brand]
    regions: list[Region]
    franchisees: list[Franchisee]
    stores: list[Store]
    stores_of: dict[int, list[Store]]  # of each brand
    channels: list[Channel]
    tiers: dict[int, list[Tier]]  # of each brand, lowest first


def write() -> Shops:
    brands = Brand.objects.bulk_create(
        [
            Brand(pk=pk, code=code, name=name, corp=f"ww-demo-{code.lower()}")
            for pk, (code, name) in enumerate(_BRANDS, start=1)
        ]
    )
    regions = Region.objects.bulk_create(
        [Region(pk=pk, code=f"R{pk}", name=name) for pk, name in enumerate(_REGIONS, start=1)]
    )
    franchisees = Franchisee.objects.bulk_create(
        [Franchisee(pk=pk, code=f"F{pk}", name=name) for pk, name in enumerate(_FRANCHISEES, start=1)]
    )
    stores = Store.objects.bulk_create(
        [
            Store(
                pk=pk,
                code=f"S{pk:02d}",
                name=f"{place.city}{place.spot}{'店' if place.brand == 0 else '运动店'}",
                brand=brands[place.brand],
                region=regions[place.region],
                franchisee=None if place.franchisee is None else franchisees[place.franchisee],
                city=place.city,
            )
            for pk, place in enumerate(_PLACES, start=1)
        ]
    )
    _write_groups(stores)
    stores_of = {brand.pk: [store for store in stores if store.brand_id == brand.pk] for brand in brands}
    return Shops(brands, regions, franchisees, stores, stores_of, _channels(brands), _tiers(brands))


def _write_groups(stores: list[Store]) -> None:
    for code, name in _GROUPS.items():
        group = StoreGroup.objects.create(code=code, name=name)
        group.stores.set([store for store, place in zip(stores, _PLACES, strict=True) if code in place.groups])


def _channels(brands: list[Brand]) -> list[Channel]:
    """A channel of each kind for each brand, with its token, and one token that may read everything."""
    known = [(brand, source) for brand in brands for source in SOURCES]
    channels = Channel.objects.bulk_create(
        [
            Channel(
                pk=pk,
                code=f"{brand.code.lower()}-{source.code}",
                name=f"{brand.name[:2]}{source.name}",
                kind=source.kind,
                brand=brand,
                corp=brand.corp,
                return_days=source.return_days,
            )
            for pk, (brand, source) in enumerate(known, start=1)
        ]
    )
    tokens = [ApiToken(name=one.name, digest=_digest(secret(one.code)), channel=one) for one in channels]
    ApiToken.objects.bulk_create([*tokens, ApiToken(name="演示只读", digest=_digest(secret("read")), can_read=True)])
    return channels


def secret(name: str) -> str:
    """The token of a channel (by its code) or of the reader ("read"). Anybody can compute it: for the demo only."""
    return "demo-" + hashlib.sha256(f"daogou demo token {name}".encode()).hexdigest()[:32]


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _tiers(brands: list[Brand]) -> dict[int, list[Tier]]:
    rows = [
        Tier(pk=4 * (brand.pk - 1) + rank, brand=brand, code=code, name=name, rank=rank, threshold=threshold)
        for brand in brands
        for rank, (code, name, threshold) in enumerate(_TIERS, start=1)
    ]
    Tier.objects.bulk_create(rows)
    return {brand.pk: [tier for tier in rows if tier.brand_id == brand.pk] for brand in brands}
