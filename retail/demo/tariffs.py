"""The commission plans in force, and the draft of the next quarter, as the operators of the demo wrote them."""

from collections.abc import Iterable
from datetime import date, datetime, time
from typing import Any

from commissions import plans, samples
from commissions.models import ActionRate, Attainment, AttainmentStep, Plan, PlanVersion, Rule, Share
from commissions.models.actions import ActionType
from commissions.models.plans import Role
from retail.demo import logins
from retail.demo.seasons import SHANGHAI
from retail.models import Brand, Channel, User

POS, MINI, LIVE = Channel.Kind.POS, Channel.Kind.MINI_PROGRAM, Channel.Kind.VIDEO_LIVE
MARKETS = [Channel.Kind.TMALL, Channel.Kind.JD, Channel.Kind.DOUYIN]
SERVE, BOUND, SHARE, RECRUIT, MANAGER = Role.SERVE, Role.BOUND, Role.SHARE, Role.RECRUIT, Role.MANAGER

Split = dict[str, int]  # role → percent of the pool
AT_THE_TILL: Split = {SERVE: 65, BOUND: 20, MANAGER: 15}
BY_LINK: Split = {SHARE: 50, BOUND: 40, MANAGER: 10}


def rate(percent: float) -> dict[str, Any]:
    return {"type": "rate", "ppm": round(percent * 10_000)}


def _rule(code: str, name: str, calc: dict[str, Any], split: Split, **fields: Any) -> dict[str, Any]:
    return {"code": code, "name": name, "calc": calc, "split": split, **fields}


# Rules that both brands have: online sales, and what is added to the base.
_COMMON = [
    _rule("mini", "小程序成交", rate(4), BY_LINK, when={"channel": [MINI]}, missing="reallocate"),
    _rule("live", "视频号直播成交", rate(3), BY_LINK, when={"channel": [LIVE]}, missing="reallocate"),
    _rule("market", "平台店专属客户", rate(1), {BOUND: 90, MANAGER: 10}, when={"channel": MARKETS}),
    _rule(
        "ship", "门店发货", {"type": "fixed", "fen": 300}, {Role.FULFIL: 100},
        group="fulfil", when={"channel": [MINI, LIVE, *MARKETS]},
    ),
    _rule(
        "new-member", "新客首单奖励", rate(1.5), {RECRUIT: 60, SERVE: 40},
        group="new", when={"member": "new", "min_order_fen": 20_000}, cap_fen=3_000, missing="reallocate",
    ),
    _rule(
        "wake-up", "沉睡客户唤醒", rate(1), {BOUND: 100},
        group="wake", when={"min_dormant_days": 60, "min_discount_bp": 7_000}, cap_fen=5_000,
    ),
    _rule(
        "diamond", "黑钻客户维护", rate(0.5), {BOUND: 100},
        group="care", when={"tier": ["diamond"]}, cap_fen=5_000,
    ),
    _rule("region", "区域管理", rate(0.2), {Role.REGION: 100}, group="region", when={"ownership": ["direct"]}),
]  # fmt: skip

_RULES: dict[str, list[dict[str, Any]]] = {
    "XL": [
        _rule("pos", "门店零售", rate(2.5), AT_THE_TILL, when={"channel": [POS]}, missing="reallocate"),
        _rule(
            "pos-winter", "大衣羽绒服", rate(3.5), AT_THE_TILL,
            when={"channel": [POS], "category": ["coat", "down"]}, cap_fen=20_000, missing="reallocate",
        ),
        _rule(
            "pos-tiers", "裙装衬衫按折扣分档",
            {"type": "discount_tier", "steps": [[9_500, 32_000], [8_800, 26_000], [7_000, 18_000], [5_000, 8_000]]},
            AT_THE_TILL, when={"channel": [POS], "category": ["dress", "shirt", "skirt"]}, missing="reallocate",
        ),
        _rule(
            "pos-franchise", "加盟店零售", rate(1.8), {SERVE: 80, MANAGER: 20},
            priority=10, when={"channel": [POS], "ownership": ["franchise"]}, missing={"to_role": SERVE},
        ),
        _rule(
            "pos-outlet", "奥莱店只计基础", rate(0.8), {SERVE: 100},
            priority=100, stop=True, when={"channel": [POS], "store_group": ["outlet"]},
        ),
        _rule(
            "accessory", "饰品每件奖励", {"type": "per_qty", "fen": 200}, {SERVE: 100},
            group="piece", when={"channel": [POS], "category": ["accessory"], "min_discount_bp": 8_000},
        ),
    ],
    "LY": [
        _rule("pos", "门店零售", rate(2), AT_THE_TILL, when={"channel": [POS]}, missing="reallocate"),
        _rule(
            "pos-shoes", "跑鞋", rate(2.8), AT_THE_TILL,
            when={"channel": [POS], "category": ["running"]}, floor_fen=500, cap_fen=4_000, missing="reallocate",
        ),
        _rule(
            "pos-home", "家居按毛利", rate(5), AT_THE_TILL, base="margin",
            when={"channel": [POS], "category": ["bedding", "towel", "scent"]}, missing="reallocate",
        ),
        _rule(
            "pos-flagship", "旗舰店户外", rate(3), AT_THE_TILL,
            when={"channel": [POS], "store_group": ["flagship"], "category": ["shell", "camping"]},
            missing="reallocate",
        ),
        _rule(
            "pos-franchise", "加盟店零售", rate(1.6), {SERVE: 80, MANAGER: 20},
            priority=10, when={"channel": [POS], "ownership": ["franchise"]}, missing={"to_role": SERVE},
        ),
        _rule(
            "bottle", "水杯每件奖励", {"type": "per_qty", "fen": 150}, {SERVE: 100},
            group="piece", when={"channel": [POS], "category": ["bottle"], "min_discount_bp": 8_000},
        ),
    ],
}  # fmt: skip
_LADDER = [(500_000, 5_000, 0), (1_000_000, 8_000, 5_000), (2_000_000, 12_000, 10_000), (4_000_000, 15_000, 30_000)]
_OF_STORE = [(5_000_000, 1_000, 0), (10_000_000, 1_500, 0), (20_000_000, 2_500, 0), (40_000_000, 3_500, 50_000)]
_OF_REGION = [(50_000_000, 300, 0), (150_000_000, 600, 100_000)]
Level, Mode = Attainment.Level, Attainment.Mode


# What is paid for besides sales. The second brand's budget for friends ends before the year does.
_ACTIONS: dict[str, dict[str, dict[str, Any]]] = {
    "XL": {
        ActionType.REGISTER: {"fen": 500, "daily_cap": 10, "void_days": 7},
        ActionType.FRIEND: {"fen": 300, "daily_cap": 10, "void_days": 7},
        ActionType.OPENED: {"fen": 30, "once_per": "customer+content", "daily_cap": 10},
        ActionType.COUPON: {"fen": 200, "once_per": "", "daily_cap": 10, "void_days": 15},
        ActionType.WAKE: {"fen": 800, "once_per": "customer+day", "min_inactive_days": 90, "void_days": 15},
    },
    "LY": {
        ActionType.REGISTER: {"fen": 400, "daily_cap": 10, "void_days": 7},
        ActionType.FRIEND: {"fen": 200, "daily_cap": 10, "void_days": 7, "budget_fen": 1_200_000},
        ActionType.OPENED: {"fen": 20, "once_per": "customer+content", "daily_cap": 10},
        ActionType.COUPON: {"fen": 100, "once_per": "", "daily_cap": 10, "void_days": 15},
        ActionType.WAKE: {"fen": 600, "once_per": "customer+day", "min_inactive_days": 90, "void_days": 15},
    },
}


def write(*, brands: Iterable[Brand], since: datetime, now: datetime) -> None:
    """One plan per brand, in force since before the first order; written by operations, approved by finance."""
    author = User.objects.get(username=logins.HQ_OPS.username)
    approver = User.objects.get(username=logins.HQ_FINANCE.username)
    for brand in brands:
        plan = Plan.objects.create(brand=brand, name=f"{brand.name}导购分佣")
        version = PlanVersion.objects.create(plan=plan, number=1, note="全域分佣现行方案。", written_by=author)
        for rule in [*_RULES[brand.code], *_COMMON]:
            _write_rule(version, **rule)
        _write_ladders(version)
        for type, fields in _ACTIONS[brand.code].items():
            ActionRate.objects.create(version=version, type=type, **fields)
        plans.approve(version=version, by=approver, now=since)
        plans.activate(version=version, starts_at=since, by=approver, now=since)
        _write_draft(version, author, now)


def _write_rule(version: PlanVersion, *, split: Split, **fields: Any) -> None:
    rule = Rule.objects.create(version=version, **fields)
    Share.objects.bulk_create(
        [
            Share(rule=rule, role=role, ppm=percent * 10_000, place=place)
            for place, (role, percent) in enumerate(split.items())
        ]
    )


def _write_ladders(version: PlanVersion) -> None:
    """The more somebody sells at the till in a month, the more of it they get; the manager by what the store sells."""
    own = Attainment.objects.create(version=version, code="monthly", name="个人月度业绩阶梯", role=SERVE)
    store = Attainment.objects.create(
        version=version, code="store-monthly", name="门店月度业绩阶梯", level=Level.STORE, role=SERVE, mode=Mode.WHOLE
    )
    region = Attainment.objects.create(
        version=version, code="region-monthly", name="区域月度业绩阶梯", level=Level.REGION, role=SERVE
    )
    steps = [(own, _LADDER), (store, _OF_STORE), (region, _OF_REGION)]
    AttainmentStep.objects.bulk_create(
        [
            AttainmentStep(attainment=ladder, from_fen=from_fen, ppm=ppm, fixed_fen=fixed_fen)
            for ladder, tiers in steps
            for from_fen, ppm, fixed_fen in tiers
        ]
    )


# What has to come out of a sale of 1 000 yuan at the till, at nine tenths of the tag price: category, its name, fen.
_CASES = {
    "XL": [("coat", "大衣", 3_500), ("dress", "连衣裙", 2_600)],
    "LY": [("running", "跑鞋", 2_800), ("towel", "毛巾", 2_000)],
}


def _cases(brand: str) -> list[dict[str, Any]]:
    """The cases that operations wrote for themselves: one clerk alone at the till gets the whole pool."""
    return [
        {
            "id": f"pos-{category}",
            "kind": "plan",
            "title": f"门店按 9 折卖出 1000 元的{name}",
            "input": {
                "orders": [
                    {
                        "id": "1",
                        "paid_at": "2026-12-01T15:00:00+08:00",
                        "channel": POS,
                        "ownership": "direct",
                        "roles": {SERVE: "A001"},
                        "lines": [
                            {
                                "id": "1",
                                "paid_fen": 100_000,
                                "tag_fen": 111_111,
                                "qty": 1,
                                "cost_fen": 60_000,
                                "category": category,
                            }
                        ],
                    }
                ]
            },
            "expect": {"totals": {"A001": fen}},
        }
        for category, name, fen in _CASES[brand]
    ]


def _write_draft(version: PlanVersion, author: User, now: datetime) -> None:
    """What operations think of for the next quarter: more for links, and new members count more."""
    draft = plans.copy(version=PlanVersion.objects.get(pk=version.pk), by=author, now=now)
    starts_on = _next_quarter(now.date())
    draft.note = f"{starts_on:%Y年}第{(starts_on.month + 2) // 3}季度草案:提高小程序与新客奖励,待试算。"
    draft.save()
    draft.rules.filter(code="mini").update(calc=rate(5))
    draft.rules.filter(code="new-member").update(calc=rate(2), cap_fen=5_000, valid_from=_midnight(starts_on))
    samples.take_in(version=draft, data=_cases(version.plan.brand.code), by=author, now=now)


def _next_quarter(day: date) -> date:
    month = (day.month - 1) // 3 * 3 + 4
    return date(day.year + (month > 12), month if month <= 12 else 1, 1)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), SHANGHAI)
