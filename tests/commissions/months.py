"""Months of a store whose clerks earn all of what they sell: sold, corrected and closed one by one."""

from datetime import datetime
from typing import Any

from django.db.models import Sum

from commissions import closing, periods, plans
from commissions.models import Entry, Guarantee, Period, Plan, PlanVersion, Statement
from retail import intake
from retail.models import Employment, Order, Post
from retail.shapes import Order as Row
from tests.factories import World, add_rule, number, world

RULE = {"id": "all", "calc": {"type": "rate", "ppm": 1_000_000}, "split": [{"role": "serve", "weight": 1}]}
MONTHS = ["2026-10-01", "2026-11-01", "2026-12-01", "2027-01-01", "2027-02-01"]


def at(day: str) -> datetime:
    return datetime.fromisoformat(f"{day}T09:00:00+08:00")


def store(*clerks: str) -> World:
    made = world()
    for clerk in clerks:
        made.hire(clerk)
    made.plan(RULE)
    periods.places(brand_id=made.brand.pk, days=[at(MONTHS[0]).date()])
    return made


def sell(shop: World, clerk: str, fen: int, day: str, **fields: Any) -> Row:
    row = shop.order(lines=[{"paid_fen": fen}], serving_clerk=clerk, paid_at=at(day), **fields)
    shop.settle(row, now=at(day))
    return row


def recompute(shop: World, *rows: Row, ppm: int, now: str) -> None:
    """The rule was wrong from the first month on: these orders are judged again by another rate."""
    version = PlanVersion.objects.create(plan=Plan.objects.get(brand=shop.brand), number=number())
    add_rule(version, {**RULE, "calc": {"type": "rate", "ppm": ppm}})
    plans.approve(version=version, by=None, now=at(now))
    plans.activate(version=version, starts_at=at(MONTHS[0]), by=None, now=at(now), reason="写错了")
    ids = Order.objects.filter(outer_order_id__in=[row.outer_order_id for row in rows]).values_list("pk", flat=True)
    assert intake.recompute(order_ids=list(ids), now=at(now)) == []


def leave(shop: World, clerk: str, day: str) -> None:
    for model in (Employment, Post):
        model.objects.filter(staff=shop.staff[clerk], ends_at=None).update(ends_at=at(day))


def month(shop: World, place: int = 0) -> Period:
    return Period.objects.get(brand=shop.brand, starts_on=MONTHS[place])


def close(shop: World, place: int = 0) -> Period:
    periods.places(brand_id=shop.brand.pk, days=[datetime.fromisoformat(MONTHS[place]).date()])
    return closing.close(period=month(shop, place), by=None, now=at(MONTHS[place + 1]))


def statement(shop: World, clerk: str, place: int = 0) -> Statement:
    return Statement.objects.get(period=month(shop, place), staff=shop.staff[clerk])


def guarantee(shop: World, **fields: Any) -> Guarantee:
    usual = {"first_period": month(shop), "min_fen": 3_000_00, "draw_until": 2, "recover_from": 3}
    return Guarantee.objects.create(brand=shop.brand, **usual | fields)


def added_up(shop: World) -> None:
    """Of each closed period: the statements are the entries."""
    for period in Period.objects.filter(brand=shop.brand, status="closed"):
        said = period.statements.aggregate(fen=Sum("net_fen", default=0))["fen"]
        booked = Entry.objects.of_staff().filter(period_booked=period).aggregate(fen=Sum("fen", default=0))["fen"]
        assert said == booked
