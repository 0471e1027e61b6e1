"""Two members side by side: as they are while somebody decides, and as they were for who looks at a merge again."""

from datetime import date, datetime
from typing import Any, NamedTuple

from django.db.models import Q, QuerySet

from clerks.models import Merge, MergeMove
from members import identity
from members.models import Identity, Member, Membership, Purchase, Stop

LATEST = 5  # purchases


class Side(NamedTuple):
    """One of the two. `stops`: how much they asked to be left alone with; 0 of who was merged."""

    member: Member
    born_on: date | None
    created_at: datetime
    identities: list[Identity]
    memberships: list[Membership]
    orders: list[Purchase]
    stops: int


def as_they_are(*, number: int) -> Side:
    """The one who has this number by now."""
    root = identity.persons([number])[number][0]
    member = Member.objects.get(pk=root)
    stops = Stop.objects.filter(member=root, lifted_at=None).count()
    parts = (Identity.objects.filter(member=root), Membership.objects.filter(member=root))
    bought = Purchase.objects.filter(membership__member=root)
    return _side(member, member.born_on, member.created_at, *parts, bought, stops)


def as_they_were(*, merge: Merge) -> tuple[Side, Side]:
    """The kept one and the other when they were merged, of a merge that stands, as far as it is still there."""
    keep, drop = merge.keep, merge.drop
    said = {(move.table, move.row_id): move.before for move in merge.moves.filter(table__in=_WRITTEN_OVER)}
    beginning = said[Member._meta.db_table, keep.pk]
    born_on = keep.born_on if beginning["has_birthday"] else None
    both = (
        _side(keep, born_on, datetime.fromisoformat(beginning["created_at"]), *_had(keep.pk, merge), 0),
        _side(drop, drop.born_on, drop.created_at, *_had(drop.pk, merge), 0),
    )
    for row in [row for side in both for row in side.memberships]:
        if standing := said.get((Membership._meta.db_table, row.pk), {}):
            row.tier_id = standing.get("tier_id", row.tier_id)
            row.registered_at = datetime.fromisoformat(standing.get("registered_at", row.registered_at.isoformat()))
    return both


_WRITTEN_OVER = (Member._meta.db_table, Membership._meta.db_table)


def _had(member_id: int, merge: Merge) -> tuple[QuerySet, QuerySet, QuerySet]:
    """Theirs are rows that are theirs now or went on with them, without those that came with this merge or a later
    one. What was told later of an earlier day is among them.
    """
    standing = MergeMove._base_manager.filter(merge__undone_at=None)

    def theirs(model: type[Any], column: str, owned: Q) -> QuerySet:
        moves = standing.filter(table=model._meta.db_table, before__has_key=column)
        went = moves.filter(merge__drop=member_id).values("row_id")
        came = moves.filter(merge__keep=member_id, merge__gte=merge.pk).values("row_id")
        return model.objects.filter(owned | Q(pk__in=went)).exclude(pk__in=came)

    memberships = theirs(Membership, "member_id", Q(member=member_id))
    hung = Q(membership__in=memberships.values("pk"))
    return (
        theirs(Identity, "member_id", Q(member=member_id)).filter(seen_at__lte=merge.at),
        memberships,
        theirs(Purchase, "membership_id", hung).filter(paid_at__lte=merge.at),
    )


def _side(
    member: Member,
    born_on: date | None,
    created_at: datetime,
    known: QuerySet[Identity],
    held: QuerySet[Membership],
    bought: QuerySet[Purchase],
    stops: int,
) -> Side:
    return Side(
        member,
        born_on,
        created_at,
        list(known.select_related("key", "channel").order_by("is_hearsay", "seen_at", "pk")),
        list(held.select_related("brand", "tier").order_by("brand")),
        list(bought.select_related("order__channel", "order__store").order_by("-paid_at", "-pk")[:LATEST]),
        stops,
    )
