"""A segment in a real browser: who it is shows while it is written, also when the last proof of who writes is old."""

import pytest
from django.contrib.sessions.backends.db import SessionStore
from playwright.sync_api import Page, expect

from members.models import Segment
from retail import gate, scope, shapes
from retail.desk import roles
from tests import factories
from tests.e2e.conftest import assert_fits
from tests.e2e.test_policy import sign_in


@pytest.fixture
def shop(live_server, settings):
    settings.DEMO = True  # which shows the code of the second factor
    with scope.within(scope.EVERYTHING):
        shop = factories.world()
        staff = shop.hire("H1", role="hq_ops")
        staff.user = factories.user()
        staff.save()
        roles.grant(user=staff.user, role="hq_ops")
        for n in range(3):
            buyer = (shapes.Buyer("phone", f"1540000000{n}"),)
            shop.settle(*(shop.order(buyer=buyer) for _ in range(n + 1)))
        return shop


def forget_proof(page: Page) -> None:
    """Ten minutes later."""
    (key,) = [one["value"] for one in page.context.cookies() if one["name"] == "sessionid"]
    session = SessionStore(session_key=key)
    session[gate.PROVED_AT] = 0
    session.save()


def test_a_segment_written_for_long_is_counted_all_the_while_and_kept(shop, desk: Page, faults: list[str]):
    sign_in(desk, shop, "H1")
    desk.goto("/admin/members/segment/add/")
    desk.get_by_label("名称").fill("常来的")
    desk.locator(".segment-add").select_option("orders")
    desk.get_by_label("次数", exact=True).fill("2")
    count = desk.locator(".segment-count")
    expect(count).to_contain_text("2 人")

    forget_proof(desk)
    desk.get_by_label("次数", exact=True).fill("3")
    expect(count).to_contain_text("1 人")
    desk.get_by_role("button", name="保存", exact=True).click()
    expect(desk.get_by_text("请再确认一次是您").first).to_be_visible()
    assert_fits(desk)
    desk.locator("[name=again_code]").fill(desk.locator(".entrance-demo .figure").inner_text())
    desk.get_by_role("button", name="确认").click()
    expect(desk.get_by_text("常来的").first).to_be_visible()
    with scope.within(scope.EVERYTHING):
        segment = Segment.objects.get()
    (condition,) = segment.condition["of"]
    assert (segment.name, condition["kind"], condition["count"]) == ("常来的", "orders", 3)
