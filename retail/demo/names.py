"""Chinese names that sound right and belong to nobody in particular."""

from itertools import accumulate
from random import Random

# Surnames with how many of ten thousand people bear them, roughly.
_SURNAMES = {
    "王": 720, "李": 720, "张": 680, "刘": 540, "陈": 450, "杨": 310, "黄": 220, "赵": 210, "吴": 200, "周": 190,
    "徐": 150, "孙": 150, "马": 130, "朱": 130, "胡": 130, "郭": 120, "何": 120, "林": 110, "罗": 100, "高": 100,
    "郑": 90, "梁": 80, "谢": 70, "宋": 70, "唐": 65, "许": 65, "韩": 60, "邓": 60, "冯": 60, "曹": 55, "彭": 50,
    "曾": 50, "肖": 45, "田": 45, "董": 45, "潘": 40, "袁": 40, "蔡": 40, "蒋": 40, "余": 40, "于": 38, "杜": 38,
    "叶": 36, "程": 36, "魏": 35, "苏": 35, "吕": 33, "丁": 33, "沈": 32, "任": 32, "姚": 30, "卢": 30, "傅": 28,
    "钟": 28, "姜": 27, "崔": 27, "谭": 26, "廖": 25, "范": 25, "汪": 24, "陆": 24, "金": 23, "石": 22, "戴": 22,
    "贾": 21, "韦": 20, "夏": 20, "邱": 20, "方": 20, "侯": 19, "邹": 19, "熊": 18, "孟": 18, "秦": 18, "白": 17,
    "江": 17, "阎": 16, "薛": 16, "尹": 15, "段": 15, "雷": 14, "黎": 13, "史": 13, "龙": 12, "陶": 12, "贺": 12,
    "仇": 2, "单": 3, "欧阳": 8, "司徒": 2, "上官": 2,
}  # fmt: skip
_HER_FIRST = "晓雨思佳文雅欣慧春秀玉丽海小美梦静若心巧月云艳桂凤素彩兰"
_HER_SECOND = "婷琳芳萍敏燕霞玲梅英珍怡颖洁莉蓉娜倩菊芬香宁妍蕊薇"
_HIS_FIRST = "志建国文俊家子浩明海永伟晓立振庆宏德"
_HIS_SECOND = "强斌辉鹏涛勇军杰超峰磊刚平华波林生亮"
_SHORT = "蕙苓筠漪茹苒"  # given names of one character

# Well-known people whose names these tables would make.
_TAKEN = (
    "杨丽萍 陈慧琳 周慧敏 刘玉玲 李丽珍 王丽云 王文娟 李春燕 林心如 郭美美 陈文茜 李海峰 王建国 李国华 王海涛"
    " 李文华 刘德华 刘国强 李建国 李文亮 陈志朋 王晓东 刘家玲 张文宏 杨玉莹 马晓霞 李云霞 杨思敏 李小冉"
)

_NICKS = (
    "小鹿 阿宁 橘子汽水 南风 一颗糖 木木 晚晚 青柠 安安 豆豆妈 云朵 小满 拾光 夏夏 山茶 果果 芒果冰 阿栗 团子 初七 "
    "半夏 念念妈 暖暖 可可 小岛 星野 糯米 西西 奶盖 桃桃 鱼丸 麦子 早早 柚子茶 四月 小雨点 芝士 知了 森森 苏打"
)

_NICK_LIST = _NICKS.split()
_SURNAME_LIST = list(_SURNAMES)
_SURNAME_STEPS = list(accumulate(_SURNAMES.values()))


def of_person(rng: Random, *, is_woman: bool) -> str:
    """A full name of two or three characters (four with a double surname)."""
    while (name := _draw(rng, is_woman=is_woman)) in _TAKEN:
        pass
    return name


def _draw(rng: Random, *, is_woman: bool) -> str:
    if is_woman and rng.random() < 0.12:
        return surname(rng) + rng.choice(_SHORT)
    first, second = (_HER_FIRST, _HER_SECOND) if is_woman else (_HIS_FIRST, _HIS_SECOND)
    return surname(rng) + rng.choice(first) + rng.choice(second)


def of_customer(rng: Random) -> str:
    """How a customer is called: 王女士, 李先生, or a nickname."""
    if rng.random() < 0.25:
        return rng.choice(_NICK_LIST)
    return surname(rng) + ("女士" if rng.random() < 0.8 else "先生")


def surname(rng: Random) -> str:
    return rng.choices(_SURNAME_LIST, cum_weights=_SURNAME_STEPS)[0]
