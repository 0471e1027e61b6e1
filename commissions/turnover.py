"""What was sold in a period by the people of a role, net of refunds, added up by the database.

Whose a line is, is what the claims say: that of the line before that of the order, without a clerk who bought for
themselves; exactly as the rules are given it.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime
from itertools import groupby
from typing import NamedTuple

from django.db import connection
from django.db.models import QuerySet

from commissions import returns
from commissions.models import Period
from commissions.models.ledger import midnight
from retail.models import Refund
from retail.models.orders import lines_of


class Holder(NamedTuple):
    """Who held a role in a sale, in which store, paid by whom; all None: nobody who may be paid."""

    staff_id: int | None
    store_id: int | None
    payer_id: int | None


class Sold(NamedTuple):
    """What was sold in all with the same people in the roles that were asked for."""

    who: dict[str, Holder]
    fen: int


def in_period(
    *, period: Period, roles: Collection[str], store_group: str, until_closed: bool, taken: Sequence[Period]
) -> list[Sold]:
    """What counts for attainment in a period, by who held these roles. A handful of statements, however much it is.

    `until_closed`: without what came back after the period was closed. `taken`: closed ones whose late refunds are
    taken off here.
    """
    back, late = _back_of(period, until_closed), _late(period, taken)
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
                "roles": sorted(roles),
                "store_group": store_group,
            },
        )
        return [
            Sold({role: Holder(*holder) for role, holder in json.loads(who).items()}, fen)
            for who, fen in cursor.fetchall()
        ]


# Lines are added up by order before anything is asked about people; those with a claim of their own stand apart. Of
# two claims for one role the last one given here holds: that of the line, and of equals the first written.
_SOLD = """
WITH paid AS MATERIALIZED (
    SELECT o.id AS order_id FROM retail_order o
    WHERE o.brand_id = %(brand)s AND o.paid_at >= %(since)s AND o.paid_at < %(until)s AND o.settled_version > 0
    AND EXISTS (
        SELECT FROM commissions_planversion v JOIN commissions_plan p ON p.id = v.plan_id
        WHERE p.brand_id = o.brand_id AND v.status IN ('active', 'retired')
        AND v.starts_at <= o.paid_at AND (v.ends_at IS NULL OR v.ends_at > o.paid_at)
    )
), late AS MATERIALIZED (
    SELECT l.order_id, l.id AS line_id, given.fen
    FROM unnest(%(late_lines)s::bigint[], %(late)s::bigint[]) AS given(line_id, fen)
    JOIN retail_orderline l ON l.id = given.line_id
), judged AS MATERIALIZED (
    SELECT DISTINCT ON (b.order_id) b.order_id, b.revision, b.staff_id AS buyer_id
    FROM (SELECT order_id FROM paid UNION SELECT order_id FROM late) known
    JOIN commissions_buyersnapshot b ON b.order_id = known.order_id
    WHERE %(store_group)s = '' OR %(store_group)s = ANY(b.store_groups)
    ORDER BY b.order_id, b.revision DESC
), claim AS MATERIALIZED (
    SELECT c.order_id, c.line_id, c.id, c.role,
        CASE WHEN c.staff_id = judged.buyer_id THEN jsonb_build_array(NULL, NULL, NULL)
            ELSE jsonb_build_array(c.staff_id, c.store_id, c.payer_id) END AS holder
    FROM judged JOIN commissions_claimrow c ON c.order_id = judged.order_id AND c.revision = judged.revision
    WHERE c.role = ANY(%(roles)s::text[])
), marked AS (
    SELECT DISTINCT ON (m.line_id) m.line_id, m.counts FROM judged
    JOIN commissions_countmark m ON m.order_id = judged.order_id ORDER BY m.line_id, m.id DESC
), part AS MATERIALIZED (
    SELECT sold.order_id, own.line_id, sum(sold.fen) AS fen
    FROM (
        SELECT l.order_id, l.id AS line_id, l.paid_fen - sign(l.paid_fen)::bigint * coalesce(given.back, 0) AS fen
        FROM paid JOIN retail_orderline l ON l.order_id = paid.order_id
        LEFT JOIN unnest(%(lines)s::bigint[], %(back)s::bigint[]) AS given(line_id, back) ON given.line_id = l.id
        UNION ALL SELECT order_id, line_id, fen FROM late
    ) sold
    LEFT JOIN (SELECT DISTINCT line_id FROM claim WHERE line_id IS NOT NULL) own ON own.line_id = sold.line_id
    WHERE sold.line_id NOT IN (SELECT line_id FROM marked WHERE NOT counts)
    GROUP BY sold.order_id, own.line_id
)
SELECT who::text, sum(fen)::bigint FROM (
    SELECT part.fen, jsonb_object_agg(c.role, c.holder ORDER BY c.line_id NULLS FIRST, c.id DESC) AS who
    FROM part JOIN claim c ON c.order_id = part.order_id AND (c.line_id IS NULL OR c.line_id = part.line_id)
    GROUP BY part.order_id, part.line_id, part.fen
) sales GROUP BY who HAVING sum(fen) <> 0 ORDER BY who
"""


# ── What came back ───────────────────────────────────────────────────────────────────────────────────────────────────
def _back_of(period: Period, until_closed: bool) -> dict[int, int]:
    """Line id → how much of it came back, of the lines sold in a period. What the feed says in sums needs no more
    than adding up; of orders where it speaks of pieces or of all so far, each refund is looked at.
    """
    since, until = midnight(period.starts_on), midnight(period.ends_on)
    before = period.closed_at if until_closed else None
    refunds = Refund.objects.filter(
        order__brand=period.brand_id, order__paid_at__gte=since, order__paid_at__lt=until, settled_at__isnull=False
    )
    if before is not None:
        refunds = refunds.filter(settled_at__lt=before)
    with connection.cursor() as cursor:
        cursor.execute(_IN_SUMS, [period.brand_id, since, until, before, before])
        back = dict(cursor.fetchall())
    others = refunds.filter(order__in=refunds.filter(fen=None).values("order"))
    return back | {line_id: came for line_id, _sign, came in _tallied(others, lambda _refund: True)}


_IN_SUMS = """
SELECT l.id, least(sum(r.fen), abs(l.paid_fen))::bigint
FROM retail_order o JOIN retail_refund r ON r.order_id = o.id
JOIN retail_orderline l ON l.order_id = o.id AND l.outer_line_id = r.outer_line_id
WHERE o.brand_id = %s AND o.paid_at >= %s AND o.paid_at < %s AND l.paid_fen <> 0
AND r.settled_at IS NOT NULL AND (%s::timestamptz IS NULL OR r.settled_at < %s)
GROUP BY l.id HAVING bool_and(r.fen IS NOT NULL)
"""


def _late(period: Period, taken: Sequence[Period]) -> dict[int, int]:
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
    if not known:
        return
    lines = lines_of(list({refund.order_id for refund in known if refund.order_id}))
    for order_id, of_order in groupby(known, key=lambda refund: refund.order_id):
        meant = [refund for refund in of_order if is_meant(refund)]
        for line_id, came in returns.tally(lines=lines.get(order_id or 0, []), refunds=meant).back.items():
            if came.paid_fen:
                yield line_id, -1 if came.paid_fen < 0 else 1, came.back
