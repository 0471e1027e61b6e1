"""Looking at history again: a version tried on it writes nothing and says exactly what a recompute would post."""

from collections import Counter
from datetime import date, timedelta
from fractions import Fraction

import pytest
from django.db import connection
from django.db.models import F, Sum

from commissions import plans, runs, what_if
from commissions.models import Entry, Period, PlanVersion, Rule, Run, RunFigure
from retail import approvals, bulk, intake
from retail import runs as working
from retail.models import AuditRow, Job, Order, OrderLine, Refund
from tests.commissions.engine import naive
from tests.factories import LONG_AGO, NOW, user, world
from tests.factories.corrections import LATER, Shop

pytestmark = pytest.mark.usefixtures("everything")
FIRST, LAST = (NOW - timedelta(days=60)).date(), NOW.date()


@pytest.fixture
def shop(settings):
    settings.RECOMPUTE_ALONE_FEN = 10**9  # one person may, unless a test says otherwise
    return Shop(21)


def tried(version: PlanVersion) -> Run:
    return worked(runs.try_on(version=version, first=FIRST, last=LAST, by=None, now=LATER))


def previewed(shop: Shop) -> Run:
    return worked(runs.preview(brand=shop.world.brand, first=FIRST, last=LAST, by=None, now=LATER))


def worked(run: Run) -> Run:
    working.work(run_id=run.pk, now=LATER)
    run.refresh_from_db()
    return run


def differences(run: Run, by: str = "person") -> dict:
    of = run.figures.filter(by=by).exclude(diff_fen=0)
    return dict(of.values_list("staff" if by == "person" else "name", "diff_fen"))


def per_person(**chosen) -> dict[int, int]:
    rows = Entry.objects.of_staff().filter(**chosen).values_list("staff").order_by().annotate(fen=Sum("fen"))
    return {staff: fen for staff, fen in rows if fen}


def ledger_as_it_is() -> list:
    """Every row of the ledger's tables, and where their numbers stand."""
    tables = ("commissions_entry", "commissions_claimrow", "commissions_buyersnapshot", "commissions_period")
    found = []
    with connection.cursor() as cursor:
        for table in tables:
            cursor.execute(f"SELECT count(*), md5(string_agg(t::text, '|' ORDER BY id)) FROM {table} t")
            found += cursor.fetchall()
            cursor.execute("SELECT last_value FROM pg_sequences WHERE sequencename = %s", [f"{table}_id_seq"])
            found += cursor.fetchall()
    return found


# ── Trying ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_the_version_in_force_changes_nothing_for_anybody(shop):
    before = ledger_as_it_is()

    run = tried(shop.plan)

    assert run.state == Run.State.READY
    assert not RunFigure.objects.exclude(diff_fen=0).exists()
    assert not RunFigure.objects.exclude(old_lines=F("new_lines")).exists()
    assert run.result["orders"] == len(shop.ids) and run.result["moved_fen"] == run.result["changed"] == 0
    assert run.result["old_fen"] == run.result["new_fen"] == sum(per_person().values())
    booked = dict(run.figures.filter(by="person").exclude(old_fen=0).values_list("staff", "old_fen"))
    assert booked == per_person()
    assert ledger_as_it_is() == before


def test_a_draft_says_what_putting_it_in_force_and_recomputing_posts(shop):
    draft = shop.draft(shoes_ppm=45_000)
    Rule.objects.filter(version=draft, code="others").update(code="rest")
    before = ledger_as_it_is()
    run = tried(draft)
    assert ledger_as_it_is() == before

    shop.put_in_force(draft)
    preview = previewed(shop)
    last = Entry.objects.latest("pk").pk
    assert intake.recompute(order_ids=shop.ids, now=LATER) == []

    posted = Entry.objects.filter(pk__gt=last)
    assert differences(run) == differences(preview) == per_person(pk__gt=last) != {}
    assert set(preview.changed) == set(posted.values_list("order_id", flat=True))
    assert preview.result["moved_fen"] == sum(map(abs, posted.of_staff().values_list("fen", flat=True)))
    names = {row.name: row for row in run.figures.filter(by="rule")}
    assert names["others (rest)"].old_fen == 0 and names["others (others)"].new_fen == 0
    assert names["others (rest)"].new_lines == names["others (others)"].old_lines > 0
    for by in ("role", "label", "channel", "store", "rule"):
        assert sum(differences(run, by).values()) == sum(differences(run).values())


def test_a_draft_is_priced_as_by_the_naive_evaluator(shop):
    draft = shop.draft(shoes_ppm=45_000)

    run = tried(draft)

    wanted: Counter[int] = Counter()
    lines = {line.pk: line for line in OrderLine.objects.select_related("order")}
    for (line_id, _rule, _role, staff), fen in shop.wanted().items():
        line = lines[line_id]
        refunds = Refund.objects.filter(order=line.order, outer_line_id=line.outer_line_id)
        back = min(line.paid_fen, sum(refunds.values_list("fen", flat=True)))
        wanted[staff] += fen - naive.rounded(Fraction(fen * back, line.paid_fen))
    assert not runs.is_outdated(run)
    Rule.objects.filter(version=draft, code="shoes").update(priority=6)
    assert runs.is_outdated(run)
    tried_fen = dict(run.figures.filter(by="person").values_list("staff", "new_fen"))
    assert tried_fen == dict(wanted)


def test_closed_history_can_be_tried_and_its_difference_goes_into_the_open_period(shop):
    closed = Period.objects.filter(brand=shop.world.brand, starts_on__lt=NOW.date().replace(day=1))
    assert closed.update(status="closed", closed_at=LATER) > 0
    draft = shop.draft(shoes_ppm=45_000)
    run = tried(draft)
    shop.put_in_force(draft)
    preview = previewed(shop)
    runs.post(run=preview, by=user(), reason="", now=LATER)
    worked(preview)

    assert per_person(run=preview.pk) == differences(run)
    assert not Entry.objects.filter(run=preview.pk, period_booked__status="closed").exists()


# ── Posting ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_what_the_preview_showed_is_posted_once_however_often_the_worker_dies(shop):
    shop.correct(shoes_ppm=45_000)
    run = previewed(shop)
    runs.post(run=run, by=user(), reason="", now=LATER)
    first = run.changed[: len(run.changed) // 2]
    assert intake.recompute(order_ids=first, now=LATER, run=run.pk) == []  # as far as the one that died had come
    count = Entry.objects.count()

    worked(run)

    assert run.state == Run.State.POSTED and Entry.objects.count() > count
    assert per_person(run=run.pk) == differences(run)
    posted = run.result["posted"]
    assert posted["more_fen"] - posted["less_fen"] == sum(differences(run).values())
    count = Entry.objects.count()
    worked(run)
    Run.objects.filter(pk=run.pk).update(state=Run.State.POSTING)  # died after the last batch, before it said so
    worked(run)
    assert (run.state, run.trouble, Entry.objects.count()) == (Run.State.POSTED, "", count)
    assert previewed(shop).changed == []


def test_a_killed_try_begins_anew_and_a_cancelled_one_does_not(shop):
    run = runs.try_on(version=shop.plan, first=FIRST, last=LAST, by=None, now=LATER)
    Run.objects.filter(pk=run.pk).update(state=Run.State.RUNNING, done=7, began_at=LATER)
    worked(run)
    assert run.state == Run.State.READY and run.done == run.total == run.result["lines"]

    other = runs.try_on(version=shop.plan, first=FIRST, last=LAST, by=None, now=LATER)
    progress = runs.Progress(other)
    runs.cancel(run=other, by=user(), now=LATER)
    with pytest.raises(runs.Stopped):
        progress(1, 1)
    worked(other)
    assert other.state == Run.State.CANCELLED and not other.figures.exists()
    with pytest.raises(runs.RunRefused, match="已经结束"):
        runs.cancel(run=other, by=user(), now=LATER)


def test_orders_that_changed_since_the_preview_are_said(shop):
    shop.correct(shoes_ppm=45_000)
    run = previewed(shop)
    line = OrderLine.objects.filter(order__in=run.changed, category_label=shop.shoes).first()
    row = shop.world.order(outer_order_id=line.order.outer_order_id)
    shop.world.refund(row, line=line.outer_line_id, cumulative_fen=line.paid_fen, now=LATER)
    runs.post(run=run, by=user(), reason="", now=LATER)

    worked(run)

    assert run.state == Run.State.POSTED and "预览以后" in run.trouble
    assert previewed(shop).changed == []


def test_it_is_not_posted_by_other_rules_than_it_was_previewed_with(shop):
    shop.correct(shoes_ppm=45_000)
    run = previewed(shop)
    shop.plan = PlanVersion.objects.get(status="active")
    shop.correct(shoes_ppm=46_000)

    with pytest.raises(runs.RunRefused, match="方案变了"):
        runs.post(run=run, by=user(), reason="", now=LATER)
    assert not Entry.objects.filter(run=run.pk).exists()


def test_much_money_takes_a_second_person(shop, settings):
    shop.correct(shoes_ppm=45_000)
    run = previewed(shop)
    settings.RECOMPUTE_ALONE_FEN = run.result["moved_fen"] - 1
    asker, decider = user(is_superuser=True), user(is_superuser=True)
    with pytest.raises(runs.RunRefused, match="写明原因"):
        runs.post(run=run, by=asker, reason=" ", now=LATER)

    assert runs.post(run=run, by=asker, reason="比例填错", now=LATER).state == Run.State.READY
    assert runs.is_asked(run)
    with pytest.raises(approvals.Refused, match="已经在等"):
        runs.post(run=run, by=asker, reason="比例填错", now=LATER)
    approval = approvals.Approval.objects.get(kind=runs.POST)
    approvals.decide(approval=approval, by=decider, is_approved=True, now=LATER)
    worked(run)

    assert (run.state, run.posted_by) == (Run.State.POSTED, decider)
    assert per_person(run=run.pk) == differences(run)
    acts = AuditRow.objects.filter(target_type="commissions.run", target_id=str(run.pk))
    assert list(acts.order_by("pk").values_list("action", flat=True)) == ["run.start", "run.post", "run.posted"]


# ── Asking ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_ranges_and_versions_that_make_no_sense_are_refused(shop):
    empty = PlanVersion.objects.create(plan=shop.plan.plan, number=99)
    with pytest.raises(runs.RunRefused, match="还没有规则"):
        tried(empty)
    for first, last, words in (
        (LAST, FIRST, "早于"),
        (FIRST, (LATER + timedelta(days=2)).date(), "过去"),
        (LAST - timedelta(days=400), LAST, "最多"),
    ):
        with pytest.raises(runs.RunRefused, match=words):
            runs.try_on(version=shop.plan, first=first, last=last, by=None, now=LATER)
    assert not Job.objects.filter(kind=runs.JOB).exists()


def test_only_the_orders_of_those_days_are_looked_at(shop):
    since = (NOW - timedelta(days=10)).date()
    run = worked(runs.try_on(version=shop.plan, first=since, last=since, by=None, now=LATER))
    assert run.result["orders"] == runs.orders_of(run).count() < len(shop.ids)
    last = worked(
        runs.try_on(version=shop.plan, first=LONG_AGO.date() + timedelta(days=500), last=FIRST, by=None, now=LATER)
    )
    assert last.result["orders"] == 0 and not last.figures.exists()


def test_next_month_follows_last_month_and_last_year(shop):
    run = tried(shop.plan)
    assert run.result["forecast"]["way"] == "plain"
    assert run.result["forecast"]["lines"] == int(run.result["lines"] * 30 / 61 + 0.5)

    paid = {
        "last": LATER - timedelta(days=40),
        "then": LATER - timedelta(days=335),
        "then_last": LATER - timedelta(days=400),
    }
    for name, count in (("then", 6), ("then_last", 4)):
        rows = [shop.world.order(paid_at=paid[name]) for _ in range(count)]
        shop.world.settle(*rows)
    whole = what_if.Change(old_fen=1_000, new_fen=2_000)
    found = what_if.forecast(brand_id=shop.world.brand.pk, whole=whole, lines=10, days=61, today=LATER.date())
    assert found.month.isoformat() == "2026-12-01" and found.way == "season"
    assert (found.then_lines, found.then_last_lines) == (6, 4)
    assert found.lines == int(found.last_lines * 6 / 4 + 0.5) and found.new_fen == 200 * found.lines


def test_two_processes_find_what_one_does(transactional_db):
    shop = Shop(5, orders=30)
    draft = plans.as_it_stands(shop.draft(shoes_ppm=45_000))
    orders, how = Order.objects.filter(pk__in=shop.ids), {"batch": 4, "progress": lambda done, total: None}

    two = bulk.judge(among=orders, version=draft, how=bulk.How(**how))
    one = bulk.judge(among=orders, version=draft, how=bulk.How(**how, processes=1))

    assert two.orders == one.orders == 30 and two.shares == one.shares and two.rules == one.rules
    assert sorted(two.changed) == sorted(one.changed) and two.moved_fen == one.moved_fen > 0


def test_a_try_says_what_the_tiers_of_a_draft_would_have_given_for_whole_months():
    """Beside the commissions, from sales as they are counted; a month that is not whole has no tiers."""
    rule = {"id": "r", "calc": {"type": "rate", "ppm": 10_000}, "split": [{"role": "serve", "weight": 1}]}
    steps = [{"from_fen": 0, "ppm": 10_000}, {"from_fen": 1_000_00, "ppm": 20_000}]
    made = world()
    for clerk in ("li", "wang"):
        made.hire(clerk)
    version = made.plan(rule, attainments=[{"code": "own", "mode": "whole", "steps": steps}])
    for clerk, fen in (("li", 1_500_00), ("wang", 800_00)):
        made.settle(made.order(lines=[{"paid_fen": fen}], serving_clerk=clerk, paid_at=NOW))
    draft = plans.copy(version=version, by=None, now=NOW)
    draft.attainments.get().steps.filter(from_fen=0).update(ppm=30_000)
    before, end = ledger_as_it_is(), NOW + timedelta(days=40)

    def found(first: str, last: str) -> tuple[dict | None, dict]:
        days = {"first": date.fromisoformat(first), "last": date.fromisoformat(last)}
        run = runs.try_on(version=draft, **days, by=None, now=end)
        working.work(run_id=run.pk, now=end)
        run.refresh_from_db()
        rows = run.figures.filter(by="bonus").values_list("staff__code", "old_fen", "new_fen")
        return run.result.get("bonuses"), {code: fens for code, *fens in rows}

    whole, people = found("2026-10-01", "2026-10-31")
    assert people == {"li": [30_00, 30_00], "wang": [8_00, 24_00]}
    assert whole == {"old_fen": 38_00, "new_fen": 54_00, "periods": ["2026-10"]}
    assert found("2026-10-01", "2026-10-30") == (None, {})
    assert ledger_as_it_is() == before
