"""The journal: exact, append-only, and the same whatever order things arrive in."""

import itertools
import random
from collections import Counter

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import Sum
from django.db.utils import DatabaseError

from commissions import claims as inputs
from commissions import engine, ledger, plans
from commissions.models import BuyerSnapshot, ClaimRow, Entry, Period
from members.models import Purchase
from retail import intake
from retail.models import Order, OrderLine, Refund
from retail.shapes import Buyer
from tests.factories import NOW, franchisee, number, world

pytestmark = pytest.mark.usefixtures("everything")

THIRDS = {
    "id": "thirds",
    "calc": {"type": "rate", "ppm": 33333},
    "split": [{"role": "serve", "weight": 2}, {"role": "manager", "weight": 1}],
}


def owed() -> dict[int, int]:
    """What people's entries add up to; zeros left out."""
    totals: Counter[int] = Counter()
    for staff_id, fen in Entry.objects.of_staff().values_list("staff_id", "fen"):
        totals[staff_id] += fen
    return {staff_id: fen for staff_id, fen in totals.items() if fen}


def unbalanced() -> list[int]:
    sums = Entry.objects.values("txn").annotate(total=Sum("fen")).order_by()
    return [row["txn"] for row in sums if row["total"]]


@pytest.fixture
def shop():
    shop = world()
    shop.hire("A1")
    shop.hire("M1", role="store_manager")
    shop.plan(THIRDS)
    return shop


def test_parts_and_house_make_the_pool(shop):
    shop.settle(shop.order(serving_clerk="A1", lines=[{"paid_fen": 99999}]))

    assert owed() == {shop.staff["A1"].pk: 2222, shop.staff["M1"].pk: 1111}
    assert Entry.objects.of_house().get().fen == -3333
    assert {entry.pool_fen for entry in Entry.objects.of_staff()} == {3333}


def test_settling_again_posts_nothing(shop):
    (order_id,) = shop.settle(shop.order(serving_clerk="A1"))
    before = Entry.objects.count()

    intake.settle_order(order_id=order_id, now=NOW)

    assert Entry.objects.count() == before
    assert ClaimRow.objects.filter(order=order_id).count() == 2


def test_claw_back_without_news_posts_nothing(shop):
    (order_id,) = shop.settle(shop.order(serving_clerk="A1"))

    assert ledger.claw_back_many(orders=[Order.objects.get(pk=order_id)], now=NOW) == 0


def test_partial_refunds_reach_exactly_zero(shop):
    order = shop.order(serving_clerk="A1", lines=[{"paid_fen": 10000, "qty": 3}])
    shop.settle(order)

    for fen in (3333, 3333, 3334):
        shop.refund(order, fen=fen)

    assert owed() == {}
    assert unbalanced() == []


@pytest.mark.parametrize("arrival", list(itertools.permutations(range(3))))
def test_the_order_of_refunds_does_not_matter(shop, arrival):
    order = shop.order(serving_clerk="A1", lines=[{"paid_fen": 10000}, {"paid_fen": 777}])
    shop.settle(order)
    refunds = [("1", 1234), ("1", 4321), ("2", 700)]

    for place in arrival:
        line, fen = refunds[place]
        shop.refund(order, line=line, fen=fen)

    # 33333 ppm of 10000 → 333 (222 + 111), of 777 → 26 (17 + 9); 5555 and 700 fen came back.
    assert owed() == {
        shop.staff["A1"].pk: 222 + 17 - round(222 * 0.5555) - round(17 * 700 / 777),
        shop.staff["M1"].pk: 111 + 9 - round(111 * 0.5555) - round(9 * 700 / 777),
    }


def test_a_refund_delivered_twice_counts_once(shop):
    order = shop.order(serving_clerk="A1")
    shop.settle(order)
    shop.refund(order, outer_refund_id="same", fen=5000)
    after_first = owed()

    assert shop.refund(order, outer_refund_id="same", fen=5000).status == "unchanged"
    assert owed() == after_first


def test_a_refund_before_its_order_waits_for_it(shop):
    order = shop.order(serving_clerk="A1")

    assert shop.refund(order, fen=10000).status == "parked"
    shop.settle(order)

    assert owed() == {}
    assert Counter(Entry.objects.of_staff().values_list("kind", flat=True)) == {"earn": 2, "reverse": 2}


def test_cumulative_and_pieces(shop):
    order = shop.order(serving_clerk="A1", lines=[{"paid_fen": 9999, "qty": 3}, {"paid_fen": 9999, "qty": 3}])
    shop.settle(order)

    shop.refund(order, line="1", cumulative_fen=3333)
    shop.refund(order, line="1", cumulative_fen=9999)
    for _ in range(3):
        shop.refund(order, line="2", qty=1)

    assert owed() == {}


def test_more_than_the_line_is_cut_to_it(shop):
    order = shop.order(serving_clerk="A1")
    shop.settle(order)

    shop.refund(order, fen=8000)
    shop.refund(order, fen=8000)

    assert owed() == {}


def test_a_gift_that_paid_comes_back_by_pieces():
    shop = world()
    clerk = shop.hire("A1")
    shop.plan({"id": "piece", "calc": {"type": "per_qty", "fen": 100}, "split": [{"role": "serve", "weight": 1}]})
    order = shop.order(serving_clerk="A1", lines=[{"paid_fen": 0, "tag_fen": 5000, "qty": 4, "is_gift": True}])
    shop.settle(order)
    assert owed() == {clerk.pk: 400}

    shop.refund(order, qty=1)
    assert owed() == {clerk.pk: 300}
    shop.refund(order, qty=3)
    assert owed() == {}


def test_a_corrected_order_posts_the_difference_on_its_old_claims(shop):
    order = shop.order(serving_clerk="A1", outer_order_id="X1", lines=[{"paid_fen": 10000}])
    (order_id,) = shop.settle(order)
    claims = list(ClaimRow.objects.values_list("pk", flat=True))

    shop.settle(shop.order(serving_clerk="A1", outer_order_id="X1", lines=[{"paid_fen": 8000}]))

    assert owed() == {shop.staff["A1"].pk: 178, shop.staff["M1"].pk: 89}
    assert list(ClaimRow.objects.values_list("pk", flat=True)) == claims
    stored = Order.objects.get(pk=order_id)
    assert (stored.version, stored.paid_fen) == (2, 8000)
    assert stored.versions.get().document["lines"][0]["paid_fen"] == 10000


def test_a_correction_of_the_clerk_moves_the_commission(shop):
    other = shop.hire("A2")
    shop.settle(shop.order(serving_clerk="A1", outer_order_id="X1"))

    shop.settle(shop.order(serving_clerk="A2", outer_order_id="X1"))

    assert owed() == {other.pk: 222, shop.staff["M1"].pk: 111}
    assert set(ClaimRow.objects.filter(revision=2).values_list("reason", flat=True)) == {"clerk codes corrected"}
    assert unbalanced() == []


def test_a_correction_after_a_refund_keeps_the_share_that_came_back(shop):
    shop.settle(shop.order(serving_clerk="A1", outer_order_id="X1", lines=[{"paid_fen": 10000}]))
    shop.refund(shop.order(outer_order_id="X1"), fen=5000)

    shop.settle(shop.order(serving_clerk="A1", outer_order_id="X1", lines=[{"paid_fen": 5000}]))

    assert owed() == {}


def test_an_exchanged_line_takes_back_what_it_gave(shop):
    shop.settle(shop.order(serving_clerk="A1", lines=[{"paid_fen": 9100, "tag_fen": 10000}]))
    shop.settle(shop.order(serving_clerk="A1", lines=[{"paid_fen": -9100, "tag_fen": -10000, "qty": -1}]))

    assert owed() == {}


def test_one_transaction_per_payer():
    shop = world()
    company = franchisee()
    theirs = shop.another_store(franchisee=company)
    shop.hire("D1")
    shop.hire("F1", store=theirs)
    shop.plan(
        {
            "id": "r",
            "calc": {"type": "fixed", "fen": 1000},
            "split": [{"role": "serve", "weight": 6}, {"role": "fulfil", "weight": 4}],
        }
    )

    shop.settle(shop.order(serving_clerk="D1", fulfilling_clerk="F1"))

    legs = sorted(Entry.objects.values_list("payer_id", "staff__code", "fen"), key=str)
    assert legs == sorted(
        [(None, "D1", 600), (None, None, -600), (company.pk, "F1", 400), (company.pk, None, -400)], key=str
    )
    assert Entry.objects.values("txn").distinct().count() == 2


def test_earned_on_is_the_end_of_the_return_window(shop):
    paid_late_in_shanghai = NOW.replace(hour=23, minute=59)
    shop.settle(shop.order(serving_clerk="A1", paid_at=paid_late_in_shanghai))

    entry = Entry.objects.of_staff().first()
    assert str(entry.earned_on) == "2026-10-19"
    assert str(entry.period_booked.starts_on) == "2026-10-01"
    assert Entry.objects.pending(entry.earned_on).count() == 0
    assert {row.state for row in Entry.objects.with_state(NOW.date())} == {"pending"}
    assert {row.state for row in Entry.objects.with_state(entry.earned_on)} == {"earned"}


def test_entries_of_a_closed_period_book_in_the_next_open_one(shop):
    Period.objects.create(brand=shop.brand, starts_on="2026-10-01", ends_on="2026-11-01", status="closed")

    shop.settle(shop.order(serving_clerk="A1"))

    entry = Entry.objects.of_staff().first()
    assert str(entry.period_origin.starts_on) == "2026-10-01"
    assert str(entry.period_booked.starts_on) == "2026-11-01"


def test_no_plan_no_entries_but_the_claims_are_kept():
    shop = world()
    shop.hire("A1")

    shop.settle(shop.order(serving_clerk="A1"))

    assert not Entry.objects.exists()
    assert ClaimRow.objects.get().role == "serve"
    assert BuyerSnapshot.objects.count() == 1


def test_the_version_of_the_minute_of_payment_prices():
    shop = world()
    clerk = shop.hire("A1")
    serve = [{"role": "serve", "weight": 1}]
    old = shop.plan({"id": "r", "calc": {"type": "rate", "ppm": 10000}, "split": serve})
    draft = plans.copy(version=old, by=None, now=NOW)
    draft.rules.update(calc={"type": "rate", "ppm": 20000})
    plans.approve(version=draft, by=None, now=NOW)
    plans.activate(version=draft, starts_at=NOW, by=None, now=NOW)

    shop.settle(shop.order(serving_clerk="A1", paid_at=NOW.replace(minute=29)))
    assert owed() == {clerk.pk: 100}
    shop.settle(shop.order(serving_clerk="A1", paid_at=NOW))
    assert owed() == {clerk.pk: 300}


def test_what_the_shares_leave_stays_with_the_house():
    shop = world()
    clerk = shop.hire("A1")
    version = shop.plan({"id": "r", "calc": {"type": "fixed", "fen": 1000}, "split": [{"role": "serve", "weight": 1}]})
    draft = plans.copy(version=version, by=None, now=NOW)
    draft.rules.get().shares.update(ppm=700_000)
    plans.approve(version=draft, by=None, now=NOW)
    plans.activate(version=draft, starts_at=NOW, by=None, now=NOW)

    shop.settle(shop.order(serving_clerk="A1"))

    assert owed() == {clerk.pk: 700}
    assert Entry.objects.of_staff().get().pool_fen == 1000


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE commissions_entry SET fen = fen + 1",
        "UPDATE commissions_entry SET fen = fen WHERE false",
        "DELETE FROM commissions_entry",
        "TRUNCATE commissions_entry",
        "UPDATE commissions_claimrow SET staff_id = 1",
        "DELETE FROM commissions_claimrow",
        "UPDATE commissions_buyersnapshot SET is_new = true",
        "DELETE FROM commissions_buyersnapshot",
    ],
)
def test_the_journal_refuses_to_change(shop, statement):
    shop.settle(shop.order(serving_clerk="A1"))

    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


def test_legs_that_do_not_add_up_are_refused(shop):
    shop.settle(shop.order(serving_clerk="A1"))
    entry = Entry.objects.of_staff().first()
    entry.pk, entry.key, entry.txn = None, "0" * 32, 10**9

    with pytest.raises(IntegrityError, match="do not add up to zero"), transaction.atomic():
        Entry.objects.bulk_create([entry])


def test_a_random_year_obeys_the_invariants():
    """Orders, exchanges, corrections and refunds at random: the figures can always be worked out from the facts."""
    dice = random.Random(20261012)
    shop = world()
    for code in ("A1", "A2"):
        shop.hire(code)
    shop.hire("M1", role="store_manager")
    shop.plan(
        {**THIRDS, "missing": "reallocate"},
        {
            "id": "cheap",
            "group": "bonus",
            "when": {"min_line_fen": 5000},
            "calc": {"type": "fixed", "fen": 77},
            "cap_fen": 70,
            "split": [{"role": "serve", "weight": 1}],
        },
    )
    orders = []
    for _ in range(60):
        paid = [dice.choice([0, 1, 4999, 10000, 99999, -5000]) for _ in range(dice.randint(1, 4))]
        lines = [{"paid_fen": fen, "qty": dice.choice([1, 2, 3]) * (-1 if fen < 0 else 1)} for fen in paid]
        order = shop.order(serving_clerk=dice.choice(["A1", "A2", "ghost", None]), lines=lines)
        shop.settle(order)
        orders.append(order)
    for _ in range(120):
        order = dice.choice(orders)
        line = dice.choice(order.lines)
        shop.refund(order, line=line.outer_line_id, **dice.choice([{"fen": dice.randint(0, 6000)}, {"qty": 1}]))

    assert unbalanced() == []
    for line in OrderLine.objects.select_related("order"):
        assert_parts_make_pools(line)
    for order in orders:
        for line in order.lines:
            shop.refund(order, line=line.outer_line_id, cumulative_fen=abs(line.paid_fen))
            if not line.paid_fen:
                shop.refund(order, line=line.outer_line_id, outer_refund_id=f"all{number()}", qty=abs(line.qty) or 1)
    assert owed() == {}


def assert_parts_make_pools(line: OrderLine) -> None:
    """Earned entries of a line are what the engine gives on the kept inputs; parts + house = pool."""
    kept = inputs.kept(order=line.order)
    compiled = plans.at(brand_id=line.order.brand_id, moment=line.order.paid_at)
    facts = ledger.order_facts(order=line.order, kept=kept)
    wanted = Counter()
    for award in engine.price(compiled.plan, facts):
        assert sum(part.fen for part in award.parts) + award.house_fen == award.pool_fen
        if award.line_id == line.pk:
            for part in award.parts:
                wanted[compiled.rule_ids[award.rule_id], part.role, part.holder] += part.fen
    booked = Counter()
    for entry in Entry.objects.of_staff().filter(line=line).exclude(kind="reverse"):
        booked[entry.rule_id, entry.role, entry.staff_id] += entry.fen
    assert booked == wanted


def test_a_refund_moved_to_another_order_gives_back_what_it_took(shop):
    first, second = shop.order(serving_clerk="A1"), shop.order(serving_clerk="A1")
    shop.settle(first, second)
    before = owed()
    shop.refund(first, outer_refund_id="R", fen=10000)

    assert shop.refund(second, outer_refund_id="R", fen=10000).status == "corrected"

    assert owed() == {staff_id: fen // 2 for staff_id, fen in before.items()}
    taken = Entry.objects.of_staff().filter(kind="reverse").values("order__outer_order_id").annotate(fen=Sum("fen"))
    assert {row["order__outer_order_id"]: row["fen"] for row in taken} == {
        first.outer_order_id: 0,
        second.outer_order_id: -333,
    }


def test_what_no_line_could_take_is_noted_at_the_refund(shop):
    order = shop.order(serving_clerk="A1")
    shop.refund(order, outer_refund_id="astray", line="99", fen=1)
    shop.settle(order)
    shop.refund(order, outer_refund_id="much", fen=12345)

    troubles = dict(Refund.objects.values_list("outer_refund_id", "trouble"))
    assert troubles == {"astray": "no_line", "much": "excess"}
    assert Refund.objects.get(outer_refund_id="much").excess == 2345


def test_a_line_added_later_brings_its_own_clerk(shop):
    other = shop.hire("A2")
    shop.settle(shop.order(serving_clerk="A1", outer_order_id="X1"))

    shop.settle(shop.order(serving_clerk="A1", outer_order_id="X1", lines=[{}, {"serving_clerk": "A2"}]))

    assert owed() == {shop.staff["A1"].pk: 222, other.pk: 222, shop.staff["M1"].pk: 222}


def test_a_stranger_on_a_line_is_paid_by_nobody_else(shop):
    shop.settle(shop.order(serving_clerk="A1", lines=[{"serving_clerk": "nobody we know"}]))

    assert owed() == {shop.staff["M1"].pk: 111}


def test_a_buyer_named_by_a_correction_is_known_from_then_on(shop):
    shop.settle(shop.order(serving_clerk="A1", outer_order_id="X1"))
    before = owed()

    shop.settle(shop.order(serving_clerk="A1", outer_order_id="X1", buyer=(Buyer("phone", "13800005678"),)))

    assert Purchase.objects.get().order.outer_order_id == "X1"
    assert owed() == before
    assert set(ClaimRow.objects.filter(revision=2).values_list("reason", flat=True)) == {"buyer named"}
    assert BuyerSnapshot.objects.get(revision=2).is_new
