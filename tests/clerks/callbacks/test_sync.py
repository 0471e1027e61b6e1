"""The full look: what callbacks lost is found, what vanished goes unless it is too much, and the drift is said."""

from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib import admin
from django.core.management import CommandError, call_command
from django.utils import timezone

from clerks import corp as mirror
from clerks.callbacks import sync
from clerks.models import CorpTag, Department, Friend, FriendMove, GroupChat, Notice, SyncRun
from retail.models import Post, Staff, StaffAccount
from tests.factories.corp import CUSTOMER, LI, WANG, ZHOU, Corp
from tests.wecom_server import CORP

SECOND = "wmDEMOAAAA0000000000000000000002"


def look(corp: Corp, **given: Any) -> SyncRun:
    run = sync.start(corp=CORP, by=None, now=timezone.now(), **given)
    corp.work()
    run.refresh_from_db()
    return run


def test_lost_callbacks_are_made_good(wecom_corp: Corp) -> None:
    wecom_corp.act("add", userid=LI, external_userid=CUSTOMER)
    wecom_corp.act("add", userid=WANG, external_userid=SECOND)
    wecom_corp.act("create_chat", owner=LI, name="好物", members=[CUSTOMER])
    run = look(wecom_corp)
    assert (run.state, run.seen, run.found) == ("done", 2, 3)
    assert run.drift_ppm > 0
    assert {row[0] for row in wecom_corp.bonds()} == {LI, WANG}
    assert Friend.objects.get(userid=LI).member.name == "小鹿"
    assert GroupChat.objects.get().name == "好物" and CorpTag.objects.count() == 5
    assert run.is_first
    again = look(wecom_corp)
    assert not again.is_first
    assert (again.found, again.gone, again.changed, again.drift_ppm) == (0, 0, 0, 0)


def test_what_vanished_goes(wecom_corp: Corp, settings: Any) -> None:
    wecom_corp.act("add", userid=LI, external_userid=CUSTOMER)
    wecom_corp.happen()
    Friend.objects.update(since=timezone.now() - timedelta(minutes=2))
    wecom_corp.friend().moves.update(at=timezone.now() - timedelta(minutes=2))
    wecom_corp.act("delete", userid=LI, external_userid=CUSTOMER)
    assert look(wecom_corp).gone == 1
    assert wecom_corp.friend().state == "deleted"


def test_the_brake_stops_what_is_too_much_to_believe(wecom_corp: Corp, settings: Any) -> None:
    operator = wecom_corp.shop.hire("ops", role="hq_ops")
    settings.WECOM_SYNC_BRAKE = (50_000, 1)
    for who in (CUSTOMER, SECOND):
        wecom_corp.act("add", userid=LI, external_userid=who)
    wecom_corp.happen()
    for friend in Friend.objects.all():
        friend.moves.update(at=timezone.now() - timedelta(minutes=2))
    wecom_corp.server.simulator.world.corps[CORP].follows.clear()
    run = look(wecom_corp)
    assert (run.state, run.gone) == ("stopped", 0)
    assert set(Friend.objects.values_list("state", flat=True)) == {"friend"}
    assert Notice.objects.get(kind="sync_stopped").staff == operator
    assert look(wecom_corp, is_forced=True, reason="关店").gone == 2


def test_who_left_unheard_has_left(wecom_corp: Corp) -> None:
    wecom_corp.act("leave", userid=ZHOU)
    assert look(wecom_corp).gone == 1
    assert not Post.objects.at(timezone.now()).filter(staff=wecom_corp.staff(ZHOU)).exists()
    assert Post.objects.at(timezone.now()).filter(staff=wecom_corp.staff(LI)).exists()


def test_the_command_says_what_it_found(wecom_corp: Corp) -> None:
    wecom_corp.act("add", userid=LI, external_userid=CUSTOMER)
    said = StringIO()
    call_command("wecom_sync", CORP, stdout=said)
    assert "done, 1 looked at, 1 found" in said.getvalue()


def test_the_command_says_in_a_line_what_went_wrong(wecom_corp: Corp) -> None:
    for arguments in (["ww-nobodys"], [CORP, "--force", " "]):
        with pytest.raises(CommandError) as refused:
            call_command("wecom_sync", *arguments)
        assert "\n" not in str(refused.value)
    wecom_corp.server.control.fault("externalcontact/get_follow_user_list", kind="errcode", code=60020, times=9)
    with pytest.raises(CommandError, match="60020") as refused:
        call_command("wecom_sync", CORP)
    assert "Traceback" not in str(refused.value) and "\n" not in str(refused.value)


def test_a_command_and_a_worker_do_it_once(wecom_corp: Corp) -> None:
    call_command("wecom_sync", CORP, stdout=StringIO())
    assert wecom_corp.work() == 0
    assert SyncRun.objects.count() == 1 and len(wecom_corp.asked("externalcontact/get_follow_user_list")) == 1


def test_past_the_brake_without_a_reason_there_is_no_way(wecom_corp: Corp) -> None:
    with pytest.raises(ValueError, match="reason"):
        sync.start(corp=CORP, by=None, now=timezone.now(), is_forced=True)


def test_people_are_looked_for_in_every_branch_the_application_sees(wecom_corp: Corp) -> None:
    """It need not see the department above all others."""
    world = wecom_corp.server.simulator.world.corps[CORP]
    known = set(world.departments)
    for top in [one for one in world.departments.values() if one.parentid not in known]:
        del world.departments[top.id]
    tops = {one.id for one in world.departments.values() if one.parentid not in world.departments}
    for member in world.members.values():
        member.department = [one for one in member.department if one in world.departments] or [min(tops)]
    assert len(tops) > 1
    assert look(wecom_corp).gone == 0
    asked = [int(one["query"]["department_id"]) for one in wecom_corp.asked("user/list")]
    assert sorted(asked) == sorted(tops)
    assert Post.objects.at(timezone.now()).filter(staff=wecom_corp.staff(LI)).exists()


def test_each_corp_is_looked_at_once_a_night(wecom_corp: Corp, time_machine: Any) -> None:
    time_machine.move_to("2026-11-22T12:00:00+08:00")
    assert sync.start_due(now=timezone.now()) == 0
    time_machine.move_to("2026-11-23T03:05:00+08:00")
    assert sync.start_due(now=timezone.now()) == 1
    assert sync.start_due(now=timezone.now()) == 0


# ── What is out of sight, and what an answer leaves out ──────────────────────────────────────────────────────────────
def hide(corp: Corp, *userids: str) -> None:
    """The application sees these no more."""
    members = set(corp.server.simulator.world.corps[CORP].members)
    corp.server.app().visible = members - set(userids)


def age(corp: Corp) -> None:
    """What is known has been known for a while: a reading may be half a minute behind."""
    ago = timezone.now() - timedelta(minutes=2)
    FriendMove.objects.update(at=ago)
    for model in (CorpTag, Department, GroupChat):
        model.objects.update(read_at=ago)


def test_whoever_is_out_of_sight_stays_as_they_are(wecom_corp: Corp) -> None:
    hide(wecom_corp, ZHOU)
    run = look(wecom_corp)
    assert (run.state, run.gone, run.unseen) == ("done", 0, 1)
    assert run.drift_ppm > 0
    assert Post.objects.at(timezone.now()).filter(staff=wecom_corp.staff(ZHOU)).exists()


@pytest.mark.parametrize("name", ["contact_update_user_rename_id", "contact_delete_user"])
def test_an_event_about_somebody_out_of_sight_changes_nothing(wecom_corp: Corp, name: str) -> None:
    hide(wecom_corp, ZHOU)
    renamed = {"NewUserID": ZHOU} if "rename" in name else {}
    assert wecom_corp.hear(name, UserID=ZHOU, **renamed).state == "ignored"
    assert Post.objects.at(timezone.now()).filter(staff=wecom_corp.staff(ZHOU)).exists()


def test_relations_of_clerks_who_are_listed_no_more_are_drift(wecom_corp: Corp) -> None:
    wecom_corp.act("add", userid=LI, external_userid=CUSTOMER)
    wecom_corp.act("add", userid=WANG, external_userid=SECOND)
    wecom_corp.happen()
    hide(wecom_corp, LI)
    run = look(wecom_corp)
    assert (run.state, run.gone, run.unseen) == ("done", 0, 2)  # the clerk and the relation
    assert run.drift_ppm > 0
    assert wecom_corp.friend(LI).state == "friend"


def test_a_scope_narrowed_by_mistake_stops_the_run(wecom_corp: Corp, settings: Any) -> None:
    wecom_corp.shop.hire("ops", role="hq_ops")
    settings.WECOM_SYNC_BRAKE = (50_000, 1)
    for who in (CUSTOMER, SECOND):
        wecom_corp.act("add", userid=LI, external_userid=who)
    wecom_corp.happen()
    for member in wecom_corp.server.simulator.world.corps[CORP].members.values():
        member.may_have_customers = False
    assert look(wecom_corp).state == "stopped"
    assert "客户联系范围" in Notice.objects.get(kind="sync_stopped").text
    assert set(Friend.objects.values_list("state", flat=True)) == {"friend"}


def test_customers_of_those_who_have_left_are_nobodys_mistake(wecom_corp: Corp) -> None:
    wecom_corp.act("add", userid=ZHOU, external_userid=CUSTOMER)
    wecom_corp.happen()
    wecom_corp.act("leave", userid=ZHOU)
    wecom_corp.happen()
    assert (look(wecom_corp).unseen, wecom_corp.friend(ZHOU).state) == (0, "friend")


def mirrored() -> tuple[int, int, int]:
    """How many tags, departments and chats there are as far as we know."""
    return (
        CorpTag.objects.filter(deleted_at=None).count(),
        Department.objects.count(),
        GroupChat.objects.filter(dismissed_at=None).count(),
    )


def emptied(corp: Corp) -> tuple[dict[str, Any], dict[str, Any]]:
    """WeCom answers as if there were no tags and no chats. What there was."""
    world = corp.server.simulator.world.corps[CORP]
    there = dict(world.tag_groups), dict(world.chats)
    world.tag_groups.clear()
    world.chats.clear()
    return there


def test_one_empty_answer_ends_nothing_that_is_too_much(wecom_corp: Corp, settings: Any) -> None:
    settings.WECOM_SYNC_BRAKE = (50_000, 1)
    for name in ("好物", "上新"):
        wecom_corp.act("create_chat", owner=LI, name=name, members=[CUSTOMER])
    look(wecom_corp)
    age(wecom_corp)
    before = mirrored()
    emptied(wecom_corp)
    for told in ([], [{"id": 1, "name": "只剩一个"}]):
        answer = mirror.mirror_departments(corp=CORP, told=told, at=timezone.now())
        assert (answer.gone, answer.refused > 1) == (0, True)
    run = look(wecom_corp)
    assert (run.state, mirrored()) == ("stopped", before)
    assert look(wecom_corp, is_forced=True, reason="真的没有了").state == "done"
    assert mirrored() == (0, before[1], 0)


def test_a_healthy_answer_brings_back_what_only_was_not_listed(wecom_corp: Corp) -> None:
    kept = wecom_corp.act("create_chat", owner=LI, name="好物", members=[CUSTOMER])["chat_id"]
    ended = wecom_corp.act("create_chat", owner=LI, name="上新", members=[CUSTOMER])["chat_id"]
    look(wecom_corp)
    age(wecom_corp)
    groups, chats = emptied(wecom_corp)
    assert look(wecom_corp).state == "done"
    assert mirrored()[::2] == (0, 0)
    dead = CorpTag.objects.order_by("pk")[0]
    mirror.delete_tags(corp=CORP, id=dead.tag_id, at=timezone.now())  # what an event told is for good
    mirror.dismiss_chat(corp=CORP, chat_id=ended, at=timezone.now())
    world = wecom_corp.server.simulator.world.corps[CORP]
    world.tag_groups.update(groups)
    world.chats.update(chats)
    look(wecom_corp)
    assert mirrored()[::2] == (4, 1)
    assert not CorpTag.objects.filter(pk=dead.pk, deleted_at=None).exists()
    assert GroupChat.objects.get(dismissed_at=None).chat_id == kept


def test_people_nobody_told_of_are_recognised_and_their_friends_with_them(wecom_corp: Corp) -> None:
    staff = wecom_corp.staff(LI)
    StaffAccount.objects.filter(staff=staff).delete()
    wecom_corp.act("add", userid=LI, external_userid=CUSTOMER)
    wecom_corp.happen()
    assert wecom_corp.friend().staff is None and wecom_corp.bonds() == []
    Staff.objects.filter(pk=staff.pk).update(code=LI.upper())
    look(wecom_corp)
    assert StaffAccount.objects.get(staff=staff).userid == LI
    assert wecom_corp.friend().staff == staff
    assert [row[0] for row in wecom_corp.bonds()] == [LI]


def test_a_clock_ahead_of_ours_undoes_nothing(wecom_corp: Corp) -> None:
    """The simulator's clock was moved on: what it says lies in our future, and in the same order all the same."""
    wecom_corp.server.control.advance(86_400)
    wecom_corp.act("add", userid=LI, external_userid=CUSTOMER)
    wecom_corp.happen()
    wecom_corp.server.control.advance(2)
    wecom_corp.act("block", userid=LI, external_userid=CUSTOMER)
    wecom_corp.happen()
    assert wecom_corp.friend().state == "lost"
    run = look(wecom_corp)
    assert (run.found, wecom_corp.friend().state) == (0, "lost")
    assert wecom_corp.friend().since < timezone.now() + timedelta(minutes=6)  # in our books not in the future
    wecom_corp.server.control.advance(2)
    wecom_corp.act("add", userid=LI, external_userid=CUSTOMER)
    wecom_corp.told()  # lost on the way
    assert (look(wecom_corp).found, wecom_corp.friend().state) == (1, "friend")


def test_who_was_deleted_at_once_stays_deleted_while_readings_lag(wecom_corp: Corp) -> None:
    wecom_corp.server.control.advance(86_400)
    wecom_corp.act("add", userid=LI, external_userid=CUSTOMER)
    wecom_corp.server.control.post("settings", stale_seconds=600)
    wecom_corp.server.control.advance(3)
    wecom_corp.act("delete", userid=LI, external_userid=CUSTOMER)
    wecom_corp.happen()
    assert wecom_corp.friend().state == "deleted"
    assert (look(wecom_corp).found, wecom_corp.friend().state) == (0, "deleted")


def test_of_a_look_that_is_not_over_no_drift_is_told(wecom_corp: Corp) -> None:
    run = sync.start(corp=CORP, by=None, now=timezone.now())
    page = admin.site.get_model_admin(SyncRun)
    assert page.drift(run) == "–"
    run.ended_at, run.is_first = timezone.now(), False
    assert "0" in page.drift(run)
