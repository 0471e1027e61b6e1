"""我的分享: a clerk's own links, and what came of each: who opened it, how often, how long they looked, who bought."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from django.contrib.postgres.aggregates import ArrayAgg
from django.db.models import Count, Exists, Max, OuterRef, Q, QuerySet, Sum, TextField
from django.db.models.functions import Cast, Coalesce

from clerks.materials.models import Opening, Share, ShareSale
from clerks.models import Customer
from retail import privacy
from retail.models import Post

MOST_NAMED = 6


@dataclass(frozen=True, slots=True)
class Echo:
    """`to`: whom it was sent to, `named`: own customers who opened it, of `others` the clerk learns only
    how many; `last_at`: the last opening.
    """

    share: Share
    to: str
    openings: int
    named: list[tuple[int, str]]
    others: int
    seconds: int
    sales: int
    last_at: datetime | None


class Page(NamedTuple):
    echoes: list[Echo]
    has_more: bool


class _Opened(NamedTuple):
    openings: int = 0
    people: int = 0
    seconds: int = 0
    member_ids: tuple[int, ...] = ()
    last_at: datetime | None = None


def page(*, post: Post, start: int, limit: int) -> Page:
    """The clerk's links, newest first, after `start` of them. Four statements."""
    rows = _shared(post).select_related("material").order_by("-made_at", "-pk")
    found = list(rows[start : start + limit + 1])
    shares = found[:limit]
    opened, sold = _opened(shares), _sold(shares)
    asked = {share.member_id for share in shares if share.member_id} | {
        member_id for one in opened.values() for member_id in one.member_ids
    }
    names = _own_names(post, asked)
    echoes = [_echo(share, opened.get(share.pk, _Opened()), sold.get(share.pk, 0), names) for share in shares]
    return Page(echoes, len(found) > limit)


def _shared(post: Post) -> QuerySet[Share]:
    """Without what was only prepared: WeCom would have told that it was sent, and nobody came by it."""
    told = Q(sent_at__isnull=False) | ~Q(via__in=[Share.Via.CHAT, Share.Via.MOMENTS])
    came = Exists(Opening._base_manager.filter(share=OuterRef("pk"))) | Exists(
        ShareSale._base_manager.filter(share=OuterRef("pk"))
    )
    return Share._base_manager.filter(told | came, staff=post.staff_id)


def _echo(share: Share, opened: _Opened, sales: int, names: dict[int, str]) -> Echo:
    known = [(member_id, names[member_id]) for member_id in opened.member_ids if member_id in names]
    to = names.get(share.member_id, "") if share.member_id else ""
    others = opened.people - len(known)
    return Echo(share, to, opened.openings, known[:MOST_NAMED], others, opened.seconds, sales, opened.last_at)


def _opened(shares: Collection[Share]) -> dict[int, _Opened]:
    """Who is known is one person whatever they opened it with; all others are counted by browser."""
    if not shares:
        return {}
    # The table is divided by month: what is older than the oldest link is not looked at.
    rows: Any = Opening._base_manager.filter(share__in=shares, at__gte=min(share.made_at for share in shares))
    who = Coalesce(Cast("member", TextField()), Cast("visitor", TextField()))
    sums = {
        "times": Count("pk"),
        "people": Count(who, distinct=True),
        "looked": Sum("seconds"),
        "last": Max("at"),
        "known": ArrayAgg("member", distinct=True, filter=Q(member__isnull=False), default=[]),
    }
    return {
        row["share"]: _Opened(row["times"], row["people"], row["looked"], tuple(row["known"]), row["last"])
        for row in rows.values("share").annotate(**sums).order_by()
    }


def _sold(shares: Iterable[Share]) -> dict[int, int]:
    rows = ShareSale._base_manager.filter(share__in=list(shares)).values("share").annotate(count=Count("pk"))
    return dict(rows.order_by().values_list("share", "count"))


def _own_names(post: Post, member_ids: Collection[int]) -> dict[int, str]:
    """What the clerk's own customers are called; of a manager, those of the store. All others are nobody here."""
    mine = Q(staff=post.staff_id)
    if post.role == Post.Role.STORE_MANAGER:
        mine |= Q(store=post.store_id)
    rows = Customer._base_manager.filter(mine, member__in=member_ids).values_list("member", "member__name")
    return {member_id: privacy.without_numbers(name) for member_id, name in rows}
