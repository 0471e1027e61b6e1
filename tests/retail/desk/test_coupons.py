"""The admin pages of coupons, as people use them."""

import io
import zipfile
from datetime import timedelta

import pytest
import time_machine

from members import coupons
from members.coupons import issuing
from members.models import Coupon, CouponIssue, CouponQuota, CouponType, Segment, SegmentMember
from retail import exports, scope, shapes
from retail.models import ExportFile
from tests.factories import NOW, World, world
from tests.factories.coupons import coupon_type, given, issued, member, quota
from tests.retail.desk.conftest import Person

TYPES, COUPONS, USES = (f"/admin/members/{name}/" for name in ("coupontype", "coupon", "couponuse"))


@pytest.fixture(autouse=True)
def october():
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def hq(shop: World, sign_in) -> Person:
    return sign_in(shop, "hq_ops")


def body(answer) -> str:
    return answer.content.decode()


def test_a_type_is_written_in_yuan_and_tenths_and_keeps_its_promise(shop, hq):
    known = {
        "starts_at_0": "2026-10-01",
        "starts_at_1": "00:00",
        "per_member": 1,
        "lives_days": 7,
        "brand": shop.brand.pk,
    }
    wanted = {"code": "W1", "name": "春装券", "kind": "percent", "off_ppm": "8.5", "off_fen": "50", "floor_fen": "300"}
    answer = hq.post(f"{TYPES}add/", **known, **wanted, channel_codes=shop.pos.code)
    assert answer.status_code == 302, body(answer)
    with scope.within(scope.EVERYTHING):
        type = CouponType.objects.get(code="W1")
        assert (type.off_ppm, type.off_fen, type.floor_fen, type.channel_codes) == (
            150_000,
            0,
            30_000,
            [shop.pos.code],
        )
    page = body(hq.get(f"{TYPES}{type.pk}/change/"))
    assert 'value="8.5"' in page and 'value="300"' in page
    assert "满 300 元打 8.5 折" in body(hq.get(TYPES))
    assert "写减多少元" in body(hq.post(f"{TYPES}add/", **known, **wanted | {"code": "W2", "off_ppm": ""}))
    assert hq.post(f"{TYPES}add/", **known, **wanted | {"code": "W3", "floor_fen": ""}).status_code == 302

    with scope.within(scope.EVERYTHING):
        issued(type, member(shop, "13800000001"))
    promise = body(hq.get(f"{TYPES}{type.pk}/change/"))
    assert "满 300 元打 8.5 折" in promise and shop.pos.name in promise and "领取后 7 天内" in promise
    answer = hq.post(f"{TYPES}{type.pk}/change/", name="新名", off_ppm="1", floor_fen="0", per_member=2, limit="")
    assert answer.status_code == 302, body(answer)
    with scope.within(scope.EVERYTHING):
        type.refresh_from_db()
    assert (type.name, type.off_ppm, type.floor_fen) == ("新名", 150_000, 30_000)


def test_issuing_shows_the_count_first_and_is_meant_twice(shop, hq):
    with scope.within(scope.EVERYTHING):
        type = coupon_type(shop)
        segment = Segment.objects.create(brand=shop.brand, name="老客", condition={}, created_at=NOW)
    page = f"{TYPES}{type.pk}/issue/"
    assert page in body(hq.get(f"{TYPES}{type.pk}/change/"))
    assert "没有人能领到" in body(hq.post(page, segment=segment.pk))
    with scope.within(scope.EVERYTHING):
        for n in range(3):
            one = member(shop, f"1380000000{n}")
            SegmentMember.objects.create(segment=segment, membership=one, entered_at=NOW)
    assert "确定发给 3 人" in body(hq.post(page, segment=segment.pk))
    assert "确定发给 3 人" in body(hq.post(page, segment=segment.pk, shown=2)), "another number was shown"
    answer = hq.post(page, segment=segment.pk, shown=3)
    with scope.within(scope.EVERYTHING):
        issue = CouponIssue.objects.get()
    assert answer["Location"] == f"/admin/members/couponissue/{issue.pk}/change/"
    assert "0 / 3" in body(hq.get(answer["Location"]))


def test_codes_are_taken_in_and_the_wrong_ones_said(shop, hq):
    with scope.within(scope.EVERYTHING):
        type = coupon_type(shop)
    page = f"{TYPES}{type.pk}/codes/"
    assert "截止" in body(hq.post(page, lines="CODE-00000001"))
    with scope.within(scope.EVERYTHING):
        CouponType.objects.update(usable_until=(NOW + timedelta(days=300)).date())
    said = body(hq.post(page, lines="CODE-00000001\n短\n\nCODE-00000002"))
    assert "放进了 2 个券码" in said and "短 · 要 8 到 64 个字符" in said
    assert "没有券码" in body(hq.post(page, lines=" \n"))
    listed = body(hq.get(COUPONS))
    assert "····0002" in listed and "CODE-00000002" not in listed


def test_codes_are_made_and_taken_away_as_a_file_alone_or_by_two(shop, hq, sign_in, monkeypatch):
    with scope.within(scope.EVERYTHING):
        type = coupon_type(shop)
    page = f"{TYPES}{type.pk}/make_codes/"
    hq.post(page, count=3, _form_submitted="True")
    assert not CouponIssue._base_manager.exists(), "codes without an end"
    CouponType._base_manager.update(usable_until=(NOW + timedelta(days=300)).date())
    hq.post(page, count=3, _form_submitted="True")
    issue = CouponIssue._base_manager.get()
    made = f"/admin/members/couponissue/{issue.pk}"
    assert "0 / 3" in body(hq.get(f"{made}/progress/")) and hq.get(f"{made}/codes/").status_code == 403
    with scope.within(scope.EVERYTHING):
        issuing.work(issue_id=issue.pk, now=NOW)
        coupon = Coupon.objects.first()
        coupons.claim(code=coupon.code, membership=member(shop, "13800000001"), by=None, now=NOW)
    assert hq.get(f"{made}/progress/")["HX-Refresh"] == "true"
    assert "有 2 个" in body(hq.get(f"{made}/codes/")) and f"{made}/codes/" in body(hq.get(f"{made}/change/"))
    assert sign_in(shop, "hq_finance").get(f"{made}/codes/").status_code == 403

    file = hq.post(f"{made}/codes/")
    with zipfile.ZipFile(io.BytesIO(b"".join(file.streaming_content))) as book:
        text = "".join(book.read(name).decode() for name in book.namelist() if name.endswith(".xml"))
    with scope.within(scope.EVERYTHING):
        assert {one.code for one in Coupon.objects.all() if one.code in text} == {
            one.code for one in Coupon.objects.exclude(pk=coupon.pk)
        }, "without the one that was claimed"
    monkeypatch.setattr(exports, "MOST_ALONE", 1)
    assert "另一个人同意" in body(hq.post(f"{made}/codes/"))
    hq.post(f"{made}/codes/", reason="印在卡上")
    assert ExportFile._base_manager.get().count == 2


def test_clerks_get_quotas_at_once(shop, hq):
    with scope.within(scope.EVERYTHING):
        type = coupon_type(shop)
    answer = hq.post(f"{TYPES}{type.pk}/quotas/", limit=20, _form_submitted="True")
    with scope.within(scope.EVERYTHING):
        assert answer.status_code == 200 and CouponQuota.objects.get().limit == 20
    assert "0 / 20" in body(hq.get("/admin/members/couponquota/"))
    with scope.within(scope.EVERYTHING):
        elsewhere = world().store
        (clerk,) = [staff for code, staff in shop.staff.items() if code.startswith("C")]
    said = hq.post("/admin/members/couponquota/add/", type=type.pk, staff=clerk.pk, store=elsewhere.pk, limit=3)
    assert "这家门店不是这个品牌的" in body(said)


def test_a_store_sees_what_its_clerks_gave_and_troubles_of_its_orders(shop, sign_in, django_assert_max_num_queries):
    (clerk,) = shop.staff.values()
    with scope.within(scope.EVERYTHING):
        type, other = coupon_type(shop), shop.another_store()
        stranger = shop.hire("stranger", store=other)
        for staff in (clerk, stranger):
            quota(type, staff)
        mine = given(type, member(shop, "13800000001"), clerk)
        given(type, member(shop, "13800000002"), stranger)
        buyer = (shapes.Buyer("phone", "13800000001"),)
        shop.settle(shop.order(coupons=(mine.code,), buyer=buyer, lines=[{"paid_fen": 26_000}], outer_order_id="GOOD"))
        shop.settle(shop.order(coupons=("NOSUCHCODE",), buyer=buyer, outer_order_id="BAD"))
    boss = sign_in(shop, "store_manager")

    with django_assert_max_num_queries(16):
        listed = body(boss.get(TYPES))
    assert "¥260.00" in listed and "100%" in listed
    page = body(boss.get(f"{TYPES}{type.pk}/change/"))
    assert clerk.name in page and stranger.name not in page and "发给人群" not in page
    with django_assert_max_num_queries(16):
        coupons = body(boss.get(COUPONS))
    assert f"····{mine.code[-4:]}" in coupons and "已使用" in coupons
    assert "没有这张券" in body(boss.get(USES, trouble="yes")) and "GOOD" not in body(boss.get(USES, trouble="yes"))
    assert "BAD" not in body(boss.get(USES, trouble="no"))


def test_a_coupon_is_voided_with_a_reason(shop, hq):
    with scope.within(scope.EVERYTHING):
        (coupon,) = issued(coupon_type(shop), member(shop, "13800000001"))
    page = f"{COUPONS}{coupon.pk}/"
    assert coupon.code in body(hq.get(f"{page}change/"))
    hq.post(f"{page}void/", reason="发错了", _form_submitted="True")
    with scope.within(scope.EVERYTHING):
        assert Coupon.objects.get().state == "void"
    shown = body(hq.get(f"{page}change/"))
    assert "发错了" in shown and f"{page}void/" not in shown
