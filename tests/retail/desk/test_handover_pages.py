"""客户继承 and 办理离职 in the admin: what is started is what was shown, and how much is asked for."""

import re
from datetime import timedelta

import pytest
from django.utils import timezone

from clerks.handover import cases, leaving, running
from clerks.models import Binding, Handover, HandoverRow, Notice
from commissions.models import ClaimRow
from members.models import CouponQuota
from retail import doctor, org, scope, shapes
from retail.models import AuditRow, Post
from tests import forms
from tests.factories import World, coupons


@pytest.fixture
def leaver(shop: World):
    """A clerk with five customers, and two colleagues."""
    with scope.within(scope.EVERYTHING):
        now = timezone.now()
        staff = shop.hire("LEAVER")
        for code in ("WANG", "ZHOU"):
            shop.hire(code)
        for number in range(5):
            buyer = (shapes.Buyer("phone", f"1380000567{number}"),)
            shop.settle(shop.order(serving_clerk="LEAVER", buyer=buyer, paid_at=now), now=now)
    return staff


@pytest.fixture
def case(shop: World, leaver) -> Handover:
    with scope.within(scope.EVERYTHING):
        (made,) = cases.open_(staff=leaver, kind="on_job", by=None, now=timezone.now(), reason="换店")
    return made


def plan(shop, *codes, way="even", **more):
    return {"way": way, "receiver": [shop.staff[code].pk for code in codes], **more}


def test_headquarters_lets_somebody_go(shop, leaver, sign_in):
    ops = sign_in(shop, "hq_ops")

    page = ops.post(f"/admin/retail/staff/{leaver.pk}/dismiss/", _form_submitted="True", reason="回老家")

    with scope.within(scope.EVERYTHING):
        case = Handover.objects.get()
        assert not Post.objects.at(timezone.now()).filter(staff=leaver).exists()
        assert AuditRow.objects.filter(action="part_with", by=ops.user, target_id=str(leaver.pk)).exists()
        quota = coupons.quota(coupons.coupon_type(shop), leaver, limit=10)
        CouponQuota.objects.filter(pk=quota.pk).update(given=3)
        choice = cases.Choice(cases.Way.EVEN, {shop.staff[code].pk: None for code in ("WANG", "ZHOU")})
        cases.start(handover=case, choice=choice, by=ops.user, now=timezone.now())
        assert CouponQuota.objects.get(staff=leaver).limit == 3
        assert sum(CouponQuota.objects.exclude(staff=leaver).values_list("limit", flat=True)) == 7
    assert page.headers["HX-Redirect"] == f"/admin/clerks/handover/{case.pk}/change/"
    assert (case.kind, case.total, case.reason) == ("left", 5, "回老家")
    assert (
        ops.post(f"/admin/retail/staff/{leaver.pk}/dismiss/", _form_submitted="True", reason="再点").status_code == 403
    )


def test_who_goes_by_a_date_leaves_their_customers_to_somebody(shop, leaver, sign_in):
    """Headquarters types an end into the post, and nobody presses 离职."""
    now = timezone.now()
    with scope.within(scope.EVERYTHING):
        manager = shop.hire("CHEN", role="store_manager")
        for code, number in (("WANG", "1"), ("ZHOU", "2")):
            buyer = (shapes.Buyer("phone", f"1390000567{number}"),)
            shop.settle(shop.order(serving_clerk=code, buyer=buyer, paid_at=now), now=now)
        wang, zhou = shop.staff["WANG"], shop.staff["ZHOU"]
        Post.objects.filter(staff__in=(wang, zhou)).update(ends_at=now + timedelta(hours=1))
        Post.objects.create(staff=zhou, role="clerk", store=shop.store, starts_at=now + timedelta(days=3))
        assert leaving.follow_dates(now=now) == 0
        assert leaving.follow_dates(now=now + timedelta(hours=2)) == 1, "Zhou comes back"
        assert leaving.follow_dates(now=now + timedelta(hours=3)) == 0
        case = Handover.objects.get()
        assert (case.staff, case.kind, case.total, case.reason) == (wang, "left", 1, "岗位到期")
        assert Notice.objects.get(kind="staff_left").staff == manager

    page = f"/admin/retail/staff/{leaver.pk}/change/"
    ops = sign_in(shop, "hq_ops")
    ended = timezone.localtime(now - timedelta(minutes=5))
    said = {"posts-0-ends_at_0": f"{ended:%Y-%m-%d}", "posts-0-ends_at_1": f"{ended:%H:%M:%S}"}
    answer = ops.post(page, **(forms.shown(ops.get(page)) | said))
    assert answer.status_code == 302, answer.context["errors"]
    with scope.within(scope.EVERYTHING):
        assert Handover.objects.filter(state="open", staff=leaver, opened_by=ops.user).get().total == 5


def test_what_is_started_is_what_was_shown(shop, case, sign_in):
    manager = sign_in(shop, "store_manager")
    page = f"/admin/clerks/handover/{case.pk}/plan/"
    assert "请至少选一位接手人" in manager.post(page, way="even").content.decode()

    shown = manager.post(page, **plan(shop, "WANG", "ZHOU")).content.decode()
    digest = re.search(r'name="shown" value="([^"]+)"', shown)[1]
    again = manager.post(page, **plan(shop, "WANG", shown=digest)).content.decode()
    assert 'name="shown"' in again  # another choice than the one shown: looked at first

    with scope.within(scope.EVERYTHING):  # one more comes with an order told late: not yet shown
        late = (shapes.Buyer("phone", "13900001111"),)
        shop.settle(shop.order(serving_clerk="LEAVER", buyer=late, paid_at=case.opened_at), now=timezone.now())
    again = manager.post(page, **plan(shop, "WANG", "ZHOU", shown=digest)).content.decode()
    digest = re.search(r'name="shown" value="([^"]+)"', again)[1]

    assert manager.post(page, **plan(shop, "WANG", "ZHOU", shown=digest)).status_code == 302
    with scope.within(scope.EVERYTHING):
        running.move(handover_id=case.pk, now=timezone.now())
        case.refresh_from_db()
        held = [row.staff.code for row in Binding.objects.active().select_related("staff")]
        told = Notice.objects.filter(kind="told").values_list("staff__code", "title")
        name = shop.staff["LEAVER"].name
        assert sorted(held) == ["WANG"] * 3 + ["ZHOU"] * 3
        assert sorted(told) == [
            ("LEAVER", "您的 6 位顾客转给了同事"),
            ("WANG", f"{name}的 3 位顾客归您了"),
            ("ZHOU", f"{name}的 3 位顾客归您了"),
        ]
    assert case.state == "done"
    said = manager.get(f"/admin/clerks/handover/{case.pk}/change/").content.decode()
    assert "6 位顾客，6 位已经接好" in said and "已办完" in said


def test_who_has_room_gets_no_more_than_that_and_the_rest_waits(shop, case, sign_in):
    with scope.within(scope.EVERYTHING):
        shop.brand.customers_cap = 2
        shop.brand.save()
        choice = cases.Choice(cases.Way.ALL, {shop.staff["WANG"].pk: None})
        cases.start(handover=case, choice=choice, by=None, now=timezone.now())
        running.move(handover_id=case.pk, now=timezone.now())
        rows = HandoverRow.objects.filter(handover=case)
        assert sorted(rows.values_list("state", "why")) == [("local", "")] * 2 + [("open", "no_room")] * 3
        case.refresh_from_db()
        assert case.state == "running"
        check = doctor.INVARIANTS["handovers_account_for_all"]
        assert [*check(doctor.Look(timezone.now(), None))] == []
        Handover.objects.update(total=6)
        assert len([*check(doctor.Look(timezone.now(), None))]) == 1
    manager = sign_in(shop, "store_manager")
    chosen = {"row": [row.pk for row in rows.order_by("-pk")], "receiver": shop.staff["ZHOU"].pk}
    manager.post(f"/admin/clerks/handover/{case.pk}/again/", **chosen)
    with scope.within(scope.EVERYTHING):
        running.move(handover_id=case.pk, now=timezone.now())
        assert sorted(rows.values_list("state", flat=True)) == ["local"] * 4 + ["open"]


def test_whoever_is_somebody_elses_by_now_stays_theirs(shop, case):
    with scope.within(scope.EVERYTHING):
        now = timezone.now()
        wang, zhou = shop.staff["WANG"], shop.staff["ZHOU"]
        row = HandoverRow.objects.filter(handover=case).earliest("pk")
        choice = cases.Choice(cases.Way.ALL, {wang.pk: None})
        cases.start(handover=case, choice=choice, by=None, now=now)
        held = org.roster(since=now, until=now, staff_ids=[zhou.pk]).person(at=now, staff_id=zhou.pk)
        pair = (case.brand_id, row.member_id)
        cases.binding.transfer(to={pair: held}, source="manual", end="manual", by=None, now=now, reason="顾客点名")

        running.move(handover_id=case.pk, now=now)
        running.move(handover_id=case.pk, now=now)  # killed after the commit, and done once more

        row.refresh_from_db()
        assert row.state == "gone"
        assert Binding.objects.active().get(member=row.member_id).staff == zhou
        assert Binding.objects.active().filter(staff=wang).count() == 4


def test_what_was_bought_before_stays_the_leavers_also_where_it_is_told_later(shop, case):
    with scope.within(scope.EVERYTHING):
        started = timezone.now()
        choice = cases.Choice(cases.Way.ALL, {shop.staff["WANG"].pk: None})
        cases.start(handover=case, choice=choice, by=None, now=started)
        running.move(handover_id=case.pk, now=started)
        buyer = (shapes.Buyer("phone", "13800005670"),)
        for paid_at in (case.opened_at, started + timedelta(seconds=5)):
            shop.settle(shop.order(serving_clerk="ZHOU", buyer=buyer, paid_at=paid_at), now=timezone.now())

        bound = ClaimRow.objects.filter(role="bound", staff__code__in=("LEAVER", "WANG")).order_by("order")
        assert [row.staff.code for row in bound][-2:] == ["LEAVER", "WANG"]


def test_the_pages_ask_the_same_however_long(shop, case, sign_in, django_assert_num_queries):
    manager = sign_in(shop, "store_manager")
    manager.get("/admin/clerks/handover/")
    with django_assert_num_queries(LIST):
        assert "0 / 5" in manager.get("/admin/clerks/handover/").content.decode()
    with django_assert_num_queries(PAGE):
        manager.get(f"/admin/clerks/handover/{case.pk}/change/")
    with scope.within(scope.EVERYTHING):
        HandoverRow.objects.filter(handover=case).order_by("pk")[:1].get()
        ids = HandoverRow.objects.filter(handover=case).values_list("pk", flat=True)[:3]
        for pk in ids:
            HandoverRow.objects.filter(pk=pk).update(state="gone")
    with django_assert_num_queries(PAGE):
        manager.get(f"/admin/clerks/handover/{case.pk}/change/")


LIST, PAGE = 12, 23
