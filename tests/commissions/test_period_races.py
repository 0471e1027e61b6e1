"""P7: a period is closed while entries are being written into it; what it was closed with is what it holds."""

import threading
import uuid
from datetime import timedelta

import pytest
from django.db import connection, transaction

from commissions import closing, periods
from commissions.models import Entry, Period, Statement
from retail import scope
from retail.models import Brand, Staff
from tests.factories import NOW, number
from tests.figures import figure

WRITERS, ENTRIES = 4, 3
DAY, AFTERWARDS = NOW.date(), NOW + timedelta(days=40)


def write(brand_id, staff_id, start, failures):
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
                    made = [
                        Entry(key=uuid.uuid4(), fen=fen, staff_id=staff_id, **legs)
                        for fen, staff_id in ((100, staff_id), (-100, None))
                    ]
                    Entry.objects.bulk_create(made)
    except Exception as error:
        failures.append(error)
    finally:
        connection.close()


def close(period_id, start, failures):
    try:
        start.wait()
        with scope.within(scope.EVERYTHING):
            closing.close(period=Period.objects.get(pk=period_id), by=None, now=AFTERWARDS)
    except Exception as error:
        failures.append(error)
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
            staff = Staff.objects.create(code=f"race{number()}", name="赛")
            start, failures = threading.Barrier(WRITERS + 1), []
            people = [
                threading.Thread(target=write, args=(brand.pk, staff.pk, start, failures)) for _ in range(WRITERS)
            ]
            people.append(threading.Thread(target=close, args=(period_id, start, failures)))
            for person in people:
                person.start()
            for person in people:
                person.join()
            assert failures == []
            held = Entry.objects.of_staff().filter(brand=brand, period_booked=period_id).count()
            stated = Statement.objects.filter(period=period_id).values_list("entries", "net_fen")
            wrong += [*stated] != ([(held, 100 * held)] if held else [])
            into_next += held < WRITERS * ENTRIES
            assert Entry.objects.filter(brand=brand).count() == 2 * WRITERS * ENTRIES
    figure("P7", f"{races} races of {WRITERS} writers and a closer: {wrong} mismatches; {into_next} closed midway")
    assert wrong == 0
    assert into_next, "no closing fell between two writings: nothing was tried"
