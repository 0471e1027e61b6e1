"""What companies owe each other for a period, reckoned from its entries when it is closed.

A clerk is paid by the company they work for. Where another company took the money of the sale, that one makes it good,
as the terms of the brand say: the commission itself (recharge), or a share of the net sale to the company of the
clerk whose customer it was. Every order keeps what held when it was first booked; what a refund takes back later is
booked, with the opposite sign, in the period the refund is booked in.

All of it is set against set over the entries of the period: nothing is written while orders are settled.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Prefetch

from commissions.models import CompanyAccount, PayTerms, Period, Statement
from commissions.returns import tally
from retail.models import Order, OrderLine, Refund, Store


def reckon(*, period: Period, terms: PayTerms, statements: Sequence[Statement], now: datetime) -> None:
    """The account of every company in a period that is being closed, and the legs between them."""
    stores = Store._base_manager.filter(brand=period.brand_id, franchisee__isnull=False)
    is_one_company = all(row.payer_id is None for row in statements) and not stores.exists()
    given: dict[str, Any] = {
        "period": period.pk,
        "mode": str(terms.between),
        "ppm": terms.between_ppm,
        "now": now,
        # Its entries are read for nothing where there is but one company.
        "booked": None if is_one_company else period.pk,
    }
    with connection.cursor() as cursor:
        shared: list[tuple[int]] = []
        if _ever_shares(period, terms):
            cursor.execute(_SHARED, given)
            shared = cursor.fetchall()
        given["net"] = json.dumps(_net_sales([order_id for (order_id,) in shared]))
        cursor.execute(_RECKON, given)


def _ever_shares(period: Period, terms: PayTerms) -> bool:
    """Whether any order of the brand can be one whose net sale is shared: by the terms of now, or of back then."""
    accounts = CompanyAccount._base_manager.filter(period__brand=period.brand_id)
    return terms.between == PayTerms.Between.SHARE or accounts.filter(terms=PayTerms.Between.SHARE).exists()


def _net_sales(order_ids: Sequence[int]) -> list[dict[str, int]]:
    """What is left of orders after all refunds known by now."""
    found = []
    for start in range(0, len(order_ids), _CHUNK):
        some = Order._base_manager.filter(pk__in=order_ids[start : start + _CHUNK])
        for order in some.prefetch_related(
            Prefetch("lines", OrderLine._base_manager.all()), Prefetch("refunds", Refund._base_manager.all())
        ):
            back = tally(lines=order.lines.all(), refunds=order.refunds.all()).back
            fen = sum(_left(line.paid_fen, back[line.pk].back if line.pk in back else 0) for line in order.lines.all())
            found.append({"order_id": order.pk, "fen": fen})
    return found


def _left(paid_fen: int, back: int) -> int:
    """Of a line, towards 0 from either side; nothing of a gift."""
    return (paid_fen > 0) * (paid_fen - back) + (paid_fen < 0) * (paid_fen + back)


_CHUNK = 2_000

# `sales`: the orders of the period, and who took the money: the company that owned the store then, as its claims
# remember, else as it is today; the brand's own (0) where there is no store. `terms`: what is agreed, or was in the
# period in which the order was first booked. `bound`: whose customer it was.
_SALES = """
WITH paid AS (
    SELECT order_id, coalesce(payer_id, 0) AS payer, sum(fen)::bigint AS fen, bool_and(kind = 'earn') AS is_new
    FROM commissions_entry
    WHERE period_booked_id = %(booked)s AND staff_id IS NOT NULL AND order_id IS NOT NULL GROUP BY 1, 2
), sales AS (
    SELECT o.id, coalesce(CASE WHEN claim.is_known THEN claim.payer_id ELSE store.franchisee_id END, 0) AS seller
    FROM retail_order o LEFT JOIN retail_store store ON store.id = o.store_id
    LEFT JOIN LATERAL (
        SELECT true AS is_known, c.payer_id FROM commissions_claimrow c
        WHERE c.order_id = o.id AND c.store_id = o.store_id ORDER BY c.revision DESC, c.id LIMIT 1
    ) claim ON true
    WHERE o.id IN (SELECT order_id FROM paid)
), before AS (
    SELECT DISTINCT ON (e.order_id) e.order_id, p.id AS period_id
    FROM commissions_entry e JOIN commissions_period p ON p.id = e.period_booked_id AND p.status = 'closed'
    WHERE e.order_id IN (SELECT order_id FROM paid WHERE NOT is_new) AND e.staff_id IS NOT NULL
    ORDER BY e.order_id, p.starts_on
), agreed AS (
    SELECT period_id, min(terms) AS terms, max(ppm) AS ppm FROM commissions_companyaccount
    WHERE period_id IN (SELECT period_id FROM before) GROUP BY 1
), terms AS (
    SELECT sales.id, seller,
        CASE WHEN before.order_id IS NULL THEN %(mode)s ELSE coalesce(agreed.terms, 'nothing') END AS mode,
        CASE WHEN before.order_id IS NULL THEN %(ppm)s ELSE agreed.ppm END AS ppm
    FROM sales LEFT JOIN before ON before.order_id = sales.id LEFT JOIN agreed USING (period_id)
), bound AS (
    SELECT DISTINCT ON (c.order_id) c.order_id, coalesce(c.payer_id, 0) AS company FROM commissions_claimrow c
    JOIN terms ON terms.id = c.order_id AND terms.mode = 'share'
    WHERE c.role = 'bound' AND c.staff_id IS NOT NULL ORDER BY c.order_id, c.revision DESC, c.id
)
"""
_SHARED = (
    _SALES
    + "SELECT terms.id FROM terms JOIN bound ON bound.order_id = terms.id WHERE bound.company <> seller ORDER BY 1"
)
# `owed`: who (debtor) owes whom (creditor) how much for which order, by what held when the order first came up.
_RECKON = (
    _SALES
    + """, net AS (
    SELECT * FROM jsonb_to_recordset(%(net)s) AS net(order_id bigint, fen bigint)
), owed AS (
    SELECT terms.id AS order_id, 'recharge' AS kind, seller AS debtor, paid.payer AS creditor, paid.fen
    FROM terms JOIN paid ON paid.order_id = terms.id WHERE mode = 'recharge' AND paid.payer <> seller
    UNION ALL
    SELECT terms.id, 'share', seller, bound.company,
        round(net.fen * ppm / 1000000.0)::bigint - coalesce((
            SELECT sum(leg.fen) FROM commissions_companyleg leg
            JOIN commissions_companyaccount a ON a.id = leg.account_id
            WHERE leg.order_id = terms.id AND coalesce(a.company_id, 0) = bound.company
        ), 0)::bigint
    FROM terms JOIN bound ON bound.order_id = terms.id JOIN net ON net.order_id = terms.id
    WHERE mode = 'share' AND bound.company <> seller
), sides AS (
    SELECT order_id, kind, creditor AS company, debtor AS other, fen FROM owed WHERE fen <> 0
    UNION ALL
    SELECT order_id, kind, debtor, creditor, -fen FROM owed WHERE fen <> 0
), companies AS (
    SELECT company, sum(people) AS people, sum(net_fen) AS net_fen, sum(pay_fen) AS pay_fen,
        sum(between_fen) AS between_fen
    FROM (
        SELECT coalesce(payer_id, 0) AS company, count(*) AS people, sum(net_fen) AS net_fen, sum(pay_fen) AS pay_fen,
            0 AS between_fen
        FROM commissions_statement WHERE period_id = %(period)s GROUP BY 1
        UNION ALL SELECT company, 0, 0, 0, sum(fen) FROM sides GROUP BY 1
    ) parts GROUP BY 1
), accounts AS (
    INSERT INTO commissions_companyaccount
        (period_id, company_id, people, net_fen, pay_fen, between_fen, terms, ppm, made_at)
    SELECT %(period)s, nullif(company, 0), people, net_fen, pay_fen, between_fen, %(mode)s, %(ppm)s, %(now)s
    FROM companies ORDER BY company
    RETURNING id, coalesce(company_id, 0) AS company
)
INSERT INTO commissions_companyleg (account_id, other_id, order_id, kind, fen, made_at)
SELECT accounts.id, nullif(other, 0), order_id, kind, fen, %(now)s FROM sides JOIN accounts USING (company)
ORDER BY order_id, kind, accounts.id
"""
)
