"""A month, as those live it who work with it: a clerk doubts a sale, finance closes and pays, the manager corrects."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import date, datetime, time, timedelta

import pytest
from django.conf import settings
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect

from commissions.models import Entry, Period, Statement
from commissions.models.ledger import SHANGHAI
from retail import scope
from retail.desk import roles
from retail.models import Post, User
from tests.e2e.conftest import DESK, PHONE, assert_fits, opened
from tests.factories import World, world
from tests.figures import figure
from tests.signing_in import signed_in

RULE = {"id": "tenth", "name": "开单一成", "calc": {"type": "rate", "ppm": 100_000},
        "split": [{"role": "serve", "weight": 1}]}  # fmt: skip


def month_before(day: date) -> date:
    return (day.replace(day=1) - timedelta(days=1)).replace(day=1)


@pytest.fixture
def shop(live_server) -> Iterator[World]:
    """A store with two sales in the month before this one, past the time in which they can be sent back."""
    with scope.within(scope.EVERYTHING):
        made, first = world(), month_before(timezone.localdate())
        made.hire("xiaomei")
        made.plan(RULE)
        for day, paid_fen in ((2, 29900), (3, 50000)):
            paid_at = datetime.combine(first.replace(day=day), time(15), SHANGHAI)
            made.settle(made.order(serving_clerk="xiaomei", paid_at=paid_at, lines=[{"paid_fen": paid_fen}]))
        yield made


@pytest.fixture
def seat(browser: Browser, live_server, faults: list[str], shop: World) -> Iterator[Callable[[str, str], Page]]:
    """seat("finance", role): a page in front of which that person of that role sits, signed in."""
    with ExitStack() as open_pages:

        def take(code: str, role: str) -> Page:
            staff = shop.staff.get(code) or shop.hire(code, role=role)
            account = User.objects.create(username=code)
            staff.user = account
            staff.save()
            roles.grant(user=account, role=role)
            options = PHONE if role == Post.Role.CLERK else DESK
            page = open_pages.enter_context(opened(browser, url=live_server.url, faults=faults, options=options))
            cookie = signed_in(account).cookies[settings.SESSION_COOKIE_NAME].value
            page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": live_server.url}])
            return page

        yield take


def press(page: Page, button: str, *, then: str, **given: str) -> None:
    """Choose what can be done with the row of the page, fill in what is asked, confirm, and see where that leads.

    A dialog that was accepted leads to a page. Whoever goes elsewhere before that might take the question back.
    """
    named = re.compile(f"{button}$")  # 同意, and not 同意记录 of the menu
    page.get_by_role("link", name=named).or_(page.get_by_role("button", name=named)).first.click()
    dialog = page.locator("#dialog")
    for label, text in given.items():
        dialog.get_by_label(label).fill(text)
    with page.expect_navigation():
        dialog.locator("[type=submit]", has_text=then).click()


def test_a_month_is_doubted_closed_paid_and_corrected(seat, shop):
    clerk, manager = seat("xiaomei", Post.Role.CLERK), seat("dianzhang", Post.Role.STORE_MANAGER)
    finance, second = seat("caiwu", Post.Role.HQ_FINANCE), seat("chuna", Post.Role.HQ_FINANCE)
    period = Period.objects.get(starts_on=month_before(timezone.localdate()))

    # The clerk does not agree with one of two sales.
    clerk.goto("/m/")
    clerk.locator(".sale", has_text="29.90").first.click()
    clerk.get_by_text("有疑问").first.click()
    clerk.get_by_label("哪里不对").fill("还有一双袜子没算进来")
    clerk.get_by_role("button", name="提交疑问").click()
    expect(clerk.get_by_text("等答复")).to_be_visible()
    assert_fits(clerk)

    # Finance closes the month and pays what nobody doubts; two of them.
    page = f"/admin/commissions/period/{period.pk}/change/"
    finance.goto(page)
    expect(finance.get_by_text("都齐了，可以结算。")).to_be_visible()
    press(finance, "结算这一期", then="结算")
    expect(finance.get_by_text("已经结算。")).to_be_visible()
    press(finance, "生成发放批次", then="生成")
    expect(finance.get_by_text("已生成 1 个发放批次")).to_be_visible()
    pay(second, "50.00", reference="凭证 1")
    statement = Statement.objects.get()
    clerk.goto(f"/m/statements/{statement.pk}/")
    expect(clerk.get_by_text("其中 ¥29.90 先不发")).to_be_visible()

    # The manager reads who was behind the sale, and proposes; finance agrees. The rest is paid.
    manager.goto("/admin/commissions/dispute/")
    manager.get_by_role("link", name="xiaomei").first.click()
    expect(manager.get_by_text("还有一双袜子没算进来").first).to_be_visible()
    press(manager, "提出调整", then="提交复核", 补多少="2.50", 原因="漏了一双袜子")
    finance.goto("/admin/retail/approval/")
    finance.locator("#result_list tbody").get_by_role("link").first.click()
    press(finance, "同意", then="同意")
    expect(finance.get_by_text("已同意").first).to_be_visible()
    finance.goto(page)
    press(finance, "生成发放批次", then="生成")
    pay(second, "29.90", reference="凭证 2")

    # On the phone: paid, the answer beside the sale, and what was added counts this month.
    clerk.goto(f"/m/statements/{statement.pk}/")
    expect(clerk.get_by_text("已发").first).to_be_visible()
    clerk.goto(f"/m/earnings/{Entry.objects.get(fen=2990, kind=Entry.Kind.EARN).order_id}/")
    expect(clerk.get_by_text("漏了一双袜子").last).to_be_visible()
    expect(clerk.get_by_text("+2.50").first).to_be_visible()
    with scope.within(scope.EVERYTHING):
        added = Entry.objects.get(kind=Entry.Kind.ADJUST, staff__isnull=False)
        assert (added.fen, added.period_booked.status) == (250, "open")
    figure("G8", "a month in the browser: doubted, closed, paid in two parts by two persons, corrected by ¥2.50")


def pay(page: Page, sum: str, *, reference: str) -> None:
    """The second person confirms the batch of that sum."""
    page.goto("/admin/commissions/payoutbatch/?state__exact=ready")
    page.locator("#result_list tbody tr", has_text=sum).get_by_role("link").first.click()
    press(page, "确认已发放", then="已经发放", 付款凭证号=reference)
    expect(page.get_by_text("已发放").first).to_be_visible()
