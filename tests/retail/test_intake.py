"""One order, top to bottom."""

from commissions.models import Entry
from tests.factories import world

BUYER = ({"type": "phone", "value": "13800005678"},)


def test_an_order_pays_the_clerk_who_rang_it_up(everything):
    shop = world()
    clerk, manager = shop.hire("A1"), shop.hire("M1", role="store_manager")
    shop.plan(
        {
            "id": "base",
            "calc": {"type": "rate", "ppm": 30000},
            "split": [{"role": "serve", "weight": 9}, {"role": "manager", "weight": 1}],
        }
    )
    order = shop.order(serving_clerk="A1")

    shop.settle(order)

    assert owed() == {clerk.pk: 270, manager.pk: 30, None: -300}
    shop.refund(order, fen=10000)
    assert owed() == {}


def owed() -> dict[int | None, int]:
    """What everybody's entries add up to; zeros left out."""
    totals: dict[int | None, int] = {}
    for entry in Entry.objects.all():
        totals[entry.staff_id] = totals.get(entry.staff_id, 0) + entry.fen
    return {staff_id: fen for staff_id, fen in totals.items() if fen}
