"""Tags here and in WeCom: an edit on each side ends equal on both, with few calls, and an echo changes nothing."""

import random
from typing import Any

from django.utils import timezone

from clerks import tagging
from clerks.models import CorpTag, TagWish
from members import tags
from members.models import Member, Membership, MemberTag, Profile, Tag
from tests.factories.corp import CUSTOMER, LI, WANG, Corp
from tests.wecom_server import CORP

MARK = "externalcontact/mark_tag"


def befriended(corp: Corp, *userids: str) -> Member:
    """The customer is a friend of these clerks, and the words of the corp are known."""
    for userid in userids or (LI,):
        corp.act("add", userid=userid, external_userid=CUSTOMER)
    corp.act("create_tags", group_name="喜好", names=["爱跑步", "怕冷", "有车"])
    corp.happen()
    return Member.objects.get(friends__userid=(userids or (LI,))[0])


def word(name: str) -> Tag:
    return Tag.objects.get(name=name, corp=CORP)


def here(member: Member) -> set[str]:
    """The names of the mirrored tags in force, by the rows and by the profile alike."""
    rows = MemberTag.objects.filter(member=member, until=None, tag__is_active=True).exclude(tag__corp_tag_id="")
    ids = {tag_id for row in Profile.objects.filter(membership__member=member) for tag_id in row.tag_ids}
    assert ids == set(rows.values_list("tag", flat=True))
    return set(rows.values_list("tag__name", flat=True))


def there(corp: Corp) -> set[str]:
    """What the simulator's WeCom holds, over all relations with the customer."""
    world = corp.server.simulator.world.corps[CORP]
    names = {tag.id: tag.name for _group, tag in world.tags()}
    return {names[one] for follow in world.follows.values() for one in follow.tags}


def marked(corp: Corp) -> int:
    return len(corp.asked(MARK))


def edit_there(corp: Corp, userid: str, *names: str) -> None:
    """The clerk sets the tags of the customer in the WeCom app, a second later: what is told twice in one is once."""
    corp.server.control.post("clock", advance=1)
    ids = list(CorpTag.objects.filter(name__in=names, deleted_at=None).values_list("tag_id", flat=True))
    corp.act("edit", userid=userid, external_userid=CUSTOMER, tags=ids)


def test_an_edit_on_each_side_ends_equal_on_both(wecom_corp: Corp) -> None:
    member = befriended(wecom_corp)
    now, li = timezone.now(), wecom_corp.staff(LI)

    assert tagging.put(tag=word("爱跑步"), member_ids=[member.pk], staff=li, now=now) == [member.pk]
    assert here(member) == {"爱跑步"} and not there(wecom_corp)
    wecom_corp.work()
    assert here(member) == there(wecom_corp) == {"爱跑步"} and marked(wecom_corp) == 1
    row = MemberTag.objects.get(member=member, until=None)
    assert (row.source, row.staff, row.in_wecom) == ("manual", li, True)

    edit_there(wecom_corp, LI, "爱跑步", "怕冷")
    wecom_corp.happen()
    assert here(member) == there(wecom_corp) == {"爱跑步", "怕冷"} and marked(wecom_corp) == 1
    new = MemberTag.objects.get(member=member, tag=word("怕冷"))
    assert (new.source, new.staff) == ("wecom", li)

    tagging.take_off(tag=word("怕冷"), member_ids=[member.pk], staff=li, now=timezone.now())
    wecom_corp.work()
    assert here(member) == there(wecom_corp) == {"爱跑步"} and marked(wecom_corp) == 2
    edit_there(wecom_corp, LI)
    wecom_corp.happen()
    assert here(member) == there(wecom_corp) == set() and marked(wecom_corp) == 2
    ended = MemberTag.objects.filter(member=member).exclude(until=None)
    assert {(one.tag.name, one.ended_by) for one in ended} == {("怕冷", li), ("爱跑步", None)}


def test_an_echo_changes_nothing(wecom_corp: Corp) -> None:
    member = befriended(wecom_corp)
    tagging.put(tag=word("爱跑步"), member_ids=[member.pk], staff=wecom_corp.staff(LI), now=timezone.now())
    wecom_corp.work()
    before = list(MemberTag.objects.values())

    edit_there(wecom_corp, LI, "爱跑步")
    echo = wecom_corp.told()
    wecom_corp.deliver(*echo, times=3)
    wecom_corp.work()

    assert echo and marked(wecom_corp) == 1
    assert list(MemberTag.objects.values()) == before


def test_both_at_once_ends_with_the_word_of_wecom(wecom_corp: Corp) -> None:
    """Edits of both sides in any order, again and again: equal in the end, and no more calls than edits here."""
    member = befriended(wecom_corp, LI, WANG)
    dice = random.Random(8)
    names, edits = ["爱跑步", "怕冷", "有车"], 0
    for _round in range(12):
        for _edit in range(dice.randint(1, 3)):
            clerk = dice.choice([LI, WANG])
            if dice.random() < 0.5:
                edit_there(wecom_corp, clerk, *dice.sample(names, dice.randint(0, 3)))
            else:
                verb = dice.choice([tagging.put, tagging.take_off])
                edits += 2 if verb is tagging.take_off else 1  # off is said of each relation that has it
                verb(
                    tag=word(dice.choice(names)),
                    member_ids=[member.pk],
                    staff=wecom_corp.staff(clerk),
                    now=timezone.now(),
                )
        events = wecom_corp.told()
        wecom_corp.deliver(*(events if dice.random() < 0.5 else events[::-1]))
        if dice.random() < 0.7:
            wecom_corp.work()
    wecom_corp.work()
    assert here(member) == there(wecom_corp)
    assert 3 < marked(wecom_corp) <= edits
    assert not TagWish.objects.filter(done_at=None).exists()


def test_what_wecom_refuses_comes_off_again(wecom_corp: Corp) -> None:
    member = befriended(wecom_corp)
    wecom_corp.act("delete_tag", id=word("有车").corp_tag_id)
    wecom_corp.told()  # and nobody hears of it

    tagging.put(tag=word("有车"), member_ids=[member.pk], staff=wecom_corp.staff(LI), now=timezone.now())
    wecom_corp.work()

    assert here(member) == there(wecom_corp) == set()
    assert marked(wecom_corp) == 1 and not TagWish.objects.exists()


def test_what_was_put_on_while_nobody_was_their_friend_is_told_once(wecom_corp: Corp) -> None:
    member = befriended(wecom_corp)
    edit_there(wecom_corp, LI, "有车")
    wecom_corp.happen()
    wecom_corp.act("delete", userid=LI, external_userid=CUSTOMER)
    wecom_corp.happen()
    assert here(member) == {"有车"} and there(wecom_corp) == set()  # who is nobody's friend keeps what they had
    tagging.put(tag=word("怕冷"), member_ids=[member.pk], staff=None, now=timezone.now())
    wecom_corp.work()
    assert marked(wecom_corp) == 0

    wecom_corp.server.control.post("clock", advance=1)
    wecom_corp.act("add", userid=LI, external_userid=CUSTOMER)
    wecom_corp.happen()

    assert here(member) == there(wecom_corp) == {"怕冷", "有车"}
    assert marked(wecom_corp) == 1


def test_words_of_the_corp_are_renamed_and_deleted_with_it(wecom_corp: Corp) -> None:
    member = befriended(wecom_corp)
    edit_there(wecom_corp, LI, "怕冷", "有车")
    wecom_corp.happen()
    cold = word("怕冷")
    assert (cold.brand, cold.group_name, here(member)) == (wecom_corp.shop.brand, "喜好", {"怕冷", "有车"})

    wecom_corp.act("rename_tag", id=cold.corp_tag_id, name="特别怕冷")
    wecom_corp.act("delete_tag", id=word("有车").corp_tag_id)
    wecom_corp.happen()

    cold.refresh_from_db()
    assert cold.name == "特别怕冷" and here(member) == there(wecom_corp) == {"特别怕冷"}
    assert not word("有车").is_active


def test_a_word_only_we_know_is_never_said(wecom_corp: Corp) -> None:
    member = befriended(wecom_corp)
    ours = tags.define(group_name="", name="投诉过", brand=None, by=None, now=timezone.now())
    tagging.put(tag=ours, member_ids=[member.pk], staff=None, now=timezone.now())
    wecom_corp.hear("ext_contact_edit", UserID=LI, ExternalUserID=CUSTOMER)

    assert marked(wecom_corp) == 0
    held: Any = tags.of_member(membership=Membership.objects.get(member=member), staff=None)
    assert [one.tag.name for one in held] == ["投诉过"]
