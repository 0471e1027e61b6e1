"""Whose customer everybody was when the real flow takes over, with the history of those whose clerk left or moved."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random
from typing import Any, NamedTuple

from clerks.models import Binding
from retail.demo import copying
from retail.demo.customers import Customer, Customers
from retail.demo.people import People, Stint
from retail.models import Staff, Store

SOURCE, END = Binding.Source, Binding.End
_COLUMNS = (
    "brand_id, member_id, staff_id, store_id, source, order_id, started_at, protected_until, ended_at, end_reason"
)


class _Bond(NamedTuple):
    customer: Customer
    staff: Staff
    store: Store
    source: str
    order_id: int | None
    started_at: datetime


def write(rng: Random, *, customers: Customers, people: People) -> None:
    """About seven of ten members have a clerk."""
    ends = {(stint.staff.pk, stint.store.pk): stint for stint in people.ended()}
    rows = (
        row
        for customer in customers.all
        if (bond := _first(rng, customer))
        for row in _with_handover(bond, ends.get((bond.staff.pk, bond.store.pk)))
    )
    copying.copy("clerks_binding", _COLUMNS, rows)


def _first(rng: Random, customer: Customer) -> _Bond | None:
    """At the registration by a clerk, by their code later, or with the first purchase at the till."""
    if customer.registered_by and (customer.is_regular or rng.random() < 0.85):
        source = SOURCE.CONTACT_CODE if customer.external and rng.random() < 0.6 else SOURCE.REGISTRATION
        return _Bond(customer, customer.registered_by, customer.store, source, None, customer.registered_at)
    if customer.first_sale:
        at, staff, store, order_id = customer.first_sale
        return _Bond(customer, staff, store, SOURCE.FIRST_SALE, order_id, at)
    return None


def _with_handover(bond: _Bond, end: Stint | None) -> Iterator[tuple[Any, ...]]:
    if end is None or end.ends_at is None or end.heir is None or end.ends_at <= bond.started_at:
        yield _row(bond)
        return
    yield _row(bond, ended_at=end.ends_at)
    yield _row(bond._replace(staff=end.heir, source=SOURCE.HANDOVER, order_id=None, started_at=end.ends_at))


def _row(bond: _Bond, ended_at: datetime | None = None) -> tuple[Any, ...]:
    customer = bond.customer
    started_at = bond.started_at.replace(microsecond=0)  # as WeCom will tell it
    active_at = max(started_at, customer.last_at or started_at)
    ended_at = ended_at and ended_at.replace(microsecond=0)
    until = min(active_at, ended_at or active_at) + timedelta(days=customer.brand.protection_days)
    return (
        *(customer.brand.pk, customer.person, bond.staff.pk, bond.store.pk, bond.source, bond.order_id),
        *(started_at, until, ended_at, END.HANDED_OVER if ended_at else ""),
    )
