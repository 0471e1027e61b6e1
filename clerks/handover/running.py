"""What jobs do with a handover: the relation first, then the friend in WeCom, then whatever became of it.

Every step is a transaction of its own and writes down how far it got, so whoever is killed goes on from there. What
WeCom is asked goes through the outbox, at most a hundred friends at once; its answer, a callback, or a look tells the
outcome. A callback that is lost costs a day: then WeCom is asked how each one stands.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.models import Count, Q
from django.utils import timezone

from clerks import binding, book, friends, readings
from clerks.friends import Move
from clerks.handover import along, cases, chats, told_to
from clerks.models import Binding, Friend, FriendMove, FriendTransfer, Handover, HandoverRow
from clerks.outreach import contact
from members.models import Member
from retail import jobs, org, privacy
from retail.jobs import Later, Work
from retail.org import Held
from retail.wecom import outbox
from retail.wecom.gateway import Gateway
from retail.wecom.models import App, Call, apps_of

MOVE, TOLD, LOOK = cases.MOVE, "handover_told", "handover_look"  # kinds of jobs
MOST = 100  # friends in a call
LEDGER_DAYS, LEDGER_MOST = 90, 2  # transfers of a customer between members at work
DAY = timedelta(hours=24)  # after which WeCom completes what no customer refused
LAG = timedelta(minutes=1)  # so long after a call that nobody answered WeCom is asked what became of it
USEFUL = timedelta(hours=1)  # what WeCom could not be told by then is put together anew: somebody may have said stop
FORGOTTEN = timedelta(minutes=10)  # what WeCom has no record of by then has not begun
TRIES = 3  # by themselves; then a person decides

State, Why, Transfer = HandoverRow.State, HandoverRow.Why, FriendTransfer.State
ENDS = {FriendMove.Kind.REFUSED: Transfer.REFUSED, FriendMove.Kind.FULL: Transfer.FULL}
UNDER_WAY = (Transfer.ASKED, Transfer.WAITING)
STATUSES = {1: Transfer.DONE, 2: Transfer.WAITING, 3: Transfer.REFUSED, 4: Transfer.FULL}

NOT_LEFT = 40097
BEGUN = frozenset({0, 40129, 40100})  # or under way already
NOBODY = frozenset({60111, 40003})  # one of the two members; which one it does not say
WHYS = {
    40128: Why.LIMIT,
    **dict.fromkeys((40096, 40131, 40099, 84061), Why.NOT_FRIEND),
    **dict.fromkeys((40130, 41054, 84074, *NOBODY), Why.RECEIVER),
    NOT_LEFT: Why.TOO_LATE,
}


# ── The relation ─────────────────────────────────────────────────────────────────────────────────────────────────────
def move(*, handover_id: int, now: datetime) -> int:
    """A job: give everybody who is planned to their receiver, `binding.MOST` in a transaction; how many."""
    moved = 0
    while count := _move_some(handover_id, now):
        moved += count
    handover = _handover(handover_id)
    told_to.both_sides(handover=handover, now=now)
    chats.ask(handover=handover, now=now)
    cases.end_if_over(handover_id=handover_id, now=now)
    return moved


def _handover(handover_id: int) -> Handover:
    return Handover._base_manager.select_related("brand", "store", "staff").get(pk=handover_id)


@transaction.atomic
def _move_some(handover_id: int, now: datetime) -> int:
    rows = HandoverRow._base_manager.select_for_update(of=("self",)).filter(handover=handover_id, state=State.PLANNED)
    some = list(rows.select_related("friend__key").order_by("receiver", "pk")[: binding.MOST])
    if not some:
        return 0
    handover = _handover(handover_id)
    receivers = {row.receiver_id for row in some if row.receiver_id}
    posts = org.roster(since=now, until=now, staff_ids=receivers)
    to = {staff_id: held for staff_id in receivers if (held := posts.person(at=now, staff_id=staff_id))}
    there = [row for row in some if row.receiver_id in to]
    for row in some:
        if row.receiver_id not in to:
            _stick(row, Why.RECEIVER_GONE, now)
            if row.moved_at is None:
                row.state, row.receiver_id, row.ended_at = State.OPEN, None, None
            else:  # whoever has them already keeps them until somebody else is named
                row.receiver_id = row.holder_id
    _transfer(handover, there, to, now)
    _ask(handover, [row for row in there if row.state == State.PLANNED], now)
    _write(some)
    return len(some)


def _write(rows: Sequence[HandoverRow]) -> None:
    """A thousand rows in one statement: Django's bulk_update takes longer than all else together."""
    for row in rows:
        row.state, row.why = str(row.state), str(row.why)  # plain text for the driver
    with connection.cursor() as cursor:
        cursor.execute(_UPDATE, [[getattr(row, name) for row in rows] for name in _WRITTEN])


_WRITTEN = ("pk", "state", "why", "errcode", "holder_id", "receiver_id", "tries", "moved_at", "asked_at", "ended_at")
_UPDATE = """
UPDATE clerks_handoverrow r SET state = w.state, why = w.why, errcode = w.errcode, holder_id = w.holder,
    receiver_id = w.receiver, tries = w.tries, moved_at = w.moved_at, asked_at = w.asked_at, ended_at = w.ended_at
FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::int[], %s::bigint[], %s::bigint[], %s::int[],
    %s::timestamptz[], %s::timestamptz[], %s::timestamptz[])
    AS w(id, state, why, errcode, holder, receiver, tries, moved_at, asked_at, ended_at)
WHERE r.id = w.id
"""


def _transfer(handover: Handover, rows: Sequence[HandoverRow], to: Mapping[int, Held], now: datetime) -> None:
    """In our books they are the receiver's from now on, with all that goes along; whoever is somebody else's stays."""
    merged = set(
        Member._base_manager.filter(pk__in=[row.member_id for row in rows], merged_into__isnull=False).values_list(
            "pk", flat=True
        )
    )
    pairs = {(handover.brand_id, row.member_id): row for row in rows if row.member_id not in merged}
    began = binding.transfer(
        to={pair: to[_receiver(row)] for pair, row in pairs.items()},
        source=Binding.Source.HANDOVER,
        end=Binding.End.HANDED_OVER,
        by=handover.started_by,
        now=now,
        reason=handover.reason,
        only_from={pair: row.holder_id for pair, row in pairs.items()},
    )
    left = [member_id for (_, member_id) in pairs.keys() - began.keys()]
    theirs = set(
        Binding._base_manager.filter(brand=handover.brand, member__in=left, ended_at=None).values_list(
            "member_id", "staff_id"
        )
    )
    moved: dict[int, list[int]] = {}
    for row in rows:
        is_theirs = (row.member_id, row.receiver_id) in theirs  # theirs before, or by an earlier try
        if (handover.brand_id, row.member_id) in began or is_theirs:
            row.holder_id, row.moved_at = row.receiver_id, row.moved_at or now
            moved.setdefault(_receiver(row), []).append(row.member_id)
        else:
            row.state, row.why, row.ended_at = State.GONE, "", now
    for receiver_id, member_ids in moved.items():
        along.move(brand_id=handover.brand_id, member_ids=member_ids, to=to[receiver_id], now=now)
    book.refresh(member_ids=[row.member_id for row in rows], now=now)


def _receiver(row: HandoverRow) -> int:
    """Who is to have them: nobody gets here without one."""
    assert row.receiver_id is not None
    return row.receiver_id


def _stick(row: HandoverRow, why: str, now: datetime, errcode: int | None = None) -> None:
    """Nothing more comes of it by itself."""
    row.state, row.why, row.errcode, row.ended_at = State.INELIGIBLE, why, errcode, now


# ── The friend ───────────────────────────────────────────────────────────────────────────────────────────────────────
class _Batch(NamedTuple):
    """Friends of one member who go to one other in one call; `is_told`: the customers get a word about it."""

    giver: str
    receiver_id: int
    is_told: bool


def _ask(handover: Handover, rows: Iterable[HandoverRow], now: datetime) -> None:
    """Put into the outbox what WeCom is to be asked; whom it cannot be asked about says why."""
    app = apps_of(corp=handover.brand.corp).first()
    accounts: dict[int, str] = {}
    there = []
    for row in rows:
        if row.friend is None or row.friend.key.cipher is None or row.friend.state != Friend.State.FRIEND:
            row.state, row.ended_at = State.LOCAL, now
        elif app is None or not _account(accounts, _receiver(row), handover.brand.corp):
            _stick(row, Why.NO_ACCOUNT, now)
        else:
            there.append(row)
    if app is None:
        return
    free = there if handover.is_resigned else _within_ledger(there, now)
    for batch, some in _batches(handover, free, now).items():
        for start in range(0, len(some), MOST):
            _put(handover, app, batch, accounts[batch.receiver_id], some[start : start + MOST], now)


def _account(known: dict[int, str], staff_id: int, corp: str) -> str:
    if staff_id not in known:
        known[staff_id] = org.account_of(staff_id=staff_id, corp=corp)
    return known[staff_id]


def _within_ledger(rows: Sequence[HandoverRow], now: datetime) -> list[HandoverRow]:
    """WeCom takes a customer of somebody at work twice in 90 natural days; a third time it is not asked."""
    today = timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)
    key_ids = [row.friend.key_id for row in rows if row.friend]
    ledger = FriendTransfer._base_manager.filter(
        key__in=key_ids, is_resigned=False, asked_at__gte=today - timedelta(days=LEDGER_DAYS - 1)
    ).exclude(state=Transfer.NOT_BEGUN)
    counts = dict(ledger.order_by().values_list("key").annotate(count=Count("pk")))
    free = []
    for row in rows:
        assert row.friend is not None
        if counts.get(row.friend.key_id, 0) >= LEDGER_MOST:
            _stick(row, Why.LIMIT, now)
        else:
            free.append(row)
    return free


def _batches(handover: Handover, rows: Sequence[HandoverRow], now: datetime) -> dict[_Batch, list[HandoverRow]]:
    """By whom and to whom, and whether they may be told. Who has left can leave no word behind."""
    has_words = bool(handover.message) and not handover.is_resigned
    asked = {row.member_id for row in rows} if has_words else set()
    told = contact.willing(member_ids=asked, corp=handover.brand.corp, now=now) if asked else set()
    found: dict[_Batch, list[HandoverRow]] = {}
    for row in rows:
        assert row.friend is not None
        batch = _Batch(row.friend.userid, _receiver(row), row.member_id in told)
        found.setdefault(batch, []).append(row)
    return found


def _put(handover: Handover, app: App, batch: _Batch, taker: str, rows: Sequence[HandoverRow], now: datetime) -> None:
    call = contact.hand_over(
        app=app,
        giver=batch.giver,
        taker=taker,
        friends=[row.friend for row in rows if row.friend],
        is_resigned=handover.is_resigned,
        message=handover.message if batch.is_told else "",
        key=f"handover:{handover.pk}:{rows[0].pk}:{rows[0].tries}:{int(now.timestamp() * 1000)}",
        good_until=now + USEFUL,
        now=now,
    )
    FriendTransfer._base_manager.bulk_create(
        [
            FriendTransfer(
                row=row,
                corp=app.corp_id,
                key_id=row.friend.key_id,  # type: ignore[union-attr]  # only friends get here
                giver=batch.giver,
                taker=taker,
                is_resigned=handover.is_resigned,
                call=call,
                place=place,
                asked_at=now,
            )
            for place, row in enumerate(rows)
        ]
    )
    for row in rows:
        row.state, row.tries, row.asked_at = State.ASKED, row.tries + 1, now


# ── What WeCom answered ──────────────────────────────────────────────────────────────────────────────────────────────
def _errcodes(body: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    """One for each customer, in the order in which they were asked for: no names."""
    said = {one.get("external_userid"): int(one.get("errcode", 0)) for one in answer.get("customer", [])}
    return {"errcodes": [said.get(who, 0) for who in body["external_userid"]]}


for _path in (contact.GIVE, contact.GIVE_OF_LEFT):
    outbox.FOLLOWED[_path] = TOLD
    outbox.KEEPERS[_path] = _errcodes


def told(*, call_id: int, now: datetime) -> None:
    """A job: a call is over. What has begun waits for the customer; what has not says why, or is asked anew."""
    call = Call.objects.select_related("app").get(pk=call_id)
    if call.state == Call.State.UNKNOWN:
        _find_out(call, now)
        return
    with transaction.atomic():
        transfers = _of_call(call)
        if not transfers:
            return
        if call.state == Call.State.SENT:
            errcodes = [int(call.answer["errcodes"][one.place]) for one in transfers]
        else:
            errcodes = [call.errcode or -1] * len(transfers)
        for transfer, errcode in zip(transfers, errcodes, strict=True):
            if call.state == Call.State.DROPPED:
                _not_begun(transfer, now, is_heard=False)
            elif errcode in BEGUN:
                _wait(transfer)
            else:
                _refused_by_wecom(transfer, errcode, now)
    cases.end_if_over(handover_id=transfers[0].row.handover_id, now=now)


def told_of_chats(*, call_id: int, now: datetime) -> None:
    """A job: the same of group chats."""
    handover_id = chats.told(call_id=call_id, now=now)
    if handover_id is not None:
        cases.end_if_over(handover_id=handover_id, now=now)


def _of_call(call: Call) -> list[FriendTransfer]:
    rows = FriendTransfer._base_manager.select_for_update(of=("self",)).filter(call=call, state=Transfer.ASKED)
    return list(rows.select_related("row__handover").order_by("place"))


def _wait(transfer: FriendTransfer) -> None:
    transfer.state = Transfer.WAITING
    transfer.save(update_fields=["state"])
    HandoverRow._base_manager.filter(pk=transfer.row_id, state=State.ASKED).update(state=State.WAITING)


def _refused_by_wecom(transfer: FriendTransfer, errcode: int, now: datetime) -> None:
    """Whether the leaver has left WeCom, too, it alone knows: where it says otherwise it is asked the other way."""
    handover = transfer.row.handover
    is_left = handover.kind == Handover.Kind.LEFT
    if errcode == NOT_LEFT or (is_left and not transfer.is_resigned and errcode in NOBODY):
        Handover._base_manager.filter(pk=handover.pk).update(is_resigned=not transfer.is_resigned)
        _not_begun(transfer, now, errcode)
        return
    _end(transfer, Transfer.NOT_BEGUN, now, errcode=errcode)


def _not_begun(transfer: FriendTransfer, now: datetime, errcode: int | None = None, *, is_heard: bool = True) -> None:
    """WeCom did not begin, through no fault of the customer's: asked anew. TRIES times, if it heard us at all."""
    row = transfer.row
    if is_heard and row.tries >= TRIES:
        _end(transfer, Transfer.NOT_BEGUN, now, errcode=errcode)
        return
    transfer.state, transfer.errcode, transfer.ended_at = Transfer.NOT_BEGUN, errcode, now
    transfer.save(update_fields=["state", "errcode", "ended_at"])
    asked = HandoverRow._base_manager.filter(pk=row.pk, state__in=(State.ASKED, State.WAITING))
    asked.update(state=State.PLANNED, tries=row.tries if is_heard else max(0, row.tries - 1))
    jobs.enqueue(work=[Work(MOVE, {"handover_id": row.handover_id}, cases.shard_of(row.handover_id))], now=now)


ROW_STATES = {
    Transfer.DONE: State.DONE,
    Transfer.REFUSED: State.REFUSED,
    Transfer.FULL: State.FULL,
    Transfer.NOT_BEGUN: State.INELIGIBLE,
}


def _end(
    transfer: FriendTransfer, state: str, now: datetime, *, errcode: int | None = None, is_polled: bool = False
) -> None:
    """The outcome, in the ledger and in the row; a row that was given to somebody else meanwhile stays theirs."""
    transfer.state, transfer.errcode, transfer.ended_at, transfer.is_polled = state, errcode, now, is_polled
    transfer.save(update_fields=["state", "errcode", "ended_at", "is_polled"])
    why = ""
    if state == Transfer.NOT_BEGUN:
        why = WHYS.get(errcode, Why.OTHER) if errcode is not None else Why.NO_RECORD
    HandoverRow._base_manager.filter(pk=transfer.row_id, state__in=(State.ASKED, State.WAITING)).update(
        state=ROW_STATES[Transfer(state)], why=why, errcode=errcode, ended_at=now
    )


# ── Nobody answered ──────────────────────────────────────────────────────────────────────────────────────────────────
def _find_out(call: Call, now: datetime) -> None:
    """Did WeCom hear it? If anybody of these is on their way it did; if nobody is, it is asked once more."""
    waiting = FriendTransfer._base_manager.filter(call=call, state=Transfer.ASKED).select_related("key")
    transfers = list(waiting.order_by("place"))
    if not transfers:
        return
    if call.sent_at is not None and now < call.sent_at + LAG:
        raise Later("too early to tell", until=call.sent_at + LAG)
    said = _results(Gateway(call.app), transfers[0])
    begun = {one.pk for one in transfers if _is_of_this_call(one, said.get(privacy.reveal(one.key)))}
    outbox.settle(call=call, was_sent=bool(begun), by=None, now=now)
    if not begun:
        return
    with transaction.atomic():
        for transfer in _of_call(call):
            if transfer.pk in begun:
                _wait(transfer)
            else:  # it answered with an errcode that nobody heard
                _not_begun(transfer, now)
    enqueue_look(handover_id=_handover_of(transfers[0]), now=now)


def _handover_of(transfer: FriendTransfer) -> int:
    return HandoverRow._base_manager.values_list("handover_id", flat=True).get(pk=transfer.row_id)


def _is_of_this_call(transfer: FriendTransfer, status: int | None) -> bool:
    """WeCom tells the last transfer of the two: one that ended like an earlier one of ours may be that one."""
    if status is None or status not in STATUSES:
        return False
    same = Q(key=transfer.key_id, giver=transfer.giver, taker=transfer.taker, state=STATUSES[status])
    return status == 2 or not FriendTransfer._base_manager.filter(same).exclude(pk=transfer.pk).exists()


def _results(gateway: Gateway, of: FriendTransfer) -> dict[str, int]:
    """Customer → how far the last transfer between the two is."""
    ask = gateway.resigned_result if of.is_resigned else gateway.transfer_result
    found: dict[str, int] = {}
    seen, cursor = set(), ""
    while cursor not in seen:
        seen.add(cursor)
        answer = ask(handover_userid=of.giver, takeover_userid=of.taker, cursor=cursor)
        found |= {one["external_userid"]: int(one["status"]) for one in answer.get("customer", [])}
        cursor = answer.get("next_cursor", "")
    return found


# ── Looking ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def enqueue_look(*, handover_id: int, now: datetime) -> None:
    jobs.enqueue(work=[Work(LOOK, {"handover_id": handover_id}, cases.shard_of(handover_id))], now=now)


def enqueue_due(*, now: datetime) -> int:
    """Look after those whose day is over, or of whom nothing was heard that should have been; how many handovers."""
    waits = Q(state=Transfer.WAITING, asked_at__lte=now - DAY) | Q(
        state=Transfer.ASKED, asked_at__lte=now - 2 * USEFUL
    )
    ids = set(FriendTransfer._base_manager.filter(waits).values_list("row__handover_id", flat=True))
    for handover_id in sorted(ids):
        enqueue_look(handover_id=handover_id, now=now)
    return len(ids)


def look(*, handover_id: int, now: datetime) -> int:
    """A job: ask WeCom how those under way stand, and take it in; of how many it told something new."""
    open_ = FriendTransfer._base_manager.filter(row__handover=handover_id, state__in=UNDER_WAY)
    for call_id in set(open_.filter(state=Transfer.ASKED).exclude(_is_on_its_way()).values_list("call", flat=True)):
        told(call_id=call_id, now=now)
    waiting = list(open_.filter(state=Transfer.WAITING).select_related("key").order_by("pk"))
    pairs: dict[tuple[str, str, str, bool], list[FriendTransfer]] = {}
    for one in waiting:
        pairs.setdefault((one.corp, one.giver, one.taker, one.is_resigned), []).append(one)
    ended = sum(_look_at(some, now) for some in pairs.values())
    cases.end_if_over(handover_id=handover_id, now=now)
    return ended


def _is_on_its_way() -> Q:
    return Q(call__state__in=(Call.State.WAITING, Call.State.SENDING))


def _look_at(transfers: Sequence[FriendTransfer], now: datetime) -> int:
    app = apps_of(corp=transfers[0].corp).first()
    if app is None:
        return 0
    gateway, ended = Gateway(app), 0
    said = _results(gateway, transfers[0])
    for one in transfers:
        external_userid = privacy.reveal(one.key) if one.key.cipher is not None else ""
        state = STATUSES.get(said.get(external_userid, 0))
        if state == Transfer.WAITING or (state is None and now < one.asked_at + FORGOTTEN):
            continue
        ended += 1
        if state == Transfer.DONE:
            reading = readings.read(gateway, external_userid=external_userid, at=now)
            friends.settle(corp=one.corp, external_userid=external_userid, reading=reading, now=now)
        _take_in(one.pk, state, now)
    return ended


@transaction.atomic
def _take_in(transfer_id: int, state: str | None, now: datetime) -> None:
    rows = FriendTransfer._base_manager.select_for_update(of=("self",)).select_related("row__handover", "key")
    transfer = rows.get(pk=transfer_id)
    if transfer.state not in UNDER_WAY:  # a callback was faster
        return
    if state is None:
        _not_begun(transfer, now)
        return
    _end(transfer, state, now, is_polled=True)
    _leave_friend(transfer, now)


def heard(*, corp: str, external_userid: str, taker: str, state: str, now: datetime) -> None:
    """A callback says what became of a transfer to that member."""
    known = friends.key_of(corp=corp, external_userid=external_userid)
    with transaction.atomic():
        rows = FriendTransfer._base_manager.select_for_update(of=("self",)).select_related("row__handover", "key")
        of_these = rows.filter(corp=corp, key__hmac=privacy.fingerprint(known), taker__iexact=taker)
        transfer = of_these.filter(state__in=UNDER_WAY).order_by("-pk").first()
        if transfer is None:
            return
        _end(transfer, state, now)
        _leave_friend(transfer, now)
    cases.end_if_over(handover_id=transfer.row.handover_id, now=now)


def _leave_friend(transfer: FriendTransfer, now: datetime) -> None:
    """The giver's side of it: of members who have left WeCom tells it to nobody, of others its word was lost, too."""
    is_untold = transfer.is_resigned or transfer.is_polled
    if transfer.state != Transfer.DONE or not is_untold or transfer.key.cipher is None:
        return
    moved = Move(transfer.giver, FriendMove.Kind.TRANSFERRED, now.replace(microsecond=0))
    friends.settle(corp=transfer.corp, external_userid=privacy.reveal(transfer.key), moves=[moved], now=now)
