"""What was sold in a period by the people of a role, net of refunds, added up by the database.

Whose a line is, is what the claims say: that of the line before that of the order, without a clerk who bought for
themselves; exactly as the rules are given it.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import groupby
from typing import NamedTuple

from django.db import connection
from django.db.models import QuerySet

from commissions import returns
from commissions.models import Attainment, Period
from commissions.models.ledger import midnight
from retail.models import Refund
from retail.models.orders import lines_of


class Sold(NamedTuple):
    """Sales of one person in one store, and who has a part in their bonus (nobody, where nobody held that role)."""

    staff_id: int | None
    store_id: int | None
    payee_id: int | None
    payee_store_id: int | None
    payer_id: int | None
    fen: int


def in_period(*, period: Period, attainment: Attainment, taken: list[Period]) -> list[Sold]:
    """What counts for an attainment in a period. `taken`: closed ones before it whose late refunds count here."""
    back = _back_of(period, attainment)
    late = _late(period, taken)
    with connection.cursor() as cursor:
        cursor.execute(
            _SOLD,
            {
                "brand": period.brand_id,
                "since": midnight(period.starts_on),
                "until": midnight(period.ends_on),
                "lines": list(back),
                "back": list(back.values()),
                "late_lines": list(late),
                "late": list(late.values()),
                "role": attainment.role,
                "payee": attainment.payee,
                "store_group": attainment.store_group,
            },
        )
        return [Sold(*row) for row in cursor.fetchall()]


# A claim of the line goes before one of the order even if it names nobody. Of two for one role the first holds.
_SOLD = """
WITH sold AS MATERIALIZED (
    SELECT l.id AS line_id, l.order_id, l.paid_fen - sign(l.paid_fen)::bigint * coalesce(given.back, 0) AS fen
    FROM retail_order o JOIN retail_orderline l ON l.order_id = o.id
    LEFT JOIN unnest(%(lines)s::bigint[], %(back)s::bigint[]) AS given(line_id, back) ON given.line_id = l.id
    WHERE o.brand_id = %(brand)s AND o.paid_at >= %(since)s AND o.paid_at < %(until)s AND o.settled_version > 0
    AND EXISTS (
        SELECT FROM commissions_planversion v JOIN commissions_plan p ON p.id = v.plan_id
        WHERE p.brand_id = o.brand_id AND v.status IN ('active', 'retired')
        AND v.starts_at <= o.paid_at AND (v.ends_at IS NULL OR v.ends_at > o.paid_at)
    )
    UNION ALL
    SELECT l.id, l.order_id, given.fen
    FROM unnest(%(late_lines)s::bigint[], %(late)s::bigint[]) AS given(line_id, fen)
    JOIN retail_orderline l ON l.id = given.line_id
), buyer AS MATERIALIZED (
    SELECT DISTINCT ON (order_id) order_id, revision, staff_id, store_groups FROM commissions_buyersnapshot
    WHERE order_id IN (SELECT order_id FROM sold) ORDER BY order_id, revision DESC
), marked AS (
    SELECT DISTINCT ON (line_id) line_id, counts FROM commissions_countmark
    WHERE order_id IN (SELECT order_id FROM sold) ORDER BY line_id, id DESC
), claim AS MATERIALIZED (
    SELECT DISTINCT ON (c.order_id, c.line_id, c.role) c.order_id, c.line_id, c.role, c.payer_id,
        CASE WHEN c.staff_id = b.staff_id THEN NULL ELSE c.staff_id END AS staff_id,
        CASE WHEN c.staff_id = b.staff_id THEN NULL ELSE c.store_id END AS store_id
    FROM commissions_claimrow c JOIN buyer b ON (c.order_id, c.revision) = (b.order_id, b.revision)
    WHERE c.role IN (%(role)s, %(payee)s) ORDER BY c.order_id, c.line_id, c.role, c.id
), counted AS (
    SELECT sold.line_id, sold.order_id, sold.fen FROM sold JOIN buyer USING (order_id)
    WHERE sold.fen <> 0 AND (%(store_group)s = '' OR %(store_group)s = ANY(buyer.store_groups))
    AND sold.line_id NOT IN (SELECT line_id FROM marked WHERE NOT counts)
), held AS (
    SELECT counted.fen, by.staff_id, by.store_id,
        to_.staff_id AS payee_id, to_.store_id AS payee_store_id, to_.payer_id
    FROM counted
    LEFT JOIN claim own_by ON own_by.line_id = counted.line_id AND own_by.role = %(role)s
    LEFT JOIN claim own_to ON own_to.line_id = counted.line_id AND own_to.role = %(payee)s
    JOIN claim by ON by.order_id = counted.order_id AND by.role = %(role)s
        AND by.line_id IS NOT DISTINCT FROM own_by.line_id
    LEFT JOIN claim to_ ON to_.order_id = counted.order_id AND to_.role = %(payee)s
        AND to_.line_id IS NOT DISTINCT FROM own_to.line_id
)
SELECT staff_id, store_id, payee_id, payee_store_id, payer_id, sum(fen)::bigint FROM held
WHERE staff_id IS NOT NULL OR store_id IS NOT NULL GROUP BY 1, 2, 3, 4, 5 HAVING sum(fen) <> 0 ORDER BY 1, 2, 3, 4, 5
"""


# ── What came back ───────────────────────────────────────────────────────────────────────────────────────────────────
def _back_of(period: Period, attainment: Attainment) -> dict[int, int]:
    """Line id → how much of it came back, of the lines sold in a period.

    If late refunds count where they come in, then only what came before the period was closed.
    """
    refunds = Refund.objects.filter(
        order__brand=period.brand_id,
        order__paid_at__gte=midnight(period.starts_on),
        order__paid_at__lt=midnight(period.ends_on),
        settled_at__isnull=False,
    )
    if attainment.late_refund == Attainment.LateRefund.CURRENT and period.closed_at:
        refunds = refunds.filter(settled_at__lt=period.closed_at)
    return {line_id: back for line_id, _sign, back in _tallied(refunds, lambda _refund: True)}


def _late(period: Period, taken: list[Period]) -> dict[int, int]:
    """Line id → what its refunds of this period take off, for lines sold in closed periods; below 0 of a sale."""
    since, until = midnight(period.starts_on), midnight(period.ends_on)
    late: dict[int, int] = defaultdict(int)
    for one in taken:
        sold_in = Refund.objects.filter(
            order__brand=period.brand_id,
            order__paid_at__gte=midnight(one.starts_on),
            order__paid_at__lt=midnight(one.ends_on),
        )
        came = sold_in.filter(settled_at__gte=max(since, _closed_at(one)), settled_at__lt=until)
        refunds = sold_in.filter(order__in=came.values("order"), settled_at__lt=until)
        before = _before(max(since, _closed_at(one)))
        for sign, when in ((-1, lambda _refund: True), (1, before)):
            for line_id, of_line, back in _tallied(refunds, when):
                late[line_id] += sign * of_line * back
    return {line_id: fen for line_id, fen in late.items() if fen}


def _closed_at(period: Period) -> datetime:
    assert period.closed_at is not None  # it is closed
    return period.closed_at


def _before(moment: datetime) -> Callable[[Refund], bool]:
    return lambda refund: refund.settled_at is not None and refund.settled_at < moment


def _tallied(refunds: QuerySet[Refund], is_meant: Callable[[Refund], bool]) -> Iterator[tuple[int, int, int]]:
    """(line id, its sign, how much of it came back in fen) by those of the refunds that are meant."""
    known = list(refunds.order_by("order", "pk"))
    lines = lines_of(list({refund.order_id for refund in known if refund.order_id}))
    for order_id, of_order in groupby(known, key=lambda refund: refund.order_id):
        meant = [refund for refund in of_order if is_meant(refund)]
        for line_id, came in returns.tally(lines=lines.get(order_id or 0, []), refunds=meant).back.items():
            if came.paid_fen:
                yield line_id, -1 if came.paid_fen < 0 else 1, came.back
