"""行为奖励: which of the things that happen between clerks and customers are told to `commissions.actions`.

Somebody became a friend and stays one; somebody who slept was woken by a purchase; somebody opened what they were sent
or used the coupon they were given; two members are one person. What of it is paid, the plan says.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from clerks.models import FriendMove
from clerks.rebinding import Claim as FriendClaim
from commissions import actions, returns
from commissions.actions import Action, Void
from commissions.claims import BuyerFacts, Claim
from commissions.models.actions import SHORTEST_SLEEP, ActionEvent, ActionType
from commissions.models.plans import Role
from members import coupons, identity
from members.models import Identity, Membership, Purchase
from retail import org
from retail.models import Order, Staff, Store

_Kind = FriendMove.Kind


def of_friends(
    *, member_id: int, moves: Sequence[FriendMove], claims: Mapping[int, Sequence[FriendClaim]], now: datetime
) -> None:
    """All that happened between a member and our people, in order, and the claims that follow from it, by brand.

    A customer taken over from a colleague is no new friend. Whoever of the two deletes the other ends what was paid.
    """
    made = {
        (claim.staff_id, claim.at, brand_id): claim
        for brand_id, some in claims.items()
        for claim in some
        if not claim.is_takeover
    }
    befriended: list[Action] = []
    ended: list[Void] = []
    current: dict[int, list[str]] = {}  # friend → what stands for being friends now
    for move in moves:
        if move.kind == _Kind.ADDED:
            new = [_befriended(move, made[key], key[2], member_id) for key in made if key[:2] == _seat(move)]
            befriended += new
            current[move.friend_id] = [action.number for action in new]
        elif move.kind in (_Kind.LOST, _Kind.DELETED, _Kind.TRANSFERRED):
            over = current.pop(move.friend_id, [])
            if move.kind != _Kind.TRANSFERRED:
                ended += [Void(f"un{number}", number, ActionEvent.Cause.UNFRIENDED, move.at) for number in over]
    if paid_for := actions.rated(befriended):
        actions.act_many(actions=_with_payers(paid_for), now=now, persons=identity.persons)
    actions.void_many(voids=ended, now=now)


def _seat(move: FriendMove) -> tuple[int | None, datetime]:
    return move.friend.staff_id, move.at


def _befriended(move: FriendMove, claim: FriendClaim, brand_id: int, member_id: int) -> Action:
    return Action(
        number=f"friend:{brand_id}:{move.friend_id}:{int(move.at.timestamp())}",
        type=ActionType.FRIEND,
        brand_id=brand_id,
        staff_id=claim.staff_id,
        store_id=claim.store_id,
        at=move.at,
        customer=member_id,
    )


def _with_payers(some: Sequence[Action]) -> list[Action]:
    stores = Store._base_manager.filter(pk__in={action.store_id for action in some})
    payers: dict[int | None, int | None] = dict(stores.values_list("pk", "franchisee"))
    return [replace(action, payer_id=payers.get(action.store_id)) for action in some]


def of_registrations(*, memberships: Sequence[Membership], now: datetime) -> None:
    """Somebody of ours recruited these members; those whom nobody did are left out."""
    recruited = [
        Action(
            number=f"register:{one.pk}",
            type=ActionType.REGISTER,
            brand_id=one.brand_id,
            staff_id=one.registered_by_id,
            store_id=one.registered_store_id,
            at=one.registered_at,
            customer=one.member_id,
        )
        for one in memberships
        if one.registered_by_id is not None
    ]
    if paid_for := actions.rated(recruited):
        actions.act_many(actions=_with_payers(paid_for), now=now, persons=identity.persons)


def of_purchases(
    *,
    purchases: Mapping[int, Purchase],
    claims: Mapping[int, Sequence[Claim]],
    buyers: Mapping[int, BuyerFacts],
    now: datetime,
) -> None:
    """By order: who bought after a long sleep was woken by the clerk whose customer they are; nobody wakes themselves.

    Where nobody slept it asks nothing of the database, where no plan pays for it one statement.
    """
    woken = [
        _woken(purchase, claim)
        for order_id, purchase in purchases.items()
        if (purchase.dormant_days or 0) >= SHORTEST_SLEEP and not _came_back(purchase.order)
        for claim in claims[order_id]
        if claim.role == Role.BOUND and claim.staff_id and claim.staff_id != buyers[order_id].staff_id
    ]
    actions.act_many(actions=woken, now=now, persons=identity.persons)


def _woken(purchase: Purchase, claim: Claim) -> Action:
    assert claim.staff_id is not None
    return Action(
        number=f"wake:{purchase.order_id}",
        type=ActionType.WAKE,
        brand_id=purchase.membership.brand_id,
        staff_id=claim.staff_id,
        store_id=claim.store_id,
        payer_id=claim.payer_id,
        at=purchase.paid_at,
        customer=purchase.membership.member_id,
        active_days=purchase.dormant_days,
        order_id=purchase.order_id,
    )


def of_returned(*, orders: Sequence[Order], now: datetime) -> None:
    """Whoever gave everything back was not woken."""
    back = [order for order in orders if _came_back(order)]
    actions.void_many(
        voids=[Void(f"unwake:{one.pk}", f"wake:{one.pk}", ActionEvent.Cause.RETURNED, now) for one in back], now=now
    )


def _came_back(order: Order) -> bool:
    """Whether nothing of an order was kept but what was given on top."""
    if not order.all_refunds:
        return False
    back = returns.tally(lines=order.all_lines, refunds=order.all_refunds).back
    return all(
        line.pk in back and back[line.pk].back == back[line.pk].size for line in order.all_lines if line.paid_fen
    )


def of_openings(*, opened: Sequence[Action], now: datetime) -> None:
    """Customers opened what clerks had sent; who held no post in a store by then is not paid."""
    if not (paid_for := actions.rated(opened)):
        return
    times = [one.at for one in paid_for]
    roster = org.roster(since=min(times), until=max(times), staff_ids={one.staff_id for one in paid_for})
    held = [(one, roster.person(at=one.at, staff_id=one.staff_id)) for one in paid_for]
    placed = [replace(one, store_id=post.store_id, payer_id=post.franchisee_id) for one, post in held if post]
    actions.act_many(actions=placed, now=now, persons=identity.persons)


def of_coupons(*, changes: Sequence[coupons.Change], now: datetime) -> None:
    """Coupons that orders have begun or ceased to redeem: whoever gave one is paid for its use, themselves excepted.

    A coupon that was given back and is used again is used anew.
    """
    given = [change for change in changes if change.coupon.issued_by_id and change.before != change.after]
    ended = [_unused(change, now) for change in given if change.before]
    used = [_used(change) for change in given if change.after]
    actions.void_many(voids=ended, now=now)
    if paid_for := actions.rated(used):
        actions.act_many(actions=_with_payers(_by_others(paid_for)), now=now, persons=identity.persons)


def _number(coupon_id: int, use: int) -> str:
    return f"coupon:{coupon_id}:{use}"


def _used(change: coupons.Change) -> Action:
    coupon = change.coupon
    assert coupon.issued_by_id is not None
    return Action(
        number=_number(coupon.pk, coupon.uses),
        type=ActionType.COUPON,
        brand_id=coupon.type.brand_id,
        staff_id=coupon.issued_by_id,
        store_id=coupon.store_id,
        at=change.at,
        customer=coupon.membership.member_id if coupon.membership else None,
        content=coupon.type.code,
        order_id=change.after,
    )


def _unused(change: coupons.Change, now: datetime) -> Void:
    """The use before this one; it ended as one more began, or none did."""
    number = _number(change.coupon.pk, change.coupon.uses - (1 if change.after else 0))
    cause = ActionEvent.Cause.RETURNED if change.reason == coupons.GIVEN_BACK else ActionEvent.Cause.UNUSED
    return Void(f"un{number}", number, cause, now)


def _by_others(used: Sequence[Action]) -> list[Action]:
    """Without those where the customer is the clerk."""
    clerks = Staff._base_manager.filter(pk__in={one.staff_id for one in used}, phone_key__isnull=False)
    phones = dict(clerks.values_list("phone_key", "pk"))
    own = {
        (phones[key], member)
        for key, member in Identity._base_manager.filter(key__in=phones).values_list("key", "member")
    }
    return [one for one in used if (one.staff_id, one.customer) not in own]


def merged(*, member_ids: Collection[int], now: datetime) -> None:
    """These members were merged with others: what the person was paid for twice is taken back."""
    for person in sorted(set(identity.persons(member_ids).values())):
        actions.merged(person=person, now=now)
