"""Who a member belongs to."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction

from clerks import binding
from clerks.models import Binding
from members.models import Member
from retail import scope
from retail.shapes import Buyer
from tests.factories import NOW, settle_at_once, world

PHONE = (Buyer("phone", "13800005678"),)


@pytest.fixture
def shop(everything):
    shop = world()
    shop.hire("A1")
    shop.hire("A2")
    return shop


def test_the_first_sale_at_the_till_binds_from_the_payment(shop):
    shop.settle(shop.order(buyer=PHONE, serving_clerk="A1"))

    bound = Binding.objects.get()
    assert (bound.staff, bound.source, bound.started_at) == (shop.staff["A1"], "first_sale", NOW)
    assert bound.protected_until == NOW + timedelta(days=90)


def test_a_sale_by_a_colleague_does_not_rebind_but_prolongs_the_protection(shop):
    shop.settle(shop.order(buyer=PHONE, serving_clerk="A1"))
    later = NOW + timedelta(days=20)

    shop.settle(shop.order(buyer=PHONE, serving_clerk="A2", paid_at=later))

    bound = Binding.objects.get()
    assert bound.staff == shop.staff["A1"]
    assert bound.protected_until == later + timedelta(days=90)


@pytest.mark.parametrize("clerk", [None, "stranger"])
def test_a_sale_without_a_clerk_of_ours_binds_nobody(shop, clerk):
    shop.settle(shop.order(buyer=PHONE, serving_clerk=clerk))

    assert not Binding.objects.exists()


def test_an_online_sale_binds_nobody(shop):
    online = shop.channel("mini_program")
    shop.settle(shop.order(channel=online, buyer=PHONE, serving_clerk="A1"), channel=online)

    assert not Binding.objects.exists()


def test_the_clerk_of_a_line_binds_when_the_order_names_none(shop):
    shop.settle(shop.order(buyer=PHONE, lines=[{"serving_clerk": "A2"}]))

    assert Binding.objects.get().staff == shop.staff["A2"]


def test_an_earlier_sale_that_arrives_late_leaves_the_relation(shop):
    shop.settle(shop.order(buyer=PHONE, serving_clerk="A1"))

    shop.settle(shop.order(buyer=PHONE, serving_clerk="A2", paid_at=NOW - timedelta(days=3)))

    assert Binding.objects.get().staff == shop.staff["A1"]


def test_the_database_refuses_a_second_active_binding(shop):
    member = Member.objects.create(created_at=NOW)
    row = {
        "brand": shop.brand,
        "member": member,
        "store": shop.store,
        "source": "manual",
        "started_at": NOW,
        "protected_until": NOW,
    }
    Binding.objects.create(staff=shop.staff["A1"], **row)

    with pytest.raises(IntegrityError, match="binding_one_active"), transaction.atomic():
        Binding.objects.create(staff=shop.staff["A2"], **row)


def test_history_binds_by_highest_spend_and_lists_ties(shop):
    def history(phone, *sales):
        for clerk, fen in sales:
            order = shop.order(buyer=(Buyer("phone", phone),), serving_clerk=clerk, lines=[{"paid_fen": fen}])
            shop.settle(order)

    history("13800000001", ("A1", 10000), ("A1", 10000), ("A2", 50000))
    history("13800000002", ("A1", 30000), ("A2", 30000))
    Binding.objects.all().delete()

    bound, ties = binding.bind_from_history(
        brand=shop.brand, since=NOW - timedelta(days=365), now=NOW + timedelta(days=1)
    )

    assert bound == 1
    assert Binding.objects.get().staff == shop.staff["A2"]
    assert len(ties) == 1
    assert binding.bind_from_history(brand=shop.brand, since=NOW, now=NOW)[0] == 0


@pytest.mark.django_db(transaction=True)
def test_many_tills_at_once_bind_one_clerk():
    with scope.within(scope.EVERYTHING):
        shop = world()
        for place in range(4):
            shop.hire(f"C{place}")
        taken = shop.take(*(shop.order(buyer=PHONE, serving_clerk=f"C{place}") for place in range(4)))

    failures = settle_at_once(taken)

    with scope.within(scope.EVERYTHING):
        assert not failures
        assert Binding.objects.active().count() == 1
