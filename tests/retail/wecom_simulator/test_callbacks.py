"""Callbacks: sealed as the vendor seals them, only for what people do, and tried again where they are not taken."""

import re
import time
from pathlib import Path

import pytest
import requests

from retail.wecom.simulator.client import ControlError
from tests.figures import figure
from tests.retail.wecom_simulator.conftest import Inbox, listening, until
from tests.wecom_server import AES_KEY, AGENT, ANOTHER, CLERK, COLLEAGUE, CORP, CUSTOMER, TOKEN

EVENTS = Path(__file__).parents[2] / "data" / "wecom" / "events"


def befriend(wecom, external_userid=CUSTOMER):
    wecom.control.act("add", userid=CLERK, external_userid=external_userid)


def everything_people_do(wecom):
    """Each act that tells an app something, once."""
    act = wecom.control.act
    wecom.control.post("settings", transfer_seconds=60)
    wecom.control.act("new_customer", name="第三位", external_userid="wmTHIRD")
    befriend(wecom)
    act("add", userid=CLERK, external_userid=ANOTHER, is_half=True)
    act("edit", userid=CLERK, external_userid=CUSTOMER, remark="老顾客")
    act("approve_audit", userid=CLERK, external_userid=CUSTOMER)
    act("add", userid=COLLEAGUE, external_userid="wmTHIRD")
    act("block", userid=COLLEAGUE, external_userid="wmTHIRD")
    act("delete", userid=COLLEAGUE, external_userid="wmTHIRD")
    chat = act("create_chat", owner=CLERK, name="老友群", members=[CUSTOMER])["chat_id"]
    act("join_chat", chat_id=chat, members=[ANOTHER])
    act("leave_chat", chat_id=chat, members=[ANOTHER])
    act("change_chat", chat_id=chat, name="新名字", notice="明天上新", owner=COLLEAGUE)
    act("dismiss_chat", chat_id=chat)
    tags = act("create_tags", group_name="试穿", names=["已试"])
    act("rename_tag", id=tags["tag_ids"][0], name="试过")
    act("shuffle_tags", group_id=tags["group_id"])
    act("delete_tag", id=tags["tag_ids"][0])
    act("hire", userid="clerk_new", name="新人", department=[2])
    act("change_member", userid="clerk_new", new_userid="clerk_zhao")
    act("leave", userid="clerk_zhao")
    party = act("create_department", name="新店")["id"]
    act("change_department", id=party, parentid=2)
    act("delete_department", id=party)
    act("tag_members", id=1, add=[CLERK])
    for event in ("enter_agent", "click", "view", "subscribe", "unsubscribe", "LOCATION"):
        act("use_app", userid=CLERK, agent_id=AGENT, event=event, key="KEY")


def shape(xml: str) -> tuple:
    """Which elements stand in which; those of a list once."""
    names = re.findall(r"<(/?\w+)>", re.sub(r"<!\[CDATA\[.*?\]\]>", "", xml, flags=re.S))
    return tuple(dict.fromkeys(names))


def test_events_have_the_elements_of_the_samples(wecom, inbox):
    """Every kind that an act brings about, beside the samples gathered from documents."""
    everything_people_do(wecom)
    wecom.control.settle()
    assert not inbox.errors

    known = {(kind(text), frozenset(shape(text))) for text in (path.read_text() for path in EVENTS.glob("*.xml"))}
    kinds = {one for one, _ in known}
    optional = {"State", "/State", "StrategyId", "/StrategyId", "NewUserID", "/NewUserID"}
    strange = [
        text
        for text in inbox.texts
        if kind(text) in kinds
        and not any(name == kind(text) and set(shape(text)) ^ has <= optional for name, has in known)
    ]
    assert strange == []
    told = {kind(text) for text in inbox.texts}
    assert len(told) >= 28
    figure("H7", f"simulator: {len(told)} kinds of events, each with the elements of its sample")


def kind(xml: str) -> str:
    said = [
        re.search(rf"<{name}>(?:<!\[CDATA\[)?(\w*)", xml)
        for name in ("Event", "ChangeType", "UpdateDetail", "TagType")
    ]
    return "/".join(one[1] for one in said if one)


def test_customers_handed_over_leave_one_clerk_and_come_to_the_other(wecom, inbox):
    befriend(wecom)
    transfer(wecom)
    wecom.control.advance(86400)
    until(lambda: len(inbox.events) == 3)
    assert [(one["ChangeType"], one["UserID"], one.get("Source")) for one in inbox.events[1:]] == [
        ("del_external_contact", CLERK, "DELETE_BY_TRANSFER"),
        ("add_external_contact", COLLEAGUE, None),
    ]
    assert "WelcomeCode" not in inbox.events[2]


def transfer(wecom):
    params = {"corpid": CORP, "corpsecret": wecom.app().secret}
    token = requests.get(f"{wecom.api_url}gettoken", params=params, timeout=5).json()["access_token"]
    body = {"handover_userid": CLERK, "takeover_userid": COLLEAGUE, "external_userid": [CUSTOMER]}
    url = f"{wecom.api_url}externalcontact/transfer_customer?access_token={token}"
    assert requests.post(url, json=body, timeout=5).json()["customer"][0]["errcode"] == 0


def test_events_of_one_customer_come_in_order(wecom, inbox):
    befriend(wecom)
    for number in range(30):
        wecom.control.act("edit", userid=CLERK, external_userid=CUSTOMER, remark=str(number))
    wecom.control.act("block", userid=CLERK, external_userid=CUSTOMER)
    wecom.control.settle()
    assert inbox.kinds() == ["add_external_contact", *["edit_external_contact"] * 30, "del_follow_user"]


@pytest.mark.parametrize("deliveries", [1, 2, 3, 4])
def test_what_is_not_taken_is_sent_again_in_another_envelope(wecom, inbox, deliveries):
    wecom.control.post("callbacks/plan", deliveries=deliveries)
    inbox.answer = lambda number: 500
    befriend(wecom)
    wecom.control.settle()

    (delivery,) = wecom.control.deliveries()
    assert inbox.calls == deliveries == len(delivery["attempts"])
    assert len(set(inbox.texts)) == 1
    assert delivery["state"] == "failed"


def test_any_status_but_200_counts_as_failure_and_the_second_may_do(wecom, inbox):
    inbox.answer = lambda number: 204 if number == 1 else 200
    befriend(wecom)
    wecom.control.settle()
    assert [one["status"] for one in wecom.control.deliveries()[0]["attempts"]] == [204, 200]


def test_who_answers_late_is_called_again(wecom, inbox):
    wecom.control.post("callbacks/plan", timeout=0.2)
    inbox.answer = lambda number: time.sleep(0.6) or 200 if number == 1 else 200
    befriend(wecom)
    wecom.control.settle()
    first, second = wecom.control.deliveries()[0]["attempts"]
    assert (first["status"], second["status"]) == (0, 200) and first["error"]


def test_events_can_be_lost_doubled_and_shuffled(wecom, inbox):
    wecom.control.post("callbacks/plan", drop=1.0)
    befriend(wecom)
    wecom.control.settle()
    assert inbox.events == [] and wecom.control.deliveries()[0]["state"] == "dropped"

    wecom.control.post("callbacks/plan", drop=0.0, duplicate=1.0)
    wecom.control.act("block", userid=CLERK, external_userid=CUSTOMER)
    wecom.control.settle()
    assert inbox.kinds() == ["del_follow_user"] * 2

    wecom.control.post("callbacks/plan", duplicate=0.0, reorder=50)
    befriend(wecom, ANOTHER)
    for number in range(20):
        wecom.control.act("edit", userid=CLERK, external_userid=ANOTHER, remark=str(number))
    assert len(inbox.events) == 2  # held
    wecom.control.settle()
    assert len(inbox.events) == 23 and inbox.kinds()[2] != "add_external_contact"


@pytest.mark.parametrize(
    ("fault", "error"),
    [("wrong_signature", "InvalidSignatureException"), ("wrong_receive_id", "InvalidCorpIdException")],
)
def test_callbacks_can_be_forged(wecom, inbox, fault, error):
    wecom.control.post("callbacks/plan", **{fault: 1.0})
    befriend(wecom)
    wecom.control.settle()
    assert inbox.events == [] and {type(one).__name__ for one in inbox.errors} == {error}


def test_a_url_is_taken_once_it_has_read_its_riddle(wecom):
    given = {"agent_id": AGENT, "token": TOKEN, "aes_key": AES_KEY}
    with listening(Inbox()) as inbox:
        for wrong in (lambda said: f'"{said}"', lambda said: said + "\n", lambda said: ""):
            inbox.echo = wrong
            with pytest.raises(ControlError, match="did not answer"):
                wecom.control.post("app/callback", url=inbox.url, **given)
        inbox.echo = str
        wecom.control.post("app/callback", url=inbox.url, **given)
    with pytest.raises(ControlError, match="this machine"):
        wecom.control.post("app/callback", url="http://example.test/callback/", **given)


def test_any_event_at_all_can_be_sent(wecom, inbox):
    texts = [path.read_text().strip() for path in sorted(EVENTS.glob("*.xml"))]
    for text in texts:
        wecom.control.post("callbacks/send", agent_id=AGENT, xml=text)
    wecom.control.settle()
    assert sorted(inbox.texts) == sorted(texts) and not inbox.errors


def test_a_burst_within_a_second(wecom, inbox):
    began = time.monotonic()
    wecom.control.post("callbacks/send", agent_id=AGENT, fields={"Event": "enter_agent", "EventKey": ""}, times=200)
    wecom.control.settle(30)
    seconds = time.monotonic() - began
    assert len(inbox.events) == 200
    figure("H7", f"simulator: 200 sealed callbacks delivered in {seconds:.2f} s")
