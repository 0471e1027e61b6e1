"""Sharing customers out evenly. Pure: plain numbers in, plain numbers out, the same for the same.

The next customer goes to whoever has the fewest for each day they work in a week. Of those who work alike no two end
further apart than one, as far as their caps and who is barred from whom allow; nobody's book is made smaller.
"""

import heapq
from collections.abc import Collection, Iterable
from typing import NamedTuple

WEEK = 7
_ALL_DAYS = 420  # divisible by one to seven


class Receiver(NamedTuple):
    """Somebody who can be given customers. `size`: how many they have; `days`: how many of a week they work.

    `room`: how many more they may have, None = as many as come.
    """

    staff_id: int
    size: int
    days: int = WEEK
    room: int | None = None


class Loose(NamedTuple):
    """A customer to be given to somebody, but not to whoever `barred` is."""

    key: int
    barred: int | None = None


def spread(*, customers: Iterable[Loose], receivers: Collection[Receiver]) -> dict[int, int]:
    """Customer → receiver, for all whom somebody can take, in the order given.

    Those who cannot go to everybody are placed first: later there would be less to choose from.
    """
    waiting = [(_load(one), one) for one in receivers if one.room is None or one.room > 0]
    heapq.heapify(waiting)
    ids = {one.staff_id for one in receivers}
    given = {}
    for customer in sorted(customers, key=lambda one: one.barred not in ids):
        aside = heapq.heappop(waiting) if waiting and waiting[0][1].staff_id == customer.barred else None
        if waiting:
            _, taker = waiting[0]
            given[customer.key] = taker.staff_id
            heapq.heappop(waiting)
            if (more := _with_one_more(taker)) is not None:
                heapq.heappush(waiting, (_load(more), more))
        if aside:
            heapq.heappush(waiting, aside)
    return given


def _load(one: Receiver) -> tuple[int, int, int]:
    """Whose turn it is: after one more, the fewest for each day; of equals the smaller book, the older clerk."""
    return (one.size + 1) * _ALL_DAYS // one.days, one.size, one.staff_id


def _with_one_more(one: Receiver) -> Receiver | None:
    room = None if one.room is None else one.room - 1
    return None if room == 0 else one._replace(size=one.size + 1, room=room)
