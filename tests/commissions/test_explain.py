"""Every fen in words."""

from datetime import timedelta

import pytest

from commissions import explain, plans
from commissions.engine import REASONS
from commissions.models import Entry, PlanVersion
from retail import intake
from retail.models import Order, OrderLine
from tests.factories import LONG_AGO, NOW, add_rule, number, world

pytestmark = pytest.mark.usefixtures("everything")

SPLIT = [{"role": "serve", "weight": 9}, {"role": "manager", "weight": 1}]


def stories(**filters):
    entries = Entry.objects.of_staff().filter(**filters).select_related("line", "rule", "reverses").order_by("pk")
    return explain.of_entries(entries)


@pytest.fixture
def shop():
    shop = world()
    shop.hire("A1")
    shop.hire("M1", role="store_manager")
    return shop


@pytest.mark.parametrize(
    ("calc", "line", "sentence"),
    [
        (
            {"type": "rate", "ppm": 30000},
            {"paid_fen": 89900},
            "这件实付 ¥899.00，按「门店开单」实付的 3%，共 ¥26.97，开单分得 ¥24.27。",
        ),
        (
            {"type": "fixed", "fen": 1000},
            {},
            "这件实付 ¥100.00，按「门店开单」每笔 ¥10.00，共 ¥10.00，开单分得 ¥9.00。",
        ),
        (
            {"type": "per_qty", "fen": 250},
            {"qty": 2},
            "这 2 件实付 ¥100.00，按「门店开单」每件 ¥2.50 × 2 件，共 ¥5.00，开单分得 ¥4.50。",
        ),
        (
            {"type": "rate_plus", "ppm": 5000, "fen": 100},
            {},
            "这件实付 ¥100.00，按「门店开单」实付的 0.5% 再加 ¥1.00，共 ¥1.50，开单分得 ¥1.35。",
        ),
        (
            {"type": "discount_tier", "steps": [[8000, 60000], [7000, 40000]]},
            {"paid_fen": 7500, "tag_fen": 10000},
            "这件实付 ¥75.00，按「门店开单」实付的 4%，共 ¥3.00，开单分得 ¥2.70。",
        ),
    ],
)
def test_an_entry_is_one_sentence(shop, calc, line, sentence):
    shop.plan({"id": "r", "name": "门店开单", "calc": calc, "split": SPLIT})

    shop.settle(shop.order(serving_clerk="A1", lines=[line]))

    assert stories(role="serve")[0].sentence == sentence


def test_three_numbers_that_a_calculator_can_check(shop):
    shop.plan({"id": "r", "name": "门店开单", "calc": {"type": "rate", "ppm": 30000}, "split": SPLIT})

    shop.settle(shop.order(serving_clerk="A1", lines=[{"paid_fen": 89900}]))

    assert stories(role="serve")[0].numbers == [
        ("实付", "¥899.00"),
        ("佣金", "实付的 3% = ¥26.97"),
        ("开单", "90% = ¥24.27"),
    ]


def test_a_refund_says_what_it_took(shop):
    shop.plan({"id": "r", "name": "门店开单", "calc": {"type": "rate", "ppm": 30000}, "split": SPLIT})
    order = shop.order(serving_clerk="A1")
    shop.settle(order)

    shop.refund(order, fen=5000)

    (story,) = stories(role="serve", kind="reverse")
    assert story.sentence == "这件有退款，按退回的比例冲回「门店开单」的 ¥1.35。"
    assert story.numbers == [("原佣金", "¥2.70"), ("冲回", "50%"), ("金额", "-¥1.35")]


def test_a_line_tells_winner_losers_and_people(shop):
    shop.plan(
        {"id": "a", "name": "抖音", "when": {"channel": ["douyin"]}, "calc": {"type": "rate", "ppm": 1}},
        {
            "id": "b",
            "name": "高单价",
            "group": "bonus",
            "when": {"min_line_fen": 99999},
            "calc": {"type": "fixed", "fen": 1},
        },
        {
            "id": "c",
            "name": "门店",
            "calc": {"type": "rate", "ppm": 30000},
            "cap_fen": 200,
            "split": [*SPLIT, {"role": "share", "weight": 10}],
        },
        {"id": "d", "name": "兜底", "priority": -1, "calc": {"type": "rate", "ppm": 1}},
    )
    (order_id,) = shop.settle(shop.order(serving_clerk="A1"))

    story = explain.of_line(order=Order.objects.get(pk=order_id), line=OrderLine.objects.get(order=order_id))

    (win,) = story.winners
    assert (win.rule, win.pool_fen, win.house_fen) == ("门店", 200, 100)
    assert ("高于上限，按", "¥2.00") in win.steps
    assert ("当时缺", "分享") in win.steps
    assert [(part.role_label, part.claim.staff.code, part.fen, part.why) for part in win.parts] == [
        ("开单", "A1", 90, "订单上写的是这位导购"),
        ("店长", "M1", 10, "付款时管这家门店"),
    ]
    assert {loss.rule: loss.reason_text for loss in story.losers} == {
        "抖音": "渠道不在规则范围内",
        "高单价": "这行金额没到起点",
        "兜底": "同组里有更优先的规则",
    }
    assert ("渠道", shop.pos.name) in story.facts


def test_a_rule_that_paid_nobody_says_why(shop):
    shop.plan(
        {"id": "r", "name": "分享", "calc": {"type": "fixed", "fen": 100}, "split": [{"role": "share", "weight": 1}]}
    )
    (order_id,) = shop.settle(shop.order(serving_clerk="A1"))

    story = explain.of_line(order=Order.objects.get(pk=order_id), line=OrderLine.objects.get(order=order_id))

    assert story.winners[0].sentence == "「分享」命中，但没有付给任何人：当时没有人是「分享」。"


def test_what_is_not_there_yet_is_said(shop):
    (taken,) = shop.take(shop.order())
    order = Order.objects.get(pk=taken.id)
    assert explain.of_line(order=order, line=order.lines.get()).problem == "这笔订单还没有结算。"

    shop.settle(shop.order(outer_order_id=order.outer_order_id))
    from retail import intake

    intake.settle_order(order_id=order.pk, now=NOW)
    assert explain.of_line(order=order, line=order.lines.get()).problem == "付款时没有生效的分佣方案。"


def test_every_reason_of_the_engine_has_words():
    assert set(REASONS) <= set(explain.REASONS)


def corrected(shop, *rules, reason="比例填错"):
    """A version with these rules takes the place of the one in force, and what was sold is judged again."""
    plan = PlanVersion.objects.latest("pk").plan
    draft = PlanVersion.objects.create(plan=plan, number=number())
    for rule in rules:
        add_rule(draft, rule)
    plans.approve(version=draft, by=None, now=LATER)
    plans.activate(version=draft, starts_at=LONG_AGO, by=None, now=LATER, reason=reason)
    assert intake.recompute(order_ids=list(Order.objects.values_list("pk", flat=True)), now=LATER) == []
    return draft


OLD = {"id": "old", "name": "旧规则", "calc": {"type": "rate", "ppm": 30000}, "split": SPLIT}
NEW = {"id": "new", "name": "新规则", "calc": {"type": "rate", "ppm": 20000}, "split": SPLIT}
LATER = NOW + timedelta(days=3)


@pytest.mark.parametrize("rules", [[NEW], [{"id": "none", "name": "不给", "when": {"channel": ["douyin"]},
    "calc": {"type": "rate", "ppm": 1}, "split": SPLIT}]])  # fmt: skip
def test_after_a_correction_the_line_is_told_by_the_version_that_judged_it_last(shop, rules):
    old = shop.plan(OLD)
    (order_id,) = shop.settle(shop.order(serving_clerk="A1"))
    line = OrderLine.objects.get(order=order_id)
    new = corrected(shop, *rules)

    story = explain.of_line(order=line.order, line=line)

    assert story.version == new
    told = sum(part.fen for win in story.winners for part in win.parts)
    assert told == sum(Entry.objects.of_staff().filter(line=line).values_list("fen", flat=True))
    assert [(gone.rule, gone.role_label, gone.fen) for gone in story.taken_back] == [
        ("旧规则", "开单", 270), ("旧规则", "店长", 30),
    ]  # fmt: skip
    (said,) = story.corrections
    assert (
        f"原来按第 {old.number} 版算，改按第 {new.number} 版重算" in said
        and "比例填错" in said
        and "2026-10-15" in said
    )


def test_a_correction_says_from_what_to_what(shop):
    shop.plan(OLD)
    shop.settle(shop.order(serving_clerk="A1"))
    corrected(shop, {**OLD, "calc": {"type": "rate", "ppm": 20000}})

    earned, less = stories(role="serve")

    assert earned.fen == 270
    assert less.sentence == "订单或规则有更正，按「旧规则」实付的 2%重算，开单由 ¥2.70 改为 ¥1.80，扣回 ¥0.90。"
    assert less.numbers == [("原来", "¥2.70"), ("更正后", "¥1.80"), ("差额", "-¥0.90")]


def test_what_is_taken_back_whole_is_said_so(shop):
    shop.plan(OLD)
    shop.settle(shop.order(serving_clerk="A1"))
    corrected(shop, NEW)

    (back,) = [story for story in stories(role="serve") if story.kind == "delta"]
    assert back.sentence == "订单或规则有更正，「旧规则」不再给开单，收回 ¥2.70。"
