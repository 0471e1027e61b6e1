"""The whole road, as two people walk it: a scan, a greeting, a relation, the sidebar, an order, the commission."""

from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from django.utils import timezone
from playwright.sync_api import Browser, expect

from clerks.models import Binding, ContactWay, Greeting, Shift, Welcome
from clerks.outreach import codes
from retail import scope, shapes
from retail.wecom import gateway
from tests import wecom_server
from tests.e2e.conftest import DESK, PHONE
from tests.factories import corp
from tests.factories import wecom as wecom_factory
from tests.factories.corp import LI, Corp
from tests.figures import figure
from tests.wecom_server import AES_KEY, AGENT, CORP, CUSTOMER, SECRET, TOKEN

RULE = {"id": "bound", "name": "专属客户", "calc": {"type": "rate", "ppm": 30000},
        "split": [{"role": "bound", "weight": 1}]}  # fmt: skip


@pytest.fixture
def shop(live_server, settings) -> Iterator[Corp]:
    """A store with a code on the counter and a welcome; WeCom calls the product back over HTTP."""
    with wecom_server.running() as server, scope.within(scope.EVERYTHING):
        settings.WECOM_API_URL = settings.WECOM_OAUTH_URL = server.url
        app = wecom_factory.app(
            slug="demo", corp_id=CORP, agent_id=AGENT, secret=SECRET, token=TOKEN, aes_key=AES_KEY
        )  # fmt: skip
        made = Corp(server, corp.shop(), app)
        server.call_back(f"{live_server.url}/wecom/demo/callback/")
        pages = {"home_url": f"{live_server.url}/m/", "sidebar_url": f"{live_server.url}/m/sidebar/?app=demo"}
        server.control.post("app", agent_id=AGENT, **pages)
        _prepare(made)
        yield made
        gateway.hang_up()


def _prepare(made: Corp) -> None:
    brand, store, now = made.shop.brand, made.shop.store, timezone.now()
    made.shop.plan(RULE)
    Welcome.objects.create(name="通用", brand=brand, text="您好，我是{store}的{clerk}")
    way = ContactWay(name="收银台", kind=ContactWay.Kind.CLERK, brand=brand, store=store)
    codes.save(way=way, by=None, now=now)
    Shift.objects.create(way=way, staff=made.staff(LI))
    codes.publish(ways=[way], now=now)
    made.work()


def test_from_a_scan_to_the_commission_on_the_clerks_phone(
    shop: Corp, browser: Browser, live_server, faults: list[str]
):
    page = browser.new_context(**DESK).new_page()
    page.set_default_timeout(15_000)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(f"{shop.server.url}/phone/")
    customer, clerk = page.locator("#customer"), page.locator("#clerk")

    # The customer scans the code on the counter, is greeted, and is the clerk's from now on.
    customer.get_by_role("button", name="扫一扫").click()
    customer.get_by_role("button", name="扫码").first.click()
    expect(customer.get_by_role("button", name="返回")).to_be_visible()  # in their chat: the callback is on its way
    shop.server.control.settle()
    shop.work()
    expect(customer.locator(".bubble").first).to_contain_text(f"您好，我是{shop.shop.store.name}的员工{LI}")
    greeting, bond = Greeting.objects.get(), Binding.objects.get()
    assert greeting.state == "sent"
    assert (bond.staff, bond.source) == (shop.staff(LI), "contact_code")

    # The clerk sees who it is beside the chat, and sends a few words with one tap.
    clerk.get_by_role("button", name="小鹿").click()
    clerk.get_by_role("button", name="侧边栏").click()
    inside = page.frame_locator("iframe")
    expect(inside.get_by_role("heading", name="小鹿")).to_be_visible()
    expect(inside.get_by_text("专属于我")).to_be_visible()
    inside.get_by_role("button", name="发送").first.click()
    expect(customer.locator(".bubble").nth(1)).to_contain_text("小鹿，您好！")

    # The customer buys in the mini program; the clerk, who was not there, finds the commission on the phone.
    shop_online = shop.shop.channel("mini_program", corp=CORP)
    buyer = (shapes.Buyer("external_userid", CUSTOMER),)
    now = timezone.now()
    order = shop.shop.order(channel=shop_online, buyer=buyer, paid_at=now, lines=[{"paid_fen": 29900}])
    shop.shop.settle(order, channel=shop_online, now=now)
    phone = browser.new_context(**PHONE).new_page()
    given = {"to": f"{live_server.url}/m/", "corp_id": CORP, "userid": LI}
    phone.goto(f"{shop.server.simulator.phone.window.listener.url}/_wecom/open?{urlencode(given)}")
    expect(phone.get_by_text("今天预计")).to_be_visible()
    expect(phone.locator(".sale")).to_contain_text("+8.97")  # 299 yuan × 3 %
    expect(phone.locator(".sale")).to_contain_text("小鹿")
    figure("H5", f"scan → welcome after {greeting.took_ms} ms → binding → sidebar → order → ¥8.97 on the phone")
    page.context.close()
    phone.context.close()
