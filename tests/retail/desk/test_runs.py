"""Trying a version and recomputing in the admin: who may, what the pages show, how often they ask, what is taken."""

from datetime import date, datetime

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from commissions import plans, runs
from commissions.models import Entry, Rule, Run, RunFigure
from retail import runs as working
from retail import scope
from tests.factories import LONG_AGO

NOVEMBER = datetime.fromisoformat("2026-11-03T09:00:00+08:00")
TENTH = {"id": "tenth", "calc": {"type": "rate", "ppm": 100_000}, "split": [{"role": "serve", "weight": 1}]}
DAYS = {"first": "2026-10-01", "last": "2026-10-31"}
PAGE = "/admin/commissions"


@pytest.fixture(autouse=True)
def november():
    with time_machine.travel(NOVEMBER, tick=False):
        yield


@pytest.fixture
def sold(shop):
    """Two sales of 100 yuan by two people at a tenth; a draft that gives an eighth."""
    with scope.within(scope.EVERYTHING):
        version = shop.plan(TENTH)
        (code,) = shop.staff
        shop.hire("=1+1")  # somebody's code is a formula to a spreadsheet
        shop.settle(shop.order(serving_clerk=code), shop.order(serving_clerk="=1+1"))
        draft = plans.copy(version=version, by=None, now=NOVEMBER)
        Rule.objects.filter(version=draft).update(calc={"type": "rate", "ppm": 125_000})
    return draft


def press(person, page, button, **given):
    return person.post(f"{PAGE}/{page}/{button}/", _form_submitted="True", **given)


def work(run: Run) -> None:
    with scope.within(scope.EVERYTHING):
        working.work(run_id=run.pk, now=NOVEMBER)
        run.refresh_from_db()


def test_a_draft_is_tried_and_its_page_says_what_it_would_cost(shop, sold, sign_in):
    ops = sign_in(shop, "hq_ops")
    answer = press(ops, f"planversion/{sold.pk}", "try_on", **DAYS)
    run = Run._base_manager.get()
    address = f"{PAGE}/run/{run.pk}/change/"
    assert answer.headers["HX-Redirect"] == address
    waiting = ops.get(address).content.decode()
    assert "正在排队" in waiting and f"/admin/commissions/run/{run.pk}/progress/" in waiting
    assert "正在排队" in ops.get(f"{PAGE}/run/{run.pk}/progress/").content.decode()

    work(run)

    assert ops.get(f"{PAGE}/run/{run.pk}/progress/").headers["HX-Refresh"] == "true"
    page = ops.get(address).content.decode()
    for words in ("¥20.00", "¥25.00", "+¥5.00", "2 多 / 0 少", "2 笔订单会变", "多得最多的人", "按规则", "30 天"):
        assert words in page
    assert "少得最多的人" not in page and "过账后会变的" not in page
    assert Entry._base_manager.filter(posted_at__gte=NOVEMBER).count() == 0
    listed = ops.get(f"{PAGE}/run/").content.decode()
    assert "¥5.00" in listed and "已算好" in listed


def test_a_recompute_is_looked_at_then_posted_by_who_may(shop, sold, sign_in):
    with scope.within(scope.EVERYTHING):
        plans.approve(version=sold, by=None, now=NOVEMBER)
        plans.activate(version=sold, starts_at=LONG_AGO, by=None, now=NOVEMBER, reason="填错")
    ops, finance = sign_in(shop, "hq_ops"), sign_in(shop, "hq_finance")
    press(ops, "run", "recompute", brand=shop.brand.pk, **DAYS)
    run = Run._base_manager.get()
    work(run)
    preview = ops.get(f"{PAGE}/run/{run.pk}/change/").content.decode()
    assert "过账后会变的有 2 笔订单：多给 ¥5.00，收回 ¥0.00" in preview
    assert press(ops, f"run/{run.pk}", "post").status_code == 403

    press(finance, f"run/{run.pk}", "post")
    work(run)

    assert run.state == Run.State.POSTED and run.posted_by == finance.user
    page = finance.get(f"{PAGE}/run/{run.pk}/change/").content.decode()
    assert "已经过账 2 笔流水：多给 ¥5.00" in page
    assert press(finance, f"run/{run.pk}", "post").status_code == 403
    with scope.within(scope.EVERYTHING):
        assert sum(Entry.objects.of_staff().filter(run=run.pk).values_list("fen", flat=True)) == 5_00


def test_a_refused_range_is_said_and_nothing_is_begun(shop, sold, sign_in):
    ops = sign_in(shop, "hq_ops")
    press(ops, f"planversion/{sold.pk}", "try_on", first="2026-10-31", last="2026-10-01")
    assert "结束日不能早于开始日" in ops.get(f"{PAGE}/planversion/{sold.pk}/change/").content.decode()
    press(ops, "run", "recompute", brand=shop.brand.pk, first="2026-10-01", last="2026-11-09")
    assert "只能选过去的日子" in ops.get(f"{PAGE}/run/").content.decode()
    assert not Run._base_manager.exists()


@pytest.mark.parametrize("role", ["store_manager", "hq_finance"])
def test_a_shop_sees_nothing_of_it(shop, sold, sign_in, role):
    run = _tried(sold)
    person = sign_in(shop, role)
    answers = [
        person.get(f"{PAGE}/{page}").status_code
        for page in ("run/", f"run/{run.pk}/change/", f"run/{run.pk}/progress/", "runfigure/")
    ]
    assert answers == ([403] * 4 if role == "store_manager" else [200] * 4)


def test_figures_are_taken_away_as_text_that_is_no_formula(shop, sold, sign_in):
    run, ops = _tried(sold), sign_in(shop, "hq_ops")
    chosen = RunFigure._base_manager.filter(run=run, by="person").values_list("pk", flat=True)
    page = f"{PAGE}/runfigure/?run__id__exact={run.pk}&by__exact=person"
    assert ops.get(page).content.decode().count("¥12.50") >= 2

    taken = ops.client.post(page, {"action": "export_csv", "_selected_action": list(chosen)})

    rows = b"".join(taken.streaming_content).decode("utf-8-sig").splitlines()
    assert len(rows) == 3 and any("员工,'=1+1,员工=1+1,10.00,12.50,2.50" in row for row in rows)


def test_lists_and_pages_ask_as_often_for_many_runs_as_for_few(shop, sold, sign_in):
    ops = sign_in(shop, "hq_ops")
    run = _tried(sold)
    pages = (f"{PAGE}/run/", f"{PAGE}/runfigure/", f"{PAGE}/run/{run.pk}/change/")
    few = [_asked(ops, page) for page in pages]
    for _ in range(3):
        _tried(sold)
    assert [_asked(ops, page) for page in pages] == few
    assert few[2] <= 19


def _tried(version) -> Run:
    days = {name: date.fromisoformat(day) for name, day in DAYS.items()}
    with scope.within(scope.EVERYTHING):
        run = runs.try_on(version=version, **days, by=None, now=NOVEMBER)
        work(run)
    return run


def _asked(person, page: str) -> int:
    with CaptureQueriesContext(connection) as queries:
        assert person.get(page).status_code == 200
    return len(queries)
