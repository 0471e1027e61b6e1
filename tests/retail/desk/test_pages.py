"""What the admin's pages say, and how many statements they take to say it."""

from datetime import timedelta

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from commissions.models import Entry
from retail import jobs, scope
from retail.api import tokens
from retail.desk import dashboard
from retail.models import ApiToken, Job, Order, OrderLine, Refund
from tests.factories import NOW

RULE = {"id": "r", "name": "基础佣金", "calc": {"type": "rate", "ppm": 30000},
        "split": [{"role": "serve", "weight": 9}, {"role": "manager", "weight": 1}]}  # fmt: skip
LOSER = {"id": "low", "name": "新客加倍", "when": {"member": "new"}, "calc": {"type": "rate", "ppm": 60000},
         "split": [{"role": "serve", "weight": 1}]}  # fmt: skip


@pytest.fixture
def clerk(shop):
    with scope.within(scope.EVERYTHING):
        shop.plan(RULE, LOSER)
    return next(iter(shop.staff))


def sell(shop, clerk, count=1, lines=1, **fields):
    with scope.within(scope.EVERYTHING):
        rows = [shop.order(serving_clerk=clerk, lines=[{}] * lines, **fields) for _ in range(count)]
        shop.settle(*rows)
    return rows


def statements(person, path, **query):
    with CaptureQueriesContext(connection) as captured:
        assert person.get(path, **query).status_code == 200
    return len(captured)


@pytest.mark.parametrize("page", ["/admin/retail/order/", "/admin/commissions/entry/"])
def test_a_list_takes_as_many_statements_for_three_rows_as_for_one(shop, clerk, sign_in, page):
    manager = sign_in(shop, "store_manager")
    sell(shop, clerk)
    manager.get(page)
    one = statements(manager, page)

    sell(shop, clerk, count=2)

    assert statements(manager, page) == one


def test_an_order_page_takes_as_many_statements_for_three_lines_as_for_one(shop, clerk, sign_in):
    auditor = sign_in(shop, "auditor")
    sell(shop, clerk)
    sell(shop, clerk, lines=3)
    with scope.within(scope.EVERYTHING):
        one, three = (f"/admin/retail/order/{order.pk}/change/" for order in Order.objects.order_by("pk"))
    auditor.get(one)

    assert statements(auditor, three) == statements(auditor, one)


def test_the_why_page_tells_winner_loser_and_entries(shop, clerk, sign_in):
    manager = sign_in(shop, "store_manager")
    (row,) = sell(shop, clerk)
    with scope.within(scope.EVERYTHING):
        shop.refund(row, fen=5000)
        line = OrderLine.objects.get()

    page = manager.get(f"/admin/retail/orderline/{line.pk}/why/").content.decode()

    told = ("基础佣金", "实付的 3%", "订单上写的是这位导购", "¥2.70", "退款冲回", "-¥1.35", "新客加倍", "规则只给新客")
    assert [words for words in told if words not in page] == []


def test_the_why_page_names_nobody_of_another_store(shop, clerk, sign_in):
    manager = sign_in(shop, "store_manager")
    with scope.within(scope.EVERYTHING):
        helper = shop.hire("HELPER", store=shop.another_store())
    sell(shop, helper.code)
    with scope.within(scope.EVERYTHING):
        line = OrderLine.objects.get()

    page = manager.get(f"/admin/retail/orderline/{line.pk}/why/").content.decode()

    assert helper.name not in page
    assert "其他门店的同事" in page


def test_the_why_page_hides_a_region_manager_in_both_tables_but_not_from_themselves(shop, sign_in):
    manager = sign_in(shop, "store_manager")
    over = sign_in(shop, "region_manager", region=shop.region)
    with scope.within(scope.EVERYTHING):
        shop.plan({**RULE, "split": [{"role": "region", "weight": 1}]})
        (order_id,) = shop.settle(shop.order())
        page = f"/admin/retail/orderline/{OrderLine.objects.get(order=order_id).pk}/why/"
    seen, own = manager.get(page).content.decode(), over.get(page).content.decode()

    assert over.staff.name not in seen
    assert "其他门店的同事<small>" in seen and "其他门店的同事</a>" in seen
    assert "付款时管这个区域" in seen
    assert f"{over.staff}<small>" in own and f"{over.staff}</a>" in own
    for listed in (f"retail/order/{order_id}/change/", "commissions/entry/", "commissions/claimrow/"):
        told = manager.get(f"/admin/{listed}").content.decode()
        assert "其他门店的同事" in told and over.staff.name not in told


def test_a_manager_can_explain_what_the_store_got_from_an_order_of_no_store(shop, clerk, sign_in):
    manager = sign_in(shop, "store_manager")
    with scope.within(scope.EVERYTHING):
        online = shop.channel("mini_program")
        shop.settle(shop.order(channel=online, serving_clerk=clerk), channel=online)
        line = OrderLine.objects.get()

    page = manager.get(f"/admin/retail/orderline/{line.pk}/why/")

    assert page.status_code == 200
    assert f"/admin/retail/order/{line.order_id}/" not in page.content.decode()
    assert f"/admin/retail/order/{line.order_id}/" not in manager.get("/admin/commissions/entry/").content.decode()
    assert manager.get(f"/admin/retail/order/{line.order_id}/change/").status_code == 404


def test_an_order_never_settled_says_so(shop, clerk, sign_in):
    manager = sign_in(shop, "store_manager")
    with scope.within(scope.EVERYTHING):
        shop.take(shop.order())
        line = OrderLine.objects.get()

    assert "这笔订单还没有结算" in manager.get(f"/admin/retail/orderline/{line.pk}/why/").content.decode()


# ── The first page ───────────────────────────────────────────────────────────────────────────────────────────────────
def test_the_dashboard_adds_up_what_was_sold_less_what_came_back(shop, clerk, sign_in):
    manager = sign_in(shop, "store_manager")
    first, second, third = sell(shop, clerk, count=3)
    sell(shop, clerk, paid_at=NOW - timedelta(days=3))
    with scope.within(scope.EVERYTHING):
        shop.refund(first, fen=2500)
        shop.refund(second, cumulative_fen=3000)
        shop.refund(second, fen=1000, now=NOW + timedelta(minutes=1))
        shop.refund(third, qty=1)

    with time_machine.travel(NOW, tick=False):
        page = manager.get("/admin/").context

    assert page["today"].net_fen == 7500 + 6000
    assert (page["month"].net_fen, page["month"].orders) == (7500 + 6000 + 10000, 4)
    with scope.within(scope.EVERYTHING):
        assert page["month"].commission_fen == sum(e.fen for e in Entry.objects.of_staff())
    assert page["unclaimed_share"] == "0%"
    assert "dead_jobs" not in page or page["dead_jobs"] is None


def test_the_dashboard_keeps_to_the_scope(shop, clerk, sign_in):
    with scope.within(scope.EVERYTHING):
        other = shop.another_store()
        manager = sign_in(shop, "store_manager", store=other)
    sell(shop, clerk)

    with time_machine.travel(NOW, tick=False):
        assert manager.get("/admin/").context["month"].net_fen == 0


def test_the_rate_of_a_store_is_of_its_own_orders(shop, clerk, sign_in):
    manager, auditor = sign_in(shop, "store_manager"), sign_in(shop, "auditor")
    sell(shop, clerk)
    with scope.within(scope.EVERYTHING):
        online = shop.channel("mini_program")
        shop.settle(shop.order(channel=online, serving_clerk=clerk), channel=online)

    with time_machine.travel(NOW, tick=False):
        seen, whole = manager.get("/admin/").context, auditor.get("/admin/").context

    assert (seen["month"].net_fen, seen["month"].commission_fen, seen["month"].share) == (10000, 600, "3%")
    assert [(row.channel, row.month.share) for row in seen["rows"]] == [(shop.pos, "3%"), (online, "–")]
    assert {row.month.share for row in whole["rows"]} == {"3%"}


def test_the_chart_has_a_gap_where_nothing_is_settled_yet(shop, clerk, sign_in):
    manager = sign_in(shop, "store_manager")
    sell(shop, clerk)
    with scope.within(scope.EVERYTHING):
        shop.take(shop.order(paid_at=NOW - timedelta(days=1)))

    with time_machine.travel(NOW, tick=False):
        page = manager.get("/admin/")

    assert page.context["chart"]["commission"][-3:] == [0, None, 3]
    assert "佣金线断开的日子" in page.content.decode()


def test_sales_without_a_clerk_are_counted_as_unclaimed(shop, clerk, sign_in):
    manager = sign_in(shop, "store_manager")
    sell(shop, clerk, count=3)
    sell(shop, "nobody")

    with time_machine.travel(NOW, tick=False):
        page = manager.get("/admin/").context

    assert (page["unclaimed_fen"], page["unclaimed_share"]) == (10000, "25%")


def test_the_links_of_the_dashboard_open_the_list_they_speak_of(shop, clerk, sign_in):
    manager = sign_in(shop, "store_manager")
    sell(shop, clerk)
    sell(shop, clerk, paid_at=NOW - timedelta(days=2))
    with time_machine.travel(NOW, tick=False):
        query = dashboard._query(NOW.date(), NOW.date())

        assert manager.client.get(f"/admin/retail/order/?{query}").context["cl"].result_count == 1


# ── Machinery ────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_failed_job_is_run_again(shop, sign_in):
    ops, auditor = sign_in(shop, "hq_ops"), sign_in(shop, "auditor")
    with scope.within(scope.EVERYTHING):
        jobs.enqueue(work=[jobs.Work("settle_order", {"order_id": 7})], now=NOW)
        Job.objects.update(state="dead", attempts=8, last_error="Traceback\nValueError: 坏了")
    pk = Job.objects.get().pk
    wish = {"action": "replay", "_selected_action": pk}

    page = ops.get("/admin/retail/job/").content.decode()
    auditor.post("/admin/retail/job/", **wish)
    assert Job.objects.get().state == "dead"
    ops.post("/admin/retail/job/", **wish)

    assert "ValueError: 坏了" in page
    assert (Job.objects.get().state, Job.objects.get().attempts) == ("due", 0)


def test_parked_refunds_can_be_picked_out(shop, clerk, sign_in):
    auditor = sign_in(shop, "auditor")
    (row,) = sell(shop, clerk)
    with scope.within(scope.EVERYTHING):
        shop.refund(row, fen=100)
        shop.refund(shop.order(), fen=100)
        parked = Refund.objects.get(order=None)

    listed = auditor.get("/admin/retail/refund/", parked="yes").context["cl"].queryset

    assert list(listed) == [parked]


def test_the_secret_of_a_token_is_shown_once(shop, sign_in):
    ops = sign_in(shop, "hq_ops")

    ops.post("/admin/retail/apitoken/add/", name="收银系统", channel=shop.pos.pk)
    page = ops.get("/admin/retail/apitoken/").content.decode()
    token = ApiToken.objects.get()
    again = ops.get(f"/admin/retail/apitoken/{token.pk}/change/").content.decode()

    secret = page.partition("<code>")[2].partition("</code>")[0]
    assert tokens._digest(secret) == token.digest
    assert secret not in again and token.digest not in page + again
