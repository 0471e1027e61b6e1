"""The rule page in a real browser: sentence and split follow what is typed; only what is needed is asked for."""

import os

import pytest
from playwright.sync_api import Page, expect

from commissions.models import Plan, PlanVersion
from retail import scope
from retail.desk import roles
from tests import factories
from tests.e2e.conftest import assert_fits
from tests.e2e.test_policy import sign_in


@pytest.fixture
def draft(live_server, settings):
    settings.DEMO = True
    with scope.within(scope.EVERYTHING):
        shop = factories.world()
        staff = shop.hire("H1", role="hq_ops")
        staff.user = factories.user()
        staff.save()
        roles.grant(user=staff.user, role="hq_ops")
        version = PlanVersion.objects.create(plan=Plan.objects.create(brand=shop.brand, name="方案"), number=1)
        rule = {"id": "pos", "name": "门店零售", "calc": {"type": "rate", "ppm": 25000}, "when": {"channel": ["pos"]},
                "split": [{"role": "serve", "weight": 7}, {"role": "manager", "weight": 3}]}  # fmt: skip
        version.first = factories.add_rule(version, rule)
    version.shop = shop
    return version


def picture(page: Page, name: str) -> None:
    """For whoever wants to look: DAOGOU_PICTURES names a folder."""
    if folder := os.environ.get("DAOGOU_PICTURES"):
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)


def test_the_sentence_and_the_split_follow_what_is_typed(desk: Page, draft, faults: list[str]):
    sign_in(desk, draft, "H1")
    desk.goto(f"/admin/commissions/rule/{draft.first.pk}/change/")
    meaning = desk.locator("[data-address]")
    expect(meaning).to_contain_text("凡渠道是门店 POS：给实付 × 2.5%；开单 70%、店长 30%")
    expect(desk.locator("#id_calc_fen")).to_be_hidden()

    desk.get_by_label("小程序").check()
    desk.locator("#id_calc_type").select_option("rate_plus")
    desk.locator("#id_calc_fen").fill("1.5")
    desk.locator("#id_shares-1-ppm").fill("40")
    expect(meaning).to_contain_text("凡渠道是门店 POS、小程序：给实付 × 2.5% + 每件 ¥1.50")
    expect(meaning).to_contain_text("合计 110%，超出 10%，不能保存")
    desk.locator("#id_shares-1-ppm").fill("10")
    expect(meaning).to_contain_text("公司 20%")

    # A store is found by its name, and the sentence names it.
    desk.locator(".field-store .select2-selection").click()
    desk.locator(".select2-search__field:focus").type(draft.shop.store.name)
    desk.locator(".select2-results__option", has_text=draft.shop.store.code).first.click()
    expect(meaning).to_contain_text(f"门店是{draft.shop.store.name}")
    assert_fits(desk)
    picture(desk, "rule-1280")
    desk.set_viewport_size({"width": 360, "height": 780})
    assert_fits(desk)
    picture(desk, "rule-360")
