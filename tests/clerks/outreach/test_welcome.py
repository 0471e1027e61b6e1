"""The fast lane: the narrowest welcome, in time and once; what is missed becomes a to-do of the clerk."""

from datetime import time, timedelta
from typing import Any

import pytest
from django.utils import timezone

from clerks.models import ContactWay, Greeting, Notice, Welcome, WelcomePart
from clerks.outreach import codes, welcome
from members import consent
from members.models import Member
from retail import jobs, tasks
from retail.jobs import Job
from retail.models import Staff
from retail.wecom import keys
from retail.wecom.models import Call, Message
from tests.factories.corp import CUSTOMER, LI, Corp

SEND = "externalcontact/send_welcome_msg"


@pytest.fixture
def corp(wecom_corp: Corp) -> Corp:
    Welcome.objects.create(name="通用", brand=wecom_corp.shop.brand, text="您好，我是{store}的{clerk}，{brand}欢迎您")
    return wecom_corp


def meet(corp: Corp) -> Greeting:
    corp.act("add", userid=LI, external_userid=CUSTOMER)
    corp.happen()
    return Greeting.objects.get()


def test_it_is_sent_within_seconds_and_seen_by_the_customer(corp: Corp) -> None:
    greeting = meet(corp)
    assert (greeting.state, greeting.staff) == ("sent", corp.staff(LI))
    assert greeting.took_ms is not None and greeting.took_ms < 18_000
    (said,) = corp.asked(SEND)
    shop = corp.shop
    assert said["body"]["text"]["content"] == f"您好，我是{shop.store.name}的员工{LI}，{shop.brand.name}欢迎您"


def test_its_job_lies_in_the_fast_queue(corp: Corp) -> None:
    corp.act("add", userid=LI, external_userid=CUSTOMER)
    corp.deliver(*corp.told())
    assert Job.objects.get(kind="wecom_welcome").queue == jobs.FAST


@pytest.mark.parametrize("fault", [{"code": -1}, {"code": 41096}, {"kind": "status", "code": 502}])
def test_it_is_tried_again_after_what_passes(corp: Corp, fault: dict[str, Any]) -> None:
    corp.server.control.fault(SEND, times=2, **fault)
    assert meet(corp).state == "sent"


def test_one_customers_trouble_holds_nobody_up(corp: Corp) -> None:
    """Each run of the job is one try; those who came later are greeted before the second one."""
    corp.server.control.fault(SEND, code=41096, times=1)
    for name in ("坏", "好", "再好"):
        who = corp.act("new_customer", name=name)["external_userid"]
        corp.act("add", userid=LI, external_userid=who)
    corp.deliver(*corp.told())
    urgent = Job.objects.filter(queue=jobs.FAST).order_by("pk")
    jobs.run(ids=[job.pk for job in urgent], registry=tasks.REGISTRY)

    greetings = Greeting.objects.order_by("pk")
    assert [(one.state, one.attempts) for one in greetings] == [("waiting", 1), ("sent", 1), ("sent", 1)]
    assert len(corp.asked(SEND)) == 3
    waiting = urgent.exclude(state="done").get()
    assert waiting.state == "due" and waiting.due_at < timezone.now() + timedelta(seconds=2)
    corp.work()
    assert [(one.state, one.attempts) for one in greetings.all()] == [("sent", 2), ("sent", 1), ("sent", 1)]


def test_another_application_was_faster_after_a_busy_answer(corp: Corp) -> None:
    """Of a try that WeCom has answered is known that it did not work, also by whoever makes the next one."""
    corp.server.control.fault(SEND, code=41096, times=1)
    corp.act("add", userid=LI, external_userid=CUSTOMER)
    corp.deliver(*corp.told())
    jobs.run(ids=[Job.objects.get(queue=jobs.FAST).pk], registry=tasks.REGISTRY)
    corp.server.control.fault(SEND, code=41051, times=1)
    corp.work()
    assert Greeting.objects.get().state == "taken"


def test_it_is_tried_for_as_long_as_it_may_help(corp: Corp, monkeypatch: Any) -> None:
    monkeypatch.setattr(welcome, "PAUSES", (0.01,))
    corp.server.control.fault(SEND, kind="status", code=502, times=12)  # the line is closed to others after five
    greeting = meet(corp)
    assert (greeting.state, greeting.attempts) == ("sent", 13)


@pytest.mark.parametrize("fault", [{"kind": "slow", "seconds": 6}, {"kind": "status", "code": 502}])
def test_no_try_goes_beyond_the_deadline(corp: Corp, fault: dict[str, Any]) -> None:
    corp.server.control.fault(SEND, times=0, **fault)
    corp.act("add", userid=LI, external_userid=CUSTOMER)
    corp.deliver(*corp.told())
    Message.objects.update(received_at=timezone.now() - timedelta(seconds=15))
    corp.work()
    greeting = Greeting.objects.get()
    assert greeting.state == "missed" and greeting.took_ms is not None
    assert 17_500 < greeting.took_ms < 18_700
    assert Notice.objects.get().kind == "welcome_missed"


@pytest.mark.parametrize("code", [41050, 40096, 48002])
def test_it_is_not_tried_again_after_what_stays(corp: Corp, code: int) -> None:
    corp.server.control.fault(SEND, code=code, times=9)
    greeting = meet(corp)
    assert (greeting.state, greeting.errcode, greeting.attempts) == ("missed", code, 1)
    notice = Notice.objects.get()
    assert (notice.staff, notice.kind, notice.is_todo) == (corp.staff(LI), "welcome_missed", True)
    assert "欢迎您" in notice.text
    assert notice.friend == corp.friend() and notice.title == "小鹿加了您，欢迎语没发出去"
    assert Call.objects.get(path="message/send").state == "sent"  # and the clerk's phone said so


def test_another_application_was_faster(corp: Corp) -> None:
    corp.server.control.fault(SEND, code=41051, times=1)
    assert meet(corp).state == "taken"
    assert not Notice.objects.exists()


def test_an_answer_that_was_cut_off_is_not_said_twice(corp: Corp) -> None:
    corp.server.control.fault(SEND, kind="cut", times=1, is_late=True)
    greeting = meet(corp)
    assert (greeting.state, greeting.errcode) == ("sent", 41051)


def test_after_eighteen_seconds_nobody_asks_any_more(corp: Corp) -> None:
    corp.act("add", userid=LI, external_userid=CUSTOMER)
    corp.deliver(*corp.told())
    Message.objects.update(received_at=timezone.now() - timedelta(seconds=19))
    corp.work()
    assert (Greeting.objects.get().state, corp.asked(SEND)) == ("missed", [])
    assert Notice.objects.count() == 1


def test_the_same_callback_greets_once(corp: Corp) -> None:
    meet(corp)
    welcome.send(message_id=Message.objects.get().pk, now=timezone.now())
    assert len(corp.asked(SEND)) == 1


def test_who_wants_to_be_left_alone_is(corp: Corp) -> None:
    corp.act("add", userid=LI, external_userid=CUSTOMER)
    corp.happen()
    consent.stop(member=Member.objects.get(), corp=corp.app.corp_id, by=None, now=timezone.now())
    corp.act("delete", userid=LI, external_userid=CUSTOMER)
    corp.server.control.advance(5)
    corp.act("add", userid=LI, external_userid=CUSTOMER)
    corp.happen()
    assert Greeting.objects.latest("pk").state == "refused"
    assert len(corp.asked(SEND)) == 1


def test_the_narrowest_welcome_is_chosen(corp: Corp) -> None:
    shop, staff = corp.shop, corp.staff(LI)
    made = {"brand": shop.brand, "text": "…"}
    way = ContactWay(name="门口", kind="store", brand=shop.brand, store=shop.store)
    codes.save(way=way, by=None, now=timezone.now())
    at = timezone.now().astimezone(timezone.get_current_timezone()).replace(hour=23)

    def chosen(state_code: str = "") -> str:
        found = welcome.choose(staff=staff, store=shop.store, state_code=state_code, at=at)
        assert found is not None
        return found.name

    assert chosen() == "通用"
    Welcome.objects.create(name="夜里", starts=time(22), ends=time(8), **made)
    assert chosen() == "夜里"
    Welcome.objects.create(name="白天", starts=time(8), ends=time(22), store=shop.store, **made)
    assert chosen() == "夜里"
    Welcome.objects.create(name="门店", store=shop.store, **made)
    assert chosen() == "门店"
    Welcome.objects.create(name="导购", staff=staff, **made)
    assert chosen() == "导购"
    Welcome.objects.create(name="活码", way=way, **made)
    assert (chosen(), chosen(way.state_code)) == ("导购", "活码")
    Welcome.objects.create(name="停用", way=way, is_active=False, **made)
    assert chosen(way.state_code) == "活码"


def test_attachments_go_along(corp: Corp) -> None:
    general = Welcome.objects.get()
    WelcomePart.objects.create(welcome=general, kind="link", title="上新", url="https://example.test/new")
    WelcomePart.objects.create(welcome=general, kind="image", picture_url="https://example.test/a.png")
    assert meet(corp).state == "sent"
    (said,) = corp.asked(SEND)
    assert [one["msgtype"] for one in said["body"]["attachments"]] == ["link", "image"]


def test_a_missed_customer_is_named_whichever_lane_is_faster(corp: Corp) -> None:
    corp.server.control.fault(SEND, code=41050, times=9)
    corp.act("add", userid=LI, external_userid=CUSTOMER)
    corp.deliver(*corp.told())
    welcome.send(message_id=Message.objects.get().pk, now=timezone.now())
    assert Notice.objects.get().title == "有新顾客加了您，欢迎语没发出去"
    corp.work()
    notice = Notice.objects.get()
    assert (notice.title, notice.friend) == ("小鹿加了您，欢迎语没发出去", corp.friend())


def test_of_an_application_that_is_off_nothing_is_said(corp: Corp) -> None:
    corp.act("add", userid=LI, external_userid=CUSTOMER)
    corp.deliver(*corp.told())
    keys.switch(app=corp.app, is_active=False, by=None, now=timezone.now())
    welcome.send(message_id=Message.objects.get().pk, now=timezone.now())
    assert (Greeting.objects.get().state, corp.asked(SEND)) == ("missed", [])


def test_a_name_with_braces_is_only_a_name(corp: Corp) -> None:
    Staff.objects.filter(pk=corp.staff(LI).pk).update(name="{store}")
    meet(corp)
    assert "的{store}，" in corp.asked(SEND)[0]["body"]["text"]["content"]
