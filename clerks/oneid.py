"""一人一档: two members turn out to be one person, and that may turn out to be wrong.

`merge` moves everything the one has to the other, room by room, and keeps a line of every row that went; `unmerge`
replays the lines backwards, and what came in between goes by the key it came by. Commission is not touched, but for
what one person was paid for twice (`clerks.rewards.merged`).

Of merges into one member the last is undone first, so that no row is sought where a later merge has put another. What
a member had asked to be left alone with, they are left alone with on both sides of either.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from clerks import binding, book, friends
from clerks.leads.models import Lead
from clerks.materials.models import Opening, Share, Visitor
from clerks.models import HelpRequest, Merge, MergeMove, Note, Tie, Touch, TurnedAway
from members import consent, doubts, erasure, identity, model_tags, moving, profiles, segments, tiers
from members.matching import NUMBER
from members.models import Doubt, Identity, Member, Membership, Stop
from members.moving import Moved, Way
from retail import audit

WAYS = (
    Way(Note),
    Way(Touch),
    Way(HelpRequest),
    Way(Lead, same="brand_id, kind", among="closed_at IS NULL"),
    Way(TurnedAway, same="brand_id, staff_id, at"),
    Way(Tie, same="brand_id", among="decided_at IS NULL"),
    Way(Share),
    Way(Visitor),
    Way(Opening),
)
STAYS = {
    "clerks.Binding.member": "goes over, and of two in force one ends: `binding.join`",
    "clerks.Customer.member": "made again from the relation",
    "clerks.Pooled.member": "made again from what there is",
    "clerks.Pooled.membership": "likewise",
    "clerks.Friend.member": "follows its key: `friends.follow`",
    "clerks.HandoverRow.member": "who was handed over, as it was; what is under way goes on for the relation",
    "leads.Score.member": "computed anew in the night, when the dropped member has bought nothing any more",
    "clerks.Merge.keep": "what was merged, as it was",
    "clerks.Merge.drop": "likewise",
}
_BATCH = 5_000


class Refused(Exception):
    """It cannot be done; the message says why in words for whoever asked."""


@transaction.atomic
def merge(*, keep: int, drop: int, evidence: dict[str, Any], by: Any, now: datetime, reason: str = "") -> Merge:
    """The second member becomes part of the first. `evidence` holds ids, as that of a doubt. Raises Refused."""
    members = _alone(keep, drop)
    if objection := _why_not(members, keep, drop):
        raise Refused(objection)
    row = Merge._base_manager.create(keep_id=keep, drop_id=drop, evidence=evidence, by=by, at=now)
    moved = [move for way in moving.OF_MEMBER for move in moving.take(way, of=drop, to=keep)]
    moved += moving.join_memberships(keep=keep, drop=drop, now=now)
    moved += binding.join(keep=keep, drop=drop, now=now)
    moved += [move for way in WAYS for move in moving.take(way, of=drop, to=keep)]
    moved.append(moving.absorb(keep=members[keep], drop=members[drop]))
    _settle(keep, drop, now)
    moving.note_left(moved)
    _record(row, moved)
    _close(keep, drop, Doubt.State.MERGED, by, now)
    audit.record(by=by, action="member.merge", target=members[keep], now=now, after=_said(row), reason=reason)
    return row


@transaction.atomic
def unmerge(*, merge: Merge, by: Any, now: datetime, reason: str = "") -> None:
    """Two members again, and no rule will merge them any more. Raises Refused."""
    members = _alone(merge.keep_id, merge.drop_id)
    row = Merge._base_manager.select_for_update(of=("self",)).get(pk=merge.pk)
    if objection := _why_not_undone(row, members[row.keep_id]):
        raise Refused(objection)
    keep, drop = row.keep_id, row.drop_id
    moved = [Moved(move.table, move.row_id, move.before) for move in row.moves.order_by("pk")]
    for way in (*moving.OF_MEMBER, *WAYS):
        moving.give_back(way, row_ids=[one.row_id for one in moved if one.table == way.table], of=keep, to=drop)
    moving.learned_since(keep=keep, drop=drop)
    moving.part_memberships(keep=keep, drop=drop, moved=moved, now=now)
    binding.part(keep=keep, drop=drop, moved=moved)
    before = next(one.before for one in moved if one.table == Member._meta.db_table)
    moving.release(keep=members[keep], drop=members[drop], before=before)
    _stop_means_stop(row, now)
    row.undone_at, row.undone_by = now, by
    row.save(update_fields=["undone_at", "undone_by"])
    _settle(keep, drop, now)
    _keep_apart(row, by, now)
    audit.record(by=by, action="member.unmerge", target=members[keep], now=now, after=_said(row), reason=reason)


def _said(row: Merge) -> dict[str, int]:
    return {"keep": row.keep_id, "drop": row.drop_id}


# ── By rule ──────────────────────────────────────────────────────────────────────────────────────────────────────────
@transaction.atomic
def join(*, doubt_id: int, now: datetime) -> Merge | None:
    """A job: merge two members whom a rule calls one person, if it still does; else somebody has to look."""
    doubt = Doubt._base_manager.select_for_update(of=("self",)).get(pk=doubt_id)
    if doubt.state != Doubt.State.SURE:
        return None
    one, other = (_now(number) for number in (doubt.one_id, doubt.other_id))
    if one == other:
        Doubt._base_manager.filter(pk=doubt.pk).update(state=Doubt.State.MERGED, decided_at=now)
        return None
    keep, drop = _older_first(one, other)
    if not _is_one(keep, drop, doubt.evidence["rule"]):
        Doubt._base_manager.filter(pk=doubt.pk).update(state=Doubt.State.OPEN)
        return None
    return merge(keep=keep, drop=drop, evidence=doubt.evidence, by=None, now=now)


def _is_one(keep: int, drop: int, rule: str) -> bool:
    """Whether the rule holds for whom the two are by now, and nobody has said that they are two."""
    _alone(keep, drop)
    ours, theirs = identity.person(keep), identity.person(drop)
    persons = identity.persons([keep, drop])
    if doubts.between(persons[keep], persons[drop]).filter(state=Doubt.State.APART).exists():
        return False
    return not (ours.is_own and theirs.is_own) if rule == NUMBER else not ours.contradicts(theirs)


def _now(number: int) -> int:
    """Whom this member has become."""
    return identity.persons([number])[number][0]


def _older_first(one: int, other: int) -> tuple[int, int]:
    """Who is known by more than a number is kept; else who was known first."""
    rows = Member._base_manager.in_bulk([one, other])
    keep, drop = sorted((one, other), key=lambda pk: (not identity.person(pk).is_own, rows[pk].created_at, pk))
    return keep, drop


# ── What cannot be ───────────────────────────────────────────────────────────────────────────────────────────────────
def _why_not(members: dict[int, Member], keep: int, drop: int) -> str:
    if keep == drop:
        return _("这是同一位会员。")
    for pk in (keep, drop):
        if pk not in members:
            return _("没有会员 %(number)s。") % {"number": pk}
        if into := members[pk].merged_into_id:
            return _("会员 %(number)s 已经并入会员 %(into)s。") % {"number": pk, "into": into}
    return ""


def _why_not_undone(row: Merge, keep: Member) -> str:
    if row.undone_at is not None:
        return _("这次合并已经撤销了。")
    if keep.merged_into_id is not None:
        said = _("会员 %(number)s 后来又并入了会员 %(into)s，请先撤销那一次。")
        return said % {"number": keep.pk, "into": keep.merged_into_id}
    later = Merge._base_manager.filter(keep=row.keep_id, undone_at=None, pk__gt=row.pk).order_by("-pk").first()
    if later is not None:
        said = _("会员 %(number)s 后来还并入了会员 %(drop)s，请先撤销那一次。")
        return said % {"number": row.keep_id, "drop": later.drop_id}
    return ""


# ── Alone ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def _alone(*member_ids: int) -> dict[int, Member]:
    """The members, whom no order, meeting or merge changes before our commit.

    The keys first, as orders lock them; those that were learned while we waited are locked with all others anew, since
    a second lock in another order could wait for somebody who waits for us.
    """
    while True:
        point = transaction.savepoint()
        keys = _keys(member_ids)
        identity.lock(keys)
        if _keys(member_ids) == keys:
            transaction.savepoint_commit(point)
            return moving.hold(member_ids=member_ids)
        transaction.savepoint_rollback(point)  # lets go of the locks


def _keys(member_ids: Iterable[int]) -> set[int]:
    return set(Identity._base_manager.filter(member__in=list(member_ids)).values_list("key_id", flat=True))


# ── What follows ─────────────────────────────────────────────────────────────────────────────────────────────────────
def _record(row: Merge, moved: Iterable[Moved]) -> None:
    moves = [MergeMove(merge=row, table=one.table, row_id=one.row_id, before=one.before) for one in moved]
    MergeMove._base_manager.bulk_create(moves, batch_size=_BATCH)


def _settle(keep: int, drop: int, now: datetime) -> None:
    """Friends follow their keys, claims are judged again, what is rolled up is brought up to date.

    A wish that nothing be worked out of them may have come from the other one: then nothing that was, is kept.
    """
    friends.follow(member_ids=[keep, drop], now=now)
    rows = Membership._base_manager.filter(member__in=[keep, drop])
    ids = sorted(rows.values_list("pk", flat=True))
    profiles.refresh(membership_ids=ids, now=now)
    tiers.review(membership_ids=ids, now=now)
    segments.bought(membership_ids=ids, now=now)
    if quiet := consent.unprofiled(member_ids=[keep, drop]):
        model_tags.drop(member_ids=quiet, now=now)
    book.refresh(member_ids=[keep, drop], now=now)


def _close(keep: int, drop: int, state: Doubt.State, by: Any, now: datetime) -> None:
    """Questions about the two are answered."""
    person = identity.persons([keep])[keep]
    asked = doubts.between(person, person).filter(state__in=[Doubt.State.OPEN, Doubt.State.SURE])
    asked.update(state=state, decided_by=by, decided_at=now)


def _keep_apart(row: Merge, by: Any, now: datetime) -> None:
    one, other = sorted((row.keep_id, row.drop_id))
    decided = {"state": Doubt.State.APART, "decided_by": by, "decided_at": now}
    Doubt._base_manager.update_or_create(
        one_id=one,
        other_id=other,
        defaults=decided,
        create_defaults={**decided, "evidence": row.evidence, "found_at": row.at},
    )


def _stop_means_stop(row: Merge, now: datetime) -> None:
    """Who asked to be left alone while they were one, even once more, may have been either; who took it back, too."""
    both = (row.keep_id, row.drop_id)
    in_force = Stop._base_manager.filter(member__in=both, lifted_at=None)
    lifted_since = Stop._base_manager.filter(member__in=both, at__lt=row.at, lifted_at__gte=row.at)
    wanted = {(member_id, *_wish(stop)) for stop in in_force for member_id in both}
    wanted |= {(stop.member_id, *_wish(stop)) for stop in lifted_since}
    for member_id, corp, channel, purpose in sorted(wanted):
        wish = {"member_id": member_id, "corp": corp, "channel": channel, "purpose": purpose}
        Stop._base_manager.get_or_create(**wish, lifted_at=None, defaults={"at": now})


def _wish(stop: Stop) -> tuple[str, str, str]:
    return stop.corp, stop.channel, stop.purpose


# ── By a person ──────────────────────────────────────────────────────────────────────────────────────────────────────
@transaction.atomic
def decide(*, doubt: Doubt, keep_one: bool, by: Any, reason: str, now: datetime) -> Merge:
    """Somebody has looked at two members and knows them to be one. Raises Refused."""
    one, other = (_now(number) for number in (doubt.one_id, doubt.other_id))
    keep, drop = (one, other) if keep_one else (other, one)
    refuse_names(member_ids=(keep, drop), reason=reason)
    return merge(keep=keep, drop=drop, evidence=doubt.evidence, by=by, now=now, reason=reason)


def refuse_names(*, member_ids: Iterable[int], reason: str) -> None:
    """Raise Refused for a reason that cannot be kept: the journal never forgets what stands in it."""
    for member in Member._base_manager.filter(pk__in=list(member_ids)):
        if objection := erasure.tells_who(erasure.person(member), reason):
            raise Refused(objection)
