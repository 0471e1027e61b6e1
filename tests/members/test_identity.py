"""Who an order was."""

import pytest

from members import identity
from members.models import Identity, Member, Membership, Purchase
from retail import scope
from retail.models import Order
from tests.factories import NOW, settle_at_once, world

PHONE = {"type": "phone", "value": "13800005678"}
UNIONID = {"type": "unionid", "value": "oUnion0001"}
CARD = {"type": "card", "value": "VIP000777"}


def buyer(*keys):
    from retail.shapes import Buyer

    return tuple(Buyer(**key) for key in keys)


def days_ago(days):
    from datetime import timedelta

    return NOW - timedelta(days=days)


def member_of(order_id) -> int:
    return Purchase.objects.get(order=order_id).membership.member_id


@pytest.mark.usefixtures("everything")
class TestMatch:
    def test_a_number_goes_with_whoever_shows_it(self):
        shop = world()
        (first,) = shop.settle(shop.order(buyer=buyer(PHONE, CARD)))
        (second,) = shop.settle(shop.order(buyer=buyer(CARD)))

        assert member_of(first) == member_of(second)
        assert Identity.objects.filter(member=member_of(first)).count() == 2

    def test_a_phone_is_one_phone_however_it_is_written(self):
        shop = world()
        (first,) = shop.settle(shop.order(buyer=buyer(PHONE)))
        (second,) = shop.settle(shop.order(buyer=buyer({"type": "phone", "value": "+86 138-0000-5678"})))

        assert member_of(first) == member_of(second)

    def test_keys_of_two_members_are_never_merged_by_an_order(self):
        shop = world()
        (by_phone,) = shop.settle(shop.order(buyer=buyer(PHONE)))
        (by_union,) = shop.settle(shop.order(buyer=buyer(UNIONID)))
        (both,) = shop.take(shop.order(buyer=buyer(PHONE, UNIONID)))

        (match,) = identity.whose(orders=[Order.objects.get(pk=both.id)])

        # The unionid is the stronger key.
        assert match.member_id == member_of(by_union)
        assert match.others == (member_of(by_phone),)
        assert Member.objects.filter(merged_into=None).count() == 2

    def test_the_same_card_number_of_two_brands_is_two_members(self):
        one, two = world(), world()
        (first,) = one.settle(one.order(buyer=buyer(CARD)))
        (second,) = two.settle(two.order(buyer=buyer(CARD)), channel=two.pos)

        assert member_of(first) != member_of(second)

    def test_one_person_has_a_membership_per_brand(self):
        one, two = world(), world()
        (first,) = one.settle(one.order(buyer=buyer(PHONE)))
        (second,) = two.settle(two.order(buyer=buyer(PHONE)), channel=two.pos)

        assert member_of(first) == member_of(second)
        assert Membership.objects.count() == 2
        assert all(purchase.is_first for purchase in Purchase.objects.all())

    def test_nobody_known_is_nobody(self):
        shop = world()
        (order_id,) = shop.settle(shop.order())

        assert not Purchase.objects.filter(order=order_id).exists()

    def test_new_and_dormant_are_decided_from_what_is_known_then(self):
        shop = world()
        (first,) = shop.settle(shop.order(buyer=buyer(PHONE), paid_at=days_ago(100)))
        (again,) = shop.settle(shop.order(buyer=buyer(PHONE), paid_at=days_ago(30)))
        (late,) = shop.settle(shop.order(buyer=buyer(PHONE), paid_at=days_ago(60)))

        facts = {p.order_id: (p.is_first, p.dormant_days) for p in Purchase.objects.all()}
        assert facts == {first: (True, None), again: (False, 70), late: (False, 40)}
        membership = Membership.objects.get()
        assert (membership.first_purchase_at, membership.last_purchase_at) == (days_ago(100), days_ago(30))

    def test_matching_again_changes_nothing(self):
        shop = world()
        (order_id,) = shop.settle(shop.order(buyer=buyer(PHONE)))
        before = Purchase.objects.get()

        again = identity.match_many(orders=[Order.objects.get(pk=order_id)], now=NOW)

        assert again == {order_id: before}
        assert Purchase.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_orders_of_one_new_buyer_at_once_make_one_member():
    with scope.within(scope.EVERYTHING):
        shop = world()
        taken = shop.take(*(shop.order(buyer=buyer(PHONE)) for _ in range(6)))

    failures = settle_at_once(taken)

    with scope.within(scope.EVERYTHING):
        assert not failures
        assert Member.objects.count() == 1
        assert Purchase.objects.count() == 6
        assert Membership.objects.get().first_purchase_at == NOW
