"""A version carries its own cases; all of them must pass before it is approved, and any edit asks for them again."""

from datetime import timedelta

import pytest

from commissions import cases, documents, plans, samples
from commissions.models import Attainment, AttainmentStep, PlanCase
from retail.models import AuditRow, Order
from tests.factories import NOW, user, world

pytestmark = pytest.mark.usefixtures("everything")

RULE = {"id": "r", "calc": {"type": "rate", "ppm": 10000}, "split": [{"role": "serve", "weight": 1}]}
SALE = {
    "id": "sale",
    "kind": "plan",
    "input": {
        "orders": [
            {
                "id": "O1",
                "paid_at": "2026-10-12T10:00:00",
                "roles": {"serve": "li"},
                "lines": [{"id": "1", "paid_fen": 10000, "tag_fen": 10000, "qty": 1}],
            }
        ]
    },
    "expect": {"totals": {"li": 100}},
}


@pytest.fixture
def shop():
    return world()


@pytest.fixture
def draft(shop):
    return plans.copy(version=shop.plan(RULE), by=user(), now=NOW)


def add(version, *given):
    return samples.take_in(version=version, data={"cases": list(given)}, by=None, now=NOW)


def test_a_version_is_tested_by_its_cases_and_an_edit_asks_for_them_again(draft):
    add(draft, SALE)
    assert plans.try_out(version=draft, by=None, now=NOW) == 1
    draft.refresh_from_db()
    assert draft.status == "tested"

    plans.open_for_editing(version=draft)

    draft.refresh_from_db()
    assert draft.status == "draft"


def test_a_case_that_fails_keeps_a_version_from_being_tested_and_approved(draft):
    add(draft, SALE, {**SALE, "id": "wrong", "expect": {"totals": {"li": 99}}})

    for verb in (plans.try_out, plans.approve):
        with pytest.raises(plans.PlanRefused, match="1 个用例没有通过：wrong"):
            verb(version=draft, by=user(), now=NOW)
    draft.refresh_from_db()
    assert draft.status == "draft"


def test_the_rules_of_the_version_judge_whatever_plan_the_case_carries(draft):
    other = {"rules": [{"id": "r", "calc": {"type": "fixed", "fen": 1}}]}
    add(draft, {**SALE, "input": {**SALE["input"], "plan": other}})

    ((_case, verdict),) = cases.judge(draft)

    assert verdict.ok


def test_a_case_may_name_an_attainment_of_the_version(draft):
    ladder = Attainment.objects.create(version=draft, code="month", name="月度", mode="whole")
    AttainmentStep.objects.create(attainment=ladder, from_fen=0, ppm=10000)
    tier = {"id": "tier", "kind": "tier", "input": {"attainment": "month", "amounts": [10000]}}
    add(draft, {**tier, "expect": {"total": 100}})

    assert plans.try_out(version=draft, by=None, now=NOW) == 1

    ladder.steps.update(ppm=20000)
    with pytest.raises(plans.PlanRefused, match="tier"):
        plans.try_out(version=draft, by=None, now=NOW)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"cases": 1}, "cases：要写成列表"),
        ([{**SALE, "kind": "magic"}], "cases[0].kind"),
        ([SALE, SALE], "cases[1]：编码「sale」用了两次"),
        ([SALE, {**SALE, "id": "there"}], "cases[1]：编码「there」已经有了"),
        ([{**SALE, "input": {"orders": [{"id": "O"}]}}], "cases[0].input.orders[0].paid_at：没有填"),
    ],
)
def test_a_bad_file_of_cases_is_refused_at_its_place(draft, given, said):
    PlanCase.objects.create(version=draft, code="there", kind="allocate", input={"amount": 1, "weights": [1]})

    with pytest.raises(documents.DocumentRefused) as refusal:
        samples.take_in(version=draft, data=given, by=None, now=NOW)

    assert any(said in message for message in refusal.value.messages), refusal.value.messages
    assert draft.cases.count() == 1


def test_an_order_becomes_a_case_that_expects_what_the_version_gives(shop, draft):
    shop.hire("C1")
    sold = shop.order(serving_clerk="C1", lines=[{"paid_fen": 10000}, {"paid_fen": 3333, "tag_fen": 9999}])
    shop.settle(sold)
    shop.refund(sold, line="2", fen=1111)
    order = Order.objects.get(outer_order_id=sold.outer_order_id)

    kept = samples.keep_order(version=draft, order=order, by=None, now=NOW)

    assert kept.expect["totals"] == {"C1": 100 + 33 - 11}
    assert [row[4] for row in kept.expect["entries"]] == [100, 33, -11]
    assert plans.try_out(version=draft, by=None, now=NOW) == 1
    draft.rules.update(calc={"type": "rate", "ppm": 20000})
    assert not cases.judge(draft)[0][1].ok
    with pytest.raises(plans.PlanRefused, match="已经有这笔订单"):
        samples.keep_order(version=draft, order=order, by=None, now=NOW)


def test_cases_of_a_sealed_version_stay_as_they_are(draft):
    add(draft, SALE)
    plans.approve(version=draft, by=None, now=NOW)

    for act in (
        lambda: add(draft, {**SALE, "id": "more"}),
        lambda: plans.remove(row=draft.cases.get(), by=None, now=NOW),
    ):
        with pytest.raises(plans.PlanRefused, match="封存"):
            act()
    assert draft.cases.count() == 1


def test_a_rule_is_taken_out_of_a_draft_and_journalled(draft):
    plans.remove(row=draft.rules.get(), by=None, now=NOW)

    assert not draft.rules.exists()
    assert AuditRow.objects.filter(action="delete", target_id=str(draft.pk)).latest("pk").before == {"row": "r"}


def test_a_version_in_force_is_ended_without_a_successor(shop):
    active, until = shop.plan(RULE), NOW + timedelta(days=3)

    plans.retire(version=active, ends_at=until, by=None, now=NOW, reason="停业装修")

    active.refresh_from_db()
    assert (active.status, active.ends_at) == ("retired", until)
    assert plans.at(brand_id=shop.brand.pk, moment=until - timedelta(seconds=1)).version_id == active.pk
    assert plans.at(brand_id=shop.brand.pk, moment=until) is None
    assert AuditRow.objects.get(action="plan.retire").reason == "停业装修"


def test_one_that_has_not_begun_is_called_off(draft):
    plans.approve(version=draft, by=None, now=NOW)
    plans.activate(version=draft, starts_at=NOW + timedelta(days=9), by=None, now=NOW)

    plans.retire(version=draft, ends_at=NOW, by=None, now=NOW, reason="不做了")

    draft.refresh_from_db()
    assert draft.starts_at == draft.ends_at == NOW + timedelta(days=9)


@pytest.mark.parametrize(("ends_at", "reason", "said"), [(-1, "x", "早于现在"), (1, " ", "原因")])
def test_what_has_passed_is_not_ended_and_nothing_without_a_reason(shop, ends_at, reason, said):
    active = shop.plan(RULE)

    with pytest.raises(plans.PlanRefused, match=said):
        plans.retire(version=active, ends_at=NOW + timedelta(days=ends_at), by=None, now=NOW, reason=reason)
