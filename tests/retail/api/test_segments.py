"""Segments through the API: of the brands of the token, with the members it may see."""

import pytest

from members import segments
from members.models import Membership, Segment
from retail import scope, shapes
from retail.api import tokens
from tests.factories import NOW, world
from tests.retail.api.conftest import Api

pytestmark = pytest.mark.django_db


def reader(**place):
    return Api(*tokens.issue(name="reader", can_read=True, **place))


def rows(answer):
    assert answer.status_code == 200, answer.content
    return answer.json()["results"]


@pytest.fixture
def kept(shop):
    """A member of each of two stores; the segment that both are in."""
    with scope.within(scope.EVERYTHING):
        shop.there = shop.another_store()
        for phone, store in (("13800000001", shop.store), ("13800000002", shop.there)):
            shop.settle(shop.order(buyer=(shapes.Buyer("phone", phone),), store_code=store.code))
        condition = {"match": "all", "of": [{"kind": "orders", "is": "ge", "count": 1}]}
        segment = Segment.objects.create(brand=shop.brand, name="买过", condition=condition, created_at=NOW)
        segments.refresh(segment=segment, now=NOW)
        return segment


def test_a_segment_and_its_members(shop, kept):
    group = reader()
    (shown,) = rows(group.get("segments/", {"brand": shop.brand.code}))
    assert (shown["id"], shown["brand"], shown["name"], shown["kind"]) == (kept.pk, shop.brand.code, "买过", "rule")
    assert "condition" not in shown and "size" not in shown

    people = rows(group.get("segment-members/", {"segment": kept.pk}))
    with scope.within(scope.EVERYTHING):
        wanted = set(Membership.objects.values_list("pk", "member"))
    assert {(row["membership"], row["member"]) for row in people} == wanted
    assert rows(group.get("segment-members/", {"segment": kept.pk + 1})) == []


def test_a_token_reads_the_members_of_its_stores(shop, kept):
    with scope.within(scope.EVERYTHING):
        ours = Membership.objects.get(purchases__store=shop.there)
        stranger = world().store
    store = reader(store=shop.there)
    assert [row["membership"] for row in rows(store.get("segment-members/"))] == [ours.pk]
    assert [row["id"] for row in rows(store.get("segments/"))] == [kept.pk]
    other = reader(store=stranger)
    assert rows(other.get("segments/")) == rows(other.get("segment-members/")) == []


def test_of_an_ended_segment_nobody_is_told(shop, kept):
    with scope.within(scope.EVERYTHING):
        segments.end(segment=kept, by=None, now=NOW)
    group = reader()
    assert rows(group.get("segment-members/")) == []
    assert [row["id"] for row in rows(group.get("segments/", {"is_ended": "true"}))] == [kept.pk]
