"""Headquarters' words: made, renamed, switched off, put on a segment; and what a member's page tells to whom."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from members import model_tags, tags
from members.models import Member, Membership, MemberTag, Segment, SegmentMember, Tag
from retail import scope
from retail.models import AuditRow
from retail.shapes import Buyer
from tests.factories import NOW, franchisee, world

PAGE = "/admin/members/tag/"


@pytest.fixture(autouse=True)
def _everything():
    with scope.within(scope.EVERYTHING):
        yield


def joined(shop, count):
    members = Member.objects.bulk_create(Member(name=f"顾客{n}", created_at=NOW) for n in range(count))
    rows = [Membership(brand=shop.brand, member=member, registered_at=NOW) for member in members]
    return Membership.objects.bulk_create(rows)


def test_a_word_is_made_renamed_and_switched_off(shop, sign_in):
    person = sign_in(shop, "hq_ops")
    assert person.post(f"{PAGE}add/", brand=shop.brand.pk, group_name="生活", name=" 有  车 ").status_code == 302
    tag = Tag.objects.get()
    assert (tag.name, tag.kind, tag.brand) == ("有 车", "company", shop.brand)

    too_long = person.post(f"{PAGE}{tag.pk}/change/", group_name="生活", name="很" * 31)
    assert "标签要写 1 到 30 个字。" in too_long.content.decode()
    person.post(f"{PAGE}{tag.pk}/change/", group_name="出行", name="自驾")
    tags.put(tag=tag, member_ids=[one.member_id for one in joined(shop, 3)], staff=None, now=NOW)
    answer = person.post(f"{PAGE}{tag.pk}/switch_off/", _form_submitted="True")
    assert answer.status_code == 200 and "已经停用，在 3 位会员身上。" in person.get(PAGE).content.decode()

    tag.refresh_from_db()
    assert (tag.name, tag.group_name, tag.is_active) == ("自驾", "出行", False)
    assert set(AuditRow.objects.values_list("action", flat=True)) >= {"tag.define", "tag.rename", "tag.switch"}


def test_a_segment_is_tagged_at_once_and_the_count_said(shop, sign_in):
    person = sign_in(shop, "hq_ops")
    tag = tags.define(group_name="", name="回访过", brand=shop.brand, by=None, now=NOW)
    segment = Segment.objects.create(brand=shop.brand, name="沉睡的", condition={}, size=4, created_at=NOW)
    rows = joined(shop, 5)
    SegmentMember.objects.bulk_create(
        SegmentMember(segment=segment, membership=one, entered_at=NOW) for one in rows[:4]
    )
    tags.put(tag=tag, member_ids=[rows[0].member_id], staff=None, now=NOW)

    assert f"{shop.brand} · 沉睡的（4 人）" in person.get(f"{PAGE}{tag.pk}/put_on/").content.decode()
    person.post(f"{PAGE}{tag.pk}/put_on/", segment=segment.pk, _form_submitted="True")
    assert "给 3 位会员打上了“回访过”。" in person.get(PAGE).content.decode()
    assert MemberTag.objects.filter(tag=tag, until=None).count() == 4
    assert MemberTag.objects.filter(tag=tag, staff=person.staff).count() == 3
    person.post(f"{PAGE}{tag.pk}/take_off/", segment=segment.pk, _form_submitted="True")
    assert "从 4 位会员身上摘下了“回访过”。" in person.get(PAGE).content.decode()


def test_the_list_takes_as_many_queries_for_any_number_of_words(shop, sign_in):
    person = sign_in(shop, "auditor")
    tags.own(staff=shop.hire("own"), name="谁也看不到", now=NOW)

    def queries(count):
        for n in range(count):
            word = tags.define(group_name="g", name=f"词{Tag.objects.count()}-{n}", brand=None, by=None, now=NOW)
            tags.put(tag=word, member_ids=[one.member_id for one in joined(shop, 2)], staff=None, now=NOW)
        with CaptureQueriesContext(connection) as asked:
            assert "谁也看不到" not in person.get(PAGE).content.decode()
        return len(asked)

    assert queries(1) == queries(4)


def test_a_members_page_tells_tags_to_whom_they_are_for(shop, sign_in):
    """A shop sees words and why; nothing computed of what was bought elsewhere, of another brand, of another clerk."""
    buyer = (Buyer("phone", "13900000001"),)
    theirs = shop.another_store(franchisee=franchisee())
    dates = [NOW - timedelta(days=10 * n) for n in range(3)]
    shop.settle(*(shop.order(buyer=buyer, paid_at=at, lines=[{"tag_fen": 20_000}]) for at in dates))
    other = world()
    other.settle(other.order(buyer=buyer))
    model_tags.recompute(now=NOW)
    member = Member.objects.get()
    clerk = next(iter(shop.staff.values()))
    word = tags.define(group_name="生活", name="有车", brand=shop.brand, by=None, now=NOW)
    far = tags.define(group_name="", name="别家的词", brand=other.brand, by=None, now=NOW)
    for tag, staff in ((word, clerk), (far, None), (tags.own(staff=clerk, name="我的词", now=NOW), clerk)):
        tags.put(tag=tag, member_ids=[member.pk], staff=staff, now=NOW)
    manager, owner = sign_in(shop, "store_manager"), sign_in(shop, "hq_ops")
    page = f"/admin/members/member/{member.pk}/change/"

    shown = manager.get(page).content.decode()
    assert "生活 · 有车" in shown and str(clerk) in shown
    assert "近一年 3 单里 3 单在 7 折以下" in shown
    assert "别家的词" not in shown and "我的词" not in shown
    assert "别家的词" in owner.get(page).content.decode()

    shop.settle(shop.order(buyer=buyer, store_code=theirs.code))
    model_tags.recompute(now=NOW)
    assert "7 折" not in manager.get(page).content.decode() and "7 折" in owner.get(page).content.decode()
