"""业绩归因: who was behind an order, in which role, as things stood when it was paid. Resolved once, then kept."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from django.db import connection

from clerks.materials import credit
from clerks.models import Binding
from commissions.claims import BuyerFacts, Claim
from commissions.models.plans import Role
from members.models import Purchase
from retail import org
from retail.models import Order, Post

RESOLVER = 3  # the version of the rules below, stored with every claim


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A role before we know whether its person held a post then: staff by id, by code, or by share code."""

    role: str
    evidence: dict[str, object]
    staff_id: int | None = None
    code: str = ""
    share_code: str = ""
    line_id: int | None = None


def resolve_many(
    *, orders: Sequence[Order], purchases: Mapping[int, Purchase], bindings: Mapping[int, Binding]
) -> dict[int, list[Claim]]:
    """Order id → the claims on it: one per role, and per line where lines name another clerk.

    purchases: who bought, by order (none = nobody known); bindings: the relation as of the payment. Who held no post
    in a store at that moment claims nothing, and nobody stands in for them; the rule's `missing` policy decides about
    their part.
    """
    if not orders:
        return {}
    wanted = {order.pk: _wanted(order, purchases.get(order.pk), bindings.get(order.pk)) for order in orders}
    for order_id, found in credit.behind(orders=orders, purchases=purchases).items():
        wanted[order_id].append(_Wanted(Role.SHARE, found.evidence, staff_id=found.staff_id))
    roster = _roster(orders, [one for named in wanted.values() for one in named])
    return {order.pk: _resolved(order, wanted[order.pk], roster) for order in orders}


def _resolved(order: Order, wanted: Iterable[_Wanted], roster: org.Roster) -> list[Claim]:
    claims = [claim for one in wanted if (claim := _claim(one, order.paid_at, roster))]
    home = _home(order, claims)
    if home is not None:
        claims += _managers(home, order.paid_at, roster)
    if not order.fulfilling_clerk and (store := order.fulfil_store):
        claims.append(Claim(Role.FULFIL, None, store.pk, store.franchisee_id, evidence={"by": "fulfil_store"}))
    return claims


def buyer_facts(*, purchases: Mapping[int, Purchase]) -> dict[int, BuyerFacts]:
    """Order id → what the rules may ask about the buyer; an unknown buyer, of no purchase, has no facts."""
    if not purchases:
        return {}
    ours = _Ours(purchases.values())
    return {order_id: _facts(purchase, ours.buyer(purchase)) for order_id, purchase in purchases.items()}


class _Ours:
    """Which buyers are people of ours. One statement.

    By the number the order itself gives, else by one that was known to be the member's before: what other orders tell
    at the same time or later says nothing of it, whether they are settled together or one after the other. A number
    that was only typed beside a stronger key is nobody's yet.
    """

    def __init__(self, purchases: Iterable[Purchase]) -> None:
        rows = list(purchases)
        keys = {key for row in rows for key in row.order.buyer_keys}
        members = {row.membership.member_id for row in rows}
        self._by_key: dict[int, int] = {}
        self._by_member: dict[int, tuple[datetime, int]] = {}
        with connection.cursor() as cursor:
            cursor.execute(_OURS, {"keys": list(keys), "members": list(members)})
            for staff_id, key_id, member_id, seen_at in cursor.fetchall():
                if member_id is None:
                    self._by_key.setdefault(key_id, staff_id)
                else:
                    known = (seen_at, staff_id)
                    self._by_member[member_id] = min(self._by_member.get(member_id, known), known)

    def buyer(self, purchase: Purchase) -> int | None:
        named = (self._by_key[key] for key in purchase.order.buyer_keys if key in self._by_key)
        seen_at, known = self._by_member.get(purchase.membership.member_id, (purchase.paid_at, None))
        return next(named, known if seen_at < purchase.paid_at else None)


_OURS = """
SELECT id, phone_key_id, NULL::bigint, NULL::timestamptz FROM retail_staff WHERE phone_key_id = ANY(%(keys)s::bigint[])
UNION ALL
SELECT s.id, s.phone_key_id, i.member_id, i.seen_at
FROM members_identity i JOIN retail_staff s ON s.phone_key_id = i.key_id
WHERE i.member_id = ANY(%(members)s::bigint[]) AND NOT i.is_hearsay
ORDER BY 1
"""


def _facts(purchase: Purchase, staff_id: int | None) -> BuyerFacts:
    membership = purchase.membership
    tier = membership.tier.code if membership.tier else ""
    return BuyerFacts(purchase.is_first, tier, purchase.dormant_days, staff_id)


def _wanted(order: Order, purchase: Purchase | None, binding: Binding | None) -> list[_Wanted]:
    wanted = []
    if purchase and purchase.membership.registered_by_id:
        recruiter = purchase.membership.registered_by_id
        wanted.append(_Wanted(Role.RECRUIT, {"by": "registration"}, staff_id=recruiter))
        if purchase.is_first:
            wanted.append(_Wanted(Role.FIRST_ORDER, {"by": "registration"}, staff_id=recruiter))
    if binding:
        wanted.append(_Wanted(Role.BOUND, {"by": "binding", "binding": binding.pk}, staff_id=binding.staff_id))
    if order.share_code:
        wanted.append(_Wanted(Role.SHARE, {"by": "share_code"}, share_code=order.share_code))
    if order.serving_clerk:
        wanted.append(_Wanted(Role.SERVE, {"by": "order"}, code=order.serving_clerk))
    if order.fulfilling_clerk:
        wanted.append(_Wanted(Role.FULFIL, {"by": "order"}, code=order.fulfilling_clerk))
    wanted += [
        _Wanted(Role.SERVE, {"by": "line"}, code=line.serving_clerk, line_id=line.pk)
        for line in order.all_lines
        if line.serving_clerk and line.serving_clerk != order.serving_clerk
    ]
    return wanted


def _roster(orders: Iterable[Order], wanted: Sequence[_Wanted]) -> org.Roster:
    """The posts of everybody who is wanted, and the managers of the stores the orders may be at home in."""
    times = [order.paid_at for order in orders]
    return org.roster(
        since=min(times),
        until=max(times),
        staff_ids={one.staff_id for one in wanted if one.staff_id},
        codes={one.code for one in wanted if one.code},
        share_codes={one.share_code for one in wanted if one.share_code},
        store_ids={order.store_id for order in orders if order.store_id},
    )


def _claim(wanted: _Wanted, at: datetime, roster: org.Roster) -> Claim | None:
    post = roster.person(at=at, staff_id=wanted.staff_id, code=wanted.code, share_code=wanted.share_code)
    if post is not None:
        return _of_post(wanted.role, post, wanted.evidence, wanted.line_id)
    # A line that names a stranger must not fall back to the clerk of the order.
    return Claim(wanted.role, None, line_id=wanted.line_id, evidence=wanted.evidence) if wanted.line_id else None


def _managers(home: "_Home", at: datetime, roster: org.Roster) -> list[Claim]:
    """The store manager and the region manager over an order."""
    claims: list[Claim] = []
    for post in roster.managers(store_id=home.store_id, at=at):
        role = Role.MANAGER if post.role == Post.Role.STORE_MANAGER else Role.REGION
        if any(claim.role == role for claim in claims):
            continue
        claim = _of_post(role, post, {"by": home.by}, None)
        # A region manager works for the company; what they earn is paid where the order is at home.
        claims.append(claim if post.store_id else replace(claim, store_id=home.store_id))
    return claims


def _of_post(role: str, post: org.Held, evidence: dict[str, object], line_id: int | None) -> Claim:
    return Claim(role, post.staff_id, post.store_id, post.franchisee_id, post.role, line_id, evidence)


@dataclass(frozen=True, slots=True)
class _Home:
    """The store whose manager and region an order counts for, and why."""

    store_id: int
    by: str


def _home(order: Order, claims: list[Claim]) -> _Home | None:
    """The order's store, else that of the clerk it belongs to."""
    if order.store_id:
        return _Home(order.store_id, "order_store")
    stores = {claim.role: claim.store_id for claim in reversed(claims)}
    for role in (Role.BOUND, Role.SERVE, Role.SHARE, Role.RECRUIT):
        if store_id := stores.get(role):
            return _Home(store_id, f"store_of_{role}")
    return None
