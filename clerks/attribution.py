"""业绩归因: who was behind an order, in which role, as things stood when it was paid. Resolved once, then kept."""

from dataclasses import dataclass, replace

from clerks.models import Binding
from commissions.claims import BuyerFacts, Claim
from commissions.models.plans import Role
from members.models import Purchase
from retail import org
from retail.models import Order, Post, Staff

RESOLVER = 1  # the version of the rules below, stored with every claim


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A role before we know whether its person held a post then: staff by id, by code, or by share code."""

    role: str
    evidence: dict[str, object]
    staff_id: int | None = None
    code: str = ""
    share_code: str = ""
    line_id: int | None = None


def resolve(*, order: Order, purchase: Purchase | None, binding: Binding | None) -> list[Claim]:
    """The claims on an order: one per role, and per line where lines name another clerk.

    purchase: who bought (None = nobody known); binding: the relation as of the payment. Who held no post in a store at
    that moment claims nothing, and nobody stands in for them; the rule's `missing` policy decides about their part.
    """
    wanted = _wanted(order, purchase, binding)
    posts = _Posts(order, wanted)
    claims = [claim for one in wanted if (claim := posts.claim(one))]
    home = _home(order, claims)
    if home is not None:
        claims += posts.managers(home)
    if (store := order.fulfil_store) and not order.fulfilling_clerk:
        claims.append(Claim(Role.FULFIL, None, store.pk, store.franchisee_id, evidence={"by": "fulfil_store"}))
    return claims


def buyer_facts(*, purchase: Purchase | None) -> BuyerFacts:
    """What the rules may ask about the buyer; an unknown buyer is neither new nor dormant."""
    if purchase is None:
        return BuyerFacts()
    membership = purchase.membership
    own = Staff.objects.filter(phone_key__identity__member=membership.member_id).values_list("pk", flat=True).first()
    tier = membership.tier
    return BuyerFacts(purchase.is_first, tier.code if tier else "", purchase.dormant_days, own)


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
        for line in order.lines.all()
        if line.serving_clerk and line.serving_clerk != order.serving_clerk
    ]
    return wanted


class _Posts:
    """The posts at the moment of payment of everybody who is wanted, and of the managers of the order's store."""

    def __init__(self, order: Order, wanted: list[_Wanted]) -> None:
        self._at, self._store_id = order.paid_at, order.store_id
        posts = org.behind(
            at=order.paid_at,
            staff_ids={one.staff_id for one in wanted if one.staff_id},
            codes={one.code for one in wanted if one.code},
            share_codes={one.share_code for one in wanted if one.share_code},
            store_id=order.store_id,
        )
        self._managers = posts.managers
        self._by: dict[object, org.Held] = {}
        for post in posts.people:
            for name in (post.staff_id, ("code", post.code), ("share", post.share_code)):
                self._by.setdefault(name, post)

    def claim(self, wanted: _Wanted) -> Claim | None:
        name: object = wanted.staff_id
        if wanted.code:
            name = ("code", wanted.code)
        elif wanted.share_code:
            name = ("share", wanted.share_code)
        post = self._by.get(name)
        return _of_post(wanted.role, post, wanted.evidence, wanted.line_id) if post else None

    def managers(self, home: "_Home") -> list[Claim]:
        """The store manager and the region manager over the order."""
        is_known = home.store_id == self._store_id
        posts = self._managers if is_known else org.behind(at=self._at, store_id=home.store_id).managers
        claims: list[Claim] = []
        for post in posts:
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
