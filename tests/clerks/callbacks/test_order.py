"""P6 and P2 over the real protocol: a day in a corp, told in any order and several times, ends as it did in order."""

import random
from collections import Counter
from typing import Any

import pytest

from clerks.models import Binding as Bond
from clerks.models import CorpTag, Department, Friend, FriendMove, Greeting, GroupChat, GroupChatMember, Notice, Touch
from members.models import Identity, Member, Membership
from retail.models import Employment, Job, Post
from retail.wecom.models import Message
from tests.factories.corp import CUSTOMER, LI, WANG, ZHOU, Corp, shuffled
from tests.figures import figure

SECOND = "wmDEMOAAAA0000000000000000000002"


def a_day(corp: Corp) -> list[bytes]:
    """About thirty events, seconds apart."""

    def then(what: str, **given: Any) -> dict[str, Any]:
        corp.server.control.advance(3)
        return corp.act(what, **given)

    for who in (CUSTOMER, SECOND):
        then("add", userid=LI, external_userid=who)
        then("add", userid=WANG, external_userid=who)
    then("add", userid=ZHOU, external_userid=CUSTOMER, is_half=True)
    then("block", userid=LI, external_userid=CUSTOMER)
    then("delete", userid=WANG, external_userid=SECOND)
    then("accept", userid=ZHOU, external_userid=CUSTOMER)
    tags = then("create_tags", group_name="新组", names=["甲", "乙", "丙"])["tag_ids"]
    then("edit", userid=ZHOU, external_userid=CUSTOMER, tags=tags[:2])
    then("rename_tag", id=tags[0], name="丁")
    then("delete_tag", id=tags[2])
    chat = then("create_chat", owner=LI, name="好物", members=[CUSTOMER])["chat_id"]
    then("join_chat", chat_id=chat, members=[SECOND])
    then("leave_chat", chat_id=chat, members=[CUSTOMER])
    then("change_chat", chat_id=chat, name="好物群", owner=WANG)
    other = then("create_chat", owner=WANG, name="旧群", members=[SECOND])["chat_id"]
    then("dismiss_chat", chat_id=other)
    then("create_department", name="新店", parentid=1)
    then("add", userid=LI, external_userid=CUSTOMER)
    then("block", userid=LI, external_userid=SECOND)
    then("leave", userid=ZHOU)
    return corp.told()


def end(corp: Corp) -> dict[str, Any]:
    return {
        "friends": sorted(Friend.objects.values_list("userid", "key", "state", "since", "tags")),
        "moves": sorted(FriendMove.objects.values_list("friend__userid", "friend__key", "kind", "at")),
        "bonds": corp.bonds(),
        "chats": sorted(GroupChat.objects.values_list("chat_id", "name", "owner", "dismissed_at")),
        "chatting": sorted(
            map(str, GroupChatMember.objects.filter(chat__dismissed_at=None).values_list("userid", "key"))
        ),
        "tags": sorted(CorpTag.objects.filter(deleted_at=None).values_list("tag_id", "name")),
        "departments": sorted(Department.objects.values_list("number", "name")),
        "members": sorted(Member.objects.filter(merged_into=None).values_list("name", flat=True)),
        "identities": Identity.objects.count(),
        "gone": sorted(Post.objects.exclude(ends_at=None).values_list("staff__accounts__userid", flat=True)),
    }


def forget_all() -> None:
    """As if nothing had been heard. What was learnt of buyers' keys stays: the same values get the same rows."""
    for model in (
        Notice,
        Greeting,
        Touch,
        FriendMove,
        Friend,
        Bond,
        GroupChat,
        CorpTag,
        Department,
        Membership,
        Identity,
        Member,
    ):
        model.objects.all().delete()
    Job.objects.all().delete()
    Message.objects.all().delete()
    Post.objects.update(ends_at=None)
    Employment.objects.update(ends_at=None)


@pytest.mark.parametrize("seed", range(3))
def test_any_order_and_any_number_of_deliveries_end_the_same(wecom_corp: Corp, seed: int) -> None:
    events = a_day(wecom_corp)
    wecom_corp.deliver(*events)
    wecom_corp.work()
    expected = end(wecom_corp)
    assert Counter(row[2] for row in expected["friends"]) == {"friend": 3, "lost": 1, "deleted": 1}
    forget_all()
    told = shuffled(events, random.Random(seed))
    wecom_corp.deliver(*told)
    wecom_corp.work()
    assert end(wecom_corp) == expected
    assert Message.objects.count() == len(events)
    figure("P6", f"{len(events)} events of a day over HTTP, told {len(told)} times in another order: the same end")
