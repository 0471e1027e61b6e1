"""专属导购 in the admin: the policy page and its what-if, giving customers to a clerk, ties, and the evidence."""

from datetime import timedelta

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from clerks import binding, friends, portraits, timeline
from clerks.friends import Move
from clerks.models import Binding, ContactWay, Customer, Note, Notice, PastPolicy, Pooled, Tie
from members.models import Member
from retail import scope
from retail.desk import roles
from retail.models import AuditRow, Post, StaffAccount
from retail.shapes import Buyer
from tests import factories, forms
from tests.factories import NOW, World
from tests.signing_in import signed_in

CORP, DAY = "ww-relations", timedelta(days=1)


@pytest.fixture(autouse=True)
def clock():
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def shop(everything: None) -> World:
    """欧阳小丽 bought of A1, who lead to her; C1 works in another store."""
    shop = factories.world(corp=CORP)
    shop.hire("A1")
    shop.hire("A2")
    shop.hire("C1", store=shop.another_store())
    shop.hire("M1", role=Post.Role.STORE_MANAGER)
    shop.hire("H1", role=Post.Role.HQ_OPS)
    for code in ("A1", "A2"):
        StaffAccount.objects.create(staff=shop.staff[code], corp=CORP, userid=code)
    shop.settle(shop.order(serving_clerk="A1", buyer=(Buyer("phone", "13800001234"),), paid_at=NOW - 3 * DAY))
    Member.objects.update(name="欧阳小丽")
    return shop


def browser(shop: World, code: str) -> Client:
    staff = shop.staff[code]
    staff.user = staff.user or factories.user()
    staff.save()
    post = staff.posts.get()
    roles.grant(user=staff.user, role=post.role)
    return signed_in(staff.user, post=post)


# ── Policies ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_headquarters_changes_the_policy_on_a_page_that_says_what_it_means(shop: World):
    desk, page = browser(shop, "H1"), f"/admin/clerks/policy/{shop.brand.pk}/change/"
    shown = desk.get(page)
    assert "90 天里别人扫码只是加好友" in shown.content.decode()
    sent = forms.shown(shown) | {"protection_days": "60", "customers_cap": "300"}

    said = desk.post(f"/admin/clerks/policy/{shop.brand.pk}/preview/", sent).content.decode()
    assert (
        "60 天里" in said
        and "最多 300 位" in said
        and "protection_days=60" in said
        and not PastPolicy.objects.exists()
    )
    assert desk.post(page, sent).status_code == 302

    shop.brand.refresh_from_db()
    assert (shop.brand.protection_days, shop.brand.customers_cap, shop.brand.policy_since) == (60, 300, NOW)
    act = AuditRow.objects.get(action="policy.change")
    assert act.before == {"protection_days": 90, "customers_cap": None}
    assert act.after == {"protection_days": 60, "customers_cap": 300}
    assert "90 天里" in desk.get(page).content.decode(), "what held before stands below"


def test_what_makes_no_sense_is_refused(shop: World):
    desk, page = browser(shop, "H1"), f"/admin/clerks/policy/{shop.brand.pk}/change/"
    sent = forms.shown(desk.get(page)) | {"rebind": "idle", "rebind_idle_days": "30", "customers_cap": "0"}
    said = desk.post(page, sent).content.decode()
    assert "闲置天数不能比保护天数短" in said and "至少 1 位" in said
    assert not PastPolicy.objects.exists()


def test_the_what_if_is_asked_by_address_and_writes_nothing(shop: World):
    for day, userid in ((0, "A1"), (40, "A2")):
        at = NOW - (100 - day) * DAY
        friends.settle(corp=CORP, external_userid="wm-1", moves=[Move(userid, "added", at)], now=at)
    desk, page = browser(shop, "H1"), f"/admin/clerks/policy/{shop.brand.pk}/whatif/"
    wanted = {"protection_days": 30, "rebind": "last", "rebind_idle_days": 180, "exclusive": "brand", "months": 6}

    assert "算一算" in desk.get(page).content.decode()
    said = desk.get(page, {**wanted, "counts_purchases": "on"}).content.decode()

    assert "会换导购的顾客" in said and "员工A2 A2" in said and "+1" in said
    assert "desk-problem" in desk.get(page, {"months": 3}).content.decode()
    assert not PastPolicy.objects.exists()


# ── By hand ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def assign(client: Client, shop: World, clerk: str, reason: str = "老顾客要求", **more: object):
    member, staff = more.get("member") or Member.objects.get().pk, shop.staff[clerk]
    sent = {"brand": shop.brand.pk, "member": member, "store": staff.posts.get().store_id, "staff": staff.pk}
    return client.post("/admin/clerks/binding/assign/", {**sent, "reason": reason, **more})


def test_a_manager_gives_a_customer_to_another_clerk_and_both_hear_of_it(shop: World):
    manager, member = browser(shop, "M1"), Member.objects.get()
    page = manager.get("/admin/clerks/binding/assign/", {"brand": shop.brand.pk, "member": member.pk})
    assert "欧阳小丽" in page.content.decode() and "员工A2 A2" in page.content.decode()
    assert "请写明原因" in assign(manager, shop, "A2", " ").content.decode()

    assert assign(manager, shop, "A2").status_code == 302

    was, now = Binding.objects.order_by("pk")
    assert (now.staff, now.source, now.reason, now.by) == (
        shop.staff["A2"], "manual", "老顾客要求", shop.staff["M1"].user,
    )  # fmt: skip
    assert (was.end_reason, was.ended_why, was.ended_by) == ("manual", "老顾客要求", shop.staff["M1"].user)
    assert Customer.objects.get().staff == shop.staff["A2"]
    told = {row.staff.code: f"{row.title} {row.text}" for row in Notice.objects.select_related("staff")}
    assert set(told) == {"A1", "A2"} and "不再归您" in told["A1"] and "归您了" in told["A2"]
    assert all(
        "员工M1指定，原因：老顾客要求" in one and "欧阳" not in one and "1234" not in one for one in told.values()
    )


def test_a_manager_takes_a_customer_from_their_clerk_and_nobody_has_them(shop: World):
    member, page = Member.objects.get(), "/admin/clerks/binding/assign/"
    sent = {"brand": shop.brand.pk, "member": member.pk, "release": "1", "reason": "顾客不想被联系"}
    manager = browser(shop, "M1")
    assert "解绑" in manager.get(page, {"brand": shop.brand.pk, "member": member.pk}).content.decode()
    assert "请写明原因" in manager.post(page, sent | {"reason": " "}).content.decode()
    Binding.objects.update(store=shop.staff["C1"].posts.get().store, staff=shop.staff["C1"])
    assert "归别的门店的导购" in manager.post(page, sent).content.decode()
    Binding.objects.update(store=shop.store, staff=shop.staff["A1"])

    assert manager.post(page, sent).status_code == 302

    row = Binding.objects.get()
    assert (row.ended_at, row.end_reason, row.ended_why, row.ended_by.staff.code) == (
        NOW, "unbound", "顾客不想被联系", "M1",
    )  # fmt: skip
    assert AuditRow.objects.get(action="binding.change").reason == "顾客不想被联系"
    assert Pooled.objects.get().last_staff == shop.staff["A1"] and not Customer.objects.exists()
    (told,) = Notice.objects.all()
    assert told.staff.code == "A1" and "不再归您" in told.title and "欧阳" not in told.title + told.text
    said = manager.get(f"/admin/members/member/{member.pk}/portrait/").content.decode()
    assert "不再是 员工A1 的专属顾客" in said and "顾客不想被联系" in said
    assert "没有专属导购" in manager.post(page, sent).content.decode()


def test_nobody_gives_or_takes_beyond_their_stores(shop: World):
    manager = browser(shop, "M1")
    assert assign(manager, shop, "C1").status_code == 404, "their colleagues elsewhere are not there for them"
    kept = {"brand": shop.brand, "member": Member.objects.get(), "staff": shop.staff["A1"], "store": shop.store}
    Note.objects.create(**kept, text="穿 38 码", created_at=NOW)
    assign(browser(shop, "H1"), shop, "C1")
    assert Binding.objects.get(ended_at=None).staff == shop.staff["C1"]
    assert Note.objects.get().store == shop.staff["C1"].posts.get().store, "what is open goes along"

    assert "归别的门店的导购" in assign(manager, shop, "A2").content.decode()
    assert Binding.objects.get(ended_at=None).staff == shop.staff["C1"]


def test_many_are_chosen_in_the_list(shop: World):
    manager, chosen = browser(shop, "M1"), Binding.objects.get()
    sent = {"action": "assign", "_selected_action": [chosen.pk]}
    answer = manager.post("/admin/clerks/binding/", sent)
    assert answer.status_code == 302 and f"member={chosen.member_id}" in answer["Location"]


# ── Ties ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_tie_waits_for_the_manager_who_decides_it(shop: World):
    buyer = (Buyer("phone", "13800009999"),)
    shop.settle(*(shop.order(serving_clerk=code, buyer=buyer, paid_at=NOW - DAY) for code in ("A1", "A2")))
    binding.release(pairs=[(row.brand_id, row.member_id) for row in Binding.objects.all()], end="unbound", by=None,
                    now=NOW - DAY)  # fmt: skip
    bound, tied = binding.bind_from_history(brand=shop.brand, since=NOW - 30 * DAY, now=NOW)
    assert (bound, len(tied)) == (1, 1)
    assert binding.bind_from_history(brand=shop.brand, since=NOW - 30 * DAY, now=NOW) == (0, tied)
    tie, manager = Tie.objects.get(), browser(shop, "M1")
    assert "等决定" in manager.get("/admin/clerks/tie/").content.decode()
    assert "归员工A2 A2" in manager.get(f"/admin/clerks/tie/{tie.pk}/change/").content.decode()

    rival = tie.rivals.get(staff=shop.staff["A2"])
    assert manager.post(f"/admin/clerks/tie/{tie.pk}/decide/", {"rival": rival.pk}).status_code == 302

    row = Binding.objects.get(member=tie.member, ended_at=None)
    assert (row.staff, row.source, row.by) == (shop.staff["A2"], "history", shop.staff["M1"].user)
    tie.refresh_from_db()
    assert (tie.decided_at, tie.staff) == (NOW, shop.staff["A2"])
    manager.post(f"/admin/clerks/tie/{tie.pk}/decide/", {"rival": tie.rivals.get(staff=shop.staff["A1"]).pk})
    assert Binding.objects.get(member=tie.member, ended_at=None).staff == shop.staff["A2"]


# ── The evidence ─────────────────────────────────────────────────────────────────────────────────────────────────────
def scanned(shop: World) -> Member:
    """Somebody came by A1's code, scanned A2's, deleted A1, and was given to A2 by the manager."""
    ContactWay.objects.create(name="春天的活动", kind=ContactWay.Kind.CAMPAIGN, brand=shop.brand, state_code="till")
    for days, userid, kind in ((5, "A1", "added"), (2, "A2", "added"), (1, "A1", "lost")):
        at = NOW - days * DAY
        friends.settle(corp=CORP, external_userid="wm-1", moves=[Move(userid, kind, at, "till")], now=at)
    member = Binding.objects.get(source="contact_code").member
    assert assign(browser(shop, "M1"), shop, "A2", "常在周末来", member=member.pk).status_code == 302
    return member


def test_the_page_tells_what_each_change_rests_on_in_few_statements(shop: World):
    member, desk = scanned(shop), browser(shop, "H1")
    page = f"/admin/members/member/{member.pk}/portrait/"
    desk.get(page)
    with CaptureQueriesContext(connection) as queries:
        said = desk.get(page).content.decode()
    reader = portraits.Reader.of_scope(scope.EVERYTHING, brand_id=shop.brand.pk, corp=CORP)
    rows = timeline.page(reader=reader, member_id=member.pk, limit=99, only=timeline.RELATION).rows
    assert [(row.kind, row.title) for row in rows] == [
        ("bind", "成为 员工A2 的专属顾客"),
        ("unbind", "不再是 员工A1 的专属顾客"),
        ("friend", "顾客删除了导购"),
        ("friend", "成为好友"),
        ("bind", "成为 员工A1 的专属顾客"),
        ("friend", "成为好友"),
    ]
    assert "员工M1操作 · 原因：常在周末来" in rows[0].text and "员工M1操作 · 原因：常在周末来" in rows[1].text
    assert "扫码加好友" in rows[-2].text and "活码“春天的活动”" in rows[-2].text
    assert said.count("常在周末来") >= 2 and "专属导购的经过" in said
    who = ("django_session", "otp_totp_totpdevice", 'FROM "retail_', "auth_permission", "SAVEPOINT")  # is signed in
    own = [query["sql"] for query in queries if not any(word in query["sql"] for word in who)]
    assert len(own) <= 10, own


def test_the_timeline_takes_one_statement(shop: World):
    member = scanned(shop)
    reader = portraits.Reader.of_scope(scope.EVERYTHING, brand_id=shop.brand.pk, corp=CORP)
    with CaptureQueriesContext(connection) as queries:
        timeline.page(reader=reader, member_id=member.pk, limit=99)
    assert len(queries) == 1


def test_both_clerks_phones_tell_and_the_former_ones_nothing_about_the_customer(shop: World):
    member = scanned(shop)
    Member.objects.filter(pk=member.pk).update(name="欧阳小丽")
    before, now = browser(shop, "A1"), browser(shop, "A2")
    with CaptureQueriesContext(connection) as queries:
        story = now.get(f"/m/customers/{member.pk}/story/").content.decode()
    assert len(queries) <= 10
    assert "常在周末来" in story and "欧阳小丽" in story

    said = before.get(f"/m/customers/{member.pk}/").content.decode()
    assert "这位顾客不再归您" in said and "2026年10月12日" in said and "欧阳" not in said
    assert before.get(f"/m/customers/{member.pk}/story/").status_code == 404
    assert browser(shop, "C1").get(f"/m/customers/{member.pk}/").status_code == 404
