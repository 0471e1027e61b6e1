"""Two clerks claim the same customers at once: each customer ends with one, and the other clerk hears why."""

import threading

import pytest
from django.db import connection

from clerks import pool
from clerks.models import Binding, Pooled, PoolPolicy
from retail import scope
from retail.models import Post
from retail.shapes import Buyer
from tests.factories import NOW, world
from tests.figures import figure

CUSTOMERS = 24


@pytest.mark.django_db(transaction=True)
def test_of_two_who_claim_at_once_one_gets_the_customer():
    with scope.within(scope.EVERYTHING):
        shop = world()
        PoolPolicy.objects.create(brand=shop.brand, claims_per_day=100, claims_open=100)
        for code in ("A1", "A2"):
            shop.hire(code)
        shop.settle(*(shop.order(buyer=(Buyer("phone", f"139{n:08}"),)) for n in range(CUSTOMERS)))
        members = list(Pooled.objects.order_by("pk").values_list("member", flat=True))
    start, got, refused, failures = threading.Barrier(2), [], [], []

    def claims(code: str) -> None:
        post = Post.objects.select_related("store__brand").get(staff__code=code)
        try:
            with scope.within(scope.EVERYTHING):
                for member_id in members:
                    start.wait()
                    try:
                        got.append(pool.claim(post=post, member_id=member_id, by=None, now=NOW).staff_id)
                    except pool.Refused as refusal:
                        refused.append(str(refusal))
        except Exception as error:
            failures.append(error)
            start.abort()
        finally:
            connection.close()

    clerks = [threading.Thread(target=claims, args=(code,)) for code in ("A1", "A2")]
    for clerk in clerks:
        clerk.start()
    for clerk in clerks:
        clerk.join()

    assert failures == []
    with scope.within(scope.EVERYTHING):
        held = list(Binding.objects.filter(ended_at=None).values_list("member", flat=True))
        assert sorted(held) == sorted(members) and not Pooled.objects.exists()
    assert len(got) == len(refused) == CUSTOMERS and set(refused) == {pool._taken()}
    figure("C3", f"{CUSTOMERS} customers × 2 clerks at once: each has one clerk, {len(refused)} told that it was late")
