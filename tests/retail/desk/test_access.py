"""Who may see and change what in the admin; which page opens for whom is the matter of tests.matrix."""

import pytest
from django.contrib import admin

import retail.urls  # noqa: F401  registers every page
from commissions.models import Entry
from members.models import Membership
from retail import scope, shapes
from retail.desk import roles
from retail.models import AuditRow, Order, OrderLine, Post, Staff
from retail.scoped_admin import ScopedAdmin
from tests.factories import franchisee, user, world
from tests.forms import NO_ACCOUNTS
from tests.signing_in import signed_in

PAGES = sorted(admin.site._registry, key=lambda model: model._meta.label)
BUYER = (shapes.Buyer(type="phone", value="13800005678"),)


def settled(shop, clerk=None, **fields):
    """A settled order with a rule that pays, and its line."""
    with scope.within(scope.EVERYTHING):
        if not hasattr(shop, "planned"):
            shop.planned = shop.plan(
                {
                    "id": "r",
                    "name": "基础佣金",
                    "calc": {"type": "rate", "ppm": 30000},
                    "split": [{"role": "serve", "weight": 1}],
                }
            )
        code = clerk or next(iter(shop.staff))
        (pk,) = shop.settle(shop.order(serving_clerk=code, **fields))
        return Order.objects.get(pk=pk), OrderLine.objects.get(order=pk)


@pytest.fixture
def two_shops(shop):
    """Our shop, and one of another brand with an order of its own."""
    with scope.within(scope.EVERYTHING):
        other = world()
        other.hire("other-clerk")
    return shop, other


def test_every_page_stands_on_scoped_admin():
    assert [page for page in admin.site._registry.values() if not isinstance(page, ScopedAdmin)] == []
    assert [page for page in admin.site._registry.values() if page.has_delete_permission(None)] == []


def test_a_store_manager_lists_only_the_orders_of_the_store(two_shops, sign_in):
    ours, other = two_shops
    order, _ = settled(ours)
    theirs, _ = settled(other)
    manager = sign_in(ours, "store_manager")

    page = manager.get("/admin/retail/order/").content.decode()

    assert order.outer_order_id in page
    assert theirs.outer_order_id not in page


@pytest.mark.parametrize("role", ["store_manager", "region_manager", "franchise_owner"])
def test_a_row_of_another_scope_is_not_found(two_shops, sign_in, role):
    ours, other = two_shops
    settled(ours)
    order, line = settled(other)
    with scope.within(scope.EVERYTHING):
        entry = Entry.objects.filter(order=order).first()
    person = sign_in(ours, role, **_place(ours, role))

    for path in (
        f"/admin/retail/order/{order.pk}/change/",
        f"/admin/retail/order/{order.pk}/history/",
        f"/admin/retail/orderline/{line.pk}/why/",
        f"/admin/retail/orderline/{line.pk}/change/",
        f"/admin/commissions/entry/{entry.pk}/change/",
        f"/admin/retail/store/{other.store.pk}/change/",
    ):
        assert person.get(path).status_code == 404, path


def _place(shop, role):
    """Where a post of this role is, in our shop."""
    if role == "region_manager":
        return {"region": shop.region}
    if role == "franchise_owner":
        with scope.within(scope.EVERYTHING):
            company = franchisee()
            shop.another_store(franchisee=company)
        return {"franchisee": company}
    return {}


def test_filters_search_and_autocomplete_keep_to_the_scope(two_shops, sign_in):
    ours, other = two_shops
    settled(ours)
    theirs, _ = settled(other)
    manager = sign_in(ours, "store_manager")

    filtered = manager.get("/admin/retail/order/", store__id__exact=other.store.pk)
    found = manager.get("/admin/retail/order/", q=theirs.outer_order_id)
    page = manager.get("/admin/retail/order/").content.decode()

    assert filtered.context["cl"].result_count == 0
    assert found.context["cl"].result_count == 0
    assert other.store.name not in page


def test_autocomplete_offers_only_stores_of_the_scope(two_shops, sign_in):
    ours, _other = two_shops
    manager = sign_in(ours, "store_manager")
    with scope.within(scope.EVERYTHING):
        roles.refresh(role="hq_ops")
        manager.user.user_permissions.set(roles._rows(roles.PERMISSIONS["hq_ops"]))
    query = {"app_label": "retail", "model_name": "post", "field_name": "store"}

    offered = manager.get("/admin/autocomplete/", term="", **query).json()["results"]

    assert {int(row["id"]) for row in offered} == {ours.store.pk}


@pytest.mark.parametrize(
    ("page", "lookup"),
    [
        ("retail/order", "buyer_keys__0__startswith"),
        ("retail/order", "outer_order_id__startswith"),
        ("retail/staff", "phone_key__masked__startswith"),
        ("retail/staff", "phone_key__hmac__startswith"),
        ("retail/user", "password__startswith"),
        ("members/membership", "member__identities__key__masked__startswith"),
        ("members/member", "identities__key__masked__contains"),
        ("retail/apitoken", "digest__startswith"),
        ("commissions/entry", "staff__phone_key__masked__contains"),
    ],
)
def test_a_free_lookup_is_refused(shop, sign_in, page, lookup):
    auditor = sign_in(shop, "auditor")

    refused = auditor.get(f"/admin/{page}/", **{lookup: "138"})

    assert refused.status_code == 400
    assert "这个地址不能这样用" in refused.content.decode()


def test_who_may_not_read_the_journal_finds_no_history_of_their_own_order(shop, sign_in):
    order, _line = settled(shop)
    page = f"/admin/retail/order/{order.pk}/history/"

    assert sign_in(shop, "store_manager").get(page).status_code == 404
    assert sign_in(shop, "auditor").get(page).status_code == 302


def test_no_page_shows_a_buyer_unmasked(shop, sign_in):
    order, line = settled(shop, buyer=BUYER)
    auditor = sign_in(shop, "auditor")
    with scope.within(scope.EVERYTHING):
        membership = Membership.objects.get()

    pages = [
        auditor.get(path).content.decode()
        for path in (
            f"/admin/retail/order/{order.pk}/change/",
            f"/admin/members/member/{membership.member_id}/change/",
            f"/admin/retail/orderline/{line.pk}/why/",
        )
    ]

    assert "138****5678" in pages[0] and "138****5678" in pages[1]
    assert not [page for page in pages if "13800005678" in page]


@pytest.mark.parametrize("role", ["hq_ops", "hq_finance"])
def test_entries_cannot_be_added_changed_or_deleted(shop, sign_in, role):
    order, _ = settled(shop)
    with scope.within(scope.EVERYTHING):
        entry = Entry.objects.filter(order=order).first()
    person = sign_in(shop, role)
    base = "/admin/commissions/entry/"

    assert person.post(f"{base}add/", fen="1").status_code == 403
    assert person.post(f"{base}{entry.pk}/change/", fen="1").status_code == 403
    assert person.post(f"{base}{entry.pk}/delete/", post="yes").status_code == 403
    assert person.post(base, action="delete_selected", _selected_action=entry.pk).status_code in (200, 302)
    with scope.within(scope.EVERYTHING):
        assert Entry.objects.get(pk=entry.pk).fen == entry.fen


def test_without_a_post_there_is_no_admin(shop):
    settled(shop)
    account = user(is_staff=True)
    roles.grant(user=account, role="auditor")
    client = signed_in(account)

    assert client.get("/admin/retail/order/").status_code == 403
    assert client.get("/admin/retail/order/")["Location"].startswith("/admin/login/")


def test_every_role_of_the_table_has_its_permissions(db):
    for role in Post.Role.values:
        account = user()

        roles.grant(user=account, role=role)

        assert account.get_all_permissions() == roles.PERMISSIONS[role]
        assert account.is_staff == bool(roles.PERMISSIONS[role])


# ── Nobody hands out more than they have ─────────────────────────────────────────────────────────────────────────────
def test_operations_cannot_make_a_superuser_or_change_finance(shop, sign_in):
    ops, finance = sign_in(shop, "hq_ops"), sign_in(shop, "hq_finance")
    clerk = user()

    ops.post(
        f"/admin/retail/user/{clerk.pk}/change/",
        username=clerk.username,
        is_active="on",
        is_superuser="on",
        is_staff="on",
    )
    password = ops.post(f"/admin/retail/user/{finance.user.pk}/password/", password1="x" * 12, password2="x" * 12)
    staff = ops.get(f"/admin/retail/staff/{finance.staff.pk}/change/")

    clerk.refresh_from_db()
    assert not clerk.is_superuser and not clerk.is_staff
    assert password.status_code == 403
    assert "_save" not in staff.content.decode()


def test_operations_cannot_grant_the_post_of_finance(shop, sign_in):
    ops = sign_in(shop, "hq_ops")
    with scope.within(scope.EVERYTHING):
        clerk = shop.staff[next(iter(shop.staff))]

    answer = ops.post(f"/admin/retail/staff/{clerk.pk}/change/", **_staff_form(clerk, role="hq_finance"))

    assert answer.status_code == 200
    assert answer.context["inline_admin_formsets"][0].formset.errors[0]["role"]


@pytest.mark.parametrize(("role", "groups"), [("store_manager", ["clerk", "store_manager"]), ("auditor", ["clerk"])])
def test_a_new_post_brings_its_role_at_once_below_headquarters(shop, sign_in, role, groups):
    ops = sign_in(shop, "hq_ops")
    account = user()
    with scope.within(scope.EVERYTHING):
        clerk = shop.staff[next(iter(shop.staff))]
        clerk.user = account
        clerk.save()

    place = {"posts-0-store": clerk.posts.get().store_id} if role == "store_manager" else {}
    form = _staff_form(clerk, role=role, user=account.pk, **place)
    answer = ops.post(f"/admin/retail/staff/{clerk.pk}/change/", **form)

    assert answer.status_code == 302, answer.context["errors"]
    assert sorted(account.groups.values_list("name", flat=True)) == groups


def _staff_form(staff, *, role, **fields):
    """The page of a person with one new post."""
    with scope.within(scope.EVERYTHING):
        row = {"code": staff.code, "name": staff.name, "share_code": staff.share_code, **fields}
    return {
        **row,
        "posts-TOTAL_FORMS": "1", "posts-INITIAL_FORMS": "0", "posts-0-role": role,
        "posts-0-starts_at_0": "2026-01-01", "posts-0-starts_at_1": "00:00:00",
        "employments-TOTAL_FORMS": "0", "employments-INITIAL_FORMS": "0", **NO_ACCOUNTS,
    }  # fmt: skip


def test_a_phone_typed_in_is_kept_masked_and_never_journalled(shop, sign_in):
    ops = sign_in(shop, "hq_ops")
    with scope.within(scope.EVERYTHING):
        clerk = shop.staff[next(iter(shop.staff))]
    form = _staff_form(clerk, role="auditor", phone="139 1234 5678") | {"posts-TOTAL_FORMS": "0"}

    answer = ops.post(f"/admin/retail/staff/{clerk.pk}/change/", **form)

    assert answer.status_code == 302, answer.context["errors"]
    page = ops.get(f"/admin/retail/staff/{clerk.pk}/change/").content.decode()
    with scope.within(scope.EVERYTHING):
        assert Staff.objects.get(pk=clerk.pk).phone_key.masked == "139****5678"
        assert "13912345678" not in str(list(AuditRow.objects.values()))
    assert "139****5678" in page and "13912345678" not in page
