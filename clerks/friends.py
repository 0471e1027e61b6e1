"""企业微信好友: what WeCom tells about a member of a corp and a customer, put together so that order does not matter.

Two kinds of things are known. *Moves* are told by callbacks, each at its second; any of them may come late, twice or
never. A *reading* is what WeCom answers when asked about the customer; it may be some seconds behind (LAG). Moves are
kept for good, readings fill the gaps between them:

    listed, and the last move is older than the relation      → it was added then, nobody told us
    not listed, and the last move says friend, long enough ago → it was ended, nobody told us

What only callbacks tell: that the customer deleted the clerk, that they wait to be let in, why it ended.

In what order things happened WeCom's clock says, and it alone: its seconds are compared with each other as they are,
however far it is ahead of ours. In our books, where others count on it, nothing happens later than SKEW from now.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import NamedTuple, cast

from django.db import connection, transaction
from django.db.models import Q

from clerks import binding, book, rebinding, rewards, tagging
from clerks.models import Friend, FriendMove
from clerks.rebinding import Claim, Losses, Made
from members import identity
from retail import org, privacy
from retail.models import Brand, BuyerKey, Post, Store
from retail.privacy import Known

LAG = timedelta(seconds=30)  # a reading may be that much behind what callbacks tell
SKEW = timedelta(minutes=5)  # so far WeCom's clock may be ahead of ours
TAKEN_OVER = 202  # WeCom's add_way of a customer given to somebody else
Kind, State = FriendMove.Kind, Friend.State
STATES = {
    Kind.HALF: State.HALF,
    Kind.ADDED: State.FRIEND,
    Kind.LOST: State.LOST,
    Kind.DELETED: State.DELETED,
    Kind.TRANSFERRED: State.TRANSFERRED,
}
RANKS = {kind: place for place, kind in enumerate(STATES)}  # of moves within one second
ENDS = frozenset({Kind.DELETED, Kind.TRANSFERRED})


class Move(NamedTuple):
    """What a callback says happened: at which second of WeCom's clock, and of ours where that is another."""

    userid: str
    kind: str
    at: datetime
    state_code: str = ""
    ours: datetime | None = None


def by_our_clock(told_at: datetime, *, known_at: datetime) -> datetime:
    """What was known at `known_at` did not happen (much) later."""
    return min(told_at, known_at.replace(microsecond=0) + SKEW)


class Listed(NamedTuple):
    """What a reading says about one relation: since which second of WeCom's clock, and of ours if that is another."""

    userid: str
    added_at: datetime
    state_code: str = ""
    add_way: int | None = None
    tags: tuple[str, ...] = ()
    ours: datetime | None = None


class Reading(NamedTuple):
    """What WeCom answered about a customer, asked at `at`. `name` and `unionid` are "" where it does not tell.

    `of`: the members it speaks of, where it does not speak of all.
    """

    at: datetime
    listed: tuple[Listed, ...]
    name: str = ""
    unionid: str = ""
    of: frozenset[str] | None = None


class Between(NamedTuple):
    """Of a friendship what judging asks for."""

    staff_id: int
    add_way: int | None


class Seen(NamedTuple):
    """A move, as far as judging asks for it: of a hundred thousand customers rows would be most of the work."""

    friend_id: int
    kind: str
    at: datetime
    told_at: datetime
    friend: Between


AnyMove = FriendMove | Seen
_SEEN = ("friend__member", "friend__staff", "friend__add_way", "friend", "kind", "at", "said_at")


class Settled(NamedTuple):
    """Where the customer stands with everybody now, by lower-case userid, and how much of it was not known before."""

    friends: dict[str, Friend]
    found: int = 0
    gone: int = 0
    changed: int = 0


@transaction.atomic
def settle(
    *, corp: str, external_userid: str, moves: Sequence[Move] = (), reading: Reading | None = None, now: datetime
) -> Settled:
    """Take in what was told about a customer and what follows: who they are, whose friend, whose customer."""
    known = key_of(corp=corp, external_userid=external_userid)
    return _settle(corp, privacy.keep([known])[known], moves, reading, now)


@transaction.atomic
def forget(*, corp: str, key_id: int, userids: frozenset[str], now: datetime) -> int:
    """A reading of everybody lists these members (in lower case) with this customer no more. How many that ended."""
    return _settle(corp, key_id, (), Reading(now, (), of=userids), now).gone


def _settle(corp: str, key_id: int, moves: Sequence[Move], reading: Reading | None, now: datetime) -> Settled:
    alone(key_id)
    friends = _friends(corp, key_id, moves, reading)
    _name_staff(corp, friends.values())
    told = _told(friends)
    for move in moves:
        _note(friends[move.userid.lower()], told, move.kind, move.at, move.ours or move.at, move.state_code)
    found, gone, changed = _take_in(friends, told, reading, _working(friends.values(), now)) if reading else (0, 0, 0)
    for friend in friends.values():
        _conclude(friend, told[friend.pk])
    _place(corp, key_id, friends, told, reading, now)
    return Settled(friends, found, gone, changed)


@transaction.atomic
def rename(*, corp: str, userid: str, new: str) -> int:
    """A member has another userid now. Customers already told of under the new one keep that row."""
    there = Friend._base_manager.filter(corp=corp, userid__iexact=new).values("key")
    return Friend._base_manager.filter(corp=corp, userid__iexact=userid).exclude(key__in=there).update(userid=new)


def key_of(*, corp: str, external_userid: str) -> Known:
    return privacy.normalised(Known(BuyerKey.Type.EXTERNAL_USERID, corp, external_userid))


def alone(key_id: int) -> None:
    """Nobody else settles the same customer before our commit."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('friends', %s))", [key_id])


def _friends(corp: str, key_id: int, moves: Iterable[Move], reading: Reading | None) -> dict[str, Friend]:
    """The rows of everybody who has to do with the customer, by userid in lower case."""
    rows = {row.userid.lower(): row for row in Friend._base_manager.filter(corp=corp, key=key_id)}
    userids = [*(move.userid for move in moves), *(one.userid for one in (reading.listed if reading else ()))]
    for userid in userids:
        if userid.lower() not in rows:
            rows[userid.lower()] = Friend._base_manager.create(corp=corp, userid=userid, key_id=key_id)
    return rows


def _name_staff(corp: str, friends: Iterable[Friend]) -> None:
    """Who the members are here; who is known once stays so."""
    for friend in friends:
        if friend.staff_id is None and (staff := org.staff_of_account(corp=corp, userid=friend.userid)):
            friend.staff = staff


# ── Moves ────────────────────────────────────────────────────────────────────────────────────────────────────────────
Told = dict[int, list[FriendMove]]
"""Friend → what happened with them, in order."""


def _told(friends: Mapping[str, Friend]) -> Told:
    told: Told = {friend.pk: [] for friend in friends.values()}
    for move in FriendMove._base_manager.filter(friend__in=told):
        told[move.friend_id].append(move)
    for moves in told.values():
        moves.sort(key=_order)
    return told


def _order(move: AnyMove) -> tuple[datetime, int]:
    return move.told_at, RANKS.get(Kind(move.kind), -1)


def _note(
    friend: Friend,
    told: Told,
    kind: str,
    told_at: datetime,
    at: datetime,
    state_code: str,
    *,
    is_read: bool = False,
) -> None:
    """Keep a move; one that was only concluded from a reading gives way to the one that is told."""
    moves = told[friend.pk]
    same = next((move for move in moves if move.kind == kind and move.told_at == told_at), None)
    said_at = told_at if told_at != at else None
    if same is None:
        new = FriendMove(friend=friend, kind=kind, at=at, said_at=said_at, state_code=state_code, is_read=is_read)
        moves.append(new)
        moves[-1].save()
        moves.sort(key=_order)
    elif (same.is_read and not is_read) or state_code > same.state_code:
        if same.is_read and not is_read:
            same.at, same.said_at = at, said_at
        same.is_read, same.state_code = same.is_read and is_read, max(state_code, same.state_code)
        same.save(update_fields=["at", "said_at", "is_read", "state_code"])
    if not is_read:
        _drop_conclusions(moves)


def _drop_conclusions(moves: list[FriendMove]) -> None:
    """Of two endings, or two beginnings, without anything between them the one that only a reading showed goes."""
    changes = [move for move in moves if move.kind in STATES and move.kind != Kind.HALF]
    for earlier, later in pairwise(changes):
        if _sort(earlier) == _sort(later) and earlier.is_read != later.is_read:
            dropped = earlier if earlier.is_read else later
            dropped.delete()
            moves.remove(dropped)
            return _drop_conclusions(moves)
    return None


def _sort(move: FriendMove) -> str:
    return "end" if move.kind in ENDS else move.kind


# ── Readings ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def _working(friends: Iterable[Friend], now: datetime) -> set[int]:
    staff_ids = {friend.staff_id for friend in friends if friend.staff_id}
    posts = Post.objects.at(now).filter(staff__in=staff_ids)
    return set(posts.values_list("staff", flat=True))


def _take_in(
    friends: Mapping[str, Friend], told: Told, reading: Reading, working: Collection[int]
) -> tuple[int, int, int]:
    """What the reading shows that nobody told; how many relations are new, gone, or otherwise than we held.

    Somebody who has left is never listed: their customers wait for whoever takes over.
    """
    listed = {one.userid.lower(): one for one in reading.listed}
    found = gone = changed = 0
    for userid, friend in friends.items():
        if reading.of is not None and userid not in reading.of:
            continue
        last = _last(told[friend.pk])
        if one := listed.get(userid):
            if last is None or (last.kind != Kind.ADDED and one.added_at > last.told_at):
                at = one.ours or one.added_at
                _note(friend, told, Kind.ADDED, one.added_at, at, one.state_code, is_read=True)
                found += 1
            changed += _fill(friend, one, reading.at)
        elif friend.staff_id is not None and friend.staff_id not in working:
            continue
        elif last and last.kind in (Kind.ADDED, Kind.LOST) and last.at <= reading.at - LAG:
            at = reading.at - LAG
            _note(friend, told, Kind.DELETED, max(at, last.told_at), at, "", is_read=True)  # after what it ended
            gone += 1
    return found, gone, changed


def _last(moves: Sequence[FriendMove]) -> FriendMove | None:
    return next((move for move in reversed(moves) if move.kind in STATES), None)


def _fill(friend: Friend, one: Listed, at: datetime) -> bool:
    """What only readings tell; an older one tells nothing any more. Whether it was otherwise before."""
    if friend.read_at is not None and friend.read_at > at:
        return False
    tags = sorted(one.tags)
    is_other = friend.read_at is not None and friend.tags != tags
    friend.tags, friend.add_way, friend.read_at = tags, one.add_way, at
    return is_other


# ── What follows ─────────────────────────────────────────────────────────────────────────────────────────────────────
def _conclude(friend: Friend, moves: Sequence[FriendMove]) -> None:
    last = _last(moves)
    friend.state = STATES[Kind(last.kind)] if last else State.NONE
    friend.since = last.at if last else None
    codes = [move.state_code for move in moves if move.state_code and move.kind in (Kind.ADDED, Kind.HALF)]
    friend.state_code = codes[-1] if codes else friend.state_code


def _place(
    corp: str,
    key_id: int,
    friends: Mapping[str, Friend],
    told: Told,
    reading: Reading | None,
    now: datetime,
) -> None:
    """Who the customer is, in which stores they are known through whom, and whose customer that makes them."""
    added = min((move.at for moves in told.values() for move in moves if move.kind == Kind.ADDED), default=None)
    member_id = _met(key_id, reading, added) if added else None
    before = {friend.member_id for friend in friends.values() if friend.member_id}
    posts = org.roster(since=now, until=now, staff_ids={one.staff_id for one in friends.values() if one.staff_id})
    for friend in friends.values():
        held = posts.person(at=now, staff_id=friend.staff_id) if friend.staff_id else None
        friend.member_id = member_id or friend.member_id
        friend.store_id = held.store_id if held else friend.store_id
        friend.save()
    if member_id is not None:
        _judge(corp, {member_id, *before}, now)
    if reading is not None:
        concerned = before | {friend.member_id for friend in friends.values() if friend.member_id}
        tagging.read(member_ids=concerned, now=now)


def _met(key_id: int, reading: Reading | None, at: datetime) -> int:
    """Whoever befriends one of ours is somebody from that moment on."""
    ids = {key_id}
    if reading and reading.unionid:
        unionid = privacy.normalised(Known(BuyerKey.Type.UNIONID, "", reading.unionid))
        ids.add(privacy.keep([unionid])[unionid])
    name = reading.name if reading else ""
    return identity.meet(key_ids=ids, name=name, at=at, source=identity.WECOM).member_id


@transaction.atomic
def follow(*, member_ids: Collection[int], now: datetime) -> None:
    """Keys went from one of these members to another (a merge, or its undoing): their friendships go along.

    To be called in the transaction that moved the keys. All claims on these members are judged again.
    """
    known = Q(member__in=member_ids) | Q(key__identity__member__in=member_ids)
    concerned, corps = set(member_ids), set()
    for friend in Friend._base_manager.filter(known).select_related("key__identity"):
        owner_id = friend.key.identity.member_id if hasattr(friend.key, "identity") else friend.member_id
        if friend.member_id is not None and friend.member_id != owner_id:
            concerned.add(friend.member_id)
            friend.member_id = owner_id
            friend.save(update_fields=["member"])
        corps.add(friend.corp)
    rewards.merged(member_ids=member_ids, now=now)
    for corp in sorted(corps):
        _judge(corp, concerned, now)
    tagging.read(member_ids=concerned, now=now)


def _judge(corp: str, member_ids: Collection[int], now: datetime) -> None:
    """Whose customers these members are, by all they did with our people, under whatever key WeCom knows them."""
    brands = _brands(corp)
    by_id = {brand.pk: brand for brand in brands.values()}
    # Before looking: who settles another key of the same member has committed by then, or waits for us.
    binding.lock((brand_id, member_id) for brand_id in by_id for member_id in member_ids)
    for member_id in sorted(member_ids):
        moves = _moves_of(corp, member_id)
        made = rebinding.made(brands=by_id, member_id=member_id)
        claims = _claims(moves, brands, made)
        losses = _losses(moves)
        for brand_id in sorted({*claims, *made}):
            some = sorted(claims.get(brand_id, ()))
            if some:
                identity.join(brand_id=brand_id, member_id=member_id, store_id=some[0].store_id, at=some[0].at)
            rebinding.settle(brand=by_id[brand_id], member_id=member_id, claims=some, losses=losses, now=now)
        rewards.of_friends(member_id=member_id, moves=moves, claims=claims, now=now)
    book.refresh(member_ids=member_ids, now=now)


def _moves_of(corp: str, member_id: int) -> list[FriendMove]:
    """Everything that happened between a member and our people, under all the member's keys, in order."""
    rows = FriendMove._base_manager.filter(friend__corp=corp, friend__member=member_id, friend__staff__isnull=False)
    return sorted(rows.select_related("friend"), key=lambda move: (*_order(move), move.friend_id))


def _claims(
    moves: Sequence[AnyMove],
    brands: Mapping[int, Brand],
    made: Mapping[int, Made],
    posts: org.Roster | None = None,
) -> dict[int, list[Claim]]:
    """The claims of our people by brand, as of the post each held then; brands of other corps have none.

    Where our books of posts were corrected later, what a claim once made stands in the store it was made in.
    """
    added = [move for move in moves if move.kind == Kind.ADDED]
    if not added:
        return {}
    posts = posts or _posts_of(added)
    latest = {move.friend_id: move.at for move in added}
    claims: dict[int, list[Claim]] = {}
    for move in added:
        staff_id = cast(int, move.friend.staff_id)
        is_takeover = move.friend.add_way == TAKEN_OVER and latest[move.friend_id] == move.at
        held = posts.person(at=move.at, staff_id=staff_id)
        if held is not None and held.store_id is not None and held.store_id in brands:
            brand_id = brands[held.store_id].pk
            claims.setdefault(brand_id, []).append(Claim(move.at, staff_id, held.store_id, is_takeover))
            continue
        for brand_id, seats in made.items():
            if store_id := seats.get(rebinding.seat(staff_id, move.at)):
                claims.setdefault(brand_id, []).append(Claim(move.at, staff_id, store_id, is_takeover))
    return claims


def _posts_of(moves: Iterable[AnyMove]) -> org.Roster:
    """Where our people in these moves worked at the time."""
    times = [move.at for move in moves]
    staff_ids = {cast(int, move.friend.staff_id) for move in moves}
    return org.roster(since=min(times), until=max(times), staff_ids=staff_ids) if times else org.Roster()


class Heard(NamedTuple):
    """What the judge is told of one member and one brand."""

    claims: list[Claim]
    losses: Losses


def heard_of(*, brand: Brand, made: Mapping[int, Made]) -> dict[int, Heard]:
    """The same of many members at once, to look and not to write. `made`: what claims have made of each so far.

    Three statements.
    """
    moves: dict[int, list[Seen]] = {member_id: [] for member_id in made}
    rows = FriendMove._base_manager.filter(
        friend__corp=brand.corp, friend__member__in=list(made), friend__staff__isnull=False
    )
    for member_id, staff_id, add_way, friend_id, kind, at, said_at in rows.values_list(*_SEEN):
        moves[member_id].append(Seen(friend_id, kind, at, said_at or at, Between(staff_id, add_way)))
    stores = dict.fromkeys(Store._base_manager.filter(brand=brand).values_list("pk", flat=True), brand)
    posts = _posts_of([move for some in moves.values() for move in some])
    heard = {}
    for member_id, some in moves.items():
        some.sort(key=lambda move: (*_order(move), move.friend_id))
        claims = _claims(some, stores, {brand.pk: made[member_id]}, posts)
        heard[member_id] = Heard(sorted(claims.get(brand.pk, ())), _losses(some))
    return heard


def _brands(corp: str) -> dict[int, Brand]:
    """Store → its brand, of the brands of a corp."""
    stores = Store._base_manager.filter(brand__corp=corp).select_related("brand")
    return {store.pk: store.brand for store in stores}


def _losses(moves: Iterable[AnyMove]) -> Losses:
    by_clerk: dict[int, list[AnyMove]] = {}
    for move in moves:
        by_clerk.setdefault(cast(int, move.friend.staff_id), []).append(move)
    return {staff_id: _gaps(some) for staff_id, some in by_clerk.items()}


def _gaps(moves: Iterable[AnyMove]) -> list[tuple[datetime, datetime | None]]:
    """From each time the customer had deleted the clerk, under all keys they had been friends by, until they were
    friends again.
    """
    gaps: list[tuple[datetime, datetime | None]] = []
    friends: set[int] = set()
    for move in moves:
        is_open = bool(gaps) and gaps[-1][1] is None
        if move.kind == Kind.ADDED:
            friends.add(move.friend_id)
            if is_open:
                gaps[-1] = (gaps[-1][0], move.at)
        elif move.kind in (Kind.LOST, *ENDS):
            friends.discard(move.friend_id)
            if move.kind == Kind.LOST and not friends and not is_open:
                gaps.append((move.at, None))
    return gaps
