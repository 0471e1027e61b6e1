"""Whose a handful of keys is: the rules alone, on what is known, without a database.

Somebody tells keys together, in an order, a registration, a customer of WeCom (`Told`). There are three sorts of keys:

    proven     a unionid, phone or external_userid that its teller has verified        joins persons
    own        one of these that somebody typed                                        a person of its own
    number     a card, a channel's buyer number: may be shared, lent, sold on          goes with whoever shows it

Told by somebody who is *sure*, all keys are one person's: two members become one, unless both have a proven unionid,
and not the same. Told otherwise, the strongest key alone says who it is. The others teach nothing but: a number nobody
has goes with that person, and so does all of somebody of whom nothing is known but numbers. A weaker phone is kept as
*hearsay*: where nobody ever comes by it, it is theirs; who does come by it is somebody of their own. So it does not
matter in what order we hear of all this, as long as no number is shown by two persons (it stays with the first).

Whatever points to two members is a `Pair`: sure ones are merged (`clerks.oneid`), the others looked at by a person.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from retail.models import BuyerKey

_Type = BuyerKey.Type
# A phone or unionid is one person's; a card or a channel's buyer number may be shared or resold.
STRENGTH: dict[str, int] = {
    _Type.UNIONID: 0,
    _Type.PHONE: 1,
    _Type.EXTERNAL_USERID: 2,
    _Type.CARD: 3,
    _Type.CHANNEL_ID: 4,
}
OWN = frozenset({_Type.UNIONID, _Type.PHONE, _Type.EXTERNAL_USERID})


class Held(NamedTuple):
    """Whose a key is, and since when; `is_hearsay`: nobody came by it yet."""

    member_id: int
    is_hearsay: bool = False
    seen_at: datetime | None = None
    verified_at: datetime | None = None


@dataclass(slots=True)
class Person:
    """What the rules ask of a member. `is_own`: known by more than numbers. `unionids`: the proven ones."""

    is_own: bool = False
    unionids: set[int] = field(default_factory=set)

    def contradicts(self, other: "Person") -> bool:
        return bool(self.unionids and other.unionids and not self.unionids & other.unionids)


class Told(NamedTuple):
    """Keys somebody told together, first the one that says most. `proven`: those the teller has verified.

    `is_sure`: they are all one person's. `is_believed`: likewise, but nobody else becomes the same person by it.
    """

    keys: tuple[int, ...]
    at: datetime
    proven: frozenset[int] = frozenset()
    is_sure: bool = False
    is_believed: bool = False


class Pair(NamedTuple):
    """Two members, the keys that point to both, and whether that makes them one."""

    one: int
    other: int
    keys: tuple[int, ...]
    rule: str = ""  # why they are the same: VOUCHED or NUMBER; "" where that is only a question


VOUCHED, NUMBER = "vouched", "number"


class Lesson(NamedTuple):
    """A key becomes known as the member's. `by`: the key they were known by then. `is_taken`: it was hearsay."""

    key: int
    by: int | None
    is_hearsay: bool
    is_taken: bool


@dataclass(slots=True)
class Found:
    """Who it is (below 0: somebody new), what was learned of them, who else the keys point to."""

    member_id: int
    lessons: list[Lesson] = field(default_factory=list)
    seen: list[int] = field(default_factory=list)  # known keys that are older than we knew, or proven by now
    pairs: list[Pair] = field(default_factory=list)


class Knowledge:
    """What is known of some keys and of the members they point to; it grows with everything that is told."""

    def __init__(self, *, types: Mapping[int, str], held: Mapping[int, Held], persons: Mapping[int, Person]) -> None:
        self.types, self.held, self._persons = dict(types), dict(held), dict(persons)
        self._born = 0

    def ranked(self, keys: Iterable[int]) -> tuple[int, ...]:
        return tuple(sorted(dict.fromkeys(keys), key=lambda key: STRENGTH[self.types[key]]))

    def find(self, told: Told) -> Found:
        found = Found(self._whose(told))
        first = next((key for key in told.keys if self._owner(key) == found.member_id), None)
        # Before the others are learned: the first key may be that by which somebody stands on their own from now on.
        for key in told.keys:
            self._take_in(found, told, key, first if first is not None else told.keys[0])
        return found

    def _whose(self, told: Told) -> int:
        first, *rest = told.keys
        if (owner := self._owner(first)) is not None:
            return owner
        owners = [owner for key in rest if (owner := self._owner(key)) is not None]
        if told.is_sure or told.is_believed:
            owners = [owner for owner in owners if self._fits(first, owner, told)]
        elif self.types[first] in OWN:
            owners = [owner for owner in owners if not self._person(owner).is_own]
        return owners[0] if owners else self._bear()

    def _take_in(self, found: Found, told: Told, key: int, first: int) -> None:
        held, owner = self.held.get(key), self._owner(key)
        if held is not None:
            self._see(found, told, key, held)
        if owner is None:
            is_hearsay = key not in (first, told.keys[0]) and not self._is_certain(key, found.member_id, told)
            if held is None or not is_hearsay:
                self._learn(found, told, key, None if key == first else first, is_hearsay, held)
        other = held.member_id if held else None
        if other is not None and other != found.member_id:
            found.pairs.append(Pair(found.member_id, other, (key, first), self._rule(found, told, key, other)))

    def _learn(self, found: Found, told: Told, key: int, by: int | None, is_hearsay: bool, held: Held | None) -> None:
        found.lessons.append(Lesson(key, by, is_hearsay, held is not None))
        verified_at = told.at if key in told.proven and not is_hearsay else None
        seen_at = min(held.seen_at or told.at, told.at) if held else told.at
        self.held[key] = Held(found.member_id, is_hearsay, seen_at, verified_at)
        person = self._person(found.member_id)
        person.is_own |= self.types[key] in OWN and not is_hearsay
        if verified_at and self.types[key] == _Type.UNIONID:
            person.unionids.add(key)

    def _see(self, found: Found, told: Told, key: int, held: Held) -> None:
        """A known key again: we may have heard of it, or have proof that it is theirs, later than it was there."""
        again = held._replace(seen_at=min(held.seen_at or told.at, told.at))
        owner = self._owner(key)
        if owner is not None and key in told.proven and self._proves(told, found.member_id, owner):
            again = again._replace(verified_at=min(held.verified_at or told.at, told.at))
            if self.types[key] == _Type.UNIONID:
                self._person(owner).unionids.add(key)
        if again != held:
            self.held[key] = again
            found.seen.append(key)

    def _proves(self, told: Told, member_id: int, owner: int) -> bool:
        """Whether what is told of a member proves something of the owner of a key, too."""
        return owner == member_id or (told.is_sure and not self._person(member_id).contradicts(self._person(owner)))

    def _is_certain(self, key: int, member_id: int, told: Told) -> bool:
        """Whether a key nobody came by is the member's, by being told together with one of theirs."""
        if self.types[key] not in OWN:
            return True
        return (told.is_sure or told.is_believed) and self._fits(key, member_id, told)

    def _fits(self, key: int, member_id: int, told: Told) -> bool:
        """No proven unionid joins somebody who has another."""
        is_unionid = self.types[key] == _Type.UNIONID and (key in told.proven or told.is_believed)
        return not is_unionid or not self._person(member_id).unionids - {key}

    def _rule(self, found: Found, told: Told, key: int, other: int) -> str:
        if self._owner(key) != other:
            return ""  # it was hearsay
        if told.is_sure and not self._person(found.member_id).contradicts(self._person(other)):
            return VOUCHED
        are_both_own = self._person(found.member_id).is_own and self._person(other).is_own
        return NUMBER if self.types[key] not in OWN and not are_both_own else ""

    def _owner(self, key: int) -> int | None:
        """Who has come by this key."""
        held = self.held.get(key)
        return None if held is None or held.is_hearsay else held.member_id

    def _person(self, member_id: int) -> Person:
        return self._persons.setdefault(member_id, Person())

    def _bear(self) -> int:
        self._born -= 1
        return self._born
