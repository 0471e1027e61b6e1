"""What the database refuses of a period that is closed, whoever asks: here it is its administrator."""

import uuid
from datetime import date, timedelta

import pytest
from django.db import DatabaseError, connection, transaction

from commissions import periods
from commissions.models import Entry, Period
from tests.factories import NOW, world

pytestmark = pytest.mark.usefixtures("everything")
DAY = NOW.date()


@pytest.fixture
def shop():
    return world()


@pytest.fixture
def closed(shop):
    """The period of today, closed with two legs in it."""
    booked = periods.places(brand_id=shop.brand.pk, days=[DAY])[DAY].booked_id
    book(shop, booked)
    Period.objects.filter(pk=booked).update(status="closed")
    return Period.objects.get(pk=booked)


def book(shop, period_id):
    legs = {"txn": period_id, "kind": "adjust", "brand": shop.brand, "paid_at": NOW, "posted_at": NOW}
    legs |= {"earned_on": DAY, "period_booked_id": period_id, "period_origin_id": period_id}
    Entry.objects.bulk_create([Entry(key=uuid.uuid4(), fen=fen, **legs) for fen in (100, -100)])


def refused(statement, *values):
    with pytest.raises(DatabaseError) as refusal, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement, values)
    return str(refusal.value)


def test_nothing_is_booked_into_a_closed_period(shop, closed):
    with pytest.raises(DatabaseError, match=f"period {closed.pk} is closed"), transaction.atomic():
        book(shop, closed.pk)
    assert Entry.objects.filter(period_booked=closed).count() == 2


def test_nor_with_copy_nor_among_others(shop, closed):
    """One statement with legs of several periods is refused whole."""
    other = periods.places(brand_id=shop.brand.pk, days=[DAY])[DAY].booked_id
    said = refused(
        "INSERT INTO commissions_entry (key, txn, kind, brand_id, fen, base_fen, pool_fen, role, paid_at, posted_at,"
        " earned_on, period_booked_id) SELECT gen_random_uuid(), 1, 'adjust', %s, fen, 0, 0, '', now(), now(), now(),"
        " booked FROM unnest(ARRAY[5, -5], ARRAY[%s, %s]) AS leg(fen, booked)",
        *(shop.brand.pk, other, closed.pk),
    )
    assert f"period {closed.pk} is closed" in said


def test_a_temporary_table_in_front_of_the_periods_changes_nothing(shop, closed):
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE commissions_period AS SELECT * FROM public.commissions_period")
        cursor.execute("UPDATE pg_temp.commissions_period SET status = 'open'")
    with pytest.raises(DatabaseError, match="is closed"), transaction.atomic():
        book(shop, closed.pk)
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE pg_temp.commissions_period")


@pytest.mark.parametrize("status", ["open", "closing"])
def test_a_closed_period_does_not_open_again(closed, status):
    assert "stays as it is" in refused("UPDATE commissions_period SET status = %s WHERE id = %s", status, closed.pk)


@pytest.mark.parametrize(
    "change",
    [
        {"starts_on": date(2020, 1, 1)},
        {"ends_on": DAY + timedelta(days=900)},
        {"brand_id": 0},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_closed_period_keeps_its_dates_and_its_brand(closed, change):
    ((column, value),) = change.items()
    assert "stays as it is" in refused(f"UPDATE commissions_period SET {column} = %s WHERE id = %s", value, closed.pk)


def test_a_closed_period_does_not_go_away(closed):
    assert "stays as it is" in refused("DELETE FROM commissions_period WHERE id = %s", closed.pk)
    assert "not emptied" in refused("SET CONSTRAINTS ALL IMMEDIATE; TRUNCATE commissions_period CASCADE")


def test_a_closing_goes_on_or_waits(shop):
    """What is being closed may still take entries of the closing itself, and is closed; it is not opened again."""
    booked = periods.places(brand_id=shop.brand.pk, days=[DAY])[DAY].booked_id
    Period.objects.filter(pk=booked).update(status="closing")
    book(shop, booked)
    assert "goes forward only" in refused("UPDATE commissions_period SET status = 'open' WHERE id = %s", booked)
    Period.objects.filter(pk=booked).update(status="closed")
    assert Period.objects.get(pk=booked).status == "closed"
