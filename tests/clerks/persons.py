"""An oracle for merging: who owns what, in plain Python that knows nothing of the product.

A person starts as one phone. What is bought goes by the key it was bought with, at any time; points given by hand lie
on a card of one brand, and a card or what lies on it goes over and comes back as it was. A card has a tier, which
rises with what was bought and never falls here; two cards have the one that weighs more, until they are parted again.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

STEPS = (0, 12, 25)  # yuan that each tier takes


@dataclass
class Card:
    """A standing with a brand: whose it is, and the adjustments that lie on it (number → points)."""

    owner: int
    given: dict[int, int] = field(default_factory=dict)
    tier: int = -1
    is_held: bool = False
    changes: int = 0  # of the tier, by hand or by what was bought

    def stand(self, tier: int, is_held: bool = False) -> None:
        self.tier, self.is_held, self.changes = tier, is_held, self.changes + 1


class Joined(NamedTuple):
    """Two cards of one brand: what went over, how each stood before, and how ours was left."""

    brand: int
    theirs: Card
    ours: Card
    went: list[int]
    before: list[tuple[int, bool]]
    left: list[int]


@dataclass
class Sale:
    key: str
    brand: int
    points: int  # net of what came back


@dataclass
class Joining:
    keep: int
    drop: int
    whole: list[tuple[int, Card]] = field(default_factory=list)  # brand, the card that went over
    parts: list[Joined] = field(default_factory=list)
    is_undone: bool = False


@dataclass
class Persons:
    """Everybody. `into`: who became whom. `taught`: a number → the phone it was shown with first."""

    into: dict[int, int] = field(default_factory=dict)
    taught: dict[str, int] = field(default_factory=dict)
    sales: dict[str, Sale] = field(default_factory=dict)
    cards: dict[tuple[int, int], Card] = field(default_factory=dict)  # brand and person
    joinings: list[Joining] = field(default_factory=list)
    stopped: set[int] = field(default_factory=set)

    def root(self, person: int) -> int:
        while person in self.into:
            person = self.into[person]
        return person

    def part_of(self, root: int, count: int) -> set[int]:
        return {person for person in range(count) if self.root(person) == root}

    def whose(self, key: str) -> int:
        return self.root(self.taught[key] if key in self.taught else int(key))

    def buy(self, number: str, phone: int | None, card: str | None, brand: int, points: int) -> None:
        if card and phone is not None:
            self.taught.setdefault(card, phone)
        key = str(phone) if phone is not None else str(card)
        self.sales[number] = Sale(key, brand, points)
        self._card(brand, self.whose(key))
        self.review(brand, self.whose(key))

    def review(self, brand: int, person: int) -> None:
        """Who has bought enough rises."""
        card = self.cards[brand, person]
        sales = self.sales.values()
        spent = sum(sale.points for sale in sales if sale.brand == brand and self.whose(sale.key) == person)
        merited = sum(spent >= step for step in STEPS) - 1
        if merited > card.tier and not card.is_held:
            card.stand(merited)

    def lift(self, person: int, brand: int, tier: int, is_held: bool) -> bool:
        """False: they have no card of the brand."""
        card = self.cards.get((brand, self.root(person)))
        if card is not None:
            card.stand(tier, is_held)
        return card is not None

    def give(self, number: int, person: int, brand: int, points: int) -> bool:
        """False: they have no card of the brand."""
        card = self.cards.get((brand, self.root(person)))
        if card is not None:
            card.given[number] = points
        return card is not None

    def stop(self, person: int, count: int) -> None:
        self.stopped |= self.part_of(self.root(person), count)

    def may_join(self, keep: int, drop: int) -> bool:
        return keep != drop and keep not in self.into and drop not in self.into

    def join(self, keep: int, drop: int) -> Joining:
        done = Joining(keep, drop)
        for (brand, owner), theirs in list(self.cards.items()):
            if owner != drop:
                continue
            if (ours := self.cards.get((brand, keep))) is None:
                self.cards[brand, keep] = self.cards.pop((brand, drop))
                done.whole.append((brand, theirs))
            else:
                before = [(card.tier, card.is_held) for card in (theirs, ours)]
                done.parts.append(Joined(brand, theirs, ours, list(theirs.given), before, []))
                ours.given |= theirs.given
                theirs.given.clear()
                if (theirs.is_held, theirs.tier) > (ours.is_held, ours.tier):
                    ours.stand(theirs.tier, theirs.is_held)
        self.into[drop] = keep
        for brand, owner in list(self.cards):
            if owner == keep:
                self.review(brand, keep)
        for part in done.parts:
            part.left.append(part.ours.changes)
        self.joinings.append(done)
        return done

    def may_undo(self, one: Joining) -> bool:
        later = self.joinings[self.joinings.index(one) + 1 :]
        is_last = not any(other.keep == one.keep and not other.is_undone for other in later)
        return not one.is_undone and one.keep not in self.into and is_last

    def undo(self, one: Joining) -> None:
        one.is_undone = True
        del self.into[one.drop]
        for brand, card in one.whole:
            self.cards[brand, one.drop] = self.cards.pop((brand, one.keep))
            assert self.cards[brand, one.drop] is card
        for part in one.parts:
            part.theirs.given |= {number: part.ours.given.pop(number) for number in part.went}
            (part.theirs.tier, part.theirs.is_held), ours = part.before
            if part.left == [part.ours.changes]:
                part.ours.stand(*ours)
        for sale in self.sales.values():
            self._card(sale.brand, self.whose(sale.key))
        for brand, owner in list(self.cards):
            if owner in (one.keep, one.drop):
                self.review(brand, owner)

    def _card(self, brand: int, person: int) -> None:
        self.cards.setdefault((brand, person), Card(person))

    def tiers(self) -> dict[tuple[int, int], tuple[int, bool]]:
        """Brand and person → rank and whether they are held there, of everybody who is nobody else by now."""
        cards = self.cards.items()
        return {place: (card.tier, card.is_held) for place, card in cards if place[1] not in self.into}

    def balances(self) -> dict[tuple[int, int], int]:
        """Brand and person → points, of everybody who is nobody else by now."""
        found = {place: sum(card.given.values()) for place, card in self.cards.items() if place[1] not in self.into}
        for sale in self.sales.values():
            found[sale.brand, self.whose(sale.key)] += sale.points
        return found
