"""疑似同一人, 会员合并, 数据质量: what stands there, who may decide, and that it can be undone."""

from datetime import timedelta

import pytest
from django.core.cache import cache
from django.utils import timezone

from clerks.models import Merge
from members.models import Doubt, Member, Membership, Purchase, Stop
from retail import scope, shapes
from retail.models import AuditRow
from tests.factories import World

PHONE, UNIONID = shapes.Buyer("phone", "13800005678"), shapes.Buyer("unionid", "o-abcdef")


@pytest.fixture
def doubt(shop: World) -> Doubt:
    """A phone known at the till, given in the mini-program by somebody who signed in."""
    with scope.within(scope.EVERYTHING):
        mini = shop.channel("mini_program")
        now = timezone.now() - timedelta(hours=1)
        shop.settle(shop.order(buyer=(PHONE,), paid_at=now, outer_order_id="TILL-1"))
        shop.settle(
            shop.order(channel=mini, buyer=(UNIONID, PHONE), paid_at=now, outer_order_id="MINI-1"), channel=mini
        )
        shop.settle(shop.order(channel=mini, paid_at=now), channel=mini)
        return Doubt.objects.get()


def press(person, page, button, **given):
    return person.post(f"/admin/{page}/{button}/", _form_submitted="True", **given)


def test_two_members_side_by_side(shop, doubt, sign_in, django_assert_max_num_queries):
    ops = sign_in(shop, "hq_ops")
    ops.get("/admin/")
    with django_assert_max_num_queries(45):
        page = ops.get(f"/admin/members/doubt/{doubt.pk}/change/").content.decode()
    for said in (
        "138****5678",
        "同时出现",
        "TILL-1",
        "MINI-1",
        "一笔订单同时带了这些标识",
        "0 积分",
        "已验证",
        "没验证",
    ):
        assert said in page, said
    assert "13800005678" not in page
    assert "疑似同一人" in ops.get("/admin/members/doubt/").content.decode()


@pytest.mark.parametrize("count", [1, 5])
def test_the_list_asks_the_same_however_long(shop, doubt, sign_in, count, django_assert_num_queries):
    with scope.within(scope.EVERYTHING):
        for _ in range(count - 1):
            one, other = (Member.objects.create(created_at=timezone.now(), name="小鹿") for _ in range(2))
            Doubt.objects.create(one=one, other=other, found_at=timezone.now())
    ops = sign_in(shop, "hq_ops")
    ops.get("/admin/members/doubt/")
    with django_assert_num_queries(LIST):
        ops.get("/admin/members/doubt/")


LIST = 12


def test_operations_merge_and_undo_with_a_reason(shop, doubt, sign_in):
    ops = sign_in(shop, "hq_ops")
    page = f"members/doubt/{doubt.pk}"
    press(ops, page, "merge", keep="one", reason="电话 13800005678 是她的")
    with scope.within(scope.EVERYTHING):
        assert not Merge.objects.exists()  # the journal never forgets a number

    press(ops, page, "merge", keep="one", reason="本人到店确认")
    with scope.within(scope.EVERYTHING):
        done = Merge.objects.get()
        assert (done.keep_id, done.by) == (doubt.one_id, ops.user)
        assert AuditRow.objects.get(action="member.merge").reason == "本人到店确认"
        assert set(Purchase.objects.values_list("membership__member", flat=True)) == {doubt.one_id}
    shown = ops.get(f"/admin/clerks/merge/{done.pk}/change/").content.decode()
    assert "会员标识 1" in shown and "已合并" in shown
    for address in (f"/admin/{page}/change/", f"/admin/clerks/merge/{done.pk}/change/"):
        seen = ops.get(address).content.decode()
        kept, dropped = seen.partition("保留的<small>")[2].split("并入的<small>")
        assert "TILL-1" in kept and "MINI-1" not in kept, "each still shows what it had"
        assert "MINI-1" in dropped and "TILL-1" not in dropped and "unionid" in dropped

    press(ops, f"clerks/merge/{done.pk}", "undo", reason="弄错了")
    with scope.within(scope.EVERYTHING):
        assert Membership.objects.filter(member=doubt.other_id, last_purchase_at__isnull=False).exists()
        assert Doubt.objects.get().state == Doubt.State.APART
    assert "已撤销" in ops.get("/admin/clerks/merge/").content.decode()


def test_two_persons_are_kept_apart(shop, doubt, sign_in):
    ops = sign_in(shop, "hq_ops")
    press(ops, f"members/doubt/{doubt.pk}", "keep_apart", reason="母女两个人")
    with scope.within(scope.EVERYTHING):
        assert Doubt.objects.get().state == Doubt.State.APART
    assert press(ops, f"members/doubt/{doubt.pk}", "merge", keep="one", reason="再想想").status_code == 403


def test_nobody_else_decides(shop, doubt, sign_in):
    for role in ("hq_finance", "auditor"):
        person = sign_in(shop, role)
        assert person.get(f"/admin/members/doubt/{doubt.pk}/change/").status_code == 200
        assert press(person, f"members/doubt/{doubt.pk}", "merge", keep="one", reason="不行的").status_code == 403
    manager = sign_in(shop, "store_manager")
    assert manager.get("/admin/members/doubt/").status_code == 403
    assert manager.get("/admin/members/doubt/quality/").status_code == 404


def test_the_quality_of_data_leads_to_lists(shop, doubt, sign_in, django_assert_max_num_queries):
    cache.clear()
    with scope.within(scope.EVERYTHING):
        born = {"born_on": timezone.localdate() + timedelta(days=300), "name": "未来人"}
        Member.objects.create(created_at=timezone.now(), **born)
        early = Membership.objects.order_by("pk").first()
        Membership.objects.filter(pk=early.pk).update(registered_at=timezone.now() + timedelta(days=900))
    ops = sign_in(shop, "hq_ops")
    ops.get("/admin/")
    with django_assert_max_num_queries(25):
        page = ops.get("/admin/members/doubt/quality/").content.decode()
    for said in ("疑似同一人，等人看", "生日不可能", "购买早于入会一年以上", "不知道是谁买的", "mini_program"):
        assert said in page, said
    found = ops.get("/admin/members/member/", quality="unborn").content.decode()
    assert "未来人" in found
    assert "1 " in ops.get("/admin/members/membership/", quality="early").content.decode()
    unknown = ops.get("/admin/retail/order/", buyer="unknown").content.decode()
    assert "TILL-1" not in unknown and "MINI-1" not in unknown
    cache.clear()


# ── By hand ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_two_members_no_rule_found_are_put_side_by_side(shop, sign_in):
    with scope.within(scope.EVERYTHING):
        shop.settle(shop.order(buyer=(PHONE,)))
        shop.settle(shop.order(buyer=(shapes.Buyer("phone", "13900001111"),)))
        one, other = Member.objects.order_by("pk")
        Member.objects.update(name="小鹿")
    ops, page = sign_in(shop, "hq_ops"), f"members/member/{one.pk}"
    assert "编号" in ops.get(f"/admin/{page}/change/").content.decode()
    for wrong in ({"other": one.pk}, {"other": 10**9}, {"other": other.pk, "reason": "都是小鹿"}):
        press(ops, page, "suspect", **{"reason": "本人到店说明", **wrong})
        with scope.within(scope.EVERYTHING):
            assert not Doubt.objects.exists()
    answer = press(ops, page, "suspect", other=other.pk, reason="本人到店说明")
    with scope.within(scope.EVERYTHING):
        doubt = Doubt.objects.get()
        assert AuditRow.objects.get(action="doubt.raise").reason == "本人到店说明"
    assert answer.headers["HX-Redirect"] == f"/admin/members/doubt/{doubt.pk}/change/"
    assert "有同事认为是同一个人" in ops.get(answer.headers["HX-Redirect"]).content.decode()
    press(ops, f"members/doubt/{doubt.pk}", "merge", keep="one", reason="本人到店确认")

    # Who was merged away is in no list, says so, and offers nothing.
    with scope.within(scope.EVERYTHING):
        gone = Membership.objects.get(member=other)
    for listed, left in (("member", other.pk), ("membership", gone.pk)):
        assert f"/admin/members/{listed}/{left}/change/" not in ops.get(f"/admin/members/{listed}/").content.decode()
        shown = ops.get(f"/admin/members/{listed}/{left}/change/").content.decode()
        assert "这位会员已并入" in shown and f"/admin/{page}/change/" in shown
        assert not any(button in shown for button in ("更正资料", "抹去这位会员", "人工定级", "补发或扣减"))
    for button in ("leave_alone", "correct", "take_out", "erase", "suspect"):
        assert press(ops, f"members/member/{other.pk}", button, reason="本人要求").status_code == 403
    press(ops, page, "leave_alone", purpose="")
    with scope.within(scope.EVERYTHING):
        assert Stop.objects.filter(member=one, corp=shop.brand.corp).exists()
