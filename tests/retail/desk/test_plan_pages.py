"""The editor of plans: rules as fields and sentences, versions compared, carried out and in, cases from orders."""

import json

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from commissions import documents, plans
from commissions.models import Plan, PlanVersion, Rule
from members.models import Tier
from retail import scope
from retail.models import AuditRow, Order, StoreGroup
from tests.factories import NOW, add_rule
from tests.forms import shown

PAGE = "/admin/commissions/planversion"
BASE = {
    "id": "base",
    "name": "门店零售",
    "calc": {"type": "rate", "ppm": 30000},
    "split": [{"role": "serve", "weight": 1}],
}


@pytest.fixture
def draft(shop):
    """A draft with one rule; nobody wrote it."""
    with scope.within(scope.EVERYTHING):
        plan = Plan.objects.create(brand=shop.brand, name="方案")
        version = PlanVersion.objects.create(plan=plan, number=1)
        add_rule(version, BASE)
    return version


@pytest.fixture
def ops(shop, sign_in):
    return sign_in(shop, "hq_ops")


def add(version, **rule):
    with scope.within(scope.EVERYTHING):
        return add_rule(version, {**BASE, **rule})


def held(rows):
    """The rows as they are now."""
    with scope.within(scope.EVERYTHING):
        return list(rows.all())


def text(answer):
    return answer.content.decode()


# ── The rule ─────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("calc", "missing"),
    [
        ({"type": "rate", "ppm": 12345}, "forfeit"),
        ({"type": "rate_plus", "ppm": 10000, "fen": 150}, {"to_role": "manager"}),
        ({"type": "discount_tier", "steps": [[9000, 30000], [7000, 12500]]}, "reallocate"),
    ],
)
def test_a_rule_opened_and_saved_as_it_was_is_as_it_was(shop, ops, draft, calc, missing):
    with scope.within(scope.EVERYTHING):
        Tier.objects.create(brand=shop.brand, code="gold", name="金卡", rank=1)
        StoreGroup.objects.create(code="east", name="华东")
    when = {
        "channel": ["pos", "tmall"], "store": [shop.store.code, "S-closed"], "store_group": ["east"],
        "ownership": "direct", "brand": [shop.brand.code], "category": ["gone"], "product": [shop.product.sku],
        "member": "new", "tier": ["gold"], "live_event": ["L1"], "material": ["m1"], "min_dormant_days": 0,
        "min_discount_bp": 8880, "min_line_fen": 1, "min_order_fen": 123456,
    }  # fmt: skip
    rule = add(draft, id="all", when=when, calc=calc, missing=missing, floor_fen=1, cap_fen=99)
    page = f"/admin/commissions/rule/{rule.pk}/change/"
    opened = ops.get(page)
    assert "金卡（gold）" in text(opened) and "华东（east）" in text(opened) and "S-closed" in text(opened)
    steps = [("9", "3"), ("7", "1.25")] if "steps" in calc else []
    rows = {"calc_steps_fold": [fold for fold, _ in steps], "calc_steps_percent": [rate for _, rate in steps]}

    answer = ops.post(page, **{**shown(opened), **rows})

    assert answer.status_code == 302, answer.context["errors"]
    rule.refresh_from_db()
    assert (rule.when, rule.calc, rule.missing) == (when, calc, missing)
    with scope.within(scope.EVERYTHING):
        assert not AuditRow.objects.filter(target_type="commissions.rule").exists(), "nothing was done"


def test_a_condition_is_changed_and_the_journal_says_so(shop, ops, draft):
    rule = add(draft, id="some", when={"channel": ["pos"], "min_order_fen": 500})
    page = f"/admin/commissions/rule/{rule.pk}/change/"

    ops.post(page, **{**shown(ops.get(page)), "channel": ["pos", "jd"], "min_order_fen": "", "min_discount_bp": "8.5"})

    rule.refresh_from_db()
    assert rule.when == {"channel": ["pos", "jd"], "min_discount_bp": 8500}
    with scope.within(scope.EVERYTHING):
        row = AuditRow.objects.get(target_type="commissions.rule", action="change")
    assert set(row.before) == {"when"} and "min_order_fen" in row.before["when"]


def test_two_rules_of_a_version_cannot_have_the_same_code(ops, draft):
    rule = add(draft, id="second")
    page = f"/admin/commissions/rule/{rule.pk}/change/"

    answer = ops.post(page, **{**shown(ops.get(page)), "code": "base"})

    assert answer.context["adminform"].form.errors == {"code": ["这个版本里已经有这个编码。"]}


def preview(person, version, **fields):
    shares = {"shares-TOTAL_FORMS": "2", "shares-0-role": "serve", "shares-0-ppm": "70"}
    given = {
        "version": version.pk, "code": "new", "name": "新客首单", "group": "base", "priority": "0", "base": "paid",
        "calc_type": "rate", "calc_ppm": "5", "absent": "reallocate", "is_commissionable": "on",
        "counts_for_attainment": "on", **shares, **fields,
    }  # fmt: skip
    return text(person.post("/admin/commissions/rule/preview/", **given))


def test_the_sentence_and_the_split_are_drawn_while_somebody_types(ops, draft):
    said = preview(ops, draft, channel=["pos"], member="new", min_order_fen="200", cap_fen="30")

    assert (
        "凡渠道是门店 POS，顾客是新客，整单满 ¥200.00：给实付 × 5%，最高 ¥30.00；"
        "开单 70%、公司 30%，缺人时由在场的人分。" in said
    )
    assert "分出去 70%" in said
    assert "和「门店零售」都符合时，这条先（条件更具体），那条拿不到。" in said
    with scope.within(scope.EVERYTHING):
        assert not Rule.objects.filter(code="new").exists()


def test_a_split_of_more_than_all_and_a_rule_nobody_reaches_are_told_before_saving(ops, draft):
    over = preview(ops, draft, **{"shares-1-role": "manager", "shares-1-ppm": "30.5"})
    never = preview(ops, draft, member="new", code="z")

    assert "合计 100.5%，超出 0.5%，不能保存" in over
    assert "永远轮不到：符合它的销售都先被「门店零售」拿走。" in never
    assert "算法" not in never and "比例（%）：没有填" in preview(ops, draft, calc_ppm="")


def test_stores_are_found_by_name_or_code(shop, ops):
    found = ops.get("/admin/commissions/rule/values/", condition="store", term=shop.store.name[-3:]).json()["results"]

    assert {"id": shop.store.code, "text": f"{shop.store.name}（{shop.store.code}）"} in found
    for hostile in ({"page": "9" * 30}, {"condition": "password"}, {"page": "-1"}):
        assert ops.get("/admin/commissions/rule/values/", **{"condition": "store", **hostile}).status_code == 200
    assert ops.get("/admin/commissions/rule/values/", condition="store", term="\x00").status_code == 400


# ── The version ──────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_version_reads_as_sentences_in_the_order_they_are_tried(ops, draft):
    add(draft, id="never", name="永远轮不到的", when={"member": "new"}, priority=-1)
    add(draft, id="first", name="直营优先", when={"ownership": ["direct"]})

    page = text(ops.get(f"{PAGE}/{draft.pk}/change/"))

    assert page.index(">直营优先</a>") < page.index(">门店零售</a>") < page.index(">永远轮不到的</a>")
    assert "凡门店是直营：给实付 × 3%；开单 100%，缺人时留在公司。" in page
    assert "永远轮不到：符合它的销售都先被「门店零售」拿走。" in page
    assert "规则检查没有发现问题" not in page


def test_the_page_of_a_long_version_takes_no_more_queries(ops, draft):
    def queries():
        with CaptureQueriesContext(
            connection,
        ) as caught:
            assert ops.get(f"{PAGE}/{draft.pk}/change/").status_code == 200
        return len(caught)

    queries()
    few = queries()
    for place in range(12):
        add(draft, id=f"r{place}", group=f"g{place}", when={"store": [f"S{place}"], "tier": ["gold"]})
    assert queries() <= few + 2  # the names of stores and tiers, once


def test_the_way_rules_compete_is_chosen_for_each_group_and_asks_for_new_trials(ops, draft):
    with scope.within(scope.EVERYTHING):
        plans.try_out(version=draft, by=None, now=NOW)

    page = f"{PAGE}/{draft.pk}/change/"

    ops.post(page, **{**shown(ops.get(page)), "group_modes_group": ["base"], "group_modes_mode": ["highest"]})

    draft.refresh_from_db()
    assert (draft.group_modes, draft.status) == ({"base": "highest"}, "draft")
    as_before = shown(ops.get(page))
    refused = ops.post(page, **{**as_before, "group_modes_group": ["base"], "group_modes_mode": ["loudest"]})
    assert "group_modes" in refused.context["adminform"].form.errors


def test_a_version_is_carried_out_and_in(ops, draft):
    sent = ops.get(f"{PAGE}/{draft.pk}/export/")
    assert sent.headers["Content-Disposition"].endswith('-v1.json"')

    page = f"/admin/commissions/plan/{draft.plan_id}/import/"
    answer = ops.post(page, document=text(sent))

    with scope.within(scope.EVERYTHING):
        made = PlanVersion.objects.get(number=2)
        assert answer.headers["Location"] == f"{PAGE}/{made.pk}/change/"
        assert documents.of_version(made) == documents.of_version(draft)
        assert made.written_by == ops.user
    document = json.loads(text(sent))
    document["rules"][0]["calc"]["ppm"] = -1
    assert "rules[0].calc.ppm：不能小于 0" in text(ops.post(page, document=json.dumps(document)))
    assert "不是正确的 JSON" in text(ops.post(page, document="{"))
    nothing = text(ops.post(page, document="[]"))
    assert "该字段是必填项" not in nothing and "desk-faults" in nothing
    with scope.within(scope.EVERYTHING):
        assert PlanVersion.objects.count() == 2


def test_two_versions_are_compared_on_a_page(ops, draft):
    with scope.within(scope.EVERYTHING):
        plans.approve(version=draft, by=None, now=NOW)
        copied = plans.copy(version=draft, by=None, now=NOW)
    assert "两个版本内容一样。" in text(ops.get(f"{PAGE}/{copied.pk}/compare/"))
    with scope.within(scope.EVERYTHING):
        copied.rules.update(calc={"type": "rate", "ppm": 50000})
    add(copied, id="added", name="加的")

    page = text(ops.get(f"{PAGE}/{copied.pk}/compare/", **{"with": draft.pk}))

    assert "<del>实付 × 3%</del> → <ins>实付 × 5%</ins>" in page
    assert "<strong>加的</strong>" in page


# ── Cases ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_an_order_becomes_a_case_after_it_was_read(shop, ops, sign_in, draft):
    with scope.within(scope.EVERYTHING):
        shop.hire("C-seller")
        sold = shop.order(serving_clerk="C-seller")
        shop.settle(sold)
        order = Order.objects.get(outer_order_id=sold.outer_order_id)
    page = f"{PAGE}/{draft.pk}/case-of-order/"
    assert order.outer_order_id in text(ops.get(page)), "offered without typing"

    read = text(ops.get(page, order=order.outer_order_id))
    assert "第 1 行，按「门店零售」，开单" in read and "得 ¥3.00" in read
    assert not held(draft.cases)
    ops.post(page, order=order.outer_order_id)

    (case,) = held(draft.cases)
    assert case.expect["totals"] == {"C-seller": 300}
    shown_now = text(ops.get(f"{PAGE}/{draft.pk}/change/"))
    assert "1 个，全部通过" in shown_now
    with scope.within(scope.EVERYTHING):
        draft.rules.update(calc={"type": "rate", "ppm": 20000})
    assert "C-seller 应得 ¥3.00，算得 ¥2.00" in text(ops.get(f"{PAGE}/{draft.pk}/change/"))
    assert "没有找到这个单号" in text(ops.get(page, order="nowhere"))
    # Offered where somebody looks at the order, to who may write the draft.
    with scope.within(scope.EVERYTHING):
        why = f"/admin/retail/orderline/{order.lines.get().pk}/why/"
    assert f"{page}?order={order.outer_order_id}" in text(ops.get(why))
    assert page not in text(sign_in(shop, "hq_finance").get(why))


def test_cases_are_pasted_edited_and_taken_out(ops, draft):
    page = f"{PAGE}/{draft.pk}/cases/"
    case = {"id": "thirds", "kind": "allocate", "input": {"amount": 100, "weights": [1, 1, 1]}, "expect": {}}
    assert "cases[0].kind" in text(ops.post(page, document=json.dumps([{**case, "kind": "x"}])))
    ops.post(page, document=json.dumps({"cases": [case]}))
    (kept,) = held(draft.cases)
    edit = f"/admin/commissions/plancase/{kept.pk}/change/"

    refused = ops.post(edit, **{**shown(ops.get(edit)), "input": '{"amount": 1}'})
    assert "weights：没有填" in str(refused.context["adminform"].form.errors)
    ops.post(edit, **{**shown(ops.get(edit)), "expect": '{"parts": [34, 33, 33]}'})
    kept.refresh_from_db()
    assert kept.expect == {"parts": [34, 33, 33]}
    ops.post(f"/admin/commissions/plancase/{kept.pk}/remove/", _form_submitted="True")
    assert not held(draft.cases)


def test_a_rule_is_taken_out_of_a_draft_by_who_may_write_it(ops, sign_in, shop, draft):
    rule = add(draft, id="extra")
    page = f"/admin/commissions/rule/{rule.pk}/remove/"

    assert sign_in(shop, "hq_finance").post(page, _form_submitted="True").status_code == 403
    answer = ops.post(page, _form_submitted="True")

    assert answer.headers["HX-Redirect"] == f"{PAGE}/{draft.pk}/change/"
    assert [one.code for one in held(draft.rules)] == ["base"]


def test_a_reward_is_written_in_yuan_on_the_page_of_a_version_without_attainments(ops, draft):
    page = f"{PAGE}/{draft.pk}/change/"
    row = {"action_rates-0-type": "friend", "action_rates-0-fen": "3.50", "action_rates-0-once_per": "customer"}

    answer = ops.post(page, **{**shown(ops.get(page)), "action_rates-TOTAL_FORMS": "1", **row})

    assert answer.status_code == 302, answer.context["errors"]
    (made,) = held(draft.action_rates)
    assert (made.type, made.fen) == ("friend", 350)
    assert '"3.5"' in text(ops.get(page)) or '"3.50"' in text(ops.get(page))


def test_a_version_in_force_is_ended_by_finance_with_a_reason(shop, sign_in, draft):
    finance = sign_in(shop, "hq_finance")
    with scope.within(scope.EVERYTHING):
        plans.approve(version=draft, by=None, now=NOW)
        plans.activate(version=draft, starts_at=NOW, by=None, now=NOW)

    finance.post(f"{PAGE}/{draft.pk}/retire/", _form_submitted="True", ends_at="2126-12-01 00:00", reason="换方案")

    draft.refresh_from_db()
    assert draft.status == "retired" and draft.ends_at.year == 2126
