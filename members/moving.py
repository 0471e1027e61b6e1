"""What of a member's follows them when two members become one, and goes back when they are parted again.

Rows keep their number and change their owner. Each table is named once, here or in `clerks.oneid`; a test walks all
foreign keys. Where the kept member is not yet of a brand the whole membership goes over, and where they are, what
hangs on it does. Points are a ledger: what hangs on the order or adjustment is booked anew (`points.on_merge`).
"""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import Model

from members import points
from members.matching import STRENGTH
from members.models import (
    Coupon,
    Event,
    Identity,
    Member,
    Membership,
    MemberTag,
    PointsAdjustment,
    Purchase,
    SegmentMember,
    Stop,
    TierMove,
)


class Way(NamedTuple):
    """A table that follows by this column. Of rows that are `among`, one that says the `same` as one of the kept
    member's stays where it is: there is but one such row.
    """

    model: type[Model]
    column: str = "member_id"
    same: str = ""
    among: str = "true"

    @property
    def table(self) -> str:
        return self.model._meta.db_table


class Moved(NamedTuple):
    """One row that went over, and what it said before."""

    table: str
    row_id: int
    before: dict[str, Any]


OF_MEMBER = (
    Way(Identity),
    Way(Stop, same="corp, channel, purpose", among="lifted_at IS NULL"),
    Way(MemberTag, same="brand_id, tag_id, source", among="until IS NULL"),
    Way(Event),
)
_HUNG = "membership_id"
OF_MEMBERSHIP = (
    Way(Purchase, _HUNG),
    Way(PointsAdjustment, _HUNG),
    Way(Coupon, _HUNG),
    Way(SegmentMember, _HUNG, same="segment_id"),
)
STAYS = {
    "members.Member.merged_into": "says into whom a member was merged",
    "members.Membership.member": "goes over whole, or its rows do: see `join_memberships`",
    "members.Consent.member": "who said it; what a person allows is read of all their numbers",
    "members.Doubt.one": "who was found, as they were found",
    "members.Doubt.other": "likewise",
    "members.CouponSkip.membership": "who got none when coupons were given out, as it was told then",
    "members.Behind.membership": "is about to be rolled up, whoever it is by then",
    "members.PointsEntry.membership": "never changed: `points.on_merge` books what belongs elsewhere by now",
    "members.Profile.membership": "made again from what moved",
    "members.SegmentMove.membership": "who entered and left a segment when: its history",
    "members.TierMove.membership": "the history of that standing; the merge adds a line to the kept one's",
}


# ── One table ────────────────────────────────────────────────────────────────────────────────────────────────────────
_TAKE = """
UPDATE {table} t SET {column} = %(to)s WHERE t.{column} = %(of)s AND NOT ((t.{among}) AND EXISTS (
    SELECT FROM {table} k WHERE k.{column} = %(to)s AND (k.{among})
        AND ROW({theirs}) IS NOT DISTINCT FROM ROW({same})))
RETURNING t.id
"""
_TAKE_ALL = "UPDATE {table} t SET {column} = %(to)s WHERE t.{column} = %(of)s RETURNING t.id"


def take(way: Way, *, of: int, to: int) -> list[Moved]:
    """All rows of one owner that can become the other's."""
    names = {"table": way.table, "column": way.column}
    if way.same:
        columns = way.same.split(", ")
        names |= {"among": way.among if way.among != "true" else f"{way.column} IS NOT NULL"}
        names |= {"same": ", ".join(f"t.{one}" for one in columns), "theirs": ", ".join(f"k.{one}" for one in columns)}
    with connection.cursor() as cursor:
        cursor.execute((_TAKE if way.same else _TAKE_ALL).format(**names), {"of": of, "to": to})
        return [Moved(way.table, row_id, {way.column: of}) for (row_id,) in cursor.fetchall()]


def give_back(way: Way, *, row_ids: Collection[int], of: int, to: int) -> None:
    """Those of the rows that are still the one's become the other's again."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {way.table} SET {way.column} = %s WHERE {way.column} = %s AND id = ANY(%s)",
            [to, of, list(row_ids)],
        )


# ── The person ───────────────────────────────────────────────────────────────────────────────────────────────────────
def hold(*, member_ids: Collection[int]) -> dict[int, Member]:
    """The members, to be merged or parted by nobody else. Rows that only name them may be written meanwhile."""
    rows = Member._base_manager.filter(pk__in=member_ids).order_by("pk").select_for_update(of=("self",), no_key=True)
    return {row.pk: row for row in rows}


def absorb(*, keep: Member, drop: Member) -> Moved:
    """The kept one gets what they lack: a name, a birthday, an earlier beginning. What was before tells neither."""
    before = {
        "created_at": keep.created_at.isoformat(),
        "is_named": bool(keep.name),
        "has_birthday": keep.born_on is not None,
    }
    keep.name, keep.born_on = keep.name or drop.name, keep.born_on or drop.born_on
    keep.created_at = min(keep.created_at, drop.created_at)
    drop.merged_into = keep
    Member._base_manager.bulk_update([keep, drop], ["name", "born_on", "created_at", "merged_into"])
    return Moved(Member._meta.db_table, keep.pk, before)


def release(*, keep: Member, drop: Member, before: dict[str, Any]) -> None:
    """What the kept one had from the other goes; what was changed by hand since stays."""
    if not before["is_named"] and keep.name == drop.name:
        keep.name = ""
    if not before["has_birthday"] and keep.born_on == drop.born_on:
        keep.born_on = None
    keep.created_at = datetime.fromisoformat(before["created_at"])
    drop.merged_into = None
    Member._base_manager.bulk_update([keep, drop], ["name", "born_on", "created_at", "merged_into"])


# ── Memberships ──────────────────────────────────────────────────────────────────────────────────────────────────────
_TIER = ("tier_id", "tier_since", "tier_until", "tier_is_held")
_BEGINNING = ("registered_at", "registered_store_id", "registered_by_id")
_WRITTEN = ["tier", *_TIER[1:], "registered_at", "registered_store", "registered_by"]


def join_memberships(*, keep: int, drop: int, now: datetime) -> list[Moved]:
    """One standing with each brand: the earlier beginning, the higher tier, all points."""
    of = _memberships(keep, drop)
    moved: list[Moved] = []
    for (brand_id, member_id), theirs in of.items():
        if member_id != drop:
            continue
        if (ours := of.get((brand_id, keep))) is None:
            moved.append(Moved(Membership._meta.db_table, theirs.pk, {"member_id": drop}))
            theirs.member_id = keep
            theirs.save(update_fields=["member"])
            continue
        moved += [_as_it_was(ours), _as_it_was(theirs)]
        for way in OF_MEMBERSHIP:
            moved += take(way, of=theirs.pk, to=ours.pk)
        _add_up(ours, theirs, now)
    _tally(of.values(), now)
    return moved


def _memberships(*member_ids: int) -> dict[tuple[int, int], Membership]:
    """Brand and member → their row, locked in the order orders lock them."""
    rows = Membership._base_manager.filter(member__in=member_ids).order_by("pk").select_for_update(of=("self",))
    return {(row.brand_id, row.member_id): row for row in rows.select_related("tier", "member")}


def _as_it_was(row: Membership) -> Moved:
    return Moved(Membership._meta.db_table, row.pk, _said(row, *_TIER, *_BEGINNING))


def _said(row: Membership, *names: str) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in names}
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in values.items()}


def note_left(moved: Iterable[Moved]) -> None:
    """What the merge, once all is settled, made of each tier: what is otherwise later was changed since."""
    joined = {one.row_id: one for one in moved if one.table == Membership._meta.db_table and "tier_id" in one.before}
    for row in Membership._base_manager.filter(pk__in=joined):
        joined[row.pk].before["left"] = _said(row, *_TIER)


def _add_up(ours: Membership, theirs: Membership, now: datetime) -> None:
    if theirs.registered_at < ours.registered_at:
        for name in _BEGINNING:
            setattr(ours, name, getattr(theirs, name))
    if _weight(theirs) > _weight(ours):
        _move_tier(ours, _said(theirs, *_TIER), now)
    theirs.tier = theirs.tier_since = theirs.tier_until = None
    theirs.tier_is_held = False
    for row in (ours, theirs):
        row.save(update_fields=_WRITTEN)


def _weight(row: Membership) -> tuple[bool, int]:
    """Of two tiers the higher one stays; but who is not to rise does not by being merged."""
    return row.tier_is_held, row.tier.rank if row.tier else -1


def _move_tier(row: Membership, said: dict[str, Any], now: datetime) -> None:
    before = row.tier_id
    _stand(row, said)
    if before != row.tier_id:
        TierMove._base_manager.create(
            membership=row, before_id=before, after_id=row.tier_id, cause=TierMove.Cause.MERGED, at=now
        )


def _stand(row: Membership, said: dict[str, Any]) -> None:
    row.tier_id, row.tier_is_held = said["tier_id"], said["tier_is_held"]
    row.tier_since, row.tier_until = _moment(said["tier_since"]), _moment(said["tier_until"])


_DATES = """
UPDATE members_membership m SET first_purchase_at = p.first, last_purchase_at = p.last
FROM unnest(%(ids)s::bigint[]) AS w(id) LEFT JOIN
    (SELECT membership_id, min(paid_at) AS first, max(paid_at) AS last FROM members_purchase
    WHERE membership_id = ANY(%(ids)s) GROUP BY 1) p ON p.membership_id = w.id
WHERE m.id = w.id
"""


def _tally(rows: Iterable[Membership], now: datetime) -> None:
    """Dates and points of memberships as their purchases say."""
    ids = [row.pk for row in rows]
    with connection.cursor() as cursor:
        cursor.execute(_DATES, {"ids": ids})
    points.on_merge(membership_ids=ids, now=now)


def part_memberships(*, keep: int, drop: int, moved: Iterable[Moved], now: datetime) -> list[int]:
    """Everything back on the membership it came from, and purchases since to whom their strongest key says.

    The ids of all memberships concerned. The keys themselves have gone back already.
    """
    moved = list(moved)
    standing = {one.row_id: one.before for one in moved if one.table == Membership._meta.db_table}
    whole = [row_id for row_id, before in standing.items() if "member_id" in before]
    Membership._base_manager.filter(pk__in=whole, member=keep).update(member=drop)
    of = _memberships(keep, drop)
    for way in OF_MEMBERSHIP:
        for (brand_id, member_id), theirs in of.items():
            if member_id == drop and (ours := of.get((brand_id, keep))) is not None:
                ids = [one.row_id for one in moved if one.table == way.table and one.before[_HUNG] == theirs.pk]
                give_back(way, row_ids=ids, of=ours.pk, to=theirs.pk)
    _by_their_keys(of, keep, drop)
    for row in of.values():
        if (before := standing.get(row.pk)) and "member_id" not in before:
            _stand_as_before(row, before, now)
    _tally(of.values(), now)
    return [row.pk for row in of.values()]


def _stand_as_before(row: Membership, before: dict[str, Any], now: datetime) -> None:
    """Tier and beginning; a tier that was changed since the merge stays as it is, and is looked at on its date.

    The history of who was emptied goes on where it stopped: nothing was put down when their tier went.
    """
    if _said(row, *_TIER) == before["left"]:
        if row.member.merged_into_id is not None:
            _stand(row, before)
        else:
            _move_tier(row, before, now)
    row.registered_at = datetime.fromisoformat(before["registered_at"])
    row.registered_store_id, row.registered_by_id = before["registered_store_id"], before["registered_by_id"]
    row.save(update_fields=_WRITTEN)


def _moment(said: str | None) -> datetime | None:
    return datetime.fromisoformat(said) if said else None


# ── What came later ──────────────────────────────────────────────────────────────────────────────────────────────────
_STRAY = """
SELECT p.order_id, m.brand_id, i.member_id FROM members_purchase p
JOIN members_membership m ON m.id = p.membership_id JOIN retail_order o ON o.id = p.order_id
JOIN LATERAL (SELECT k.id FROM unnest(o.buyer_keys) WITH ORDINALITY AS w(id, place)
    JOIN retail_buyerkey k ON k.id = w.id
    ORDER BY array_position(%(strength)s::text[], k.type::text), w.place LIMIT 1) first ON true
JOIN members_identity i ON i.key_id = first.id AND NOT i.is_hearsay
WHERE m.member_id = ANY(%(members)s) AND i.member_id = ANY(%(members)s) AND i.member_id <> m.member_id
ORDER BY p.order_id
"""


def _by_their_keys(of: dict[tuple[int, int], Membership], keep: int, drop: int) -> None:
    """Purchases that lie with one of the two while their strongest key is the other's."""
    with connection.cursor() as cursor:
        strength = sorted(STRENGTH, key=STRENGTH.__getitem__)
        cursor.execute(_STRAY, {"members": [keep, drop], "strength": strength})
        strays = cursor.fetchall()
    for order_id, brand_id, member_id in strays:
        other = of[brand_id, drop if member_id == keep else keep]
        if (brand_id, member_id) not in of:
            of[brand_id, member_id] = Membership._base_manager.create(
                brand_id=brand_id, member_id=member_id, registered_at=other.registered_at
            )
        Purchase._base_manager.filter(order=order_id).update(membership=of[brand_id, member_id])


def learned_since(*, keep: int, drop: int) -> None:
    """Keys the kept one was learned by through one of the other's go along with that one, and what those taught."""
    while True:
        theirs = Identity._base_manager.filter(member=drop).values("key")
        if not Identity._base_manager.filter(member=keep, learned_by__in=theirs).update(member=drop):
            return
