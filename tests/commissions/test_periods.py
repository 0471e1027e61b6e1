"""Periods follow the pay cycle of their brand: no gap, no overlap, and those that are there stay as they are."""

import random
from datetime import date, timedelta
from itertools import pairwise

import pytest
from django.db import IntegrityError, transaction

from commissions import periods
from commissions.models import PayCycle, Period
from tests.factories import NOW, world

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("everything")]


@pytest.fixture
def brand():
    return world().brand


def spans(brand):
    rows = Period.objects.filter(brand=brand).order_by("starts_on").values_list("starts_on", "ends_on")
    return [f"{start:%m-%d}/{end:%m-%d}" for start, end in rows]


def place(brand, *days):
    return periods.places(brand_id=brand.pk, days=[date.fromisoformat(day) for day in days])


@pytest.mark.parametrize(
    ("days", "made"),
    [
        ([1], ["10-01/11-01", "11-01/12-01"]),
        ([26], ["09-26/10-26", "10-26/11-26"]),
        ([1, 16], ["10-01/10-16", "10-16/11-01"]),
    ],
)
def test_periods_begin_on_the_days_of_the_cycle(brand, days, made):
    PayCycle.objects.create(brand=brand, since="2020-01-01", days=days)
    place(brand, "2026-10-12")
    assert spans(brand) == made


def test_a_change_leaves_what_is_there_and_joins_it_without_a_gap(brand):
    place(brand, "2026-10-12")
    assert periods.free_from(brand_id=brand.pk) == date(2026, 12, 1)
    PayCycle.objects.create(brand=brand, since="2026-12-01", days=[26])

    place(brand, "2026-12-30")

    assert spans(brand) == ["10-01/11-01", "11-01/12-01", "12-01/12-26", "12-26/01-26", "01-26/02-26"]


def test_days_before_the_first_period_are_joined_to_it(brand):
    PayCycle.objects.create(brand=brand, since="2026-10-12", days=[26])
    place(brand, "2026-11-01")
    place(brand, "2026-09-20", "2026-11-01")
    assert spans(brand)[:4] == ["09-01/10-01", "10-01/10-12", "10-12/10-26", "10-26/11-26"]


def test_once_the_first_is_closed_none_is_made_before_it(brand):
    """An open period behind closed ones would keep every later one from being closed."""
    first = place(brand, "2026-10-12")[date(2026, 10, 12)].booked_id
    Period.objects.filter(pk=first).update(status="closed", closed_at=NOW)

    found = place(brand, "2025-09-20", "2026-10-12")

    assert spans(brand) == ["10-01/11-01", "11-01/12-01"]
    booked = Period.objects.get(brand=brand, starts_on="2026-11-01").pk
    assert set(found.values()) == {periods.Place(booked, first)}


def test_names_say_the_days_unless_it_is_a_month(brand):
    month = Period(brand=brand, starts_on=date(2026, 12, 1), ends_on=date(2027, 1, 1))
    other = Period(brand=brand, starts_on=date(2026, 12, 26), ends_on=date(2027, 1, 26))
    assert (str(month), str(other)) == ("2026-12", "2026-12-26~01-25")


def test_the_database_refuses_overlap_and_gap(brand):
    place(brand, "2026-10-12")
    for start, end in (("2026-11-15", "2026-12-15"), ("2027-01-01", "2027-02-01"), ("2026-12-01", "2026-12-01")):
        with pytest.raises(IntegrityError), transaction.atomic():
            Period.objects.create(brand=brand, starts_on=start, ends_on=end)


@pytest.mark.parametrize("seed", range(5))
def test_every_day_has_exactly_one_period_whatever_the_changes(brand, seed):
    dice = random.Random(seed)
    for _ in range(12):
        if dice.random() < 0.4:
            free = periods.free_from(brand_id=brand.pk) or date(2026, 1, 1)
            days = sorted(dice.sample(range(1, 29), dice.randrange(1, 4)))
            since = free + timedelta(days=dice.randrange(0, 40))
            PayCycle.objects.get_or_create(brand=brand, since=since, defaults={"days": days})
        day = date(2025, 6, 1) + timedelta(days=dice.randrange(700))
        before = set(Period.objects.filter(brand=brand).values_list("pk", "starts_on", "ends_on"))
        (found,) = place(brand, day.isoformat()).values()
        rows = list(Period.objects.filter(brand=brand).order_by("starts_on"))
        assert before <= {(row.pk, row.starts_on, row.ends_on) for row in rows}
        assert all(one.ends_on == after.starts_on for one, after in pairwise(rows))
        origin = Period.objects.get(pk=found.origin_id)
        assert origin.starts_on <= day < origin.ends_on
