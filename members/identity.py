"""Who an order was: one member for all the ways the buyer is known. What decides it: `members.matching`.

Orders are matched a batch at a time, in the order given: what an earlier order of the batch teaches (a new member, one
more way they are known, a purchase) a later one sees, though nothing is written before all are decided.

Who vouches for what: WeCom and WeChat (a mini-program, 视频号) for the unionid, since the buyer is signed in there;
WeCom for the external_userid; a registration for the phone it has verified by a message, which one typed at a till is
not. Numbers of cards and of a channel's own prove nothing to anybody else.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from django.db import connection, transaction

from members import doubts, purchases
from members.matching import OWN, STRENGTH, Found, Held, Knowledge, Person, Told
from members.models import Identity, Member, Membership, Purchase
from members.purchases import Match
from retail import database, privacy, scope
from retail.models import BuyerKey, Channel, Order

OF_WECHAT = frozenset({Channel.Kind.MINI_PROGRAM, Channel.Kind.VIDEO_LIVE})
_Source = Identity.Source
ORDER, WECOM, REGISTER, IMPORT = _Source.ORDER, _Source.WECOM, _Source.REGISTER, _Source.IMPORT


@transaction.atomic
def match_many(*, orders: Sequence[Order], now: datetime) -> dict[int, Purchase]:
    """Find or make the member of each order by any of its buyer keys, and fix the purchase. Idempotent.

    Order id → purchase, in the order given; a buyer nobody knows anything of has none. Whether the member is new, and
    for how long they had not bought, is decided here once from the purchases known at this moment. A corrected order
    keeps its first answer.
    """
    bought = {order.pk: order.purchase for order in orders if hasattr(order, "purchase")}
    fresh = [order for order in orders if order.buyer_keys and order.pk not in bought]
    if fresh:
        matches, knowledge = _matched(fresh)
        newborn = _write([match.found for match in matches], knowledge, _origins(orders=fresh))
        for match in matches:
            doubts.propose(pairs=match.found.pairs, source=ORDER, order_id=match.order.pk, now=now)
        rows = purchases.memberships(matches=matches, newborn=newborn)
        bought |= {one.order_id: one for one in purchases.buy(matches=matches, memberships=rows)}
    return {order.pk: bought[order.pk] for order in orders if order.pk in bought}


def whose(*, orders: Sequence[Order]) -> list[Match]:
    """Whom the orders belong to, one after another, with their keys locked; somebody new has a number below 0."""
    return _matched(orders)[0] if orders else []


def _matched(orders: Sequence[Order]) -> tuple[list[Match], Knowledge]:
    knowledge = _known({key_id for order in orders for key_id in order.buyer_keys})
    return [Match(order, knowledge.find(_told(order, knowledge))) for order in orders], knowledge


def _origins(*, orders: Iterable[Order]) -> dict[int, "_Origin"]:
    """Key → the order it was first told in, by the time of payment."""
    found: dict[int, _Origin] = {}
    for order in sorted(orders, key=lambda order: order.paid_at):
        for key in order.buyer_keys:
            found.setdefault(key, _Origin(ORDER, order.channel_id, order.paid_at))
    return found


def _told(order: Order, knowledge: Knowledge) -> Told:
    keys = knowledge.ranked(order.buyer_keys)
    is_signed_in = order.channel.kind in OF_WECHAT
    proven = (key for key in keys if is_signed_in and knowledge.types[key] == BuyerKey.Type.UNIONID)
    return Told(keys, order.paid_at, frozenset(proven))


def owners(key_ids: Collection[int]) -> dict[int, int]:
    """Key → the member it belongs to by now, keys nobody has left out. Locks nothing."""
    return dict(Identity.objects.filter(key__in=key_ids).values_list("key_id", "member_id"))


def persons(member_ids: Collection[int]) -> dict[int, tuple[int, ...]]:
    """Member → all numbers of that person by now: the one they have, then those merged into it. One statement."""
    with connection.cursor() as cursor:
        cursor.execute(_PERSONS, [list(member_ids)])
        return {asked: (root, *(number for number in numbers if number != root)) for asked, root, numbers in cursor}


_PERSONS = """
WITH RECURSIVE up AS (
    SELECT id AS asked, id, merged_into_id FROM members_member WHERE id = ANY(%s::bigint[])
    UNION ALL
    SELECT up.asked, m.id, m.merged_into_id FROM up JOIN members_member m ON m.id = up.merged_into_id
), roots AS (
    SELECT asked, id AS root FROM up WHERE merged_into_id IS NULL
), down AS (
    SELECT root, root AS id FROM (SELECT DISTINCT root FROM roots) one
    UNION ALL
    SELECT down.root, m.id FROM down JOIN members_member m ON m.merged_into_id = down.id
)
SELECT r.asked, r.root, array_agg(d.id ORDER BY d.id) FROM roots r JOIN down d ON d.root = r.root GROUP BY 1, 2
"""


def member_of(known: privacy.Known) -> int | None:
    """The member who is known by this normalised identity. Sees all members: what of them is shown is asked apart."""
    found = Identity._base_manager.filter(key__hmac=privacy.fingerprint(known)).values_list("member_id", flat=True)
    return found.first()


def members_of(known: Collection[privacy.Known]) -> dict[privacy.Known, int]:
    """The same of many; hearsay says of nobody who they are. One statement."""
    prints = {privacy.fingerprint(one): one for one in known}
    rows = Identity._base_manager.filter(key__hmac__in=prints, is_hearsay=False)
    return {prints[bytes(mark)]: member_id for mark, member_id in rows.values_list("key__hmac", "member_id")}


# ── What is known of keys, and what is learned ───────────────────────────────────────────────────────────────────────
# Per key: whose it is; of those whose, whether they are known by more than numbers, and by which proven unionids.
_KNOWN = """
SELECT k.id, k.type, i.member_id, i.is_hearsay, i.seen_at, i.verified_at, m.is_own, m.unionids
FROM retail_buyerkey k LEFT JOIN members_identity i ON i.key_id = k.id LEFT JOIN LATERAL (
    SELECT bool_or(o.type = ANY(%(own)s) AND NOT j.is_hearsay) AS is_own,
        array_agg(o.id) FILTER (WHERE o.type = 'unionid' AND j.verified_at IS NOT NULL) AS unionids
    FROM members_identity j JOIN retail_buyerkey o ON o.id = j.key_id WHERE j.member_id = i.member_id
) m ON true WHERE k.id = ANY(%(keys)s::bigint[])
"""


def lock(key_ids: Collection[int]) -> None:
    """Nobody else learns whose these keys are, or makes them another's, before our commit. Sorted: no deadlocks."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtext('buyer'), (k %% 2147483647)::int)"
            " FROM unnest(%s::bigint[]) AS k ORDER BY k",
            [sorted(key_ids)],
        )


def _known(key_ids: Collection[int]) -> Knowledge:
    """What is known of these keys, locked: two orders that share one are matched one after the other."""
    lock(key_ids)
    with connection.cursor() as cursor:
        cursor.execute(_KNOWN, {"keys": list(key_ids), "own": list(OWN)})
        rows = cursor.fetchall()
    held = {row[0]: Held(*row[2:6]) for row in rows if row[2] is not None}
    persons = {row[2]: Person(bool(row[6]), set(row[7] or ())) for row in rows if row[2] is not None}
    return Knowledge(types={row[0]: row[1] for row in rows}, held=held, persons=persons)


class _Origin(NamedTuple):
    """Where a key was heard of."""

    source: str
    channel_id: int | None
    at: datetime


def _write(found: Sequence[Found], knowledge: Knowledge, origins: Mapping[int, _Origin], name: str = "") -> set[int]:
    """Put down who is new, in the place of the numbers below 0, and what was learned; the ids of the new ones."""
    newborn = _bear(found, origins, name)
    _learn(found, knowledge, origins)
    return newborn


def _bear(found: Sequence[Found], origins: Mapping[int, _Origin], name: str) -> set[int]:
    # Of one who comes again in the same batch nothing more need be learned.
    teaching = [one for one in reversed(found) if one.member_id < 0 and one.lessons]
    firsts = {one.member_id: origins[one.lessons[0].key].at for one in teaching}
    made = Member.objects.bulk_create([Member(name=name[:64], created_at=at) for at in firsts.values()])
    ids = {number: member.pk for number, member in zip(firsts, made, strict=True)}
    for one in found:
        one.member_id = ids.get(one.member_id, one.member_id)
        one.pairs = [
            pair._replace(one=ids.get(pair.one, pair.one), other=ids.get(pair.other, pair.other)) for pair in one.pairs
        ]
    return set(ids.values())


def _learn(found: Sequence[Found], knowledge: Knowledge, origins: Mapping[int, _Origin]) -> None:
    """Keys nobody has yet become identities; hearsay somebody comes by becomes theirs; what is older is noted."""
    rows: dict[int, Identity] = {}
    known: dict[int, Identity] = {}
    for one in found:
        for lesson in one.lessons:
            row = Identity(member_id=one.member_id, key_id=lesson.key, learned_by_id=lesson.by)
            # What was hearsay a moment ago in this very batch is no row yet.
            is_new = lesson.key in rows or not lesson.is_taken
            (rows if is_new else known)[lesson.key] = row
        for key in one.seen:
            if key not in rows:
                known.setdefault(key, Identity(member_id=knowledge.held[key].member_id, key_id=key))
    for key, row in [*rows.items(), *known.items()]:
        held, origin = knowledge.held[key], origins[key]
        row.source, row.channel_id = origin.source, origin.channel_id
        row.seen_at, row.verified_at, row.is_hearsay = held.seen_at or origin.at, held.verified_at, held.is_hearsay
    Identity.objects.bulk_create(rows.values(), ignore_conflicts=True)
    if known:
        _relearn(list(known.values()))


_RELEARN = """
UPDATE members_identity i SET member_id = w.member_id, is_hearsay = w.is_hearsay, verified_at = w.verified_at,
    learned_by_id = CASE WHEN i.is_hearsay AND NOT w.is_hearsay THEN w.learned_by_id ELSE i.learned_by_id END,
    source = CASE WHEN w.seen_at < i.seen_at THEN w.source ELSE i.source END,
    channel_id = CASE WHEN w.seen_at < i.seen_at THEN w.channel_id ELSE i.channel_id END,
    seen_at = w.seen_at
FROM unnest(%s::bigint[], %s::bigint[], %s::boolean[], %s::timestamptz[], %s::timestamptz[], %s::bigint[], %s::text[],
    %s::bigint[]) AS w(key_id, member_id, is_hearsay, verified_at, seen_at, learned_by_id, source, channel_id)
WHERE i.key_id = w.key_id
"""


def _relearn(rows: Sequence[Identity]) -> None:
    names = ["key_id", "member_id", "is_hearsay", "verified_at", "seen_at", "learned_by_id", "source", "channel_id"]
    with connection.cursor() as cursor:
        cursor.execute(_RELEARN, [[getattr(row, name) for row in rows] for name in names])


# ── Somebody met, not an order ───────────────────────────────────────────────────────────────────────────────────────
class Met(NamedTuple):
    """Who it is, and whether nobody had heard of them."""

    member_id: int
    is_new: bool = False


@transaction.atomic
def meet(*, key_ids: Collection[int], name: str, at: datetime, source: str, is_verified: bool | None = None) -> Met:
    """The member known by any of these keys; made, with this name, where there is none.

    `is_verified`: the source has seen to it that all keys are one person's, as WeCom and a registration do unless
    said otherwise. Members it makes one are merged by a job; until then the answer is whoever they are in WeCom, or
    signed in as. An import is believed, where nothing speaks against it, and merges nobody. Of somebody who asked to
    be forgotten no name is kept.
    """
    if privacy.are_suppressed(key_ids):
        name = ""
    is_sure = source in (WECOM, REGISTER) if is_verified is None else is_verified
    knowledge = _known(key_ids)
    ranked = knowledge.ranked(key_ids)
    keys = tuple(reversed(ranked)) if source == WECOM else ranked
    proven = frozenset(key for key in keys if is_sure and knowledge.types[key] in OWN)
    found = knowledge.find(Told(keys, at, proven, is_sure=is_sure, is_believed=source in (IMPORT, REGISTER)))
    is_new = found.member_id < 0
    _write([found], knowledge, dict.fromkeys(keys, _Origin(source, None, at)), name)
    if name and not is_new:
        Member._base_manager.filter(pk=found.member_id, name="").update(name=name[:64])
    doubts.propose(pairs=found.pairs, source=source, order_id=None, now=at)
    return Met(found.member_id, is_new)


def person(member_id: int) -> Person:
    """What the rules ask of a member."""
    rows = Identity._base_manager.filter(member=member_id, is_hearsay=False).select_related("key")
    keys = [(row.key_id, row.key.type, row.verified_at) for row in rows]
    proven = {key for key, kind, at in keys if kind == BuyerKey.Type.UNIONID and at}
    return Person(is_own=any(kind in OWN for _, kind, _ in keys), unionids=proven)


class KnownBy(NamedTuple):
    """Of some keys: whose they are, with whom they were only mentioned, and how little each proves."""

    owners: dict[int, int]
    hearsay: dict[int, int]
    strength: dict[int, int]


def known(key_ids: Collection[int]) -> KnownBy:
    """What is known of these keys, locked until commit."""
    knowledge = _known(key_ids)
    owners = {key: held.member_id for key, held in knowledge.held.items() if not held.is_hearsay}
    hearsay = {key: held.member_id for key, held in knowledge.held.items() if held.is_hearsay}
    return KnownBy(owners, hearsay, {key: STRENGTH[kind] for key, kind in knowledge.types.items()})


def asked_to_be_forgotten(member_id: int) -> bool:
    """Whether the person behind a member asked for it under an earlier one, and has come back since."""
    keys = Identity._base_manager.filter(member=member_id).values_list("key_id", flat=True)
    # A clerk's page may read no keys; that somebody wants to be left alone is for everybody to know.
    with database.published(scope.EVERYTHING):
        return privacy.are_suppressed(keys)


def who_asked_to_be_forgotten(member_ids: Collection[int]) -> set[int]:
    """The same of many. One statement."""
    with database.published(scope.EVERYTHING):
        known = Identity._base_manager.filter(
            member__in=member_ids, key__hmac__in=privacy.Suppression.objects.values("hmac")
        )
        return set(known.values_list("member_id", flat=True))


@transaction.atomic
def join(*, brand_id: int, member_id: int, store_id: int, at: datetime) -> None:
    """The member is one of the brand from then on at the latest; who joined before stays as they are."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO members_membership AS m (brand_id, member_id, registered_at, registered_store_id)"
            " VALUES (%s, %s, %s, %s) ON CONFLICT (brand_id, member_id) DO UPDATE"
            " SET registered_at = excluded.registered_at, registered_store_id = excluded.registered_store_id"
            " WHERE excluded.registered_at < m.registered_at AND m.registered_by_id IS NULL",
            [brand_id, member_id, at, store_id],
        )


@transaction.atomic
def register(
    *, brand_id: int, member_id: int, store_id: int | None, staff_id: int | None, at: datetime
) -> Membership | None:
    """The member joins the brand at that moment, recruited by that person; None for one who was a member before.

    A purchase or a friendship that is later, though we heard of it first, does not make them a member earlier.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO members_membership AS m"
            " (brand_id, member_id, registered_at, registered_store_id, registered_by_id) VALUES (%s, %s, %s, %s, %s)"
            " ON CONFLICT (brand_id, member_id) DO UPDATE SET registered_at = excluded.registered_at,"
            " registered_store_id = excluded.registered_store_id, registered_by_id = excluded.registered_by_id"
            " WHERE excluded.registered_at < m.registered_at AND m.registered_by_id IS NULL RETURNING m.id",
            [brand_id, member_id, at, store_id, staff_id],
        )
        row = cursor.fetchone()
    return Membership._base_manager.get(pk=row[0]) if row else None
