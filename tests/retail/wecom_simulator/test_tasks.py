"""What takes its time: group messages, hand-overs, chats, moments, messages of apps, files."""

import pytest

from retail.wecom.simulator.client import ControlError
from tests.retail.wecom_simulator.test_access import errcode
from tests.wecom_server import AGENT, ANOTHER, CLERK, COLLEAGUE, CUSTOMER

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # wechatpy calls its own old names
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))


@pytest.fixture
def friends(wecom):
    for who in (CUSTOMER, ANOTHER):
        wecom.control.act("add", userid=CLERK, external_userid=who)
    wecom.control.act("add", userid=COLLEAGUE, external_userid=ANOTHER)


def group_message(client, **fields):
    given = {"external_userid": [CUSTOMER, ANOTHER, "wmNOBODY"], "text": {"content": "上新了"}} | fields
    return client.external_contact.add_msg_template(given)


def results(client, msgid, userid=CLERK):
    told = client.post("externalcontact/get_groupmsg_send_result", data={"msgid": msgid, "userid": userid})
    return {one["external_userid"]: one["status"] for one in told["send_list"]}


def tasks(client, msgid):
    told = client.post("externalcontact/get_groupmsg_task", data={"msgid": msgid})
    return {one["userid"]: one["status"] for one in told["task_list"]}


def test_a_group_message_waits_for_the_clerk(wecom, client, friends):
    wecom.control.act("chat", userid=CLERK, external_userid=ANOTHER, text="在", by="customer")
    told = group_message(client)
    msgid = told["msgid"]
    assert told["fail_list"] == ["wmNOBODY"]
    assert errcode(results, client, msgid) == 41063
    wecom.control.advance(2)
    assert tasks(client, msgid) == {CLERK: 0}  # the one they spoke with last, not the colleague
    assert results(client, msgid) == {CUSTOMER: 0, ANOTHER: 0}

    wecom.control.act("block", userid=CLERK, external_userid=ANOTHER)
    wecom.control.act("send_group_message", userid=CLERK, msgid=msgid)
    assert tasks(client, msgid) == {CLERK: 2}
    assert results(client, msgid) == {CUSTOMER: 1, ANOTHER: 2}
    with pytest.raises(ControlError):
        wecom.control.act("send_group_message", userid=CLERK, msgid=msgid)


def test_customers_get_so_many_group_messages_and_no_more(wecom, client, friends):
    wecom.control.post("settings", group_send_cap="day", dispatch_seconds=0)
    seen = []
    for _ in range(2):
        msgid = group_message(client, external_userid=[CUSTOMER])["msgid"]
        wecom.control.act("send_group_message", userid=CLERK, msgid=msgid)
        seen.append(results(client, msgid)[CUSTOMER])
    assert seen == [1, 3]


def test_group_messages_are_reminded_of_and_cancelled(wecom, client, friends):
    msgid = group_message(client, sender=CLERK)["msgid"]
    for _ in range(3):
        client.post("externalcontact/remind_groupmsg_send", data={"msgid": msgid})
    assert errcode(client.post, "externalcontact/remind_groupmsg_send", data={"msgid": msgid}) == 41094
    client.post("externalcontact/cancel_groupmsg_send", data={"msgid": msgid})
    assert errcode(client.post, "externalcontact/cancel_groupmsg_send", data={"msgid": msgid}) == 41093
    assert errcode(group_message, client, external_userid=["wmNOBODY"]) == 41048
    assert errcode(group_message, client, text={"content": "字" * 1334}) == 40058
    nine = [{"msgtype": "link", "link": {"title": "t", "url": "http://127.0.0.1/"}}] * 10
    assert errcode(group_message, client, attachments=nine) == 40058
    assert errcode(group_message, client, attachments=[{"msgtype": "file", "file": {"media_id": "gone"}}]) == 40007


def hand_over(client, to=COLLEAGUE, who=CUSTOMER, start=CLERK):
    given = {"handover_userid": start, "takeover_userid": to, "external_userid": [who]}
    return client.post("externalcontact/transfer_customer", data=given)["customer"][0]["errcode"]


def outcome(client, path="externalcontact/transfer_result", start=CLERK, to=COLLEAGUE):
    told = client.post(path, data={"handover_userid": start, "takeover_userid": to})
    return {one["external_userid"]: one["status"] for one in told["customer"]}


def test_a_hand_over_takes_a_day_and_can_be_refused(wecom, client, friends, inbox):
    assert hand_over(client) == 0
    assert (outcome(client), hand_over(client)) == ({CUSTOMER: 2}, 40129)
    wecom.control.act("refuse", external_userid=CUSTOMER)
    assert outcome(client) == {CUSTOMER: 3}
    wecom.control.settle()
    (event,) = inbox.events
    assert (event["FailReason"], event["UserID"]) == ("customer_refused", COLLEAGUE)

    assert hand_over(client) == 0
    wecom.control.advance(86399)
    client.fetch_access_token()
    assert outcome(client) == {CUSTOMER: 2}
    wecom.control.advance(2)
    assert outcome(client) == {CUSTOMER: 1}
    assert client.external_contact.get(CUSTOMER)["follow_user"][0]["userid"] == COLLEAGUE
    assert hand_over(client, start=COLLEAGUE, to=CLERK) == 40128  # twice in 90 days
    wecom.control.advance(91 * 86400)
    client.fetch_access_token()
    assert hand_over(client, start=COLLEAGUE, to=CLERK) == 0
    assert hand_over(client, who="wmNOBODY") == 40096
    assert hand_over(client, who=CUSTOMER, to="mgr_chen") == 40131
    assert errcode(hand_over, client, to=CLERK) == 40130


def test_a_clerk_who_has_no_room_left(wecom, client, friends, inbox):
    wecom.control.act("change_member", userid=COLLEAGUE, customer_limit=1)
    hand_over(client)
    wecom.control.act("take_over_now", external_userid=CUSTOMER)
    wecom.control.settle()
    assert outcome(client) == {CUSTOMER: 4}
    assert inbox.events[-1]["FailReason"] == "customer_limit_exceed"


def test_customers_of_who_has_left(wecom, client, friends):
    given = {"handover_userid": CLERK, "takeover_userid": "mgr_chen", "external_userid": [CUSTOMER, "wmNOBODY"]}
    path = "externalcontact/resigned/transfer_customer"
    assert errcode(client.post, path, data=given) == 40097
    wecom.control.act("leave", userid=CLERK)
    left = client.external_contact.get_unassigned_list(0, 1000)
    assert {(one["handover_userid"], one["external_userid"]) for one in left["info"]} == {
        (CLERK, CUSTOMER),
        (CLERK, ANOTHER),
    }
    assert left["is_last"] is True
    assert [one["errcode"] for one in client.post(path, data=given)["customer"]] == [0, 40096]
    wecom.control.advance(86401)
    client.fetch_access_token()
    assert outcome(client, "externalcontact/resigned/transfer_result", to="mgr_chen") == {CUSTOMER: 1}
    assert errcode(client.user.get, CLERK) == 60111


def test_group_chats(wecom, client, friends):
    chat = wecom.control.act("create_chat", owner=CLERK, name="老友", members=[CUSTOMER])["chat_id"]
    listed = client.post("externalcontact/groupchat/list", data={"limit": 10})
    assert listed["group_chat_list"] == [{"chat_id": chat, "status": 0}]
    told = client.post("externalcontact/groupchat/get", data={"chat_id": chat, "need_name": 1})["group_chat"]
    assert [(one["userid"], one["type"], one["name"]) for one in told["member_list"]] == [
        (CLERK, 1, "李导购"),
        (CUSTOMER, 2, "小鹿"),
    ]
    resigned = {"chat_id_list": [chat], "new_owner": COLLEAGUE}
    failed = client.post("externalcontact/groupchat/transfer", data=resigned)["failed_chat_list"]
    assert [one["errcode"] for one in failed] == [90500]
    assert client.post("externalcontact/groupchat/onjob_transfer", data=resigned)["failed_chat_list"] == []
    wecom.control.act("dismiss_chat", chat_id=chat)
    assert errcode(client.post, "externalcontact/groupchat/get", data={"chat_id": chat}) == 49008
    assert errcode(client.post, "externalcontact/groupchat/get", data={"chat_id": "wrNOBODY"}) == 40050
    assert errcode(client.post, "externalcontact/groupchat/list", data={"limit": 1001}) == 40058
    for number in range(1000):
        wecom.simulator.acts.do("hire", wecom.simulator.world.corp("ww0demo0retail0001"), hired(number))
    assert errcode(client.post, "externalcontact/groupchat/list", data={"limit": 10}) == 81017


def hired(number):
    return {"userid": f"u{number}", "name": "某人"}


def test_moments(wecom, client, friends):
    given = {"text": {"content": "新品"}, "visible_range": {"sender_list": {"user_list": [CLERK]}}}
    jobid = client.post("externalcontact/add_moment_task", data=given)["jobid"]
    told = client.get("externalcontact/get_moment_task_result", params={"jobid": jobid})
    moment = {"moment_id": told["result"]["moment_id"], "userid": CLERK}

    def seen():
        return len(client.post("externalcontact/get_moment_send_result", data=moment)["customer_list"])

    assert (told["status"], seen()) == (3, 0)
    wecom.control.act("publish_moment", **moment)
    wecom.control.act("answer_moment", **moment, external_userid=CUSTOMER, kind="like")
    assert seen() == 2
    assert len(client.post("externalcontact/get_moment_comments", data=moment)["like_list"]) == 1
    for _ in range(9):
        client.post("externalcontact/add_moment_task", data=given)
    assert errcode(client.post, "externalcontact/add_moment_task", data=given) == 45009


def card(**fields):
    button = {"text": "接受", "key": "lead_accept"}
    return (
        {"card_type": "button_interaction", "main_title": {"title": "新线索"}, "task_id": "lead-1"}
        | {"button_list": [button]}
        | fields
    )


def send(client, userids=CLERK, agent_id=AGENT, **body):
    return client.message.send(agent_id, userids, msg=body)


def test_a_card_is_pressed_and_changed_once(wecom, client, inbox):
    told = send(client, msgtype="template_card", template_card=card())
    assert told["response_code"]
    wecom.control.act("press_card", userid=CLERK, msgid=told["msgid"], key="lead_accept")
    wecom.control.settle()
    (event,) = inbox.events
    assert (event["Event"], event["EventKey"], event["TaskId"], event["FromUserName"]) == (
        "template_card_event",
        "lead_accept",
        "lead-1",
        CLERK,
    )
    change = {"userids": [CLERK], "agentid": AGENT, "response_code": event["ResponseCode"]}
    change["button"] = {"replace_name": "已接受"}
    client.post("message/update_template_card", data=change)
    assert errcode(client.post, "message/update_template_card", data=change) == 40058
    assert wecom.control.get("world")["notes"][0]["content"]["template_card"]["replaced"] == "已接受"
    wecom.control.advance(73 * 3600)
    client.fetch_access_token()
    change["response_code"] = told["response_code"]
    assert errcode(client.post, "message/update_template_card", data=change) == 40058  # 72 hours are over


def test_messages_of_an_app(wecom, client):
    told = send(client, [CLERK, "NoBody"], msgtype="text", text={"content": "早"})
    assert told["invaliduser"] == "nobody"
    assert errcode(send, client, "nobody", msgtype="text", text={"content": "早"}) == 81013
    assert errcode(send, client, agent_id=7, msgtype="text", text={"content": "早"}) == 40056
    assert errcode(send, client, msgtype="text", text={"content": "字" * 683}) == 40058
    assert errcode(send, client, msgtype="hologram", hologram={}) == 40008
    assert errcode(send, client, msgtype="template_card", template_card=card(task_id=None)) == 40058
    for _ in range(40):
        send(client, msgtype="text", text={"content": "早"})
    assert len(wecom.control.get("world")["notes"]) == 30  # the rest is dropped, and nobody is told


def test_files_are_kept_for_three_days(wecom, client):
    told = client.media.upload("image", ("a.png", PNG))
    assert told["type"] == "image" and told["created_at"].isdecimal()
    got = client.get("media/get", params={"media_id": told["media_id"]})
    assert got.content == PNG
    assert errcode(client.media.upload, "image", ("a.png", b"tiny")) == 40006
    assert errcode(client.media.upload, "image", ("a.gif", PNG)) == 40004
    assert errcode(client.media.upload, "hologram", ("a.png", PNG)) == 40005
    assert errcode(client.media.upload, "image", ("a.png", bytes(10 * 1024 * 1024 + 1))) == 40009
    assert errcode(client.media.upload, "image", ("a.png", b"")) == 44001
    welcome = {"attachments": [{"msgtype": "image", "image": {"media_id": told["media_id"]}}]}
    assert errcode(client.external_contact.send_welcome_msg, {"welcome_code": "x", **welcome}) == 41050
    wecom.control.advance(3 * 86400)
    client.fetch_access_token()
    assert errcode(client.get, "media/get", params={"media_id": told["media_id"]}) == 40007
    album = {"params": {"media_type": "image", "attachment_type": 1}, "files": {"media": ("a.png", PNG)}}
    assert client.post("media/upload_attachment", **album)["media_id"]
