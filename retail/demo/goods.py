"""The catalogue: two brands, two dozen categories, styles in colours and sizes, named as a shop would name them."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import accumulate, count
from random import Random
from typing import NamedTuple

from retail.demo import copying
from retail.models import Brand, Category, Product

_SIZES = {
    "letters": ("S", "M", "L", "XL"),
    "shoes": ("36", "37", "38", "39", "40", "41", "42", "43"),
    "one": ("",),
    "volume": ("50ml", "100ml", "200ml"),
}
_COLOURS = ["米白", "燕麦", "雾蓝", "墨绿", "藏青", "炭黑", "浅灰", "藕粉", "焦糖", "酒红", "鼠尾草绿", "奶咖"]


class Kind(NamedTuple):
    """One category. `names`: of its styles; `yuan`: range of tag prices; `share`: of the brand's sales; `warmth`: 1
    sells in winter, -1 in summer, 0 all year; `cost_ppm`: of the tag price.
    """

    code: str
    name: str
    names: list[str]
    yuan: tuple[int, int]
    share: int
    warmth: int
    sizes: tuple[str, ...]
    cost_ppm: int


# brand, code, name, tag price from and to in yuan, share of the brand's sales, season, sizes, cost in % of the tag
# price, nouns, words that go before them
_TABLE = """
XL dress 连衣裙 399 1299 16 summer letters 28 | 连衣裙 衬衫裙 吊带裙 茶歇裙 | 收腰 印花 亚麻 醋酸 针织 法式
XL shirt 衬衫 259 799 11 all letters 28 | 衬衫 短款衬衫 飘带衬衫 | 垂感 真丝 纯棉 条纹 天丝
XL tee T恤 129 329 13 summer letters 28 | T恤 打底衫 短袖T恤 | 新疆棉 修身 宽松 莫代尔 圆领
XL knit 针织衫 299 1099 12 winter letters 28 | 针织开衫 套头毛衫 针织背心 | 羊毛 美利奴 绞花 半高领 羊绒混纺
XL skirt 半身裙 259 699 9 all letters 28 | 半身裙 百褶裙 A字裙 鱼尾裙 | 高腰 缎面 牛仔 毛呢 开衩
XL pants 裤装 289 759 12 all letters 28 | 阔腿裤 直筒裤 九分裤 西装裤 | 高腰 垂感 弹力 显瘦 棉麻
XL jacket 外套 499 1599 8 all letters 28 | 西装外套 短外套 牛仔外套 开衫外套 | 小香风 廓形 收腰 粗花呢
XL trench 风衣 699 1899 4 all letters 28 | 风衣 中长风衣 | 经典 双排扣 轻薄 防泼水
XL coat 大衣 1299 3999 4 winter letters 32 | 大衣 双面呢大衣 茧型大衣 | 羊毛 羊绒 阿尔巴卡 手缝
XL down 羽绒服 699 2599 6 winter letters 33 | 羽绒服 羽绒马甲 轻薄羽绒 | 鹅绒 连帽 短款 收腰
XL bag 包袋 299 1199 3 all one 28 | 托特包 腋下包 水桶包 帆布包 | 软皮 通勤 编织 迷你
XL accessory 饰品 59 399 5 all one 28 | 耳饰 项链 发夹 胸针 | 简约 珍珠 复古 金属
LY running 跑鞋 399 1099 18 all shoes 38 | 跑鞋 训练鞋 越野跑鞋 | 缓震 透气 轻量 支撑
LY sport_top 运动上衣 129 459 16 all letters 28 | 速干T恤 运动卫衣 运动背心 | 透气 无缝 排汗 轻薄
LY sport_pants 运动裤 159 499 13 all letters 28 | 运动短裤 束脚裤 压缩裤 | 速干 四面弹 轻薄 透气
LY yoga 瑜伽服 199 599 10 all letters 28 | 瑜伽裤 瑜伽上衣 瑜伽套装 | 裸感 高腰 提臀 云感
LY bra 运动内衣 149 399 6 all letters 28 | 运动内衣 美背文胸 | 高强度 中强度 无缝 透气
LY shell 户外外套 299 1899 9 winter letters 34 | 冲锋衣 软壳衣 户外夹克 皮肤衣 | 防风 防泼水 轻量 透气
LY camping 露营装备 129 1299 4 summer one 42 | 天幕 帐篷 睡袋 折叠椅 | 轻量 加厚 便携 双人
LY fitness 健身器材 49 899 5 all one 40 | 瑜伽垫 哑铃 弹力带 健腹轮 | 防滑 家用 入门 专业
LY bedding 床品 199 1999 6 all one 39 | 四件套 蚕丝被 乳胶枕 盖毯 | 亲肤 抗菌 四季 轻柔
LY towel 毛巾浴品 39 299 5 all one 36 | 浴巾 毛巾 浴袍 方巾 | 长绒棉 加厚 吸水 抑菌
LY bottle 水杯水壶 79 329 5 all one 35 | 保温杯 运动水壶 随行杯 | 大容量 便携 316不锈钢 一键开盖
LY scent 香氛 89 359 3 all volume 30 | 香薰蜡烛 无火香薰 织物喷雾 | 雪松 白茶 桂花 无花果
"""


def _kinds() -> dict[str, list[Kind]]:
    found: dict[str, list[Kind]] = defaultdict(list)
    for row in _TABLE.strip().splitlines():
        figures, nouns, words = row.split(" | ")
        brand, code, name, low, high, share, season, sizes, cost = figures.split()
        found[brand].append(
            Kind(
                code=code,
                name=name,
                names=[word + noun for noun in nouns.split() for word in words.split()],
                yuan=(int(low), int(high)),
                share=int(share),
                warmth={"winter": 1, "summer": -1, "all": 0}[season],
                sizes=_SIZES[sizes],
                cost_ppm=int(cost) * 10_000,
            )
        )
    return found


KINDS = _kinds()  # brand code → its categories
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
    """Styles of one category, each in a few colours and all its sizes, until there are `wanted` SKUs or no names.

    A SKU is brand, category, style, colour and size by number: docs/examples can name one that is always there.
    """
    colours = [""] if kind.sizes == _SIZES["volume"] else _COLOURS
    left = {name: rng.sample(colours, len(colours)) for name in rng.sample(kind.names, len(kind.names))}
    made: list[Product] = []
    for style in count(1):
        name = next(iter(left))
        few, rest = left[name][:2], left.pop(name)[2:]
        if rest:
            left[name] = rest  # at the end: its other colours come when every name has had its turn
        tag_fen = _price(rng, *kind.yuan) * 100
        both = itertools.product(enumerate(few, start=1), enumerate(kind.sizes, start=1))
        for (shade, colour), (place, size) in both:
            sku = f"{brand.code}{category.pk:02d}{style:03d}{shade:02d}{place}"
            label = " ".join(filter(None, (name, colour, size)))
            made.append(
                Product(pk=next(numbers), sku=sku, name=label, brand=brand, category=category, tag_fen=tag_fen)
            )
            if len(made) == wanted:
                return made
        if not left:
            return made
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
    """How well a category sells in a month: 1 on average; winter goods hardly in July, summer ones in January."""
    cold = (abs(month - 7) - 3) / 3  # -1 in July, +1 in January
    return max(0.15, 1 + warmth * cold)
