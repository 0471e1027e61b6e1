"""The clerk's phone, as a thumb and an eye of fifty meet it."""

from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from retail import scope
from retail.models import Post
from tests import factories
from tests.e2e.conftest import assert_fits
from tests.factories import World

LONG = "真丝印花连衣裙中长款收腰显瘦高级感气质名媛新款两件套礼盒装"
TARGETS = "a, button, summary, input:not([type=hidden])"

SMALL_TARGETS = f"""() => [...document.querySelectorAll({TARGETS!r})]
  .map(element => [element.getBoundingClientRect(), element.outerHTML.slice(0, 120)])
  .filter(([box]) => box.width && (box.width < 48 || box.height < 48))
  .map(([box, markup]) => `${{box.width}} × ${{box.height}}: ${{markup}}`)"""

BASE_TYPE = "parseFloat(getComputedStyle(document.body).fontSize)"

# Text smaller than 16 px; what stands below the icons of the tab bar may be 14.
TINY = """() => [...document.querySelectorAll('body *:not(.watermark *)')]
  .filter(e => e.checkVisibility() && [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()))
  .map(e => [parseFloat(getComputedStyle(e).fontSize), e.closest('.tabs') ? 14 : 16, e.outerHTML.slice(0, 120)])
  .filter(([size, least]) => size < least)
  .map(([size, least, markup]) => `${size}: ${markup}`)"""

# Contrast of all text with the colours behind it; a gradient counts by its first colour.
FAINT = """() => {
  const channels = colour => colour.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = element => {
    for (let e = element; e; e = e.parentElement) {
      const style = getComputedStyle(e);
      const gradient = style.backgroundImage.match(/rgba?\\([^)]+\\)/);
      if (gradient) return channels(gradient[0]);
      const flat = channels(style.backgroundColor);
      if (flat.length < 4 || flat[3] > 0.9) return flat;
    }
    return [255, 255, 255];
  };
  return [...document.querySelectorAll('body *')]
    .filter(e => e.checkVisibility() && [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()))
    .map(e => {
      const [a, b] = [light(channels(getComputedStyle(e).color)), light(ground(e))];
      return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), e.outerHTML.slice(0, 120)];
    })
    .filter(([ratio]) => ratio < 4.5)
    .map(([ratio, markup]) => `${ratio.toFixed(2)}: ${markup}`);
}"""


def assert_kind(page: Page, *, type_px: int = 18) -> None:
    """Nothing to scroll sideways for, nothing too small to hit or to read, nothing too faint."""
    page.wait_for_load_state()
    assert_fits(page)
    assert page.evaluate(BASE_TYPE) >= type_px
    assert page.evaluate(SMALL_TARGETS) == []
    assert page.evaluate(TINY) == []
    assert page.evaluate(FAINT) == []


@pytest.fixture
def shop(live_server, settings) -> World:
    """One clerk with sales, one without any, behind the doors of the demo."""
    settings.DEMO = True
    now = timezone.now()
    with scope.within(scope.EVERYTHING):
        shop = factories.world()
        shop.store.name = "上海静安寺久光百货三层女装专区旗舰店"
        shop.store.save()
        shop.product.name = LONG
        shop.product.save()
        for code, name in [("A1", "阿卜杜热依木·买买提艾力"), ("A2", "新小月")]:
            staff = shop.hire(code)
            staff.name, staff.user = name, factories.user() if code == "A1" else None
            staff.save()
        shop.plan(
            {
                "id": "counter",
                "name": "门店开单",
                "calc": {"type": "rate", "ppm": 30000},
                "split": [{"role": "serve", "weight": 9}, {"role": "manager", "weight": 1}],
            }
        )
        sales = [
            shop.order(serving_clerk="A1", paid_at=now - timedelta(days=day), lines=[{"paid_fen": 1288800 + day}])
            for day in range(3)
        ]
        shop.settle(*sales, now=now)
        shop.refund(sales[0], fen=388800, now=now)
    return shop


def test_through_the_door_to_one_sale(shop: World, phone: Page):
    phone.goto("/")
    assert_fits(phone)
    phone.get_by_role("button", name="导购").first.click()

    expect(phone.get_by_text("今天预计")).to_be_visible()
    expect(phone.get_by_text("243.00").first).to_be_visible()  # 9000.00 × 3 % × 90 %
    assert_kind(phone)

    phone.get_by_text(LONG).first.click()
    expect(phone.get_by_text("前未退货就确认")).to_be_visible()
    expect(phone.get_by_text("按「门店开单」").first).to_be_visible()
    assert_kind(phone)
    expect(phone.get_by_text("+243.00")).to_be_visible()  # the sum of the line; the refund below it is folded
    expect(phone.get_by_text("这件有退款")).to_be_hidden()
    phone.locator("summary", has_text="退款冲回").click()
    expect(phone.get_by_text("这件有退款")).to_be_visible()
    assert_kind(phone)


def test_days_open_in_place_and_go_on(shop: World, phone: Page):
    now = timezone.now()
    with scope.within(scope.EVERYTHING):
        busy = [shop.order(serving_clerk="A1", paid_at=now - timedelta(days=2, seconds=n)) for n in range(25)]
        shop.settle(*busy, now=now)
    sign_in(phone, "A1")
    phone.get_by_role("link", name="收入").click()
    busy = phone.locator("details", has_text="26 笔")
    busy.locator("summary").click()

    expect(busy.locator(".sale")).to_have_count(20)
    assert_kind(phone)
    busy.get_by_text("再看一些").click()
    expect(busy.locator(".sale")).to_have_count(26)
    expect(busy.get_by_text("再看一些")).to_have_count(0)


def test_the_large_type_stays_and_fits(shop: World, phone: Page):
    sign_in(phone, "A1")
    phone.get_by_role("button", name="大字").click()
    expect(phone.get_by_role("button", name="标准字")).to_be_visible()

    assert_kind(phone, type_px=22)
    for path in ("/m/earnings/", "/m/me/"):
        phone.goto(path)
        assert_kind(phone, type_px=22)


def test_a_new_clerk_finds_friendly_words(shop: World, phone: Page):
    sign_in(phone, "A2")

    expect(phone.get_by_text("还没有成交")).to_be_visible()
    assert_kind(phone)
    phone.get_by_role("link", name="收入").click()
    expect(phone.get_by_text("这个月还没有成交")).to_be_visible()
    assert_kind(phone)


def test_a_clerk_is_picked_by_store_or_by_name(shop: World, phone: Page):
    phone.goto("/m/sign-in/")
    phone.locator("summary").click()
    expect(phone.locator("button.clerk")).to_have_count(2)
    assert_kind(phone)

    phone.get_by_role("searchbox").fill("小月")
    expect(phone.locator("button.clerk")).to_have_count(1)
    phone.locator("button.clerk").click()
    expect(phone.get_by_role("heading", name="新小月")).to_be_visible()


def test_a_lost_connection_is_said_and_can_be_tried_again(shop: World, phone: Page, faults: list[str]):
    sign_in(phone, "A1")
    phone.goto("/m/earnings/")
    phone.route("**/m/earnings/20*/", lambda route: route.abort())
    day = phone.locator("details").first
    day.locator("summary").click()
    expect(phone.get_by_text("网络不太好")).to_be_visible()

    phone.unroute("**/m/earnings/20*/")
    day.locator(".more").click()
    expect(day.locator(".sale").first).to_be_visible()
    faults.clear()


def test_what_is_not_there_is_told_in_the_same_look(shop: World, phone: Page, faults: list[str]):
    sign_in(phone, "A1")
    phone.goto("/m/earnings/999999999/")

    expect(phone.get_by_text("没有这一页")).to_be_visible()
    assert_kind(phone)
    assert faults == ["Failed to load resource: the server responded with a status of 404 (Not Found)"]
    faults.clear()


def sign_in(page: Page, code: str) -> None:
    """Through the picker, as the clerk with this code."""
    with scope.within(scope.EVERYTHING):
        name = Post.objects.select_related("staff").get(staff__code=code).staff.name
    page.goto(f"/m/sign-in/?q={code}")
    page.get_by_role("button", name=name).click()
    expect(page.get_by_role("heading", name=name)).to_be_visible()
