"""The proof of the journal sees what should not be there, and what is missing."""

import pytest
from django.db import connection

from commissions.models import Entry
from retail.imports import proof
from tests.factories import world


@pytest.fixture
def shop(everything):
    shop = world()
    shop.hire("A1")
    shop.plan(
        {"id": "base", "calc": {"type": "rate", "ppm": 30_000}, "split": [{"role": "serve", "weight": 1}]},
        {
            "id": "none",
            "group": "extra",
            "calc": {"type": "rate", "ppm": 5_000},
            "split": [{"role": "bound", "weight": 1}],
        },
    )
    shop.settle(*(shop.order(serving_clerk="A1", lines=[{}, {"paid_fen": 999}]) for _ in range(3)))
    return shop


def post(like: Entry, *fens: int) -> None:
    """Legs of one more transaction: the given fen, first to the person, then to the house."""
    legs = [like, Entry.objects.of_house().filter(txn=like.txn).get()][: len(fens)]
    for place, (leg, fen) in enumerate(zip(legs, fens, strict=True), start=1):
        leg.pk, leg.fen, leg.key, leg.txn = None, fen, f"00000000-0000-0000-0000-{place:012}", 10**9
    Entry.objects.bulk_create(legs)


def test_all_is_well_and_said_in_figures(shop):
    found = proof.of(channel=shop.pos)

    assert found.wrong == []
    assert (found.orders, found.lines, found.transactions, found.pools, found.parts) == (3, 6, 3, 12, 6)
    assert (found.staff_fen, found.house_fen) == (3 * (300 + 30), 3 * (50 + 5))


def test_a_fen_that_nobody_earned(shop):
    post(Entry.objects.of_staff().first(), 1, -1)

    (wrong,) = proof.of(channel=shop.pos).wrong
    assert "booked otherwise than priced" in wrong


def test_a_leg_without_the_house(shop):
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")  # else a trigger refuses it
    post(Entry.objects.of_staff().first(), 1)

    legs, priced = proof.of(channel=shop.pos).wrong
    assert legs == f"the legs of transaction {10**9} do not add up to 0"
    assert "booked otherwise than priced" in priced


def test_who_is_owed_what_and_who_comes_out_at_zero(shop):
    shop.hire("A2")
    order = shop.order(serving_clerk="A2")
    shop.settle(order)
    shop.refund(order, fen=10_000)

    assert proof.unsettled_people(channel=shop.pos) == {shop.staff["A1"].pk: 3 * (300 + 30)}
    assert proof.unsettled_people(channel=world().pos) == {}


def test_the_proof_looks_at_every_order_in_chunks(shop, monkeypatch):
    monkeypatch.setattr(proof, "_CHUNK", 2)

    assert proof.of(channel=shop.pos).orders == 3
