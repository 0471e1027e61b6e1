"""Who acts on a lead: the clerk nearest to the customer, else somebody of their store.

    专属导购 → 30 天内的分享链接 → 企业微信好友 → 半年内的前任导购 → the store's pool, dealt out by fewest open leads

Whoever that is and has left, or is on no shift today, leaves the lead to the pool of their store, where colleagues
may claim it (`dealing.claim`).
"""

from datetime import datetime
from typing import Any

from django.db import connection

from clerks.leads import rules
from retail.models import Brand

# SQL: `near`, the nearest person or place of `member`, and `at_work`, the store of the brand they work in now.
OF_MEMBER = """
LEFT JOIN LATERAL (
    SELECT c.* FROM (
        SELECT b.staff_id, b.store_id, 1 AS place, b.started_at AS at FROM clerks_binding b
        WHERE b.brand_id = %(brand)s AND b.member_id = {member} AND b.ended_at IS NULL
        UNION ALL
        SELECT s.id, NULL, 2, e.at FROM members_event e JOIN retail_staff s ON s.share_code = e.share_code
        WHERE e.brand_id = %(brand)s AND e.member_id = {member} AND e.share_code <> ''
            AND e.at > %(now)s - interval '30 days' AND e.at <= %(now)s
        UNION ALL
        SELECT h.staff_id, NULL, 2, e.at FROM members_event e
        JOIN materials_share h ON h.code = e.share_code AND h.brand_id = e.brand_id
        WHERE e.brand_id = %(brand)s AND e.member_id = {member} AND e.share_code <> ''
            AND e.at > %(now)s - interval '30 days' AND e.at <= %(now)s
        UNION ALL
        SELECT h.staff_id, NULL, 2, o.at FROM materials_opening o
        JOIN materials_share h ON h.id = o.share_id AND h.brand_id = %(brand)s
        WHERE o.member_id = {member} AND o.at > %(now)s - interval '30 days' AND o.at <= %(now)s
        UNION ALL
        SELECT w.staff_id, w.store_id, 3, w.since FROM clerks_friend w
        WHERE w.member_id = {member} AND w.corp = %(corp)s AND w.state = 'friend' AND w.staff_id IS NOT NULL
        UNION ALL
        SELECT b.staff_id, b.store_id, 4, b.ended_at FROM clerks_binding b
        WHERE b.brand_id = %(brand)s AND b.member_id = {member} AND b.ended_at > %(now)s - interval '180 days'
        UNION ALL
        SELECT NULL, coalesce(p.last_store_id, m.registered_store_id), 5, NULL
        FROM members_membership m LEFT JOIN members_profile p ON p.membership_id = m.id
        WHERE m.brand_id = %(brand)s AND m.member_id = {member}
    ) c LEFT JOIN retail_store s ON s.id = c.store_id
    WHERE c.staff_id IS NOT NULL OR (s.brand_id = %(brand)s AND s.is_open)
    ORDER BY c.place, c.at DESC NULLS LAST LIMIT 1
) near ON true
LEFT JOIN LATERAL (
    SELECT post.staff_id, post.store_id FROM retail_post post
    JOIN retail_store s ON s.id = post.store_id AND s.brand_id = %(brand)s
    WHERE post.staff_id = near.staff_id AND post.starts_at <= %(now)s
        AND (post.ends_at IS NULL OR post.ends_at > %(now)s)
        AND NOT (EXISTS (SELECT FROM clerks_shift h WHERE h.staff_id = post.staff_id)
            AND NOT EXISTS (SELECT FROM clerks_shift h WHERE h.staff_id = post.staff_id
                AND strpos(h.weekdays, %(weekday)s) > 0))
    ORDER BY post.role, post.id LIMIT 1
) at_work ON true
"""
COLUMNS = "at_work.staff_id, coalesce(at_work.store_id, near.store_id) AS store_id"

# Of each store the leads of nobody, the first first, meet the free places of its clerks: who has fewest open leads
# takes the next one, and of two the one with the smaller book.
_DEAL_OUT = """
WITH loose AS MATERIALIZED (
    SELECT id, store_id, row_number() OVER (PARTITION BY store_id ORDER BY rank, score DESC NULLS LAST, id) AS turn
    FROM leads_lead WHERE brand_id = %(brand)s AND closed_at IS NULL AND staff_id IS NULL AND left_staff_id IS NULL
        AND expires_at > %(now)s AND (state IN ('new', 'viewed', 'withheld'))
), clerks AS (
    SELECT p.store_id, p.staff_id,
        (SELECT count(DISTINCT l.member_id) FROM leads_lead l WHERE l.staff_id = p.staff_id AND l.closed_at IS NULL
            AND l.contacted_at IS NULL) AS busy,
        (SELECT count(*) FROM clerks_customer c WHERE c.staff_id = p.staff_id AND c.brand_id = %(brand)s) AS book
    FROM retail_post p
    WHERE p.store_id IN (SELECT store_id FROM loose) AND p.role = 'clerk' AND p.starts_at <= %(now)s
        AND (p.ends_at IS NULL OR p.ends_at > %(now)s)
        AND NOT (EXISTS (SELECT FROM clerks_shift h WHERE h.staff_id = p.staff_id)
            AND NOT EXISTS (SELECT FROM clerks_shift h WHERE h.staff_id = p.staff_id
                AND strpos(h.weekdays, %(weekday)s) > 0))
), places AS (
    SELECT store_id, staff_id, row_number() OVER (PARTITION BY store_id ORDER BY place, book, staff_id) AS turn
    FROM clerks, generate_series(busy + 1, %(clerk_most)s) place
)
UPDATE leads_lead l SET staff_id = places.staff_id, owned_at = %(now)s
FROM loose JOIN places ON places.store_id = loose.store_id AND places.turn = loose.turn
WHERE l.id = loose.id
"""


def deal_out(*, brand: Brand, now: datetime) -> int:
    """Give what nobody has to the clerks of its store; how many. What finds no free place stays to be claimed."""
    policy = rules.of(brand)
    weekday = str(now.astimezone(rules.SHANGHAI).isoweekday())
    asked: dict[str, Any] = {"brand": brand.pk, "now": now, "clerk_most": policy.clerk_most, "weekday": weekday}
    with connection.cursor() as cursor:
        cursor.execute(_DEAL_OUT, asked)
        return cursor.rowcount
