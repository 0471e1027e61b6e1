"""Who an order was: one member for all the ways the buyer is known.

Orders are matched a batch at a time, in the order given: what an earlier order of the batch teaches (a new member, one
more way they are known, a purchase) a later one sees, though nothing is written before all are decided.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from django.db import connection, transaction

from members.models import Identity, Member, Membership, Purchase
from retail import database, privacy, scope
from retail.models import BuyerKey, Order

# A phone or unionid is one person's; a card or a channel's buyer number may be shared or resold.
_STRENGTH: dict[str, int] = {
    BuyerKey.Type.UNIONID: 0,
    BuyerKey.Type.PHONE: 1,
    BuyerKey.Type.EXTERNAL_USERID: 2,
    BuyerKey.Type.CARD: 3,
    BuyerKey.Type.CHANNEL_ID: 4,
}

_Pair = tuple[int, int]
"""Brand id and member id: whose membership."""


@dataclass(slots=True)
class Match:
    """Whom the keys of an order point to. `others`: members they also point to.

    They are never merged here: the strongest key decides, the rest are proposals for the review page.
    """

    order: Order
    member_id: int
    others: tuple[int, ...] = ()
    learned: list[int] = field(default_factory=list)  # keys nobody had yet

    @property
    def pair(self) -> _Pair:
        return self.order.brand_id, self.member_id


def match_many(*, orders: Sequence[Order], now: datetime) -> dict[int, Purchase]:
    """Find or make the member of each order by any of its buyer keys, and fix the purchase. Idempotent.

    Order id → purchase, in the order given; a buyer nobody knows anything of has none. Whether the member is new, and
    for how long they had not bought, is decided here once from the purchases known at this moment. A corrected order
    keeps its first answer.
    """
    purchases = {order.pk: order.purchase for order in orders if hasattr(order, "purchase")}
    matches = whose(orders=[order for order in orders if order.buyer_keys and order.pk not in purchases])
    if matches:
        newborn = _bear(matches)
        _learn(matches)
        memberships = _memberships(matches, newborn)
        purchases |= {purchase.order_id: purchase for purchase in _buy(matches, memberships)}
    return {order.pk: purchases[order.pk] for order in orders if order.pk in purchases}


def whose(*, orders: Sequence[Order]) -> list[Match]:
    """Whom the orders belong to, one after another, with their keys locked; somebody new has a number below 0."""
    if not orders:
        return []
    owner_of, strength = _known({key_id for order in orders for key_id in order.buyer_keys})
    matches, born = [], 0
    for order in orders:
        ranked = sorted((key_id for key_id in order.buyer_keys if key_id in owner_of), key=strength.__getitem__)
        member_ids = list(dict.fromkeys(owner_of[key_id] for key_id in ranked))
        if not member_ids:
            born -= 1
            member_ids = [born]
        learned = [key_id for key_id in order.buyer_keys if key_id not in owner_of]
        owner_of.update(dict.fromkeys(learned, member_ids[0]))
        matches.append(Match(order, member_ids[0], tuple(member_ids[1:]), learned))
    return matches


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


def known(key_ids: Collection[int]) -> tuple[dict[int, int], dict[int, int]]:
    """The members of these keys, locked until commit, and how little each key proves; see `_known`."""
    return _known(key_ids)


def _known(key_ids: Collection[int]) -> tuple[dict[int, int], dict[int, int]]:
    """Key → the member it belongs to, keys nobody has yet left out; and key → how little it proves.

    Two orders that share a key are matched one after the other; locks are taken in one order.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtext('buyer'), (k %% 2147483647)::int)"
            " FROM unnest(%s::bigint[]) AS k ORDER BY k",
            [sorted(key_ids)],
        )
        cursor.execute(
            "SELECT k.id, k.type, i.member_id FROM retail_buyerkey k"
            " LEFT JOIN members_identity i ON i.key_id = k.id WHERE k.id = ANY(%s::bigint[])",
            [list(key_ids)],
        )
        rows = cursor.fetchall()
    owners = {key_id: member_id for key_id, _, member_id in rows if member_id is not None}
    return owners, {key_id: _STRENGTH[kind] for key_id, kind, _ in rows}


def _bear(matches: Sequence[Match]) -> set[int]:
    """Make the members that are new and put their ids in the place of the numbers below 0; returns these ids."""
    firsts = {match.member_id: match.order for match in reversed(matches) if match.member_id < 0}
    made = Member.objects.bulk_create([Member(created_at=order.paid_at) for order in firsts.values()])
    ids = {number: member.pk for number, member in zip(firsts, made, strict=True)}
    for match in matches:
        match.member_id = ids.get(match.member_id, match.member_id)
        match.others = tuple(ids.get(number, number) for number in match.others)
    return set(ids.values())


def _learn(matches: Iterable[Match]) -> None:
    """Keys nobody has yet become identities of the member."""
    Identity.objects.bulk_create(
        [
            Identity(
                member_id=match.member_id,
                key_id=key_id,
                source="order",
                channel_id=match.order.channel_id,
                seen_at=match.order.paid_at,
            )
            for match in matches
            for key_id in match.learned
        ],
        ignore_conflicts=True,
    )


# ── Memberships ──────────────────────────────────────────────────────────────────────────────────────────────────────
def _memberships(matches: Iterable[Match], newborn: Collection[int]) -> dict[_Pair, Membership]:
    """The members' rows with the orders' brands, locked: purchases of one membership are counted one at a time."""
    rows: dict[_Pair, Membership] = {}
    for match in matches:
        if match.pair not in rows:
            rows[match.pair] = _joining(match)
    held = _held(pair for pair in rows if pair[1] not in newborn)
    missing = sorted(pair for pair in rows if pair not in held and pair[1] not in newborn)
    if missing:
        Membership.objects.bulk_create([rows[pair] for pair in missing], ignore_conflicts=True)
        held |= _held(missing)  # somebody else may have been quicker
    # Nobody else knows these members before our commit.
    Membership.objects.bulk_create([row for pair, row in rows.items() if pair[1] in newborn])
    return rows | held


def _joining(match: Match) -> Membership:
    order = match.order
    return Membership(
        brand_id=order.brand_id,
        member_id=match.member_id,
        registered_at=order.paid_at,
        registered_store_id=order.store_id,
    )


def _held(pairs: Iterable[_Pair]) -> dict[_Pair, Membership]:
    """Those of the memberships that exist, locked in the order of their ids."""
    wanted = set(pairs)
    if not wanted:
        return {}
    brands, members = zip(*wanted, strict=True)
    rows = Membership.objects.filter(brand__in=set(brands), member__in=set(members)).order_by("pk")
    rows = rows.select_for_update(of=("self",)).select_related("tier")
    return {pair: row for row in rows if (pair := (row.brand_id, row.member_id)) in wanted}


# ── Purchases ────────────────────────────────────────────────────────────────────────────────────────────────────────
def _buy(matches: Iterable[Match], memberships: dict[_Pair, Membership]) -> list[Purchase]:
    """Write the purchases, and the first and last one of each membership."""
    purchases: list[Purchase] = []
    late: list[tuple[Purchase, datetime | None]] = []
    bought: dict[_Pair, list[datetime]] = defaultdict(list)
    for match in matches:
        order, membership = match.order, memberships[match.pair]
        last, paid_at = membership.last_purchase_at, order.paid_at
        purchase = Purchase(
            order=order,
            membership=membership,
            store_id=order.store_id,
            paid_at=paid_at,
            net_fen=order.paid_fen,
        )
        if last is None or last < paid_at:
            _follow(purchase, last)
        else:
            late.append((purchase, max((at for at in bought[match.pair] if at < paid_at), default=None)))
        bought[match.pair].append(paid_at)
        membership.first_purchase_at = min(membership.first_purchase_at or paid_at, paid_at)
        membership.last_purchase_at = max(last or paid_at, paid_at)
        purchases.append(purchase)
    _follow_late(late)
    Purchase.objects.bulk_create(purchases)
    _update([memberships[pair] for pair in bought])
    return purchases


def _follow(purchase: Purchase, earlier: datetime | None) -> None:
    purchase.is_first = earlier is None
    purchase.dormant_days = None if earlier is None else (purchase.paid_at - earlier).days


def _follow_late(late: Sequence[tuple[Purchase, datetime | None]]) -> None:
    """Purchases are searched only for orders that come late; with each, the last one before it in its batch."""
    if not late:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT (SELECT max(p.paid_at) FROM members_purchase p"
            "  WHERE p.membership_id = w.membership_id AND p.paid_at < w.paid_at)"
            " FROM unnest(%s::bigint[], %s::timestamptz[]) WITH ORDINALITY AS w(membership_id, paid_at, place)"
            " ORDER BY w.place",
            [[purchase.membership_id for purchase, _ in late], [purchase.paid_at for purchase, _ in late]],
        )
        for (purchase, in_batch), (before,) in zip(late, cursor.fetchall(), strict=True):
            _follow(purchase, max((at for at in (in_batch, before) if at), default=None))


def _update(memberships: Sequence[Membership]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE members_membership m SET first_purchase_at = w.first_at, last_purchase_at = w.last_at"
            " FROM unnest(%s::bigint[], %s::timestamptz[], %s::timestamptz[]) AS w(id, first_at, last_at)"
            " WHERE m.id = w.id",
            [
                [row.pk for row in memberships],
                [row.first_purchase_at for row in memberships],
                [row.last_purchase_at for row in memberships],
            ],
        )


# ── Somebody met, not an order ───────────────────────────────────────────────────────────────────────────────────────
class Met(NamedTuple):
    """Who it is, and who turned out to be the same person."""

    member_id: int
    absorbed: frozenset[int] = frozenset()


@transaction.atomic
def meet(*, key_ids: Collection[int], name: str, at: datetime, source: str) -> Met:
    """The member known by any of these keys; made, with this name, where there is none.

    `source` is sure that all keys are one person's. Keys nobody had become identities of the member; somebody of whom
    nothing is known but what the same source told is absorbed. Of several who have a life of their own the one of the
    weakest key, that by which they were met, stays who they are: the others are proposals for the review page. Of
    somebody who asked to be forgotten no name is kept.
    """
    if privacy.are_suppressed(key_ids):
        name = ""
    owner_of, strength = _known(key_ids)
    owned = list(dict.fromkeys(owner_of[key] for key in sorted(owner_of, key=strength.__getitem__)))
    hollow = _hollow(owned, source) if len(owned) > 1 else set()
    lived = [member_id for member_id in owned if member_id not in hollow]
    if lived:
        member_id = lived[-1]
    else:
        member_id = owned[0] if owned else Member.objects.create(name=name[:64], created_at=at).pk
    absorbed = frozenset(hollow - {member_id})
    if absorbed:
        Identity._base_manager.filter(member__in=absorbed).update(member_id=member_id)
        Member._base_manager.filter(pk__in=absorbed).update(merged_into=member_id)
    if owned and name:
        Member._base_manager.filter(pk=member_id, name="").update(name=name[:64])
    Identity.objects.bulk_create(
        [
            Identity(member_id=member_id, key_id=key_id, source=source, seen_at=at)
            for key_id in sorted(key_ids)
            if key_id not in owner_of
        ],
        ignore_conflicts=True,
    )
    return Met(member_id, absorbed)


def asked_to_be_forgotten(member_id: int) -> bool:
    """Whether the person behind a member asked for it under an earlier one, and has come back since."""
    keys = Identity._base_manager.filter(member=member_id).values_list("key_id", flat=True)
    # A clerk's page may read no keys; that somebody wants to be left alone is for everybody to know.
    with database.published(scope.EVERYTHING):
        return privacy.are_suppressed(keys)


def _hollow(member_ids: Collection[int], source: str) -> set[int]:
    """Those who never bought, and are known by nothing but what this source told."""
    known_otherwise = Identity._base_manager.filter(member__in=member_ids).exclude(source=source)
    bought = Purchase._base_manager.filter(membership__member__in=member_ids)
    lived = {*known_otherwise.values_list("member", flat=True), *bought.values_list("membership__member", flat=True)}
    return set(member_ids) - lived


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
