"""Who gets which part of a pool, and what becomes of the part of a role that nobody holds."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from .facts import Staff
from .money import apportion

HOUSE = "house"
"""The reserved role of the company: always there, paid to nobody, its part stays in the house."""

Missing = Literal["forfeit", "reallocate", "to_role"]


@dataclass(frozen=True, slots=True)
class Share:
    """The weight of one role in a split (in stored plans: ppm of the pool)."""

    role: str
    weight: int


class Part(NamedTuple):
    """What one holder gets in one role, in fen with the sign of the pool."""

    role: str
    holder: Hashable
    fen: int


Division = tuple[tuple[Part, ...], int]
"""A divided pool: the parts in split order, none of them 0, and what stays in the house. They sum to the pool."""

_new = tuple.__new__
"""Makes a Part without the detour of its constructor, which would be a tenth of the time of pricing a line."""


class Split:
    """The split of one rule, ready to divide pools.

    `missing` says what becomes of a part without a holder: `forfeit` leaves it with the house, `reallocate`
    gives it to those present in proportion to their weights (the house keeps exactly its own share),
    `to_role` adds it to the role `to_role`, and forfeits it when nobody holds that role either.
    """

    __slots__ = ("_by_presence", "_heir", "_reallocates", "_sole", "_total", "_weights", "declared", "roles")

    def __init__(self, *, shares: Sequence[Share], missing: Missing = "forfeit", to_role: str | None = None) -> None:
        weights = [share.weight for share in shares]
        self.declared = self.roles = tuple(share.role for share in shares)
        self._weights = tuple(weights if any(weights) else [1] * len(weights))
        if to_role is not None and to_role not in self.roles:
            # The heir of absent roles need not have a share of its own.
            self.roles, self._weights = (*self.roles, to_role), (*self._weights, 0)
        self._sole = self.roles[0] if len(self.roles) == 1 and self.roles[0] != HOUSE else None
        self._heir = None if to_role is None else self.roles.index(to_role)
        self._reallocates = missing == "reallocate"
        self._total = sum(self._weights)
        self._by_presence: dict[tuple[bool, ...], tuple[tuple[int, ...], int]] = {}

    def divide(self, pool_fen: int, staff: Staff) -> Division:
        """Divide a pool of any sign among the holders in `staff`."""
        if self._sole is not None and (sole := staff.get(self._sole)) is not None:
            return ((_new(Part, (self._sole, sole, pool_fen)),) if pool_fen else ()), 0
        holders = list(map(staff.get, self.roles))
        weights, total = (self._weights, self._total) if None not in holders else self._weights_for(holders)
        parts, house_fen = [], pool_fen
        for role, holder, fen in zip(self.roles, holders, apportion(pool_fen, weights, total), strict=True):
            if fen and holder is not None and role != HOUSE:
                parts.append(_new(Part, (role, holder, fen)))
                house_fen -= fen
        return tuple(parts), house_fen

    def missing_roles(self, staff: Staff) -> list[str]:
        """Return the roles of the split that nobody holds, in split order."""
        return [role for role in self.declared if role != HOUSE and staff.get(role) is None]

    def _weights_for(self, holders: Sequence[Hashable | None]) -> tuple[tuple[int, ...], int]:
        """The weights, and their sum, for who is there of the roles."""
        presence = tuple([holder is not None for holder in holders])
        known = self._by_presence.get(presence)
        if known is None:
            weights = self._reweigh(presence)
            known = self._by_presence[presence] = weights, sum(weights)
        return known

    def _reweigh(self, presence: Sequence[bool]) -> tuple[int, ...]:
        """Return the weights after the `missing` policy for one pattern of who is there."""
        here = [held or role == HOUSE for role, held in zip(self.roles, presence, strict=True)]
        if self._heir is not None and here[self._heir]:
            kept = [weight if there else 0 for weight, there in zip(self._weights, here, strict=True)]
            kept[self._heir] += sum(self._weights) - sum(kept)
            return tuple(kept)
        if self._reallocates:
            return self._reallocated(here)
        return self._weights

    def _reallocated(self, here: Sequence[bool]) -> tuple[int, ...]:
        staffed = [there and role != HOUSE for role, there in zip(self.roles, here, strict=True)]
        house = sum(weight for role, weight in zip(self.roles, self._weights, strict=True) if role == HOUSE)
        kept = [weight if there else 0 for weight, there in zip(self._weights, staffed, strict=True)]
        if not any(kept):
            kept = [int(there) for there in staffed]
        if not any(kept):
            return self._weights
        # Scaling both sides keeps the ratio house : staff of the rule while the staff side has fewer heads.
        staff = sum(self._weights) - house
        return tuple(
            house * sum(kept) if role == HOUSE else weight * staff
            for role, weight in zip(self.roles, kept, strict=True)
        )
