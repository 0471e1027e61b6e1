"""Codes, scans, welcomes, relations and tags, as wechatpy sees them."""

import pytest

from tests.retail.wecom_simulator.conftest import client_of
from tests.retail.wecom_simulator.test_access import errcode
from tests.wecom_server import AGENT, ANOTHER, CLERK, COLLEAGUE, CUSTOMER, OTHER_AGENT, OTHER_SECRET, PARTNER

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # wechatpy calls its own old names


def way(client, **fields):
    given = {"type": 1, "scene": 2, "state": "store-1", "user": [CLERK], "skip_verify": True} | fields
    return client.post("externalcontact/add_contact_way", data=given)


def welcome(client, code, text="您好"):
    return client.external_contact.send_welcome_msg({"welcome_code": code, "text": {"content": text}})


def code_of(event):
    return event["WelcomeCode"]


def test_a_scan_makes_a_customer_who_is_welcomed_once(wecom, client, inbox):
    made = way(client)
    wecom.control.act("scan", config_id=made["config_id"], external_userid=CUSTOMER)
    wecom.control.settle()

    (event,) = inbox.events
    assert (event["UserID"], event["ExternalUserID"], event["State"]) == (CLERK, CUSTOMER, "store-1")
    welcome(client, code_of(event), "欢迎光临")
    assert errcode(welcome, client, code_of(event)) == 41051
    (line,) = wecom.control.get("world")["lines"]
    assert (line["via"], line["content"]["text"]["content"]) == ("welcome", "欢迎光临")

    follow = client.external_contact.get(CUSTOMER)["follow_user"][0]
    assert (follow["userid"], follow["state"], follow["add_way"], follow["oper_userid"]) == (
        CLERK,
        "store-1",
        1,
        CUSTOMER,
    )
    assert client.external_contact.list(CLERK)["external_userid"] == [CUSTOMER]
    assert len(inbox.events) == 1  # nothing that software did was called back


def test_a_welcome_comes_within_twenty_seconds_or_never(wecom, client, inbox):
    way(client)
    wecom.control.act("scan", state="store-1", external_userid=CUSTOMER)
    wecom.control.settle()
    wecom.control.advance(21)

    assert errcode(welcome, client, code_of(inbox.events[0])) == 41050
    assert errcode(welcome, client, "no such code") == 41050
    assert wecom.control.get("world")["lines"] == []


def test_two_apps_race_for_a_welcome(wecom, client, inbox):
    wecom.control.post("app", agent_id=OTHER_AGENT, scopes=["customers"])
    other = client_of(wecom, OTHER_SECRET)
    wecom.call_back(inbox.url, agent_id=OTHER_AGENT)
    wecom.control.act("add", userid=CLERK, external_userid=CUSTOMER)
    wecom.control.settle()
    wecom.control.post("clock", is_frozen=True)
    codes = {code for app, code in _codes(wecom)}

    assert len(codes) == 2
    mine, theirs = (next(code for app, code in _codes(wecom) if app == agent) for agent in (AGENT, OTHER_AGENT))
    assert errcode(welcome, client, theirs) == 41050  # a code belongs to its app
    welcome(other, theirs)
    assert errcode(welcome, client, mine) == 41096
    wecom.control.advance(2)
    assert errcode(welcome, client, mine) == 41051


def _codes(wecom):
    greetings = wecom.control.get("world")["greetings"]
    return [(app, code) for code, (app, _) in greetings.items()]


def test_when_there_is_no_welcome_code(wecom, client, inbox):
    wecom.control.act("add", userid=CLERK, external_userid=PARTNER)
    wecom.control.act("change_member", userid=COLLEAGUE, welcome="管理员的欢迎语")
    wecom.control.act("add", userid=COLLEAGUE, external_userid=CUSTOMER)
    wecom.control.act("add", userid=CLERK, external_userid=ANOTHER, is_half=True)
    wecom.control.settle()
    assert errcode(client.external_contact.get, ANOTHER) == 84061  # not a friend yet
    wecom.control.act("accept", userid=CLERK, external_userid=ANOTHER)
    wecom.control.settle()

    found = {
        (one["ChangeType"], one["ExternalUserID"]): "WelcomeCode" in one
        for one in inbox.events
        if "ExternalUserID" in one
    }
    assert found == {
        ("add_external_contact", PARTNER): False,
        ("add_external_contact", CUSTOMER): False,
        ("add_half_external_contact", ANOTHER): True,
        ("add_external_contact", ANOTHER): False,
    }


def test_a_code_that_asks_the_clerk_first(wecom, client, inbox):
    made = way(client, skip_verify=False)
    told = wecom.control.act("scan", config_id=made["config_id"], external_userid=CUSTOMER)
    assert told["state"] == "asked" and inbox.events == []
    wecom.control.act("accept", userid=CLERK, external_userid=CUSTOMER)
    wecom.control.settle()
    assert (inbox.events[0]["State"], "WelcomeCode" in inbox.events[0]) == ("store-1", True)


def test_codes_are_changed_listed_and_deleted(wecom, client):
    made = [way(client, state=f"s{number}")["config_id"] for number in range(5)]
    client.post("externalcontact/update_contact_way", data={"config_id": made[0], "user": [COLLEAGUE]})
    kept = client.external_contact.get_contact_way(made[0])["contact_way"]
    assert (kept["user"], kept["state"], kept["type"]) == ([COLLEAGUE], "s0", 1)
    assert kept["qr_code"].startswith(wecom.url)

    first = client.post("externalcontact/list_contact_way", data={"limit": 3})
    rest = client.post("externalcontact/list_contact_way", data={"limit": 3, "cursor": first["next_cursor"]})
    assert [one["config_id"] for one in first["contact_way"] + rest["contact_way"]] == made
    assert errcode(client.post, "externalcontact/list_contact_way", data={"cursor": "made up"}) == 40058
    assert errcode(client.post, "externalcontact/list_contact_way", data={"limit": 1001}) == 40058
    of_another = {"limit": 3, "cursor": first["next_cursor"]}
    assert errcode(client.post, "externalcontact/groupchat/list", data=of_another) == 40058

    client.external_contact.del_contact_way(made[0])
    assert errcode(client.external_contact.get_contact_way, made[0]) == 40058


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"state": "x" * 31}, 40058),
        ({"remark": "备" * 31}, 40058),
        ({"type": 3}, 40058),
        ({"user": [CLERK, COLLEAGUE]}, 40058),
        ({"type": 2, "user": []}, 40063),
        ({"user": ["nobody"]}, 60111),
        ({"type": 2, "user": [CLERK] * 101}, 40058),
        ({"type": 2, "is_temp": True}, 40058),
    ],
)
def test_a_code_must_look_right(client, fields, code):
    assert errcode(way, client, **fields) == code


def test_who_may_not_have_customers_or_is_not_there(wecom, client):
    wecom.control.act("change_member", userid=CLERK, may_have_customers=False)
    wecom.control.act("change_member", userid=COLLEAGUE, is_active=False)
    assert errcode(way, client) == 84074
    assert errcode(way, client, user=[COLLEAGUE]) == 41054
    assert client.external_contact.get_follow_user_list()["follow_user"] == ["clerk_wang", "clerk_zhou", "mgr_chen"]


def test_batches_come_in_pages_and_name_tags_by_id(wecom, client):
    for number in range(7):
        wecom.control.act("scan", config_id=way(client)["config_id"], name=f"顾客{number}")
    given = {"userid_list": [CLERK, COLLEAGUE], "limit": 3}
    sizes, found = [], []
    while True:
        told = client.post("externalcontact/batch/get_by_user", data=given)
        sizes.append(len(told["external_contact_list"]))
        found += [one["external_contact"]["name"] for one in told["external_contact_list"]]
        if not told["next_cursor"]:
            break
        given["cursor"] = told["next_cursor"]

    assert sizes == [3, 3, 1]
    assert found == [f"顾客{number}" for number in range(7)]
    assert (
        "follow_info" in told["external_contact_list"][0]
        and "tag_id" in told["external_contact_list"][0]["follow_info"]
    )
    assert errcode(client.post, "externalcontact/batch/get_by_user", data={"userid_list": [CLERK] * 101}) == 40058
    assert errcode(client.post, "externalcontact/batch/get_by_user", data={"userid_list": ["x" * 65]}) == 40058
    assert errcode(client.external_contact.list, COLLEAGUE) == 84061


def test_parting(wecom, client, inbox):
    wecom.control.act("add", userid=CLERK, external_userid=CUSTOMER)
    wecom.control.act("block", userid=CLERK, external_userid=CUSTOMER)
    assert client.external_contact.list(CLERK)["external_userid"] == [CUSTOMER]  # the clerk's side stays
    wecom.control.act("delete", userid=CLERK, external_userid=CUSTOMER)
    assert errcode(client.external_contact.get, CUSTOMER) == 84061
    wecom.control.settle()
    assert inbox.kinds() == ["add_external_contact", "del_follow_user", "del_external_contact"]


def test_reads_lag_behind_where_that_is_switched_on(wecom, client):
    wecom.control.post("settings", stale_seconds=2)
    wecom.control.post("clock", is_frozen=True)
    wecom.control.act("add", userid=CLERK, external_userid=CUSTOMER)
    assert errcode(client.external_contact.get, CUSTOMER) == 84061
    wecom.control.advance(2)
    assert client.external_contact.get(CUSTOMER)["follow_user"][0]["userid"] == CLERK


def test_notes_and_tags(wecom, client, inbox):
    wecom.control.act("add", userid=CLERK, external_userid=CUSTOMER)
    note = {"userid": CLERK, "external_userid": CUSTOMER, "remark": "鹿女士", "remark_mobiles": ["000"]}
    client.post("externalcontact/remark", data=note)
    assert errcode(client.post, "externalcontact/remark", data=note | {"remark": "长" * 21}) == 40058
    assert errcode(client.post, "externalcontact/remark", data=note | {"external_userid": ANOTHER}) == 84061

    made = client.external_contact.add_corp_tag(None, "场合", 1, [{"name": "通勤"}, {"name": "度假"}])["tag_group"]
    ids = [tag["id"] for tag in made["tag"]]
    client.external_contact.mark_tag(CLERK, CUSTOMER, add_tag=ids)
    client.external_contact.mark_tag(CLERK, CUSTOMER, remove_tag=ids[:1])
    follow = client.external_contact.get(CUSTOMER)["follow_user"][0]
    assert (follow["remark"], follow["remark_mobiles"]) == ("鹿女士", ["000"])
    assert [(tag["group_name"], tag["tag_name"], tag["tag_id"]) for tag in follow["tags"]] == [
        ("场合", "度假", ids[1])
    ]
    assert errcode(client.external_contact.mark_tag, CLERK, CUSTOMER, add_tag=["no such"]) == 40068
    assert errcode(client.external_contact.add_corp_tag, None, "场合", 1, [{"name": "通勤"}]) == 40071

    of_admin = next(g for g in client.external_contact.get_corp_tag_list()["tag_group"] if g["group_name"] == "喜好")
    assert errcode(client.external_contact.edit_corp_tag, of_admin["tag"][0]["id"], "改名", 1) == 301002
    client.external_contact.del_corp_tag(tag_id=ids)
    left = [group["group_name"] for group in client.external_contact.get_corp_tag_list()["tag_group"]]
    assert "场合" not in left  # the last tag takes its group along
    wecom.control.settle()
    assert inbox.kinds() == ["add_external_contact"]


def test_days_are_counted(wecom, client):
    wecom.control.act("add", userid=CLERK, external_userid=CUSTOMER)
    for by in ("customer", "clerk", "clerk"):
        wecom.control.act("chat", userid=CLERK, external_userid=CUSTOMER, text="在吗", by=by)
    wecom.control.act("block", userid=CLERK, external_userid=CUSTOMER)
    now = int(wecom.control.get("clock")["now"])
    (day,) = client.external_contact.get_user_behavior_data([CLERK], now, now)["behavior_data"]
    figures = [day[name] for name in ("new_contact_cnt", "chat_cnt", "message_cnt", "negative_feedback_cnt")]
    assert figures == [1, 1, 2, 1]
    call = client.external_contact.get_user_behavior_data
    assert errcode(call, [CLERK], now - 40 * 86400, now) == 40058
