"""Signing in, and the browser inside the phone, over HTTP; how it looks is in tests/e2e."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests
from wechatpy.enterprise import WeChatClient

from tests.retail.wecom_simulator.test_access import errcode
from tests.wecom_server import AGENT, ANOTHER, CLERK, COLLEAGUE, CORP, CUSTOMER, Wecom

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # wechatpy calls its own old names
BACK = "http://127.0.0.1:8000/enter/?next=1"


def authorize(wecom: Wecom, **given: Any) -> requests.Response:
    query = {"appid": CORP, "redirect_uri": BACK, "response_type": "code", "scope": "snsapi_base", "state": "abc"}
    url = f"{wecom.url}/connect/oauth2/authorize?{urlencode(query | given)}"
    return requests.get(url, allow_redirects=False, timeout=5)


def code_in(answer: requests.Response) -> str:
    return parse_qs(urlsplit(answer.headers["Location"]).query)["code"][0]


def who(client: WeChatClient, code: str) -> dict[str, Any]:
    told = client.get("auth/getuserinfo", params={"code": code})
    return {name: value for name, value in told.items() if not name.startswith("err")}


def test_a_visitor_says_who_they_are_and_the_code_is_good_once(wecom, client):
    picker = authorize(wecom)
    assert picker.status_code == 200 and "李导购" in picker.text

    answer = authorize(wecom, **{"as": CLERK})
    assert answer.headers["Location"].startswith(f"{BACK}&code=") and answer.headers["Location"].endswith("state=abc")
    code = code_in(answer)
    assert who(client, code) == {"userid": CLERK}
    assert errcode(who, client, code) == 40029
    late = code_in(authorize(wecom, **{"as": CLERK}))
    wecom.control.advance(301)
    assert errcode(who, client, late) == 40029


def test_outsiders_have_an_openid_and_customers_are_known(wecom, client):
    wecom.control.act("add", userid=CLERK, external_userid=CUSTOMER)
    stranger, customer = (who(client, code_in(authorize(wecom, **{"as": one}))) for one in (ANOTHER, CUSTOMER))
    assert set(stranger) == {"openid"}
    assert set(customer) == {"openid", "external_userid"} and customer["external_userid"] == CUSTOMER


def test_members_beyond_the_visible_range_get_their_userid_too(wecom, client):
    wecom.control.post("app", agent_id=AGENT, visible=[COLLEAGUE])
    assert who(client, code_in(authorize(wecom, **{"as": CLERK}))) == {"userid": CLERK}


def test_private_facts_need_a_ticket_of_their_own(wecom, client):
    given = {"as": CLERK, "scope": "snsapi_privateinfo", "agentid": str(AGENT)}
    told = who(client, code_in(authorize(wecom, **given)))
    assert told["expires_in"] == 1800
    detail = client.post("auth/getuserdetail", data={"user_ticket": told["user_ticket"]})
    assert detail["userid"] == CLERK
    assert errcode(client.post, "auth/getuserdetail", data={"user_ticket": "x"}) == 40029


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"appid": "wwnobody"}, "40013"),
        ({"redirect_uri": "http://127.0.0.1:8999/"}, "50001"),
        ({"redirect_uri": "javascript:alert(1)"}, "50001"),
        ({"state": "a b"}, "40035"),
        ({"state": "a" * 129}, "40035"),
        ({"scope": "snsapi_everything"}, "40035"),
        ({"response_type": "token"}, "40035"),
    ],
)
def test_who_asks_wrongly_sees_a_page_that_says_so(wecom, given, said):
    wecom.control.post("app", agent_id=AGENT, trusted_domain="127.0.0.1:8000")
    answer = authorize(wecom, **given, **{"as": CLERK})
    assert answer.status_code == 400 and said in answer.text


PAGE = b"<!doctype html><html><head><title>p</title></head><body></body></html>"


@contextmanager
def product() -> Iterator[str]:
    """A page that forbids frames, and one that leads away."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(302 if self.path == "/away/" else 200)
            self.send_header("Content-Type", "text/html")
            self.send_header("X-Frame-Options", "DENY")
            self.send_header("Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'")
            self.send_header("Set-Cookie", "a=1; Path=/")
            self.send_header("Set-Cookie", "b=2; Path=/")
            if self.path == "/away/":
                self.send_header("Location", f"http://{address}/there/")
            self.end_headers()
            self.wfile.write(PAGE + f"<!-- {self.headers['Host']} {self.headers['User-Agent']} -->".encode())

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    address = f"127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield f"http://{address}"
    server.shutdown()
    server.server_close()


class Opened:
    """A page of the product open in the phone."""

    def __init__(self, wecom: Wecom, origin: str, **given: str) -> None:
        self.window = wecom.simulator.phone.window.listener.url
        self.session = requests.Session()
        query = {"to": f"{origin}/side/?x=1#top", "corp_id": CORP, "userid": CLERK} | given
        self.page = self.session.get(f"{self.window}/_wecom/open?{urlencode(query)}", timeout=5)
        self.url = f"{self.window}/side/?x=1"

    def invoke(self, name: str, **params: Any) -> dict[str, Any]:
        body = {"name": name, "params": params, "url": self.url}
        told: dict[str, Any] = self.session.post(f"{self.window}/_wecom/invoke", json=body, timeout=5).json()
        return told

    def signed(self, client: WeChatClient, ticket: str, url: str = "") -> dict[str, str]:
        signature = client.jsapi.get_jsapi_signature("nonce", ticket, "1767225600", url or self.url)
        return {"verifyNonceStr": "nonce", "verifyTimestamp": "1767225600", "verifySignature": signature}


def configured(opened: Opened, client: WeChatClient, ticket: str, **changed: Any) -> dict[str, Any]:
    signed = opened.signed(client, ticket)
    given = {"corpid": CORP, "agentid": str(AGENT), "nonceStr": "nonce", "timestamp": "1767225600"}
    return opened.invoke("agentConfig", **(given | {"signature": signed["verifySignature"]} | changed))


def test_pages_come_as_the_web_view_shows_them(wecom):
    with product() as origin:
        opened = Opened(wecom, origin)
        away = opened.session.get(f"{opened.window}/away/", allow_redirects=False, timeout=5)
    assert opened.page.url.startswith(opened.url)
    assert '<head><script src="/_wecom/bridge.js"></script><title>' in opened.page.text
    assert f"{opened.window.removeprefix('http://')} " in opened.page.text and "wxwork/4.1.20" in opened.page.text
    assert "X-Frame-Options" not in opened.page.headers
    assert "frame-ancestors" not in opened.page.headers["Content-Security-Policy"]
    assert (opened.session.cookies["a"], opened.session.cookies["b"]) == ("1", "2")
    assert away.headers["Location"] == f"{opened.window}/there/"


def test_the_phone_opens_pages_of_this_machine_only(wecom):
    window = wecom.simulator.phone.window.listener.url
    refused = requests.get(f"{window}/_wecom/open?to=http://example.test/&corp_id={CORP}&userid={CLERK}", timeout=5)
    assert refused.status_code == 400
    assert requests.get(f"{window}/anything/", timeout=5).status_code == 404


def test_the_bridge_does_nothing_without_the_right_signature(wecom, client):
    wecom.control.act("add", userid=CLERK, external_userid=CUSTOMER)
    with product() as origin:
        opened = Opened(wecom, origin, entry="single_chat_tools", external_userid=CUSTOMER)
    agent, corp = client.jsapi.get_agent_ticket()["ticket"], client.jsapi.get_ticket()["ticket"]

    assert configured(opened, client, agent)["err_msg"] == "agentConfig:ok"
    assert "40093" in configured(opened, client, corp)["err_msg"]  # the tickets mixed up
    assert "40093" in configured(opened, client, agent, agentid="1000003")["err_msg"]
    assert "40093" in configured(opened, client, agent, timestamp="1767225601")["err_msg"]
    good, mixed = opened.signed(client, agent), opened.signed(client, corp)
    other_page = opened.signed(client, agent, f"{opened.window}/other/")

    assert opened.invoke("getCurExternalContact", **good) == {
        "err_msg": "getCurExternalContact:ok",
        "userId": CUSTOMER,
    }
    for wrong in (mixed, other_page, {}):
        assert opened.invoke("getCurExternalContact", **wrong)["err_msg"].endswith("fail no permission")
    assert opened.invoke("getContext", **mixed)["entry"] == "single_chat_tools"
    sent = opened.invoke("sendChatMessage", msgtype="text", text={"content": "看看这件"}, **good)
    assert sent["err_msg"] == "sendChatMessage:ok"
    (line,) = wecom.control.get("world")["lines"]
    assert (line["via"], line["by"], line["content"]) == ("sidebar", CLERK, {"text": {"content": "看看这件"}})
    wecom.control.advance(7200)
    assert opened.invoke("getCurExternalContact", **good)["err_msg"].endswith("no permission")  # the ticket is over


def test_a_page_that_stands_beside_no_chat_knows_no_customer(wecom, client):
    with product() as origin:
        opened = Opened(wecom, origin)
    signed = opened.signed(client, client.jsapi.get_agent_ticket()["ticket"])
    told = opened.invoke("getCurExternalContact", **signed)
    assert told["err_msg"] == "getCurExternalContact:fail without context of external contact"
    assert opened.invoke("makeCoffee", **signed)["err_msg"] == "makeCoffee:fail function not exist"


def test_moments_take_nine_pictures_or_a_video_or_a_link(wecom, client):
    wecom.control.act("add", userid=CLERK, external_userid=CUSTOMER)
    with product() as origin:
        opened = Opened(wecom, origin)
    signed = opened.signed(client, client.jsapi.get_agent_ticket()["ticket"])
    link = {"msgtype": "link", "link": {"title": "新款", "url": "https://shop.test/s/1"}}
    image = {"msgtype": "image", "image": {"mediaid": "gone"}}

    def told(**params):
        return opened.invoke("shareToExternalMoments", **params, **signed)["err_msg"].rpartition("fail ")[2]

    assert told() == "invalid params"
    assert told(text={"content": "好" * 2001}) == "invalid text size"
    assert told(attachments=[link, image]) == told(attachments=[{"msgtype": "file"}]) == "invalid attachments msgtype"
    assert told(attachments=[link, link]) == told(attachments=[image] * 10) == "invalid attachments size"
    assert (
        told(attachments=[{"msgtype": "link", "link": {"title": "新" * 22, "url": "u"}}]) == "invalid link title size"
    )
    assert told(text={"content": "上新"}, attachments=[link]) == "shareToExternalMoments:ok"
    assert told(text={"content": "看图"}, attachments=[image]) == "shareToExternalMoments:ok"  # without the picture
    one, other = wecom.control.get("world")["moments"].values()
    assert (
        one["content"] == {"text": {"content": "上新"}, "attachments": [link]} and not other["content"]["attachments"]
    )
    assert (list(one["parts"].items()), list(one["published_at"])) == ([(CLERK, [CUSTOMER])], [CLERK])


def test_a_chat_with_several_is_made_by_the_client_and_told(wecom, client, inbox):
    wecom.control.act("add", userid=CLERK, external_userid=CUSTOMER)
    with product() as origin:
        opened = Opened(wecom, origin)
    signed = opened.signed(client, client.jsapi.get_agent_ticket()["ticket"])
    one = opened.invoke("openEnterpriseChat", userIds="", externalUserIds=CUSTOMER, **signed)
    assert (one["err_msg"], one["opened"]) == ("openEnterpriseChat:ok", CUSTOMER)
    both = opened.invoke("openEnterpriseChat", userIds=COLLEAGUE, externalUserIds=CUSTOMER, groupName="三人", **signed)
    assert both["chatId"] in wecom.control.get("world")["chats"]
    wecom.control.settle()
    assert inbox.kinds() == ["add_external_contact", "create"]


def test_a_signed_in_page_of_the_phone_is_its_clerk_unasked(wecom, client):
    with product() as origin:
        opened = Opened(wecom, origin)
        query = {"appid": CORP, "redirect_uri": f"{origin}/enter/", "response_type": "code", "scope": "snsapi_base"}
        url = f"{wecom.url}/connect/oauth2/authorize?{urlencode(query)}"
        answer = opened.session.get(url, allow_redirects=False, timeout=5)
    assert answer.headers["Location"].startswith(f"{opened.window}/enter/")  # back into the phone
    assert who(client, code_in(answer)) == {"userid": CLERK}


def test_a_code_is_a_picture(wecom, client):
    made = client.post("externalcontact/add_contact_way", data={"type": 1, "scene": 2, "user": [CLERK], "state": "s"})
    picture = requests.get(made["qr_code"], timeout=5)
    assert picture.headers["Content-Type"] == "image/png" and picture.content.startswith(b"\x89PNG")
    assert requests.get(f"{wecom.url}/qr/none.png", timeout=5).status_code == 404


def test_what_the_phones_show_holds_no_secret(wecom):
    told = requests.get(f"{wecom.url}/phone/state", timeout=5).text
    assert json.loads(told)["corp"]["corp_id"] == CORP
    assert wecom.app().secret not in told
