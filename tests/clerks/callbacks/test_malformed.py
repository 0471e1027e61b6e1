"""What WeCom has signed and is yet wrong: in the failed list at once, with the reason, and never tried in vain."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from clerks import callbacks, friends
from clerks.models import Friend
from retail import jobs, tasks
from retail.jobs import Job
from retail.wecom import inbox
from retail.wecom.models import Message
from tests.factories import wecom
from tests.factories.corp import CUSTOMER, LI, Corp

ADD = "ext_contact_add_no_welcome"


def take(corp: Corp, xml: bytes) -> Message:
    """Deliver it, let everything be done that is due now, and see what became of it."""
    corp.deliver(xml)
    corp.work()
    return Message.objects.latest("pk")


def without(xml: bytes, element: str) -> bytes:
    return re.sub(rf"<{element}>.*?</{element}>".encode(), b"", xml)


def nested(xml: bytes, element: str) -> bytes:
    return re.sub(rf"<{element}>.*?</{element}>".encode(), f"<{element}><a>1</a></{element}>".encode(), xml)


@pytest.mark.parametrize("ahead", [timedelta(minutes=10), timedelta(days=400)])
def test_nothing_happens_later_than_we_hear_of_it(wecom_corp: Corp, ahead: timedelta) -> None:
    wecom_corp.act("add", userid=LI, external_userid=CUSTOMER)
    later = str(int((timezone.now() + ahead).timestamp()))
    wecom_corp.hear(ADD, UserID=LI, ExternalUserID=CUSTOMER, CreateTime=later)
    since = Friend.objects.get().since
    assert since is not None and since <= timezone.now() + timedelta(minutes=5)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda xml: re.sub(rb"<CreateTime>.*?<", b"<CreateTime>soon<", xml), "CreateTime"),
        (lambda xml: re.sub(rb"<CreateTime>.*?<", b"<CreateTime>99999999999999<", xml), "CreateTime"),
        (lambda xml: re.sub(rb"<CreateTime>.*?<", b"<CreateTime>-5<", xml), "CreateTime"),
        (lambda xml: without(xml, "ExternalUserID"), "ExternalUserID"),
        (lambda xml: nested(xml, "ExternalUserID"), "ExternalUserID"),
        (lambda xml: nested(xml, "UserID"), "UserID"),
        (lambda xml: wecom.event(ADD, UserID="x" * 70), "UserID"),
        (lambda xml: wecom.event("ext_contact_del_follow_user", ExternalUserID=""), "ExternalUserID"),
    ],
)
def test_a_wrong_shape_fails_at_once_with_its_reason(wecom_corp: Corp, spoil: Any, said: str) -> None:
    message = take(wecom_corp, spoil(wecom.event(ADD)))
    assert message.state == "failed" and said in message.error
    assert "Traceback" not in message.error
    assert set(Job.objects.values_list("state", "attempts")) == {("done", 1)}
    assert not Friend.objects.exists()


@pytest.mark.parametrize("text", ["我是中文abcd123", "", "<xml><a>", "<!DOCTYPE x><xml><a>1</a></xml>"])
def test_what_is_signed_and_no_message_is_kept_as_failed(wecom_corp: Corp, text: str) -> None:
    for _delivery in range(2):
        wecom_corp.deliver(text.encode())
    message = Message.objects.get()
    assert (message.state, str(message)) == ("failed", "看不懂的内容")
    assert "不是企业微信的消息" in message.error and message.ended_at is not None
    assert not Job.objects.exists()
    inbox.replay(messages=[message], by=None, now=timezone.now())
    wecom_corp.work()
    message.refresh_from_db()
    assert message.state == "failed" and Job.objects.get().attempts == 1


def test_a_welcome_code_for_nobody_takes_no_fast_lane(wecom_corp: Corp) -> None:
    wecom_corp.deliver(without(wecom.event("ext_contact_add"), "ExternalUserID"))
    assert list(Job.objects.values_list("kind", flat=True)) == ["wecom_event"]


def test_what_goes_wrong_when_it_is_looked_at_again_is_seen_too(wecom_corp: Corp, monkeypatch: Any) -> None:
    """The first look found too little and ended well; the second one breaks, and a third mends it."""
    wecom_corp.server.control.post("settings", stale_seconds=600)
    wecom_corp.act("add", userid=LI, external_userid=CUSTOMER)
    wecom_corp.deliver(*wecom_corp.told())
    first = Job.objects.get(kind=inbox.EVENT)
    jobs.run(ids=[first.pk], registry=tasks.REGISTRY)
    assert Message.objects.get().state == "done"
    again = Job.objects.get(kind="wecom_again")
    Job.objects.update(due_at=timezone.now())
    with monkeypatch.context() as broken:
        broken.setattr(friends, "settle", _break)
        jobs.run(ids=[again.pk], registry=tasks.REGISTRY)
    message = Message.objects.get()
    assert (message.state, "ZeroDivisionError" in message.error) == ("failed", True)
    wecom_corp.work()
    assert Message.objects.get().state == "done"


def test_who_has_left_is_looked_for_often_enough(wecom_corp: Corp) -> None:
    """P8: an exit takes no more than a minute, also with an address book that is half a minute behind."""
    wecom_corp.deliver(wecom.event("contact_delete_user", UserID=LI))  # the address book still knows them
    message = Message.objects.get()
    began = at = timezone.now()
    looks = []
    for turn in range(9):
        callbacks.take(message_id=message.pk, now=at, round=turn)
        if (again := Job.objects.filter(kind="wecom_again", payload__round=turn + 1).first()) is None:
            break
        at = again.due_at
        looks.append((at - began).total_seconds())
    assert looks == [2, 12, 30, 72]


def _break(**_given: Any) -> None:
    raise ZeroDivisionError
