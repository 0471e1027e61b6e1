"""What the materials of the demo say: words for both brands, and each brand's own goods, looks, pages and posters.

Both tables are lines of: kind | scene | category | name | text | goods (codes of retail.demo.goods) | what about it.
"""

from typing import NamedTuple


class Saying(NamedTuple):
    kind: str
    scene: str
    category: str
    name: str
    text: str
    goods: tuple[str, ...]
    about: str


_WORDS = """
text|greeting|聊天话术|刚加上好友|{customer}您好，我是{store}的{clerk}，您的专属导购。想看新款、调尺码、改衣服，都可以直接找我。||pinned
text|greeting|聊天话术|第一次到店之后|{customer}，今天很高兴在{store}认识您。您试过的那几件我都记下了，到了新颜色先拍给您看。||
text|birthday|聊天话术|生日祝福|{customer}，生日快乐！给您备了一份小礼物，生日月到店报我的名字就能领。——{clerk}||pinned
text|birthday|聊天话术|生日券提醒|{customer}，您的{coupon}还没用呢，过了生日月就没有了。这周末来看看？||
text|offer|聊天话术|券快到期|{customer}，您的{coupon}快到期了，要不要我先帮您留一件{product}？||
text|offer|聊天话术|周末满两件|{customer}，这周末满两件 8.8 折，会员券可以一起用。您上次喜欢的我帮您留着。||
text|stock|聊天话术|断码到货|{customer}，您等的{product}到货了，您的码只有两件，我先给您留到明天晚上。||pinned
text|stock|聊天话术|调货到店|{customer}，从别的店调来的{product}今天到了。您哪天方便来拿？也可以寄到家。||
text|after_sale|聊天话术|买后三天|{customer}，{product}用着还合适吗？不合适七天内都能换，您发我一声就行。||
text|after_sale|聊天话术|洗护提醒|{customer}，{product}第一次清洗请翻面、用冷水，平铺晾干，能用好几年。有问题随时问我。||
text|after_sale|聊天话术|邀请晒单|{customer}，{product}上身的照片方便发我一张吗？我们每个月选三位送一张券。||draft
text|wake|聊天话术|两个月没来|{customer}，好久没见您了。店里这周换了整面墙的新款，有几件特别像您的风格，我拍给您看看？||
text|wake|聊天话术|换季整理|{customer}，换季了。您去年买的那件今年有能搭它的新品，发您参考，不着急。||
text|daily|聊天话术|降温提醒|{customer}，明天开始降温，出门记得加一件。店里热水常备，路过进来坐坐。||
text|daily|聊天话术|营业时间|{store}每天 10:00 到 22:00 都在。来之前告诉我一声，我把您的码先拿出来。——{clerk}||
text|live|聊天话术|开播提醒|{customer}，今晚八点直播间有专场，前一百名下单送小样。点开就能看，我也在里面。||
"""
_OWN = {
    "XL": """
product|new|新品上架|新款连衣裙|{customer}，这条{product}昨天刚到，收腰不挑身材，我穿着都不想脱。|dress|pinned
product|new|新品上架|通勤衬衫|{product}免烫，早上五分钟出门，配西装裤、半身裙都行。|shirt|
product|new|新品上架|羊毛针织衫|{product}不扎脖子，单穿叠穿都好看，四个颜色。|knit|
product|stock|新品上架|羊毛大衣到货|{customer}，去年卖断的{product}回来了，驼色只到六件。|coat|pinned
product|stock|新品上架|轻薄羽绒|{product}能压成一小包，出差放箱子里不占地方。|down|
product|daily|新品上架|经典风衣|{product}防泼水，春秋两季都能穿。|trench|
product|offer|活动优惠|通勤包第二件半价|{product}放得下电脑，这周第二件半价。|bag|
product|new|新品上架|高腰半身裙|{product}显腿长，小个子也能穿。|skirt|waiting
pictures|new|穿搭灵感|一周通勤不重样|周一到周五，五件单品搭出五天。|shirt skirt knit|pinned
pictures|new|穿搭灵感|一件大衣三种穿法|大衣里面怎么叠，三套都在这里。|coat knit pants|
pictures|daily|穿搭灵感|小个子显高公式|上短下长、同色到脚，照着穿就好。|tee pants|
pictures|daily|穿搭灵感|毛衣配裙子|毛衣配缎面裙，暖和又不臃肿。|knit skirt|
pictures|wake|穿搭灵感|这个月卖得最好的三件|都是回头客带走的，给您参考。|dress coat bag|
pictures|birthday|活动优惠|生日礼盒|饰品加贺卡，我来包装，您来拿就好。|accessory bag|
link|new|品牌故事|秋冬画册|秋冬整季都在这里，喜欢哪件截图给我。|coat|
link|daily|品牌故事|羊毛从哪里来|一件大衣从牧场到衣架的一年。||
miniprogram|new|小程序|新品专区|小程序里能看尺码和库存。|dress|
miniprogram|offer|小程序|会员券中心|领券、查券都在这里。||returned
file|after_sale|资料|连衣裙尺码表|量一下胸围和腰围，对着选。|dress|
video|daily|资料|大衣叠法|三十秒学会不留折痕的叠法。|coat|
live|live|直播|周五晚八点新品专场|十二件新品现场试穿，店长给您讲。|dress|pinned
live|live|直播|上周专场回放|没赶上的看这里。|knit|expired
poster|new|海报|新品海报|{product}，到店试穿有惊喜。|dress|pinned
poster|offer|海报|周末满两件 8.8 折|本周末，满两件 8.8 折，找{clerk}登记。|coat|
poster|new|海报|冬装预告海报|下周上新，先来占位。|down|scheduled
""",
    "LY": """
product|new|新品上架|新款跑鞋|{customer}，{product}比上一代轻了三十克，来店里跑两步试试。|running|pinned
product|new|新品上架|速干上衣|{product}出汗不贴身，跑完拧一把就干。|sport_top|
product|new|新品上架|云感瑜伽裤|{product}没有尴尬线，上课、上街都能穿。|yoga|
product|stock|新品上架|冲锋衣到货|{customer}，您问过的{product}到了，周末下雨正好穿。|shell|pinned
product|stock|新品上架|双人帐篷|{product}三分钟搭好，装车不占地方。|camping|
product|daily|新品上架|保温杯|{product}早上泡的茶下午还是热的，可以刻字。|bottle|
product|offer|活动优惠|四件套换新|{product}旧床品到店抵五十元，我帮您登记。|bedding|
product|new|新品上架|木质香薰|{product}睡前点一小时，整个房间都是松木味。|scent|waiting
pictures|new|运动搭配|晨跑三件套|鞋、上衣、裤子，按温度搭好了。|running sport_top sport_pants|pinned
pictures|new|运动搭配|露营清单|两个人一晚，照着装车就行。|camping bottle shell|
pictures|daily|运动搭配|新手第一双跑鞋怎么选|看脚型、看里程，三步选好。|running|
pictures|daily|运动搭配|办公室十分钟拉伸|午休跟着做，肩膀不酸。|yoga|
pictures|wake|运动搭配|老会员都在买|这个月回购最多的三样。|bottle towel running|
pictures|birthday|活动优惠|生日送跑友|杯子加毛巾，刻上名字。|bottle towel|
link|new|品牌故事|秋冬户外画册|山里、城里、家里，整季都在这里。|shell|
link|daily|品牌故事|周末跑团报名|每周六早上七点，门店出发，五公里。||
miniprogram|new|小程序|新品专区|小程序里能看尺码和库存。|running|
miniprogram|offer|小程序|会员券中心|领券、查券都在这里。||returned
file|after_sale|资料|跑鞋尺码表|量一下脚长，对着选。|running|
video|daily|资料|帐篷怎么搭|三分钟看完就会。|camping|
live|live|直播|周五晚八点装备专场|跑鞋、冲锋衣现场测评，店长在线答。|shell|pinned
live|live|直播|上周专场回放|没赶上的看这里。|running|expired
poster|new|海报|新品海报|{product}，到店试跑有礼。|running|pinned
poster|offer|海报|周末满两件 8.8 折|本周末，满两件 8.8 折，找{clerk}登记。|shell|
poster|new|海报|冬季装备预告海报|下周上新，先来占位。|camping|scheduled
""",
}
CATEGORIES = {
    "XL": ("新品上架", "穿搭灵感", "活动优惠", "聊天话术", "海报", "直播", "品牌故事", "小程序", "资料"),
    "LY": ("新品上架", "运动搭配", "活动优惠", "聊天话术", "海报", "直播", "品牌故事", "小程序", "资料"),
}
SIZES = {
    "dress": [("尺码", "胸围", "腰围", "裙长"), ("S", "84", "66", "108"), ("M", "88", "70", "110"),
              ("L", "92", "74", "112"), ("XL", "96", "78", "114")],
    "running": [("尺码", "脚长 cm"), ("37", "23.5"), ("38", "24"), ("39", "24.5"), ("40", "25"), ("41", "25.5"),
                ("42", "26")],
}  # fmt: skip
SHAPES = {
    "dress": "dress", "shirt": "shirt", "tee": "tee", "knit": "knit", "skirt": "skirt", "pants": "pants",
    "jacket": "shirt", "trench": "coat", "coat": "coat", "down": "puffer", "bag": "bag", "accessory": "necklace",
    "running": "shoe", "sport_top": "tee", "sport_pants": "pants", "yoga": "yoga", "bra": "yoga", "shell": "puffer",
    "camping": "tent", "fitness": "bottle", "bedding": "linen", "towel": "linen", "bottle": "bottle",
    "scent": "candle",
}  # fmt: skip


def of(brand: str) -> list[Saying]:
    """All that a brand has, by its code."""
    lines = (_WORDS + _OWN[brand]).strip().splitlines()
    rows = (line.split("|") for line in lines if line)
    return [Saying(*first, tuple(goods.split()), about) for *first, goods, about in rows]
