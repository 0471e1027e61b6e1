"""Pages of points and tiers: rules in yuan and points, a try of another rule, points and tiers by hand."""

from datetime import timedelta

import pytest
from django.utils import timezone

from members.models import Membership, PointsAdjustment, PointsEntry, PointsRule, Tier, TierMove, TierRule
from retail import approvals, scope, shapes
from retail.models import AuditRow
from tests.factories import LONG_AGO, World

SENT = {"_form_submitted": "True"}  # a dialog that was filled in
RULES, TRIAL = "/admin/members/pointsrule/", "/admin/members/tierrule/{}/trial/"


@pytest.fixture
def counter(shop) -> World:
    """Two members with points, a ladder and its rule."""
    with scope.within(scope.EVERYTHING):
        PointsRule.objects.create(brand=shop.brand, name="消费积分", starts_on=LONG_AGO.date())
        TierRule.objects.create(brand=shop.brand)
        for rank, (name, threshold) in enumerate([("普卡", 0), ("银卡", 100_000), ("金卡", 500_000)]):
            Tier.objects.create(brand=shop.brand, code=f"t{rank}", name=name, rank=rank, threshold=threshold)
        now = timezone.now() - timedelta(hours=1)
        for n, fen in enumerate([90_000, 120_000]):
            buyer = (shapes.Buyer("phone", f"1380000000{n}"),)
            shop.settle(shop.order(lines=[{"paid_fen": fen}], buyer=buyer, paid_at=now), now=now)
    return shop


@pytest.fixture(autouse=True)
def _all():
    with scope.within(scope.EVERYTHING):
        yield


def rule_form(shop: World, **fields):
    return {
        "brand": shop.brand.pk, "name": "会员日双倍", "kind": "times", "spend_fen": "1", "points": "1",
        "times_percent": "1.5", "month_days": "8，18 28", "starts_on": "2026-01-01", "life": "next_year",
        "priority": "0", **fields,
    }  # fmt: skip


# ── Points ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_rule_is_written_in_yuan_and_points(counter, sign_in):
    ops = sign_in(counter, "hq_ops")
    page = ops.post(f"{RULES}add/", **rule_form(counter, kind="basic", spend_fen="12.50", points="3"))
    assert page.status_code == 302, page.context["errors"]
    made = PointsRule.objects.latest("pk")
    assert (made.spend_fen, made.points, made.times_percent, made.month_days) == (1250, 3, 150, [8, 18, 28])
    shown = ops.get(RULES).content.decode()
    assert "每 12.50 元 3 分" in shown and "每 1 元 1 分" in shown and "每月 8, 18, 28 号" in shown


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"times_percent": "1"}, "times_percent"),
        ({"month_days": "32"}, "month_days"),
        ({"month_days": "八"}, "month_days"),
        ({"kind": "basic", "life": "days"}, "lives_days"),
        ({"ends_on": "2025-12-31"}, "ends_on"),
        ({"kind": "basic", "spend_fen": "0"}, "spend_fen"),
    ],
)
def test_what_is_wrong_with_a_rule_is_said_at_the_field(counter, sign_in, wrong, field):
    page = sign_in(counter, "hq_ops").post(f"{RULES}add/", **rule_form(counter, **wrong))
    assert page.status_code == 200 and field in page.context["adminform"].form.errors
    assert PointsRule.objects.count() == 1


def test_the_entries_of_a_member(counter, sign_in, django_assert_max_num_queries):
    manager = sign_in(counter, "store_manager")
    one = Membership.objects.latest("pk")
    with django_assert_max_num_queries(16):
        page = manager.get("/admin/members/pointsentry/", membership__id__exact=one.pk).content.decode()
    assert "+1,200" in page and "消费积分" in page and "+900" not in page
    shown = manager.get(f"/admin/members/membership/{one.pk}/change/").content.decode()
    assert "1,200" in shown and "银卡" in shown and "离金卡还差 ¥3,800.00" in shown and "补发或扣减积分" not in shown
    elsewhere = sign_in(counter, "store_manager", store=counter.another_store())
    assert elsewhere.get(f"/admin/members/pointsentry/{one.points_entries.get().pk}/change/").status_code == 404


def adjust(person, membership, **fields):
    return person.post(
        f"/admin/members/membership/{membership.pk}/adjust_points/", **{**SENT, "reason": "漏记", **fields}
    )


def test_a_few_points_by_hand(counter, sign_in):
    ops, one = sign_in(counter, "hq_ops"), Membership.objects.earliest("pk")
    adjust(ops, one, points="-50")
    adjust(ops, one, points="20", expires_on=(timezone.localdate() + timedelta(days=9)).isoformat())
    one.refresh_from_db()
    assert one.points == 870
    assert {row.by for row in PointsAdjustment.objects.all()} == {ops.user}
    assert AuditRow.objects.filter(action="points.adjust").count() == 2
    manager = sign_in(counter, "store_manager")
    assert adjust(manager, one, points="20").status_code == 403


@pytest.mark.parametrize("wrong", [{"points": "0"}, {"points": "5", "reason": "会员 13800000000"}, {"points": "x"}])
def test_points_that_cannot_be_given(counter, sign_in, wrong):
    adjust(sign_in(counter, "hq_ops"), Membership.objects.earliest("pk"), **wrong)
    assert not PointsAdjustment.objects.exists()


def test_nobody_gives_points_to_themselves(counter, sign_in):
    ops, one = sign_in(counter, "hq_ops"), Membership.objects.earliest("pk")
    ops.staff.phone_key = one.member.identities.get().key
    ops.staff.save()
    adjust(ops, one, points="5")
    ops.post(
        f"/admin/members/membership/{one.pk}/give_tier/", **SENT, tier=Tier.objects.get(code="t2").pk, reason="自己"
    )
    one.refresh_from_db()
    assert (one.points, one.tier.code) == (900, "t0")


def test_many_points_take_two_persons(counter, sign_in):
    ops, finance, one = sign_in(counter, "hq_ops"), sign_in(counter, "hq_finance"), Membership.objects.earliest("pk")
    adjust(ops, one, points="900")
    adjust(ops, one, points="200")  # 1 100 within a month
    asked = approvals.Approval.objects.get()
    one.refresh_from_db()
    assert (one.points, asked.after) == (1_800, {f"会员 {one.member_id} 的积分（{one.brand.name}）": "2000（+200）"})
    now = timezone.now()
    with pytest.raises(approvals.Refused):
        approvals.decide(approval=asked, by=ops.user, is_approved=True, now=now)
    approvals.decide(approval=asked, by=finance.user, is_approved=True, now=now)
    one.refresh_from_db()
    last = PointsAdjustment.objects.latest("pk")
    assert (one.points, last.by, last.approved_by) == (2_000, ops.user, finance.user)


# ── Tiers ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_thresholds_are_typed_in_yuan(counter, sign_in):
    ops = sign_in(counter, "hq_ops")
    silver = Tier.objects.get(code="t1")
    path = f"/admin/members/tier/{silver.pk}/change/"
    assert 'value="1000"' in ops.get(path).content.decode()
    form = {"brand": counter.brand.pk, "code": "t1", "name": "银卡", "rank": "1"}
    assert "级别越高" in ops.post(path, **form, reached="5000").content.decode()
    assert ops.post(path, **form, reached="800.50").status_code == 302
    silver.refresh_from_db()
    assert silver.threshold == 80_050
    assert "¥800.50" in ops.get("/admin/members/tier/").content.decode()


def test_a_rule_is_tried_and_then_saved(counter, sign_in, django_assert_max_num_queries):
    ops, rule = sign_in(counter, "hq_ops"), TierRule.objects.get()
    path, ladder = TRIAL.format(rule.pk), list(Tier.objects.order_by("rank"))
    assert ops.get(path).context["trial"] is None
    wanted = dict(zip((f"reached_{tier.pk}" for tier in ladder), ("0", "900", "5000"), strict=True))
    form = {"metric": "spend", "window_days": "365", "keep_days": "365", **wanted}
    with django_assert_max_num_queries(20):
        page = ops.get(path, **form)
    assert [(move.anyway, move.after, move.members) for move in page.context["trial"].changes] == [(*ladder[:2], 1)]
    assert TierMove.objects.count() == 2 and Tier.objects.get(code="t1").threshold == 100_000

    assert ops.post(path, **form).status_code == 302
    assert Tier.objects.get(code="t1").threshold == 90_000
    assert AuditRow.objects.get(action="tiers.change").after["t1"] == "90000"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"reached": ("0", "900", "800")}, "级别越高"), ({"metric": "orders", "reached": ("0", "1.5", "3")}, "整数")],
)
def test_a_rule_that_cannot_be(counter, sign_in, wrong, said):
    rule, ladder = TierRule.objects.get(), Tier.objects.order_by("rank")
    wanted = dict(zip((f"reached_{tier.pk}" for tier in ladder), wrong.pop("reached"), strict=True))
    form = {"metric": "spend", "window_days": "365", "keep_days": "365", **wanted, **wrong}
    page = sign_in(counter, "hq_ops").get(TRIAL.format(rule.pk), **form)
    assert page.context["trial"] is None and said in page.content.decode()


def test_who_may_only_look_saves_nothing(counter, sign_in):
    finance = sign_in(counter, "hq_finance")
    path = TRIAL.format(TierRule.objects.get().pk)
    assert finance.get(path).status_code == 200
    assert finance.post(path, metric="spend").status_code == 403
    assert sign_in(counter, "store_manager").get(path).status_code == 403


def test_a_tier_by_hand(counter, sign_in):
    ops, one = sign_in(counter, "hq_ops"), Membership.objects.earliest("pk")
    gold = Tier.objects.get(code="t2")
    day = timezone.localdate() + timedelta(days=30)
    path = f"/admin/members/membership/{one.pk}/give_tier/"
    ops.post(path, **SENT, tier=gold.pk, until=day.isoformat(), reason="老顾客回馈")
    one.refresh_from_db()
    assert (one.tier, timezone.localdate(one.tier_until)) == (gold, day)
    move = TierMove.objects.latest("pk")
    assert (move.by, move.reason, move.cause) == (ops.user, "老顾客回馈", "manual")
    shown = ops.get(f"/admin/members/membership/{one.pk}/change/").content.decode()
    assert "老顾客回馈" in shown and "到期变为普卡" in shown
    assert PointsEntry.objects.count() == 2
