"""What somebody in a store may know of a customer: whose they are, and of their own ones the portrait.

A clerk sees their own customers, and of those who are nobody's the ones of their store; a store manager those of the
store. Of everybody else a page says that they belong to a colleague, and nothing more. Whoever is above a store sees
the members of their scope. What another company than the store's did with a customer is left out of every figure and
every list: its orders and what is computed of them, what it gave them, what its people noted.

A portrait is read in one statement, which the server plans once: it is asked for at every tap.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from clerks.models import Binding, Friend
from members import points, profiles, tag_words, tiers
from members.models import Membership, MemberTag, Stop, Tag
from retail import database, privacy, scope
from retail.models import BuyerKey, Post, Store

LATEST = 5  # orders, notes
MOST = 12  # coupons, identities, tags of a kind


def called(name: str, number: int) -> str:
    """What a customer is called on a page; who has no name is told apart by their number."""
    return privacy.without_numbers(name) or _("顾客 %(number)s") % {"number": number}


# ── Who looks ────────────────────────────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True, slots=True)
class Reader:
    """From where somebody looks at the members of a brand.

    `company_id`: whose stores' doings are shown (None: the house's own). `stores`: these instead, where a scope names
    them; `is_everything`: all. `staff_id`: whose own words and notes they may see and change; 0 is nobody's.
    """

    brand_id: int
    corp: str
    staff_id: int = 0
    store_id: int = 0
    is_manager: bool = False
    company_id: int | None = None
    stores: tuple[int, ...] | None = None
    is_everything: bool = False

    @classmethod
    def of_post(cls, post: Post) -> "Reader":
        """Somebody who works in a store."""
        store = _store(post)
        is_manager = post.role == Post.Role.STORE_MANAGER
        return cls(store.brand_id, store.brand.corp, post.staff_id, store.pk, is_manager, store.franchisee_id)

    @classmethod
    def of_scope(cls, visible: scope.Scope, *, brand_id: int, corp: str) -> "Reader":
        """Somebody above the stores, who has found the member through that scope."""
        if visible.store_ids is None:
            return cls(brand_id, corp, is_everything=True)
        return cls(brand_id, corp, stores=tuple(sorted(visible.store_ids)))


def _store(post: Post) -> Store:
    assert post.store is not None  # the phone is for posts in stores
    return post.store


def ours(store: str) -> str:
    """SQL: whether what happened in that store (a column; online where it is null) is for the reader to know."""
    return f"""(%(is_everything)s OR {store} IS NULL OR EXISTS (SELECT FROM retail_store s WHERE s.id = {store}
        AND CASE WHEN %(stores)s::bigint[] IS NULL THEN s.franchisee_id IS NOT DISTINCT FROM %(company_id)s::bigint
            ELSE s.id = ANY(%(stores)s::bigint[]) END))"""


# ── Whose ────────────────────────────────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True, slots=True)
class Bond:
    """Whose customer somebody is."""

    id: int
    staff_id: int
    clerk: str
    store_id: int
    started_at: datetime
    protected_until: datetime
    lost_at: datetime | None


class Ended(NamedTuple):
    """They were the reader's customer once: until when, and how it ended."""

    at: datetime
    why: str


@dataclass(frozen=True, slots=True)
class Relation:
    """What a reader has to do with a member. `binding` is the active one, whoever's; it is None for nobody's.

    `is_turned_away`: they would be the reader's, had there been room.
    """

    member_id: int
    binding: Bond | None
    is_visible: bool
    is_mine: bool = False
    ended: Ended | None = None
    is_turned_away: bool = False


# ── The portrait ─────────────────────────────────────────────────────────────────────────────────────────────────────
class Bought(NamedTuple):
    """One of the latest orders with the names of what was bought."""

    number: str
    at: datetime
    channel: str
    store: str
    fen: int
    products: list[str]


class Known(NamedTuple):
    """One way the member is known, as anybody may see it."""

    kind: str
    masked: str


class Held(NamedTuple):
    """A coupon that can be used."""

    name: str
    until: datetime


class Worn(NamedTuple):
    """A tag: the word, who knows it from where, and of a computed one why. `is_ours`: people may take it off."""

    id: int
    name: str
    source: str
    why: str
    is_ours: bool


class Noted(NamedTuple):
    id: int
    text: str
    by: str
    at: datetime
    is_own: bool


@dataclass(frozen=True, slots=True)
class Portrait:
    """A customer as the reader may see them. Money is what they paid, less what came back."""

    relation: Relation
    membership_id: int
    brand_id: int
    tier_id: int | None
    name: str
    given_name: str
    tier: str
    tier_until: datetime | None
    points: int
    registered_at: datetime
    orders: int
    fen: int
    first_at: datetime | None
    last_at: datetime | None
    contacted_at: datetime | None
    friend: str
    is_stopped: bool
    is_offered: bool  # whether offers may be made to them
    wishes: list[str]
    identities: list[Known]
    latest: list[Bought]
    coupons: list[Held]
    tags: list[Worn]
    notes: list[Noted]

    @property
    def member_id(self) -> int:
        return self.relation.member_id


class Seen(NamedTuple):
    """What there is to see; no portrait for who is not to be seen, or not a member of the brand."""

    relation: Relation
    portrait: Portrait | None


def of_post(*, post: Post, member_id: int, now: datetime) -> Seen:
    """What somebody who works in a store sees of a member."""
    reader = Reader.of_post(post)
    return _seen(reader, _read(reader, member_id, now), member_id)


class Standing(NamedTuple):
    """How far they are: the tier with what is missing to the next one, and which points end first."""

    tier: tiers.Standing
    ending: points.Expiring | None


def standing(portrait: Portrait, *, now: datetime) -> Standing:
    """What is counted anew at every look, by the rules of today. It is of the membership, wherever they bought."""
    membership = Membership(
        pk=portrait.membership_id,
        brand_id=portrait.brand_id,
        tier_id=portrait.tier_id,
        tier_until=portrait.tier_until,
    )  # as it was just read
    return Standing(
        tiers.standing(membership=membership, now=now), points.summary(membership=membership, now=now, moves=0).next
    )


def of_scope(*, reader: Reader, member_id: int, now: datetime) -> Portrait | None:
    """What somebody above the stores sees of a member whom they found through their scope."""
    said = _read(reader, member_id, now)
    return _portrait(reader, Relation(member_id, _bond(said["bond"]), is_visible=True), said) if said else None


def _read(reader: Reader, member_id: int, now: datetime) -> dict[str, Any]:
    """All of it as the database tells it; {} for who is no member of the brand, or is part of another by now."""
    given = {
        "member_id": member_id,
        "brand_id": reader.brand_id,
        "corp": reader.corp,
        "staff_id": reader.staff_id,
        "store_id": reader.store_id,
        "company_id": reader.company_id,
        "stores": list(reader.stores) if reader.stores is not None else None,
        "is_everything": reader.is_everything,
        "now": now,
    }
    # The second net shows clerks no identities. Who this reader may see is told by what is read with them.
    with database.published(scope.EVERYTHING):
        rows = database.planned(_STATEMENT, given)
    return json.loads(rows[0][0]) if rows else {}


_STATEMENT = f"""
WITH RECURSIVE who AS MATERIALIZED (
    SELECT m.id, m.member_id, m.brand_id, m.points, m.tier_id, m.tier_until, m.registered_at, m.registered_store_id,
        t.name AS tier, p.name, b.id AS binding_id, b.staff_id, b.store_id, b.started_at, b.protected_until, b.lost_at
    FROM members_membership m JOIN members_member p ON p.id = m.member_id AND p.merged_into_id IS NULL
    LEFT JOIN members_tier t ON t.id = m.tier_id
    LEFT JOIN clerks_binding b ON b.brand_id = m.brand_id AND b.member_id = m.member_id AND b.ended_at IS NULL
    WHERE m.brand_id = %(brand_id)s AND m.member_id = %(member_id)s
), purchase AS MATERIALIZED (
    SELECT p.membership_id, p.order_id, p.paid_at, p.store_id, {ours("p.store_id")} AS is_ours
    FROM who JOIN members_purchase p ON p.membership_id = who.id
), newest AS MATERIALIZED (
    SELECT * FROM purchase WHERE is_ours ORDER BY paid_at DESC, order_id DESC LIMIT {LATEST}
), bought AS MATERIALIZED (  -- counted one by one only where others than the reader's sold something
    SELECT membership_id, order_id, paid_at, store_id FROM purchase
    WHERE is_ours AND EXISTS (SELECT FROM purchase WHERE NOT is_ours)
), {profiles.ORDERS}, sums AS (
    SELECT count(*) FILTER (WHERE is_one) AS orders, coalesce(sum(paid_fen), 0) AS fen,
        min(paid_at) FILTER (WHERE is_one) AS first_at, max(paid_at) FILTER (WHERE is_one) AS last_at FROM orders
    HAVING EXISTS (SELECT FROM purchase WHERE NOT is_ours)
    UNION ALL
    SELECT f.orders, f.paid_fen, f.first_at, f.last_at FROM who JOIN members_profile f ON f.membership_id = who.id
    WHERE NOT EXISTS (SELECT FROM purchase WHERE NOT is_ours)
)
SELECT jsonb_build_object(
    'id', who.id, 'name', who.name, 'tier', who.tier, 'tier_id', who.tier_id, 'tier_until', who.tier_until,
    'points', who.points, 'registered_at', who.registered_at,
    'is_of_store', coalesce(who.registered_store_id = %(store_id)s, false)
        OR EXISTS (SELECT FROM purchase WHERE store_id = %(store_id)s),
    'bond', CASE WHEN who.binding_id IS NOT NULL THEN jsonb_build_object('id', who.binding_id,
        'staff_id', who.staff_id, 'clerk', (SELECT s.name FROM retail_staff s WHERE s.id = who.staff_id),
        'store_id', who.store_id, 'started_at', who.started_at, 'protected_until', who.protected_until,
        'lost_at', who.lost_at) END,
    'ended', (SELECT jsonb_build_array(b.ended_at, b.end_reason) FROM clerks_binding b
        WHERE b.brand_id = who.brand_id AND b.member_id = who.member_id AND b.staff_id = %(staff_id)s
            AND b.ended_at > b.started_at ORDER BY b.ended_at DESC LIMIT 1),
    'is_turned_away', who.binding_id IS NULL AND EXISTS (SELECT FROM clerks_turnedaway a
        WHERE a.brand_id = who.brand_id AND a.member_id = who.member_id AND a.staff_id = %(staff_id)s),
    'sums', (SELECT to_jsonb(sums) FROM sums),
    'contacted_at', (SELECT max(t.at) FROM clerks_touch t WHERE t.member_id = who.member_id
        AND t.purpose IN ('service', 'marketing') AND {ours("t.store_id")}),
    'friends', (SELECT array_agg(DISTINCT f.state) FROM clerks_friend f
        WHERE f.member_id = who.member_id AND f.staff_id = %(staff_id)s AND f.corp = %(corp)s),
    'is_stopped', EXISTS (SELECT FROM members_stop s WHERE s.member_id = who.member_id AND s.corp = %(corp)s
        AND s.lifted_at IS NULL AND s.channel IN ('', 'wecom') AND s.purpose IN ('', 'service')),
    'wishes', (SELECT jsonb_agg(jsonb_build_array(s.channel, s.purpose) ORDER BY s.id) FROM members_stop s
        WHERE s.member_id = who.member_id AND s.corp IN ('', %(corp)s) AND s.lifted_at IS NULL),
    'identities', (SELECT jsonb_agg(jsonb_build_array(k.type, k.masked) ORDER BY k.type, k.id)
        FROM members_identity i JOIN retail_buyerkey k ON k.id = i.key_id
        WHERE i.member_id = who.member_id AND k.cipher IS NOT NULL),
    'latest', (SELECT jsonb_agg(jsonb_build_array(o.outer_order_id, o.paid_at, c.name, s.name, o.paid_fen,
            (SELECT jsonb_agg(p.name ORDER BY l.id) FROM retail_orderline l
                JOIN retail_product p ON p.id = l.product_id WHERE l.order_id = o.id))
            ORDER BY o.paid_at DESC, o.id DESC)
        FROM newest JOIN retail_order o ON o.id = newest.order_id JOIN retail_channel c ON c.id = o.channel_id
        LEFT JOIN retail_store s ON s.id = o.store_id),
    'coupons', (SELECT jsonb_agg(jsonb_build_array(t.name, c.valid_until) ORDER BY c.valid_until, c.id)
        FROM members_coupon c JOIN members_coupontype t ON t.id = c.type_id
        WHERE c.membership_id = who.id AND c.state = 'issued' AND c.valid_until > %(now)s AND {ours("c.store_id")}),
    'tags', (SELECT jsonb_agg(jsonb_build_array(t.id, t.name, t.kind, t.code, m.source, m.why)
            ORDER BY t.kind, t.group_name, t.name, t.id)
        FROM members_membertag m JOIN members_tag t ON t.id = m.tag_id
        WHERE m.member_id = who.member_id AND m.until IS NULL AND t.is_active
            AND (m.brand_id IS NULL OR m.brand_id = who.brand_id)
            AND (t.staff_id IS NULL OR t.staff_id = %(staff_id)s)
            AND (t.kind <> 'model' OR NOT EXISTS (SELECT FROM purchase WHERE NOT is_ours))),
    'marked', (SELECT jsonb_agg(c.name ORDER BY c.group_name, c.place, c.name) FROM clerks_corptag c
        WHERE c.corp = %(corp)s AND c.deleted_at IS NULL AND c.tag_id IN (SELECT unnest(f.tags) FROM clerks_friend f
            WHERE f.member_id = who.member_id AND f.corp = %(corp)s)),
    'notes', (SELECT jsonb_agg(jsonb_build_array(n.id, n.text, n.name, n.created_at, n.staff_id)
            ORDER BY n.created_at DESC, n.id DESC)
        FROM (SELECT n.*, s.name FROM clerks_note n JOIN retail_staff s ON s.id = n.staff_id
            WHERE n.member_id = who.member_id AND n.brand_id = who.brand_id AND n.deleted_at IS NULL AND n.text <> ''
                AND {ours("n.store_id")} ORDER BY n.created_at DESC, n.id DESC LIMIT {LATEST}) n)
) FROM who
"""


# ── Out of what the database told ────────────────────────────────────────────────────────────────────────────────────
def _seen(reader: Reader, said: Mapping[str, Any], member_id: int) -> Seen:
    if not said:
        return Seen(Relation(member_id, None, is_visible=False), None)
    bond = _bond(said["bond"])
    is_mine = bond is not None and bond.staff_id == reader.staff_id
    is_of_my_store = bond is not None and reader.is_manager and bond.store_id == reader.store_id
    is_nobodys = bond is None and said["is_of_store"]
    ended = None if is_mine or not said["ended"] else _ended(*said["ended"])
    is_visible = is_mine or is_of_my_store or is_nobodys
    relation = Relation(member_id, bond, is_visible, is_mine, ended, said["is_turned_away"])
    return Seen(relation, _portrait(reader, relation, said) if relation.is_visible else None)


def _ended(at: str, reason: str) -> Ended:
    return Ended(_at(at), str(Binding.End(reason).label))


def _bond(said: Mapping[str, Any] | None) -> Bond | None:
    if said is None:
        return None
    times = {name: _time(said[name]) for name in ("started_at", "protected_until", "lost_at")}
    return Bond(**{**said, **times})


def _portrait(reader: Reader, relation: Relation, said: Mapping[str, Any]) -> Portrait:
    sums = said["sums"] or {"orders": 0, "fen": 0, "first_at": None, "last_at": None}
    return Portrait(
        relation=relation,
        membership_id=said["id"],
        brand_id=reader.brand_id,
        tier_id=said["tier_id"],
        name=called(said["name"], relation.member_id),
        given_name=privacy.without_numbers(said["name"]),
        tier=said["tier"] or "",
        tier_until=_time(said["tier_until"]),
        points=said["points"],
        registered_at=_at(said["registered_at"]),
        orders=sums["orders"],
        fen=int(sums["fen"]),
        first_at=_time(sums["first_at"]),
        last_at=_time(sums["last_at"]),
        contacted_at=_time(said["contacted_at"]),
        friend=_friend(said["friends"] or ()),
        is_stopped=said["is_stopped"],
        is_offered=not any(c == "" and p in ("", Stop.Purpose.MARKETING) for c, p in said["wishes"] or ()),
        wishes=[Stop(channel=channel, purpose=purpose).words for channel, purpose in said["wishes"] or ()],
        identities=[Known(str(BuyerKey.Type(kind).label), masked) for kind, masked in said["identities"] or ()][:MOST],
        latest=[_bought(*row) for row in said["latest"] or ()],
        coupons=[Held(name, _at(until)) for name, until in said["coupons"] or ()][:MOST],
        tags=_tags(reader, said),
        notes=[
            Noted(pk, text, by, _at(at), is_own=staff_id == reader.staff_id)
            for pk, text, by, at, staff_id in said["notes"] or ()
        ],
    )


def _friend(states: Sequence[str]) -> str:
    """Where the reader stands with the customer in WeCom, under whichever of their keys they stand best."""
    return next((state for state in (Friend.State.FRIEND, Friend.State.LOST) if state in states), "")


def _bought(number: str, at: str, channel: str, store: str | None, fen: int, names: Sequence[str] | None) -> Bought:
    return Bought(number, _at(at), channel, store or "", fen, list(dict.fromkeys(names or ())))


def _tags(reader: Reader, said: Mapping[str, Any]) -> list[Worn]:
    """What they are marked with here, then what only WeCom knows."""
    worn: dict[str, Worn] = {}
    for pk, name, kind, code, source, why in said["tags"] or ():
        row = MemberTag(tag=Tag(code=code, name=name), source=source, why=why)
        words, is_ours = str(MemberTag.Source(source).label), kind != Tag.Kind.MODEL
        worn.setdefault(name, Worn(pk, name, words, tag_words.sentence(row), is_ours))
    for name in said["marked"] or ():
        worn.setdefault(name, Worn(0, name, str(MemberTag.Source.WECOM.label), "", False))
    return list(worn.values())


def _time(text: str | None) -> datetime | None:
    return parse_datetime(text) if text else None


def _at(text: str) -> datetime:
    found = parse_datetime(text)
    assert found is not None
    return found
