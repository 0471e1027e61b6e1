"""Plans in the admin: a draft is edited, a sealed version is not, and every refusal says why."""

import pytest

from commissions import plans
from commissions.models import Plan, PlanVersion, Rule, Share
from retail import scope
from retail.models import AuditRow
from tests.factories import NOW, add_rule

RULE = {"id": "base", "calc": {"type": "rate", "ppm": 30000}, "split": [{"role": "serve", "weight": 1}]}


@pytest.fixture
def draft(shop):
    """A draft version with one rule; nobody wrote it."""
    with scope.within(scope.EVERYTHING):
        plan = Plan.objects.create(brand=shop.brand, name="方案")
        version = PlanVersion.objects.create(plan=plan, number=1)
        add_rule(version, RULE)
    return version


def rule_form(version, rule=None, shares=(("serve", "100"),), **fields):
    """What the rule page posts."""
    rows = {}
    with scope.within(scope.EVERYTHING):
        kept = list(rule.shares.all()) if rule else []
    for place, (role, percent) in enumerate(shares):
        rows |= {f"shares-{place}-role": role, f"shares-{place}-ppm": percent, f"shares-{place}-place": str(place)}
        if place < len(kept):
            rows |= {f"shares-{place}-id": kept[place].pk, f"shares-{place}-rule": rule.pk}
    return {
        "version": version.pk, "code": "extra", "name": "新规则", "group": "base", "priority": "0", "base": "paid",
        "calc_type": "rate", "calc_ppm": "1", "absent": "forfeit",
        "is_commissionable": "on", "counts_for_attainment": "on",
        "shares-TOTAL_FORMS": str(len(shares)), "shares-INITIAL_FORMS": str(len(kept)), **rows, **fields,
    }  # fmt: skip


def test_a_rule_is_written_with_its_split_and_journalled(shop, sign_in, draft):
    ops = sign_in(shop, "hq_ops")

    answer = ops.post(
        "/admin/commissions/rule/add/",
        **rule_form(draft, shares=[("serve", "70"), ("manager", "12.5")], cap_fen="88.50", channel=["pos"]),
    )

    assert answer.status_code == 302, answer.context["errors"]
    with scope.within(scope.EVERYTHING):
        rule = Rule.objects.get(code="extra")
        assert (rule.cap_fen, rule.when) == (8850, {"channel": ["pos"]})
        assert list(rule.shares.values_list("role", "ppm")) == [("serve", 700_000), ("manager", 125_000)]
        assert AuditRow.objects.filter(target_type="commissions.share", action="add").count() == 2


def test_more_than_the_whole_cannot_be_shared_out(shop, sign_in, draft):
    ops = sign_in(shop, "hq_ops")

    form = rule_form(draft, shares=[("serve", "80"), ("manager", "20.0001")])

    answer = ops.post("/admin/commissions/rule/add/", **form)

    assert answer.status_code == 200
    first = answer.content.decode().partition('class="desk-faults"')[2].partition("</ul>")[0]
    assert "分成合计 100.0001%，不能超过 100%。" in first, "before the fields, not only beside the split"
    with scope.within(scope.EVERYTHING):
        assert not Rule.objects.filter(code="extra").exists()


@pytest.mark.parametrize(
    ("field", "said", "words"),
    [
        ("calc_ppm", "", "没有填"),
        ("min_order_fen", "一百", "输入一个数字。"),
        ("store", ["S-nowhere"], "没有这个编码：S-nowhere"),
        ("category", ["\x00"], "没有这个编码："),
        ("valid_to_0", "2020-01-01", None),
    ],
)
def test_what_cannot_be_meant_is_told_at_its_field(shop, sign_in, draft, field, said, words):
    ops = sign_in(shop, "hq_ops")
    since = {"valid_from_0": "2026-01-01", "valid_from_1": "00:00", "valid_to_1": "00:00"} if words is None else {}

    answer = ops.post("/admin/commissions/rule/add/", **rule_form(draft, **since, **{field: said}))

    expected = {field: [words]} if words else {"valid_to": ["结束要晚于开始。"]}
    assert answer.context["adminform"].form.errors == expected


def test_a_version_goes_from_draft_to_force_by_two_people(shop, sign_in, draft):
    ops, finance = sign_in(shop, "hq_ops"), sign_in(shop, "hq_finance")
    page = f"/admin/commissions/planversion/{draft.pk}"

    assert ops.post(f"{page}/approve/", _form_submitted="True").status_code == 403
    assert finance.post(f"{page}/approve/", _form_submitted="True").status_code == 403, "not tried yet"
    ops.post(f"{page}/test/", _form_submitted="True")
    finance.post(f"{page}/approve/", _form_submitted="True")
    finance.post(f"{page}/activate/", _form_submitted="True", starts_at="2026-12-01 00:00")

    draft.refresh_from_db()
    assert (draft.status, draft.approved_by) == ("active", finance.user)
    assert draft.starts_at.isoformat() == "2026-11-30T16:00:00+00:00"


def test_a_refusal_is_told_in_its_own_words(shop, sign_in, draft):
    finance = sign_in(shop, "hq_finance")
    with scope.within(scope.EVERYTHING):
        PlanVersion.objects.filter(pk=draft.pk).update(written_by=finance.user, status="tested")

    finance.post(f"/admin/commissions/planversion/{draft.pk}/approve/", _form_submitted="True")

    assert "批准人不能是编写人" in finance.get(f"/admin/commissions/planversion/{draft.pk}/change/").content.decode()
    draft.refresh_from_db()
    assert draft.status == "tested"


def test_opening_a_dialog_changes_nothing(shop, sign_in, draft):
    finance = sign_in(shop, "hq_finance")
    with scope.within(scope.EVERYTHING):
        PlanVersion.objects.filter(pk=draft.pk).update(status="tested")

    answer = finance.get(f"/admin/commissions/planversion/{draft.pk}/approve/")

    assert "批准后内容封存" in answer.content.decode()
    draft.refresh_from_db()
    assert draft.status == "tested"


def test_a_sealed_version_cannot_be_edited_by_anybody(shop, sign_in, draft):
    ops = sign_in(shop, "hq_ops")
    with scope.within(scope.EVERYTHING):
        plans.approve(version=draft, by=None, now=NOW)
        rule, share = Rule.objects.get(), Share.objects.get()

    tries = [
        ops.post(f"/admin/commissions/planversion/{draft.pk}/change/", plan=draft.plan_id, note="x"),
        ops.post(f"/admin/commissions/rule/{rule.pk}/change/", **rule_form(draft, rule, shares=[("manager", "1")])),
        ops.post("/admin/commissions/rule/add/", **rule_form(draft)),
    ]

    assert [answer.status_code for answer in tries] == [403, 403, 200]
    assert tries[2].context["adminform"].form.errors["version"]
    with scope.within(scope.EVERYTHING):
        assert Rule.objects.count() == 1
        assert Share.objects.get() == share and Share.objects.get().role == "serve"


def test_a_sealed_version_is_changed_by_copying_it(shop, sign_in, draft):
    ops = sign_in(shop, "hq_ops")
    with scope.within(scope.EVERYTHING):
        plans.approve(version=draft, by=None, now=NOW)

    answer = ops.post(f"/admin/commissions/planversion/{draft.pk}/copy/", _form_submitted="True")

    with scope.within(scope.EVERYTHING):
        copied = PlanVersion.objects.get(number=2)
        assert (copied.status, copied.written_by, copied.rules.count()) == ("draft", ops.user, 1)
    assert answer.headers["HX-Redirect"] == f"/admin/commissions/planversion/{copied.pk}/change/"


def test_a_new_version_gets_its_number_and_author(shop, sign_in, draft):
    ops = sign_in(shop, "hq_ops")

    ops.post("/admin/commissions/planversion/add/", plan=draft.plan_id, note="双十一")

    with scope.within(scope.EVERYTHING):
        assert PlanVersion.objects.values_list("number", "written_by").get(note="双十一") == (2, ops.user.pk)
