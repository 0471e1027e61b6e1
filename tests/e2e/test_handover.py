"""A clerk leaves: headquarters says so at its desk, the store's manager hands the customers over on a phone."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta

import pytest
from django.conf import settings as django_settings
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect

from clerks.handover import running
from clerks.models import Binding, Handover
from retail import scope
from retail.desk import roles
from retail.models import Staff
from retail.wecom.simulator.world import DAY
from tests.e2e.conftest import DESK, PHONE, assert_fits, opened
from tests.e2e.test_month import press
from tests.factories import corp, user
from tests.factories.corp import CHEN, LI, WANG, ZHOU, Corp
from tests.signing_in import signed_in

NAMES = ("被拒绝的顾客", "愿意的顾客", "名字特别特别长的一位老顾客阿布", "转不进去的顾客")


@pytest.fixture
def shop(live_server, settings) -> Iterator[Corp]:
    with scope.within(scope.EVERYTHING), corp.running(settings) as made:
        for name in NAMES:
            who = made.act("new_customer", name=name)["external_userid"]
            made.act("add", userid=LI, external_userid=who)
        made.happen()
        made.server.simulator.world.corps[made.app.corp_id].members[WANG].customer_limit = 2
        yield made


@pytest.fixture
def seat(browser: Browser, live_server, faults: list[str]) -> Iterator[Callable[..., Page]]:
    def take(staff: Staff, role: str, options: dict) -> Page:
        staff.user = user()
        staff.save()
        roles.grant(user=staff.user, role=role)
        page = stack.enter_context(opened(browser, url=live_server.url, faults=faults, options=options))
        name = django_settings.SESSION_COOKIE_NAME
        cookie = signed_in(staff.user).cookies[name].value
        page.context.add_cookies([{"name": name, "value": cookie, "url": live_server.url}])
        return page

    with ExitStack() as stack:
        yield take


def test_a_leavers_customers_are_handed_over_on_a_phone(shop: Corp, seat: Callable[..., Page]) -> None:
    desk = seat(shop.shop.hire("ops", role="hq_ops"), "hq_ops", DESK)
    phone = seat(shop.staff(CHEN), "store_manager", PHONE)
    li, who = shop.staff(LI), shop.server.control

    # Headquarters lets Li go.
    desk.goto(f"/admin/retail/staff/{li.pk}/change/")
    press(desk, "办理离职", then="办理离职", 原因="回老家了")
    expect(desk.get_by_text("4 位顾客，0 位已经接好")).to_be_visible()
    shop.work()

    # The manager splits, sees what it comes to, and starts.
    handover = Handover.objects.get()
    phone.goto(f"/admin/clerks/handover/{handover.pk}/plan/?way=all")
    assert_fits(phone)
    phone.get_by_label("员工clerk_wang").check()
    phone.get_by_label("给顾客的话").fill("您好，以后由我为您服务。")
    phone.get_by_role("button", name="看看怎么分").click()
    expect(phone.get_by_role("row", name="员工clerk_wang")).to_contain_text("4")
    assert_fits(phone)
    phone.get_by_role("button", name="开始").click()
    expect(phone.get_by_text("正在转").first).to_be_visible()
    shop.work()

    # One customer refuses, the day goes by, and Wang's account takes no more than two.
    customers = shop.server.simulator.world.corps[shop.app.corp_id].customers
    refusing = next(pk for pk, one in customers.items() if one.name == NAMES[0])
    shop.act("refuse", external_userid=refusing)
    who.advance(DAY + 60)
    shop.happen()
    running.enqueue_due(now=timezone.now() + timedelta(hours=25))
    shop.work()
    phone.goto(f"/admin/clerks/handover/{handover.pk}/change/")
    expect(phone.get_by_text("还有 2 位要您处理")).to_be_visible()
    assert_fits(phone)

    # Both go to Zhou, on the same page.
    for name in (NAMES[0], NAMES[3]):
        phone.get_by_label(name).check()
    phone.get_by_label("换谁接").select_option(label=f"{shop.staff(ZHOU).name} · 导购")
    phone.get_by_role("button", name="重新办理选中的").click()
    expect(phone.get_by_text("2 位顾客重新办理。")).to_be_visible()
    shop.work()
    who.advance(DAY + 60)
    shop.happen()

    phone.goto(f"/admin/clerks/handover/{handover.pk}/change/")
    expect(phone.get_by_role("heading", name="已办完")).to_be_visible()
    expect(phone.get_by_text("4 位顾客，4 位已经接好")).to_be_visible()
    assert_fits(phone)
    held = Binding.objects.active().values_list("staff__accounts__userid", flat=True)
    assert sorted(held) == [WANG, WANG, ZHOU, ZHOU]
