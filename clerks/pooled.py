"""公海, the read model: who is nobody's customer, and in which store's pool. One statement makes any number of rows.

A member of a brand without a relation in force is in one pool at most, that of the first of these stores that is open:

    the store of the last relation, if that ended within 24 months
    the store of the last purchase in a store within 24 months
    the store they registered in

So a company sees in its pools nobody whom it could not see anyway. Whoever none of these names is in no pool, and
neither is who asked to be forgotten.

`clerks.book` calls `refresh` wherever it makes a clerk's list again: the two lists are the two sides of one question.
Where two change the same customer at once a row may stand here of somebody who has a clerk by then. It goes with the
next refresh, at the latest by night; who claims it meanwhile is told that somebody was faster.
"""

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from members import profiles

MONTHS = 24  # so long a purchase, or a relation, keeps a member visible in a store

# Members of whom there is something to write, or to take away.
_LOOSE = """
SELECT m.member_id FROM members_membership m WHERE {of_whom} NOT EXISTS (SELECT FROM clerks_binding b
    WHERE b.brand_id = m.brand_id AND b.member_id = m.member_id AND b.ended_at IS NULL)
UNION SELECT m.member_id FROM clerks_pooled m {where} ORDER BY 1
"""
_LOOSE_OF = _LOOSE.format(
    of_whom="m.member_id = ANY(%(ids)s::bigint[]) AND", where="WHERE m.member_id = ANY(%(ids)s::bigint[])"
)
_LOOSE_ALL = _LOOSE.format(of_whom="", where="")
_FACTS = f"""
WITH RECURSIVE loose AS MATERIALIZED (
    SELECT m.id AS membership_id, m.brand_id, m.member_id, m.registered_at, m.registered_store_id
    FROM members_membership m JOIN members_member p ON p.id = m.member_id AND p.merged_into_id IS NULL
    WHERE m.member_id = ANY(%(ids)s::bigint[])
        AND NOT EXISTS (SELECT FROM clerks_binding b
            WHERE b.brand_id = m.brand_id AND b.member_id = m.member_id AND b.ended_at IS NULL)
        AND EXISTS (SELECT FROM members_identity i JOIN retail_buyerkey k ON k.id = i.key_id
            WHERE i.member_id = m.member_id AND k.cipher IS NOT NULL)
), asked AS MATERIALIZED (
    SELECT l.membership_id, l.brand_id, l.member_id, l.registered_at, place.store_id, place.franchisee_id,
        CASE WHEN was.franchisee_id IS NOT DISTINCT FROM place.franchisee_id THEN was.staff_id END AS last_staff_id,
        was.ended_at AS left_at
    FROM loose l LEFT JOIN LATERAL (
        SELECT b.staff_id, b.store_id, b.ended_at, s.franchisee_id
        FROM clerks_binding b JOIN retail_store s ON s.id = b.store_id
        WHERE b.brand_id = l.brand_id AND b.member_id = l.member_id AND b.ended_at > b.started_at
        ORDER BY b.ended_at DESC, b.id DESC LIMIT 1
    ) was ON true LEFT JOIN LATERAL (
        SELECT p.store_id FROM members_purchase p
        WHERE p.membership_id = l.membership_id AND p.store_id IS NOT NULL AND p.paid_at >= %(since)s
        ORDER BY p.paid_at DESC, p.order_id DESC LIMIT 1
    ) bought ON true CROSS JOIN LATERAL (
        SELECT s.id AS store_id, s.franchisee_id
        FROM (VALUES (1, CASE WHEN was.ended_at >= %(since)s THEN was.store_id END), (2, bought.store_id),
            (3, l.registered_store_id)) AS v (rank, id)
        JOIN retail_store s ON s.id = v.id AND s.brand_id = l.brand_id AND s.is_open ORDER BY v.rank LIMIT 1
    ) place
), {profiles.OF_COMPANY}, facts AS (
    SELECT a.membership_id, a.brand_id, a.member_id, a.store_id, coalesce(a.left_at, a.registered_at) AS since,
        a.last_staff_id, a.left_at, CASE WHEN q.membership_id IS NULL THEN f.last_at ELSE q.last_at END AS bought_at,
        coalesce(q.orders, f.orders, 0)::int AS orders, coalesce(q.paid_fen, f.paid_fen, 0)::bigint AS paid_fen
    FROM asked a LEFT JOIN members_profile f ON f.membership_id = a.membership_id
    LEFT JOIN parts q ON q.membership_id = a.membership_id
)
"""
_KEPT = "brand_id, member_id, store_id, since, last_staff_id, left_at, bought_at, orders, paid_fen"


def _row(table: str) -> str:
    return ", ".join(f"{table}.{name}" for name in _KEPT.split(", "))


_REFRESH = f"""
{_FACTS}, written AS (
    INSERT INTO clerks_pooled AS c (membership_id, {_KEPT}, refreshed_at)
    SELECT membership_id, {_KEPT}, %(now)s FROM facts
    ON CONFLICT (membership_id) DO UPDATE SET ({_KEPT}, refreshed_at) = ROW ({_row("excluded")}, excluded.refreshed_at)
    WHERE ({_row("c")}) IS DISTINCT FROM ({_row("excluded")})
    RETURNING 1
), gone AS (
    DELETE FROM clerks_pooled c WHERE c.member_id = ANY(%(ids)s::bigint[])
        AND NOT EXISTS (SELECT FROM facts f WHERE f.membership_id = c.membership_id)
    RETURNING 1
)
SELECT (SELECT count(*) FROM written) + (SELECT count(*) FROM gone)
"""
# In a statement of its own: it sees what another transaction bound while the one above waited for it.
_BOUND_MEANWHILE = """
DELETE FROM clerks_pooled c WHERE c.member_id = ANY(%(ids)s::bigint[]) AND EXISTS (SELECT FROM clerks_binding b
    WHERE b.brand_id = c.brand_id AND b.member_id = c.member_id AND b.ended_at IS NULL)
"""
_OTHERWISE = f"""
{_FACTS}
SELECT coalesce(f.member_id, c.member_id)
FROM facts f FULL JOIN (SELECT * FROM clerks_pooled WHERE member_id = ANY(%(ids)s::bigint[])) c USING (membership_id)
WHERE ({_row("f")}) IS DISTINCT FROM ({_row("c")}) ORDER BY 1
"""


def refresh(*, member_ids: Collection[int], now: datetime) -> int:
    """Make the rows of these members again from the facts; how many were otherwise. In the caller's transaction.

    `clerks.book` calls it for a chunk at a time, with all buyer keys admitted.
    """
    with connection.cursor() as cursor:
        cursor.execute(_LOOSE_OF, {"ids": list(member_ids)})
        ids = [pk for (pk,) in cursor.fetchall()]
        if not ids:
            return 0
        given: dict[str, Any] = {"ids": ids, "now": now, "since": since(now)}
        cursor.execute(_REFRESH, given)
        ((changed,),) = cursor.fetchall()
        cursor.execute(_BOUND_MEANWHILE, given)
        return changed


def refresh_all(*, now: datetime) -> int:
    """The same for everybody, a chunk in a transaction: what moves with time, and what was missed."""
    changed = 0
    for ids in profiles.chunks(_loose()):
        with transaction.atomic():
            changed += refresh(member_ids=ids, now=now)
    return changed


def otherwise(*, member_ids: Iterable[int] | None = None, now: datetime) -> Iterator[int]:
    """Those of the members (all by default) whose rows are not what the facts say. Changes nothing."""
    for ids in profiles.chunks(_loose() if member_ids is None else member_ids):
        with connection.cursor() as cursor:
            cursor.execute(_OTHERWISE, {"ids": ids, "since": since(now)})
            yield from (member_id for (member_id,) in cursor.fetchall())


def since(now: datetime) -> datetime:
    """The midnight from which on purchases and relations count."""
    today = timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)
    return today - timedelta(days=MONTHS * 365 // 12)


def _loose() -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(_LOOSE_ALL)
        return [member_id for (member_id,) in cursor.fetchall()]
