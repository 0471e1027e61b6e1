"""导购的顾客: the read model behind a clerk's list. One statement makes any number of its rows from the facts.

Who has no clerk is made again in the same go, as a row of the pool (`clerks.pooled`).

Whoever writes what it shows calls `refresh` afterwards, in the same transaction: settling (`intake.keep_up`), friends
and relations, contacts, tags. Nothing is ever added up by differences, so what was missed is mended by `refresh_all`,
and `otherwise` tells what that would change.

Sums, dates and computed tags are of what the company of the store may see (`clerks.portraits`). Nearly always that is
all a member bought, which is rolled up already (`members.profiles`); only of those who bought in stores of two
companies the orders are counted one by one.
"""

import hashlib
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime

from django.db import connection, transaction

from clerks import pooled
from clerks.models import Binding
from members import profiles
from retail import database, privacy, scope

_FACTS = f"""
WITH RECURSIVE asked AS MATERIALIZED (
    SELECT b.id, b.brand_id, b.member_id, b.staff_id, b.store_id, b.started_at, b.lost_at, brand.corp,
        m.id AS membership_id, m.tier_id, s.franchisee_id
    FROM clerks_binding b JOIN retail_brand brand ON brand.id = b.brand_id JOIN retail_store s ON s.id = b.store_id
    LEFT JOIN members_membership m ON m.brand_id = b.brand_id AND m.member_id = b.member_id
    WHERE b.ended_at IS NULL AND b.member_id = ANY(%(ids)s::bigint[])
), {profiles.OF_COMPANY}, facts AS (
    SELECT a.id AS binding_id, a.brand_id, a.member_id, a.staff_id, a.store_id, a.tier_id, a.started_at AS bound_at,
        EXISTS (SELECT FROM clerks_friend f WHERE f.member_id = a.member_id AND f.staff_id = a.staff_id
            AND f.corp = a.corp AND f.state = 'friend') AS is_friend,
        a.lost_at IS NOT NULL AS is_lost, t.contacted_at, coalesce(t.contacted_at, a.started_at) AS quiet_since,
        CASE WHEN q.membership_id IS NULL THEN p.last_at ELSE q.last_at END AS bought_at,
        coalesce(q.orders, p.orders, 0)::int AS orders, coalesce(q.paid_fen, p.paid_fen, 0)::bigint AS paid_fen,
        ARRAY(SELECT tag FROM unnest(p.tag_ids) tag WHERE NOT EXISTS (
            SELECT FROM members_tag w WHERE w.id = tag AND (
                w.staff_id <> a.staff_id OR w.kind = 'model' AND q.membership_id IS NOT NULL))) AS tag_ids,
        name_sought(m.name) AS sought,
        coalesce((SELECT string_agg(left(encode(sha256(convert_to(
                %(secret)s || a.staff_id || ':' || tail, 'UTF8')), 'hex'), 16), ' ' ORDER BY tail)
            FROM (SELECT DISTINCT right(k.masked, 4) AS tail FROM members_identity i
                JOIN retail_buyerkey k ON k.id = i.key_id
                WHERE i.member_id = a.member_id AND k.type = 'phone' AND k.masked ~ '[0-9]{{4}}$') t), '') AS tails
    FROM asked a JOIN members_member m ON m.id = a.member_id
    LEFT JOIN members_profile p ON p.membership_id = a.membership_id
    LEFT JOIN parts q ON q.membership_id = a.membership_id
    LEFT JOIN LATERAL (SELECT max(at) AS contacted_at FROM clerks_touch t WHERE t.member_id = a.member_id
        AND t.staff_id = a.staff_id AND t.purpose IN ('service', 'marketing')) t ON true
)
"""
_KEPT = (
    "brand_id, member_id, staff_id, store_id, tier_id, bound_at, is_friend, is_lost, contacted_at, quiet_since,"
    " bought_at, orders, paid_fen, tag_ids, sought, tails"
)


def _row(table: str) -> str:
    return ", ".join(f"{table}.{name}" for name in _KEPT.split(", "))


_REFRESH = f"""
{_FACTS}
INSERT INTO clerks_customer AS c (binding_id, {_KEPT}, intent, refreshed_at)
SELECT binding_id, {_KEPT}, 0, %(now)s FROM facts
ON CONFLICT (binding_id) DO UPDATE SET ({_KEPT}, refreshed_at) = ROW ({_row("excluded")}, excluded.refreshed_at)
WHERE ({_row("c")}) IS DISTINCT FROM ({_row("excluded")})
"""
_ENDED = """
DELETE FROM clerks_customer c USING clerks_binding b
WHERE c.member_id = ANY(%(ids)s::bigint[]) AND b.id = c.binding_id
    AND (b.ended_at IS NOT NULL OR b.member_id <> c.member_id)
"""
_OTHERWISE = f"""
{_FACTS}
SELECT coalesce(f.member_id, c.member_id)
FROM facts f FULL JOIN (SELECT * FROM clerks_customer WHERE member_id = ANY(%(ids)s::bigint[])) c USING (binding_id)
WHERE ({_row("f")}) IS DISTINCT FROM ({_row("c")}) ORDER BY 1
"""


_is_left: ContextVar[bool] = ContextVar("book", default=False)


@contextmanager
def left_for_later() -> Iterator[None]:
    """Within this block `refresh` does nothing. For whoever makes so much anew that `refresh_all` after it is less."""
    token = _is_left.set(True)
    try:
        yield
    finally:
        _is_left.reset(token)


def refresh(*, now: datetime, membership_ids: Collection[int] = (), member_ids: Iterable[int] = ()) -> int:
    """Make the rows of these members again from the facts; how many were otherwise. In the caller's transaction."""
    if _is_left.get():
        return 0
    return _refresh(sorted({*member_ids, *_members_of(membership_ids)}), now)


def _refresh(member_ids: Iterable[int], now: datetime) -> int:
    changed = 0
    for ids in profiles.chunks(member_ids):
        # What the second net hides from a request is of this member, too: their row must not lose it.
        with transaction.atomic(), database.published(scope.EVERYTHING), connection.cursor() as cursor:
            _lock(ids)
            cursor.execute(_ENDED, {"ids": ids})
            changed += cursor.rowcount
            cursor.execute(_REFRESH, {"ids": ids, "now": now, "secret": secret()})
            changed += cursor.rowcount + pooled.refresh(member_ids=ids, now=now)
    return changed


def refresh_all(*, now: datetime) -> int:
    """The same for everybody, each chunk in a transaction of its own."""
    changed = sum(refresh(member_ids=ids, now=now) for ids in profiles.chunks(_bound()))
    with database.published(scope.EVERYTHING):
        return changed + pooled.refresh_all(now=now)


def otherwise(*, member_ids: Iterable[int] | None = None) -> Iterator[int]:
    """Those of the members (all by default) whose rows are not what the facts say. Changes nothing."""
    for ids in profiles.chunks(_bound() if member_ids is None else member_ids):
        with connection.cursor() as cursor:
            cursor.execute(_OTHERWISE, {"ids": ids, "secret": secret()})
            yield from (member_id for (member_id,) in cursor.fetchall())


def _bound() -> Iterator[int]:
    ids = Binding._base_manager.order_by("member").values_list("member", flat=True).distinct()
    return ids.iterator(chunk_size=profiles.CHUNK)


def _members_of(membership_ids: Collection[int]) -> list[int]:
    if not membership_ids:
        return []
    with connection.cursor() as cursor:
        cursor.execute("SELECT member_id FROM members_membership WHERE id = ANY(%s::bigint[])", [list(membership_ids)])
        return [member_id for (member_id,) in cursor.fetchall()]


def _lock(member_ids: list[int]) -> None:
    """Of two who change something about a customer the later one sees what the earlier one wrote."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT FROM clerks_binding WHERE member_id = ANY(%s::bigint[]) AND ended_at IS NULL ORDER BY id"
            " FOR NO KEY UPDATE",
            [member_ids],
        )


# ── The last digits of a phone number ────────────────────────────────────────────────────────────────────────────────
def tail(*, staff_id: int, digits: str) -> str:
    """What stands in `Customer.tails` of this clerk's customers for the last four digits of a number.

    Another clerk's rows hold another value for the same digits, and without our keys it can be computed for none: a
    query that forgets whose customers it asks for finds nobody, and the table tells no numbers.
    """
    return hashlib.sha256(f"{secret()}{staff_id}:{digits}".encode()).hexdigest()[:16]


def secret() -> str:
    """What tails are hashed with, besides the clerk's number."""
    return privacy.blind("tails of a clerk's customers")
