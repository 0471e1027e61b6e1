"""Who is left alone, and why: the same questions for a lead that is to be made, one that is shown, and one contacted.

What a customer said or did stops everything, also what they began themselves. How often they were contacted, and how
lately, stops only what they have not asked for.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.utils.translation import gettext_lazy as _

from clerks.leads import rules
from clerks.leads.models import Lead, LeadPolicy
from retail.models import Brand

UPSET = timedelta(days=30)  # after a complaint
RETURNING = timedelta(days=7)  # after something was given back: it is still being dealt with

# Why there is none, in words for a clerk and for headquarters.
WORDS = {
    "stopped": _("顾客说过不要推销"),
    "unprofiled": _("顾客不要个性化推荐"),
    "forgotten": _("顾客要求过抹去资料"),
    "lost": _("顾客删除了导购"),
    "complained": _("最近投诉过"),
    "refunding": _("正在退货退款"),
    "often": _("这几天已经联系够了"),
    "resting": _("刚联系过，先歇几天"),
    "open": _("已经有这类线索"),
    "awake": _("最近买过"),
    "nobody": _("没有导购或门店可以跟进"),
    "full": _("导购今天的名额满了"),
    "off": _("这一类线索停用了"),
}

# SQL: what stops everything for `member` (a column); null where nothing does. Parameters of `given`.
STOP = """CASE
WHEN EXISTS (SELECT FROM members_stop s WHERE s.member_id = {member} AND s.lifted_at IS NULL AND s.corp = %(corp)s
    AND s.channel IN ('', 'wecom') AND (s.purpose = '' OR s.purpose = CASE WHEN {service} THEN 'service'
        ELSE 'marketing' END)) THEN 'stopped'
WHEN NOT {service} AND EXISTS (SELECT FROM members_stop s WHERE s.member_id = {member} AND s.lifted_at IS NULL
    AND s.purpose = 'profiling') THEN 'unprofiled'
WHEN EXISTS (SELECT FROM members_identity i JOIN retail_buyerkey k ON k.id = i.key_id
    JOIN retail_suppression u ON u.hmac = k.hmac WHERE i.member_id = {member}) THEN 'forgotten'
WHEN EXISTS (SELECT FROM clerks_binding b WHERE b.member_id = {member} AND b.brand_id = %(brand)s
    AND b.ended_at IS NULL AND b.lost_at IS NOT NULL) THEN 'lost'
WHEN EXISTS (SELECT FROM members_event e WHERE e.member_id = {member} AND e.brand_id = %(brand)s
    AND e.kind = 'complained' AND e.at > %(upset_since)s AND e.at <= %(now)s) THEN 'complained'
WHEN EXISTS (SELECT FROM members_membership m JOIN members_purchase p ON p.membership_id = m.id
    JOIN retail_refund r ON r.order_id = p.order_id
    WHERE m.member_id = {member} AND m.brand_id = %(brand)s AND r.refunded_at > %(returning_since)s
    AND r.refunded_at <= %(now)s) THEN 'refunding'
END"""
_CONTACTS = """(SELECT count(*) FROM clerks_touch t WHERE t.member_id = {{member}} AND t.corp = %(corp)s
    AND t.purpose = 'marketing' AND t.at > %(now)s - interval '{days} days') >= %({most})s"""
# SQL: what stops only what they have not asked for. `rest`: days, a parameter of `making`.
OFTEN = " OR ".join(_CONTACTS.format(days=days, most=most) for days, most in ((1, "day"), (7, "week"), (30, "month")))
RESTING = """EXISTS (SELECT FROM clerks_touch t WHERE t.member_id = {member} AND t.corp = %(corp)s
    AND t.purpose = 'marketing' AND t.at > %(now)s - make_interval(days => %(rest)s))
OR EXISTS (SELECT FROM leads_lead l WHERE l.member_id = {member} AND l.brand_id = %(brand)s AND l.kind = %(kind)s
    AND l.closed_at > %(now)s - make_interval(days => %(rest)s))"""


def given(*, brand: Brand, policy: LeadPolicy, now: datetime) -> dict[str, Any]:
    """The parameters that these questions and those of `triggers` have in common."""
    return {
        "brand": brand.pk,
        "corp": brand.corp,
        "now": now,
        "today": rules.day_of(now),
        "upset_since": now - UPSET,
        "returning_since": now - RETURNING,
        "day": policy.per_day,
        "week": policy.per_week,
        "month": policy.per_month,
        "fresh_days": policy.fresh_days,
        "dormant_days": policy.dormant_days,
        "clerk_most": policy.clerk_most,
        "clerk_least": policy.clerk_least,
        "book_ppm": policy.book_ppm,
    }


_WHY = f"""
SELECT coalesce({STOP.format(member="w.id", service="false")}, CASE WHEN {OFTEN.format(member="w.id")} THEN 'often'
    WHEN EXISTS (SELECT FROM clerks_touch t WHERE t.member_id = w.id AND t.corp = %(corp)s
        AND t.purpose = 'marketing' AND t.at > %(now)s - make_interval(days => %(rest)s)) THEN 'resting' END)
FROM (SELECT %(member)s::bigint AS id) w
"""


def why(*, brand: Brand, member_id: int, now: datetime) -> str:
    """Why a customer gets no lead now: a key of `WORDS`, "" where nothing stands in the way. One statement."""
    policy = rules.of(brand)
    if not policy.is_on:
        return "off"
    asked = {**given(brand=brand, policy=policy, now=now), "member": member_id, "rest": policy.rest_days}
    with connection.cursor() as cursor:
        cursor.execute(_WHY, asked)
        return cursor.fetchone()[0] or ""


_LEFT_ALONE = f"""
SELECT l.id FROM leads_lead l
WHERE l.id = ANY(%(leads)s) AND {STOP.format(member="l.member_id", service="(l.rank <= 2)")} IS NOT NULL
"""


def left_alone(*, brand: Brand, leads: Iterable[Lead], now: datetime) -> set[int]:
    """Of these leads those whose customer is to be left alone by now. One statement."""
    asked = given(brand=brand, policy=rules.of(brand), now=now)
    with connection.cursor() as cursor:
        cursor.execute(_LEFT_ALONE, {**asked, "leads": [lead.pk for lead in leads]})
        return {pk for (pk,) in cursor.fetchall()}
