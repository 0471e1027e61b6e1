"""A material on its whole road: sent with one tap, opened, seen by the clerk, bought, and paid for twice."""

from collections.abc import Iterator
from urllib.parse import urlencode

import msgspec
import pytest
import requests
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect

from clerks.materials.models import Opening, Share, ShareSale
from clerks.models import ContactWay, Shift
from clerks.outreach import codes
from commissions import plans
from commissions.models import ActionRate, Plan, PlanVersion
from retail import scope, shapes
from retail.api import tokens
from retail.wecom import gateway
from tests import wecom_server
from tests.e2e.conftest import DESK, PHONE, assert_fits
from tests.factories import LONG_AGO, add_rule, corp, sharing
from tests.factories import wecom as wecom_factory
from tests.factories.corp import LI, Corp
from tests.figures import figure
from tests.wecom_server import AES_KEY, AGENT, CORP, CUSTOMER, SECRET, TOKEN

RULE = {"id": "share", "name": "分享成交", "calc": {"type": "rate", "ppm": 30000},
        "split": [{"role": "share", "weight": 1}]}  # fmt: skip
NAME = "秋冬新款画册"
WECHAT = PHONE | {"user_agent": PHONE["user_agent"].replace("Version/17.4", "MicroMessenger/8.0.54 Version/17.4")}


@pytest.fixture
def shop(live_server, settings) -> Iterator[Corp]:
    """A store with a material that can be sent and a code on the counter; 3 % of a link's sales, 0.50 an opening."""
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
    plan = Plan.objects.create(brand=brand, name="方案")
    version = PlanVersion.objects.create(plan=plan, number=1)
    add_rule(version, RULE)
    ActionRate.objects.create(version=version, type="opened", fen=50, once_per="customer+content")
    plans.approve(version=version, by=None, now=LONG_AGO)
    plans.activate(version=version, starts_at=LONG_AGO, by=None, now=LONG_AGO)
    sharing.material(made.shop, NAME, is_pinned=True)
    way = ContactWay(name="收银台", kind=ContactWay.Kind.CLERK, brand=brand, store=store)
    codes.save(way=way, by=None, now=now)
    Shift.objects.create(way=way, staff=made.staff(LI))
    codes.publish(ways=[way], now=now)
    made.work()


def test_what_a_clerk_shares_is_opened_bought_and_paid_for(
    shop: Corp, browser: Browser, live_server, faults: list[str]
) -> None:
    page = _page(browser, DESK, faults)
    page.goto(f"{shop.server.url}/phone/")
    customer, clerk = page.locator("#customer"), page.locator("#clerk")
    customer.get_by_role("button", name="扫一扫").click()
    customer.get_by_role("button", name="扫码").first.click()
    expect(customer.get_by_role("button", name="返回")).to_be_visible()  # in their chat: the callback is on its way
    shop.server.control.settle()
    shop.work()

    # Beside the chat the clerk sends the material with one tap.
    clerk.get_by_role("button", name="小鹿").click()
    clerk.get_by_role("button", name="侧边栏").click()
    inside = page.frame_locator("iframe")
    expect(inside.get_by_role("heading", name="小鹿")).to_be_visible()
    inside.locator("#materials").scroll_into_view_if_needed()
    row = inside.locator("#materials .material").filter(has_text=NAME)
    row.get_by_role("button", name="发送").click()
    link = customer.locator(".bubble a").filter(has_text=NAME)
    expect(link).to_be_visible()
    expect(row.get_by_text("已发送")).to_be_visible()
    share = Share.objects.get()
    assert share.staff == shop.staff(LI)

    # The customer opens it in WeChat, which says who they are.
    wechat = _page(browser, WECHAT, faults)
    wechat.goto(f"{live_server.url}/s/{(link.get_attribute('href') or '').rpartition('/')[2]}")
    wechat.get_by_role("link", name="小鹿").click()
    expect(wechat.get_by_role("heading", name=NAME)).to_be_visible()
    assert_fits(wechat)
    wechat.context.close()
    shop.work()
    assert Opening.objects.get().member == shop.friend().member
    share.refresh_from_db()
    assert share.sent_at is not None  # WeCom's client has said so meanwhile

    # The clerk sees who looked, and that it was worth something.
    phone = _page(browser, PHONE, faults)
    _go(shop, phone, f"{live_server.url}/m/materials/shares/")
    expect(phone.locator(".echo")).to_contain_text("打开 1 次")
    expect(phone.locator(".echo__who")).to_contain_text("小鹿")
    assert_fits(phone)

    # The customer buys elsewhere; nobody names a code.
    _buy(shop, live_server.url, fen=29900)
    assert (ShareSale.objects.get().share, ShareSale.objects.get().way) == (share, "opening")
    phone.goto(f"{live_server.url}/m/materials/shares/")
    expect(phone.locator(".echo")).to_contain_text("成交 1 单")
    phone.goto(f"{live_server.url}/m/")
    expect(phone.locator(".sale")).to_contain_text("+8.97")  # 299 yuan × 3 %
    phone.goto(f"{live_server.url}/m/earnings/actions/")
    expect(phone.get_by_text("素材被打开").first).to_be_visible()
    expect(phone.get_by_text("0.50").first).to_be_visible()
    figure("E2", "shared with one tap → opened in WeChat, known → seen by the clerk → bought → ¥8.97 and ¥0.50")
    page.context.close()
    phone.context.close()


def _buy(shop: Corp, address: str, *, fen: int) -> None:
    """The mini-program tells the feed of an order."""
    online = shop.shop.channel("mini_program", corp=CORP)
    _, secret = tokens.issue(name="小程序", channel=online)
    buyer = (shapes.Buyer("external_userid", CUSTOMER),)
    order = shop.shop.order(channel=online, buyer=buyer, paid_at=timezone.now(), lines=[{"paid_fen": fen}])
    body = msgspec.json.encode({"orders": [order]})
    headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
    answer = requests.post(f"{address}/api/v1/orders/", data=body, headers=headers, timeout=15)
    assert answer.status_code == 200, answer.text
    shop.work()


def _page(browser: Browser, options: dict, faults: list[str]) -> Page:
    page = browser.new_context(**options).new_page()
    page.set_default_timeout(15_000)
    page.on("pageerror", lambda error: faults.append(str(error)))
    return page


def _go(shop: Corp, phone: Page, address: str) -> None:
    """Into a page as the clerk, inside WeCom."""
    given = {"to": address, "corp_id": CORP, "userid": LI}
    phone.goto(f"{shop.server.simulator.phone.window.listener.url}/_wecom/open?{urlencode(given)}")
