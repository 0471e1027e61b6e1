"""专属导购关系: who a member belongs to. At most one clerk per brand at any moment, with the history kept."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import connection

from clerks.models import Binding
from members.models import Purchase
from retail import org
from retail.models import Brand, Order


def of(*, brand_id: int, member_id: int, at: datetime) -> Binding | None:
    """The binding in force at that moment."""
    rows = Binding.objects.at(at).filter(brand_id=brand_id, member_id=member_id)
    return rows.select_related("staff", "store", "brand").first()


def on_purchase(*, purchase: Purchase, now: datetime) -> Binding | None:
    """What a settled purchase does to the relation; returns the binding as of the payment.

    A first POS sale of an unbound member binds to the serving clerk, from the moment of payment. A purchase in any
    channel prolongs the protection of the relation it falls into.
    """
    membership, order = purchase.membership, purchase.order
    relations = Binding.objects.filter(brand_id=membership.brand_id, member_id=membership.member_id)
    binding = relations.at(order.paid_at).first()
    if binding is not None:
        _prolong(binding, order)
        return binding
    clerk = _serving(order) if order.channel.kind == order.channel.Kind.POS else None
    if clerk is None or clerk.store_id is None:
        return None
    lock(brand_id=membership.brand_id, member_ids=[membership.member_id])
    # Bound meanwhile, or by a later sale that was settled before this one: that relation stays.
    if relations.active().exists():
        return None
    return Binding.objects.create(
        brand_id=membership.brand_id,
        member_id=membership.member_id,
        staff_id=clerk.staff_id,
        store_id=clerk.store_id,
        source=Binding.Source.FIRST_SALE,
        order=order,
        started_at=order.paid_at,
        protected_until=order.paid_at + timedelta(days=order.brand.protection_days),
    )


def _serving(order: Order) -> org.Held | None:
    """The clerk who rang up the sale, if that was somebody of ours at that time."""
    codes = [order.serving_clerk, *(line.serving_clerk for line in order.lines.all())]
    codes = [code for code in dict.fromkeys(codes) if code]
    posts = org.behind(at=order.paid_at, codes=codes).people if codes else []
    return min(posts, key=lambda post: codes.index(post.code), default=None)


def _prolong(binding: Binding, order: Order) -> None:
    until = order.paid_at + timedelta(days=order.brand.protection_days)
    # A day more or less changes nothing for anybody: one write a day, not one a purchase.
    if until - binding.protected_until > timedelta(days=1) and binding.ended_at is None:
        Binding.objects.filter(pk=binding.pk).update(protected_until=until)


def lock(*, brand_id: int, member_ids: Iterable[int]) -> None:
    """Nobody else changes the relations of these members until commit. Sorted, so that lockers never deadlock."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock((%s::bigint << 40) + m) FROM unnest(%s::bigint[]) AS m ORDER BY m",
            [brand_id, sorted(member_ids)],
        )


def bind_from_history(*, brand: Brand, since: datetime, now: datetime) -> tuple[int, list[int]]:
    """First load: bind every unbound member to the clerk of their highest spend at the till since then.

    Returns how many were bound, and the member ids with a tie between clerks, which a manager decides. Clerks who
    hold no post in a store now take nobody.
    """
    with connection.cursor() as cursor:
        cursor.execute(_HIGHEST_SPEND, {"brand": brand.pk, "since": since, "now": now})
        rows = cursor.fetchall()
    winners = [row for row in rows if not row[4]]
    lock(brand_id=brand.pk, member_ids=[row[0] for row in winners])
    bound = Binding.objects.bulk_create(
        [
            Binding(
                brand=brand,
                member_id=member_id,
                staff_id=staff_id,
                store_id=store_id,
                source=Binding.Source.HISTORY,
                started_at=now,
                protected_until=max(now, last_at + timedelta(days=brand.protection_days)),
            )
            for member_id, staff_id, store_id, last_at, _ in winners
        ],
        ignore_conflicts=True,
        batch_size=5000,
    )
    return len(bound), sorted({row[0] for row in rows if row[4]})


# One row per member: staff, store, last purchase, whether the first two clerks tie.
_HIGHEST_SPEND = """
WITH spend AS (
    SELECT m.member_id, s.id AS staff_id, sum(l.paid_fen) AS fen, max(p.paid_at) AS last_at
    FROM members_purchase p
    JOIN members_membership m ON m.id = p.membership_id
    JOIN retail_order o ON o.id = p.order_id
    JOIN retail_channel c ON c.id = o.channel_id AND c.kind = 'pos'
    JOIN retail_orderline l ON l.order_id = o.id
    JOIN retail_staff s ON s.code = coalesce(nullif(l.serving_clerk, ''), o.serving_clerk)
    WHERE m.brand_id = %(brand)s AND p.paid_at >= %(since)s AND p.paid_at < %(now)s
      AND NOT EXISTS (SELECT 1 FROM clerks_binding b
                      WHERE b.brand_id = m.brand_id AND b.member_id = m.member_id AND b.ended_at IS NULL)
    GROUP BY m.member_id, s.id
), placed AS (
    SELECT DISTINCT ON (spend.member_id, spend.staff_id) spend.*, post.store_id
    FROM spend JOIN retail_post post ON post.staff_id = spend.staff_id AND post.store_id IS NOT NULL
      AND post.starts_at <= %(now)s AND (post.ends_at IS NULL OR post.ends_at > %(now)s)
    ORDER BY spend.member_id, spend.staff_id, post.role, post.id
), ranked AS (
    SELECT *, rank() OVER w AS place, count(*) OVER (PARTITION BY member_id, fen) AS equals
    FROM placed WINDOW w AS (PARTITION BY member_id ORDER BY fen DESC)
)
SELECT DISTINCT ON (member_id) member_id, staff_id, store_id, last_at, equals > 1
FROM ranked WHERE place = 1 ORDER BY member_id, staff_id
"""
