"""The months of the demo that finance has closed and paid; the last whole one is left for whoever looks around.

Of that one some clerks have doubts: one has got an answer, others wait. Of those that are still open, what everybody
sold by now is counted, and the bonuses of it are booked.
"""

from datetime import datetime, timedelta

from clerks.outreach import disputes
from commissions import attaining, closing
from commissions.models import Entry, Period
from commissions.models.ledger import midnight
from retail.models import User

CLOSED_AFTER, PAID_AFTER = timedelta(days=4, hours=10), timedelta(days=9, hours=15)


def run(*, now: datetime) -> None:
    """Close every month of every brand but the last whole one, oldest first, and pay what it owed."""
    this_month = now.date().replace(day=1)
    last = (this_month - timedelta(days=1)).replace(day=1)
    _doubt(now)
    for period in Period.objects.filter(ends_on__lte=last).order_by("starts_on", "brand"):
        end = midnight(period.ends_on)
        closed = closing.close(period=period, by=None, now=end + CLOSED_AFTER)
        if closed.statements.unpaid().exists():
            for batch in closing.make_batches(period=closed, by=None, now=end + CLOSED_AFTER):
                closing.mark_paid(batch=batch, reference="", by=None, now=end + PAID_AFTER)
    for period in Period.objects.filter(starts_on__lte=now.date(), ends_on__gt=last).order_by("starts_on", "brand"):
        attaining.count(period=period, now=now, is_booking=True)


_DOUBTS = (
    "这位顾客是我带来的，怎么没有我的那一份",
    "店里搞活动那天的，佣金好像少算了",
    "这单我和同事一起开的，分得不对",
)


def _doubt(now: datetime) -> None:
    """Three clerks ask about a sale of three weeks ago; the oldest question is answered."""
    asked_at = now - timedelta(days=6)
    sales = Entry.objects.of_staff().filter(kind=Entry.Kind.EARN, role="serve", paid_at__lt=now - timedelta(days=20))
    cases = []
    people: set[int] = set()
    for entry in sales.select_related("staff").order_by("-paid_at", "pk")[:200]:
        if entry.staff_id in people or len(cases) == len(_DOUBTS):
            continue
        people.add(entry.staff_id)
        given = {"order_id": entry.order_id, "line_id": entry.line_id, "reason": _DOUBTS[len(cases)]}
        asked_at += timedelta(days=1)
        cases.append(disputes.open_line(staff=entry.staff, by=entry.staff.user, now=asked_at, **given))
    answerer = User.objects.filter(username="finance").first()
    if cases and answerer:
        text = "顾客付款时的专属导购是另一位同事，按规则归她；绑定记录在这张单的依据里。"
        disputes.explain_it(dispute=cases[0], text=text, by=answerer, now=asked_at)
