"""The catalogue: two brands, two dozen categories, styles in colours and sizes, named as a shop would name them."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import accumulate, count, cycle
from random import Random
from typing import NamedTuple

from retail.demo import copying
from retail.models import Brand, Category, Product

_SIZES = ("S", "M", "L", "XL")
_SHOES = ("36", "37", "38", "39", "40", "41", "42", "43")
_ONE = ("均码",)
_COLOURS = "米白 燕麦 雾蓝 墨绿 藏青 炭黑 浅灰 藕粉 焦糖 酒红 鼠尾草绿 奶咖".split()


class Kind(NamedTuple):
    """One category. `yuan`: the range of tag prices; `share`: of the brand's sales; `warmth`: 1 sells in winter, -1 in
    summer, 0 all year; `cost_ppm`: of the tag price.
    """

    code: str
    name: str
    nouns: str
    words: str
    yuan: tuple[int, int]
    sizes: tuple[str, ...]
    share: int
    warmth: int
    cost_ppm: int = 280_000


# Brand code → categories.
KINDS: dict[str, list[Kind]] = {
    "XL": [
        Kind("dress", "连衣裙", "连衣裙 衬衫裙 吊带裙 茶歇裙", "收腰 印花 亚麻 醋酸 针织 法式", (399, 1299), _SIZES, 16, -1),
        Kind("shirt", "衬衫", "衬衫 短款衬衫 飘带衬衫", "垂感 真丝 纯棉 条纹 天丝", (259, 799), _SIZES, 11, 0),
        Kind("tee", "T恤", "T恤 打底衫 短袖T恤", "新疆棉 修身 宽松 莫代尔 圆领", (129, 329), _SIZES, 13, -1),
        Kind("knit", "针织衫", "针织开衫 套头毛衫 针织背心", "羊毛 美利奴 绞花 半高领 羊绒混纺", (299, 1099), _SIZES, 12, 1),
        Kind("skirt", "半身裙", "半身裙 百褶裙 A字裙 鱼尾裙", "高腰 缎面 牛仔 毛呢 开衩", (259, 699), _SIZES, 9, 0),
        Kind("pants", "裤装", "阔腿裤 直筒裤 九分裤 西装裤", "高腰 垂感 弹力 显瘦 棉麻", (289, 759), _SIZES, 12, 0),
        Kind("jacket", "外套", "西装外套 短外套 牛仔外套 开衫外套", "小香风 廓形 收腰 粗花呢", (499, 1599), _SIZES, 8, 0),
        Kind("trench", "风衣", "风衣 中长风衣", "经典 双排扣 轻薄 防泼水", (699, 1899), _SIZES, 4, 0),
        Kind("coat", "大衣", "大衣 双面呢大衣 茧型大衣", "羊毛 羊绒 阿尔巴卡 手缝", (1299, 3999), _SIZES, 4, 1, 320_000),
        Kind("down", "羽绒服", "羽绒服 羽绒马甲 轻薄羽绒", "鹅绒 连帽 短款 面包", (699, 2599), _SIZES, 6, 1, 330_000),
        Kind("bag", "包袋", "托特包 腋下包 水桶包 帆布包", "软皮 通勤 编织 迷你", (299, 1199), _ONE, 3, 0),
        Kind("accessory", "饰品", "丝巾 耳饰 腰带 发夹 羊绒围巾", "简约 珍珠 复古 礼盒装", (59, 399), _ONE, 5, 0),
    ],
    "LY": [
        Kind("running", "跑鞋", "跑鞋 训练鞋 越野跑鞋", "缓震 透气 轻量 支撑", (399, 1099), _SHOES, 18, 0, 380_000),
        Kind("sport_top", "运动上衣", "速干T恤 运动卫衣 运动背心", "凉感 无缝 排汗 抓绒", (129, 459), _SIZES, 16, 0),
        Kind("sport_pants", "运动裤", "运动短裤 束脚裤 压缩裤", "速干 四面弹 轻薄 加绒", (159, 499), _SIZES, 13, 0),
        Kind("yoga", "瑜伽服", "瑜伽裤 瑜伽上衣 瑜伽套装", "裸感 高腰 提臀 云感", (199, 599), _SIZES, 10, 0),
        Kind("bra", "运动内衣", "运动内衣 美背文胸", "高强度 中强度 无缝 前拉链", (149, 399), _SIZES, 6, 0),
        Kind("shell", "户外外套", "冲锋衣 皮肤衣 抓绒外套 软壳衣", "三合一 防风 防晒 全压胶", (299, 1899), _SIZES, 9, 1, 340_000),
        Kind("camping", "露营装备", "天幕 折叠椅 露营推车 睡袋", "轻量 加厚 便携 双人", (129, 1299), _ONE, 4, -1, 420_000),
        Kind("fitness", "健身器材", "瑜伽垫 哑铃 弹力带 筋膜枪", "防滑 静音 可调节 便携", (49, 899), _ONE, 5, 0, 400_000),
        Kind("bedding", "床品", "四件套 蚕丝被 乳胶枕 盖毯", "长绒棉 天丝 亲肤 可机洗", (199, 1999), _ONE, 6, 0, 390_000),
        Kind("towel", "毛巾浴品", "浴巾 毛巾 浴袍 速干巾", "长绒棉 加厚 吸水 抑菌", (39, 299), _ONE, 5, 0, 360_000),
        Kind("bottle", "水杯水壶", "保温杯 运动水壶 随行杯", "大容量 便携 316不锈钢 一键开盖", (79, 329), _ONE, 5, 0, 350_000),
        Kind("scent", "香氛", "香薰蜡烛 无火香薰 织物喷雾", "雪松 白茶 桂花 无花果", (89, 359), _ONE, 3, 0, 300_000),
    ],
}


KIND_OF = {kind.code: kind for kinds in KINDS.values() for kind in kinds}

_COLUMNS = "id, sku, name, brand_id, category_id, tag_fen, is_sold"


class Shelf(NamedTuple):
    """What a brand sells: `steps` are the cumulated weights of its products for each month (1 to 12)."""

    products: list[Product]
    steps: dict[int, list[float]]


def write(rng: Random, *, brands: list[Brand], wanted: int) -> dict[int, Shelf]:
    """Write about `wanted` products with their categories; brand id → its shelf."""
    kinds = [(brand, kind) for brand in brands for kind in KINDS[brand.code]]
    categories = Category.objects.bulk_create(
        [Category(pk=pk, code=kind.code, name=kind.name) for pk, (_, kind) in enumerate(kinds, start=1)]
    )
    numbers = count(1)
    shares = sum(kind.share for _, kind in kinds)
    products = [
        product
        for category, (brand, kind) in zip(categories, kinds, strict=True)
        for product in _styles(rng, brand, category, kind, max(2, wanted * kind.share // shares), numbers)
    ]
    copying.copy(
        "retail_product",
        _COLUMNS,
        ((one.pk, one.sku, one.name, one.brand_id, one.category_id, one.tag_fen, True) for one in products),
    )
    return shelves(rng, products)


def _styles(
    rng: Random, brand: Brand, category: Category, kind: Kind, wanted: int, numbers: Iterator[int]
) -> list[Product]:
    """Styles of one category, each in a few colours and all its sizes, until there are `wanted` SKUs."""
    words = [word + noun for noun in kind.nouns.split() for word in kind.words.split()]
    rng.shuffle(words)
    made: list[Product] = []
    for style, name in enumerate(cycle(words), start=1):
        tag_fen = _price(rng, *kind.yuan) * 100
        colours = rng.sample(_COLOURS, min(len(_COLOURS), rng.choice((1, 2, 2, 3))))
        for colour, (place, size) in itertools.product(colours, enumerate(kind.sizes, start=1)):
            if len(made) == wanted:
                return made
            sku = f"{brand.code}{category.pk:02d}{style:03d}{_COLOURS.index(colour):02d}{place}"
            label = f"{name} {colour}" + ("" if size == _ONE[0] else f" {size}")
            made.append(
                Product(pk=next(numbers), sku=sku, name=label, brand=brand, category=category, tag_fen=tag_fen)
            )
    return made


def _price(rng: Random, low: int, high: int) -> int:
    """A tag price in yuan that ends with 9, cheap ones more often than dear ones."""
    yuan = low + (high - low) * rng.random() ** 1.8
    return max(low, min(high, round(yuan / 10) * 10 - 1))


def shelves(rng: Random, products: Iterable[Product]) -> dict[int, Shelf]:
    """Brand id → its shelf. Some styles sell far better than others; coats sell in winter, dresses in summer."""
    by_brand: dict[int, list[tuple[Product, float]]] = defaultdict(list)
    for product in products:
        by_brand[product.brand_id].append((product, rng.paretovariate(1.6)))
    return {brand_id: _shelf(rows) for brand_id, rows in by_brand.items()}


def _shelf(rows: list[tuple[Product, float]]) -> Shelf:
    sizes = Counter(product.category.code for product, _ in rows)
    steps = {}
    for month in range(1, 13):
        weights = []
        for product, liking in rows:
            kind = KIND_OF[product.category.code]
            weights.append(min(liking, 20) * kind.share / sizes[kind.code] * _season(kind.warmth, month))
        steps[month] = list(accumulate(weights))
    return Shelf([product for product, _ in rows], steps)


def _season(warmth: int, month: int) -> float:
    """How well a category sells in a month: 1 on average, winter goods hardly in July, summer ones hardly in January."""
    cold = (abs(month - 7) - 3) / 3  # -1 in July, +1 in January
    return max(0.15, 1 + warmth * cold)
