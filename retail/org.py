"""Reads of the organisation: who works where, and what a post may see."""

from collections.abc import Iterable
from datetime import datetime

from django.db.models import Q

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


def posts_in_stores(
    *, at: datetime, staff_ids: Iterable[int] = (), codes: Iterable[str] = (), share_codes: Iterable[str] = ()
) -> list[Post]:
    """The posts in a store that these people held at that moment, by id, staff code or share code.

    Somebody with several posts stands with the clerk's first, then with the older one.
    """
    people = Q(staff__in=list(staff_ids)) | Q(staff__code__in=list(codes)) | Q(staff__share_code__in=list(share_codes))
    posts = Post.objects.at(at).filter(people, store__isnull=False)
    return list(posts.select_related("staff", "store").order_by("role", "pk"))


def managers_of(*, at: datetime, store_id: int) -> list[Post]:
    """The managers of a store, then those of its region, at that moment."""
    over = Q(role=Post.Role.STORE_MANAGER, store=store_id) | Q(
        role=Post.Role.REGION_MANAGER, region__stores=store_id
    )
    return list(Post.objects.at(at).filter(over).select_related("staff", "store").order_by("-role", "pk"))
