"""What each of the sample events does: the effect is there after one to four deliveries, and is one."""

import random
from collections.abc import Callable

import pytest
from django.utils import timezone

from clerks.models import Binding, CorpTag, Department, Friend, FriendMove, Greeting, GroupChat, Notice, Touch, Welcome
from retail.models import Employment, Post, StaffAccount
from retail.wecom.models import Call, Message
from tests.factories import corp as corps
from tests.factories import wecom
from tests.factories.corp import CUSTOMER, LI, WANG, Corp
from tests.wecom_server import CORP, PARTNER

Effect = Callable[[Corp, Callable[..., Message]], None]
EFFECTS: dict[str, Effect] = {}
SAMPLES = sorted(path.stem for path in wecom.EVENTS.glob("*.xml"))


def effect(*names: str) -> Callable[[Effect], Effect]:
    def listed(check: Effect) -> Effect:
        EFFECTS.update(dict.fromkeys(names, check))
        return check

    return listed


@pytest.mark.parametrize("name", SAMPLES)
def test_each_event_has_its_effect_and_only_one(wecom_corp: Corp, name: str) -> None:
    times = random.randint(1, 4)

    def hear(**changed: str) -> Message:
        changed.setdefault("CreateTime", str(int(timezone.now().timestamp())))
        message = wecom_corp.hear(name, times=times, **changed)
        assert Message.objects.count() == 1
        return message

    EFFECTS[name](wecom_corp, hear)


def befriend(corp: Corp, userid: str = LI, external_userid: str = CUSTOMER) -> None:
    """Friends already, and the product knows; what it heard is forgotten."""
    corp.act("add", userid=userid, external_userid=external_userid)
    corp.happen()
    Touch.objects.all().delete()
    Greeting.objects.all().delete()
    Message.objects.all().delete()


def moves() -> list[str]:
    return list(FriendMove.objects.order_by("at", "pk").values_list("kind", flat=True))


# ── Customers ────────────────────────────────────────────────────────────────────────────────────────────────────────
@effect("ext_contact_add")
def added(corp: Corp, hear: Callable[..., Message]) -> None:
    Welcome.objects.create(name="通用", brand=corp.shop.brand, text="您好")
    corp.act("add", userid=LI, external_userid=CUSTOMER)
    assert hear().state == "done"
    friend = corp.friend()
    assert (friend.state, friend.state_code, friend.member.name) == ("friend", "store_1001", "小鹿")
    assert corp.bonds() == [(LI, "contact_code", True)]
    assert moves() == ["added"]
    assert Greeting.objects.get().state == "missed"  # the sample's code is none of the simulator's


@effect("ext_contact_add_no_welcome")
def added_without_welcome(corp: Corp, hear: Callable[..., Message]) -> None:
    corp.act("add", userid=LI, external_userid=CUSTOMER)
    assert hear().state == "done"
    assert corp.bonds() == [(LI, "contact_code", True)]
    assert not Greeting.objects.exists()


@effect("ext_contact_add_half")
def half_added(corp: Corp, hear: Callable[..., Message]) -> None:
    corp.act("add", userid=LI, external_userid=CUSTOMER, is_half=True)
    assert hear().state == "done"
    assert corp.friend().state == "half"
    assert corp.bonds() == []  # binds only on add
    assert Greeting.objects.count() == 1  # a welcome is allowed


@effect("ext_contact_add_partner_wecom_user")
def partner_added(corp: Corp, hear: Callable[..., Message]) -> None:
    corp.act("new_customer", name="伙伴", type=2, external_userid=(other := "woDEMOAAAA0000000000000000000002"))
    corp.act("add", userid=LI, external_userid=other)
    assert hear().state == "done"
    assert corp.friend().state == "friend" and other != PARTNER
    assert {one.key.type for one in corp.friend().member.identities.all()} == {"external_userid"}


@effect("ext_contact_edit")
def edited(corp: Corp, hear: Callable[..., Message]) -> None:
    befriend(corp)
    (tag, *_others) = corp.act("create_tags", group_name="新组", names=["甲", "乙"])["tag_ids"]
    corp.act("edit", userid=LI, external_userid=CUSTOMER, tags=[tag])
    assert hear().state == "done"
    assert corp.friend().tags == [tag]


@effect("ext_contact_del_by_member")
def deleted(corp: Corp, hear: Callable[..., Message]) -> None:
    befriend(corp)
    corp.act("delete", userid=LI, external_userid=CUSTOMER)
    assert hear().state == "done"
    assert corp.friend().state == "deleted"
    assert moves() == ["added", "deleted"]
    assert corp.bonds() == [(LI, "contact_code", True)]  # a friend less, but still the clerk's customer


@effect("ext_contact_del_by_transfer")
def transferred(corp: Corp, hear: Callable[..., Message]) -> None:
    befriend(corp)
    corp.act("delete", userid=LI, external_userid=CUSTOMER)
    assert hear().state == "done"
    assert corp.friend().state == "transferred"


@effect("ext_contact_del_follow_user")
def lost(corp: Corp, hear: Callable[..., Message]) -> None:
    befriend(corp)
    corp.act("block", userid=LI, external_userid=CUSTOMER)
    assert hear().state == "done"
    assert corp.friend().state == "lost"
    assert Binding.objects.get(ended_at=None).lost_at == corp.friend().since  # stays, marked


@effect("ext_contact_transfer_fail_refused", "ext_contact_transfer_fail_limit")
def transfer_failed(corp: Corp, hear: Callable[..., Message]) -> None:
    befriend(corp)
    message = hear()
    assert message.state == "done"
    takeover = corp.friend(WANG)
    assert takeover.state == "none"
    assert takeover.moves.get().kind in ("refused", "full")
    assert corp.bonds() == [(LI, "contact_code", True)]


@effect("ext_contact_msg_audit_approved")
def approved(corp: Corp, hear: Callable[..., Message]) -> None:
    befriend(corp)
    assert hear().state == "done"
    assert corp.friend().state == "friend"
    assert Greeting.objects.count() == 1


# ── Group chats ──────────────────────────────────────────────────────────────────────────────────────────────────────
def chat(corp: Corp) -> str:
    corp.act("create_chat", owner=LI, name="天河店好物", members=[CUSTOMER])
    corp.told()
    (chat_id,) = corp.server.simulator.world.corps[CORP].chats
    return str(chat_id)


@effect("ext_chat_create", "ext_chat_update_add_member_legacy", "ext_chat_update_change_notice")
def chat_created(corp: Corp, hear: Callable[..., Message]) -> None:
    chat_id = chat(corp)
    corp.act("change_chat", chat_id=chat_id, notice="明天上新")
    assert hear(ChatId=chat_id).state == "done"
    row = GroupChat.objects.get()
    assert (row.chat_id, row.name, row.has_notice) == (chat_id, "天河店好物", True)
    assert row.staff == corp.staff(LI) and row.store == corp.shop.store
    assert {(one.userid, one.key_id is None) for one in row.members.all()} == {(LI, True), ("", False)}


@effect("ext_chat_update_change_name", "ext_chat_update_change_owner")
def chat_changed(corp: Corp, hear: Callable[..., Message]) -> None:
    chat_id = chat(corp)
    corp.act("change_chat", chat_id=chat_id, name="新名字", owner=WANG)
    assert hear(ChatId=chat_id).state == "done"
    row = GroupChat.objects.get()
    assert (row.name, row.staff) == ("新名字", corp.staff(WANG))


@effect("ext_chat_update_add_member", "ext_chat_update_del_member")
def chat_joined(corp: Corp, hear: Callable[..., Message]) -> None:
    chat_id = chat(corp)
    corp.act("join_chat", chat_id=chat_id, members=["wmDEMOAAAA0000000000000000000002"])
    corp.act("leave_chat", chat_id=chat_id, members=[CUSTOMER])
    version = corp.server.simulator.world.corps[CORP].chats[chat_id].member_version
    assert hear(ChatId=chat_id, CurMemVer=version).state == "done"
    row = GroupChat.objects.get()
    assert row.member_version == version and row.members.count() == 2
    assert len(corp.asked("externalcontact/groupchat/get")) == 2  # once more, a little later


@effect("ext_chat_dismiss")
def chat_dismissed(corp: Corp, hear: Callable[..., Message]) -> None:
    assert hear(ChatId=chat(corp)).state == "done"
    assert GroupChat.objects.get().dismissed_at is not None


# ── Tags ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
def tags(corp: Corp) -> tuple[str, list[str]]:
    made = corp.act("create_tags", group_name="新组", names=["甲", "乙"])
    corp.told()
    return made["group_id"], made["tag_ids"]


@effect("ext_tag_create", "ext_tag_update")
def tag_changed(corp: Corp, hear: Callable[..., Message]) -> None:
    _, (first, _second) = tags(corp)
    corp.act("rename_tag", id=first, name="丙")
    assert hear(Id=first).state == "done"
    row = CorpTag.objects.get()
    assert (row.tag_id, row.name, row.group_name) == (first, "丙", "新组")


@effect("ext_tag_group_create", "ext_tag_shuffle")
def tag_group_changed(corp: Corp, hear: Callable[..., Message]) -> None:
    group, ids = tags(corp)
    corp.act("shuffle_tags", group_id=group)
    assert hear(Id=group).state == "done"
    places = dict(CorpTag.objects.values_list("tag_id", "place"))
    assert set(places) == set(ids) and len(set(places.values())) == 2


@effect("ext_tag_delete")
def tag_deleted(corp: Corp, hear: Callable[..., Message]) -> None:
    _, (first, second) = tags(corp)
    for id in (first, second):
        CorpTag.objects.create(corp=CORP, tag_id=id, name=id)
    corp.act("delete_tag", id=first)
    assert hear(Id=first).state == "done"
    assert list(CorpTag.objects.filter(deleted_at=None).values_list("tag_id", flat=True)) == [second]


# ── The address book ─────────────────────────────────────────────────────────────────────────────────────────────────
@effect("contact_create_party", "contact_create_party_full", "contact_update_party", "contact_delete_party")
def departments(corp: Corp, hear: Callable[..., Message]) -> None:
    corp.act("create_department", name="天河二店", parentid=2, id=12)
    corp.act("delete_department", id=3)
    Department.objects.create(corp=CORP, number=3, name="越秀店", parent=1)
    assert hear().state == "done"
    assert set(Department.objects.values_list("number", "parent")) == {(1, 0), (2, 1), (12, 2)}


@effect("contact_create_user_minimal", "contact_create_user_full")
def hired(corp: Corp, hear: Callable[..., Message]) -> None:
    """Ours, where the userid is the number of somebody of ours."""
    staff = corp.shop.hire("CLERK_NEW")
    corp.act("hire", userid="clerk_new", name="赵导购")
    assert hear().state == "done"
    assert StaffAccount.objects.get(staff=staff).userid == "clerk_new"


@effect("contact_update_user_rename_id")
def renamed(corp: Corp, hear: Callable[..., Message]) -> None:
    corp.act("change_member", userid=LI, new_userid="clerk_zhao")
    staff = corp.staff(LI)
    assert hear(UserID=LI).state == "done"
    assert staff.accounts.get().userid == "clerk_zhao"


@effect("contact_delete_user")
def left(corp: Corp, hear: Callable[..., Message]) -> None:
    befriend(corp)
    staff = corp.staff(LI)
    corp.act("leave", userid=LI)
    assert hear().state == "done"
    now = timezone.now()
    assert not Post.objects.at(now).filter(staff=staff).exists()
    assert not Employment.objects.at(now).filter(staff=staff).exists()
    notice = Notice.objects.get(kind="staff_left")
    assert notice.staff == corp.staff(corps.CHEN) and "1" in notice.text
    assert corp.friend().state == "friend"  # the customers wait for somebody


# ── Links, cards, and what is nobody's ───────────────────────────────────────────────────────────────────────────────
@effect("cust_acq_customer_start_chat")
def started_chat(corp: Corp, hear: Callable[..., Message]) -> None:
    befriend(corp)
    assert hear().state == "done"
    touch = Touch.objects.get()
    assert (touch.purpose, touch.staff) == ("reply", corp.staff(LI))


@effect("cust_acq_balance_low", "cust_acq_balance_exhausted", "cust_acq_link_unavailable")
def acquisition(corp: Corp, hear: Callable[..., Message]) -> None:
    operator = corps.employ(corp.shop, "ops_he", role="hq_ops")
    assert hear().state == "done"
    notice = Notice.objects.get()
    assert (notice.staff, notice.kind, notice.is_todo) == (operator, "acquisition", True)


@effect("template_card_button")
def pressed(corp: Corp, hear: Callable[..., Message]) -> None:
    from clerks.outreach import notices

    notice = notices.tell(
        staff=corp.staff(LI), kind="told", title="去看看", effect="x", is_todo=True, now=timezone.now()
    )
    assert hear(TaskId=f"notice-{notice.pk}", EventKey="done").state == "done"
    notice.refresh_from_db()
    assert notice.read_at and notice.done_at
    assert Call.objects.filter(path="message/update_template_card").count() == 1


@effect(
    *("app_click", "app_enter_agent", "app_location", "app_subscribe", "app_unsubscribe", "app_view"),
    *("msg_text", "msg_text_cdata_split", "msgaudit_notify", "batch_job_result", "unknown_future_event"),
    *("contact_update_tag", "template_card_menu", "template_card_vote"),
    *("cust_acq_balance_increased", "cust_acq_delete_link", "cust_acq_friend_request", "cust_acq_open_profile"),
)
def ignored(corp: Corp, hear: Callable[..., Message]) -> None:
    assert hear().state == "ignored"
    assert not Friend.objects.exists() and not Notice.objects.exists() and not Call.objects.exists()


def test_every_sample_has_an_effect_here() -> None:
    assert set(EFFECTS) == set(SAMPLES)
    assert len(SAMPLES) == 55
