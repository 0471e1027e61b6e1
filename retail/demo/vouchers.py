"""Coupons of the demo: those that orders of the year name, from headquarters or the buyer's clerk, and others.

They are there before the year is settled, so whatever became of them is the product's own work. A few of the codes
orders name are nobody's, another's or too old: what then happens is seen, too.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from members import coupons
from members.coupons import giving
from members.models import Coupon, CouponType
from retail.demo import logins, seasons
from retail.models import Brand, User

_TYPES: list[dict[str, Any]] = [
    {"code": "M50", "name": "满 300 减 50", "kind": "amount", "off_fen": 5_000, "floor_fen": 30_000, "per_member": 3},
    {"code": "M150", "name": "满 1000 减 150", "kind": "amount", "off_fen": 15_000, "floor_fen": 100_000},
    {"code": "B90", "name": "生日月九折券", "kind": "percent", "off_ppm": 100_000, "per_member": 2},
    {"code": "G1", "name": "到店礼：香薰小样", "kind": "gift", "gift": "香薰小样", "channel_codes": []},
]
# Why a code of an order has no good coupon behind it: one in so many.
_NOBODYS, _ANOTHERS, _TOO_OLD = 50, 60, 40

_USED = """
WITH named AS (
    SELECT o.coupons[1] AS code, o.paid_at, o.paid_fen, o.brand_id, m.id AS membership_id, m.member_id,
        abs(hashtext(o.coupons[1])) AS dice
    FROM retail_order o JOIN members_identity i ON i.key_id = o.buyer_keys[1]
    JOIN members_membership m ON m.member_id = i.member_id AND m.brand_id = o.brand_id
    WHERE o.coupons <> '{}'
), typed AS (
    SELECT n.*, t.id AS type_id, t.lives_days,
        n.paid_at - make_interval(days => 1 + mod(dice, 12) + CASE WHEN mod(dice, %(too_old)s) = 0 THEN 40 ELSE 0 END)
            AS at,
        lead(membership_id) OVER (PARTITION BY n.brand_id ORDER BY code) AS other_id
    FROM named n CROSS JOIN LATERAL (
        SELECT id, lives_days FROM members_coupontype
        WHERE brand_id = n.brand_id AND floor_fen <= n.paid_fen ORDER BY hashtext(code || n.code) LIMIT 1
    ) AS t WHERE mod(dice, %(nobodys)s) > 0
), held AS (
    SELECT *, CASE WHEN other_id IS NOT NULL AND mod(dice, %(anothers)s) = 7 THEN other_id ELSE membership_id END
        AS holder
    FROM typed
)
INSERT INTO members_coupon (type_id, membership_id, code, state, issued_at, claimed_at, valid_from, valid_until,
    issued_by_id, store_id, uses)
SELECT type_id, holder, held.code, 'issued', at, at, day, day + make_interval(days => lives_days),
    b.staff_id, b.store_id, 0
FROM held
CROSS JOIN LATERAL (SELECT date_trunc('day', at, 'Asia/Shanghai') AS day) AS began
LEFT JOIN clerks_binding b ON b.member_id = held.member_id AND b.brand_id = held.brand_id AND b.ended_at IS NULL
    AND b.started_at < held.at AND mod(dice, 3) > 0
ORDER BY at
"""
_UNUSED = """
INSERT INTO members_coupon (type_id, membership_id, code, state, issued_at, claimed_at, valid_from, valid_until,
    issued_by_id, store_id, uses)
SELECT t.id, m.id, upper(left(md5('unused' || m.id), 16)), 'issued', at, at, day,
    day + make_interval(days => t.lives_days), b.staff_id, b.store_id, 0
FROM members_membership m
CROSS JOIN LATERAL (
    SELECT abs(hashtext('coupon' || m.id)) AS dice
) AS thrown
CROSS JOIN LATERAL (
    SELECT id, lives_days FROM members_coupontype WHERE brand_id = m.brand_id ORDER BY hashtext(code || m.id) LIMIT 1
) AS t
CROSS JOIN LATERAL (
    SELECT %(now)s::timestamptz - make_interval(days => mod(dice, 60), mins => mod(dice, 700)) AS at
) AS given
CROSS JOIN LATERAL (SELECT date_trunc('day', at, 'Asia/Shanghai') AS day) AS began
LEFT JOIN clerks_binding b ON b.member_id = m.member_id AND b.brand_id = m.brand_id AND b.ended_at IS NULL
    AND b.started_at < at AND mod(dice, 4) > 0
WHERE mod(dice, 25) = 0 AND m.registered_at < at
ORDER BY at
"""
_COUNTED = """
INSERT INTO members_couponmove (coupon_id, state, at, reason, noted_at)
SELECT id, 'issued', issued_at, '', issued_at FROM members_coupon ORDER BY id;
INSERT INTO members_couponquota (type_id, staff_id, store_id, "limit", given)
SELECT type_id, issued_by_id, max(store_id), 10 * (1 + count(*) / 8), count(*) FROM members_coupon
WHERE issued_by_id IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2;
UPDATE members_coupontype t SET issued = n.made
FROM (SELECT type_id, count(*) AS made FROM members_coupon GROUP BY 1) AS n WHERE n.type_id = t.id
"""


def write(*, brands: Iterable[Brand], now: datetime) -> None:
    """The types, and the coupons in the hands of members; after the orders and the bindings, before settling."""
    since = seasons.midnight(now) - timedelta(days=seasons.YEAR + 90)
    CouponType.objects.bulk_create(
        CouponType(brand=brand, starts_at=since, **fields) for brand in brands for fields in _TYPES
    )
    with connection.cursor() as cursor:
        cursor.execute(_USED, {"too_old": _TOO_OLD, "nobodys": _NOBODYS, "anothers": _ANOTHERS})
        cursor.execute(_UNUSED, {"now": now})
        cursor.execute(_COUNTED)


def finish(*, brands: Iterable[Brand], now: datetime) -> None:
    """What time and people end, and codes nobody has claimed yet."""
    coupons.expire(now=now)
    person = User.objects.get(username=logins.HQ_OPS.username)
    for brand in brands:
        mistaken = Coupon.objects.filter(type__brand=brand, state=Coupon.State.ISSUED).order_by("-pk")[:3]
        for coupon in mistaken:
            coupons.void(coupon=coupon, reason="活动名单弄错了", by=person, now=now)
        printed = CouponType.objects.create(
            brand=brand, code="P20", name="会刊印刷券：满 200 减 20", kind="amount", off_fen=2_000, floor_fen=20_000,
            starts_at=now - timedelta(days=20), ends_at=now + timedelta(days=40), limit=200,
        )  # fmt: skip
        giving.take_codes(type=printed, codes=[giving.new_code() for _n in range(20)], by=person, now=now)
