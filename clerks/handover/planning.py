"""Who gets whom: plain values in, plain values out, the same every time."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple


class Way(StrEnum):
    ALL = "all"  # to one receiver
    EVEN = "even"
    TAG = "tag"  # to whoever was named for one of the customer's tags
    LAST_STORE = "last_store"  # to whoever works where the customer bought last


class Someone(NamedTuple):
    """A customer, as far as it matters who gets them."""

    member_id: int
    spend_fen: int = 0
    tag_ids: frozenset[int] = frozenset()
    last_store_id: int | None = None


class Receiver(NamedTuple):
    """`room`: how many more they may have, None = any number. `tag_id`: named for the customers with this tag."""

    staff_id: int
    store_id: int
    room: int | None = None
    tag_id: int | None = None


class Share(NamedTuple):
    """What a receiver is to get."""

    customers: int
    spend_fen: int


Dealt = dict[int, int | None]
"""Member → staff; None for those whom nobody has room for."""


def deal(*, customers: Iterable[Someone], receivers: Sequence[Receiver], way: Way) -> Dealt:
    """Give each customer to one receiver, nobody more than they have room for.

    The dearest customers first, each to the one among those they belong to who has the fewest yet, then the least
    value: so nobody has more than one above another who belongs to the same customers and has room. Whom none of
    theirs has room for goes to whoever has.
    """
    chosen = receivers[:1] if way == Way.ALL else receivers
    hands = [_Hand(place, one) for place, one in enumerate(chosen)]
    dealt: Dealt = {}
    for someone in sorted(customers, key=lambda one: (-one.spend_fen, one.member_id)):
        hand = _least(_belonging(someone, hands, way)) or _least(hands)
        if hand is not None:
            hand.take(someone)
        dealt[someone.member_id] = hand.staff_id if hand else None
    return dealt


def shares(*, customers: Iterable[Someone], dealt: Mapping[int, int | None]) -> dict[int | None, Share]:
    """How many customers each gets and what these spent in a year; None stands for nobody."""
    found: dict[int | None, Share] = {}
    for one in customers:
        share = found.get(dealt[one.member_id], Share(0, 0))
        found[dealt[one.member_id]] = Share(share.customers + 1, share.spend_fen + one.spend_fen)
    return found


class _Hand:
    """A receiver while it is dealt."""

    __slots__ = ("count", "place", "receiver", "spend_fen", "staff_id")

    def __init__(self, place: int, receiver: Receiver) -> None:
        self.place, self.receiver, self.staff_id = place, receiver, receiver.staff_id
        self.count = self.spend_fen = 0

    def has_room(self) -> bool:
        return self.receiver.room is None or self.count < self.receiver.room

    def take(self, someone: Someone) -> None:
        self.count += 1
        self.spend_fen += someone.spend_fen


def _belonging(someone: Someone, hands: Collection[_Hand], way: Way) -> list[_Hand]:
    """Who comes first for this customer: nobody in particular where the list is empty."""
    if way == Way.TAG:
        named = [hand for hand in hands if hand.receiver.tag_id in someone.tag_ids]
        return named or [hand for hand in hands if hand.receiver.tag_id is None]
    if way == Way.LAST_STORE:
        return [hand for hand in hands if hand.receiver.store_id == someone.last_store_id]
    return []


def _least(hands: Iterable[_Hand]) -> _Hand | None:
    free = (hand for hand in hands if hand.has_room())
    return min(free, key=lambda hand: (hand.count, hand.spend_fen, hand.place), default=None)
