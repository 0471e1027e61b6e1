"""A month of the demo, as its people live it: a clerk doubts a sale, finance closes and pays, the manager corrects."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, timedelta

import pytest
from django.conf import settings
from django.db.models import Sum
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect

from commissions import disputes
from commissions.models import Dispute, Entry, PayoutBatch, Period, Statement
from retail import scope
from retail.demo import logins
from retail.demo import world as demo
from retail.models import Post, Staff, User
from retail.templatetags.figures import yuan
from tests import clones
from tests.e2e.conftest import DESK, PHONE, assert_fits, opened
from tests.figures import figure
from tests.logins import logged_in
from tests.signing_in import signed_in

SECOND = logins.ADMIN  # the demo has one person of finance


def month_before(day: date) -> date:
    return (day.replace(day=1) - timedelta(days=1)).replace(day=1)


@dataclass(frozen=True)
class Month:
    """The month that the demo leaves open, a sale in it of some clerk, and the manager of the region."""

    period: Period
    clerk: Staff
    manager: Staff
    sale: Entry


@pytest.fixture
def month(live_server) -> Iterator[Month]:
    with scope.within(scope.EVERYTHING):
        with logged_in(clones.administrator()):  # it drops and makes constraints
            demo.load(progress=lambda *_: None, now=timezone.now(), size=demo.scaled(0.01))
        yield chosen()


def chosen() -> Month:
    """A sale that nobody doubts or sent back. The store's manager has a part in all: the region's has to answer.

    The demo is another on every day; this small one has some fifty such sales, and nothing more is asked of them.
    """
    managers = {one.region_id: one.staff for one in Post.objects.filter(role=Post.Role.REGION_MANAGER, ends_at=None)}
    starts_on = month_before(timezone.localdate())
    earned = Entry.objects.of_staff().filter(kind=Entry.Kind.EARN, period_booked__starts_on=starts_on, fen__gt=500)
    for sale in earned.filter(role="serve").select_related("staff__user", "store").order_by("-paid_at", "pk"):
        manager = managers.get(sale.store.region_id)
        of_order = Entry.objects.filter(order=sale.order_id)
        if manager is None or of_order.exclude(kind=Entry.Kind.EARN).exists():
            continue
        doubt = Dispute(staff=sale.staff, order_id=sale.order_id)
        if manager.pk in disputes.parties(dispute=doubt) or Dispute.objects.filter(order=sale.order_id).exists():
            continue
        return Month(sale.period_booked, sale.staff, manager, sale)
    raise AssertionError("the demo has no such sale in its last month")


@pytest.fixture
def seat(browser: Browser, live_server, faults: list[str], month: Month) -> Iterator[Callable[[User], Page]]:
    """seat(user): a page in front of which that person of the demo sits, signed in."""
    with ExitStack() as open_pages:

        def take(account: User) -> Page:
            options = PHONE if account == month.clerk.user else DESK
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


def test_a_month_of_the_demo_is_doubted_closed_paid_and_corrected(seat, month):
    clerk, manager = seat(month.clerk.user), seat(month.manager.user)
    finance, second = (seat(User.objects.get(username=one.username)) for one in (logins.HQ_FINANCE, SECOND))
    page = f"/admin/commissions/period/{month.period.pk}/change/"

    # The clerk does not agree with one line of a sale: it is held back, and nothing else.
    clerk.goto(f"/m/earnings/{month.sale.order_id}/")
    clerk.get_by_text("有疑问").first.click()
    clerk.get_by_label("哪里不对").first.fill("还有一双袜子没算进来")
    clerk.get_by_role("button", name="提交疑问").first.click()
    expect(clerk.get_by_text("等答复")).to_be_visible()
    assert_fits(clerk)

    # Finance closes the month and pays what nobody doubts; two of them.
    finance.goto(page)
    expect(finance.get_by_text("都齐了，可以结算。")).to_be_visible()
    press(finance, "结算这一期", then="结算")
    expect(finance.get_by_text("已经结算。")).to_be_visible()
    press(finance, "生成发放批次", then="生成")
    expect(finance.get_by_text(re.compile(r"已生成 \d+ 个发放批次"))).to_be_visible()
    statement = Statement.objects.get(period=month.period, staff=month.clerk)
    booked = Entry.objects.filter(staff=month.clerk, period_booked=month.period)
    assert statement.net_fen == booked.aggregate(fen=Sum("fen"))["fen"]
    clerk.goto(f"/m/statements/{statement.pk}/")
    doubted = booked.filter(line=Dispute.objects.get(order=month.sale.order_id).line)
    held = doubted.aggregate(fen=Sum("fen"))["fen"]
    expect(clerk.get_by_text(f"其中 ¥{yuan(held)} 先不发")).to_be_visible()
    expect(clerk.get_by_text(yuan(statement.net_fen)).first).to_be_visible()
    pay(second, statement, reference="凭证 1")

    # The manager reads who was behind the sale, and proposes; finance agrees. The rest is paid.
    manager.goto(f"/admin/commissions/dispute/{Dispute.objects.get(order=month.sale.order_id).pk}/change/")
    expect(manager.get_by_text("还有一双袜子没算进来").first).to_be_visible()
    press(manager, "提出调整", then="提交复核", 补多少="2.50", 原因="漏了一双袜子")
    finance.goto("/admin/retail/approval/?state__exact=waiting")
    finance.locator("#result_list tbody tr", has_text="2.50").get_by_role("link").first.click()
    press(finance, "同意", then="同意")
    expect(finance.get_by_text("已同意").first).to_be_visible()
    finance.goto(page)
    press(finance, "生成发放批次", then="生成")
    pay(second, statement, reference="凭证 2")

    # On the phone: paid, the answer beside the sale, and what was added counts this month.
    clerk.goto(f"/m/statements/{statement.pk}/")
    expect(clerk.get_by_text("已发").first).to_be_visible()
    clerk.goto(f"/m/earnings/{month.sale.order_id}/")
    expect(clerk.get_by_text("漏了一双袜子").last).to_be_visible()
    expect(clerk.get_by_text("+2.50").first).to_be_visible()
    added = Entry.objects.get(kind=Entry.Kind.ADJUST, staff=month.clerk)
    assert (added.fen, added.period_booked.status) == (250, "open")
    figure(
        "G8",
        "a month of the demo in the browser: doubted, closed, paid in two parts by two persons, corrected by ¥2.50",
    )


def pay(page: Page, statement: Statement, *, reference: str) -> None:
    """The second person confirms the batch in which that statement is; its page names the sum of its rows."""
    batch = PayoutBatch.objects.get(state="ready", payouts__statement=statement)
    page.goto(f"/admin/commissions/payoutbatch/{batch.pk}/change/")
    expect(page.get_by_text(yuan(batch.payouts.aggregate(fen=Sum("fen"))["fen"])).first).to_be_visible()
    press(page, "确认已发放", then="已经发放", 付款凭证号=reference)
    expect(page.get_by_text("已发放").first).to_be_visible()
