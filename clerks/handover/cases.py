"""A handover from its opening to its end: found customers, a look at who would get whom, the start, a second try."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.models import Count, Q
from django.utils.translation import gettext as _

from clerks import binding
from clerks.handover import along, chats, planning
from clerks.handover.planning import Receiver, Share, Someone, Way
from clerks.models import Binding, ChatTransfer, Friend, Handover, HandoverRow
from members.models import Profile
from retail import audit, jobs, logs
from retail.jobs import Work
from retail.models import Post, Staff, Store

MOVE = "handover_move"  # kind of the job, {"handover_id"}
LONGEST = 200  # letters of what customers are told

Kind, State = Handover.Kind, Handover.State
Row, RowState, Why = HandoverRow, HandoverRow.State, HandoverRow.Why
UNFINISHED = (State.OPEN, State.RUNNING)


class Refused(ValueError):
    """This cannot be; the words are for the person."""


# ── Opening ──────────────────────────────────────────────────────────────────────────────────────────────────────────
@transaction.atomic
def open_(
    *,
    staff: Staff,
    kind: str,
    by: Any,
    now: datetime,
    reason: str = "",
    is_resigned: bool = False,
    store_ids: Collection[int] | None = None,
) -> list[Handover]:
    """A handover for each store (of these, all by default) in which somebody has customers; rows for each of them.

    One that is not finished is not opened twice: it becomes that of a leaver where it was not.
    """
    opened = []
    for store in Store._base_manager.filter(pk__in=_stores_of(staff)).select_related("brand").order_by("pk"):
        if store_ids is None or store.pk in store_ids:
            opened.append(_opened(staff, store, kind, by, now, reason, is_resigned))
    return opened


def _stores_of(staff: Staff) -> set[int]:
    """Where somebody has customers: theirs, or friends of theirs who are nobody's."""
    bound = Binding._base_manager.filter(staff=staff, ended_at=None).values_list("store_id", flat=True)
    friends = Friend._base_manager.filter(staff=staff, state=Friend.State.FRIEND, store__isnull=False)
    return {*bound, *friends.values_list("store_id", flat=True)}


def _opened(staff: Staff, store: Store, kind: str, by: Any, now: datetime, reason: str, is_resigned: bool) -> Handover:
    unfinished = Handover._base_manager.select_for_update(of=("self",)).filter(state__in=UNFINISHED)
    handover = unfinished.filter(staff=staff, store=store).first()
    if handover is None:
        given = {"kind": kind, "opened_by": by, "opened_at": now, "reason": logs.struck(reason)[:200]}
        handover = Handover._base_manager.create(
            staff=staff, store=store, brand=store.brand, is_resigned=is_resigned, **given
        )
        audit.record(by=by, action="handover.open", target=handover, now=now, after={"kind": kind}, reason=reason)
    elif kind == Kind.LEFT and (handover.kind, handover.is_resigned) != (kind, is_resigned):
        handover.kind, handover.is_resigned = Kind.LEFT, is_resigned or handover.is_resigned
        handover.save(update_fields=["kind", "is_resigned"])
    gather(handover=handover, now=now)
    return handover


@transaction.atomic
def gather(*, handover: Handover, now: datetime) -> int:
    """A row for each customer of theirs who has none yet; how many came. One came late, say, with an old order."""
    with connection.cursor() as cursor:
        cursor.execute(
            _GATHER,
            {
                "handover": handover.pk,
                "brand": handover.brand_id,
                "store": handover.store_id,
                "staff": handover.staff_id,
                "corp": handover.brand.corp,
            },
        )
        came = cursor.rowcount
    if came:
        handover.total += came
        handover.save(update_fields=["total"])
    return came


# Who is theirs; and friends of theirs who are nobody's.
_GATHER = """
WITH theirs AS (
    SELECT b.member_id, b.staff_id AS holder_id FROM clerks_binding b
    WHERE b.brand_id = %(brand)s AND b.store_id = %(store)s AND b.staff_id = %(staff)s AND b.ended_at IS NULL
    UNION ALL
    SELECT DISTINCT f.member_id, NULL::bigint FROM clerks_friend f
    WHERE f.corp = %(corp)s AND f.staff_id = %(staff)s AND f.state = 'friend' AND f.member_id IS NOT NULL
        AND coalesce(f.store_id, %(store)s) = %(store)s
        AND NOT EXISTS (SELECT FROM clerks_binding b
            WHERE b.brand_id = %(brand)s AND b.member_id = f.member_id AND b.ended_at IS NULL)
)
INSERT INTO clerks_handoverrow (handover_id, member_id, holder_id, friend_id, spend_fen, state, why, tries)
SELECT %(handover)s, t.member_id, t.holder_id, f.id, coalesce(p.year_fen, 0), 'open', '', 0
FROM theirs t
LEFT JOIN LATERAL (
    SELECT id FROM clerks_friend f
    WHERE f.member_id = t.member_id AND f.staff_id = %(staff)s AND f.corp = %(corp)s AND f.state = 'friend'
    ORDER BY f.since DESC NULLS LAST, f.id LIMIT 1
) f ON true
LEFT JOIN members_membership m ON m.brand_id = %(brand)s AND m.member_id = t.member_id
LEFT JOIN members_profile p ON p.membership_id = m.id
ORDER BY t.member_id
ON CONFLICT (handover_id, member_id) DO NOTHING
"""


# ── Who would get whom ───────────────────────────────────────────────────────────────────────────────────────────────
class Choice(NamedTuple):
    """How to split, among whom: staff → the tag whose customers they are named for, if any."""

    way: Way
    receivers: Mapping[int, int | None]


class Preview(NamedTuple):
    """What each receiver would get; `left`: those nobody has room for."""

    shares: dict[Staff, Share]
    rooms: dict[int, int | None]
    left: Share
    dealt: planning.Dealt


def candidates(*, handover: Handover, store_ids: Collection[int], now: datetime) -> list[Post]:
    """Who may get customers: clerks and managers of these stores who are there now and in the reader's scope.

    Another company gets nobody: that takes the word of each customer.
    """
    posts = Post.objects.at(now).filter(
        store__in=store_ids,
        store__brand=handover.brand_id,
        store__franchisee=handover.store.franchisee_id,
        staff__in=Staff.objects.exclude(pk=handover.staff_id),
        role__in=(Post.Role.CLERK, Post.Role.STORE_MANAGER),
    )
    found: dict[int, Post] = {}
    for post in posts.select_related("staff", "store").order_by("role", "pk"):
        found.setdefault(post.staff_id, post)
    return sorted(found.values(), key=lambda post: (post.store_id != handover.store_id, post.store_id, post.pk))


def preview(*, handover: Handover, choice: Choice, now: datetime) -> Preview:
    """What a start would come to; nothing is written. Raises Refused."""
    receivers = _receivers(handover, choice, now)
    customers = _customers(handover, choice.way)
    dealt = planning.deal(customers=customers, receivers=receivers, way=choice.way)
    shares = planning.shares(customers=customers, dealt=dealt)
    people = Staff._base_manager.in_bulk([one.staff_id for one in receivers])
    got = {people[one.staff_id]: shares.get(one.staff_id, Share(0, 0)) for one in receivers}
    rooms = {one.staff_id: one.room for one in receivers}
    return Preview(got, rooms, shares.get(None, Share(0, 0)), dealt)


def _receivers(handover: Handover, choice: Choice, now: datetime) -> list[Receiver]:
    """The chosen, as they stand now. Raises Refused."""
    if not choice.receivers:
        raise Refused(_("请至少选一位接手人。"))
    if choice.way == Way.ALL and len(choice.receivers) > 1:
        raise Refused(_("全部给一个人时，只能选一位接手人。"))
    stores = set(Post.objects.at(now).filter(staff__in=choice.receivers).values_list("store_id", flat=True))
    known = {post.staff_id: post for post in candidates(handover=handover, store_ids=stores, now=now)}
    if missing := choice.receivers.keys() - known.keys():
        names = Staff.objects.filter(pk__in=missing).values_list("name", flat=True)
        raise Refused(_("%(names)s现在不能接手：不在岗，或不是同一家公司的门店。") % {"names": _("、").join(names)})
    rooms = binding.room(brand=handover.brand, staff_ids=choice.receivers, now=now)
    return [
        Receiver(staff_id, store_id, rooms[staff_id], tag_id)
        for staff_id, tag_id in choice.receivers.items()
        if (store_id := known[staff_id].store_id) is not None
    ]


def _customers(handover: Handover, way: Way) -> list[Someone]:
    """Those who have nobody yet."""
    rows = Row._base_manager.filter(handover=handover, state=RowState.OPEN).order_by("pk")
    found = [Someone(member_id, spend) for member_id, spend in rows.values_list("member_id", "spend_fen")]
    if way not in (Way.TAG, Way.LAST_STORE):
        return found
    profiles = Profile._base_manager.filter(
        membership__brand=handover.brand_id, membership__member__in=rows.values("member_id")
    )
    told = {
        member_id: (frozenset(tag_ids), store_id)
        for member_id, tag_ids, store_id in profiles.values_list("membership__member", "tag_ids", "last_store")
    }
    nothing: tuple[frozenset[int], int | None] = (frozenset(), None)
    return [Someone(one.member_id, one.spend_fen, *told.get(one.member_id, nothing)) for one in found]


# ── The start ────────────────────────────────────────────────────────────────────────────────────────────────────────
@transaction.atomic
def start(
    *,
    handover: Handover,
    choice: Choice,
    by: Any,
    now: datetime,
    message: str = "",
    chats_to: int | None = None,
) -> Preview:
    """Give those who have nobody yet to the chosen, and have a job do it. Raises Refused.

    `message`: what customers read who are friends in WeCom and may be told. `chats_to`: who of the chosen gets the
    group chats, the first of them by default.
    """
    handover = _locked(handover)
    if handover.state == State.CANCELLED:
        raise Refused(_("这张继承单已经取消。"))
    if len(message) > LONGEST:
        raise Refused(_("给顾客的话最多 %(most)s 个字。") % {"most": LONGEST})
    gather(handover=handover, now=now)
    seen = preview(handover=handover, choice=choice, now=now)
    if not seen.dealt and handover.total:
        raise Refused(_("没有等着安排的顾客。"))
    _plan(handover, seen.dealt)
    is_first = handover.started_at is None
    handover.state, handover.ended_at = State.RUNNING, None
    handover.started_by, handover.started_at = by, handover.started_at or now
    handover.message = message.strip()
    handover.plan = {"way": choice.way, "receivers": sorted(choice.receivers)}
    handover.save()
    counts = {one.pk: share.customers for one, share in seen.shares.items() if share.customers}
    if is_first and handover.kind == Kind.LEFT:
        along.coupons_to_give(staff_id=handover.staff_id, brand_id=handover.brand_id, counts=counts, by=by, now=now)
    if chats_to is not None:
        _receivers(handover, Choice(Way.ALL, {chats_to: None}), now)
    chats.plan(handover=handover, receiver_id=chats_to or next(iter(choice.receivers)))
    after = {"customers": sum(counts.values()), "receivers": len(counts)}
    audit.record(by=by, action="handover.start", target=handover, now=now, after=after)
    _ring(handover.pk, now)
    return seen


def _plan(handover: Handover, dealt: planning.Dealt) -> None:
    """Nobody's (None) stays open, and says why."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE clerks_handoverrow r SET receiver_id = d.staff,"
            " state = CASE WHEN d.staff IS NULL THEN 'open' ELSE 'planned' END,"
            " why = CASE WHEN d.staff IS NULL THEN 'no_room' ELSE '' END"
            " FROM unnest(%s::bigint[], %s::bigint[]) AS d(member, staff)"
            " WHERE r.handover_id = %s AND r.member_id = d.member AND r.state = 'open'",
            [list(dealt), list(dealt.values()), handover.pk],
        )


def _ring(handover_id: int, now: datetime) -> None:
    jobs.enqueue(work=[Work(MOVE, {"handover_id": handover_id}, shard_of(handover_id))], now=now)


def shard_of(handover_id: int) -> str:
    """What is done to one handover is done one after the other."""
    return f"handover:{handover_id}"


def _locked(handover: Handover) -> Handover:
    rows = Handover._base_manager.select_for_update(of=("self",)).select_related("brand", "store", "staff")
    return rows.get(pk=handover.pk)


@transaction.atomic
def cancel(*, handover: Handover, by: Any, now: datetime) -> None:
    """Nothing has begun, and nothing is to. Who has left has left: theirs cannot be called off. Raises Refused."""
    handover = _locked(handover)
    if handover.state != State.OPEN or handover.kind == Kind.LEFT:
        raise Refused(_("已经开始，或者人已离职，不能取消。"))
    handover.state, handover.ended_at = State.CANCELLED, now
    handover.save(update_fields=["state", "ended_at"])
    audit.record(by=by, action="handover.cancel", target=handover, now=now)


# ── Once more ────────────────────────────────────────────────────────────────────────────────────────────────────────
@transaction.atomic
def again(
    *,
    handover: Handover,
    by: Any,
    now: datetime,
    row_ids: Collection[int] | None = None,
    state: str = "",
    receiver_id: int | None = None,
) -> int:
    """Try those that are stuck once more (these rows, or all of a state), with the same receiver or another; how many.

    Raises Refused. A cap on customers holds for the other one, too.
    """
    handover = _locked(handover)
    if handover.state == State.CANCELLED:
        raise Refused(_("这张继承单已经取消。"))
    rows = Row._base_manager.select_for_update(of=("self",)).filter(handover=handover, state__in=Row.STUCK)
    rows = rows.filter(pk__in=row_ids) if row_ids is not None else rows.filter(state=state)
    if receiver_id is None:
        rows = rows.filter(receiver__isnull=False)
    ids = list(rows.order_by("pk").values_list("pk", flat=True))
    if not ids:
        raise Refused(_("没有选中可以重办的顾客。没有接手人的要先换人接。"))
    if receiver_id is not None:
        ids = ids[: _room(handover, receiver_id, now)]
    fields: dict[str, Any] = {"state": RowState.PLANNED, "why": "", "errcode": None, "tries": 0, "ended_at": None}
    if receiver_id is not None:
        fields["receiver_id"] = receiver_id
    _refuse_another_unfinished(handover)
    Row._base_manager.filter(pk__in=ids).update(**fields)
    handover.state, handover.ended_at = State.RUNNING, None
    handover.started_at = handover.started_at or now
    handover.save(update_fields=["state", "ended_at", "started_at"])
    after = {"customers": len(ids), "receivers": int(receiver_id is not None)}
    audit.record(by=by, action="handover.again", target=handover, now=now, after=after)
    _ring(handover.pk, now)
    return len(ids)


def _room(handover: Handover, receiver_id: int, now: datetime) -> int | None:
    """How many the other one may have. Raises Refused where that is nobody."""
    (receiver,) = _receivers(handover, Choice(Way.ALL, {receiver_id: None}), now)
    if receiver.room == 0:
        raise Refused(_("这位导购的客户已满。"))
    return receiver.room


def _refuse_another_unfinished(handover: Handover) -> None:
    others = Handover._base_manager.filter(staff=handover.staff_id, store=handover.store_id, state__in=UNFINISHED)
    if others.exclude(pk=handover.pk).exists():
        raise Refused(_("这位导购在这家店还有没办完的客户继承。"))


# ── How far it is ────────────────────────────────────────────────────────────────────────────────────────────────────
class Progress(NamedTuple):
    """Rows by state; `over` are those that need nobody any more."""

    counts: dict[str, int]
    total: int

    @property
    def over(self) -> int:
        return sum(self.counts.get(state, 0) for state in Row.OVER)

    @property
    def stuck(self) -> int:
        return sum(self.counts.get(state, 0) for state in Row.STUCK)

    @property
    def under_way(self) -> int:
        return sum(self.counts.get(state, 0) for state in Row.UNDER_WAY)

    @property
    def waiting(self) -> int:
        """Those who have nobody yet."""
        return self.counts.get(RowState.OPEN, 0)

    @property
    def percent(self) -> int:
        return 100 * self.over // self.total if self.total else 100


def progress(*, handovers: Sequence[Handover]) -> dict[int, Progress]:
    """Of each of these. One statement."""
    counts: dict[int, dict[str, int]] = {one.pk: {} for one in handovers}
    rows = Row._base_manager.filter(handover__in=counts).order_by()
    for pk, state, count in rows.values_list("handover", "state").annotate(count=Count("pk")):
        counts[pk][state] = count
    return {pk: Progress(of_one, sum(of_one.values())) for pk, of_one in counts.items()}


@transaction.atomic
def end_if_over(*, handover_id: int, now: datetime) -> bool:
    """Everybody is with their receiver, in WeCom too where they are friends there: it is done by itself."""
    handover = Handover._base_manager.select_for_update(of=("self",)).get(pk=handover_id)
    rows = Row._base_manager.filter(handover=handover).exclude(state__in=Row.OVER)
    if handover.state != State.RUNNING or rows.exists() or _has_chats_under_way(handover):
        return False
    _end(handover, None, now)
    return True


@transaction.atomic
def finish(*, handover: Handover, by: Any, now: datetime) -> None:
    """Leave it at that: whom WeCom does not move stays the receiver's in our books. Raises Refused."""
    handover = _locked(handover)
    rows = Row._base_manager.filter(Q(state=RowState.OPEN) | Q(state__in=Row.UNDER_WAY), handover=handover)
    if handover.state != State.RUNNING or rows.exists() or _has_chats_under_way(handover):
        raise Refused(_("还有顾客没人接，或者正在转，不能办结。"))
    _end(handover, by, now)


def _has_chats_under_way(handover: Handover) -> bool:
    return ChatTransfer._base_manager.filter(handover=handover).exclude(state__in=chats.ENDS).exists()


def _end(handover: Handover, by: Any, now: datetime) -> None:
    handover.state, handover.ended_at = State.DONE, now
    handover.save(update_fields=["state", "ended_at"])
    audit.record(by=by, action="handover.end", target=handover, now=now, after={"customers": handover.total})
