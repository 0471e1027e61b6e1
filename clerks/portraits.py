"""What somebody in a store may know of a customer: whose they are, and of their own ones the portrait.

A clerk sees their own customers, and of those who are nobody's the ones of their store; a store manager those of the
store. Of everybody else a page says that they belong to a colleague, and nothing more. Orders of another company than
the store's are left out of every figure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple, Self

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from clerks.models import Binding, CorpTag, Friend
from commissions import returns
from members.models import Member, Membership, Purchase
from retail import privacy, scope
from retail.models import Order, OrderLine, Post, Refund, Store

LATEST = 5


class Mark(NamedTuple):
    """Where a page of customers ended: the next one goes on below it. As text it fits in an address."""

    started_at: datetime
    binding_id: int

    def __str__(self) -> str:
        return f"{self.started_at.timestamp():.6f}-{self.binding_id}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The mark that was written so. Raises ValueError."""
        seconds, _dash, binding_id = text.partition("-")
        try:
            return cls(datetime.fromtimestamp(float(seconds), UTC), int(binding_id))
        except (OverflowError, OSError) as error:
            raise ValueError(text) from error


class Customer(NamedTuple):
    """One of the clerk's own, with their standing with the brand; none before they have joined it."""

    binding: Binding
    membership: Membership | None

    @property
    def name(self) -> str:
        return called(self.binding.member)

    @property
    def is_lost(self) -> bool:
        """Whether they have deleted the clerk in WeCom."""
        return self.binding.lost_at is not None


def called(member: Member) -> str:
    """What a member is called on a page."""
    return privacy.without_numbers(member.name) or _("顾客")


class Page(NamedTuple):
    """Customers, the newest relation first; `mark` is where to go on, None at the end."""

    customers: list[Customer]
    mark: Mark | None


def of_clerk(*, staff_id: int, limit: int, below: Mark | None = None) -> Page:
    """A page of the clerk's own customers. Two statements."""
    bindings = Binding.objects.active().filter(staff=staff_id).select_related("member")
    if below is not None:
        at, pk = below
        bindings = bindings.filter(Q(started_at__lt=at) | Q(started_at=at, pk__lt=pk))
    found = list(bindings.order_by("-started_at", "-pk")[: limit + 1])
    shown = found[:limit]
    standing = _standing(shown)
    customers = [Customer(one, standing.get((one.brand_id, one.member_id))) for one in shown]
    return Page(customers, Mark(shown[-1].started_at, shown[-1].pk) if len(found) > limit else None)


def _standing(bindings: Sequence[Binding]) -> dict[tuple[int, int], Membership]:
    """The memberships of customers whose binding the reader has seen, by brand and member."""
    rows = Membership._base_manager.filter(member__in={one.member_id for one in bindings}).select_related("tier")
    return {(row.brand_id, row.member_id): row for row in rows}


# ── Whose ────────────────────────────────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True, slots=True)
class Relation:
    """What a post has to do with a member. `binding` is the active one, whoever's; it is None for nobody's."""

    member_id: int
    binding: Binding | None
    is_visible: bool


def relation(*, post: Post, member_id: int) -> Relation:
    """Whether the holder of a post in a store may see this member of the store's brand."""
    active = Binding._base_manager.filter(ended_at=None, brand=_store(post).brand_id, member=member_id)
    binding = active.select_related("staff").first()
    if binding is None:
        return Relation(member_id, None, _is_of_store(post, member_id))
    is_mine = binding.staff_id == post.staff_id
    is_of_my_store = post.role == Post.Role.STORE_MANAGER and binding.store_id == post.store_id
    return Relation(member_id, binding, is_mine or is_of_my_store)


def _store(post: Post) -> Store:
    assert post.store is not None  # the phone is for posts in stores
    return post.store


def _is_of_store(post: Post, member_id: int) -> bool:
    """Whether somebody who is nobody's joined, or has bought, in the store of the post."""
    joined_here = Q(registered_store=post.store_id) | Q(purchases__store=post.store_id)
    return Membership._base_manager.filter(joined_here, brand=_store(post).brand_id, member=member_id).exists()


# ── The portrait ─────────────────────────────────────────────────────────────────────────────────────────────────────
class Bought(NamedTuple):
    """One of the latest orders with the names of what was bought."""

    order: Order
    products: list[str]


@dataclass(frozen=True, slots=True)
class Portrait:
    """A customer as the store may see them. Money is what they paid, less what came back."""

    relation: Relation
    membership: Membership
    orders: int
    fen: int
    first_at: datetime | None
    last_at: datetime | None
    latest: list[Bought]
    tags: list[str]

    @property
    def name(self) -> str:
        return called(self.membership.member)


def portrait(*, post: Post, seen: Relation) -> Portrait | None:
    """The portrait of a member whom `relation` says is visible; None where they are of another brand only."""
    found = Membership._base_manager.filter(brand=_store(post).brand_id, member=seen.member_id)
    membership = found.select_related("member", "tier").first()
    if membership is None or not seen.is_visible:
        return None
    # That the reader may see this customer is known by now; orders and lines have no clerk to be found by.
    with scope.within(scope.EVERYTHING):
        orders = [purchase.order for purchase in _purchases(membership, post).select_related("order__channel")]
        times = [order.paid_at for order in orders]
        return Portrait(
            relation=seen,
            membership=membership,
            orders=len(orders),
            fen=sum(order.paid_fen for order in orders) - _returned(orders),
            first_at=min(times, default=None),
            last_at=max(times, default=None),
            latest=_bought(orders[:LATEST]),
            tags=_tags(_store(post).brand.corp, seen.member_id),
        )


def _tags(corp: str, member_id: int) -> list[str]:
    """What the customer is marked with in WeCom, by the names the corp gave, in its order."""
    marked = Friend.objects.filter(corp=corp, member=member_id).values_list("tags", flat=True)
    ids = {tag_id for tags in marked for tag_id in tags}
    known = CorpTag.objects.filter(corp=corp, tag_id__in=ids, deleted_at=None)
    return list(known.order_by("group_name", "place", "name").values_list("name", flat=True)) if ids else []


def _purchases(membership: Membership, post: Post) -> QuerySet[Purchase]:
    """Those online, and those in stores of the company the post works for; newest first."""
    ours = Q(store=None) | Q(store__isnull=False, store__franchisee=_store(post).franchisee_id)
    return Purchase.objects.filter(ours, membership=membership).order_by("-paid_at", "-pk")


def _returned(orders: Sequence[Order]) -> int:
    """What refunds took of these orders, in fen."""
    refunds = list(Refund.objects.filter(order__in=orders))
    lines = OrderLine.objects.filter(order__in={refund.order_id for refund in refunds}) if refunds else []
    sums = 0
    for order_id in {refund.order_id for refund in refunds}:
        of_order = [line for line in lines if line.order_id == order_id]
        tally = returns.tally(lines=of_order, refunds=[refund for refund in refunds if refund.order_id == order_id])
        sums += sum(back.back for back in tally.back.values() if back.paid_fen)
    return sums


def _bought(orders: Sequence[Order]) -> list[Bought]:
    lines = OrderLine.objects.filter(order__in=orders).select_related("product").order_by("pk")
    names = [(line.order_id, line.product.name) for line in lines]
    return [Bought(order, list(dict.fromkeys(name for pk, name in names if pk == order.pk))) for order in orders]
