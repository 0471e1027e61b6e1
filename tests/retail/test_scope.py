"""Rows through a scope, or not at all."""

import pytest

from commissions.models import Entry
from retail import org, scope
from retail.models import Order, Post, Staff, Store
from tests.factories import NOW, franchisee, world


@pytest.fixture
def two_shops(everything):
    """One brand, two stores (the second a franchisee's), a sale with commission in each."""
    shop = world()
    shop.company = franchisee()
    shop.theirs = shop.another_store(franchisee=shop.company, region=None)
    shop.hire("A1")
    shop.hire("B1", store=shop.theirs)
    shop.hire("M1", role="store_manager")
    shop.hire("G1", role="region_manager", region=shop.region)
    shop.hire("F1", role="franchise_owner", franchisee=shop.company)
    shop.hire("H1", role="hq_ops")
    shop.plan({"id": "r", "calc": {"type": "fixed", "fen": 100}, "split": [{"role": "serve", "weight": 1}]})
    shop.settle(shop.order(serving_clerk="A1"), shop.order(serving_clerk="B1", store_code=shop.theirs.code))
    return shop


def test_outside_a_scope_nothing_is_read(db):
    with pytest.raises(scope.OutsideScope):
        Order.objects.count()


@pytest.mark.parametrize(
    ("code", "orders", "entries", "stores"),
    [("A1", 0, 1, 1), ("M1", 1, 1, 1), ("G1", 1, 1, 1), ("F1", 1, 1, 1), ("H1", 2, 4, 2)],
)
def test_every_post_sees_its_own(two_shops, code, orders, entries, stores):
    post = Post.objects.get(staff=two_shops.staff[code])

    with scope.within(org.scope_of(post)):
        assert Order.objects.count() == orders
        # House legs belong to no store: headquarters alone sees them.
        assert Entry.objects.count() == entries
        assert Store.objects.count() == stores


def test_a_clerk_sees_only_own_entries(two_shops):
    with scope.within(org.scope_of(Post.objects.get(staff=two_shops.staff["A1"]))):
        assert {entry.staff_id for entry in Entry.objects.all()} == {two_shops.staff["A1"].pk}
        assert Staff.objects.get().code == "A1"


def test_the_inner_scope_replaces_the_outer(two_shops):
    with scope.within(scope.NOTHING):
        assert Store.objects.count() == 0
        with scope.within(scope.EVERYTHING):
            assert Store.objects.count() == 2
        assert Store.objects.count() == 0


def test_who_left_has_no_post(two_shops):
    staff = two_shops.staff["A1"]
    assert [post.role for post in org.posts_of(staff=staff, now=NOW)] == ["clerk"]

    staff.employments.update(ends_at=NOW)

    assert org.posts_of(staff=staff, now=NOW) == []
