"""A plan was wrong: its correction takes the wrong one's place, and history is judged again."""

from collections import Counter
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db.models import Sum

from commissions import explain, plans
from commissions.models import ClaimRow, Entry, Rule
from retail import intake
from retail.models import Order, OrderLine
from tests.factories import LONG_AGO, NOW
from tests.factories.corrections import LATER, Shop, earned, nonzero
from tests.figures import figure

pytestmark = pytest.mark.usefixtures("everything")


@pytest.mark.parametrize("seed", range(3))
def test_a_changed_rate_of_one_category_posts_exactly_the_differences(seed):
    shop = Shop(seed)
    before = shop.wanted()
    assert nonzero(earned()) == nonzero(before)

    shop.correct(shoes_ppm=45_000)
    after = shop.wanted()
    assert intake.recompute(order_ids=shop.ids, now=LATER) == []

    differences = Counter(after)
    differences.subtract(before)
    assert nonzero(differences) and {part[1] for part in nonzero(differences)} == {"shoes"}
    assert nonzero(earned(posted_at=LATER)) == nonzero(differences)
    assert nonzero(earned()) == nonzero(after)
    posted = Entry.objects.of_staff().filter(posted_at=LATER)
    assert set(posted.values_list("kind", flat=True)) == {"delta", "reverse"}
    shoes = set(OrderLine.objects.filter(category_label=shop.shoes).values_list("pk", flat=True))
    assert set(posted.values_list("line", flat=True)) <= shoes


@pytest.mark.slow
def test_every_entry_is_what_the_naive_evaluator_gives(size):
    """P4: nothing is posted that the rules do not say, and nothing is left out."""
    orders = 32_000 if size == "full" else 1_600
    shop = Shop(17, orders=orders)

    wanted, posted = nonzero(shop.wanted()), nonzero(earned())

    differing = sum(posted.get(part) != fen for part, fen in wanted.items()) + len(posted.keys() - wanted.keys())
    figure("P4", f"{len(posted):,} awards of {orders:,} orders by the naive evaluator: {differing} differ")
    assert differing == 0 and len(posted) > 3 * orders


def test_what_came_back_comes_back_at_the_new_rate():
    shop = Shop(3)
    shop.correct(shoes_ppm=45_000)
    intake.recompute(order_ids=shop.ids, now=LATER)

    for line in OrderLine.objects.select_related("order__channel"):
        row = shop.world.order(outer_order_id=line.order.outer_order_id)
        shop.world.refund(row, line=line.outer_line_id, cumulative_fen=line.paid_fen, now=LATER)

    left: Counter[int] = Counter()
    for staff, fen in Entry.objects.of_staff().values_list("staff", "fen"):
        left[staff] += fen
    assert not any(left.values())


def test_again_it_posts_nothing_and_back_it_takes_everything_back():
    shop = Shop(4)
    before, claims = nonzero(earned()), ClaimRow.objects.count()
    shop.plan = shop.correct(shoes_ppm=45_000)
    intake.recompute(order_ids=shop.ids, now=LATER)
    count = Entry.objects.count()

    intake.recompute(order_ids=shop.ids, now=LATER)
    assert Entry.objects.count() == count

    shop.correct(shoes_ppm=30_000)
    intake.recompute(order_ids=shop.ids, now=LATER + timedelta(days=1))
    assert nonzero(earned()) == before
    assert ClaimRow.objects.count() == claims  # nobody is asked again who it was


def test_a_rule_under_another_code_is_taken_back_and_given_on_the_days_it_counted_on():
    shop = Shop(8)
    before = nonzero(earned())
    draft = plans.copy(version=shop.plan, by=None, now=LATER)
    Rule.objects.filter(version=draft, code="shoes").update(code="footwear")
    plans.approve(version=draft, by=None, now=LATER)
    plans.activate(version=draft, starts_at=LONG_AGO, by=None, now=LATER, reason="改名")

    intake.recompute(order_ids=shop.ids, now=LATER)

    renamed = {(line, rule.replace("shoes", "footwear"), *who): fen for (line, rule, *who), fen in before.items()}
    assert nonzero(earned()) == renamed
    posted = Entry.objects.of_staff().filter(posted_at=LATER)
    assert not posted.filter(earned_on=LATER.date()).exists()
    assert not posted.values("line", "earned_on").annotate(fen=Sum("fen")).exclude(fen=0).order_by().exists()


def test_only_sales_since_then_are_judged_by_the_correction():
    shop = Shop(5)
    since = NOW - timedelta(days=15)
    shop.correct(shoes_ppm=45_000, starts_at=since)

    intake.recompute(order_ids=shop.ids, now=LATER)

    touched = Order.objects.filter(pk__in=Entry.objects.filter(posted_at=LATER).values("order"))
    assert touched and all(order.paid_at >= since for order in touched)


def test_the_page_of_a_line_shows_what_was_booked_until_it_is_recomputed():
    shop = Shop(6)
    line = OrderLine.objects.filter(category_label=shop.shoes).first()
    corrected = shop.correct(shoes_ppm=45_000)

    assert explain.of_line(order=line.order, line=line).version == shop.plan
    intake.recompute(order_ids=shop.ids, now=LATER)
    assert explain.of_line(order=line.order, line=line).version == corrected


def test_the_command_says_what_it_changed(capsys):
    shop = Shop(7, orders=12)
    call_command("recompute", brand=shop.world.brand.code)
    assert "nothing to change" in capsys.readouterr().out
    before = sum(earned().values())
    shop.correct(shoes_ppm=45_000)
    call_command("recompute", brand=shop.world.brand.code, dry_run=True)
    foretold = capsys.readouterr().out
    assert sum(earned().values()) == before

    call_command("recompute", brand=shop.world.brand.code)

    said = capsys.readouterr().out
    more = sum(earned().values()) - before
    assert "12 orders" in said and "A1" in said and more > 0
    assert said.startswith(foretold) and "Posted:" in said
    with pytest.raises(CommandError, match="no brand 'nobody'"):
        call_command("recompute", brand="nobody")
    with pytest.raises(CommandError, match="--to 2026-09-30 lies before --from 2026-10-01"):
        call_command("recompute", "--from", "2026-10-01", "--to", "2026-09-30")
