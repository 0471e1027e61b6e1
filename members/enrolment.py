"""会员导入: people the group already knew, told by a file or another system, become members of a brand.

A batch at a time, in a handful of statements however many rows. What a row leaves out stays as it is; what it says of
somebody known is the newest word, but a registration only ever moves back. Told again, it changes nothing.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal, NamedTuple

from django.db import connection, transaction
from django.db.models import Q, Sum

from members import doubts, identity
from members.matching import Pair
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

    A row whose keys are those of several people is rejected: nobody is merged by a file. A key that was only mentioned
    beside somebody else's is nobody's yet (`members.matching`): who is told by it is somebody of their own.
    """
    tiers = _tiers(entrants)
    words = _Words({name for one in entrants for name in one.tags})
    people = _People({key_id for one in entrants for key_id in one.key_ids})
    rows = [_Row(one, people.whose(one), tiers.get((one.brand_id, one.tier or ""))) for one in entrants]
    for row in rows:
        if row.entrant.tier and row.tier is None:
            row.faults.append(Fault("tier", f"unknown tier {row.entrant.tier!r}"))
        unknown = [name for name in row.entrant.tags if words.of(row.entrant.brand_id, name) is None]
        row.faults += [Fault("tags", f"unknown tag {name!r}") for name in unknown]
    _open(rows)
    good = [row for row in rows if not row.faults]
    _bear(good, now)
    learned = _learn(good, source, now)
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
        outcomes.append(Enrolled(status, row.member_id, joined.membership_id, tag_ids, row.opening))
        if row.opening:
            outcomes[-1].change()
    return outcomes


# ── Who it is ────────────────────────────────────────────────────────────────────────────────────────────────────────
@dataclass(slots=True)
class _Row:
    entrant: Entrant
    answer: "_Answer"
    tier: Tier | None
    opening: int = 0
    faults: list[Fault] = field(init=False)

    def __post_init__(self) -> None:
        self.faults = [self.answer.fault] if self.answer.fault else []

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

    `taken`: those of the keys that were mentioned before, and with whom.
    """

    member_id: int = 0
    learned: list[int] = field(default_factory=list)
    taken: dict[int, int] = field(default_factory=dict)
    fault: Fault | None = None


class _People:
    """Whom keys belong to, row after row: what an earlier row teaches a later one knows."""

    def __init__(self, key_ids: Collection[int]) -> None:
        self._owner_of, self._mentioned_with, self._strength = identity.known(key_ids)
        # Two batches may know the same people by different keys: whoever comes second waits here, and not crosswise.
        members = Member._base_manager.select_for_update(of=("self",)).filter(pk__in=set(self._owner_of.values()))
        list(members.order_by("pk").values_list("pk"))
        kinds = BuyerKey.objects.filter(pk__in=key_ids).values_list("pk", "type")
        self._kind = dict(kinds)
        self._wechats: dict[int, set[int]] = {}  # member → the keys of their unionids
        theirs = Identity._base_manager.filter(member__in=set(self._owner_of.values()))
        unionids = theirs.filter(key__type=BuyerKey.Type.UNIONID).values_list("member_id", "key_id")
        for member_id, key_id in unionids:
            self._wechats.setdefault(member_id, set()).add(key_id)
        self._born = 0

    def whose(self, entrant: Entrant) -> _Answer:
        ranked = sorted(
            (key_id for key_id in entrant.key_ids if key_id in self._owner_of), key=self._strength.__getitem__
        )
        strong = {self._owner_of[key_id] for key_id in ranked if self._kind[key_id] in _STRONG}
        if len(strong) > 1:
            named = ", ".join(f"#{member_id}" for member_id in sorted(strong) if member_id > 0)
            return _Answer(fault=Fault("buyer", f"belongs to several members: {named or 'of this batch'}"))
        learned = [key_id for key_id in entrant.key_ids if key_id not in self._owner_of]
        unionids = {key_id for key_id in learned if self._kind[key_id] == BuyerKey.Type.UNIONID}
        if ranked:
            member_id = self._owner_of[ranked[0]]
            if unionids and self._wechats.get(member_id):
                return _Answer(fault=Fault("buyer", f"is known by another unionid: #{member_id}"))
        else:
            self._born -= 1
            member_id = self._born
        self._owner_of.update(dict.fromkeys(learned, member_id))
        self._wechats.setdefault(member_id, set()).update(unionids)
        taken = {key_id: self._mentioned_with[key_id] for key_id in learned if key_id in self._mentioned_with}
        return _Answer(member_id, learned, taken)


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
    _take(rows, new, now)
    Identity.objects.bulk_create(new, ignore_conflicts=True)
    return {one.key_id for one in new}


def _take(rows: Sequence[_Row], new: Sequence[Identity], now: datetime) -> None:
    """Keys only mentioned so far become theirs who came by them; whether the two are one person is a question."""
    told = {one.key_id: one for one in new}
    former = {key_id: member_id for row in rows for key_id, member_id in row.answer.taken.items()}
    for held in Identity._base_manager.filter(key__in=former, is_hearsay=True):
        one = told[held.key_id]
        held.member_id, held.is_hearsay, held.learned_by_id = one.member_id, False, None
        if one.seen_at < held.seen_at:
            held.seen_at, held.source, held.channel_id = one.seen_at, one.source, one.channel_id
        held.save(update_fields=["member", "is_hearsay", "learned_by", "seen_at", "source", "channel"])
    pairs = [Pair(told[key].member_id, other, (key,)) for key, other in former.items() if told[key].member_id != other]
    doubts.propose(pairs=pairs, source=Identity.Source.IMPORT, order_id=None, now=now)


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


# ── What they bring along ────────────────────────────────────────────────────────────────────────────────────────────
def _open(rows: Sequence[_Row]) -> None:
    """Points are brought along once, also by who bought here before; what they have by then is added to.

    Told again it is the same; another number later is refused, for we count them ourselves by now.
    """
    wanted = [row for row in rows if row.entrant.points and not row.faults]
    booked = _opened({row.pair for row in wanted})
    for row in wanted:
        before = booked.get(row.pair)
        if before is None:
            row.opening = booked[row.pair] = row.entrant.points
        elif before != row.entrant.points:
            row.faults.append(Fault("points", f"brought {before} along before: adjust them by hand"))


def _opened(pairs: Collection[_Pair]) -> dict[_Pair, int]:
    """What was brought along by now; of who was two members once by both."""
    brands, members = {brand_id for brand_id, _ in pairs}, {member_id for _, member_id in pairs}
    rows = PointsAdjustment._base_manager.filter(membership__brand__in=brands, membership__member__in=members)
    sums = rows.filter(is_opening=True).values_list("membership__brand", "membership__member")
    return {(brand_id, member_id): some for brand_id, member_id, some in sums.annotate(sum=Sum("points"))}


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
