"""会员导入: people the group already knew, told by a file or another system, become members of a brand.

A batch at a time, in a handful of statements however many rows. What a row leaves out stays as it is; what it says of
somebody known is the newest word, but a registration only ever moves back. Told again, it changes nothing.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal, NamedTuple

from django.db import connection, transaction
from django.db.models import Q, Sum

from members import doubts, identity
from members.matching import OWN, Pair
from members.models import Identity, Member, Membership, PointsAdjustment, Tag, Tier, TierMove
from retail.models import BuyerKey
from retail.orders import Fault

Status = Literal["created", "unchanged", "corrected", "rejected"]
_Pair = tuple[int, int]
"""Brand id and member id."""
_STRONG = {BuyerKey.Type.PHONE, BuyerKey.Type.UNIONID}


@dataclass(slots=True)
class Entrant:
    """One row: by which keys somebody is known, and what is said of them."""

    brand_id: int
    key_ids: Sequence[int]
    name: str | None = None
    born_on: date | None = None
    registered_at: datetime | None = None
    store_id: int | None = None
    channel_id: int | None = None
    tier: str | None = None
    tags: Sequence[str] = ()
    points: int = 0  # the balance they bring along
    is_forgotten: bool = False


@dataclass(slots=True)
class Enrolled:
    """What became of a row. `member_id`, `membership_id` and the tags it names only where there are no faults.

    `opening`: the points they bring along, still to be booked.
    """

    status: Status
    member_id: int = 0
    membership_id: int = 0
    tag_ids: list[int] = field(default_factory=list)
    opening: int = 0
    faults: list[Fault] = field(default_factory=list)

    @property
    def is_news(self) -> bool:
        return self.status in ("created", "corrected")

    def change(self) -> None:
        """Something else of theirs is new."""
        if self.status == "unchanged":
            self.status = "corrected"


@transaction.atomic
def enrol(*, entrants: Sequence[Entrant], source: str, now: datetime) -> list[Enrolled]:
    """Make or find everybody of a batch; the outcome of each row, in order.

    A row whose keys are those of several people is rejected, and they are looked at: nobody is merged by a file. A key
    that was only mentioned beside somebody else's is nobody's yet, and who has a phone of their own is nobody else for
    showing the same card (`members.matching`).
    """
    tiers = _tiers(entrants)
    words = _Words({name for one in entrants for name in one.tags})
    people = _People(entrants)
    rows = []
    for one in entrants:
        tier = tiers.get((one.brand_id, one.tier or ""))
        faults = [Fault("tier", f"unknown tier {one.tier!r}")] if one.tier and tier is None else []
        faults += [Fault("tags", f"unknown tag {tag!r}") for tag in one.tags if words.of(one.brand_id, tag) is None]
        # Who is refused teaches the rows behind them nothing.
        rows.append(_Row(one, _Answer(faults=faults) if faults else people.whose(one), tier))
    good = [row for row in rows if not row.faults]
    _bear(good, now)
    learned = _learn(good, source, now)
    _ask_about(rows, now)
    changed = _describe(good)
    memberships = _join(good, now)
    outcomes: list[Enrolled] = []
    born: set[_Pair] = set()
    for row in rows:
        if row.faults:
            outcomes.append(Enrolled("rejected", faults=row.faults))
            continue
        joined = memberships[row.pair]
        is_changed = row.member_id in changed or joined.is_other or not learned.isdisjoint(row.learned)
        is_first = joined.is_new and row.pair not in born  # later rows of the same person only add to the first
        born.add(row.pair)
        status: Status = "created" if is_first else "corrected" if is_changed else "unchanged"
        tag_ids = [pk for name in row.entrant.tags if (pk := words.of(row.entrant.brand_id, name))]
        outcomes.append(Enrolled(status, row.member_id, joined.membership_id, tag_ids, row.answer.opening))
        if row.answer.opening:
            outcomes[-1].change()
    return outcomes


# ── Who it is ────────────────────────────────────────────────────────────────────────────────────────────────────────
@dataclass(slots=True)
class _Row:
    entrant: Entrant
    answer: "_Answer"
    tier: Tier | None

    @property
    def faults(self) -> list[Fault]:
        return self.answer.faults

    @property
    def member_id(self) -> int:
        return self.answer.member_id

    @property
    def learned(self) -> list[int]:
        return self.answer.learned

    @property
    def pair(self) -> _Pair:
        return self.entrant.brand_id, self.member_id


@dataclass(slots=True)
class _Answer:
    """The member, a number below 0 for somebody new, and the keys nobody had; or why that cannot be said.

    `taken`: those of the keys that were only mentioned so far. `others`: keys that point to somebody else as well, and
    to whom. `opening`: points to be booked.
    """

    member_id: int = 0
    learned: list[int] = field(default_factory=list)
    taken: list[int] = field(default_factory=list)
    others: dict[int, int] = field(default_factory=dict)
    opening: int = 0
    faults: list[Fault] = field(default_factory=list)


class _People:
    """Whom keys belong to, row after row: what an earlier row teaches a later one knows."""

    def __init__(self, entrants: Sequence[Entrant]) -> None:
        key_ids = {key_id for one in entrants for key_id in one.key_ids}
        self._owner_of, self._mentioned_with, self._strength = identity.known(key_ids)
        owners = set(self._owner_of.values())
        # Two batches may know the same people by different keys: whoever comes second waits here, and not crosswise.
        members = Member._base_manager.select_for_update(of=("self",)).filter(pk__in=owners)
        list(members.order_by("pk").values_list("pk"))
        self._kind = dict(BuyerKey.objects.filter(pk__in=key_ids).values_list("pk", "type"))
        self._own: dict[int, set[str]] = {}  # member → the kinds of keys of their own they are known by
        theirs = Identity._base_manager.filter(member__in=owners, is_hearsay=False, key__type__in=list(OWN))
        for member_id, kind in theirs.values_list("member_id", "key__type"):
            self._own.setdefault(member_id, set()).add(kind)
        self._opened = _opened(owners) if any(one.points for one in entrants) else {}
        self._born = 0

    def whose(self, entrant: Entrant) -> _Answer:
        ranked = sorted(entrant.key_ids, key=self._strength.__getitem__)
        known = {key_id: self._owner_of[key_id] for key_id in ranked if key_id in self._owner_of}
        strong = {key_id: owner for key_id, owner in known.items() if self._kind[key_id] in _STRONG}
        if len(set(strong.values())) > 1:
            named = ", ".join(f"#{member_id}" for member_id in sorted(set(strong.values())) if member_id > 0)
            fault = Fault("buyer", f"belongs to several members: {named or 'of this batch'}")
            first = next(iter(strong.values()))
            return _Answer(first, others=_but(strong, first), faults=[fault])
        member_id = self._found(ranked, known)
        learned = [key_id for key_id in entrant.key_ids if key_id not in known]
        kinds = {self._kind[key_id] for key_id in learned}
        if BuyerKey.Type.UNIONID in kinds and BuyerKey.Type.UNIONID in self._own.get(member_id, ()):
            return _Answer(faults=[Fault("buyer", f"is known by another unionid: #{member_id}")])
        place = entrant.brand_id, member_id
        before = self._opened.get(place)
        if entrant.points and before not in (None, entrant.points):
            return _Answer(faults=[Fault("points", f"brought {before} along before: adjust them by hand")])
        opening = entrant.points if before is None else 0
        if opening:
            self._opened[place] = opening
        self._owner_of.update(dict.fromkeys(learned, member_id))
        self._own.setdefault(member_id, set()).update(kinds & OWN)
        mentioned = {key_id: self._mentioned_with[key_id] for key_id in learned if key_id in self._mentioned_with}
        return _Answer(member_id, learned, list(mentioned), _but(mentioned | known, member_id), opening)

    def _found(self, ranked: Sequence[int], known: Mapping[int, int]) -> int:
        """By the strongest key somebody has; by a number alone nobody who is known by a key of their own, where this
        one comes with another.
        """
        has_own = any(self._kind[key_id] in OWN for key_id in ranked)
        for key_id, owner in known.items():
            if self._kind[key_id] in OWN or not (has_own and self._own.get(owner)):
                return owner
        self._born -= 1
        return self._born


def _but(owners: Mapping[int, int], member_id: int) -> dict[int, int]:
    return {key_id: owner for key_id, owner in owners.items() if owner != member_id}


def _opened(member_ids: Collection[int]) -> dict[_Pair, int]:
    """The points somebody brought along before; of who was two members once by both."""
    rows = PointsAdjustment._base_manager.filter(membership__member__in=member_ids, is_opening=True)
    sums = rows.values_list("membership__brand", "membership__member").annotate(sum=Sum("points"))
    return {(brand_id, member_id): some for brand_id, member_id, some in sums.order_by()}


def _bear(rows: Sequence[_Row], now: datetime) -> None:
    """Make the members that are new, and put their ids in the place of the numbers below 0."""
    firsts: dict[int, Entrant] = {}
    for row in rows:
        if row.member_id < 0:
            firsts.setdefault(row.member_id, row.entrant)
    made = Member.objects.bulk_create([Member(created_at=one.registered_at or now) for one in firsts.values()])
    ids = {number: member.pk for number, member in zip(firsts, made, strict=True)}
    for row in rows:
        row.answer.member_id = ids.get(row.member_id, row.member_id)
        row.answer.others = {key_id: ids.get(owner, owner) for key_id, owner in row.answer.others.items()}


def _learn(rows: Sequence[_Row], source: str, now: datetime) -> set[int]:
    """Keys nobody had become identities of the member; which."""
    new = [
        Identity(
            member_id=row.member_id,
            key_id=key_id,
            source=source,
            channel_id=row.entrant.channel_id,
            seen_at=row.entrant.registered_at or now,
        )
        for row in rows
        for key_id in row.learned
    ]
    taken = {key_id for row in rows for key_id in row.answer.taken}
    _take([one for one in new if one.key_id in taken])
    Identity.objects.bulk_create(new, ignore_conflicts=True)
    return {one.key_id for one in new}


def _take(identities: Sequence[Identity]) -> None:
    """Keys only mentioned so far become theirs who came by them."""
    told = {one.key_id: one for one in identities}
    for held in Identity._base_manager.filter(key__in=told, is_hearsay=True) if told else ():
        one = told[held.key_id]
        held.member_id, held.is_hearsay, held.learned_by_id = one.member_id, False, None
        if one.seen_at < held.seen_at:
            held.seen_at, held.source, held.channel_id = one.seen_at, one.source, one.channel_id
        held.save(update_fields=["member", "is_hearsay", "learned_by", "seen_at", "source", "channel"])


def _ask_about(rows: Sequence[_Row], now: datetime) -> None:
    """Whoever else the keys of a row point to may be the same person: that is for somebody to look at."""
    pairs = [
        Pair(row.member_id, owner, (key_id,))
        for row in rows
        for key_id, owner in row.answer.others.items()
        if row.member_id > 0 and owner > 0
    ]
    doubts.propose(pairs=pairs, source=identity.IMPORT, order_id=None, now=now)


def _describe(rows: Iterable[_Row]) -> set[int]:
    """Names and birthdays as said; the members for whom that is news. Of who was forgotten none is kept."""
    said = {row.member_id: row.entrant for row in rows if not row.entrant.is_forgotten}
    told = {pk: one for pk, one in said.items() if one.name or one.born_on}
    if not told:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE members_member m SET name = coalesce(w.name, m.name), born_on = coalesce(w.born_on, m.born_on)"
            " FROM unnest(%s::bigint[], %s::text[], %s::date[]) AS w(id, name, born_on) WHERE m.id = w.id"
            " AND (m.name, m.born_on) IS DISTINCT FROM (coalesce(w.name, m.name), coalesce(w.born_on, m.born_on))"
            " RETURNING m.id",
            [list(told), [one.name or None for one in told.values()], [one.born_on for one in told.values()]],
        )
        return {pk for (pk,) in cursor.fetchall()}


# ── Their standing ───────────────────────────────────────────────────────────────────────────────────────────────────
def _tiers(entrants: Sequence[Entrant]) -> dict[tuple[int, str], Tier]:
    """By brand and code, and by what it is called where that is no other's code."""
    said = {one.tier for one in entrants if one.tier}
    rows = list(Tier._base_manager.filter(Q(code__in=said) | Q(name__in=said))) if said else []
    return {(one.brand_id, one.name): one for one in rows} | {(one.brand_id, one.code): one for one in rows}


class _Words:
    """Headquarters' tags by name: the brand's own before those of the whole group."""

    def __init__(self, names: set[str]) -> None:
        usable = Tag._base_manager.filter(kind=Tag.Kind.COMPANY, is_active=True, name__in=names) if names else []
        self._ids = {(tag.brand_id, tag.name): tag.pk for tag in usable}

    def of(self, brand_id: int, name: str) -> int | None:
        return self._ids.get((brand_id, name)) or self._ids.get((None, name))


class _Joined(NamedTuple):
    membership_id: int
    is_new: bool
    is_other: bool  # it says something else now


def _join(rows: Sequence[_Row], now: datetime) -> dict[_Pair, _Joined]:
    """The memberships of the rows. Who registered earlier than we knew did so in the store that is named."""
    wanted = {row.pair: row for row in rows}
    with connection.cursor() as cursor:
        cursor.execute(
            _JOIN,
            [
                now,
                [brand_id for brand_id, _ in wanted],
                [member_id for _, member_id in wanted],
                [row.entrant.registered_at for row in wanted.values()],
                [row.entrant.store_id for row in wanted.values()],
            ],
        )
        written = {(brand_id, member_id): is_new for brand_id, member_id, is_new in cursor.fetchall()}
    held = Membership._base_manager.filter(
        brand__in={brand_id for brand_id, _ in wanted}, member__in={member_id for _, member_id in wanted}
    ).values_list("brand_id", "member_id", "pk")
    found = {(brand_id, member_id): pk for brand_id, member_id, pk in held}
    raised = _raise({found[pair]: row.tier for pair, row in wanted.items() if row.tier}, now)
    return {
        pair: _Joined(found[pair], written.get(pair, False), pair in written or found[pair] in raised)
        for pair in wanted
    }


# xmax is 0 in a row that this statement made.
_JOIN = """
INSERT INTO members_membership AS m (brand_id, member_id, registered_at, registered_store_id)
SELECT brand_id, member_id, coalesce(at, %s), store_id FROM (
    SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::timestamptz[], %s::bigint[])
        AS w(brand_id, member_id, at, store_id) ORDER BY member_id, brand_id
) w
ON CONFLICT (brand_id, member_id) DO UPDATE SET
    registered_at = least(m.registered_at, excluded.registered_at),
    registered_store_id = CASE WHEN m.registered_by_id IS NULL AND excluded.registered_at < m.registered_at
        THEN coalesce(excluded.registered_store_id, m.registered_store_id)
        ELSE coalesce(m.registered_store_id, excluded.registered_store_id) END
WHERE excluded.registered_at < m.registered_at
    OR (m.registered_store_id IS NULL AND excluded.registered_store_id IS NOT NULL)
RETURNING brand_id, member_id, xmax = 0
"""


def _raise(tiers: dict[int, Tier], now: datetime) -> set[int]:
    """Give a tier to memberships that have none, for as long as the brand keeps tiers; which."""
    if not tiers:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE members_membership m SET tier_id = w.tier_id, tier_since = %s,"
            " tier_until = %s + r.keep_days * interval '1 day'"
            " FROM unnest(%s::bigint[], %s::bigint[]) AS w(id, tier_id) JOIN members_tier t ON t.id = w.tier_id"
            " LEFT JOIN members_tierrule r ON r.brand_id = t.brand_id"
            " WHERE m.id = w.id AND m.tier_id IS NULL RETURNING m.id",
            [now, now, list(tiers), [tier.pk for tier in tiers.values()]],
        )
        raised = {pk for (pk,) in cursor.fetchall()}
    TierMove._base_manager.bulk_create(
        [
            TierMove(membership_id=pk, after=tiers[pk], cause=TierMove.Cause.MANUAL, at=now)
            for pk in tiers
            if pk in raised
        ]
    )
    return raised
