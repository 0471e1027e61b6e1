"""Tokens, what they open, and what stands in the way: limits, faults, the clock."""

import pytest
import requests
from wechatpy.exceptions import APILimitedException, WeChatClientException

from tests.retail.wecom_simulator.conftest import client_of
from tests.wecom_server import AGENT, CLERK, CORP, OTHER_SECRET, SECRET, SYNC_SECRET

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # wechatpy calls its own old names


def errcode(call, *args, **kwargs) -> int:
    with pytest.raises(WeChatClientException) as refused:
        call(*args, **kwargs)
    return refused.value.errcode


def test_a_token_is_one_and_the_same_while_it_is_good(wecom, client):
    first = client.fetch_access_token()
    again = client.fetch_access_token()
    other = client_of(wecom, OTHER_SECRET).fetch_access_token()

    assert (first["errcode"], first["expires_in"]) == (0, 7200)
    assert again["access_token"] == first["access_token"] != other["access_token"]


def test_expired_tokens_and_revoked_ones_have_codes_of_their_own(wecom, client):
    client.user.get(CLERK)
    wecom.control.post("settings", token_seconds=100)
    wecom.control.advance(7200)
    assert errcode(client.user.get, CLERK) == 42001

    assert client.fetch_access_token()["expires_in"] == 100
    client.user.get(CLERK)
    wecom.control.post("revoke", agent_id=AGENT)
    assert errcode(client.user.get, CLERK) == 40014


def test_wechatpy_heals_itself_by_another_token(wecom):
    client = client_of(wecom, auto_retry=True)
    client.user.get(CLERK)
    wecom.control.post("revoke")

    assert client.user.get(CLERK)["userid"] == CLERK
    asked = [one["path"] for one in wecom.control.requests()]
    assert asked == ["gettoken", "user/get", "user/get", "gettoken", "user/get"]


def test_wrong_credentials(wecom):
    assert errcode(client_of(wecom, "nobody's secret").fetch_access_token) == 40001
    wecom.control.post("app", agent_id=AGENT, secret="another secret")
    assert errcode(client_of(wecom, SECRET).fetch_access_token) == 40091
    wecom.control.post("app", agent_id=AGENT, is_enabled=False)
    assert errcode(client_of(wecom, "another secret").fetch_access_token) == 50003
    told = requests.get(f"{wecom.api_url}gettoken?corpid=wwnobody&corpsecret=x", timeout=5).json()
    assert told["errcode"] == 40013
    assert told["errmsg"].startswith("invalid corpid, hint: [") and "from ip: 127.0.0.1" in told["errmsg"]
    assert requests.get(f"{wecom.api_url}user/get?userid={CLERK}", timeout=5).json()["errcode"] == 41001


def test_an_app_reaches_what_it_was_given(wecom, client):
    other = client_of(wecom, OTHER_SECRET)
    assert errcode(other.external_contact.get_follow_user_list) == 48002
    assert errcode(client.post, "user/list_id", data={}) == 48002
    rows = client_of(wecom, SYNC_SECRET).post("user/list_id", data={"limit": 3})
    assert [row["userid"] for row in rows["dept_user"]] == ["clerk_li", "clerk_wang", "clerk_zhou"]
    rest = client_of(wecom, SYNC_SECRET).post("user/list_id", data={"limit": 3, "cursor": rows["next_cursor"]})
    assert [row["userid"] for row in rest["dept_user"]] == ["mgr_chen"] and rest["next_cursor"] == ""

    wecom.control.post("app", agent_id=AGENT, visible=["party:2"])
    assert {one["userid"] for one in client.user.list(1, fetch_child=True)} == {"clerk_li", "clerk_wang", "mgr_chen"}
    assert errcode(client.user.get, "clerk_zhou") == 60011
    assert errcode(client.user.get, "nobody") == 60111

    wecom.control.post("app", agent_id=AGENT, trusted_ips=["10.0.0.1"])
    assert errcode(client.user.get, CLERK) == 60020


def test_a_full_window_stays_shut_as_long_as_it_is_wide(wecom, client):
    wecom.control.post("limits", path="user/get", limits=[{"most": 3, "seconds": 60}])
    for _ in range(3):
        client.user.get(CLERK)
    with pytest.raises(APILimitedException):
        client.user.get(CLERK)
    wecom.control.advance(59)
    with pytest.raises(APILimitedException):
        client.user.get(CLERK)
    wecom.control.advance(2)
    assert client.user.get(CLERK)["userid"] == CLERK


def test_tickets_are_limited_to_a_hundred_an_hour_of_one_app(client):
    for _ in range(100):
        client.jsapi.get_ticket()
    with pytest.raises(APILimitedException):
        client.jsapi.get_ticket()


@pytest.mark.parametrize(
    ("fault", "seen"),
    [
        ({"kind": "errcode", "code": -1}, -1),
        ({"kind": "errcode", "code": 45033}, 45033),
        ({"kind": "status", "code": 502}, None),
    ],
)
def test_planned_faults_come_once_each(wecom, client, fault, seen):
    client.user.get(CLERK)
    wecom.control.fault("user/*", skip=1, **fault)

    assert client.user.get(CLERK)["userid"] == CLERK
    assert errcode(client.user.get, CLERK) == seen
    assert client.user.get(CLERK)["userid"] == CLERK


def test_an_answer_that_is_no_json_and_one_that_never_comes(wecom, client):
    client.user.get(CLERK)
    wecom.control.fault("user/get", kind="text")
    assert isinstance(client.user.get(CLERK), requests.Response)  # wechatpy hands it on as it is

    wecom.control.fault("externalcontact/add_corp_tag", kind="cut", is_late=True)
    with pytest.raises(requests.ConnectionError):
        client.external_contact.add_corp_tag(None, "喜好之二", 1, [{"name": "帽子"}])
    names = [group["group_name"] for group in client.external_contact.get_corp_tag_list()["tag_group"]]
    assert "喜好之二" in names  # the effect was there all the same


def test_calls_at_once_are_capped(wecom, client):
    token = client.access_token
    wecom.control.act("add", userid=CLERK, external_userid="wmDEMOAAAA0000000000000000000001")
    wecom.control.post("limits", path="user/get", concurrent=0)
    told = requests.get(f"{wecom.api_url}user/get?access_token={token}&userid={CLERK}", timeout=5).json()
    assert told["errcode"] == 45033


def test_the_wrong_method_and_the_wrong_body(wecom, client):
    url = f"{wecom.api_url}externalcontact/remark?access_token={client.access_token}"
    assert requests.get(url, timeout=5).json()["errcode"] == 43002
    assert requests.post(url, data=b"{not json", timeout=5).json()["errcode"] == 47001
    assert requests.post(url, data=b"[]", timeout=5).json()["errcode"] == 47001
    assert requests.post(url, data=b"{}", timeout=5).json()["errcode"] == 40058
    unknown = requests.post(f"{wecom.api_url}no/such", timeout=5)
    assert unknown.status_code == 404 and "html" in unknown.headers["Content-Type"]


def test_the_log_keeps_no_secret(wecom, client):
    client.user.get(CLERK)
    said = str(wecom.control.requests())
    assert SECRET not in said and client.access_token not in said
    assert [(one["path"], one["corp_id"], one["agent_id"]) for one in wecom.control.requests("user/*")] == [
        ("user/get", CORP, AGENT)
    ]


def test_other_hosts_are_not_answered(wecom):
    told = requests.get(f"{wecom.url}/_control/world", headers={"Host": "attacker.example:80"}, timeout=5)
    assert told.status_code == 421
    plain = requests.post(f"{wecom.url}/_control/reset", data="{}", headers={"Content-Type": "text/plain"}, timeout=5)
    assert plain.status_code == 400
