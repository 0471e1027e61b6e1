"""The full look: what callbacks lost is found, what vanished goes unless it is too much, and the drift is said."""

from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from clerks.callbacks import sync
from clerks.models import CorpTag, Friend, GroupChat, Notice, SyncRun
from retail.models import Post
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
