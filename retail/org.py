"""Reads of the organisation: who works where, and what a post may see."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection

from retail.models import Employment, Post, Staff, Store
from retail.scope import EVERYTHING, NOTHING, Scope

HEADQUARTERS = frozenset({Post.Role.HQ_OPS, Post.Role.HQ_FINANCE, Post.Role.AUDITOR})


def scope_of(post: Post) -> Scope:
    """What the holder of this post may see. An unknown role sees nothing."""
    if post.role in HEADQUARTERS:
        return EVERYTHING
    if post.role == Post.Role.CLERK:
        return Scope(store_ids=_one(post.store_id), staff_id=post.staff_id)
    if post.role == Post.Role.STORE_MANAGER:
        return Scope(store_ids=_one(post.store_id))
    if post.role == Post.Role.REGION_MANAGER:
        return Scope(store_ids=_store_ids(region_id=post.region_id))
    if post.role == Post.Role.FRANCHISE_OWNER:
        return Scope(store_ids=_store_ids(franchisee_id=post.franchisee_id))
    return NOTHING


def _one(store_id: int | None) -> frozenset[int]:
    """A post that lost its store sees none."""
    return frozenset() if store_id is None else frozenset([store_id])


def _store_ids(**place: int | None) -> frozenset[int]:
    return frozenset(Store._base_manager.filter(**place).values_list("pk", flat=True))


def posts_of(*, staff: Staff, now: datetime) -> list[Post]:
    """The posts a person holds at that moment while employed, highest first."""
    ranks = {role: place for place, role in enumerate(reversed(Post.Role.values))}
    posts = Post.objects.at(now).filter(staff=staff, staff__employments__in=Employment.objects.at(now))
    posts = posts.select_related("staff", "store", "region", "franchisee")
    return sorted(posts, key=lambda post: (ranks[post.role], post.pk))


class Held(NamedTuple):
    """A post as somebody held it at a moment. `franchisee_id` is that of its store; both are None for a region's."""

    staff_id: int
    code: str
    share_code: str | None
    role: str
    store_id: int | None
    franchisee_id: int | None


class Behind(NamedTuple):
    """Who stood behind an order: the people asked for, and the managers of its store and then of its region."""

    people: list[Held]
    managers: list[Held]


def behind(
    *,
    at: datetime,
    staff_ids: Iterable[int] = (),
    codes: Iterable[str] = (),
    share_codes: Iterable[str] = (),
    store_id: int | None = None,
) -> Behind:
    """The posts in a store that these people held at that moment, and the managers over `store_id`. One statement.

    Somebody with several posts stands with the clerk's first, then with the older one.
    """
    people: dict[str, Any] = {"ids": list(staff_ids), "codes": list(codes), "shares": list(share_codes)}
    with connection.cursor() as cursor:
        cursor.execute(_BEHIND, {"at": at, "store": store_id, **people})
        rows = cursor.fetchall()
    return Behind(
        people=[Held(*row[2:]) for row in sorted(rows, key=lambda row: (row[5], row[1])) if not row[0]],
        managers=[Held(*row[2:]) for row in sorted(rows, key=lambda row: (row[6] is None, row[1])) if row[0]],
    )


_BEHIND = """
WITH held AS NOT MATERIALIZED (
    SELECT p.id, p.staff_id, s.code, s.share_code, p.role, p.store_id, p.region_id, st.franchisee_id
    FROM retail_post p JOIN retail_staff s ON s.id = p.staff_id LEFT JOIN retail_store st ON st.id = p.store_id
    WHERE p.starts_at <= %(at)s AND (p.ends_at IS NULL OR p.ends_at > %(at)s)
)
SELECT false, id, staff_id, code, share_code, role, store_id, franchisee_id FROM held
WHERE store_id IS NOT NULL AND staff_id IN (
    SELECT id FROM retail_staff
    WHERE id = ANY(%(ids)s::bigint[]) OR code = ANY(%(codes)s::text[]) OR share_code = ANY(%(shares)s::text[]))
UNION ALL
SELECT true, id, staff_id, code, share_code, role, store_id, franchisee_id FROM held
WHERE role = 'store_manager' AND store_id = %(store)s
UNION ALL
SELECT true, id, staff_id, code, share_code, role, store_id, franchisee_id FROM held
WHERE role = 'region_manager' AND region_id = (SELECT region_id FROM retail_store WHERE id = %(store)s)
"""
