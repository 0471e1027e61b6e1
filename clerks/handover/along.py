"""What goes along with a customer who gets another clerk: each room has a verb for what is its own."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Protocol

from clerks import notes
from clerks.leads import dealing
from clerks.outreach import help, notices
from members.coupons import giving
from retail.org import Held


class Verb(Protocol):
    """In the caller's transaction; a second time changes nothing."""

    def __call__(self, *, brand_id: int, member_ids: Collection[int], to: Held, now: datetime) -> object: ...


# A later room joins in one line.
VERBS: tuple[Verb, ...] = (notes.hand_over, notices.hand_over, help.hand_over, dealing.hand_over)


def move(*, brand_id: int, member_ids: Collection[int], to: Held, now: datetime) -> None:
    """Everything of these customers that their clerk had is the receiver's now."""
    for verb in VERBS:
        verb(brand_id=brand_id, member_ids=member_ids, to=to, now=now)


def coupons_to_give(*, staff_id: int, brand_id: int, counts: Mapping[int, int], by: Any, now: datetime) -> None:
    """What the leaver had left to give goes to the receivers, by how many customers each gets."""
    if counts:
        giving.hand_over(staff_id=staff_id, brand_id=brand_id, weights=counts, by=by, now=now)
