"""Dialogs of the admin in a real browser: pressed twice, they do it once; wrong, they can be sent again."""

import pytest
from playwright.sync_api import Page, expect

from members.models import Membership, Tier, TierMove
from retail import scope, shapes
from retail.desk import roles
from tests import factories
from tests.e2e.test_policy import sign_in


@pytest.fixture
def shop(live_server, settings):
    settings.DEMO = True
    with scope.within(scope.EVERYTHING):
        shop = factories.world()
        staff = shop.hire("H1", role="hq_ops")
        staff.user = factories.user()
        staff.save()
        roles.grant(user=staff.user, role="hq_ops")
        Tier.objects.create(brand=shop.brand, code="gold", name="金卡", rank=1)
        shop.settle(shop.order(buyer=(shapes.Buyer("phone", "15400000001"),)))
        shop.membership = Membership.objects.get()
        return shop


def test_a_dialog_that_is_pressed_twice_acts_once(shop, desk: Page):
    sign_in(desk, shop, "H1")
    desk.goto(f"/admin/members/membership/{shop.membership.pk}/change/")
    desk.get_by_text("人工定级").first.click()
    dialog = desk.locator("#dialog")
    dialog.get_by_role("button", name="定级").click()
    expect(dialog.locator("[name=reason]")).to_be_visible()
    expect(dialog).to_contain_text("必")  # what is missing is said, and it may be sent again

    dialog.locator("[name=tier]").select_option(label="金卡")
    dialog.locator("[name=reason]").fill("老板的朋友")
    dialog.get_by_role("button", name="定级").dblclick()
    expect(desk.get_by_text("金卡").first).to_be_visible()
    desk.wait_for_load_state("networkidle")
    with scope.within(scope.EVERYTHING):
        assert TierMove.objects.count() == 1
