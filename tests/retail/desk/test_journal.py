"""Who did what when: one row for every act in the admin, read in words; whole numbers and files only with one."""

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.urls import reverse

import retail.urls  # noqa: F401  registers every page
from members.models import Membership, Tier
from retail import audit, jobs, privacy, scope, shapes
from retail.desk import journal
from retail.models import AuditRow, Job, Order, Post, Staff, StoreGroup
from tests import factories
from tests.factories import NOW, number
from tests.figures import figure
from tests.forms import shown

PHONE = "13912345678"
BUYER = (shapes.Buyer(type="phone", value=PHONE), shapes.Buyer(type="card", value="VIP-00139123"))
PAYLOAD = '=1+1<script>alert("x")</script>'
JOURNAL = "/admin/retail/auditrow/"


@pytest.fixture
def sold(shop):
    """A settled order of a buyer with a phone, and a clerk whose phone is known."""
    with scope.within(scope.EVERYTHING):
        shop.plan(
            {
                "id": "r",
                "name": "基础佣金",
                "calc": {"type": "rate", "ppm": 30000},
                "split": [{"role": "serve", "weight": 1}],
            }
        )
        code = next(iter(shop.staff))
        (pk,) = shop.settle(shop.order(serving_clerk=code, buyer=BUYER))
        known = privacy.normalised(privacy.Known("phone", "", PHONE))
        Staff.objects.filter(code=code).update(phone_key=privacy.keep([known])[known])
        return Order.objects.get(pk=pk)


def acts():
    """Those of the test: plans are approved and activated by its world."""
    return list(AuditRow._base_manager.exclude(action__startswith="plan.").order_by("pk"))


# ── P23: every write leaves one row ──────────────────────────────────────────────────────────────────────────────────
def changed(model, data):
    """The first plain text or number of the form, a little different."""
    for field in model._meta.fields:
        if field.name in data and not field.choices and not field.is_relation:
            if type(field) in (models.CharField, models.TextField):
                return data | {field.name: f"{data[field.name]}x"[-int(field.max_length or 99) :]}
            if isinstance(field, models.IntegerField) and data[field.name].isdecimal():
                return data | {field.name: str(int(data[field.name]) + 1)}
    return None


@pytest.fixture
def superuser(shop, sign_in):
    person = sign_in(shop, "hq_ops")
    person.user.is_superuser = person.user.is_staff = True
    person.user.save()
    return person


OWN_NAMES = {"clerks.Policy": "policy.change"}  # acts that have a name of their own in the journal


def test_every_page_that_changes_something_leaves_one_row(shop, sold, superuser):
    with scope.within(scope.EVERYTHING):
        factories.franchisee()
        shop.hire(f"C{number()}")
        Tier.objects.create(brand=shop.brand, code="gold", name="金卡", rank=2)
        StoreGroup.objects.create(code="g", name="组")
    tried, left_out = [], []
    for model, page in admin.site._registry.items():
        opts = model._meta
        if getattr(page, "is_read_only", False):
            continue
        with scope.within(scope.EVERYTHING):
            row = model._default_manager.exclude(pk=getattr(superuser.staff, "pk", 0)).order_by("pk").last()
        if row is None:
            left_out.append(opts.label)
            continue
        address = reverse(f"admin:{opts.app_label}_{opts.model_name}_change", args=[row.pk])
        answer = superuser.get(address)
        if not answer.context["has_change_permission"]:  # sealed
            left_out.append(opts.label)
            continue
        data = shown(answer)
        before = len(acts())
        answer = superuser.post(address, **data)
        assert answer.status_code == 302, (opts.label, answer.context["errors"])
        assert len(acts()) == before, f"{opts.label}: saved as it was, and yet an act"
        wanted = changed(model, data)
        if wanted is None:
            left_out.append(opts.label)
            continue
        answer = superuser.post(address, **wanted)
        if answer.status_code != 302:
            left_out.append(opts.label)
            continue
        assert len(acts()) == before + 1, opts.label
        act = acts()[-1]
        named = OWN_NAMES.get(opts.label, "change")
        assert (act.by, act.action, act.target_id) == (superuser.user, named, str(row.pk)), opts.label
        assert set(act.before) == set(act.after) and act.before != act.after, opts.label
        tried.append(opts.label)
    assert len(tried) >= 10, (tried, left_out)
    figure("P23", f"{len(tried)} pages of the admin that change rows: one audit row each, none for a save as it was")


def test_a_chosen_row_is_called_by_name_before_and_after(shop, superuser):
    with scope.within(scope.EVERYTHING):
        other = factories.world()
    page = f"/admin/retail/store/{shop.store.pk}/change/"
    data = shown(superuser.get(page)) | {"region": str(other.region.pk)}

    superuser.post(page, **data)

    (act,) = acts()
    assert (act.before, act.after) == ({"region": shop.region.name}, {"region": other.region.name})


def test_replaying_a_job_is_an_act(shop, sign_in):
    ops = sign_in(shop, "hq_ops")
    job = Job.objects.create(kind="settle_order", state="dead", created_at=NOW, due_at=NOW)

    ops.post("/admin/retail/job/", action="replay", _selected_action=job.pk)

    (act,) = acts()
    assert (act.action, act.after, act.by) == ("job.replay", {"jobs": [job.pk]}, ops.user)
    assert jobs.depth().waiting == 1


# ── The page in words ────────────────────────────────────────────────────────────────────────────────────────────────
def test_the_journal_reads_in_words(shop, sign_in):
    auditor, ops = sign_in(shop, "auditor"), sign_in(shop, "hq_ops")
    with scope.within(scope.EVERYTHING):
        audit.record(by=ops.user, action="change", target=shop.store, now=NOW,
                     before={"is_open": "True", "city": ""}, after={"is_open": "False", "city": PAYLOAD})  # fmt: skip
        audit.record(by=ops.user, action="change", target=shop.product, now=NOW,
                     before={"tag_fen": "129900"}, after={"tag_fen": "-5"}, reason="长" * 100)  # fmt: skip
        audit.record(by=None, action="add", target=shop.pos, now=NOW, after={"kind": "pos", "nowhere": "字"})

    page = auditor.get(JOURNAL).content.decode()

    for said in (
        "营业中",
        "是",
        "否",
        "（空）",
        "¥1,299.00",
        "-¥0.05",
        "系统",
        "门店 POS",
        ops.staff.name,
        "修改",
        "新建",
    ):
        assert said in page, said
    assert "<script>alert" not in page and "&lt;script&gt;" in page
    assert f"<summary>{'长' * 40}…</summary>" in page


@pytest.mark.parametrize("name", ["by__id__exact", "target_id", "target_type", "action"])
@pytest.mark.parametrize("value", ["\x00", "9" * 30, "-1", "x' OR 1=1 --", "", "1"])
def test_a_filter_of_the_journal_survives_anything(shop, sign_in, name, value):
    assert sign_in(shop, "auditor").get(JOURNAL, **{name: value}).status_code in (200, 302, 400)


def test_one_thing_and_one_person_have_a_page_each(shop, sign_in):
    auditor, ops = sign_in(shop, "auditor"), sign_in(shop, "hq_ops")
    with scope.within(scope.EVERYTHING):
        for target, by in ((shop.store, ops.user), (shop.region, ops.user), (shop.store, auditor.user)):
            audit.record(by=by, action="change", target=target, now=NOW, before={"name": "甲"}, after={"name": "乙"})

    history = auditor.client.get(f"/admin/retail/store/{shop.store.pk}/history/", follow=True)
    person = auditor.get(JOURNAL, by__id__exact=ops.user.pk)

    assert history.context["cl"].result_count == 2 and f"门店 {shop.store.pk} 的操作记录" in history.content.decode()
    assert f"/admin/retail/store/{shop.store.pk}/change/" in history.content.decode()
    assert (
        person.context["cl"].result_count == 2
        and f"{ops.staff.name} {ops.user.username} 的操作" in person.content.decode()
    )
    assert "/history/" in auditor.get(f"/admin/retail/store/{shop.store.pk}/change/").content.decode()
    assert "/history/" not in ops_page(shop, sign_in)


def ops_page(shop, sign_in):
    return sign_in(shop, "store_manager").get(f"/admin/retail/store/{shop.store.pk}/change/").content.decode()


def test_every_act_has_its_word(shop):
    code = "".join(
        path.read_text()
        for room in ("retail", "members", "commissions", "clerks")
        for path in (Path(settings.BASE_DIR) / room).rglob("*.py")
    )
    used = set(re.findall(r'audit\.record\([^)]*action="([a-z._]+)"', code))
    assert len(used) > 5 and used - set(journal.ACTIONS) == set()


# ── Whole numbers ────────────────────────────────────────────────────────────────────────────────────────────────────
def pages_of(order):
    """The admin pages on which the buyer's or the clerk's number stands masked, with the key of it."""
    with scope.within(scope.EVERYTHING):
        membership = Membership.objects.get()
        clerk = Staff.objects.get(code=order.serving_clerk)
        key = privacy.BuyerKey.objects.get(type="phone")
    return key, [
        f"/admin/retail/order/{order.pk}",
        f"/admin/members/member/{membership.member_id}",
        f"/admin/retail/staff/{clerk.pk}",
    ]


def test_a_whole_number_takes_a_reason_and_leaves_a_row(shop, sold, sign_in):
    ops = sign_in(shop, "hq_ops")
    key, pages = pages_of(sold)

    for place, page in enumerate(pages, start=1):
        link = f"{page}/unmask/{key.pk}/"
        assert link in ops.get(f"{page}/change/").content.decode(), page
        asked = ops.get(link)
        assert asked.status_code == 200 and PHONE not in asked.content.decode()
        assert ops.post(link, reason=" ").status_code == 400 and len(acts()) == place - 1
        answer = ops.post(link, reason="顾客来电核对")
        assert PHONE in answer.content.decode() and "no-store" in answer["Cache-Control"]
        assert (acts()[-1].action, acts()[-1].reason, acts()[-1].by) == ("unmask", "顾客来电核对", ops.user)
    assert PHONE not in str([row.__dict__ for row in acts()])


def test_the_day_s_limit_is_told_in_words(shop, sold, sign_in, settings):
    ops = sign_in(shop, "hq_ops")
    key, (page, *_rest) = pages_of(sold)
    link = f"{page}/unmask/{key.pk}/"
    for _ in range(settings.UNMASK_PER_DAY):
        assert PHONE in ops.post(link, reason="顾客来电核对").content.decode()

    refused = ops.post(link, reason="顾客来电核对")

    assert refused.status_code == 429 and "今天已经看了 20 个完整号码" in refused.content.decode()
    assert PHONE not in refused.content.decode() and len(acts()) == 20


@pytest.mark.parametrize("role", ["store_manager", "hq_finance", "auditor"])
def test_others_are_not_even_shown_the_way(shop, sold, sign_in, role):
    person = sign_in(shop, role)
    key, pages = pages_of(sold)

    for page in pages:
        assert "/unmask/" not in person.get(f"{page}/change/").content.decode()
        assert person.post(f"{page}/unmask/{key.pk}/", reason="顾客来电核对").status_code == 403
    assert acts() == []


def test_a_key_is_seen_only_from_a_page_it_stands_on(shop, sold, sign_in):
    ops = sign_in(shop, "hq_ops")
    key, _pages = pages_of(sold)
    with scope.within(scope.EVERYTHING):
        other = shop.settle(shop.order(serving_clerk=sold.serving_clerk))[0]
        elsewhere = factories.world()
        elsewhere.hire("X9")
        (theirs,) = elsewhere.settle(elsewhere.order(serving_clerk="X9", buyer=BUYER))
    manager = sign_in(shop, "store_manager")
    manager.user.user_permissions.add(Permission.objects.get(codename="unmask_buyerkey"))

    assert ops.post(f"/admin/retail/order/{other}/unmask/{key.pk}/", reason="顾客来电").status_code == 404
    assert manager.post(f"/admin/retail/order/{theirs}/unmask/{key.pk}/", reason="顾客来电").status_code == 404
    assert manager.post(f"/admin/retail/order/{sold.pk}/unmask/{key.pk}/", reason="顾客来电").status_code == 200


# ── Nobody sees one otherwise ────────────────────────────────────────────────────────────────────────────────────────
def test_no_page_of_any_role_shows_the_sentinel(shop, sold, sign_in):
    with scope.within(scope.EVERYTHING):
        membership = Membership.objects.get()
        membership.member.name = PHONE  # some give it as their name
        membership.member.save()
    looked = 0
    for role in ("hq_ops", "auditor", "store_manager"):
        person = sign_in(shop, role)
        for model in admin.site._registry:
            opts = model._meta
            base = f"/admin/{opts.app_label}/{opts.model_name}/"
            with scope.within(scope.EVERYTHING):
                rows = list(model._default_manager.order_by("-pk")[:3])
            for page in (base, *(f"{base}{row.pk}/change/" for row in rows)):
                answer = person.client.get(page, follow=True)
                looked += 1
                assert PHONE not in answer.content.decode(), page
    figure("P11", f"sentinel phone in {looked} admin pages of 3 roles: 0")


# ── Files ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def export(person, order, kind="export_csv", **query):
    return person.client.post("/admin/retail/order/", {"action": kind, "_selected_action": order.pk})


@pytest.mark.parametrize("kind", ["export_csv", "export_xlsx"])
@pytest.mark.parametrize("role", ["hq_ops", "hq_finance"])
def test_an_export_is_an_act(shop, sold, sign_in, role, kind):
    person = sign_in(shop, role)

    answer = export(person, sold, kind)

    body = b"".join(answer.streaming_content)
    assert "attachment" in answer["Content-Disposition"] and body[:2] in (b"PK", "\ufeff".encode()[:2])
    (act,) = acts()
    assert (act.action, act.target_type, act.after["rows"], act.by) == ("export", "retail.order", 1, person.user)
    assert PHONE.encode() not in body


@pytest.mark.parametrize("role", ["store_manager", "region_manager", "auditor"])
def test_who_may_not_export_gets_nothing(shop, sold, sign_in, role):
    person = sign_in(shop, role, **({"region": shop.region} if role == Post.Role.REGION_MANAGER else {}))

    answer = export(person, sold)

    assert "Content-Disposition" not in answer.headers and acts() == []
    assert "export_csv" not in person.get("/admin/retail/order/").content.decode()


def test_an_export_keeps_to_the_scope(shop, sold, sign_in):
    with scope.within(scope.EVERYTHING):
        elsewhere = factories.world()
        elsewhere.hire("X8")
        (theirs,) = elsewhere.settle(elsewhere.order(serving_clerk="X8"))
        kind = ContentType.objects.get_for_model(Order)
        may, _ = Permission.objects.get_or_create(codename="export_order", content_type=kind, defaults={"name": "x"})
    manager = sign_in(shop, "store_manager")
    manager.user.user_permissions.add(may)

    answer = manager.client.post(
        "/admin/retail/order/", {"action": "export_csv", "_selected_action": [sold.pk, theirs], "select_across": "1"}
    )

    body = b"".join(answer.streaming_content).decode()
    assert sold.outer_order_id in body and len(body.splitlines()) == 2


def test_a_member_is_found_by_the_whole_number_with_a_reason(shop, sold, sign_in, settings):
    ops, page = sign_in(shop, "hq_ops"), "/admin/members/member/find/"
    key, (_order, member, _staff) = pages_of(sold)
    assert page in ops.get("/admin/members/member/").content.decode()
    assert ops.post(page, phone=PHONE, reason=" ").status_code == 200 and acts() == []
    assert ops.post(page, phone="PHONE", reason="本人来电").status_code == 400 and acts() == []
    assert ops.post(page, phone=PHONE, reason="本人来电").headers["Location"] == f"{member}/change/"
    missed = ops.post(page, phone="15400000000", reason="本人来电").content.decode()
    assert "没有会员用这个号码" in missed
    assert [(act.action, act.target_id) for act in acts()] == [
        ("member.find", member.rsplit("/", 1)[1]),
        ("member.find", ""),
    ]
    assert not any(number in str([row.__dict__ for row in acts()]) for number in (PHONE, "15400000000"))

    settings.UNMASK_PER_DAY = 2
    assert "每天的上限" in ops.post(page, phone=PHONE, reason="本人来电").content.decode()
    assert ops.post(f"{member}/unmask/{key.pk}/", reason="本人来电").status_code == 429
    assert sign_in(shop, "hq_finance").get(page).status_code == 403
