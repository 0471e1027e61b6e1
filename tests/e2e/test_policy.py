"""The content security policy in a real browser: no page breaks it, and it stops what it should."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from playwright.sync_api import Page

from retail import audit, privacy, scope, shapes
from retail.desk import roles
from retail.models import Order, Staff
from tests import factories
from tests.figures import figure
from tests.signing_in import confirm

PHONE_PAGES = [
    "/",
    "/m/sign-in/",
    "/m/",
    "/m/customers/",
    "/m/sidebar/",
    "/m/earnings/",
    "/m/me/",
    "/m/earnings/999999999/",
    "/no-such-page/",
]
DESK_PAGES = [
    *("/admin/", "/admin/retail/order/", "/admin/retail/store/", "/admin/retail/auditrow/", "/admin/retail/job/"),
    *("/admin/commissions/entry/", "/admin/commissions/rule/", "/admin/members/member/", "/admin/retail/user/"),
    *("/admin/retail/exportfile/", "/admin/retail/approval/"),
    *("/admin/retail/staff/add/", "/admin/retail/product/add/", "/admin/commissions/rule/add/"),
    "/admin/password_change/",
]


@pytest.fixture
def town(live_server, settings):
    settings.DEMO = True
    now = timezone.now()
    with scope.within(scope.EVERYTHING):
        shop = factories.world()
        for code, role in (("A1", "clerk"), ("H1", "hq_ops"), ("U1", "auditor")):
            staff = shop.hire(code, role=role)
            staff.user = factories.user(is_superuser=code == "U1")
            staff.save()
            roles.grant(user=staff.user, role=role)
        shop.plan({"id": "r", "name": "基础", "calc": {"type": "rate", "ppm": 30000},
                   "split": [{"role": "serve", "weight": 1}]})  # fmt: skip
        buyer = (shapes.Buyer(type="phone", value="13912345678"),)
        sales = [shop.order(serving_clerk="A1", paid_at=now - timedelta(days=day), buyer=buyer) for day in range(3)]
        shop.sold = shop.settle(*sales, now=now)
        known = privacy.normalised(privacy.Known("phone", "", "13912345678"))
        Staff.objects.filter(code="A1").update(phone_key=privacy.keep([known])[known])
        ops = Staff.objects.get(code="H1").user
        before, after = {"name": "旧店名", "is_open": "True"}, {"name": "新店名" * 30, "is_open": "False"}
        audit.record(by=ops, action="change", target=shop.store, now=now, before=before, after=after)
    return shop


def sign_in(page: Page, world, code: str) -> None:
    """With the cookie of a session of theirs, both factors proved."""
    client = Client()
    with scope.within(scope.EVERYTHING):
        client.force_login(Staff.objects.get(code=code).user)
        confirm(client)
    page.goto("/m/sign-in/")
    root = page.url.removesuffix("m/sign-in/")
    page.context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": root}])


def watched(page: Page, paths: list[str], faults: list[str]) -> int:
    """Open each, press what opens, and wait; only what the policy refused counts."""
    for path in paths:
        page.goto(path)
        page.wait_for_load_state("networkidle")
        assert "/login/" not in page.url and "/verify/" not in page.url, path
        if page.locator("summary:visible").count():
            page.locator("summary:visible").first.click()
        assert [fault for fault in faults if "404" not in fault] == [], path
    faults.clear()
    return len(paths)


def test_no_page_breaks_the_policy(town, phone: Page, desk: Page, faults: list[str]):
    sign_in(phone, town, "A1")
    looked = watched(phone, [*PHONE_PAGES, f"/m/earnings/{town.sold[0]}/"], faults)
    sign_in(desk, town, "H1")
    with scope.within(scope.EVERYTHING):
        order = Order.objects.get(pk=town.sold[0])
        line = order.lines.get()
        key = privacy.BuyerKey.objects.get()
    looked += watched(
        desk,
        [
            *DESK_PAGES,
            f"/admin/retail/order/{order.pk}/change/",
            f"/admin/retail/order/{order.pk}/unmask/{key.pk}/",
            f"/admin/retail/orderline/{line.pk}/why/",
            f"/admin/retail/store/{town.store.pk}/change/",
        ],
        faults,
    )
    figure("P25", f"{looked} pages in Chromium: 0 violations of the content security policy")


def test_the_policy_stops_an_inline_script(town, phone: Page, faults: list[str]):
    phone.goto("/")
    phone.evaluate(
        """() => { const script = document.createElement("script"); script.textContent = "window.bad = 1";
                   document.body.append(script); }"""
    )

    assert phone.evaluate("window.bad") is None
    assert any("Content Security Policy" in fault for fault in faults)
    faults.clear()
