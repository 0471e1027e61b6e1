"""Sales nobody claimed: their share, why, and the list; each for the reader's own stores."""

from datetime import timedelta

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from retail import scope, shapes
from retail.desk import unattributed
from tests.factories import NOW, world

PAGE = "/admin/retail/order/unattributed/"


@pytest.fixture(autouse=True)
def clock():
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def shop(db):
    with scope.within(scope.EVERYTHING):
        made = world()
        for code in ("A1", "A2"):
            made.hire(code)
        made.hire("M1", role="store_manager")
        rule = {"id": "base", "calc": {"type": "rate", "ppm": 10_000}, "split": [{"role": "serve", "weight": 1}]}
        made.plan(rule)
        yield made


def sold(shop, **fields):
    kept = {name: fields.pop(name) for name in ("channel",) if name in fields}
    shop.settle(shop.order(**kept, **fields), **kept)


def found(**asked):
    first = unattributed.since(days=30, today=NOW.date())
    return [one.reason for one in unattributed.loose(first=first, **asked)]


def everything_that_happens(shop):
    shop.hire("G1").posts.update(ends_at=NOW - timedelta(days=5))
    tmall = shop.channel("tmall")
    sold(shop, serving_clerk="A1")
    sold(shop, lines=[{"serving_clerk": "A1"}])
    sold(shop)
    sold(shop, serving_clerk="typo")
    sold(shop, serving_clerk="G1")
    sold(shop, channel=tmall, share_code="nobody")
    sold(shop, channel=tmall)
    sold(shop, channel=tmall, buyer=(shapes.Buyer("phone", "13800000001"),))
    return tmall


def test_every_order_nobody_claimed_has_its_reason(shop):
    tmall = everything_that_happens(shop)

    names = unattributed.REASONS
    wanted = ["no_relation", "buyer_unknown", "unknown_share", "no_post", "unknown_code", "no_code"]
    assert found() == [str(names[reason]) for reason in wanted]
    assert found(channel=tmall.pk, reason="buyer_unknown") == [str(names["buyer_unknown"])]
    assert found(store=0) == [str(names[reason]) for reason in wanted[:3]]

    report = unattributed.report(first=unattributed.since(days=30, today=NOW.date()))
    assert report.whole == (8, 80_000, 6, 60_000)
    assert (report.whole.of_fen, report.whole.of_orders) == ("75%", "75%")
    assert {row.name: row.share.loose for row in report.channels} == {"门店": 3, "tmall": 3}
    assert sum(row.share.loose for row in report.stores) == 6
    assert [row.share for row in report.days] == [report.whole]
    assert {row.share.of_fen for row in report.reasons} == {"12.5%"}
    assert unattributed.share(first=NOW - timedelta(days=1)) == report.whole


def test_claims_count_as_they_were_last_corrected(shop):
    sold(shop, outer_order_id="X", serving_clerk="A1")
    assert found() == []
    sold(shop, outer_order_id="X", serving_clerk="typo")
    assert found() == [str(unattributed.REASONS["unknown_code"])]


def test_rung_up_by_one_and_sold_by_another(shop):
    sold(shop, serving_clerk="A1", lines=[{"serving_clerk": "A1"}, {"serving_clerk": "A2", "paid_fen": 700}])
    sold(shop, lines=[{"serving_clerk": "A2"}])

    sums, lines = unattributed.crossed(first=NOW - timedelta(days=1))
    assert sums == (1, 700)
    assert [(line.cashier, line.seller) for line in lines] == [("员工A1", "员工A2")]


def test_the_pages_show_it_and_the_dashboard_leads_there(shop, sign_in):
    everything_that_happens(shop)
    sold(shop, serving_clerk="A1", lines=[{"serving_clerk": "A2"}])
    finance = sign_in(shop, "hq_finance")

    assert f'href="{PAGE}"' in finance.get("/admin/").content.decode()
    page = finance.get(PAGE, days="7", reason="unknown_code").content.decode()
    assert "66.6%" in page and "录的工号没有这个人" in page and "typo" in page
    assert "员工A1" in finance.get(PAGE, view="crossed").content.decode()
    for wrong in ({"days": "8"}, {"days": "x"}, {"reason": "weather"}, {"from": "-1"}):
        assert finance.get(PAGE, **wrong).status_code == 404


@pytest.mark.parametrize("count", [1, 4])
def test_the_number_of_statements_does_not_grow(shop, sign_in, count):
    for _ in range(count):
        sold(shop)
    auditor = sign_in(shop, "auditor")
    auditor.get(PAGE)
    with CaptureQueriesContext(connection) as queries:
        assert auditor.get(PAGE).status_code == 200
    assert len([one for one in queries if "retail_order" in one["sql"]]) == 3


def test_a_manager_sees_the_sales_of_their_own_store(shop, sign_in):
    sold(shop)
    elsewhere = shop.another_store()
    sold(shop, store_code=elsewhere.code, outer_order_id="ELSEWHERE-1")
    page = sign_in(shop, "store_manager", store=elsewhere).get(PAGE).content.decode()

    assert "ELSEWHERE-1" in page and page.count("收银没有录导购工号") == 2
