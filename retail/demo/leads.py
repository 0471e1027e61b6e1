"""Leads of the demo: what customers of its clerk did this morning, what became of the leads of the last two months.

The past is written straight down, by the numbers of the members: whom it would have concerned, who was held out, who
was contacted. Whether they bought is what their orders say. Today's leads are made as they always are.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import connection

from clerks.leads import holdout, making, rules, scoring, training
from clerks.leads.models import LeadPolicy
from clerks.models import Binding
from members import behaviour
from members.models import Event
from retail.demo import copying, logins
from retail.models import Brand, BuyerKey, Channel, Product

PAST_DAYS = 60
LEAST = 8  # customers a day: with so few as are in WeCom here, one in a hundred would be none


class _Did(NamedTuple):
    """What one customer of the clerk did, so many hours ago: `times` in all, a day apart."""

    kind: str
    hours: float
    times: int = 1
    seconds: int | None = None


_THIS_MORNING = (
    _Did("asked", 0.7),
    _Did("order_placed", 1.6),
    _Did("cart", 4),
    _Did("view", 3, times=4),
    _Did("live_watch", 13, seconds=760),
    _Did("favourite", 80),  # and it is back since this morning
)


can_learn = training.is_possible


def learn(*, now: datetime) -> None:
    """From what was bought and looked at until some weeks ago; needs nothing else."""
    training.train_all(as_of=rules.day_of(now), now=now)


def run(*, now: datetime) -> None:
    _this_morning(now)
    scoring.score_all(as_of=rules.day_of(now), now=now)
    for brand in Brand._base_manager.order_by("pk"):
        LeadPolicy._base_manager.get_or_create(brand=brand, defaults={"clerk_least": LEAST})
        _past(brand, now)
        copying.analyze("leads")
        making.make_all(brand=brand, now=now, is_daily=True)


def _this_morning(now: datetime) -> None:
    """Each of some customers did one thing; they are among those who are in WeCom."""
    mine = Binding._base_manager.filter(staff__user__username=logins.CLERK.username, ended_at=None, lost_at=None)
    known = mine.filter(member__identities__key__type=BuyerKey.Type.EXTERNAL_USERID).distinct()
    some = list(known.order_by("-started_at")[: len(_THIS_MORNING)])
    if not some:
        return
    brand_id = some[0].brand_id
    shelf = list(Product._base_manager.filter(brand=brand_id, is_sold=True).order_by("pk")[: len(_THIS_MORNING)])
    channel = Channel._base_manager.filter(brand=brand_id, kind="mini_program").order_by("pk").first()
    assert channel is not None  # each brand of the demo sells there
    news = behaviour.Seen("lead-news", now - timedelta(hours=2), "restocked", brand_id, (), shelf[-1].pk)
    behaviour.keep(channel_id=channel.pk, events=[news], now=now)
    for place, (relation, did) in enumerate(zip(some, _THIS_MORNING, strict=False)):
        for again in range(did.times):
            number, at = f"lead-{place}-{again}", now - timedelta(hours=did.hours + 20 * again)
            seen = behaviour.Seen(
                number, at, did.kind, brand_id, (), shelf[place].pk, seconds=did.seconds,
                outer_order_id=number if did.kind == "order_placed" else "",
                fen=shelf[place].tag_fen if did.kind == "order_placed" else None,
            )  # fmt: skip
            behaviour.keep(channel_id=channel.pk, events=[seen], now=now)
            Event._base_manager.filter(outer_event_id=number).update(member=relation.member_id)


# One bound customer in six had a lead, of the types that events, dates and scores fire.
_PAST = f"""
WITH had AS (
    SELECT b.member_id, b.staff_id, b.store_id, h, s.*,
        %(now)s - make_interval(days => 2 + (h %% {PAST_DAYS - 2})::int)
        + make_interval(mins => (h / 64 %% 600)::int - 600) AS at,
        CASE WHEN s.band IN ('high', 'middle') AND h / 4096 %% 3 > 0 THEN 'likely'
            WHEN s.band = 'low' AND h / 4096 %% 3 > 0 THEN 'dormant'
            ELSE (ARRAY['cart', 'viewed', 'expiring', 'date', 'after_sale', 'live'])[1 + h / 4096 %% 6] END AS kind,
        {holdout.IS_WITHHELD.format(member="b.member_id")} AS is_withheld
    FROM (SELECT *, abs(hashint8(id)::bigint) AS h FROM clerks_binding WHERE brand_id = %(brand)s) b
    LEFT JOIN LATERAL (SELECT score, expected_fen, band FROM leads_score
        WHERE brand_id = %(brand)s AND member_id = b.member_id) s ON true
    WHERE b.ended_at IS NULL AND b.h %% 6 = 0 AND b.started_at < %(now)s - interval '{PAST_DAYS} days'
), worked AS (
    SELECT had.*, o.order_id, o.paid_at,
        CASE WHEN NOT is_withheld AND h / 8 %% 10 < 6 THEN at + make_interval(mins => 20 + (h / 32 %% 300)::int)
        END AS contacted_at
    FROM had LEFT JOIN LATERAL (SELECT p.order_id, p.paid_at FROM members_membership m
        JOIN members_purchase p ON p.membership_id = m.id
        WHERE m.brand_id = %(brand)s AND m.member_id = had.member_id AND p.paid_at > had.at
            AND p.paid_at < had.at + interval '14 days' ORDER BY p.paid_at LIMIT 1) o ON true
)
INSERT INTO leads_lead (brand_id, member_id, kind, rank, source, arm, state, staff_id, store_id, score,
    expected_fen, reasons, created_at,
    owned_at, expires_at, viewed_at, contacted_at, closed_at, order_id, is_natural, refusal, withdrawn_for, let_lie)
SELECT %(brand)s, member_id, kind,
    CASE kind WHEN 'cart' THEN 3 WHEN 'viewed' THEN 5 WHEN 'expiring' THEN 6 WHEN 'date' THEN 7
        WHEN 'after_sale' THEN 8 WHEN 'likely' THEN 9 WHEN 'dormant' THEN 10 ELSE 11 END,
    'demo:' || member_id, CASE WHEN is_withheld THEN 'withheld' ELSE 'treated' END,
    CASE WHEN is_withheld THEN 'withheld' WHEN order_id IS NOT NULL THEN 'won' WHEN contacted_at IS NULL THEN 'expired'
        ELSE 'lost' END,
    staff_id, store_id, CASE WHEN kind IN ('likely', 'dormant') THEN score END,
    CASE WHEN kind IN ('likely', 'dormant') THEN expected_fen END, '[]', at, at, at + interval '3 days',
    contacted_at, contacted_at,
    least(%(now)s, coalesce(paid_at, at + interval '3 days')), order_id,
    order_id IS NOT NULL AND (contacted_at IS NULL OR contacted_at > paid_at),
    CASE WHEN h / 16 %% 20 = 0 AND order_id IS NULL AND contacted_at IS NOT NULL THEN 'spoken' ELSE '' END, '', '{{}}'
FROM worked
"""


def _past(brand: Brand, now: datetime) -> None:
    drawn = holdout.of_quarter(brand=brand, day=rules.day_of(now))
    asked = {"brand": brand.pk, "now": now, "salt": drawn.salt, "holdout_ppm": drawn.ppm}
    with connection.cursor() as cursor:
        cursor.execute(_PAST, asked)
