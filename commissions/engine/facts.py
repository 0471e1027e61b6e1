"""What is known of a sale when it is priced. Plain values: nothing here looks anything up.

Ids of rules and of facts are compared as text: store 12 and store "12" are the same store. Holders (the
people behind the roles) are opaque; they only have to be hashable.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo

Id = str | int
Roles = Mapping[str, Hashable | None]
Staff = Mapping[str, Hashable]


def wall_clock(moment: datetime, zone: tzinfo) -> datetime:
    """Return an aware moment as the clock on the wall of `zone` shows it.

    Two results for one zone compare by what the wall shows, as Python compares times of the same zone. Raises
    ValueError for a naive moment, which would silently be read in the time zone of the machine.
    """
    if moment.tzinfo is None:
        raise ValueError("a moment needs a time zone")
    return moment.astimezone(zone)


@dataclass(slots=True)
class Line:
    """One order line. `paid_fen` and `tag_fen` are for all `qty` pieces, `cost_fen` is for one piece.

    `roles` overrides the order's roles for this line: only the roles it names, and None removes a holder.
    """

    id: Hashable
    paid_fen: int
    tag_fen: int
    qty: int
    brand: Id | None
    category: Id | None
    product: Id | None
    cost_fen: int | None = None
    roles: Roles | None = None

    @property
    def sign(self) -> int:
        """−1 for a line that takes back (an exchange, a returned gift), else 1."""
        leading = self.paid_fen or self.qty or self.tag_fen
        return -1 if leading < 0 else 1

    def unsigned(self) -> "Line":
        """Return the positive twin a negative line is judged as."""
        cost_fen = None if self.cost_fen is None else abs(self.cost_fen)
        return replace(
            self, paid_fen=abs(self.paid_fen), tag_fen=abs(self.tag_fen), qty=abs(self.qty), cost_fen=cost_fen
        )


@dataclass(slots=True)
class Order:
    """One order as the channel sent it. `paid_at` is aware; `dormant_days` None means never bought before.

    `buyer_clerk` is the holder who bought for himself; he is removed from every role he holds.
    """

    id: Hashable
    paid_at: datetime
    channel: Id | None
    store: Id | None
    roles: Roles
    lines: Sequence[Line]
    member_is_new: bool = False
    buyer_clerk: Hashable | None = None
    store_groups: Sequence[Id] = ()
    ownership: str | None = None
    tier: Id | None = None
    dormant_days: int | None = None
    live_event: Id | None = None
    material: Id | None = None

    @property
    def paid_fen(self) -> int:
        """The signed sum of the lines as they were sent."""
        return sum([line.paid_fen for line in self.lines])

    def distinct_lines(self) -> Sequence[Line]:
        """Return the lines, the first of those that carry the same id."""
        if len({line.id for line in self.lines}) == len(self.lines):
            return self.lines
        first: dict[Hashable, Line] = {}
        for line in self.lines:
            first.setdefault(line.id, line)
        return list(first.values())

    def staff(self, overrides: Roles | None = None) -> Staff:
        """Return who may be paid: the roles, a line's own over them, without the clerk who bought for himself."""
        roles = {**self.roles, **overrides} if overrides else self.roles
        return {role: holder for role, holder in roles.items() if holder is not None and holder != self.buyer_clerk}
