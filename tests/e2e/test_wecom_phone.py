"""The phones of the WeCom simulator in a browser: a scan, a talk, a card, the sidebar beside a chat."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, Page, expect

from retail.wecom import crypto
from tests import wecom_server
from tests.e2e.conftest import DESK, PHONE, assert_fits
from tests.wecom_server import AGENT, ANOTHER, CLERK, COLLEAGUE, CORP, SECRET, Wecom

# A sidebar page, as small as can be: it signs its address with the app's ticket, and asks the bridge who the chat is
# with. That the vendor's own SDK does the same is seen with the product's sidebar.
SIDEBAR = """<!doctype html><html lang="zh"><head><meta charset="utf-8"><link rel="icon" href="data:,"></head><body>
<p id="who"></p><button id="send">推荐这件</button><script src="/page.js"></script></body></html>"""
SCRIPT = """
const signed = fetch("/sign?" + new URLSearchParams({ url: location.href.split("#")[0] })).then((one) => one.json());
const ask = async (name, params) => {
  const sign = await signed;
  return new Promise((done) => WeixinJSBridge.invoke(name, { ...params, ...sign }, done));
};
ask("getCurExternalContact").then((told) => { document.getElementById("who").textContent = told.userId; });
document.getElementById("send").addEventListener("click", () => {
  ask("sendChatMessage", { msgtype: "text", text: { content: "这件外套很适合您" } });
});
"""


@pytest.fixture
def wecom() -> Iterator[Wecom]:
    with wecom_server.running() as running:
        yield running


class Api:
    """Calls of an app, plainly."""

    def __init__(self, wecom: Wecom) -> None:
        self.url = wecom.api_url
        self.token = self.get("gettoken", corpid=CORP, corpsecret=SECRET)["access_token"]

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        token = {"access_token": self.token} if path != "gettoken" else {}
        told: dict[str, Any] = requests.get(f"{self.url}{path}", params=query | token, timeout=5).json()
        return told

    def post(self, path: str, **body: Any) -> dict[str, Any]:
        query = {"access_token": self.token}
        told: dict[str, Any] = requests.post(f"{self.url}{path}", params=query, json=body, timeout=5).json()
        assert told["errcode"] == 0, told
        return told


@pytest.fixture
def api(wecom: Wecom) -> Api:
    return Api(wecom)


@pytest.fixture
def sidebar(wecom: Wecom, api: Api) -> Iterator[str]:
    ticket = api.get("ticket/get", type="agent_config")["ticket"]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            kind, text = {"/page.js": ("text/javascript", SCRIPT), "/sign": ("application/json", self.signed())}.get(
                path, ("text/html; charset=UTF-8", SIDEBAR)
            )
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("X-Frame-Options", "DENY")
            self.send_header("Content-Security-Policy", "default-src 'self'; img-src data:; frame-ancestors 'none'")
            self.end_headers()
            self.wfile.write(text.encode())

        def signed(self) -> str:
            url = f"http://{self.headers['Host']}/side/"
            signature = crypto.js_signature(ticket=ticket, nonce="n", timestamp="1767225600", url=url)
            return json.dumps({"verifyNonceStr": "n", "verifyTimestamp": "1767225600", "verifySignature": signature})

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/side/"
    server.shutdown()
    server.server_close()


@pytest.fixture
def shop(wecom: Wecom, api: Api, sidebar: str) -> Wecom:
    """A code, a customer known already, a card and a group message that wait."""
    wecom.control.post("app", agent_id=AGENT, home_url=sidebar, sidebar_url=sidebar)
    api.post("externalcontact/add_contact_way", type=1, scene=2, state="store-1", remark="收银台", user=[CLERK])
    wecom.control.act("add", userid=CLERK, external_userid=ANOTHER)
    button = {"text": "接受线索", "key": "accept"}
    card = {
        "card_type": "button_interaction",
        "main_title": {"title": "新线索"},
        "task_id": "t",
        "button_list": [button],
    }
    api.post("message/send", touser=CLERK, agentid=AGENT, msgtype="template_card", template_card=card)
    api.post("externalcontact/add_msg_template", external_userid=[ANOTHER], text={"content": "周末上新"})
    return wecom


def open_at(browser: Browser, wecom: Wecom, faults: list[str], options: dict[str, Any]) -> Page:
    page = browser.new_context(**options).new_page()
    page.set_default_timeout(10_000)
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(f"{wecom.url}/phone/")
    return page


def test_customer_and_clerk_are_played_side_by_side(browser, shop, faults):
    page = open_at(browser, shop, faults, DESK)
    customer, clerk = page.locator("#customer"), page.locator("#clerk")
    played = clerk.get_by_label("扮演哪位导购")
    played.select_option(COLLEAGUE)
    customer.get_by_role("button", name="扫一扫").click()
    customer.get_by_role("button", name="扫码").click()
    expect(played).to_have_value(CLERK)  # whoever was scanned
    customer.get_by_label("要说的话").fill("有 M 码吗")
    customer.get_by_role("button", name="发送").click()

    clerk.get_by_role("button", name="小鹿").click()
    expect(clerk.locator(".bubble")).to_contain_text("有 M 码吗")
    clerk.get_by_role("button", name="侧边栏").click()
    inside = page.frame_locator("iframe")
    expect(inside.locator("#who")).to_have_text("wmDEMOAAAA0000000000000000000001")
    inside.get_by_role("button", name="推荐这件").click()
    expect(customer.locator(".bubble").nth(1)).to_contain_text("这件外套很适合您")

    page.on("dialog", lambda dialog: dialog.accept())
    customer.get_by_role("button", name="删除").click()
    clerk.get_by_role("button", name="关闭").click()
    clerk.get_by_role("button", name="返回").click()
    expect(clerk.get_by_role("button", name="小鹿")).to_contain_text("对方已删除你")
    page.context.close()


def test_the_clerk_confirms_and_presses(browser, shop, faults):
    page = open_at(browser, shop, faults, PHONE)
    page.locator("#which").get_by_role("button", name="导购").click()
    clerk = page.locator("#clerk")
    clerk.get_by_role("button", name="待办 1").click()
    clerk.get_by_role("button", name="发送").click()
    expect(page.get_by_role("status")).to_have_text("已发送给 1 位客户")
    assert_fits(page)
    clerk.get_by_role("button", name="工作台").click()
    clerk.get_by_role("button", name="接受线索").click()
    until_pressed(shop)
    assert_fits(page)
    page.locator("#which").get_by_role("button", name="后台").click()
    page.get_by_role("button", name="快进 1 天").click()
    assert_fits(page)
    page.context.close()


def until_pressed(wecom: Wecom) -> None:
    for _ in range(100):
        codes = wecom.control.get("world")["cards"].values()
        if len(codes) == 2:  # the message's own, and the one of the press
            return
    raise AssertionError("the press did not arrive")
