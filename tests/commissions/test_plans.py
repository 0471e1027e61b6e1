"""The life of a plan version."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction

from commissions import plans
from commissions.models import Attainment, AttainmentStep, Plan, PlanCase, PlanVersion, Rule, Share
from commissions.plans import PlanRefused
from retail import audit
from retail.models import AuditRow
from tests.factories import LONG_AGO, NOW, user, world

pytestmark = pytest.mark.usefixtures("everything")

RULE = {"id": "r", "calc": {"type": "rate", "ppm": 10000}, "split": [{"role": "serve", "weight": 1}]}


@pytest.fixture
def active():
    return world().plan(RULE)


@pytest.fixture
def draft(active):
    return plans.copy(version=active, by=user(), now=NOW)


def test_a_copy_is_a_draft_with_the_same_content(draft):
    ladder = Attainment.objects.create(version=draft, code="month", name="月度")
    AttainmentStep.objects.create(attainment=ladder, from_fen=0, ppm=10000)
    plans.approve(version=draft, by=None, now=NOW)

    copied = plans.copy(version=draft, by=None, now=NOW)

    assert (copied.status, copied.number) == ("draft", draft.number + 1)
    assert plans.content_hash(copied) == plans.content_hash(draft)
    copied.attainments.get().steps.update(ppm=1)
    assert plans.content_hash(copied) != plans.content_hash(draft)


def test_the_author_may_not_approve(draft):
    with pytest.raises(PlanRefused, match="编写人"):
        plans.approve(version=draft, by=draft.written_by, now=NOW)


def test_the_database_too_refuses_an_author_who_approves(draft):
    draft.approved_by = draft.written_by
    with pytest.raises(IntegrityError, match="plan_version_approved_by_another"), transaction.atomic():
        draft.save()


def test_approval_and_start_are_audited(draft):
    second = user()
    plans.approve(version=draft, by=second, now=NOW)
    plans.activate(version=draft, starts_at=NOW, by=second, now=NOW)

    acts = AuditRow.objects.filter(target_id=str(draft.pk)).order_by("pk").values_list("action", "by")
    assert list(acts)[-2:] == [("plan.approve", second.pk), ("plan.activate", second.pk)]


def test_the_next_version_ends_the_one_in_force(active, draft):
    plans.approve(version=draft, by=user(), now=NOW)
    plans.activate(version=draft, starts_at=NOW, by=None, now=NOW)

    active.refresh_from_db()
    assert (active.status, active.ends_at) == ("retired", NOW)
    just_before = NOW - timedelta(microseconds=1)
    brand_id = active.plan.brand_id
    assert plans.at(brand_id=brand_id, moment=just_before).version_id == active.pk
    assert plans.at(brand_id=brand_id, moment=NOW).version_id == draft.pk


def test_two_versions_are_never_in_force_at_once(active):
    with pytest.raises(IntegrityError, match="plan_one_version_at_a_time"), transaction.atomic():
        PlanVersion.objects.create(plan=active.plan, number=99, status="active", starts_at=NOW)


def test_a_version_may_start_before_one_to_come_and_holds_until_then(active, draft):
    plans.approve(version=draft, by=None, now=NOW)
    plans.activate(version=draft, starts_at=NOW + timedelta(days=30), by=None, now=NOW)
    third = plans.copy(version=active, by=None, now=NOW)
    plans.approve(version=third, by=None, now=NOW)

    with pytest.raises(PlanRefused, match="另一个版本"):
        plans.activate(version=third, starts_at=NOW + timedelta(days=30), by=None, now=NOW)
    plans.activate(version=third, starts_at=NOW + timedelta(days=7), by=None, now=NOW)

    held = [
        plans.at(brand_id=active.plan.brand_id, moment=NOW + timedelta(days=days)).version_id
        for days in (6, 7, 29, 30)
    ]
    assert held == [active.pk, third.pk, third.pk, draft.pk]


def test_blanks_are_no_reason(draft):
    plans.approve(version=draft, by=None, now=NOW)

    with pytest.raises(PlanRefused, match="原因"):
        plans.activate(version=draft, starts_at=NOW - timedelta(days=1), by=None, now=NOW, reason="  ")


def test_a_correction_takes_the_place_of_what_held_since_and_leaves_what_is_to_come(active, draft):
    wrong, correction, to_come = draft, *(plans.copy(version=active, by=None, now=NOW) for _ in range(2))
    for version in (wrong, correction, to_come):
        plans.approve(version=version, by=None, now=NOW)
    plans.activate(version=wrong, starts_at=NOW, by=None, now=NOW)
    later = NOW + timedelta(days=20)
    plans.activate(version=to_come, starts_at=NOW + timedelta(days=30), by=None, now=later)
    since = NOW - timedelta(days=10)

    plans.activate(version=correction, starts_at=since, by=None, now=later, reason="比例填错")

    held = {
        days: plans.at(brand_id=active.plan.brand_id, moment=NOW + timedelta(days=days)).version_id
        for days in (-11, -10, 0, 25, 30)
    }
    assert held == {-11: active.pk, -10: correction.pk, 0: correction.pk, 25: correction.pk, 30: to_come.pk}
    wrong.refresh_from_db()
    assert (wrong.status, wrong.starts_at, wrong.ends_at) == ("retired", NOW, NOW)
    assert AuditRow.objects.filter(action="plan.activate").latest("pk").after["reason"] == "比例填错"


def test_what_is_sealed_cannot_be_approved_again(active, draft):
    plans.approve(version=draft, by=None, now=NOW)

    for version in (active, draft):
        with pytest.raises(PlanRefused, match="草稿"):
            plans.approve(version=version, by=None, now=NOW)


def test_only_an_approved_version_can_start(draft):
    with pytest.raises(PlanRefused):
        plans.activate(version=draft, starts_at=NOW, by=None, now=NOW)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"calc": {"type": "rate", "ppm": -1}}, "r"),
        ({"when": {"weather": ["rain"]}}, "weather"),
        ({"when": {"channel": []}}, "channel"),
        ({"calc": {"type": "discount_tier", "steps": [[7000, 1], [8000, 2]]}}, "steps"),
    ],
)
def test_what_could_not_be_meant_is_refused_with_its_name(draft, change, message):
    draft.rules.update(**change)

    with pytest.raises(PlanRefused, match=message):
        plans.approve(version=draft, by=None, now=NOW)


def test_more_than_everything_cannot_be_given_away(draft):
    Share.objects.create(rule=draft.rules.get(), role="manager", ppm=1)

    with pytest.raises(PlanRefused, match="100%"):
        plans.approve(version=draft, by=None, now=NOW)


def test_a_version_without_rules_is_refused():
    plan = Plan.objects.create(brand=world().brand, name="空")
    empty = PlanVersion.objects.create(plan=plan, number=1)

    with pytest.raises(PlanRefused, match="没有规则"):
        plans.approve(version=empty, by=None, now=NOW)


def test_validity_is_the_wall_clock_of_the_plan(draft):
    rule = draft.rules.get()
    rule.valid_from = NOW.replace(hour=0, minute=0)
    rule.valid_to = None

    document = plans.as_document(Rule.objects.get(pk=rule.pk), "Asia/Shanghai")
    assert "valid" not in document
    assert plans.as_document(rule, "Asia/Shanghai")["valid"] == {"from": "2026-10-12T00:00:00"}
    assert plans.as_document(rule, "UTC")["valid"] == {"from": "2026-10-11T16:00:00"}


def test_before_the_first_version_nothing_holds(active):
    assert plans.at(brand_id=active.plan.brand_id, moment=LONG_AGO - timedelta(seconds=1)) is None


@pytest.mark.parametrize(
    "tamper",
    [
        lambda version: version.rules.update(priority=5),
        lambda version: version.rules.get().shares.update(ppm=1),
        lambda version: version.rules.get().shares.all().delete(),
        lambda version: Rule.objects.create(version=version, code="late", name="late", calc={}),
        lambda version: Share.objects.create(rule=version.rules.get(), role="manager", ppm=1),
        lambda version: Attainment.objects.create(version=version, code="x", name="x"),
        lambda version: PlanCase.objects.create(version=version, code="x", kind="plan", input={"orders": []}),
        lambda version: PlanVersion.objects.filter(pk=version.pk).update(status="draft"),
        lambda version: PlanVersion.objects.filter(pk=version.pk).update(group_modes={"base": "sum"}),
        lambda version: Rule.objects.filter(version=version).delete(),
    ],
)
def test_a_sealed_version_refuses_every_change(active, tamper):
    with pytest.raises(IntegrityError, match="sealed"), transaction.atomic():
        tamper(active)


def test_no_version_starts_in_the_past_of_another(draft):
    plans.approve(version=draft, by=None, now=NOW)

    with pytest.raises(PlanRefused, match="早于现在"):
        plans.activate(version=draft, starts_at=NOW - timedelta(seconds=1), by=None, now=NOW)


def test_a_plan_that_cannot_be_compiled_is_not_approved(draft):
    PlanVersion.objects.filter(pk=draft.pk).update(group_modes={"base": "loudest"})
    draft.refresh_from_db()

    with pytest.raises(PlanRefused, match="group_modes"):
        plans.approve(version=draft, by=None, now=NOW)


def test_who_changed_a_draft_may_not_approve_it(draft):
    editor = user()
    audit.record(by=editor, action="change", target=draft.rules.get(), now=NOW, after={"calc": "…"})

    with pytest.raises(plans.PlanRefused, match="改过"):
        plans.approve(version=draft, by=editor, now=NOW)
    plans.approve(version=draft, by=user(), now=NOW)
