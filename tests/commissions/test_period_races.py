"""P7: a period is closed while entries are being written into it; what it was closed with is what it holds."""

import threading
import uuid

import pytest
from django.db import connection, transaction

from commissions import periods
from commissions.models import Entry, Period
from retail import scope
from retail.models import Brand
from tests.factories import NOW, number
from tests.figures import figure

WRITERS, ENTRIES = 4, 3
DAY = NOW.date()


def write(brand_id, start, failures):
    """What the ledger does, reduced to the period: find the place, book two legs, commit."""
    try:
        start.wait()
        with scope.within(scope.EVERYTHING):
            for txn in range(ENTRIES):
                with transaction.atomic():
                    place = periods.places(brand_id=brand_id, days=[DAY])[DAY]
                    legs = {"txn": txn, "kind": "adjust", "brand_id": brand_id, "paid_at": NOW, "posted_at": NOW}
                    legs |= {
                        "earned_on": DAY,
                        "period_booked_id": place.booked_id,
                        "period_origin_id": place.origin_id,
                    }
                    made = [Entry(key=uuid.uuid4(), fen=fen, **legs) for fen in (100, -100)]
                    Entry.objects.bulk_create(made)
    except Exception as error:
        failures.append(error)
    finally:
        connection.close()


def close(period_id, start, counted):
    """As a closing has to: the row locked, counted, shut, in one transaction."""
    try:
        start.wait()
        with scope.within(scope.EVERYTHING), transaction.atomic():
            period = Period.objects.select_for_update().get(pk=period_id)
            counted.append(Entry.objects.filter(period_booked=period).count())
            Period.objects.filter(pk=period_id).update(status=Period.Status.CLOSED)
    finally:
        connection.close()


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_closed_period_equals_its_entries(size):
    races, wrong, into_next = (1000 if size == "full" else 60), 0, 0
    with scope.within(scope.EVERYTHING):
        for _race in range(races):
            brand = Brand.objects.create(code=f"race{number()}", name="赛")
            period_id = periods.places(brand_id=brand.pk, days=[DAY])[DAY].booked_id
            start, counted, failures = threading.Barrier(WRITERS + 1), [], []
            people = [threading.Thread(target=write, args=(brand.pk, start, failures)) for _ in range(WRITERS)]
            people.append(threading.Thread(target=close, args=(period_id, start, counted)))
            for person in people:
                person.start()
            for person in people:
                person.join()
            assert failures == []
            held = Entry.objects.filter(brand=brand, period_booked=period_id).count()
            wrong += counted != [held]
            into_next += held < 2 * WRITERS * ENTRIES
            assert Entry.objects.filter(brand=brand).count() == 2 * WRITERS * ENTRIES
    figure("P7", f"{races} races of {WRITERS} writers and a closer: {wrong} mismatches; {into_next} closed midway")
    assert wrong == 0
    assert into_next, "no closing fell between two writings: nothing was tried"
