"""我的顾客: a clerk's own customers, in pages and as they are searched for, out of the read model (`clerks.book`).

Everything here is asked of the rows of one clerk with one brand, found by an index that begins with the clerk. There
is no index over names that a plan could be tempted by: a million other people's customers cost nothing. The ends of
numbers have one, because the same end is another word for every clerk (`book.tail`).
"""

import base64
import json
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Self

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.expressions import OrderBy
from django.utils.translation import gettext_lazy as _

from clerks import book
from clerks.models import Customer
from clerks.models.book import TAILS
from members.models import Tag, Tier
from retail import audit, privacy
from retail.models import Post

MOST_FOUND = 50
_ALL = 1_000_000  # more than anybody has
TAIL = "search_tail"  # the act in the journal


class Sort(NamedTuple):
    """A way to sort, by one column; who has nothing there comes last."""

    words: Any
    field: str
    is_rising: bool = False

    @property
    def order(self) -> tuple[OrderBy, OrderBy]:
        """As the index `customer_by_purchase` has it."""
        column, key = F(self.field), F("binding")
        rising = (column.asc(nulls_last=True), key.asc())
        return rising if self.is_rising else (column.desc(nulls_last=True), key.desc())

    def after(self, mark: "Mark") -> Q:
        """The rows below the last one that was seen."""
        beyond = "gt" if self.is_rising else "lt"
        equal = Q(**{self.field: mark.value, f"binding__{beyond}": mark.binding_id})
        if mark.value is None:
            return Q(**{f"{self.field}__isnull": True, f"binding__{beyond}": mark.binding_id})
        return Q(**{f"{self.field}__{beyond}": mark.value}) | equal | Q(**{f"{self.field}__isnull": True})


SORTS = {
    "bought": Sort(_("最近购买"), "bought_at"),
    "spent": Sort(_("消费最多"), "paid_fen"),
    "quiet": Sort(_("久未联系"), "quiet_since", is_rising=True),
    "new": Sort(_("新绑定"), "bound_at"),
}
FRIENDS = {
    "friend": (_("好友"), Q(is_friend=True, is_lost=False)),
    "none": (_("未加好友"), Q(is_friend=False, is_lost=False)),
    "lost": (_("已流失"), Q(is_lost=True)),
}


class Wanted(NamedTuple):
    """Which of the customers, and in which order; "" and 0 stand for all."""

    sort: str = "bought"
    friend: str = ""
    tier_id: int = 0
    tag_id: int = 0
    is_dormant: bool = False

    @property
    def is_narrow(self) -> bool:
        return bool(self.friend or self.tier_id or self.tag_id or self.is_dormant)


class Mark(NamedTuple):
    """Where a page ended: the value it was sorted by, and the relation. As text it fits in an address."""

    value: datetime | int | None
    binding_id: int

    def __str__(self) -> str:
        said = self.value.isoformat() if isinstance(self.value, datetime) else self.value
        return base64.urlsafe_b64encode(json.dumps([said, self.binding_id]).encode()).decode().rstrip("=")

    @classmethod
    def parse(cls, text: str, *, sort: Sort) -> Self:
        """The mark that was written so. Raises ValueError."""
        said = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        match said:
            case [None, int(key)] if sort.field == "bought_at" and 0 < key < 1 << 63:
                return cls(None, key)
            case [int(value), int(key)] if sort.field == "paid_fen" and abs(value) < 1 << 62 and 0 < key < 1 << 63:
                return cls(value, key)
            case [str(value), int(key)] if sort.field != "paid_fen" and 0 < key < 1 << 63:
                at = datetime.fromisoformat(value)
                if at.tzinfo is not None and at.year > 1:
                    return cls(at, key)
        raise ValueError(text)


class Page(NamedTuple):
    """`mark`: where to go on, None at the end."""

    customers: list[Customer]
    mark: Mark | None


def page(*, post: Post, wanted: Wanted, limit: int, now: datetime, below: Mark | None = None) -> Page:
    """A page of the clerk's own customers of the store's brand. One statement."""
    rows, sort = _narrowed(_own(post), wanted, now), SORTS[wanted.sort]
    if below is not None:
        rows = rows.filter(sort.after(below))
    found = list(rows.order_by(*sort.order)[: limit + 1])
    shown = found[:limit]
    mark = Mark(getattr(shown[-1], sort.field), shown[-1].binding_id) if len(found) > limit else None
    return Page(shown, mark)


def _own(post: Post) -> QuerySet[Customer]:
    """With what a list shows of each; names stand with the member, so that the list calls everybody as their page."""
    assert post.store is not None  # the phone is for posts in stores
    rows = Customer.objects.filter(staff=post.staff_id, brand=post.store.brand_id).select_related("member", "tier")
    return rows.only(
        "staff", "is_friend", "is_lost", "contacted_at", "quiet_since", "bought_at", "bound_at", "paid_fen", "orders",
        "member__name", "tier__name",
    )  # fmt: skip


def _narrowed(rows: QuerySet[Customer], wanted: Wanted, now: datetime) -> QuerySet[Customer]:
    if wanted.friend:
        rows = rows.filter(FRIENDS[wanted.friend][1])
    if wanted.tier_id:
        rows = rows.filter(tier=wanted.tier_id)
    if wanted.tag_id:
        rows = rows.filter(tag_ids__contains=[wanted.tag_id])
    if wanted.is_dormant:
        rows = rows.filter(bought_at__lt=now - timedelta(days=settings.DORMANT_DAYS))
    return rows


class Choices(NamedTuple):
    """What there is to choose from beside the list."""

    tiers: list[Tier]
    tags: list[Tag]


def choices(*, post: Post) -> Choices:
    """The tiers of the brand, and the tags a clerk may see: the group's, the brand's, their own. Two statements."""
    assert post.store is not None
    brand_id = post.store.brand_id
    tiers = list(Tier.objects.filter(brand=brand_id).order_by("-rank"))
    return Choices(tiers, list(_tags(post).order_by("group_name", "name", "pk")[:200]))


def _tags(post: Post) -> QuerySet[Tag]:
    assert post.store is not None
    of_brand = Q(brand=post.store.brand_id) | Q(brand=None)
    return Tag._base_manager.filter(of_brand, Q(staff=None) | Q(staff=post.staff_id), is_active=True)


# ── Searched for ─────────────────────────────────────────────────────────────────────────────────────────────────────
class Refused(ValueError):
    """This cannot be searched for; the words are for the clerk."""


class Found(NamedTuple):
    """`is_cut`: there are more than can be shown."""

    customers: list[Customer]
    is_cut: bool


def find(*, post: Post, text: str, by: Any, now: datetime) -> Found:
    """Those of the clerk's own customers whose name (as written, in pinyin, by initials) or tag has the text in it.

    Four digits are the end of a telephone number, which is counted (`_by_tail`). Raises Refused.
    """
    said = "".join(text.split()).lower()
    if not said or "\x00" in said or len(said) > 64:
        raise Refused(_("请输入姓名、拼音、首字母、标签或手机尾号。"))
    if len(said) == 4 and said.isascii() and said.isdecimal():
        return _by_tail(post, said, by, now)
    if privacy.has_number(said) and not _called(post, said):  # names are searched without digits; a tag may be 90后
        raise Refused(_("手机号只能用最后 4 位来找；找人也可以用姓名或拼音。"))
    return _found(named(post=post, text=said))


def named(*, post: Post, text: str) -> QuerySet[Customer]:
    """Own customers whose name, in small letters, or tag has the text in it."""
    tag_ids, named = _called(post, text), Q(sought__contains=text)
    if tag_ids:
        return _own(post).filter(named | Q(tag_ids__overlap=tag_ids))
    assert post.store is not None
    # The slice keeps the two apart: who is called so is told by the index alone, whose rows lie side by side.
    called = Customer.objects.filter(named, staff=post.staff_id, brand=post.store.brand_id).order_by()
    return _own(post).filter(pk__in=called.values("pk")[:_ALL])


def _called(post: Post, text: str) -> list[int]:
    """The tags the clerk may see with the text in their name."""
    return list(_tags(post).filter(name__icontains=text).values_list("pk", flat=True)[:50])


def with_tail(*, post: Post, digits: str) -> QuerySet[Customer]:
    """Own customers with a telephone number that ends so."""
    hashed = book.tail(staff_id=post.staff_id, digits=digits)
    ends = _own(post).alias(ends=TAILS)
    return ends.filter(ends__contains=[hashed])  # type: ignore[misc]  # taken for the text that the array is made of


def _by_tail(post: Post, digits: str, by: Any, now: datetime) -> Found:
    """Who of one's own has a number that ends so: no more than their pages say, and so many times a day."""
    with transaction.atomic():
        audit.one_by_one(by=by, action=TAIL)
        if audit.count_of_today(by=by, action=TAIL, now=now) >= settings.TAIL_SEARCHES_PER_DAY:
            raise Refused(_("今天用手机尾号找人的次数用完了，请用姓名或拼音找。"))
        found = _found(with_tail(post=post, digits=digits))
        # Not the digits: the journal cannot be changed when a customer wants to be forgotten.
        audit.record(by=by, action=TAIL, target=post.staff, now=now, after={"found": len(found.customers)})
    return found


def _found(rows: QuerySet[Customer]) -> Found:
    found = list(shown(rows))
    return Found(found[:MOST_FOUND], len(found) > MOST_FOUND)


def shown(rows: QuerySet[Customer]) -> QuerySet[Customer]:
    """As many as are shown and one more, who bought last first."""
    return rows.order_by(*SORTS["bought"].order)[: MOST_FOUND + 1]
