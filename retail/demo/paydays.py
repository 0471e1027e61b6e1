"""The months of the demo that finance has closed and paid; the last whole one is left for whoever looks around.

Of those that are still open, what everybody sold by now is counted, and the bonuses of it are booked.
"""

from datetime import datetime, timedelta

from commissions import attaining, closing
from commissions.models import Period
from commissions.models.ledger import midnight

CLOSED_AFTER, PAID_AFTER = timedelta(days=4, hours=10), timedelta(days=9, hours=15)


def run(*, now: datetime) -> None:
    """Close every month of every brand but the last whole one, oldest first, and pay what it owed."""
    this_month = now.date().replace(day=1)
    last = (this_month - timedelta(days=1)).replace(day=1)
    for period in Period.objects.filter(ends_on__lte=last).order_by("starts_on", "brand"):
        end = midnight(period.ends_on)
        closed = closing.close(period=period, by=None, now=end + CLOSED_AFTER)
        if closed.statements.unpaid().exists():
            for batch in closing.make_batches(period=closed, by=None, now=end + CLOSED_AFTER):
                closing.mark_paid(batch=batch, reference="", by=None, now=end + PAID_AFTER)
    for period in Period.objects.filter(starts_on__lte=now.date(), ends_on__gt=last).order_by("starts_on", "brand"):
        attaining.count(period=period, now=now, is_booking=True)
