"""What each type of lead is fired by: for each one query over the facts, of all members of a brand at once.

A query gives `member_id, source, product_id, said, score, expected_fen, version_id, expires_at, room`. `source` names
the thing that fired, so that the same thing fires once; `said` are the reasons, codes with their numbers
(`kinds.sentence`); `room` is how many of the type there may be for the clerk whose book they come
from, null where every one counts.
Parameters: those of `making`. Whether somebody is to be left alone is asked later, of all types alike (`sieve`).

Of stock we know what a channel tells: a product sold out counts as there again once it is `restocked`.
"""

from clerks.leads.kinds import K

_WANTED_DAYS = 60  # so long somebody still wants what they looked at
_OF_BRAND = "e.brand_id = %(brand)s AND e.member_id IS NOT NULL AND e.at <= %(now)s"
_NOT_BOUGHT_SINCE = """NOT EXISTS (SELECT FROM members_membership m JOIN members_purchase p ON p.membership_id = m.id
    WHERE m.brand_id = %(brand)s AND m.member_id = e.member_id AND p.paid_at >= e.at)"""
_HOURS = "(extract(epoch FROM %(now)s - e.at) / 3600)::int"
_UNSCORED = "NULL::float AS score, NULL::bigint AS expected_fen, NULL::bigint AS version_id"
_NO_ROOM = "NULL::int AS room"
_SOLD_OUT = """EXISTS (SELECT FROM members_event o WHERE o.brand_id = %(brand)s AND o.product_id = e.product_id
    AND o.kind = 'sold_out' AND o.at <= %(now)s AND NOT EXISTS (SELECT FROM members_event b
        WHERE b.brand_id = o.brand_id AND b.product_id = o.product_id AND b.kind = 'restocked'
        AND b.at > o.at AND b.at <= %(now)s))"""

# Somebody asked or answered, as a channel or WeCom tells, and nobody has spoken to them since.
_ASKED = f"""
SELECT DISTINCT ON (e.member_id) e.member_id, e.source, NULL::bigint AS product_id,
    jsonb_build_array(jsonb_build_object('code', e.kind, 'hours', {_HOURS})) AS said, {_UNSCORED},
    e.at + interval '24 hours' AS expires_at, {_NO_ROOM}
FROM (
    SELECT member_id, kind, at, 'asked:' || id AS source FROM members_event e
    WHERE {_OF_BRAND} AND kind IN ('asked', 'replied') AND at > %(now)s - interval '24 hours'
    UNION ALL
    SELECT t.member_id, 'replied', t.at, 'touch:' || t.id FROM clerks_touch t
    JOIN retail_store s ON s.id = t.store_id AND s.brand_id = %(brand)s
    WHERE t.purpose = 'reply' AND t.at > %(now)s - interval '24 hours' AND t.at <= %(now)s
) e
WHERE NOT EXISTS (SELECT FROM clerks_touch t WHERE t.member_id = e.member_id AND t.at > e.at
    AND t.purpose IN ('service', 'marketing'))
ORDER BY e.member_id, e.at DESC
"""
# Placed half an hour ago, neither closed nor paid.
_UNPAID = f"""
SELECT DISTINCT ON (e.member_id) e.member_id, 'unpaid:' || e.channel_id || ':' || e.outer_order_id AS source,
    e.product_id, jsonb_build_array(jsonb_strip_nulls(jsonb_build_object(
        'code', CASE WHEN e.product_id IS NULL THEN 'unpaid' ELSE 'unpaid_what' END, 'hours', {_HOURS},
        'fen', e.fen))) AS said,
    {_UNSCORED}, e.at + interval '24 hours' AS expires_at, {_NO_ROOM}
FROM members_event e
WHERE {_OF_BRAND} AND e.kind = 'order_placed' AND e.outer_order_id <> ''
    AND e.at > %(now)s - interval '24 hours' AND e.at <= %(now)s - interval '30 minutes'
    AND NOT EXISTS (SELECT FROM members_event c WHERE c.channel_id = e.channel_id AND c.kind = 'order_closed'
        AND c.outer_order_id = e.outer_order_id AND c.at >= e.at)
    AND NOT EXISTS (SELECT FROM retail_order o WHERE o.channel_id = e.channel_id
        AND o.outer_order_id = e.outer_order_id)
ORDER BY e.member_id, e.at DESC
"""
# In the cart or among the favourites, quiet for two hours, still to be had and not bought.
_CART = f"""
SELECT DISTINCT ON (e.member_id) e.member_id, 'cart:' || e.id AS source, e.product_id,
    jsonb_build_array(jsonb_build_object('code', e.kind, 'hours', {_HOURS})) AS said, {_UNSCORED},
    e.at + interval '3 days' AS expires_at, {_NO_ROOM}
FROM members_event e JOIN retail_product p ON p.id = e.product_id AND p.is_sold
WHERE {_OF_BRAND} AND e.kind IN ('cart', 'favourite') AND e.at > %(now)s - interval '3 days'
    AND NOT EXISTS (SELECT FROM members_event w WHERE w.member_id = e.member_id AND w.brand_id = e.brand_id
        AND w.kind IN ('cart', 'favourite', 'view') AND w.at > %(now)s - interval '2 hours' AND w.at <= %(now)s)
    AND NOT {_SOLD_OUT} AND {_NOT_BOUGHT_SINCE}
ORDER BY e.member_id, e.at DESC, e.id DESC
"""
# There again, or cheaper: what somebody put in a cart, among their favourites or looked at twice, and has not bought.
# A cart or a favourite says more than a look; of several products the one told last.
_STOCK = f"""
WITH news AS MATERIALIZED (
    SELECT n.id, n.kind, n.at, n.fen, n.product_id FROM members_event n
    JOIN retail_product p ON p.id = n.product_id AND p.brand_id = n.brand_id AND p.is_sold
    WHERE n.brand_id = %(brand)s AND n.kind IN ('restocked', 'price_cut') AND n.at > %(now)s - interval '3 days'
        AND n.at <= %(now)s
)
SELECT DISTINCT ON (e.member_id) e.member_id, 'stock:' || e.id || ':' || e.member_id AS source, e.product_id,
    jsonb_build_array(jsonb_strip_nulls(jsonb_build_object(
        'code', e.kind || '_' || e.wanted, 'fen', e.fen))) AS said, {_UNSCORED},
    e.at + interval '3 days' AS expires_at, {_NO_ROOM}
FROM (
    SELECT e.member_id, n.*, (array_agg(e.kind ORDER BY e.kind = 'view', e.at DESC))[1] AS wanted, min(e.at) AS since
    FROM news n JOIN members_event e ON e.product_id = n.product_id AND e.at <= n.at
        AND e.at > n.at - interval '{_WANTED_DAYS} days'
    WHERE {_OF_BRAND} AND e.at > %(now)s - interval '{_WANTED_DAYS + 3} days'
        AND e.kind IN ('cart', 'favourite', 'view')
    GROUP BY e.member_id, n.id, n.kind, n.at, n.fen, n.product_id
    HAVING bool_or(e.kind <> 'view') OR count(*) >= 2
) e
WHERE NOT {_SOLD_OUT} AND NOT EXISTS (SELECT FROM members_membership m
    JOIN members_purchase p ON p.membership_id = m.id AND p.paid_at >= e.since
    JOIN retail_orderline l ON l.order_id = p.order_id AND l.product_id = e.product_id AND l.qty > 0
    WHERE m.brand_id = %(brand)s AND m.member_id = e.member_id)
ORDER BY e.member_id, e.at DESC, e.id DESC
"""
# The same thing three times within a week, or a link of ours twice.
_VIEWED = f"""
SELECT DISTINCT ON (e.member_id) e.member_id, e.source, e.product_id,
    jsonb_build_array(jsonb_build_object('code', e.code, 'count', e.count, 'days',
        greatest(1, ceil(extract(epoch FROM e.at - e.first) / 86400))::int)) AS said, {_UNSCORED},
    e.at + interval '3 days' AS expires_at, {_NO_ROOM}
FROM (
    SELECT member_id, product_id, 'viewed' AS code, count(*), 'view:' || max(id) AS source, max(id) AS id,
        max(at) AS at, min(at) AS first
    FROM members_event e WHERE {_OF_BRAND} AND kind = 'view' AND product_id IS NOT NULL
        AND at > %(now)s - interval '7 days'
    GROUP BY 1, 2 HAVING count(*) >= 3
    UNION ALL
    SELECT member_id, NULL, 'reopened', count(*), 'view:' || max(id), max(id), max(at), min(at)
    FROM members_event e WHERE {_OF_BRAND} AND kind = 'view' AND share_code <> '' AND at > %(now)s - interval '7 days'
        AND NOT EXISTS (SELECT FROM materials_share s WHERE s.code = e.share_code)  -- is an opening as well
    GROUP BY 1, share_code HAVING count(*) >= 2
    UNION ALL
    SELECT o.member_id, max(s.product_id), 'reopened', count(*), 'opening:' || max(o.id), max(o.id), max(o.at),
        min(o.at)
    FROM materials_opening o JOIN materials_share s ON s.id = o.share_id AND s.brand_id = %(brand)s
    WHERE o.member_id IS NOT NULL AND o.at > %(now)s - interval '7 days' AND o.at <= %(now)s
    GROUP BY o.member_id, o.share_id HAVING count(*) >= 2
) e
WHERE e.at > %(now)s - interval '3 days' AND {_NOT_BOUGHT_SINCE}
ORDER BY e.member_id, e.at DESC, e.id DESC
"""
# Coupons and points whose last day is at most three days off. Of points those that no later lot can cover.
_EXPIRING = f"""
SELECT DISTINCT ON (e.member_id) e.member_id, e.source, NULL::bigint AS product_id,
    jsonb_build_array(e.said) AS said, {_UNSCORED}, e.expires_at, {_NO_ROOM}
FROM (
    SELECT m.member_id, 'coupon:' || c.id AS source, 1 AS place, c.valid_until AS expires_at,
        jsonb_build_object('code', 'coupon', 'name', t.name, 'in',
            ((c.valid_until - interval '1 second') AT TIME ZONE 'Asia/Shanghai')::date - %(today)s::date) AS said
    FROM members_coupon c JOIN members_coupontype t ON t.id = c.type_id AND t.brand_id = %(brand)s
    JOIN members_membership m ON m.id = c.membership_id
    WHERE c.state = 'issued' AND c.valid_until > %(now)s AND c.valid_until <= %(now)s + interval '3 days'
    UNION ALL
    SELECT m.member_id, 'points:' || m.id || ':' || p.day, 2,
        (p.day + 1)::timestamp AT TIME ZONE 'Asia/Shanghai',
        jsonb_build_object('code', 'points', 'count', m.points - p.later, 'in', p.day - %(today)s::date)
    FROM (
        SELECT membership_id, min(expires_on) FILTER (WHERE expires_on <= %(today)s::date + 3) AS day,
            coalesce(sum(points) FILTER (WHERE kind NOT IN ('burn', 'unburn', 'deduct', 'expire')
                AND (expires_on IS NULL OR expires_on > %(today)s::date + 3)), 0) AS later
        FROM members_pointsentry WHERE membership_id IN (SELECT membership_id FROM members_pointsentry
            WHERE expires_on BETWEEN %(today)s::date AND %(today)s::date + 3)
        AND (expires_on IS NULL OR expires_on >= %(today)s::date) GROUP BY 1
    ) p JOIN members_membership m ON m.id = p.membership_id AND m.brand_id = %(brand)s
    WHERE m.points - p.later >= 100
) e
ORDER BY e.member_id, e.place, e.expires_at, e.source
"""
# A birthday, or the day somebody joined, within three days. Who was born on 29 February has it on the 28th.
_DATE = f"""
SELECT DISTINCT ON (e.member_id) e.member_id,
    e.code || ':' || e.member_id || ':' || extract(year FROM e.day) AS source,
    NULL::bigint AS product_id, jsonb_build_array(jsonb_build_object('code', e.code, 'years', e.years,
        'in', e.day - %(today)s::date)) AS said,
    {_UNSCORED}, (e.day + 2)::timestamp AT TIME ZONE 'Asia/Shanghai' AS expires_at, {_NO_ROOM}
FROM (
    SELECT m.member_id, d.code, d.day, extract(year FROM age(d.day, d.origin))::int AS years
    FROM members_membership m JOIN members_member p ON p.id = m.member_id AND p.merged_into_id IS NULL,
    LATERAL (VALUES ('birthday', p.born_on, 1),
        ('anniversary', (m.registered_at AT TIME ZONE 'Asia/Shanghai')::date, 2)) o (code, origin, place),
    LATERAL (SELECT o.code, o.origin, (o.origin + make_interval(years => y))::date AS day
        FROM generate_series(extract(year FROM %(today)s::date)::int - extract(year FROM o.origin)::int,
            extract(year FROM %(today)s::date)::int - extract(year FROM o.origin)::int + 1) y) d
    WHERE m.brand_id = %(brand)s AND o.origin IS NOT NULL AND m.first_purchase_at IS NOT NULL
        AND d.day BETWEEN %(today)s::date AND %(today)s::date + 3
) e WHERE e.years > 0 OR e.code = 'birthday'
ORDER BY e.member_id, e.code DESC
"""
# A week after the first purchase of somebody who kept it.
_AFTER_SALE = f"""
SELECT e.member_id, 'first:' || e.order_id AS source, l.product_id,
    jsonb_build_array(jsonb_build_object('code', 'after_sale', 'days',
        extract(day FROM %(now)s - e.paid_at)::int)) AS said,
    {_UNSCORED}, e.paid_at + interval '14 days' AS expires_at, {_NO_ROOM}
FROM (
    SELECT m.member_id, p.order_id, p.paid_at FROM members_membership m
    JOIN members_purchase p ON p.membership_id = m.id AND p.is_first AND p.net_fen > 0
    WHERE m.brand_id = %(brand)s AND m.first_purchase_at > %(now)s - interval '10 days'
        AND p.paid_at <= %(now)s - interval '7 days' AND p.paid_at > %(now)s - interval '10 days'
) e, LATERAL (SELECT product_id FROM retail_orderline WHERE order_id = e.order_id AND qty > 0
    ORDER BY paid_fen DESC, id LIMIT 1) l
"""
# Watched for five minutes and ordered nothing.
_LIVE = f"""
SELECT DISTINCT ON (e.member_id) e.member_id, 'live:' || e.id AS source, e.product_id,
    jsonb_build_array(jsonb_build_object('code', 'live', 'minutes', e.seconds / 60)) AS said, {_UNSCORED},
    e.at + interval '2 days' AS expires_at, {_NO_ROOM}
FROM members_event e
WHERE {_OF_BRAND} AND e.kind = 'live_watch' AND e.seconds >= 300 AND e.at > %(now)s - interval '2 days'
    AND {_NOT_BOUGHT_SINCE}
ORDER BY e.member_id, e.at DESC, e.id DESC
"""

# ── The best of each clerk's book ────────────────────────────────────────────────────────────────────────────────────
# How many more customers each clerk can take today: `rules.most` less those with an open lead, whoever is held out.
ROOM = """
room AS MATERIALIZED (
    SELECT b.staff_id, greatest(0, greatest(%(clerk_least)s, least(%(clerk_most)s,
        b.reachable * %(book_ppm)s / 1000000)) - b.busy)::int AS free
    FROM (SELECT c.staff_id, count(*) AS reachable, count(o.member_id) AS busy
        FROM clerks_customer c LEFT JOIN (SELECT DISTINCT member_id FROM leads_lead WHERE brand_id = %(brand)s
            AND closed_at IS NULL AND contacted_at IS NULL) o ON o.member_id = c.member_id
        WHERE c.brand_id = %(brand)s AND c.is_friend AND NOT c.is_lost GROUP BY 1) b
)"""
# Twice the room and some: of those who come first, some are to be left alone.
_BEST = f"""
WITH {ROOM}, best AS (
    SELECT c.staff_id, c.member_id, s.score, s.expected_fen, s.version_id, s.scored_on, s.reasons, p.orders, p.last_at,
        room.free, row_number() OVER (PARTITION BY c.staff_id ORDER BY s.score DESC, c.member_id) AS place
    FROM leads_score s JOIN clerks_customer c ON c.brand_id = s.brand_id AND c.member_id = s.member_id
    JOIN room ON room.staff_id = c.staff_id AND room.free > 0
    JOIN members_membership m ON m.brand_id = s.brand_id AND m.member_id = s.member_id
    JOIN members_profile p ON p.membership_id = m.id
    WHERE s.brand_id = %(brand)s AND c.is_friend AND NOT c.is_lost AND {{who}}
)
SELECT member_id, '{{name}}:' || member_id || ':' || scored_on AS source, NULL::bigint AS product_id,
    {{said}} AS said, score, expected_fen, version_id,
    %(now)s + interval '{{days}} days' AS expires_at, {{room}} AS room
FROM best WHERE place <= 2 * free + 5
"""
_SINCE = "extract(day FROM %(now)s - last_at)::int"
_LIKELY = _BEST.format(
    name="likely",
    days=7,
    who="s.band IN ('high', 'middle') AND m.last_purchase_at <= %(now)s - make_interval(days => %(fresh_days)s)"
    " AND m.last_purchase_at > %(now)s - make_interval(days => %(dormant_days)s)",
    # One place of four is left for those who sleep.
    room="free - free / 4",
    said="reasons",  # what stands out of them, by the model (`reasons`)
)
_DORMANT = _BEST.format(
    name="dormant",
    days=14,
    who="s.band <> 'none' AND m.last_purchase_at <= %(now)s - make_interval(days => %(dormant_days)s)",
    room="free",
    said=f"""jsonb_build_array(jsonb_build_object('code', 'slept', 'since', {_SINCE}, 'count', orders),
        CASE WHEN expected_fen > 0 THEN jsonb_build_object('code', 'spends', 'fen', expected_fen) END)""",
)
FOUND: dict[str, str] = {
    str(K.ASKED): _ASKED,
    str(K.UNPAID): _UNPAID,
    str(K.CART): _CART,
    str(K.STOCK): _STOCK,
    str(K.VIEWED): _VIEWED,
    str(K.EXPIRING): _EXPIRING,
    str(K.DATE): _DATE,
    str(K.AFTER_SALE): _AFTER_SALE,
    str(K.LIKELY): _LIKELY,
    str(K.DORMANT): _DORMANT,
    str(K.LIVE): _LIVE,
}
# Who would have come first but bought too lately: nobody is woken who is awake.
_AWAKE = """
SELECT count(*) FROM leads_score s JOIN clerks_customer c ON c.brand_id = s.brand_id AND c.member_id = s.member_id
JOIN members_membership m ON m.brand_id = s.brand_id AND m.member_id = s.member_id
WHERE s.brand_id = %(brand)s AND c.is_friend AND NOT c.is_lost AND {who}
"""
AWAKE: dict[str, str] = {
    str(K.LIKELY): _AWAKE.format(
        who="s.band IN ('high', 'middle') AND m.last_purchase_at > %(now)s - make_interval(days => %(fresh_days)s)"
    ),
    str(K.DORMANT): _AWAKE.format(
        who="s.band <> 'none' AND m.last_purchase_at > %(now)s - make_interval(days => %(dormant_days)s)"
    ),
}
