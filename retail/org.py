"""The organisation: who works where, who they are in WeCom, and what a post may see."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.models import Q

from retail import audit, database
from retail.models import Employment, Post, Staff, StaffAccount, Store, User
from retail.scope import EVERYTHING, NOTHING, Scope

HEADQUARTERS = frozenset({Post.Role.HQ_OPS, Post.Role.HQ_FINANCE, Post.Role.AUDITOR})


def scope_of(post: Post) -> Scope:
    """What the holder of this post may see. An unknown role sees nothing."""
    if post.role in HEADQUARTERS:
        return EVERYTHING
    if post.role == Post.Role.CLERK:
        return _scope_of_store(post.store, staff_id=post.staff_id)
    if post.role == Post.Role.STORE_MANAGER:
        return _scope_of_store(post.store)
    if post.role == Post.Role.REGION_MANAGER:
        return scope_of_stores(region=post.region_id)
    if post.role == Post.Role.FRANCHISE_OWNER:
        return scope_of_stores(franchisee=post.franchisee_id)
    return NOTHING


def _scope_of_store(store: Store | None, staff_id: int | None = None) -> Scope:
    """A post that lost its store sees none."""
    stores, brands = ([store.pk], [store.brand_id]) if store else ([], [])
    return Scope(store_ids=frozenset(stores), staff_id=staff_id, store_brand_ids=frozenset(brands))


def scope_of_stores(*, brand_ids: frozenset[int] | None = None, **place: int | None) -> Scope:
    """The scope of the stores at a place (`pk`, `region`, `franchisee`; all must hold). A lost place has no stores."""
    is_lost = None in place.values()
    rows = [] if is_lost else list(Store._base_manager.filter(**place).values_list("pk", "brand"))
    stores, brands = frozenset(store for store, _ in rows), frozenset(brand for _, brand in rows)
    return Scope(brand_ids=brand_ids, store_ids=stores, store_brand_ids=brands)


def posts_of(*, staff: Staff, now: datetime) -> list[Post]:
    """The posts a person holds at that moment while employed, highest first."""
    return _posts(now, staff=staff)


def posts_of_user(*, user: User, now: datetime) -> list[Post]:
    """The same of whoever signs in with this account. Asked at every request, and so in one query."""
    return _posts(now, staff__user=user)


def _posts(now: datetime, **whose: Staff | User) -> list[Post]:
    has_started = Q(staff__employments__starts_at__lte=now)
    has_not_ended = Q(staff__employments__ends_at=None) | Q(staff__employments__ends_at__gt=now)
    posts = Post.objects.at(now).filter(has_started, has_not_ended, **whose)  # nobody is employed twice at once
    posts = posts.select_related("staff", "store", "region", "franchisee")
    return sorted(posts, key=lambda post: (_RANKS[post.role], post.pk))


_RANKS = {role: place for place, role in enumerate(reversed(Post.Role.values))}


def staff_of_account(*, corp: str, userid: str) -> Staff | None:
    """Who a member of a WeCom corp is here, employed or not; None for somebody we do not know."""
    accounts = StaffAccount._base_manager.filter(corp=corp, userid__iexact=userid).select_related("staff")
    account = accounts.first() if corp and userid else None
    return account.staff if account else None


def account_of(*, staff_id: int, corp: str) -> str:
    """The userid of a person in a WeCom corp, "" where they have none."""
    userids = StaffAccount._base_manager.filter(corp=corp, staff=staff_id).values_list("userid", flat=True)
    return userids.first() or ""


class Held(NamedTuple):
    """A post as somebody held it at a moment. `franchisee_id` is that of its store; both are None for a region's."""

    staff_id: int
    code: str
    share_code: str | None
    role: str
    store_id: int | None
    franchisee_id: int | None


class _Dated(NamedTuple):
    starts_at: datetime
    ends_at: datetime | None
    held: Held


class Roster:
    """Who held which post when, of the people and the stores it was asked for. Answers from memory."""

    def __init__(self) -> None:
        self._people: dict[object, list[_Dated]] = defaultdict(list)
        self._managers: dict[int, list[_Dated]] = defaultdict(list)

    def person(
        self, *, at: datetime, staff_id: int | None = None, code: str = "", share_code: str = ""
    ) -> Held | None:
        """The post in a store of one of the people at that moment; with several the clerk's first, then the older."""
        name: object = ("code", code) if code else ("share", share_code) if share_code else staff_id
        return next(_at(at, self._people.get(name, ())), None)

    def managers(self, *, store_id: int, at: datetime) -> list[Held]:
        """The managers of a store and then of its region at that moment, the older post first."""
        return list(_at(at, self._managers.get(store_id, ())))


def _at(moment: datetime, posts: Iterable[_Dated]) -> Iterator[Held]:
    return (post.held for post in posts if post.starts_at <= moment and (not post.ends_at or post.ends_at > moment))


def roster(
    *,
    since: datetime,
    until: datetime,
    staff_ids: Iterable[int] = (),
    codes: Iterable[str] = (),
    share_codes: Iterable[str] = (),
    store_ids: Iterable[int] = (),
    is_hot: bool = False,
) -> Roster:
    """The posts in stores that these people held from `since` to `until`, and the managers over those stores and over
    `store_ids`. One statement. `is_hot`: asked many times a second, so that the server had better keep its plan.
    """
    asked: dict[str, Any] = {"since": since, "until": until, "stores": list(store_ids)}
    asked |= {"ids": list(staff_ids), "codes": list(codes), "shares": list(share_codes)}
    found = Roster()
    for over, starts_at, ends_at, *post in database.planned(_ROSTER, asked) if is_hot else _rows(_ROSTER, asked):
        row = _Dated(starts_at, ends_at, Held(*post))
        if over is not None:
            found._managers[over].append(row)
            continue
        for name in (row.held.staff_id, ("code", row.held.code), ("share", row.held.share_code)):
            found._people[name].append(row)
    return found


def _rows(statement: str, asked: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, asked)
        return cursor.fetchall()


# `place`: the store a manager is over; null for the people asked for.
_ROSTER = """
WITH held AS NOT MATERIALIZED (
    SELECT p.id, p.starts_at, p.ends_at, p.staff_id, s.code, s.share_code, p.role, p.store_id, st.franchisee_id,
           p.region_id
    FROM retail_post p JOIN retail_staff s ON s.id = p.staff_id LEFT JOIN retail_store st ON st.id = p.store_id
    WHERE p.starts_at <= %(until)s AND (p.ends_at IS NULL OR p.ends_at > %(since)s)
), people AS (
    SELECT NULL::bigint AS place, held.* FROM held
    WHERE store_id IS NOT NULL AND staff_id IN (
        SELECT id FROM retail_staff
        WHERE id = ANY(%(ids)s::bigint[]) OR code = ANY(%(codes)s::text[]) OR share_code = ANY(%(shares)s::text[]))
), places AS (
    SELECT id, region_id FROM retail_store
    WHERE id = ANY(%(stores)s::bigint[]) OR id IN (SELECT store_id FROM people)
), posts AS (
    SELECT * FROM people
    UNION ALL
    SELECT places.id, held.* FROM held JOIN places ON places.id = held.store_id WHERE role = 'store_manager'
    UNION ALL
    SELECT places.id, held.* FROM held JOIN places ON places.region_id = held.region_id WHERE role = 'region_manager'
)
SELECT place, starts_at, ends_at, staff_id, code, share_code, role, store_id, franchisee_id FROM posts
ORDER BY CASE WHEN place IS NULL THEN role END, store_id IS NULL, id
"""


@transaction.atomic
def part_with(*, staff: Staff, corp: str | None, by: Any, now: datetime) -> bool:
    """Somebody left a WeCom corp: the posts of its brands end, and the employment when no post is left. Idempotent.

    Who has an account in another corp of ours still works for that one; who left us (no corp) for none. Whether
    anything ended.
    """
    posts = Post.objects.at(now).filter(staff=staff).select_for_update(of=("self",))
    if corp is not None and StaffAccount._base_manager.filter(staff=staff).exclude(corp=corp).exists():
        posts = posts.filter(store__brand__corp=corp)
    ended = [post.pk for post in posts]
    Post.objects.filter(pk__in=ended).update(ends_at=now)
    is_gone = not Post.objects.at(now).filter(staff=staff).exists()
    left = Employment.objects.at(now).filter(staff=staff).update(ends_at=now) if is_gone else 0
    if ended or left:
        audit.record(
            by=by, action="part_with", target=staff, now=now, after={"posts": ended, "employment": bool(left)}
        )
    return bool(ended or left)


@transaction.atomic
def link_account(*, corp: str, userid: str, by: Any, now: datetime) -> StaffAccount | None:
    """A member of a corp whose userid is the number of one of our people is that person, unless told otherwise."""
    known = StaffAccount._base_manager.filter(corp=corp, userid__iexact=userid).first()
    if known is not None:
        return known
    staff = Staff._base_manager.filter(code__iexact=userid).exclude(accounts__corp=corp)
    if len(found := list(staff[:2])) != 1:
        return None
    account = StaffAccount._base_manager.create(staff=found[0], corp=corp, userid=userid)
    audit.record(by=by, action="link_account", target=found[0], now=now, after={"userid": userid})
    return account


@transaction.atomic
def rename_account(*, corp: str, userid: str, new: str, by: Any, now: datetime) -> bool:
    """A member of a corp has another userid now; whether we knew them by the old one."""
    if StaffAccount._base_manager.filter(corp=corp, userid__iexact=new).exists():
        return False
    account = StaffAccount._base_manager.filter(corp=corp, userid__iexact=userid).first()
    if account is None:
        return False
    before, account.userid = account.userid, new
    account.save(update_fields=["userid"])
    was, became = {"userid": before}, {"userid": new}
    audit.record(by=by, action="rename_account", target=account.staff, now=now, before=was, after=became)
    return True
