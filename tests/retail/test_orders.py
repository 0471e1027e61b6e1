"""Taking down what the channels say."""

import threading

import pytest
from django.db import DatabaseError, connection, transaction

from retail import intake, scope
from retail.models import BuyerKey, Job, Order, OrderLine, OrderVersion, Refund, RefundVersion
from retail.orders import Fault
from retail.shapes import Buyer
from tests.factories import NOW, number, world

PHONE = (Buyer("phone", "138 0000-5678"), Buyer("card", "V1"))


@pytest.mark.usefixtures("everything")
class TestOrders:
    def test_an_order_is_kept_as_it_was_said(self):
        shop = world()
        row = shop.order(buyer=PHONE, serving_clerk="nobody we know", lines=[{"paid_fen": 7000}, {"paid_fen": 3000}])

        (taken,) = shop.take(row)

        order = Order.objects.get(pk=taken.id)
        assert taken.status == "created"
        assert (order.brand, order.store, order.serving_clerk) == (shop.brand, shop.store, "nobody we know")
        assert (order.paid_fen, order.version, order.settled_at) == (10000, 1, None)
        assert [str(key) for key in BuyerKey.objects.filter(pk__in=order.buyer_keys).order_by("type")] == [
            "****",
            "138****5678",
        ]
        assert {line.brand_label for line in order.lines.all()} == {shop.brand.code}

    def test_the_same_again_changes_nothing(self):
        shop = world()
        row = shop.order(buyer=PHONE)
        (first,) = shop.take(row)
        (again,) = shop.take(row)

        assert (again.status, again.id) == ("unchanged", first.id)
        assert Job.objects.count() == 1
        assert not OrderVersion.objects.exists()

    def test_bad_rows_are_named_and_good_rows_kept(self):
        shop = world()
        good = shop.order()
        bad = shop.order(store_code="nowhere", lines=[{}, {"sku": "ghost"}, {"outer_line_id": "1", "brand": "?"}])

        kept, refused = shop.take(good, bad)

        assert kept.status == "created"
        assert refused.faults == [
            Fault("store_code", "unknown store 'nowhere'"),
            Fault("lines[1].sku", "unknown SKU 'ghost'"),
            Fault("lines[2].brand", "unknown brand '?'"),
            Fault("lines[2].outer_line_id", "'1' appears twice"),
        ]
        assert Order.objects.count() == 1

    def test_an_order_of_another_channel_is_refused(self):
        shop = world()
        (taken,) = shop.take(shop.order(channel=shop.channel("jd")))

        assert taken.faults[0].field == "channel"

    def test_a_group_channel_takes_the_brand_of_the_store(self):
        shop = world()
        shared = shop.channel("pos", brand=None)

        with_store, without = shop.take(
            shop.order(channel=shared), shop.order(channel=shared, store_code=None), channel=shared
        )

        assert Order.objects.get(pk=with_store.id).brand == shop.brand
        assert "several brands" in without.faults[0].message

    def test_a_bad_phone_is_named(self):
        shop = world()
        (taken,) = shop.take(shop.order(buyer=(Buyer("phone", "call me"),)))

        assert taken.faults[0].field == "buyer[0]"

    def test_two_contents_under_one_number_in_one_batch(self):
        shop = world()
        first, same, other = shop.take(
            shop.order(outer_order_id="X"),
            shop.order(outer_order_id="X"),
            shop.order(outer_order_id="X", share_code="s"),
        )

        assert [first.status, same.status, other.status] == ["created", "created", "rejected"]
        assert first.id == same.id

    def test_a_correction_keeps_the_earlier_version_whole(self):
        shop = world()
        shop.take(shop.order(outer_order_id="X", lines=[{"paid_fen": 500}, {"paid_fen": 700}]))

        (taken,) = shop.take(shop.order(outer_order_id="X", share_code="new", lines=[{"paid_fen": 400}]))

        order = Order.objects.get(pk=taken.id)
        assert (taken.status, order.version, order.share_code, order.paid_fen) == ("corrected", 2, "new", 1100)
        kept = OrderVersion.objects.get().document
        assert kept["paid_fen"] == 1200
        assert [line["paid_fen"] for line in kept["lines"]] == [500, 700]
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            OrderVersion.objects.update(version=9)

    def test_a_correction_may_add_a_line(self):
        shop = world()
        shop.take(shop.order(outer_order_id="X"))
        shop.take(shop.order(outer_order_id="X", lines=[{}, {"paid_fen": 5}]))

        assert OrderLine.objects.filter(order__outer_order_id="X").count() == 2


@pytest.mark.usefixtures("everything")
class TestRefunds:
    def test_a_refund_of_an_unknown_line_is_refused(self):
        shop = world()
        order = shop.order()
        shop.settle(order)

        assert shop.refund(order, line="9", fen=1).faults == [
            Fault("outer_line_id", f"order '{order.outer_order_id}' has no line '9'")
        ]

    def test_a_corrected_refund_keeps_its_earlier_version(self):
        shop = world()
        order = shop.order()
        shop.settle(order)
        shop.refund(order, outer_refund_id="R", fen=100)

        assert shop.refund(order, outer_refund_id="R", fen=300).status == "corrected"
        assert Refund.objects.get().fen == 300
        assert RefundVersion.objects.get().document["fen"] == 100


@pytest.mark.django_db(transaction=True)
def test_the_same_batch_from_two_sides_at_once_is_written_once():
    with scope.within(scope.EVERYTHING):
        shop = world()
        batch = [shop.order(outer_order_id=f"T{number()}", buyer=PHONE) for _ in range(30)]
    statuses, failures = [], []

    def post():
        try:
            with scope.within(scope.EVERYTHING):
                statuses.extend(taken.status for taken in intake.take_orders(channel=shop.pos, data=batch, now=NOW))
        except Exception as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=post) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    with scope.within(scope.EVERYTHING):
        assert not failures
        assert sorted(statuses) == ["created"] * 30 + ["unchanged"] * 90
        assert Order.objects.count() == 30
        assert Job.objects.filter(kind="settle_order").count() == 30
