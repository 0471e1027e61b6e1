"""A version written out and read in again is the same version; a bad file is refused at the place it is bad."""

import copy
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from commissions import differences, documents, engine, plans
from commissions.models import Attainment, AttainmentStep, Plan, PlanVersion
from retail.models import StoreGroup
from tests.commissions.engine import naive
from tests.commissions.engine.worlds import ORDERS
from tests.commissions.engine.worlds import plans as random_plans
from tests.factories import NOW, world

pytestmark = pytest.mark.usefixtures("everything")


@pytest.fixture
def plan():
    StoreGroup.objects.create(code="east", name="华东")
    return Plan.objects.create(brand=world().brand, name="方案")


def storable(made):
    """A random plan whose splits come out even in parts of a million, as stored ones do."""
    for rule in made["rules"]:
        ppms = engine.allocate(1_000_000, [share["weight"] for share in rule["split"]])
        rule["split"] = [{**share, "weight": ppm} for share, ppm in zip(rule["split"], ppms, strict=True)]
    modes = {
        group: mode for group, mode in made["group_modes"].items() if group in {r["group"] for r in made["rules"]}
    }
    return {"tz": made["tz"], "group_modes": modes, "rules": made["rules"]}


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(random_plans(), st.lists(ORDERS, min_size=3, max_size=5))
def test_out_and_in_again_is_the_same_to_the_fen(plan, made, orders):
    document = storable(copy.deepcopy(made))

    first = plans.take_in(plan=plan, data=document, by=None, now=NOW)
    written = json.loads(json.dumps(documents.of_version(first)))
    second = plans.take_in(plan=plan, data=written, by=None, now=NOW)

    assert documents.of_version(second) == written
    assert plans.content_hash(second) == plans.content_hash(first)
    assert not differences.between(first, second)
    compiled = documents.compiled(second, second.rules.prefetch_related("shares"))
    for place, order in enumerate(orders):
        order["id"] = str(place)
    case = {"id": "c", "kind": "plan", "input": {"orders": orders}}
    verdict = engine.cases.evaluate(case, plan=compiled)
    assert verdict.result["entries"] == naive.evaluate({"plan": document, "orders": orders})["entries"]


STEPS = [{"from_fen": 500, "of_target_ppm": 800_000, "ppm": 5000, "is_beyond": True}]
WHOLE = {
    "schema": 1,
    "tz": "Asia/Shanghai",
    "group_modes": {"base": "highest"},
    "note": "双十一",
    "rules": [
        {
            "id": "pos",
            "name": "门店零售",
            "when": {"channel": ["pos"], "store": [12]},
            "valid": {"from": "2026-11-01T00:00:00"},
            "calc": {"type": "rate", "ppm": 30000},
            "split": [
                {"role": "serve", "weight": 6},
                {"role": "manager", "weight": 2},
                {"role": "house", "weight": 2},
            ],
            "missing": {"to_role": "manager"},
        },
        {"id": "new", "group": "new", "calc": {"type": "fixed", "fen": 500}, "cap_fen": 400},
    ],
    "attainments": [
        {"code": "month", "name": "月度", "mode": "whole", "steps": [{"from_fen": 0, "ppm": 10000, "fixed_fen": 0}]},
        {
            "code": "stores",
            "name": "门店月度",
            "level": "store",
            "role": "serve",
            "store_group": "east",
            "pay_role": "serve",
            "divide": "equal",
            "late_refund": "current_period",
            "steps": STEPS,
        },
    ],
    "actions": [
        {"type": "friend", "fen": 300, "daily_cap": 20, "budget_fen": 100_000, "budget_from": "2026-11-01"},
        {"type": "wake", "fen": 500, "once_per": "customer+day", "min_inactive_days": 90, "void_days": None},
    ],
    "cases": [{"id": "thirds", "kind": "allocate", "input": {"amount": 100, "weights": [1, 1, 1]}, "expect": {}}],
}


def test_every_list_of_a_version_comes_along(plan):
    version = plans.take_in(plan=plan, data=WHOLE, by=None, now=NOW)

    assert list(version.rules.get(code="pos").shares.values_list("role", "ppm")) == [
        ("serve", 600_000),
        ("manager", 200_000),
    ]
    assert version.rules.get(code="new").shares.count() == 0
    step = AttainmentStep.objects.get(attainment__version=version, attainment__code="month")
    assert (step.ppm, step.attainment.mode, version.cases.get().code) == (10000, "whole", "thirds")
    assert (version.note, version.group_modes, version.status) == ("双十一", {"base": "highest"}, "draft")
    written = documents.of_version(version)
    for name in ("attainments", "actions"):
        for row, said in zip(written[name], WHOLE[name], strict=True):
            assert contains(row, said), row
    for again in (
        plans.copy(version=version, by=None, now=NOW),
        plans.take_in(plan=plan, data=json.loads(json.dumps(written)), by=None, now=NOW),
    ):
        assert documents.of_version(again) == written
        assert plans.content_hash(again) == plans.content_hash(version)
        assert not differences.between(version, again)


def contains(row, said):
    """Whether a row says all that was said; null is as good as absent."""
    if isinstance(said, dict):
        return all(contains(row.get(name), value) for name, value in said.items())
    if isinstance(said, list):
        return len(row) == len(said) and all(map(contains, row, said))
    return row == said


def wrong(*path, to):
    """The whole document with one place changed; `...` takes the field away."""
    made = copy.deepcopy(WHOLE)
    *way, last = path
    place = made
    for step in way:
        place = place[step]
    if to is ...:
        del place[last]
    else:
        place[last] = to
    return made


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ([], "要写成"),
        (wrong("schema", to=2), "schema：只能是 1 之一"),
        (wrong("extra", to=1), "extra：没有这个字段"),
        (wrong("tz", to="Mars"), "tz"),
        (wrong("group_modes", "base", to="loudest"), "group_modes.base"),
        (wrong("rules", 0, "calc", "ppm", to=1.5), "rules[0].calc.ppm：要写成整数"),
        (wrong("rules", 0, "when", "weather", to=["rain"]), "rules[0].when.weather：没有这个字段"),
        (wrong("rules", 0, "when", "store", to=[]), "rules[0].when.store：列表不能是空的"),
        (wrong("rules", 0, "split", 1, "role", to="serve"), "rules[0].split"),
        (wrong("rules", 0, "split", 1, "role", to="chef"), "rules[0].split[1].role：只能是"),
        (wrong("rules", 0, "split", 0, "weight", to=3), "rules[0].split[0].weight：化成百分比除不尽"),
        (wrong("rules", 0, "missing", to={"to_role": "chef"}), "rules[0].missing.to_role"),
        (wrong("rules", 0, "valid", "to", to="2026-11-01"), "rules[0].valid.to：要晚于开始时间"),
        (wrong("rules", 0, "name", to="长" * 65), "rules[0].name：确保该变量包含不超过 64 字符"),
        (wrong("rules", 1, "id", to="pos"), "rules[1]：编码「pos」用了两次"),
        (wrong("rules", 1, "cap_fen", to=2**63), "rules[1].cap_fen"),
        (wrong("rules", 1, to="rule"), "rules[1]：要写成 {…}"),
        (wrong("attainments", 0, "steps", 0, "ppm", to=...), "attainments[0].steps[0].ppm：没有填"),
        (wrong("attainments", 0, "mode", to="both"), "attainments[0].mode"),
        (wrong("attainments", 0, "level", to="group"), "attainments[0]：按门店组累计的，要写明是哪个门店组"),
        (wrong("attainments", 1, "store_group", to="moon"), "attainments[1].store_group：没有这个编码的门店组"),
        (wrong("attainments", 1, "steps", to=STEPS * 2), "attainments[1].steps[1].from_fen：和前面一行相同"),
        (wrong("actions", 1, "type", to="friend"), "actions[1]：编码「friend」用了两次"),
        (wrong("actions", 1, "min_inactive_days", to=7), "actions[1]：唤醒沉睡客户，至少要 30 天没买过"),
        (wrong("actions", 0, "fen", to=-1), "actions[0]：金额和预算不能是负数"),
        (wrong("actions", 0, "budget_from", to="soon"), "actions[0].budget_from：要写成"),
        (wrong("actions", 0, "daily_cap", to="many"), "actions[0].daily_cap：要写成整数"),
        (wrong("cases", 0, "input", to=[]), "cases[0].input：要写成 {…}"),
        (wrong("cases", 0, "kind", to="magic"), "cases[0].kind"),
        (wrong("note", to="\x00"), "空字符"),
    ],
)
def test_a_bad_file_is_refused_at_its_place_and_nothing_is_written(plan, document, said):
    with pytest.raises(documents.DocumentRefused) as refusal:
        plans.take_in(plan=plan, data=document, by=None, now=NOW)

    assert any(said in message for message in refusal.value.messages), refusal.value.messages
    assert not PlanVersion.objects.filter(plan=plan).exists()


def test_what_two_versions_differ_in_is_said_field_by_field(plan):
    old = plans.take_in(plan=plan, data=WHOLE, by=None, now=NOW)
    document = documents.of_version(old)
    document["rules"][1]["calc"]["ppm"] = 40000  # pos: rules stand in order of code
    document["rules"][1]["split"] = [{"role": "serve", "weight": 1}]
    document["rules"][0] |= {"id": "gone-and-come"}
    document["attainments"][0]["steps"].append({"from_fen": 1_000_000, "ppm": 20000, "fixed_fen": 5000})
    document["actions"][0]["fen"] = 450
    document["group_modes"] = {}
    new = plans.take_in(plan=plan, data=document, by=None, now=NOW)

    found = differences.between(old, new)

    rules, attainments, rewards = found.sections
    assert [(change.label, change.after) for change in found.head] == [("规则组方式", "没有")]
    assert [row.code for row in rules.added] == ["gone-and-come"] and [row.code for row in rules.removed] == ["new"]
    (changed,) = rules.changed
    assert [(one.label, one.before, one.after) for one in changed.changes] == [
        ("算法", "实付 × 3%", "实付 × 4%"),
        ("分给", "开单 60%、店长 20%、公司 20%", "开单 100%"),
    ]
    assert attainments.changed[0].changes[0].after.endswith("起点 ¥10,000.00，比例 2%，达档奖 ¥50.00")
    assert [(row.code, row.changes) for row in rewards.changed] == [("friend", (("每次给", "¥3.00", "¥4.50"),))]


def test_a_column_somebody_adds_to_a_list_is_not_forgotten():
    columns = {field.name for field in documents.columns(Attainment)}

    assert columns == {field.name for field in Attainment._meta.fields} - {"id", "version"}
