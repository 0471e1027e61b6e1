"""渠道活码: shifts, the spare, the day's cap, leavers, and who came and went by each."""

from datetime import time, timedelta
from typing import Any

import pytest
from django.utils import timezone

from clerks.models import ContactWay, Notice, Shift
from clerks.outreach import codes, notices
from retail import tasks
from retail.models import StaffAccount
from tests.factories import corp as corps
from tests.factories.corp import LI, WANG, ZHOU, Corp
from tests.wecom_server import CORP


def code(corp: Corp, *userids: str, spare: str = "", **fields: Any) -> ContactWay:
    given = {"name": "门口", "kind": "store", "brand": corp.shop.brand, "store": corp.shop.store, **fields}
    way = ContactWay(spare=corp.staff(spare) if spare else None, **given)
    codes.save(way=way, by=None, now=timezone.now())
    for userid in userids:
        Shift.objects.create(way=way, staff=corp.staff(userid))
    corp.work()
    way.refresh_from_db()
    return way


def behind(corp: Corp) -> list[str]:
    """Who stands behind the one code in WeCom."""
    (way,) = corp.server.simulator.world.corps[CORP].ways.values()
    return sorted(way.fields["user"])


def scan(corp: Corp, way: ContactWay, **given: Any) -> str:
    told = corp.act("scan", state=way.state_code, **given)
    corp.happen()
    return str(told["userid"])


def test_a_code_is_made_and_brings_its_state(wecom_corp: Corp) -> None:
    way = code(wecom_corp, LI)
    assert way.config_id and way.qr_code and way.applied == [LI]
    scan(wecom_corp, way)
    assert wecom_corp.friend().state_code == way.state_code


def test_its_picture_is_here_before_anybody_looks_and_asked_for_again(wecom_corp: Corp, time_machine: Any) -> None:
    """A customer's page shows it, and asks WeCom for nothing."""
    way = code(wecom_corp, LI)
    assert bytes(way.qr_image or b"").startswith(b"\x89PNG")
    ContactWay.objects.update(qr_image=None)
    assert tasks.refresh_contact_ways() == 0  # WeCom may be slow
    time_machine.move_to(timezone.now() + codes.PICTURE_AGAIN)
    assert tasks.refresh_contact_ways() == 1
    wecom_corp.work()
    assert ContactWay.objects.get().qr_image and tasks.refresh_contact_ways() == 0


def test_shifts_decide_and_the_clock_moves_them(wecom_corp: Corp, time_machine: Any) -> None:
    way = code(wecom_corp, LI, WANG)
    way.shifts.filter(staff=wecom_corp.staff(LI)).update(starts=time(9), ends=time(15))
    way.shifts.filter(staff=wecom_corp.staff(WANG)).update(starts=time(15), ends=time(21))
    for clock, who in (("10:00", LI), ("16:00", WANG)):
        time_machine.move_to(timezone.now().strftime(f"%Y-%m-%dT{clock}:00+08:00"))
        assert codes.on_duty(way=way, now=timezone.now()) == [wecom_corp.staff(who)]
        assert tasks.refresh_contact_ways() == 1
        wecom_corp.work()
        assert behind(wecom_corp) == [who]
    assert tasks.refresh_contact_ways() == 0


def test_weekdays(wecom_corp: Corp, time_machine: Any) -> None:
    way = code(wecom_corp, LI)
    way.shifts.update(weekdays="67")
    time_machine.move_to("2026-11-20T10:00:00+08:00")  # a Friday
    assert codes.on_duty(way=way, now=timezone.now()) == []
    time_machine.move_to("2026-11-21T10:00:00+08:00")
    assert codes.on_duty(way=way, now=timezone.now()) == [wecom_corp.staff(LI)]


def test_who_has_had_enough_today_makes_room(wecom_corp: Corp) -> None:
    way = code(wecom_corp, LI, spare=ZHOU, daily_cap=2)
    assert [scan(wecom_corp, way) for _ in range(3)] == [LI, LI, ZHOU]


def test_a_leavers_codes_switch_to_the_spare(wecom_corp: Corp) -> None:
    code(wecom_corp, LI, spare=WANG)
    wecom_corp.act("leave", userid=LI)
    wecom_corp.happen()
    assert behind(wecom_corp) == [WANG]


def test_who_has_no_account_makes_room_for_the_spare(wecom_corp: Corp) -> None:
    way = code(wecom_corp, LI, spare=WANG)
    StaffAccount.objects.filter(userid=LI).delete()
    assert tasks.refresh_contact_ways() == 1
    wecom_corp.work()
    way.refresh_from_db()
    assert (behind(wecom_corp), way.trouble) == ([WANG], "")


def test_why_nobody_is_left_is_said_as_it_is(wecom_corp: Corp) -> None:
    way = code(wecom_corp, LI)
    account = StaffAccount.objects.get(userid=LI)
    account.delete()
    codes.apply(way_id=way.pk, now=timezone.now())
    way.refresh_from_db()
    assert f"员工{LI}还没有关联企业微信账号" in way.trouble
    account.save()
    wecom_corp.act("leave", userid=LI)
    wecom_corp.happen()
    way.refresh_from_db()
    assert "离职" in way.trouble and f"仍是员工{LI}" in way.trouble  # who is gone does not serve on unsaid
    assert (way.wanted, way.applied) == ([], [LI])
    notice = Notice.objects.filter(kind="code_trouble").latest("pk")
    assert (notice.staff, notice.text) == (wecom_corp.staff(corps.CHEN), way.trouble)


def test_with_nobody_left_the_manager_hears_of_it(wecom_corp: Corp) -> None:
    way = code(wecom_corp)
    assert way.trouble and not way.config_id
    notice = Notice.objects.get()
    assert (notice.kind, notice.staff) == ("code_trouble", wecom_corp.staff(corps.CHEN))


def test_a_code_cut_off_while_it_was_made_is_found_again(wecom_corp: Corp) -> None:
    path = "externalcontact/add_contact_way"
    wecom_corp.server.control.fault(path, kind="cut", times=1, is_late=True)
    way = code(wecom_corp)
    Shift.objects.create(way=way, staff=wecom_corp.staff(LI))
    codes.publish(ways=[way], now=timezone.now())
    wecom_corp.work()
    way.refresh_from_db()
    assert way.config_id and len(wecom_corp.server.simulator.world.corps[CORP].ways) == 1


def test_looking_for_it_asks_about_no_code_of_ours(wecom_corp: Corp) -> None:
    for _ in range(4):
        code(wecom_corp, LI)
    asked = len(wecom_corp.asked("externalcontact/get_contact_way"))
    wecom_corp.server.control.fault("externalcontact/add_contact_way", kind="cut", times=1, is_late=True)
    way = code(wecom_corp)
    Shift.objects.create(way=way, staff=wecom_corp.staff(LI))
    codes.publish(ways=[way], now=timezone.now())
    wecom_corp.work()
    assert len(wecom_corp.asked("externalcontact/get_contact_way")) - asked == 1
    assert len(wecom_corp.server.simulator.world.corps[CORP].ways) == 5


def test_the_same_trouble_is_told_once_not_every_day(wecom_corp: Corp, time_machine: Any) -> None:
    way = code(wecom_corp)
    now = timezone.now()
    for day in range(1, 4):
        time_machine.move_to(now + timedelta(days=day))
        codes.refresh(now=timezone.now())
        wecom_corp.work()
    assert Notice.objects.count() == 1
    notices.done(notice=Notice.objects.get(), now=timezone.now())
    codes.apply(way_id=way.pk, now=timezone.now())
    assert Notice.objects.count() == 1  # done, and the same as last week's
    time_machine.move_to(now + timedelta(days=9))
    codes.apply(way_id=way.pk, now=timezone.now())
    assert Notice.objects.count() == 2
    Shift.objects.create(way=way, staff=wecom_corp.staff(LI), weekdays=str(timezone.localtime().isoweekday() % 7 + 1))
    codes.apply(way_id=way.pk, now=timezone.now())
    assert Notice.objects.count() == 3  # another one


def test_without_shifts_nobody_is_asked_for_a_spare(wecom_corp: Corp) -> None:
    assert "备用" not in code(wecom_corp).trouble
    assert code(wecom_corp, LI).trouble == ""


def test_a_code_that_is_switched_off_is_gone(wecom_corp: Corp) -> None:
    way = code(wecom_corp, LI)
    way.is_active = False
    codes.save(way=way, by=None, now=timezone.now())
    wecom_corp.work()
    assert not wecom_corp.server.simulator.world.corps[CORP].ways


def test_who_came_and_who_went(wecom_corp: Corp) -> None:
    way = code(wecom_corp, LI)
    for _ in range(3):
        scan(wecom_corp, way)
    lost = wecom_corp.shop.brand and wecom_corp.server.simulator.world.corps[CORP].follows
    (first, *_others) = [who for _, who in lost]
    wecom_corp.act("block", userid=LI, external_userid=first)
    wecom_corp.happen()
    assert codes.counts(ways=[way])[way.pk] == (3, 1)


@pytest.mark.parametrize("fields", [{"starts": time(9)}, {"weekdays": "8"}, {"weekdays": ""}])
def test_a_shift_that_makes_no_sense_is_refused(wecom_corp: Corp, fields: dict[str, Any]) -> None:
    from django.core.exceptions import ValidationError

    way = code(wecom_corp, LI)
    shift = Shift(way=way, staff=wecom_corp.staff(WANG), **fields)
    with pytest.raises(ValidationError):
        shift.full_clean()


def test_what_wecom_refuses_is_tried_again_less_and_less_often(wecom_corp: Corp, time_machine: Any) -> None:
    way = code(wecom_corp, LI)
    Shift.objects.create(way=way, staff=wecom_corp.staff(WANG))
    wecom_corp.server.control.fault("externalcontact/update_contact_way", code=41054, times=99)
    start, tried = timezone.now(), 0
    for minute in range(60):
        time_machine.move_to(start + timedelta(minutes=minute), tick=False)
        tried += tasks.refresh_contact_ways()
        wecom_corp.work()
    assert tried == 5  # after 0, 2, 6, 14 and 30 minutes
    way.refresh_from_db()
    assert "41054" in way.trouble and way.next_try_at > timezone.now()
    assert Notice.objects.filter(kind="code_trouble").count() == 1
    wecom_corp.server.control.post("faults/clear")
    Shift.objects.create(way=way, staff=wecom_corp.staff(ZHOU))  # somebody else: at once
    assert tasks.refresh_contact_ways() == 1
    wecom_corp.work()
    way.refresh_from_db()
    assert (way.trouble, way.next_try_at) == ("", None) and len(way.applied) == 3


def test_a_missing_permission_is_said_on_the_code(wecom_corp: Corp) -> None:
    wecom_corp.server.control.fault("externalcontact/add_contact_way", code=48002, times=99)
    way = code(wecom_corp)
    Shift.objects.create(way=way, staff=wecom_corp.staff(LI))
    codes.publish(ways=[way], now=timezone.now())
    wecom_corp.work()
    way.refresh_from_db()
    assert "可调用接口的应用" in way.trouble
