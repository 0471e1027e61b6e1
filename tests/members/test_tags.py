"""Words and who put them on whom."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from members import erasure, profiles, tags
from members.models import Member, Membership, MemberTag, Profile, Tag
from tests.factories import NOW, user, world

pytestmark = pytest.mark.usefixtures("everything")


@pytest.fixture
def shop():
    shop = world()
    shop.hire("A1")
    shop.hire("A2")
    return shop


def joined(shop, count=3):
    members = [Member.objects.create(created_at=NOW) for _ in range(count)]
    for member in members:
        Membership.objects.create(brand=shop.brand, member=member, registered_at=NOW)
    return [member.pk for member in members]


def company(shop, name="有车"):
    return tags.define(group_name="生活", name=name, brand=shop.brand, by=None, now=NOW)


def in_force(member_id):
    return {tag_id for row in Profile.objects.filter(membership__member=member_id) for tag_id in row.tag_ids}


def test_put_on_and_taken_off_with_who_and_when(shop):
    tag, (one, two, three) = company(shop), joined(shop)
    stranger = Member.objects.create(created_at=NOW).pk  # of no brand of the tag

    assert tags.put(tag=tag, member_ids=[one, two, stranger], staff=shop.staff["A1"], now=NOW) == [one, two]
    assert tags.put(tag=tag, member_ids=[two, three], staff=shop.staff["A2"], now=NOW) == [three]
    later = NOW + timedelta(days=1)
    assert tags.take_off(tag=tag, member_ids=[one, stranger], staff=shop.staff["A2"], now=later) == [one]

    row = MemberTag.objects.get(member=one)
    assert (row.source, row.staff, row.since) == ("manual", shop.staff["A1"], NOW)
    assert (row.until, row.ended_by) == (later, shop.staff["A2"])
    assert (in_force(one), in_force(two), in_force(stranger)) == (set(), {tag.pk}, set())
    assert tags.put(tag=tag, member_ids=[one], staff=None, now=later) == [one]
    assert MemberTag.objects.filter(member=one).count() == 2


def test_the_whole_groups_word_counts_in_every_brand(shop):
    (member,) = joined(shop, 1)
    other = world()
    Membership.objects.create(brand=other.brand, member_id=member, registered_at=NOW)
    tag = tags.define(group_name="", name="员工家属", brand=None, by=None, now=NOW)
    mine = company(other)

    tags.put(tag=tag, member_ids=[member], staff=None, now=NOW)
    tags.put(tag=mine, member_ids=[member], staff=None, now=NOW)

    held = {row.membership.brand: row.tag_ids for row in Profile.objects.select_related("membership__brand")}
    assert held == {shop.brand: [tag.pk], other.brand: sorted([tag.pk, mine.pk])}


def test_no_word_holds_a_number(shop):
    with pytest.raises(tags.Refused, match="号码"):
        tags.own(staff=shop.staff["A1"], name="电话13900001112", now=NOW)
    assert tags.own(staff=shop.staff["A1"], name="2026秋", now=NOW).name == "2026秋"


def test_a_clerks_own_words_are_theirs_alone(shop, monkeypatch):
    monkeypatch.setattr(tags, "MOST_OWN", 2)
    (member,), mine, other = joined(shop, 1), shop.staff["A1"], shop.staff["A2"]
    tag = tags.own(staff=mine, name="  爱 聊天 ", now=NOW)
    assert tag == tags.own(staff=mine, name="爱 聊天", now=NOW) != tags.own(staff=other, name="爱 聊天", now=NOW)
    tags.put(tag=tag, member_ids=[member], staff=mine, now=NOW)

    membership = Membership.objects.get()
    assert [one.tag for one in tags.of_member(membership=membership, staff=mine)] == [tag]
    assert tags.of_member(membership=membership, staff=other) == []
    assert tags.of_member(membership=membership, staff=None) == []
    assert tag not in tags.offered(brand_id=shop.brand.pk, staff=other)
    with pytest.raises(tags.Refused, match="别人"):
        tags.put(tag=tag, member_ids=[member], staff=other, now=NOW)
    second = tags.own(staff=mine, name="第二个", now=NOW)
    with pytest.raises(tags.Refused, match="最多 2 个"):
        tags.own(staff=mine, name="第三个", now=NOW)
    tags.switch(tag=second, is_active=False, by=None, now=NOW)
    assert tags.own(staff=mine, name="第三个", now=NOW)


def test_what_is_switched_off_is_in_force_for_nobody_and_comes_back(shop):
    tag, (one, two) = company(shop), joined(shop, 2)
    tags.put(tag=tag, member_ids=[one], staff=None, now=NOW)

    assert tags.switch(tag=tag, is_active=False, by=user(), now=NOW) == 1
    assert in_force(one) == set() and not list(
        profiles.otherwise(membership_ids=Membership.objects.values_list("pk", flat=True), now=NOW)
    )
    with pytest.raises(tags.Refused, match="停用"):
        tags.put(tag=tag, member_ids=[two], staff=None, now=NOW)
    tags.switch(tag=tag, is_active=True, by=user(), now=NOW)
    assert in_force(one) == {tag.pk}


def test_no_two_words_are_the_same(shop):
    one, other = (tags.define(group_name="偏好", name=name, brand=None, by=None, now=NOW) for name in ("红", "绿"))
    with pytest.raises(tags.Refused, match="已经有"):
        tags.rename(tag=other, group_name="偏好", name=one.name, by=None, now=NOW)
    tags.rename(tag=other, group_name="不要", name=one.name, by=None, now=NOW)


def test_nobody_puts_on_what_is_computed_nor_renames_what_wecom_named(shop):
    model = Tag.objects.create(kind="model", code="x", name="高消费")
    there = Tag.objects.create(kind="company", code="y", name="怕冷", corp="ww1", corp_tag_id="et1")
    with pytest.raises(tags.Refused, match="模型标签"):
        tags.put(tag=model, member_ids=joined(shop, 1), staff=None, now=NOW)
    with pytest.raises(tags.Refused, match="不在这里改"):
        tags.rename(tag=there, group_name="", name="不怕冷", by=None, now=NOW)
    with pytest.raises(tags.Refused, match="30"):
        company(shop, " ")


def test_any_number_of_members_takes_as_many_statements(shop):
    tag = company(shop)

    def statements(members):
        with CaptureQueriesContext(connection) as queries:
            tags.put(tag=tag, member_ids=members, staff=None, now=NOW)
        return len([query for query in queries if "SAVEPOINT" not in query["sql"]])

    assert statements(joined(shop, 2)) == statements(joined(shop, 40)) == 14


def test_of_who_is_forgotten_no_words_stay(shop):
    one, two = joined(shop, 2)
    mine, shared = (tags.own(staff=shop.staff["A1"], name=name, now=NOW) for name in ("林太太的妹妹", "爱聊天"))
    tags.put(tag=mine, member_ids=[one], staff=shop.staff["A1"], now=NOW)
    tags.put(tag=shared, member_ids=[one, two], staff=shop.staff["A1"], now=NOW)

    erasure.forget(whole=erasure.person(Member.objects.get(pk=one)), by=None, reason="本人要求", now=NOW)

    assert not Tag.objects.filter(name__contains="太太").exists() and Tag.objects.filter(name="爱聊天").exists()
    assert in_force(one) == set() and in_force(two) == {shared.pk}
