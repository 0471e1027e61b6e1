"""The clerk's pages inside WeCom: a real browser in the simulator's phone, whose bridge checks our signatures."""

from collections.abc import Callable, Iterator
from urllib.parse import urlencode

import pytest
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect

from clerks import book
from clerks.materials.models import Share
from clerks.models import Friend
from members.models import Identity, Member
from retail import privacy, scope, shapes
from retail.models import Staff, StaffAccount
from retail.wecom import gateway
from tests import factories, wecom_server
from tests.clerks.pages.test_materials import material
from tests.e2e.conftest import DESK, PHONE, opened
from tests.e2e.test_phone import assert_kind
from tests.factories import World
from tests.factories import wecom as wecom_factory
from tests.wecom_server import AGENT, ANOTHER, CLERK, COLLEAGUE, CORP, CUSTOMER, SECRET, Wecom


@pytest.fixture
def wecom(settings, live_server) -> Iterator[Wecom]:
    with wecom_server.running() as running:
        settings.WECOM_API_URL = settings.WECOM_OAUTH_URL = running.url
        yield running
        gateway.hang_up()


@pytest.fixture
def shop(wecom: Wecom) -> World:
    """Two clerks with accounts; each has a customer, who is a friend of the first one in WeCom."""
    with scope.within(scope.EVERYTHING):
        wecom_factory.app(slug="demo", name="导购台", corp_id=CORP, agent_id=AGENT, secret=SECRET)
        shop = factories.world(corp=CORP)
        for code, userid, friend, name in (("A1", CLERK, CUSTOMER, "小鹿"), ("A2", COLLEAGUE, ANOTHER, "橘子汽水")):
            StaffAccount.objects.create(staff=shop.hire(code), corp=CORP, userid=userid)
            phone = (shapes.Buyer("phone", f"1380000{code[1]}234"),)
            now = timezone.now()
            shop.settle(shop.order(serving_clerk=code, buyer=phone, paid_at=now), now=now)
            member = Member.objects.latest("pk")
            member.name = name
            member.save()
            know(member, friend, shop.staff["A1"])
            wecom.control.act("add", userid=CLERK, external_userid=friend)
    return shop


def know(member: Member, external_userid: str, of: Staff) -> None:
    known = privacy.Known("external_userid", CORP, external_userid)
    key_id = privacy.keep([known])[known]
    now = timezone.now()
    Identity.objects.create(member=member, key_id=key_id, source="wecom", seen_at=now)
    Friend.objects.create(
        corp=CORP, userid=CLERK, key_id=key_id, member=member, staff=of, state=Friend.State.FRIEND, since=now
    )


@pytest.fixture
def in_wecom(browser: Browser, wecom: Wecom, faults: list[str]) -> Iterator[Page]:
    """The browser inside the simulator's phone; it reaches that and the simulator's sign-in page only."""
    window = wecom.simulator.phone.window.listener.url
    with opened(browser, url=window, faults=faults, options=PHONE, besides=(wecom.url,)) as page:
        yield page


def go(page: Page, live_server, path: str, *, as_: str = CLERK, entry: str = "normal", beside: str = "") -> None:
    """Open a page of ours in the phone of this member, maybe beside the chat with a customer."""
    given = {"to": f"{live_server.url}{path}", "corp_id": CORP, "userid": as_, "entry": entry}
    page.goto(f"/_wecom/open?{urlencode(given | ({'external_userid': beside} if beside else {}))}")


def calls(wecom: Wecom, name: str) -> list[int]:
    """The errcodes with which WeCom's client answered these calls."""
    return [one["errcode"] for one in wecom.control.requests(f"js/{name}")]


def test_beside_the_chat_stands_the_customer_and_words_go_out_with_one_tap(
    shop: World, wecom: Wecom, in_wecom: Page, live_server
):
    go(in_wecom, live_server, "/m/sidebar/?app=demo", entry="single_chat_tools", beside=CUSTOMER)

    expect(in_wecom.get_by_role("heading", name="小鹿")).to_be_visible()
    expect(in_wecom.get_by_text("¥100.00").first).to_be_visible()
    assert_kind(in_wecom)
    in_wecom.get_by_role("button", name="发送").first.click()
    expect(in_wecom.get_by_role("button", name="已发送")).to_be_visible()

    (line,) = [one for one in wecom.simulator.world.corps[CORP].lines if one.via == "sidebar"]
    assert line.content["text"]["content"].startswith("小鹿，您好！我是门店")
    assert (
        calls(wecom, "agentConfig") == calls(wecom, "getCurExternalContact") == calls(wecom, "sendChatMessage") == [0]
    )
    assert "external_userid" not in in_wecom.url and CUSTOMER not in in_wecom.url


@pytest.mark.parametrize("is_open", [False, True], ids=["opened after", "open meanwhile"])
def test_the_sidebar_outlives_its_tickets(
    shop: World, wecom: Wecom, in_wecom: Page, live_server, is_open: bool, faults: list[str]
):
    """In WeCom a day has gone by, and with it tickets and token; here nobody knows."""
    beside = {"entry": "single_chat_tools", "beside": CUSTOMER}
    go(in_wecom, live_server, "/m/sidebar/?app=demo", **beside)
    expect(in_wecom.get_by_role("heading", name="小鹿")).to_be_visible()
    wecom.control.post("clock", advance=86_400)
    if is_open:
        in_wecom.get_by_role("button", name="发送").first.click()  # refused, and the page is drawn anew
        eventually(in_wecom, lambda: calls(wecom, "agentConfig")[-1:] == [0] and len(calls(wecom, "agentConfig")) > 1)
    else:
        go(in_wecom, live_server, "/m/sidebar/?app=demo", **beside)

    expect(in_wecom.get_by_role("heading", name="小鹿")).to_be_visible()
    in_wecom.get_by_role("button", name="发送").first.click()
    expect(in_wecom.get_by_role("button", name="已发送")).to_be_visible()
    assert set(faults) <= {"Object"}  # the vendor's library lets its own promise of a refused signature fall
    faults.clear()


def test_beside_the_chat_of_a_colleagues_customer_nothing_is_told(shop: World, in_wecom: Page, live_server):
    go(in_wecom, live_server, "/m/sidebar/?app=demo", entry="single_chat_tools", beside=ANOTHER)

    expect(in_wecom.get_by_text("这位顾客归同事")).to_be_visible()
    assert_kind(in_wecom)
    assert not [told for told in ("橘子汽水", "员工A2", "100.00") if told in in_wecom.content()]


def test_a_customer_of_mine_is_two_taps_from_the_chat(shop: World, wecom: Wecom, in_wecom: Page, live_server):
    go(in_wecom, live_server, "/m/")
    in_wecom.get_by_role("link", name="顾客", exact=True).click()
    assert_kind(in_wecom)
    in_wecom.get_by_role("link", name="小鹿").click()
    expect(in_wecom.get_by_role("button", name="联系")).to_be_visible()
    assert_kind(in_wecom)

    in_wecom.get_by_role("button", name="联系").click()
    eventually(in_wecom, lambda: calls(wecom, "openEnterpriseChat") == [0])
    expect(in_wecom.locator("#said")).to_be_hidden()
    (asked,) = wecom.control.requests("js/openEnterpriseChat")
    assert asked["body"]["externalUserIds"] == CUSTOMER


def test_a_material_is_sent_beside_the_chat_opened_from_elsewhere_and_given_to_moments(
    shop: World, wecom: Wecom, in_wecom: Page, live_server
):
    with scope.within(scope.EVERYTHING):
        scarf = material(shop, "羊绒围巾", version={"text": "{customer}，这条很衬您。"}, is_pinned=True)
        book.refresh_all(now=timezone.now())
    go(in_wecom, live_server, "/m/sidebar/?app=demo", entry="single_chat_tools", beside=CUSTOMER)
    part = in_wecom.locator("#materials")
    part.scroll_into_view_if_needed()
    part.get_by_label("找素材").fill("yrwj")
    part.get_by_role("button", name="找").click()
    part.get_by_role("listitem").get_by_role("button", name="发送").click()
    expect(part.get_by_role("button", name="已发送")).to_be_visible()
    assert_kind(in_wecom)

    (line,) = [one for one in wecom.simulator.world.corps[CORP].lines if one.via == "sidebar"]
    assert line.content["news"]["desc"] == "小鹿，这条很衬您。"
    eventually(in_wecom, lambda: Share._base_manager.filter(sent_at__isnull=False).count() == 1)
    assert line.content["news"]["link"].endswith(f"/s/{Share._base_manager.get().code}")

    go(in_wecom, live_server, f"/m/materials/{scarf.pk}/")
    assert_kind(in_wecom)
    in_wecom.get_by_role("button", name="发朋友圈").click()
    expect(in_wecom.get_by_role("button", name="已交给朋友圈")).to_be_visible()
    (moment,) = wecom.simulator.world.corps[CORP].moments.values()
    assert moment.published_at.keys() == {CLERK} and moment.content["attachments"][0]["msgtype"] == "link"
    in_wecom.get_by_role("link", name="发给顾客").click()
    in_wecom.get_by_role("link", name="小鹿").click()
    in_wecom.get_by_role("button", name="去和小鹿的聊天").click()
    eventually(in_wecom, lambda: calls(wecom, "openEnterpriseChat") == [0])
    assert calls(wecom, "shareToExternalMoments") == calls(wecom, "sendChatMessage") == [0]


def test_elsewhere_in_wecom_the_sidebar_says_where_it_belongs(shop: World, in_wecom: Page, live_server):
    go(in_wecom, live_server, "/m/sidebar/?app=demo")

    expect(in_wecom.get_by_text("请从顾客的聊天里打开")).to_be_visible()
    assert_kind(in_wecom)


def test_when_wecom_is_silent_the_page_says_so_and_tries_again(
    shop: World, wecom: Wecom, in_wecom: Page, live_server, faults: list[str]
):
    wecom.control.fault("get_jsapi_ticket", kind="errcode", code=60020, times=1)
    go(in_wecom, live_server, "/m/sidebar/?app=demo", entry="single_chat_tools", beside=CUSTOMER)
    expect(in_wecom.get_by_text("没有打开")).to_be_visible()
    assert_kind(in_wecom)

    in_wecom.get_by_role("button", name="再试一次").click()

    expect(in_wecom.get_by_role("heading", name="小鹿")).to_be_visible()
    assert [fault for fault in faults if "503" not in fault] == []
    faults.clear()


def test_an_unknown_member_and_a_stranger_find_kind_pages(shop: World, in_wecom: Page, live_server, faults: list[str]):
    go(in_wecom, live_server, "/m/", as_="clerk_zhou")

    expect(in_wecom.get_by_role("heading", name="还没有认出您")).to_be_visible()
    expect(in_wecom.get_by_text("clerk_zhou")).to_be_visible()
    assert_kind(in_wecom)
    assert all("403" in fault for fault in faults)
    faults.clear()


def test_without_the_bridge_every_page_works_and_says_what_is_missing(
    shop: World, browser: Browser, live_server, wecom: Wecom, faults: list[str]
):
    with opened(browser, url=live_server.url, faults=faults, options=PHONE, besides=(wecom.url,)) as phone:
        phone.goto("/m/sidebar/?app=demo")
        assert_kind(phone)
        phone.get_by_role("link", name="用企业微信登录").click()
        phone.get_by_role("link", name="李导购").click()

        expect(phone.get_by_text("请在企业微信里打开")).to_be_visible()
        assert_kind(phone)
        phone.get_by_role("link", name="先看我的顾客").click()
        phone.get_by_role("link", name="小鹿").click()
        phone.get_by_role("button", name="联系").click()
        expect(phone.get_by_text("请用企业微信打开这一页")).to_be_visible()


def test_the_desk_has_the_door_beside_the_password(
    shop: World, browser: Browser, wecom: Wecom, live_server, faults: list[str]
):
    with opened(browser, url=live_server.url, faults=faults, options=DESK, besides=(wecom.url,)) as page:
        page.goto("/admin/login/?next=/admin/retail/order/")
        page.get_by_role("link", name="用企业微信登录").click()
        page.get_by_role("link", name="李导购").click()
        expect(page.get_by_text("您的岗位在手机上用导购台")).to_be_visible()
    assert all("403" in fault for fault in faults)
    faults.clear()


def eventually(page: Page, happened: Callable[[], bool]) -> None:
    """The page goes on meanwhile: its requests pass through this thread."""
    for _ in range(100):
        if happened():
            return
        page.wait_for_timeout(50)
    raise AssertionError("it did not happen in time")
